"""Every row of the table goes through the whole loop: two steps, a checkpoint, and an exact resume."""

import io
import json
from pathlib import Path

import pytest
import torch
from rich.console import Console

from grpo_kit.config.read import apply_override, validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.policy.models import load_policy
from grpo_kit.runtime.interrupt import Interrupted, StopRequest
from grpo_kit.train.checkpoint import latest_checkpoint
from grpo_kit.train.loop import OnlineTrainer
from grpo_kit.train.preflight import preflight
from tests.conftest import TINY_RECIPE

# Half of what a random model says is right, so that rewards differ.
ODD = f"verifiers.0.name={Path(__file__).with_name('odd.py')}:odd"


def recipe(algorithm, *overrides):
    source = parse_yaml(TINY_RECIPE, "tiny.yaml")
    row = resolve_objective(algorithm, {})
    defaults = [f"algorithm={algorithm}", "optimizer.schedule=linear"]
    if row.data == "recorded":
        defaults.append("examples.demonstrations=true")
    if row.mask_truncated:
        defaults.append("objective.mask_truncated=false")  # an untrained model never ends its response
    for override in (*defaults, *overrides):
        apply_override(source, override)
    return validate(source)


def run(config, folder, resume=False, stop_after=None):
    """Train; ``stop_after`` a step somebody asks for a stop."""
    directory = RunDirectory.open(folder) if resume else RunDirectory.create(folder, config)
    if not resume:
        preflight(config, None)
    stop = StopRequest()
    if stop_after is not None:
        written = directory.log_metrics

        def write_and_stop(metrics):
            written(metrics)
            stop.requested = stop.requested or metrics["step"] == stop_after

        directory.log_metrics = write_and_stop
    trainer = OnlineTrainer(config, directory, RunConsole(Console(file=io.StringIO())), stop)
    try:
        checkpoint = latest_checkpoint(directory.checkpoints, pytest.fail) if resume else None
        trainer.train(checkpoint, [] if resume else None)
    except Interrupted:
        assert stop_after == trainer.progress.step
    finally:
        trainer.close()
    return trainer


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


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
    run(config, tmp_path / "straight")
    run(config, tmp_path / "cut", stop_after=1)
    run(config, tmp_path / "cut", resume=True)
    straight, cut = weights(tmp_path / "straight"), weights(tmp_path / "cut")
    assert straight.keys() == cut.keys()
    assert all(torch.equal(straight[name], cut[name]) for name in straight)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == [1, 2]
    start = load_policy(config.model, torch.device("cpu"), config.seed).model.state_dict()
    if ALGORITHMS[algorithm].family != "reward_model":
        assert any(not torch.equal(straight[name], start[name]) for name in straight)
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
