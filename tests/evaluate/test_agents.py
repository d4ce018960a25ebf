"""eval of agents: episodes are played as in a run, judged by what they paid or by a verifier, kept and shown turn by turn."""

import json
import string
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grpo_kit.cli.app import app
from grpo_kit.errors import UserError
from grpo_kit.evaluate import checkpoints
from grpo_kit.evaluate.protocol import read_evaluation
from grpo_kit.evaluate.show import table_rows
from grpo_kit.evaluate.tasks import open_task
from tests.kit.tiny import TINY_RECIPE, make_policy

PLAYED = Path(__file__).parents[1] / "kit" / "played.py"
# An untrained model hardly ever ends a turn by itself: any letter does.
STOPS = json.dumps([*string.ascii_letters])
COUNTING = f"{{name: '{PLAYED}:Counting', turns: 3, max_inserted: 128}}"
TASK = f"data: {{task: addition}}\nproblems: 6\nenvironment: {COUNTING}\nmax_tokens: 40\nstop: {STOPS}\n"
SMALL = ("-n", "2", "--workers", "0")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_policy(seed=1).save(folder)
    return folder


@pytest.fixture(scope="module")
def evaluated(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated")
    task = folder / "counting.yaml"
    task.write_text(TASK)
    output = invoke("eval", model, "--tasks", task, *SMALL, "--out", folder / "a")
    return folder, task, output


def invoke(*arguments, fails=None):
    found = CliRunner().invoke(app, [*map(str, arguments)])
    if fails is None:
        assert found.exception is None, found.exception
    else:
        assert isinstance(found.exception, UserError), found.exception
        assert fails in str(found.exception)
    return found.output


def test_episodes_are_played_and_right_is_what_they_paid(evaluated):
    result, records = read_evaluation(evaluated[0] / "a")
    assert [r.sample for r in records[:4]] == [0, 1, -1, 0]
    assert len(records) == 6 * 3
    assert all(r.messages[-1]["content"].endswith(("until 2", "until 3", "until 4")) for r in records)
    assert all(len(r.inserted) == len(r.turns) - 1 for r in records)
    assert all(r.right == (r.ending == "done" and len(r.turns[-1].text) % 2 == 0) for r in records)
    found = result.tasks["counting"]
    sampled = [r for r in records if r.sample >= 0]
    assert {r.ending for r in sampled} == {"done", "turns"}
    assert max(len(r.turns) for r in sampled) == 3
    assert found.metrics["avg"]["value"] == sum(r.right for r in sampled) / len(sampled)
    assert found.metrics["avg"]["error"] is not None
    # Who pays looks for no answer in the text, so that none is missed and none has a vote.
    assert found.metrics["no_answer"] is None
    assert found.metrics["majority_at"] == {}
    episodes = found.metrics["episodes"]
    assert episodes["turns"]["value"] == pytest.approx(sum(len(r.turns) for r in sampled) / len(sampled))
    assert episodes["turns"]["error"] is not None
    assert sum(episodes["endings"].values()) == pytest.approx(1.0)
    assert {"calls", "invalid", "failed", "seconds"} <= episodes.keys()
    environment, judge = found.protocol["environment"], found.protocol["verifier"]
    assert (environment["name"], environment["turns"], environment["max_inserted"]) == ("counting", 3, 128)
    assert (judge["name"], judge["version"]) == ("counting", environment["version"])


def test_the_table_and_a_note_say_what_episodes_were(evaluated):
    folder, _, output = evaluated
    header, rows = table_rows([read_evaluation(folder / "a")[0]])
    assert "turns" in header
    assert "calls" not in header  # there were none, nor tools
    assert float(rows[0][header.index("turns")]) >= 2
    assert "an episode has 2." in " ".join(output.split()) or "an episode has 3." in " ".join(output.split())
    assert "ended by: " in output


def test_an_evaluation_goes_on_with_the_episodes_that_are_missing(model, evaluated, tmp_path, monkeypatch):
    folder, task, _ = evaluated
    place = tmp_path / "b"
    place.mkdir()
    kept = (
        (folder / "a" / "samples.jsonl").read_bytes().splitlines(keepends=True)[:6]
    )  # two problems and their greedy ones
    (place / "samples.jsonl").write_bytes(b"".join(kept) + b'{"task": "coun')
    (place / "protocol.json").write_bytes((folder / "a" / "protocol.json").read_bytes())
    monkeypatch.setattr(checkpoints, "CHUNK", 4)
    invoke("eval", model, "--tasks", task, *SMALL, "--out", place, "--resume")
    _, records = read_evaluation(place)
    assert [r.to_json() + "\n" for r in records[:6]] == [line.decode() for line in kept]
    assert [r.key for r in records] == [r.key for r in read_evaluation(folder / "a")[1]]
    compared = invoke("compare", folder / "a", place)
    assert "counting" in compared
    other = tmp_path / "counting.yaml"
    other.write_text(TASK.replace("turns: 3", "turns: 2"))
    invoke("eval", model, "--tasks", other, *SMALL, "--out", place, "--resume", fails="environment.turns: 3 against 2")


def test_a_verifier_judges_where_the_task_names_one(model, tmp_path):
    task = tmp_path / "judged.yaml"
    task.write_text(TASK + "verifier: {name: number}\n")
    invoke("eval", model, "--tasks", task, "-n", "1", "--no-greedy", "--workers", "0", "--out", tmp_path / "a")
    result, records = read_evaluation(tmp_path / "a")
    assert result.tasks["judged"].protocol["verifier"]["name"] == "number"
    assert result.tasks["judged"].protocol["environment"]["name"] == "counting"
    assert all(r.turns for r in records)


BREAKS = """
class Breaks:
    def begin(self, task):
        self.odd = int(task.answer) % 2
        return "go"

    def reply(self, response):
        return 1 / 0 if self.odd else Done(1.0)
"""


def test_episodes_whose_environment_failed_are_neither_right_nor_wrong(model, tmp_path):
    (tmp_path / "breaks.py").write_text("from grpo_kit.environments import Done\n" + BREAKS)
    task = tmp_path / "broken.yaml"
    task.write_text(TASK.replace(f"{PLAYED}:Counting", f"{tmp_path}/breaks.py:Breaks"))
    output = invoke("eval", model, "--tasks", task, "-n", "1", "--no-greedy", "--workers", "0", "--out", tmp_path / "a")
    result, records = read_evaluation(tmp_path / "a")
    ended = [r for r in records if r.ending in ("done", "error")]
    assert {r.ending for r in ended} == {"done", "error"}
    assert all(r.status == ("error" if int(r.answer) % 2 else "ok") for r in ended)
    failed = sum(r.ending == "error" for r in ended)
    assert result.tasks["broken"].metrics["unscored"] == {"error": failed}
    assert f"{failed} of 6 completions were not judged" in " ".join(output.split())


def test_a_recipe_and_its_run_are_asked_as_the_run_asks_them(tmp_path):
    recipe = TINY_RECIPE.replace("verifiers:\n  - {name: math, weight: 1.0}\n", f"environment: {COUNTING}\n")
    recipe = recipe.replace("max_tokens: 12", f"max_tokens: 12, stop: {STOPS}")
    run = tmp_path / "runs" / "mine"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text(recipe)
    opened = open_task(str(run), limit=4)
    assert (opened.name, len(opened.problems)) == ("mine", 4)
    spec = opened.spec
    assert (spec.verifier, spec.max_tokens, spec.stop) == (None, 12, tuple(string.ascii_letters))
    assert (spec.environment.turns, spec.environment.max_inserted) == (3, 128)
    tools = open_task("environments/calculator", limit=4).spec
    assert (tools.verifier.name, tools.environment.tools) == ("math", ("calculator",))


def test_a_dry_run_shows_what_the_policy_is_told_of_its_tools(model, tmp_path):
    task = tmp_path / "sums.yaml"
    tools = "{tools: [calculator], max_inserted: 64, turns: 3}"
    task.write_text(TASK.replace(COUNTING, tools).replace(STOPS, "[]") + "verifier: {name: math}\n")
    output = invoke("eval", model, "--tasks", task, "--dry-run", "--out", tmp_path / "a")
    said = " ".join(output.split())
    assert "at most 40 tokens, in at most 3 turns with calculator, judged by math" in said
    assert said.count("<|user|>calculator<|user|>") == 2
    assert not (tmp_path / "a").exists()


BAD = {
    "nobody judges": (COUNTING, "{tools: [calculator]}", "verifier: name who judges"),
    "no such environment": (COUNTING, "{name: nobody}", "task bad: environment: there is no environment or tool named"),
    "no room": ("max_inserted: 128", "max_inserted: 1000", "environment.max_inserted of the task may be"),
    "a stop that no text holds": (STOPS, "['<|user|>']", "stop (rollout.stop of a recipe): '<|user|>' holds a special token"),
    "a stop that cuts calls off": (
        COUNTING, "{tools: [calculator], max_inserted: 64}\nverifier: {name: math}",
        "task bad: stop (rollout.stop of a recipe): 'a' is a part of how tools are called",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_played_is_refused_and_leaves_nothing(case, model, tmp_path):
    old, new, said = BAD[case]
    task = tmp_path / "bad.yaml"
    task.write_text(TASK.replace(old, new))
    invoke("eval", model, "--tasks", task, *SMALL, "--out", tmp_path / "a", fails=said)
    assert not (tmp_path / "a").exists()
