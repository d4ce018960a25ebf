"""What `grpo-kit environments` finds wrong, and that it says where; the commands."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.environments import Call, Case, EnvironmentSpec
from grpo_kit.environments.attacks import random_call
from grpo_kit.environments.formats import FORMATS
from grpo_kit.environments.lookup import SHIPPED, get_part
from grpo_kit.environments.register import REGISTRY
from grpo_kit.environments.selftest import examine, read_cases
from grpo_kit.errors import UserError

HEAD = "import random as world, time\nfrom pathlib import Path\nfrom grpo_kit.environments import *\n"


@pytest.fixture(autouse=True)
def _clean_registry():
    before = dict(REGISTRY)
    yield
    for name in set(REGISTRY) - set(before) - set(SHIPPED):
        del REGISTRY[name]


def problems(tmp_path, body, settings="", cases="Case(['7'], reward=1.0, answer=7)", head=""):
    path = tmp_path / "mine.py"
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    path.write_text(
        f"{HEAD}{head}\n@environment(name='mine', cases=lambda: [{cases}], {settings})\nclass Mine:\n    '''Mine.'''\n{lines}"
    )
    return {f"{row.kind} {row.label}": row.problem for row in examine(EnvironmentSpec(f"{path}:Mine")) if row.problem}


SOUND = "def reply(self, response):\n    return Done(1.0) if response == '7' else 'no'"


def test_a_sound_one_has_no_problems(tmp_path):
    assert problems(tmp_path, SOUND) == {}


@pytest.mark.parametrize("name", sorted(set(SHIPPED) - {"search"}))
def test_the_shipped_ones_pass(name):
    formats = FORMATS if name == "tool_word_problems" else ("hermes",)
    for format in formats:
        rows = examine(EnvironmentSpec(name, format=format))
        assert [row for row in rows if row.problem] == []
        assert {row.kind for row in rows} == {"case", "random", "attack", "replay"}


def test_one_that_breaks_on_what_it_does_not_expect(tmp_path):
    found = problems(
        tmp_path, "def reply(self, response):\n    return Done(1.0) if int(response.split()[-1]) == 7 else 'no'"
    )
    assert "IndexError" in found["attack empty"]
    assert "mine.py:9" in found["attack empty"]
    assert "ValueError" in found["attack 1 MB of x"]


def test_one_that_pays_what_is_wrong(tmp_path):
    found = problems(
        tmp_path, "def reply(self, response):\n    return Done(1.0) if '7' in response or len(response) > 9 else 'no'"
    )
    assert found["attack 1 MB of x"] == "paid 1 for an attack"


def test_one_that_runs_what_is_written(tmp_path):
    body = "def reply(self, response):\n    try: return str(eval(response))[:99]\n    except BaseException: return 'no'"
    assert "it wrote a file" in problems(tmp_path, body, cases="Case(['7'], done=False)")["attack canary"]


def test_one_that_hangs(tmp_path):
    body = "def reply(self, response):\n    while len(response) > 10**6: time.sleep(0.01)\n    return 'no'"
    found = problems(tmp_path, body, "timeout=0.3", cases="Case(['7'], done=False)")
    assert found["attack 1 MB of x"] == "took longer than the timeout of 0.3 s"


def test_one_that_repeats_everything(tmp_path):
    found = problems(
        tmp_path, "def reply(self, response):\n    return response or 'no'", cases="Case(['7'], done=False)"
    )
    assert "1,048,576 characters" in found["attack 1 MB of x"]


def test_one_that_begins_with_more_than_fits(tmp_path):
    found = problems(tmp_path, "def begin(self): return 'x' * 60_000\n\n" + SOUND)
    assert any("begins with 60,000 characters, for which no prompt has room" in problem for problem in found.values())


def test_one_that_ends_the_process(tmp_path):
    found = problems(tmp_path, "def reply(self, response): raise SystemExit(0)")
    assert any("raised SystemExit: 0 (mine.py:" in problem for problem in found.values())


def test_one_that_is_not_a_function_of_its_turns(tmp_path):
    body = "def reply(self, response):\n    return str(world.random())"
    found = problems(tmp_path, body, cases="Case(['7'], done=False)")
    assert "turn 1 is answered by" in found["replay said again"]
    assert "random" in found["replay said again"]


def test_one_whose_episodes_are_not_apart(tmp_path):
    body = "def begin(self): SEEN.clear()\n\ndef reply(self, response):\n    SEEN.append(response)\n    return str(len(SEEN))"
    found = problems(tmp_path, body, cases="Case(['7', '8'], done=False)", head="SEEN = []")
    assert set(found) == {"replay said to two at once"}


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("Case(['7'], reward=0.5)", "should pay 0.5, and paid 1"),
        ("Case(['8'], reward=0.5)", "not over after its last turn"),
        ("Case(['7'], done=False)", "over after its last turn"),
        ("Case(['7', '7'])", "over after turn 1 of 2"),
        ("Case(['8'], replies=['yes'], done=False)", "turn 1 should be answered by 'yes', and was by 'no'"),
    ],
)
def test_cases_that_do_not_come_out(tmp_path, case, said):
    assert problems(tmp_path, SOUND, cases=case) == {"case case 1": said}


def test_cases_from_a_file(tmp_path):
    path = tmp_path / "cases.jsonl"
    call = {"name": "add", "arguments": {"a": 1}}
    path.write_text(json.dumps({"turns": ["x", call, [call, call]], "replies": ["y"], "reward": 1}) + "\n\n")
    one = Call("add", {"a": 1})
    assert read_cases(path) == [Case(["x", [one], [one, one]], ["y"], 1)]
    for text, message in (
        ("", "holds no cases"), ("[]", ":1: a case is an object"), ("{", ":1: not JSON"), ('{"turns": "x"}', "'turns', a list"),
        ('{"turns": [], "wrong": 1}', "a case is an object"), ('{"turns": [{"nme": "a"}]}', "a turn is text, or a call"),
    ):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_cases(path)


# -- commands --------------------------------------------------------------------------------------------------------


def run(*words):
    return CliRunner().invoke(app, ["environments", *words])


@pytest.mark.parametrize("kind", ["game", "tools"])
def test_a_new_one_passes_its_test_in_every_format(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    made = run("new", "sub/my_own.py", "--kind", kind)
    assert made.exit_code == 0
    assert "grpo-kit environments test sub/my_own.py:MyOwn" in made.output
    for format in FORMATS if kind == "tools" else ("json",):
        tested = run("test", "sub/my_own.py:MyOwn", "--format", format)
        assert tested.exit_code == 0, tested.output
        assert "my_own: PASS (1 cases, 5 random policies" in tested.output
        assert max(map(len, tested.output.splitlines())) <= 80
    before = Path("sub/my_own.py").read_text()
    again = run("new", "sub/my_own.py")
    assert "exists; choose another name" in str(again.exception)
    assert Path("sub/my_own.py").read_text() == before
    for name, message in (("my-own.py", "name it like my_game.py"), ("wordle.py", "name of an environment")):
        assert message in str(run("new", name).exception)


def test_a_failure_is_exit_code_1_and_names_what_failed(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text(f"{HEAD}class Bad:\n    def reply(self, response):\n        return int(response)\n")
    tested = run("test", f"{path}:Bad")
    assert tested.exit_code == 1
    assert "attack empty" in tested.output
    assert "ValueError" in tested.output
    assert "Bad: FAIL" in tested.output


def test_the_tasks_of_a_recipe():
    played = run("test", "guess_number", "--data", "quickstart/addition")
    assert played.exit_code == 0
    assert "5 random policies" in played.output
    rows = examine(EnvironmentSpec("tool_word_problems"), tasks=[ProceduralSource("addition", 1, 0, False).task(0)])
    assert "data.task: tool_word_problems" in next(row.problem for row in rows if row.kind == "random")


def test_show_and_ls():
    listed = run("ls").output
    assert all(name in listed for name in SHIPPED)
    shown = run("show", "tool_word_problems", "--format", "llama").output
    assert '"name": "lookup"' in shown
    assert '{"name": "lookup", "parameters": {"name": "A"}}' in shown
    assert "tool    3" in shown
    assert "options: path (needed), results, characters" in run("show", "search").output


def test_exit_codes_of_the_program(grpo_kit, tmp_path):
    def code(*words):
        done = grpo_kit("environments", *words)
        assert "Traceback" not in done.stderr or any(file in done.stderr for file in ("broken.py", "ended.py"))
        return done.returncode

    (tmp_path / "broken.py").write_text("1 / 0\n")
    (tmp_path / "ended.py").write_text("raise SystemExit(0)\n")
    assert code("show", "ended.py:X") == 2
    assert code("test", "wordl") == 2
    assert code("test", "wordle", "-o", "shped=1") == 2
    assert code("test", "wordle", "--cases", "missing.jsonl") == 2
    assert code("show", "broken.py:X") == 2
    assert code("test", "wordle", "-o", "shaped=0.5") == 0


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("'7'", "its cases are Case objects; one of them is '7'"),
        ("Case('7')", r"turns must be a list of texts, Calls and lists of Calls \(.*mine.py:5\)"),
        ("Case([7])", "turns must be a list of texts, Calls and lists of Calls"),
        ("Case(['7'], replies='no')", "replies must be a list of texts"),
        ("Case(['7'], reward='1')", "reward must be a finite number or None"),
        ("Case(['7'], meta=5)", "meta must be a mapping"),
        ("Case(['7'], options=[1])", "options must be a mapping"),
    ],
)
def test_cases_that_nobody_could_play(tmp_path, case, said):
    with pytest.raises(UserError, match=said):
        problems(tmp_path, SOUND, cases=case)
    shown = CliRunner().invoke(app, ["environments", "show", f"{tmp_path}/mine.py:Mine"])
    assert isinstance(shown.exception, UserError)


@pytest.mark.parametrize("row", [{"turns": ["7"], "reward": "1"}, {"turns": ["7"], "replies": "no"}])
def test_cases_of_a_file_that_nobody_could_play(tmp_path, row):
    (tmp_path / "cases.jsonl").write_text(json.dumps(row))
    with pytest.raises(ValueError, match=r"cases.jsonl.*1.* must be a"):
        read_cases(tmp_path / "cases.jsonl")


@pytest.mark.parametrize(
    ("returned", "said"),
    [("['no'] * 65", "65 messages in one answer; there may be 64"), ("Done(1e31)", "must be a number of at most 1e")],
)
def test_what_a_worker_refuses_is_no_answer_here_either(tmp_path, returned, said):
    assert said in problems(tmp_path, f"def reply(self, response): return {returned}")["attack empty"]


NUMBERS = """
import enum, pydantic
class Unit(enum.Enum): m, km = 'm', 'km'
class Length(pydantic.BaseModel):
    amount: float
    unit: Unit
    more: 'list[Length]' = []
@tool
def convert(length: Length, digits: int) -> str:
    '''Convert a length.'''
    return 'x' * digits if digits > 0 else ''
"""


def test_numbers_are_attacked_and_random_calls_fit_types_of_any_depth(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(HEAD + NUMBERS)
    rows = {f"{row.kind} {row.label}": row for row in examine(EnvironmentSpec(tools=(f"{path}:convert",)))}
    assert "OverflowError" in rows["attack convert: huge numbers"].problem
    assert not rows["attack convert: negative numbers"].problem
    [made] = get_part(f"{path}:convert").tools
    draw = random.Random(0)
    for _ in range(200):
        made.read(random_call(draw, [made.schema], given=1.0).arguments)
