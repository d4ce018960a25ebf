"""The attack list catches verifiers that can be cheated, and says so; the command line shows it."""

import json

import pytest
from typer.testing import CliRunner

from grpo_kit.errors import UserError
from grpo_kit.verifiers import REGISTRY
from grpo_kit.verifiers.selftest import examine, read_cases
from grpo_kit.verifiers_cli import app

FLAWED = """
import re

from grpo_kit.verifiers import verifier

def contains(response, answer):
    return str(answer) in (response or "")

def starts(response, answer):
    return response.replace("\\\\boxed{", "").startswith(str(answer))

@verifier(name="evaluates", timeout=0.5)
def evaluates(response, answer):
    inner = re.search(r"boxed\\{(.*)\\}", response or "")
    try:
        return eval(inner[1]) == int(answer) if inner else False
    except Exception:
        return False

@verifier(name="backtracks", timeout=0.5)
def backtracks(response, answer):
    return bool(re.fullmatch(r"(x+)+y", response or "")) or response == "42"

def raises(response, answer):
    return float(response) == float(answer)

def ends(response, answer):
    return (response or "").strip().endswith(str(answer))

def good(response, answer):
    return response == f"\\\\boxed{{{answer}}}"
"""


@pytest.fixture
def flawed(tmp_path):
    (tmp_path / "flawed.py").write_text(FLAWED)
    yield tmp_path / "flawed.py"
    for name in ("evaluates", "backtracks"):
        REGISTRY.pop(name, None)


def problems(rows):
    return {row.label: row.problem for row in rows if row.problem and not row.warning}


@pytest.mark.parametrize(
    ("name", "label", "problem"),
    [
        ("contains", "gold in a list of guesses", "full marks"),
        ("contains", "two different boxes", "full marks"),
        ("starts", "gold with a 0 behind", "full marks"),
        ("evaluates", "canary", "was executed"),
        ("raises", "empty", "ValueError"),
        ("ends", "digit before, in the gold's form", "full marks"),
        ("ends", "a list, in the gold's form", "full marks"),
        ("backtracks", "1 MB of x", "timeout"),
    ],
)
def test_a_flawed_verifier_is_caught(flawed, name, label, problem):
    assert problem in problems(examine(f"{flawed}:{name}"))[label]


def test_a_good_verifier_passes(flawed):
    rows = examine(f"{flawed}:good")
    assert problems(rows) == {}
    assert sum(row.kind == "case" for row in rows) == 1  # of the usual ways of giving the answer, the one it takes


def test_command_line(flawed, tmp_path):
    run = CliRunner().invoke
    result = run(app, ["test", f"{flawed}:contains"])
    assert result.exit_code == 1
    assert "contains: FAIL" in result.output
    assert "full marks for an attack" in result.output
    result = run(app, ["test", "number"])
    assert result.exit_code == 0, result.output
    assert "number: PASS" in result.output
    result = run(app, ["ls"])
    assert "countdown " in result.output
    result = run(app, ["show", "regex"])
    assert "pattern" in result.output
    assert "timeout 2 s" in result.output
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"response": "x", "answer": "1", "expected": 1.0}) + "\n")
    result = run(app, ["test", f"{flawed}:good", "--cases", str(cases)])
    assert result.exit_code == 1
    assert "should score 1" in result.output


def test_scaffold_passes_its_own_tests(tmp_path):
    result = CliRunner().invoke(app, ["new", str(tmp_path / "my_check.py")])
    assert result.exit_code == 0, result.output
    result = CliRunner().invoke(
        app, ["test", f"{tmp_path / 'my_check.py'}:my_check", "--cases", str(tmp_path / "my_check.jsonl")]
    )
    assert "my_check: PASS" in result.output, result.output
    namespace = {"__file__": str(tmp_path / "test_my_check.py")}
    exec(compile((tmp_path / "test_my_check.py").read_text(), "test_my_check.py", "exec"), namespace)
    for case in namespace["CASES"]:
        namespace["test_my_check"](case)
    with pytest.raises(UserError, match="exists"):
        CliRunner().invoke(app, ["new", str(tmp_path / "my_check.py")], catch_exceptions=False)


def test_bad_cases_name_their_line(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text('{"response": "a"}\n{"response": "a", "expcted": 1}\n')
    with pytest.raises(ValueError, match=r"cases\.jsonl:2.*expcted"):
        read_cases(path)
