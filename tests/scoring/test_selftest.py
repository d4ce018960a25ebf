"""The attack list catches verifiers that can be cheated, and says so; the command line shows it."""

import json
import re

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.verifiers import app
from grpo_kit.errors import UserError
from grpo_kit.scoring.selftest import examine, read_cases
from grpo_kit.verifiers import REGISTRY, get_verifier

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

def right(response, answer):
    return (response or "").rstrip().endswith(f"\\\\boxed{{{answer}}}")

def short_and_right(response, answer):
    return right(response, answer) - 0.001 * len(response or "")

def much_shorter_and_right(response, answer):
    return right(response, answer) - 0.02 * len(response or "")

def form_and_right(response, answer):
    return 0.2 * (response or "").startswith("\\\\boxed") * (len(response or "") < 15) + 0.8 * right(response, answer)

def wrong_is_minus_one(response, answer):
    return 0.0 if str(answer) in (response or "") else -1.0

def length_pays(response, answer):
    return good(response, answer) + 0.01 * len(response or "")

def form_helps(response, answer):
    return good(response, answer) * 0.7 + 0.2 * (response or "").startswith("\\\\boxed") - 0.001 * len(response or "")

def always(response, answer):
    return 0.5

@verifier(name="ranking", group=True)
def ranking(response, answer):
    texts = [text or "" for text in response]
    return [good(t, answer) * sum(len(t) <= len(o) for o in texts) / len(texts) for t in texts]

@verifier(name="longest", group=True)
def longest(response, answer):
    texts = [text or "" for text in response]
    return [float(len(text) == max(map(len, texts))) for text in texts]

@verifier(name="reads_meta")
def reads_meta(response, answer, meta):
    return meta["unit"] == "kg" and (response or "").strip() == f"{answer} {meta['factors'][1]} kg"
