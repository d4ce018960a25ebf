"""Every row of the table goes through the whole loop: two steps, a checkpoint, and an exact resume."""

import json

import pytest
import torch
from rich.console import Console

from grpo_kit.interrupt import Interrupted
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.recipe_file import apply_override, parse_yaml, validate
from grpo_kit.train.online import OnlineTrainer
from grpo_kit.train.preflight import preflight
from tests.conftest import TINY_RECIPE


def recipe(algorithm, *overrides):
    source = parse_yaml(TINY_RECIPE, "tiny.yaml")
    row = ALGORITHMS[algorithm]
    defaults = [f"algorithm={algorithm}", "optimizer.schedule=linear"]
    if row.data == "recorded":
        defaults.append("examples.demonstrations=true")
    for override in (*defaults, *overrides):
        apply_override(source, override)
    return validate(source)


def run(config, folder, resume=False, stop_after=None, monkeypatch=None):
    directory = RunDirectory.open(folder) if resume else RunDirectory.create(folder, config)
    if not resume:
        preflight(config, None)
    trainer = OnlineTrainer(config, directory, RunConsole(Console(file=open("/dev/null", "w"))))  # noqa: SIM115
    if stop_after is not None:
        saved = trainer._save

        def save_and_stop(learner):
            saved(learner)
            raise Interrupted(trainer.step)

        trainer._save = save_and_stop
    try:
        trainer.train(resume)
    except Interrupted:
        assert stop_after == trainer.step
    finally:
        trainer.close()
    return trainer


def weights(folder):
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_two_steps_and_an_exact_resume(algorithm, tmp_path):
    config = recipe(algorithm, "train.steps=2", "train.save_every=1", "rollout.max_tokens=8")
    run(config, tmp_path / "straight")
    run(config, tmp_path / "cut", stop_after=1)
    run(config, tmp_path / "cut", resume=True)
    straight, cut = weights(tmp_path / "straight"), weights(tmp_path / "cut")
    assert straight.keys() == cut.keys()
    assert all(torch.equal(straight[name], cut[name]) for name in straight)
    lines = [json.loads(line) for line in (tmp_path / "straight" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == [1, 2]
    assert all(abs(m.get("loss", 0.0)) < 1e3 for m in lines)
