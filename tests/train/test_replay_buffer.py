"""Runs that learn again from what they recorded: exact on resume, exact in the replay of a step, and counted once."""

import json

import pytest

from grpo_kit.data.records import read_step
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_path
from grpo_kit.train.replay import replay_step
from tests.kit.runs import ODD, recipe, run, same_when_resumed

SETTINGS = (
    ODD,
    "scoring.max_rejected_gold=1.0",
    "train.steps=4",
    "train.save_every=1",
    "train.keep_last=9",
    "rollout.max_tokens=8",
)
BUFFER = "replay={steps: 2, share: 0.5, priority_exponent: 0.6, weight_exponent: 0.5}"


def metrics(folder):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    timed = ("seconds/", "tokens_per_second", "utilisation")
    return [{k: v for k, v in row.items() if not k.startswith(timed) and "latency" not in k} for row in rows]


@pytest.mark.parametrize(
    ("algorithm", "more"),
    [
        ("grpo", ["train.updates_per_batch=2", "train.epochs_per_batch=2"]),
        ("grpo", ["objective.correction=truncated"]),
        ("reinforce", []),
        ("ppo", []),
        ("dapo", ["rollout.max_refills=1"]),
    ],
)
def test_a_resumed_run_is_the_one_that_was_not_stopped(algorithm, more, tmp_path):
    config = recipe(algorithm, *SETTINGS, BUFFER, *more)
    same_when_resumed(config, tmp_path, stop_after=2)
    assert metrics(tmp_path / "straight") == metrics(tmp_path / "cut")
    for row in metrics(tmp_path / "straight"):
        recorded = read_step(rollout_path(tmp_path / "straight", row["step"]))
        assert len(recorded) == 4  # what was sampled, and nothing twice on the disk
        assert row["tokens"] == sum(len(c.token_ids) for g in recorded for c in g.completions)
        assert row["replay/groups"] == (0 if row["step"] == 1 else 4)
        assert row.get("replay/age_max", 0) == min(row["step"] - 1, 2)
        assert row["reward/mean"] == pytest.approx(sum(s.value for g in recorded for s in g.scores) / 16)
    for step in (1, 3, 4):
        found = replay_step(tmp_path / "straight", step)
        assert found.problem is None
        assert [n for n in found.numbers if n.recorded != n.again] == []


def test_what_is_learned_again_is_learned_off_policy(tmp_path):
    """The ratio of a replayed token is to who sampled it: it is not 1 before the first update of a step."""
    fast = ("optimizer.learning_rate=0.01", "objective.beta=0")
    run(recipe("grpo", *SETTINGS, *fast, "replay={steps: 2}"), tmp_path / "again")
    run(recipe("grpo", *SETTINGS, *fast), tmp_path / "once")
    again, once = metrics(tmp_path / "again"), metrics(tmp_path / "once")
    assert again[0]["loss"] == pytest.approx(once[0]["loss"], abs=1e-6)
    assert max(row["ratio/max"] for row in once) < 1.001 < min(row["ratio/max"] for row in again[1:])
    assert max(row["mismatch/kl"] for row in once) < 1e-6 < min(row["mismatch/kl"] for row in again[1:])


def test_a_row_that_cannot_replay_is_refused_before_the_run(tmp_path):
    with pytest.raises(UserError, match="replay with family pairs: its loss knows no ratio"):
        run(recipe("online_dpo", *SETTINGS, BUFFER), tmp_path / "run")