"""


@pytest.fixture
def flawed(tmp_path):
    (tmp_path / "flawed.py").write_text(FLAWED)
    yield tmp_path / "flawed.py"
    for name in ("evaluates", "backtracks", "ranking", "longest", "reads_meta"):
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
        # Shaped rewards: no attack has exactly the gold's score, and the hole is the same.
        ("short_and_right", "two different boxes", "nearly the gold's score"),
        ("much_shorter_and_right", "two different boxes", "the gold earns 1 so"),
        ("form_and_right", "two different boxes", "the gold earns 0.8 so"),
        ("wrong_is_minus_one", "gold in a list of guesses", "full marks"),
        ("length_pays", "1 MB of x", "full marks"),
        ("length_pays", "a thousand lines", "full marks"),
        ("longest", "all digits", "full marks"),
    ],
)
def test_a_flawed_verifier_is_caught(flawed, name, label, problem):
    assert problem in problems(examine(f"{flawed}:{name}"))[label]


@pytest.mark.parametrize("name", ["good", "form_helps", "ranking"])
def test_a_good_verifier_passes(flawed, name):
    rows = examine(f"{flawed}:{name}")
    assert problems(rows) == {}
    assert sum(row.kind == "case" for row in rows) == 1  # of the usual ways of giving the answer, the one it takes


def test_a_verifier_that_cannot_tell_right_from_wrong_fails_on_its_gold(flawed):
    assert problems(examine(f"{flawed}:always"))["gold as '42'"] == "should score more than a wrong answer, 0.5"


def test_a_group_verifier_is_tested_in_groups(flawed, tmp_path):
    """Alone in a group, any response ranks first: attacks are tried beside the gold response."""
    cases = tmp_path / "group.jsonl"
    group = ["\\boxed{42}", "\\boxed{41}", "The answer is 42."]
    cases.write_text(json.dumps({"response": group, "answer": "42", "expected": [1, 0, 0]}) + "\n")
    rows = examine(f"{flawed}:ranking", read_cases(cases))
    assert problems(rows) == {}
    assert [row.score.value for row in rows if row.kind == "case"] == [1.0, 0.0, 0.0]
    cases.write_text(json.dumps({"response": group, "answer": "42", "expected": [1, 0.5, None]}) + "\n")
    found = problems(examine(f"{flawed}:ranking", read_cases(cases)))
    assert list(found.values()) == ["should score 0.5", "should abstain"]


def test_a_list_of_responses_is_scored_one_by_one_by_a_single_verifier(flawed, tmp_path):
    cases = tmp_path / "list.jsonl"
    cases.write_text(json.dumps({"response": ["\\boxed{42}", "42"], "answer": "42", "expected": [1, 1]}) + "\n")
    found = problems(examine(f"{flawed}:good", read_cases(cases)))
    assert found == {"'42'": "should score 1"}


def test_the_gold_answers_of_data_need_not_score_one(flawed):
    recipe = "quickstart/addition"
    result = CliRunner().invoke(app, ["test", f"{flawed}:short_and_right", "--data", recipe])
    assert "should score" not in result.output
    assert "two different boxes" in result.output


def test_meta_is_given_to_the_verifier(flawed, tmp_path):
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"response": "42 7 kg", "answer": "42"}) + "\n")
    run, command = CliRunner().invoke, ["test", f"{flawed}:reads_meta", "--cases", str(cases)]
    assert "KeyError: 'unit'" in run(app, command).output
    result = run(app, [*command, "--meta", "unit=kg", "--meta", "factors=[6, 7]"])
    assert result.exit_code == 0, result.output
    assert "reads_meta: PASS (1 case," in result.output
    with pytest.raises(UserError, match="--meta unit: write key=value"):
        run(app, [*command, "--meta", "unit"], catch_exceptions=False)


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


@pytest.mark.parametrize("kind", ["plain", "batch", "group", "async"])
def test_scaffold_passes_its_own_tests(tmp_path, kind):
    file, name = tmp_path / f"my_{kind}.py", f"my_{kind}"
    result = CliRunner().invoke(app, ["new", str(file), "--kind", kind])
    assert result.exit_code == 0, result.output
    made = get_verifier(f"{file}:{name}")
    try:
        assert (made.batch, made.group, made.is_async) == tuple(kind == k for k in ("batch", "group", "async"))
        result = CliRunner().invoke(app, ["test", f"{file}:{name}", "--cases", str(file.with_suffix(".jsonl"))])
        assert f"{name}: PASS" in result.output, result.output
        test = file.with_name(f"test_{file.name}")
        namespace = {"__file__": str(test)}
        exec(compile(test.read_text(), test.name, "exec"), namespace)
        assert len(namespace["CASES"]) >= 2
        for case in namespace["CASES"]:
            namespace[f"test_{name}"](case)
        with pytest.raises(AssertionError):
            namespace[f"test_{name}"]({"response": "41", "answer": "42", "expected": 1.0})
    finally:
        REGISTRY.pop(name, None)
    with pytest.raises(UserError, match="exists"):
        CliRunner().invoke(app, ["new", str(file)], catch_exceptions=False)


@pytest.mark.parametrize("name", ["class.py", "number.py", "my-check.py", "my_check.txt"])
def test_a_name_that_cannot_be_a_verifiers_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"name it like|shipped verifier"):
        CliRunner().invoke(app, ["new", str(tmp_path / name)], catch_exceptions=False)
    assert not list(tmp_path.iterdir())


BAD_CASES = {
    '{"response": ["a", "b"], "expected": [1]}': "2 responses and 1 expected values",
    '{"response": [], "expected": 1}': "empty list",
    '{"response": "a", "expected": "1"}': "'expected' is a number",
    '{"response": ["a"], "expected": [[1]]}': "'expected' is a number",
    '{"response": "a", "expected": true}': "'expected' is a number",
    '{"response": "a", "meta": 3}': "'meta' is an object",
}


@pytest.mark.parametrize("line", BAD_CASES)
def test_cases_that_do_not_fit_name_their_line(tmp_path, line):
    path = tmp_path / "cases.jsonl"
    path.write_text('{"response": "a"}\n' + line + "\n")
    with pytest.raises(ValueError, match=rf"cases\.jsonl:2.*{BAD_CASES[line]}"):
        read_cases(path)


def test_bad_cases_name_their_line(tmp_path):
    path = tmp_path / "cases.jsonl"
    path.write_text('{"response": "a"}\n{"response": "a", "expcted": 1}\n')
    with pytest.raises(ValueError, match=r"cases\.jsonl:2.*expcted"):
        read_cases(path)


def test_what_a_verifier_says_cannot_reach_the_terminal(tmp_path):
    """Reasons of failures, docstrings and responses of cases are foreign text; a box is printed as it was written."""
    hostile = "a\x1b[2J\x1b]0;owned\x07b\x9b31m\u202ec\nattack empty 1 ok [/red]"
    source = tmp_path / "hostile.py"
    source.write_text(
        f"def crashes(response, answer):\n    raise ValueError({hostile!r})\ncrashes.__doc__ = {hostile!r}\n"
    )
    cases = tmp_path / "cases.jsonl"
    cases.write_text(json.dumps({"response": f"\\boxed{{1}} {hostile}", "answer": "1", "expected": 1}) + "\n")
    said = [
        CliRunner().invoke(app, words, color=True).output
        for words in (
            ["test", f"{source}:crashes"],
            ["test", f"{source}:crashes", "--cases", str(cases)],
            ["show", f"{source}:crashes"],
        )
    ]
    for output in said:
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", output), output
    assert "ValueError: a[2J" in said[0]
    assert "gold as '\\boxed{42}'" in said[0]
    assert not any(line.startswith("attack empty 1 ok") for line in said[0].splitlines())
    assert "case   '\\boxed{1} a[2J" in said[1]
