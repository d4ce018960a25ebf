"""Run folders are never silently reused; what they hold can be read back and run again."""

import gzip
import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.data.records import read_step
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_lines
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.types import Completion, Group, Prompt, Score, Task
from tests.kit.episodes import episode_groups


@pytest.fixture
def run(tmp_path, tiny_recipe):
    return RunDirectory.create(tmp_path / "run", load_recipe(tiny_recipe))


def test_the_resolved_config_can_be_run_again(run, tiny_recipe):
    assert load_recipe(run.path / "config.yaml") == load_recipe(tiny_recipe)
    environment = json.loads((run.path / "environment.json").read_text())
    assert {"argv", "versions", "python", "started"} <= set(environment)


def test_an_existing_run_is_refused(run, tiny_recipe):
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match="never reused"):
        RunDirectory.create(run.path, load_recipe(tiny_recipe))
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before


def test_metrics_after_a_checkpoint_are_dropped_on_resume(run):
    for step in (1, 2, 3):
        run.log_metrics({"step": step, "loss": 0.5})
    run.drop_after(2)
    assert [m["step"] for m in run.read_metrics()] == [1, 2]


def test_rollouts_hold_what_is_needed_to_replay(run):
    task = Task("t", ({"role": "user", "content": "1+1="},), "2")
    completion = Completion("t", 0, [5, 6], [-0.1, -0.2], "\\boxed{2}", "stop", 7)
    parts = {"math": Score(1.0, extracted="2", reason="equal"), "format": Score.abstain("no opinion")}
    run.log_rollouts(4, [Group(task, Prompt("t", (1, 2)), [completion], [Score(1.0)], [parts])], [[0.5]])
    with gzip.open(run.rollouts / "step-000004.jsonl.gz", "rt") as file:
        (row,) = map(json.loads, file)
    assert Counter(row) == Counter(row | {"prompt_ids": [1, 2], "token_ids": [5, 6], "logprobs": [-0.1, -0.2]})
    assert (row["reward"], row["advantage"], row["policy_version"]) == (1.0, 0.5, 7)
    assert row["scores"]["math"] == {"value": 1.0, "status": "ok", "extracted": "2", "reason": "equal"}
    assert row["scores"]["format"]["status"] == "abstain"


def test_the_factors_of_a_rewards_parts_come_back(run):
    """What is made of parts (GDPO) is made of the same ones when a run is replayed."""
    task = Task("t", ({"role": "user", "content": "1+1="},), "2")
    completion = Completion("t", 0, [5, 6], [-0.1, -0.2], "2", "stop", 7)
    parts = {"math": Score(1.0), "overlong": Score(-0.5)}
    group = Group(
        task, Prompt("t", (1, 2)), [completion], [Score(0.5)], [parts], weights={"math": 1.0, "overlong": 1.0}
    )
    run.log_rollouts(4, [group], [[0.5]])
    (found,) = read_step(run.rollouts / "step-000004.jsonl.gz")
    assert found.weights == group.weights
    group.weights = {"math": 0.5}  # of one part as well: replayed, it stands beside groups whose weights are known
    run.log_rollouts(5, [group], [[0.5]])
    assert read_step(run.rollouts / "step-000005.jsonl.gz")[0].weights == {"math": 0.5}


def test_of_an_episode_the_conversation_is_held_as_well(run):
    (group,) = episode_groups((1,))
    (episode,) = group.completions
    run.log_rollouts(1, [group], [[0.5]])
    (row,) = rollout_lines(run.rollouts / "step-000001.jsonl.gz")
    assert row["messages"] == [{"role": "user", "content": "question 0"}]
    assert row["inserted"] == [[index, ids] for index, ids in episode.inserted]
    assert row["turns"][0]["replies"] == [{"role": "tool", "content": "reply 0"}]
    assert (row["ending"], row["outcome"]["value"], row["outcome_weight"]) == ("done", 0.0, 0.5)
    assert row["prompt"] == "question 0"


