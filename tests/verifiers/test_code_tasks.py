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
