"""The ``code`` verifier: extraction, composition, rewards, reasons, and tasks that cannot be judged."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from grpo_kit.sandbox import probe
from grpo_kit.verifiers import Score, get_verifier
from grpo_kit.verifiers import code as module
from grpo_kit.verifiers.code import CodeTask, TaskError, extract_code, program

needs_sandbox = pytest.mark.skipif(
    not any(p.works for p in probe() if p.backend != "cgroup v2"), reason="no sandbox backend works here"
)
ADD = "def add(a, b):\n    return a + b"
ANSWER = {"kind": "assert", "tests": ["assert add(1, 2) == 3", "assert add(2, 2) == 4"], "entry_point": "add"}


def fenced(code: str, language: str = "python") -> str:
    return f"Here it is:\n```{language}\n{code}\n```\nDone."


@pytest.mark.parametrize(
    ("response", "code"),
    [
        (fenced("x = 1"), "x = 1"),
        (fenced("x = 1", ""), "x = 1"),
        (fenced("x = 1") + fenced("x = 2", "py"), "x = 2"),
        (fenced("x = 1") + "\nOutput:\n```text\n1\n```", "x = 1"),
        ("x = 1\n", "x = 1\n"),
        ("```python\nx = 1", "x = 1"),
        ("~~~~python\ns = '```'\n~~~~", "s = '```'"),
        ("````\n```\nx\n```\n````", "```\nx\n```"),
        ("1. first\n   ```python\n   x = 1\n   if x:\n       y = 2\n   ```", "x = 1\nif x:\n    y = 2"),
        ("<think>```python\nx = 1\n```</think>```python\nx = 2\n```", "x = 2"),
        (fenced("echo", "bash"), None),
        ("```python\n\n```", None),
        ("", None),
        ("  \n", None),
        ("```" * 3, None),
    ],
)
def test_extraction(response, code):
    assert extract_code(response) == code


def test_extraction_is_linear():
    for hostile in ("`" * 500_000, "```\n" * 100_000, "</think>" * 50_000, " ```" * 100_000):
        extract_code(hostile)


def test_a_body_continues_the_prompt():
    task = CodeTask(["assert f(1) == 1"], entry_point="f", prompt="def f(x):\n    '''doc'''\n")
    assert program("    return x", task) == "def f(x):\n    '''doc'''\n    return x"
    assert program("return x", task) == "def f(x):\n    '''doc'''\n    return x"
    assert program("def f(x): return x", task) == "def f(x): return x"
    assert program("f = lambda x: x", task) == "f = lambda x: x"
    assert program("# def f\nreturn x", task).startswith("def f(x)")


def test_reading_answers():
    assert CodeTask.read("assert f() == 1").tests == ["assert f() == 1"]
    assert CodeTask.read(["f(1)", "assert f() == 1"]).tests == ["f(1)", "assert f() == 1"]
    assert CodeTask.read(json.dumps(ANSWER)).entry_point == "add"
    for bad, words in (
        (None, "must describe tests"),
        ({}, "no tests"),
        ({"tests": ["x"], "test": 1}, "unknown keys"),
        ("{nonsense", "looks like JSON"),
        ("42", "assert nothing"),
        (["x == 1", "True"], "assert nothing"),
    ):
        with pytest.raises(TaskError, match=words):
            CodeTask.read(bad)


def test_importing_it_starts_nothing():
    program_text = (
        "import sys, grpo_kit.verifiers as v\nv.get_verifier('code')\n"
        "assert not [m for m in sys.modules if m.startswith(('torch', 'grpo_kit.sandbox'))]"
    )
    subprocess.run([sys.executable, "-c", program_text], check=True)


def score(response, answer=None, **options) -> Score:
    verifier = get_verifier("code").with_options(options)
    return verifier(response=response, answer=ANSWER if answer is None else answer, meta={"task_id": "T/1"})


@needs_sandbox
def test_rewards():
    right = score(fenced(ADD))
    assert (right.value, right.status, right.extracted) == (1.0, "ok", ADD)
    half = fenced("def add(a, b):\n    return 3")
    assert score(half).value == 0.0
    partial = score(half, reward="fraction")
    assert partial.value == 0.5
    assert partial.metrics["tests_passed"] == 0.5
    with pytest.raises(ValueError, match="reward must be"):
        score(half, reward="some")


@needs_sandbox
def test_reasons_show_inputs_and_expected_values_only_when_asked():
    wrong = fenced("def add(a, b):\n    return 0")
    assert score(wrong).reason == "fail in test 1 of 2: add(1, 2) returned 0"
    assert "assert add(1, 2) == 3" in score(wrong, show_expected=True).reason
    refereed = {"tests": ["x = add(1, 2)\nassert x == 3456789"], "entry_point": "add"}
    assert "3456789" not in score(wrong, refereed).reason
    assert "add(1, 2) returned 0" in score(wrong, refereed).reason


@needs_sandbox
def test_verdicts_are_in_the_reason():
    assert score(fenced("def add(a, b:")).reason.startswith("compile_error")
    assert score(
        fenced("def add(a, b):\n    while True: pass"), {**ANSWER, "limits": {"cpu_s": 0.3}}
    ).reason.startswith("timeout")
    nothing = score("I cannot.\n```text\nno\n```")
    assert (nothing.value, nothing.status, nothing.reason) == (0.0, "ok", "no code in the response")
    assert score("I cannot write that.").value == 0.0


@needs_sandbox
def test_a_task_that_cannot_be_judged_is_an_error_that_names_it():
    for answer in (
        {"tests": ["assert add("]},
        {"tests": []},
        {"tests": [1]},
        {"tests": ["assert add(1, 2) == 3"], "limits": {"cpu": 1}},
        {"tests": ["assert add(1, 2) == 3"], "limits": {"cpu_s": -1}},
        {"tests": ["assert add(1, 2) == 3"], "kind": "unit"},
        {"tests": ["assert add(1, 2) == 3"], "setup": "def ("},
        42,
    ):
        result = score(fenced(ADD), answer)
        assert result.status == "error", answer
        assert "task 'T/1'" in result.reason


@needs_sandbox
def test_a_broken_sandbox_is_no_reward(monkeypatch):
    from grpo_kit.sandbox import Result

    monkeypatch.setattr(module, "run_task", lambda *a, **k: Result("sandbox_error", sandbox_error="no space"))
    result = score(fenced(ADD + "\n# not seen before"))
    assert (result.status, result.reason) == ("error", "sandbox: no space")


@needs_sandbox
def test_identical_pairs_run_once(monkeypatch):
    runs = []
    original = module.run_task
    monkeypatch.setattr(module, "run_task", lambda *a, **k: runs.append(1) or original(*a, **k))
    response = fenced(ADD + "\n# once")
    assert [score(response).value for _ in range(4)] == [1.0] * 4
    assert len(runs) == 1
    score(response, {**ANSWER, "tests": ANSWER["tests"][:1]})
    assert len(runs) == 2


@needs_sandbox
def test_sampling_tests_is_the_same_for_a_group():
    answer = {"tests": [f"assert add({n}, 1) == {n + 1}" for n in range(50)], "entry_point": "add"}
    wrong_for_some = fenced("def add(a, b):\n    return a + b if a % 2 else None")
    values = {score(wrong_for_some + f"\n<!-- {i} -->", answer, reward="fraction", max_tests=5).value for i in range(3)}
    assert len(values) == 1
    assert "of 5" in score(wrong_for_some, answer, reward="fraction", max_tests=5).reason
    assert score(fenced(ADD), answer, max_tests=500).value == 1.0


@needs_sandbox
def test_other_kinds():
    stdio = {"kind": "stdio", "tests": [{"input": "1 3\n", "output": "0.3333333\n"}], "tolerance": 1e-6}
    assert score(fenced("a, b = map(int, input().split())\nprint(a / b)"), stdio).value == 1.0
    function = {"kind": "function", "tests": [{"input": [[1, 2]], "output": [2, 1]}], "entry_point": "Solution.flip"}
    assert score(fenced("class Solution:\n    def flip(self, x): return x[::-1]"), function).value == 1.0


def _in_a_worker(number: int) -> tuple[float, str]:
    result = score(fenced(f"{ADD}\n# {number}"))
    return result.value, result.status


@needs_sandbox
def test_it_works_in_spawned_workers():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(_in_a_worker, range(6))) == [(1.0, "ok")] * 6
