"""Law 5: replaying recorded rollouts reproduces the recorded loss."""

import gzip
import json
from pathlib import Path

import pytest

from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.train.assemble import prepare_policy
from grpo_kit.train.learners import open_learner
from grpo_kit.train.replay import replay_step
from tests.kit.episodes import episode_groups
from tests.kit.played import ENDS_TURNS
from tests.kit.runs import recipe, run


@pytest.fixture(scope="module")
def dense(zygote):
    """Runs of which every checkpoint is kept."""
    from grpo_kit.stress.subjects import SUBJECTS

    made = {}
    for name, write in SUBJECTS.items():
        recipe = write(zygote.folder)
        outcome = zygote.run("train", recipe, "--run-dir", f"dense-{name}", "train.save_every=1", "train.keep_last=9")
        assert outcome.code == 0, outcome.output
        made[name] = zygote.folder / f"dense-{name}"
    return made


@pytest.mark.parametrize("subject", ["procedural", "from_file"])
@pytest.mark.parametrize("step", [1, 2, 5, 8])
def test_the_recorded_loss_is_the_loss_of_the_record(dense, subject, step):
    found = replay_step(dense[subject], step)
    assert found.problem is None
    names = {n.name for n in found.numbers}
    assert {"loss", "grad_norm", "entropy", "ratio/max"} <= names
    for number in found.numbers:
        assert number.recorded == number.again, number


def test_a_run_in_an_environment_can_be_replayed(tmp_path):
    settings = (
        "verifiers=[]",
        "train.steps=2",
        "train.save_every=1",
        "rollout.max_tokens=24",
        "scoring.max_rejected_gold=1.0",
    )
    played = f"environment={{name: '{Path(__file__).parents[1]}/kit/played.py:Counting', max_inserted: 128}}"
    run(recipe("reinforce", *settings, played, ENDS_TURNS), tmp_path / "run")
    for step in (1, 2):
        found = replay_step(tmp_path / "run", step)
        assert found.problem is None
        for number in found.numbers:
            assert number.recorded == number.again, number


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("algorithm", ["grpo", "reinforce", "gspo", "ppo", "online_dpo"])
def test_episodes_have_the_recorded_loss_too(algorithm, fresh, tmp_path):
    config = recipe(algorithm, "scoring.max_rejected_gold=1.0", "critic.warmup=0")
    run, groups = RunDirectory.create(tmp_path / "run", config), episode_groups()
    for episode in (c for group in groups for c in group.completions):
        episode.fresh = fresh
    learner = open_learner(config, resolve_objective(algorithm, {}), prepare_policy(config))
    learner.trained.model.train()
    learned = learner.learn(groups)
    run.log_rollouts(1, groups, learned.advantages)
    run.log_metrics({"step": 1, **learned.metrics})
    found = replay_step(run.path, 1)
    assert {"loss", "grad_norm"} <= {n.name for n in found.numbers}
    for number in found.numbers:
        assert number.recorded == number.again, number


def test_a_changed_record_is_noticed(zygote, dense):
    path = dense["procedural"] / "rollouts" / "step-000004.jsonl.gz"
    kept = path.read_bytes()
    rows = [json.loads(line) for line in gzip.decompress(kept).decode().splitlines()]
    rows[0]["reward"] = 1.0 - rows[0]["reward"]
    path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    try:
        outcome = zygote.run("replay", dense["procedural"], "--step", 4)
    finally:
        path.write_bytes(kept)
    assert outcome.code == 1, outcome.output
    assert "the record and its replay differ by" in outcome.output
    assert zygote.run("replay", dense["procedural"], "--step", 4).code == 0


def test_without_the_weights_it_says_which_steps_can_be_replayed(straight):
    _, run, _ = straight["procedural"]
    with pytest.raises(UserError, match=r"no checkpoint .*Steps that can be replayed: 1, "):
        replay_step(run, 5)
    with pytest.raises(UserError, match="has no rollouts of that step; it has those of the steps 1 to 8"):
        replay_step(run, 9)
