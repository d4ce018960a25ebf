"""Rows of the usual datasets as tasks; the whole datasets where they are at hand."""

from __future__ import annotations

import base64
import json
import os
import pickle
import zlib
from pathlib import Path

import pytest

from grpo_kit.sandbox import TestError, probe
from grpo_kit.verifiers import code_tasks, get_verifier
from grpo_kit.verifiers.code import CodeTask, TaskError, code, run_task
from grpo_kit.verifiers.code_tasks import (
    check_reference,
    from_apps,
    from_evalplus,
    from_humaneval,
    from_livecodebench,
    from_mbpp,
)

DATA = Path(os.environ.get("GRPO_KIT_DATA", "../shared/data"))
pytestmark = pytest.mark.skipif(
    not any(p.works for p in probe() if p.backend != "cgroup v2"), reason="no sandbox backend works here"
)
HUMANEVAL = {
    "task_id": "HumanEval/x",
    "prompt": 'import math\n\ndef twice(x):\n    return 2 * x\n\ndef area(r):\n    """Area."""\n',
    "canonical_solution": "    return math.pi * r * r\n",
    "entry_point": "area",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert abs(candidate(1) - 3.14159) < 1e-3\n"
    "    assert twice(candidate(0)) == 0\n",
}
MBPP = {
    "task_id": 7,
    "text": "Add up.",
    "code": "def sum(a, b):\r\n  return a + b",
    "test_setup_code": "",
    "test_list": ["assert sum(1, 2) == 3", "assert sum(2, 2) == 4"],
}


