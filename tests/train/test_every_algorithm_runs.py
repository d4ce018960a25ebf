"""Every row of the table goes through the whole loop: two steps, a checkpoint, and an exact resume."""

import json

import pytest
import torch

from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.policy.models import load_policy
from tests.kit.runs import ODD, recipe, run, same_when_resumed, weights


@pytest.fixture(scope="module")
def record(tmp_path_factory):
    """Rollouts of another run, for those that learn from groups that were sampled."""
    folder = tmp_path_factory.mktemp("record") / "run"
    run(recipe("grpo", ODD, "scoring.max_rejected_gold=1.0", "rollout.max_tokens=8"), folder)
    return folder


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_steps_and_an_exact_resume(algorithm, record, tmp_path):
    mined = [f"examples={{rollouts: {record}}}"] if algorithm == "offline_pg" else []
    settings = ("scoring.max_rejected_gold=1.0", "train.steps=2", "train.save_every=1", "rollout.max_tokens=8")
    config = recipe(algorithm, ODD, *settings, *mined)
    same_when_resumed(config, tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == [1, 2]
    start = load_policy(config.model, torch.device("cpu"), config.seed).model.state_dict()
    if ALGORITHMS[algorithm].family != "reward_model":
        saved = weights(tmp_path / "straight")
        assert any(not torch.equal(saved[name], start[name]) for name in saved)
    assert all(abs(m.get("loss", 0.0)) < 1e3 for m in lines)


@pytest.mark.parametrize(
    ("algorithm", "overrides"),
    [
        ("kto", ["examples=null", "objective.data=sampled"]),
        ("grpo", ["objective.family=labels", "objective.beta=0.1"]),
        ("grpo", ["objective.data=recorded", "examples={{rollouts: {record}}}"]),
        ("online_dpo", ["objective.pair_loss=ipo"]),
    ],
)
def test_a_combination_that_has_no_row_trains_from_the_recipe_alone(algorithm, overrides, record, tmp_path):
    """Online KTO twice over, GRPO from a record, online IPO."""
    common = (ODD, "scoring.max_rejected_gold=1.0", "train.steps=2", "rollout.max_tokens=8")
    config = recipe(algorithm, *common, *[o.format(record=record) for o in overrides])
    run(config, tmp_path / "run")
    start = load_policy(config.model, torch.device("cpu"), config.seed).model.state_dict()
    assert any(not torch.equal(after, start[name]) for name, after in weights(tmp_path / "run").items())
