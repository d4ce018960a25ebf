"""Ways to be paid without working, to look out, to break out and to break the sandbox: by class, not by program.

Each program is small and bounded, and is run inside the sandbox only.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
from pathlib import Path

import pytest

from grpo_kit.sandbox import Limits

from .attack_adapter import run as run_record
from .attack_programs import BREAKING, HONEST, LOOKING_OUT, REFEREED, REWARD

LIMITS = Limits(wall_s=3, cpu_s=0.3, processes=16, memory_mb=64, stack_mb=16, reply_kb=512)
TESTS = ["assert add(1, 2) == 3", "assert add(10, -4) == 6", "assert add(0, 0) == 0"]
SCRIPT = ["x = area(2)\nassert abs(x - 12.566) < 1e-3", "x = area(1)\nassert x > 3", "x = area(1)\nassert x == 3.1415"]
IF_OK = "\ndef add(a, b):\n    return a + b if OK else None\n"
CORPUS = Path(os.environ.get("GRPO_KIT_DATA", "../shared/data")) / "attacks_dev.jsonl"


@pytest.mark.parametrize("name", REWARD)
def test_no_reward_without_work(sandbox, name):
    result = sandbox.run_tests(REWARD[name], TESTS, entry_point="add", limits=LIMITS)
    assert not result.passed, result
    assert result.sandbox_error is None


@pytest.mark.parametrize("name", [n for n in REWARD if "forged" in n or "a frame" in n or "empty frame" in n])
@pytest.mark.parametrize("kind", ["script", "referee"])
def test_forged_reports_cost_only_the_forger(sandbox, name, kind):
    if kind == "referee":
        result = sandbox.run_tests(REWARD[name], ["x = add(1, 2)\nassert x == 3"], entry_point="add", limits=LIMITS)
    else:
        result = sandbox.run_tests(REWARD[name], [{"input": "", "output": "3"}], kind="stdio", limits=LIMITS)
    assert not result.passed
    assert result.sandbox_error is None


@pytest.mark.parametrize("name", REFEREED)
def test_no_reward_from_the_referee_without_work(sandbox, name):
    result = sandbox.run_tests(REFEREED[name], SCRIPT, entry_point="area", limits=LIMITS)
    assert result.grading == "referee"
    assert not any(t.passed for t in result.tests), result
    assert result.sandbox_error is None


@pytest.mark.parametrize("name", LOOKING_OUT)
def test_nothing_is_reached(sandbox, name):
    patient = dataclasses.replace(
        LIMITS, wall_s=60, cpu_s=20
    )  # these end by themselves; a busy machine must not end them
    result = sandbox.run_tests(LOOKING_OUT[name] + IF_OK, TESTS, entry_point="add", limits=patient)
    assert not result.passed, result
    assert result.sandbox_error is None
    assert "None" in result.reason, "the attack itself did not run as meant: " + result.reason


@pytest.mark.parametrize("name", BREAKING)
def test_nothing_breaks(sandbox, name):
    code, verdicts = BREAKING[name]
    result = sandbox.run_tests(code, TESTS, entry_point="add", limits=LIMITS)
    assert result.verdict in verdicts, result
    assert sandbox.run_tests("def add(a, b): return a + b", TESTS).passed


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(sandbox, name):
    result = sandbox.run_tests(HONEST[name], TESTS, entry_point="add", limits=Limits(cpu_s=5))
    assert result.passed, result


def test_names_that_only_look_like_classes(sandbox):
    code = "class Area:\n def __init__(s, r): pass\n def __sub__(s, o): return 0.0\n def __abs__(s): return 0.0"
    result = sandbox.run_tests(code, ["x = Area(2)\nassert abs(x - 12.566) < 1e-3"])
    assert not result.passed, result


def test_own_objects_of_tested_classes_work(sandbox):
    code = (
        "class V:\n def __init__(s, x): s.x = x\n def __add__(s, o): return V(s.x + o.x)\n"
        " def __mul__(s, k): return V(s.x * k)\n def __eq__(s, o): return isinstance(o, V) and s.x == o.x\n"
        " def __contains__(s, v): return v == s.x\n def __len__(s): return 1\n def __iter__(s): return iter([s.x])\n"
        " def __repr__(s): return f'V({s.x})'\nclass Bad(ValueError): pass\ndef fail(): raise Bad('no')"
    )
    tests = [
        "assert V(1) + V(2) == V(3)",
        "v = V(2) * 3\nassert v.x == 6",
        "assert 5 in V(5) and len(V(1)) == 1 and list(V(7)) == [7] and repr(V(2)) == 'V(2)'",
        "assert isinstance(V(1), V) and not isinstance(1, V)",
        "try:\n    fail()\n    assert False\nexcept Bad as error:\n    assert str(error) == 'no'",
        "try:\n    fail()\n    assert False\nexcept ValueError:\n    pass",
        "assert V(1) + V(2) == V(4)",
    ]
    result = sandbox.run_tests(code, tests)
    assert [t.passed for t in result.tests] == [True] * 6 + [False], result


def test_functions_and_changed_arguments_cross_the_boundary(sandbox):
    code = "def apply(f, xs):\n    xs.append(0)\n    return [f(x) for x in xs]\ndef clear(d): d.clear(); d['k'] = [1]"
    tests = [
        "xs = [1, 2]\nassert apply(lambda x: x * 2, xs) == [2, 4, 0] and xs == [1, 2, 0]",
        "d = {'a': 1}\nclear(d)\nassert d == {'k': [1]}",
    ]
    assert sandbox.run_tests(code, tests).passed


@pytest.mark.skipif(not CORPUS.exists(), reason="the attack corpus is not here")
@pytest.mark.slow
def test_the_corpus_gets_the_right_verdicts(monkeypatch):
    """Verdicts only; what programs might leave on the host is checked by the corpus's own runner."""
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    if importlib.util.find_spec("numpy") is None:
        rows = [r for r in rows if not r["optional"]]
    wrong = {r["id"]: v for r in rows if (v := run_record(r)["verdict"]) not in r["expect"].split("|")}
    assert not wrong
