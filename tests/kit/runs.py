"""Whole runs in this process, from a tiny recipe."""

import io
from contextlib import contextmanager, nullcontext
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from rich.console import Console

from grpo_kit.config.read import apply_override, validate
from grpo_kit.config.source import parse_yaml
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.runtime.interrupt import Interrupted, StopRequest
from grpo_kit.train.checkpoint import latest_checkpoint
from grpo_kit.train.loop import OnlineTrainer
from grpo_kit.train.preflight import preflight
from tests.kit.tiny import TINY_RECIPE, teacher_folder

# Half of what a random model says is right, so that rewards differ.
ODD = f"verifiers.0.name={Path(__file__).with_name('odd.py')}:odd"


def recipe(algorithm, *overrides):
    source = parse_yaml(TINY_RECIPE, "tiny.yaml")
    row = resolve_objective(algorithm, {})
    defaults = [f"algorithm={algorithm}", "optimizer.schedule=linear"]
    if row.data == "recorded":
        defaults.append("examples.demonstrations=true")
    if row.needs_teacher:
        defaults.append(f"reference.path={teacher_folder()}")
    if row.mask_truncated:
        defaults.append("objective.mask_truncated=false")  # an untrained model never ends its response
    for override in (*defaults, *overrides):
        apply_override(source, override)
    return validate(source)


@contextmanager
def undrawn():
    """Runs without their page and their curve, which cost as much as all the rest of a tiny run."""
    with patch("grpo_kit.train.recorder.write_report"), patch("grpo_kit.train.recorder.draw_learning_curve"):
        yield


def run(config, folder, resume=False, stop_after=None, drawn=False):
    """Train, undrawn unless it is asked for; ``stop_after`` a step somebody asks for a stop."""
    with nullcontext() if drawn else undrawn():
        return _run(config, folder, resume, stop_after)


def _run(config, folder, resume, stop_after):
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


def same_when_resumed(config, folder, stop_after=1):
    """Train without a break into ``straight``, and stopped after a step and resumed into ``cut``: the same weights, bit for bit.

    Returns the trainer of the first.
    """
    trainer = run(config, folder / "straight")
    run(config, folder / "cut", stop_after=stop_after)
    run(config, folder / "cut", resume=True)
    straight, cut = weights(folder / "straight"), weights(folder / "cut")
    assert straight.keys() == cut.keys()
    assert all(torch.equal(straight[name], cut[name]) for name in straight)
    return trainer