def rows(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_humaneval():
    task = from_humaneval(HUMANEVAL)
    assert task["answer"]["tests"] == ["assert abs(area(1) - 3.14159) < 0.001", "assert twice(area(0)) == 0"]
    assert check_reference(task) is None
    for response in (HUMANEVAL["canonical_solution"], f"```python\n{task['reference']}```"):
        assert code(response, task["answer"]).value == 1.0
    for response in ("    pass\n", "```python\ndef twice(x): return 0\ndef area(r): return 3.14159 if r else 5\n```"):
        assert code(response, task["answer"]).value == 0.0


def test_mbpp_with_a_function_named_like_a_builtin():
    task = from_mbpp(MBPP)
    assert task["answer"]["entry_point"] == ["sum"]
    assert task["prompt"].endswith("assert sum(1, 2) == 3\n")
    assert check_reference(task) is None
    assert code("```python\ndef sum(a, b): return 3\n```", task["answer"]).value == 0.0


def test_a_wrong_reference_is_reported():
    task = from_mbpp({**MBPP, "code": "def sum(a, b): return 3"})
    assert check_reference(task) == ("task 7: its reference solution fails in test 2 of 2: fail: sum(2, 2) returned 3")
    with pytest.raises(TaskError, match="does not parse"):
        from_mbpp({**MBPP, "test_list": ["assert ("]})


def test_evalplus_expected_values_come_from_the_canonical_solution():
    row = {
        "task_id": "Mbpp/9",
        "prompt": '"""\nHalf.\n"""\n',
        "entry_point": "half",
        "canonical_solution": "\ndef half(x):\n    return x / 2\n",
        "base_input": [[1], [2]],
        "plus_input": [[3]],
        "atol": 1e-6,
    }
    task = from_evalplus(row)
    assert [t["output"] for t in task["answer"]["tests"]] == [0.5, 1.0, 1.5]
    assert check_reference(task) is None
    assert code("```python\ndef half(x): return x * 0.5000000001\n```", task["answer"]).value == 1.0
    with pytest.raises(TestError, match="gives no value"):
        from_evalplus({**row, "base_input": [["x"]]})


def test_apps():
    stdio = {"question": "Add.", "input_output": '{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}', "id": 3}
    task = from_apps({**stdio, "solutions": '["print(sum(map(int, input().split())))"]'})
    assert check_reference(task) is None
    called = {"inputs": [[1, 2]], "outputs": [[3]], "fn_name": "add"}
    starter = "class Solution:\n    def add(self, a, b):\n"
    task = from_apps({"question": "Add.", "input_output": called, "starter_code": starter})
    assert task["answer"]["entry_point"] == "Solution.add"
    for value, reward in (("a + b", 1.0), ("[a + b]", 1.0), ("a", 0.0)):
        response = f"```python\nclass Solution:\n    def add(self, a, b): return {value}\n```"
        assert code(response, task["answer"]).value == reward


def test_livecodebench_without_unpickling():
    class Bomb:
        def __reduce__(self):
            return (exec, ("raise SystemExit('unpickled')",))

    def packed(thing):
        return base64.b64encode(zlib.compress(pickle.dumps(thing))).decode()

    cases = [{"input": "[1, 2]\n2", "output": "[2, 4]", "testtype": "functional"}]
    row = {
        "question_content": "Scale.",
        "starter_code": "class Solution:\n    def scale(self, xs, k):\n",
        "metadata": '{"func_name": "scale"}',
        "public_test_cases": json.dumps(cases),
        "private_test_cases": packed(json.dumps(cases)),
    }
    task = from_livecodebench(row)
    assert task["answer"]["tests"] == [{"input": [[1, 2], 2], "output": [2, 4]}] * 2
    response = "```python\nclass Solution:\n    def scale(self, xs, k): return [k * x for x in xs]\n```"
    assert code(response, task["answer"]).value == 1.0
    with pytest.raises(TaskError, match="cannot be read"):
        from_livecodebench({**row, "private_test_cases": packed(Bomb())})
    stdio = [{"input": "1\n", "output": "1\n", "testtype": "stdin"}]
    task = from_livecodebench({**row, "public_test_cases": json.dumps(stdio), "private_test_cases": "[]"})
    assert task["answer"]["kind"] == "stdio"


@pytest.mark.slow
def test_all_of_humaneval():
    tasks = [from_humaneval(row) for row in rows("humaneval.jsonl")]
    assert [m for task in tasks if (m := check_reference(task))] == []
    for index, task in enumerate(tasks):
        answer = CodeTask.read(task["answer"])
        for wrong in (task["answer"]["prompt"] + "    pass\n", tasks[(index + 1) % len(tasks)]["reference"]):
            assert not run_task(wrong, answer, stop_at_first=True).passed, task["id"]


@pytest.mark.slow
def test_all_of_mbpp():
    failed = [m for row in rows("mbpp.jsonl") if (m := check_reference(from_mbpp(row)))]
    assert len(failed) <= 4, failed


def test_codecontests_rows():
    row = {
        "name": "1_A. Halves",
        "description": "Print YES and half of n.",
        "public_tests": {"input": ["4\n"], "output": ["YES\n2\n"]},
        "private_tests": {"input": ["3\n"], "output": ["yes 1.5"]},
        "generated_tests": {"input": [], "output": []},
        "time_limit": {"seconds": 2, "nanos": 500_000_000},
        "memory_limit_bytes": 1024 * 2**20,
        "solutions": {"language": [2, 3], "solution": ["int main(){}", "print('YES', int(input()) / 2)"]},
    }
    task = code_tasks.from_codecontests(row)
    assert task["answer"]["layout"] == "tokens"
    assert task["answer"]["limits"] == {"cpu_s": 7.5, "wall_s": 30.0, "memory_mb": 1024}
    assert code_tasks.check_reference(task) is None
    assert "fails in test 2" in code_tasks.check_reference(task | {"reference": "print('YES', int(input()) // 2)"})
    with pytest.raises(code_tasks.TaskError, match="no tests"):
        code_tasks.from_codecontests({"name": "x", "description": ""})


def test_taco_rows():
    row = {
        "question": "Half of n, with an error of at most $10^{-4}$.",
        "input_output": '{"inputs": ["3"], "outputs": ["1.50001"]}',
        "solutions": '["print(int(input()) / 2)"]',
        "time_limit": "3.0 seconds",
        "memory_limit": "256.0 megabytes",
    }
    task = code_tasks.from_taco(row)
    assert task["answer"]["tolerance"] == 1e-4
    assert task["answer"]["limits"] == {"cpu_s": 9.0, "wall_s": 36.0}
    assert code_tasks.check_reference(task) is None


@pytest.mark.parametrize(
    ("text", "tolerance"),
    [
        ("Answers within 10^-5 of the actual value will be accepted.", 1e-5),
        ("absolute or relative error does not exceed $10^{-6}$", 1e-6),
        ("error is at most 1e-9", 1e-9),
        ("accepted if the error is within 10\u2212{}6".replace("{}", ""), 1e-6),
        ("1 <= n <= 10^5", None),
        ("modulo 10^9 + 7", None),
    ],
)
def test_the_error_that_a_text_allows(text, tolerance):
    assert code_tasks.asked_tolerance(text) == tolerance


@pytest.mark.parametrize(
    ("body", "passes"),
    [
        ("return gcd(n, 12)", True),
        ("return math.gcd(n, 12)", True),
        ("return int(sqrt(144)) if n else inf", False),
        ("return reduce(add, [n, -4])", True),
        ("return deepcopy([n - 4])[0]", True),
        ("return loads('[4]')[0]", True),
        ("return len(ascii_lowercase) - 22", True),
        ("return Counter([4])[4] * 4", True),
        ("return len(str(10**5000)) - 4997", True),
        ("f = lambda k: 4 if k == 0 else f(k - 1)\n    return f(20_000)", True),
    ],
)
def test_what_a_judge_provides(body, passes):
    task = {"kind": "function", "tests": [{"input": [8], "output": 4}], "entry_point": "solve"}
    score = get_verifier("code")(response=f"```python\ndef solve(n):\n    {body}\n```", answer=task)
    assert (score.value == 1.0) is passes, score.reason


@pytest.mark.parametrize("name", ["add", "gcd", "comb", "Solution.add", "Solution.gcd"])
def test_an_entry_point_is_not_taken_from_the_imports(name):
    task = {"kind": "function", "tests": [{"input": [4, 2], "output": 6 if "add" in name else 2}], "entry_point": name}
    assert get_verifier("code")(response="```python\nx = 1\n```", answer=task).value == 0.0


def test_several_outputs_may_be_right():
    task = {"kind": "stdio", "tests": [{"input": "", "output": "1 2", "outputs": ["2 1"]}]}
    found = [get_verifier("code")(response=f"print('{text}')", answer=task).value for text in ("1 2", "2 1", "1 1")]
    assert found == [1.0, 1.0, 0.0]


def test_numbers_of_many_digits_and_fields_that_are_null():
    digits = "7" * 5000
    called = {"inputs": [[1]], "outputs": [1], "fn_name": "long"}
    text = json.dumps(called).replace('"outputs": [1]', f'"outputs": [{digits}]')
    task = from_apps({"question": "Sevens.", "input_output": text, "starter_code": ""})
    program = "```python\ndef long(n):\n    return (10**5000 - 1) // 9 * 7 + {}\n```"
    assert [code(program.format(more), task["answer"]).value for more in (0, 1)] == [1.0, 0.0]
    row = {
        "description": "",
        "public_tests": {"input": ["1"], "output": ["1"]},
        "time_limit": {"seconds": 2, "nanos": None},
    }
    assert code_tasks.from_codecontests(row)["answer"]["limits"]["cpu_s"] == 6.0
    with pytest.raises(TaskError, match="no tests"):
        from_apps({"question": "q", "input_output": ""})
