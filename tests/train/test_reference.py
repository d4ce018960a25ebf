"""A reference that becomes the policy of then every N steps: what it is after it, in checkpoints, resumes and replays."""

import json

import pytest
import torch

from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.train.checkpoint import bytes_needed, checkpoints, load_state
from grpo_kit.train.learners import open_learner
from grpo_kit.train.replay import replay_step
from tests.kit.episodes import episode_groups
from tests.kit.runs import ODD, recipe, run, weights
from tests.kit.tiny import make_policy

SETTINGS = ("scoring.max_rejected_gold=1.0", "rollout.max_tokens=8", "objective.beta=0.1", "train.steps=5")
KINDS = {
    "full": ("reference.refresh=2",),
    "adapters": ("reference.refresh=2", "model.lora={rank: 4}"),
    "moments_too": ("reference={refresh: 2, reset_optimizer: true}",),
}


def lines_of(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(
    ("algorithm", "kind"), [*(("grpo", kind) for kind in KINDS), ("online_dpo", "full"), ("online_dpo", "adapters")]
)
def test_it_is_the_policy_of_then_and_resumes_exactly(algorithm, kind, tmp_path):
    """Stopped after every step in turn: with the refresh behind it, and before it."""
    config = recipe(algorithm, ODD, *SETTINGS, *KINDS[kind], "train.save_every=1", "train.keep_last=9")
    run(config, tmp_path / "straight")
    lines = lines_of(tmp_path / "straight")
    assert [line["reference/age"] for line in lines] == [0, 1, 0, 1, 0]
    if algorithm == "grpo":  # at a batch's only update the policy is what the reference was made of
        assert [line["kl/reference"] < 1e-9 for line in lines] == [True, False, True, False, True]
    run(config, tmp_path / "cut", stop_after=1)
    for step in (2, 3, 4):
        run(config, tmp_path / "cut", resume=True, stop_after=step)
    run(config, tmp_path / "cut", resume=True)
    straight, cut = weights(tmp_path / "straight"), weights(tmp_path / "cut")
    assert all(torch.equal(straight[name], cut[name]) for name in straight)
    for step in range(1, 6):
        for number in replay_step(tmp_path / "straight", step).numbers:
            assert number.recorded == number.again, (step, number)


def test_without_refresh_the_reference_stays_where_the_run_began(tmp_path):
    run(recipe("grpo", ODD, *SETTINGS), tmp_path / "run")
    lines = lines_of(tmp_path / "run")
    assert all(line["kl/reference"] > 1e-9 for line in lines[1:])
    assert "reference" not in load_state(checkpoints(tmp_path / "run" / "checkpoints")[-1])["learner"]


def learner_of(*overrides):
    config = recipe("grpo", *SETTINGS, *overrides)
    return open_learner(config, resolve_objective("grpo", config.objective), make_policy())


@pytest.mark.parametrize("reset", [False, True])
def test_the_moments_are_forgotten_where_that_is_asked(reset):
    learner = learner_of(f"reference={{refresh: 2, reset_optimizer: {str(reset).lower()}}}")
    counts = []
    for _ in range(4):
        learner.learn(episode_groups())
        state = learner.state_dict()["step"]["optimizer"]["state"]
        counts.append(float(state[0]["step"]) if state else 0.0)
    assert counts == ([1.0, 0.0, 1.0, 0.0] if reset else [1.0, 2.0, 3.0, 4.0])


def test_a_checkpoint_has_room_for_the_reference_once_there_is_one():
    learner = learner_of("reference.refresh=2")
    sizes = []
    for _ in range(3):
        sizes.append(bytes_needed(learner.trained, learner.state_dict()))
        learner.learn(episode_groups())
    size = sum(p.numel() * p.element_size() for p in learner.trained.model.parameters())
    assert learner.state_dict()["reference"]["weights"].keys() == dict(learner.trained.model.named_parameters()).keys()
    assert bytes_needed(learner.trained, learner.state_dict()) - sizes[1] == size