READS = {"create", "create_anew", "open", "forked_at", "read_metrics"}
WRITES = {
    "discard": (),
    "write_json": ("launch.json", {}),
    "write_config": (None,),
    "note_resume": (1, []),
    "log_metrics": ({"step": 2, "loss": 0.5},),
    "drop_after": (0,),
    "drop_scratch": (),
    "log_rollouts": (2, [], []),
    "dump": (2, [], "nothing to learn from"),
}


def test_of_several_ranks_one_alone_writes(run):
    """Whoever adds a method says here whether it writes, and what writes does nothing for those who follow."""
    methods = {name for name, found in vars(RunDirectory).items() if not name.startswith("_") and callable(found)}
    methods |= {name for name, found in vars(RunDirectory).items() if isinstance(found, classmethod)}
    assert methods == READS | set(WRITES)
    run.log_metrics({"step": 1, "loss": 0.5})
    run.log_rollouts(1, [], [])
    (run.path / "half.tmp").write_text("of a rank that writes")
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    follower = RunDirectory(run.path, writes=False)
    for name, arguments in WRITES.items():
        assert getattr(follower, name)(*arguments) in (None, True, run.dumps)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    assert follower.read_metrics() == run.read_metrics()
    assert follower.unwritten == []


def test_opening_something_else(tmp_path):
    with pytest.raises(UserError, match="is not a run directory"):
        RunDirectory.open(tmp_path)


@pytest.mark.parametrize("left", [(), ("environment.json",), ("environment.json", "config.yaml.tmp")])
def test_a_run_can_be_made_where_its_making_was_killed(left, tiny_recipe, tmp_path):
    folder = tmp_path / "run"
    for name in ("rollouts", "checkpoints"):
        (folder / name).mkdir(parents=True)
    for name in left:
        (folder / name).write_text("hal")
    RunDirectory.create(folder, load_recipe(str(tiny_recipe)))
    assert json.loads((folder / "environment.json").read_text())
    assert sorted(p.name for p in folder.iterdir()) == ["checkpoints", "config.yaml", "environment.json", "rollouts"]


@pytest.mark.parametrize("there", ["config.yaml", "notes.txt", "rollouts/step-000001.jsonl.gz"])
def test_nothing_of_somebody_else_is_taken_for_a_run_that_was_never_made(there, tiny_recipe, tmp_path):
    (tmp_path / "run" / "rollouts").mkdir(parents=True)
    (tmp_path / "run" / there).write_text("mine")
    with pytest.raises(UserError, match="exists and is not empty"):
        RunDirectory.create(tmp_path / "run", load_recipe(str(tiny_recipe)))
    assert (tmp_path / "run" / there).read_text() == "mine"


def test_of_many_that_begin_in_one_place_one_makes_the_run(tiny_recipe, tmp_path):
    """Looking whether a place is free and taking it are one act."""
    config, path = load_recipe(tiny_recipe), tmp_path / "run"
    ready = threading.Barrier(8)

    def begin(seed):
        ready.wait()
        try:
            return RunDirectory.create(path, config.model_copy(update={"seed": seed}))
        except UserError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(begin, range(8)))
    (seed,) = [i for i, run in enumerate(made) if isinstance(run, RunDirectory)]
    assert load_recipe(path / "config.yaml").seed == seed
    assert all("never reused" in refusal for refusal in made if isinstance(refusal, str))
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []  # nobody's half-made folder


def test_default_names_do_not_collide(tiny_recipe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("grpo_kit.observe.run_directory.time.strftime", lambda *_: "20260101-000000")
    config = load_recipe(tiny_recipe)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunDirectory.create_anew("sweep.yaml", config).path, range(8)))
    assert len(set(made)) == 8
    assert all((path / "config.yaml").is_file() for path in made)


def test_a_run_in_which_nothing_happened_can_be_discarded(run):
    run.discard()
    assert not run.path.exists()


@pytest.mark.parametrize(
    "there", ["metrics.jsonl", "rollouts/step-000001.jsonl.gz", "checkpoints/step-000001", "warm_start"]
)
def test_a_run_with_any_work_in_it_is_never_discarded(run, there):
    (run.path / there).write_text("work")
    run.discard()
    assert (run.path / there).read_text() == "work"
