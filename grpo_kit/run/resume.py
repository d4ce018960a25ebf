"""Going on with a run: which changes of its recipe are harmless, which step to go on from, and forks into new runs."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.config.marks import SAFE_ON_RESUME, marked
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.terminal import open_console, pasted, warn
from grpo_kit.run.next_commands import to_fork, to_resume
from grpo_kit.run.request import AtStep, Checked, Position, read_position
from grpo_kit.runtime.secrets import mask

UNSET = "not set"
ENDLESS_SCHEDULES = ("constant", "constant_with_warmup")


class Finished(UserError):
    """The run to go on with has taken all its steps."""


@dataclass(frozen=True)
class Change:
    """A key of the recipe that is not what it was."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.key}: {self.before!r} -> {self.after!r}"


def changes(before: Config, after: Config) -> list[Change]:
    """What differs between two recipes, key by key."""
    return list(_compare("", mask(before.model_dump(mode="json")), mask(after.model_dump(mode="json"))))


def _compare(prefix: str, before: Any, after: Any) -> list[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        found: list[Change] = []
        for key in [*before, *(k for k in after if k not in before)]:
            found += _compare(f"{prefix}.{key}" if prefix else key, before.get(key, UNSET), after.get(key, UNSET))
        return found
    if _entries(before) and _entries(after) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [change for index, pair in pairs for change in _compare(f"{prefix}.{index}", *pair)]
    return [] if before == after else [Change(prefix, before, after)]


def _entries(value: Any) -> bool:
    """Whether it is a list of sections."""
    return isinstance(value, list) and all(isinstance(entry, dict) for entry in value)


def unsafe(found: Sequence[Change], config: Config) -> list[Change]:
    """The changes after which the run would not be the one that was started."""
    fixed = {s for s in (config.optimizer.schedule, config.critic.optimizer.schedule) if s not in ENDLESS_SCHEDULES}
    # The number of steps shapes such a schedule: steps that were taken would have had another learning rate.
    safe = [key for key in marked(Config, SAFE_ON_RESUME) if not (key == "train.steps" and fixed)]
    return [c for c in found if not any(c.key == key or c.key.startswith(f"{key}.") for key in safe)]


def is_there(run_dir: Path | None) -> bool:
    """Whether there is a run to go on with, for ``--resume auto``. Raises UserError without a folder to look into."""
    if run_dir is None:
        raise UserError("--resume needs --run-dir: the run to continue")
    return (run_dir / "config.yaml").is_file()


def open_resumed(
    recipe: str | Mapping[str, Any], overrides: Sequence[str], run_dir: Path | None, position: Position
) -> Checked:
    """The run to go on with.

    Raises:
        UserError: there is no such run or checkpoint, or the recipe changed in a way that makes it another run.
        Finished: there is nothing left to do.
    """
    if run_dir is None:
        raise UserError("--resume needs --run-dir: the run to continue")
    run = RunDirectory.open(run_dir)
    before, config = load_recipe(run.path / "config.yaml", complete=False), load_recipe(recipe, overrides)
    if config.threads is None:  # a trial chose them; another number would round differently
        config = config.model_copy(update={"threads": before.threads})
    found = changes(before, config)
    refused = unsafe(found, before)
    checkpoint = _checkpoint(run, position, f"--resume {position}")
    if refused:
        listed = "\n".join(f"  {change}" for change in refused)
        raise UserError(
            f"--resume: the recipe differs from the one that {run_dir} was started with, in what is learned:\n{listed}\n"
            f"{_way_on(run, checkpoint, refused, fits=before.model == config.model and not _misfits(before, config))}"
        )
    _refuse_finished(run, checkpoint, config)
    return Checked(config, run, checkpoint, [str(change) for change in found])


def _way_on(run: RunDirectory, checkpoint: Path | None, refused: Sequence[Change], fits: bool) -> str:
    """What can be done instead of resuming with another recipe. fits: whether that could go on from the checkpoint at all."""
    from grpo_kit.train.checkpoint import step_of

    continued = "" if (run.path / "model").is_dir() else f"To continue that run:\n  {pasted(to_resume(run.path))}\n"
    if checkpoint is None:
        return continued.rstrip()
    if not fits:
        return f"{continued}A new run can begin with its weights alone: model.path={checkpoint / 'model'}"
    changed = [f"{change.key}={_written(change.after)}" for change in refused]
    forked = pasted(to_fork(run.path, step_of(checkpoint), *changed))
    return f"{continued}To go on with these changes in a new run:\n  {forked}"


def _written(value: Any) -> str:
    """A value as an override has it."""
    return value if isinstance(value, str) else json.dumps(value)


def _refuse_finished(run: RunDirectory, checkpoint: Path | None, config: Config) -> None:
    from grpo_kit.train.checkpoint import remove_leftovers, step_of

    steps = config.train.steps
    if checkpoint is None or step_of(checkpoint) < steps:
        return
    if step_of(checkpoint) > steps:
        raise UserError(
            f"--resume: {step_of(checkpoint)} steps are done, and train.steps is {steps}; give it a larger number"
        )
    if (run.path / "model").is_dir():
        remove_leftovers(run.checkpoints)  # nothing will be saved any more, which removes them otherwise
        run.drop_scratch()
        longer = Change("train.steps", steps, 2 * steps)
        if unsafe([longer], config):  # its schedule ended with it
            way = f"A new run goes on from its end: {pasted(to_fork(run.path, steps, f'train.steps={2 * steps}'))}"
        else:
            way = f"train.steps={2 * steps} would go on."
        raise Finished(f"--resume: this run is finished: {steps} of {steps} steps are done. {way}")


def _checkpoint(run: RunDirectory, position: Position, option: str) -> Path | None:
    from grpo_kit.train.checkpoint import checkpoint_at, latest_checkpoint

    if isinstance(position, AtStep):
        return checkpoint_at(run.checkpoints, position.step, option)
    return latest_checkpoint(run.checkpoints, _warn)


def _warn(text: str) -> None:
    warn(open_console(stderr=True), text)


@dataclass(frozen=True)
class Fork:
    """A checkpoint of another run to begin a new one from."""

    origin: RunDirectory
    checkpoint: Path
    step: int
    changes: list[Change]


def find_fork(text: str, config: Config) -> Fork:
    """Read ``RUN@STEP`` (or ``RUN`` for its newest checkpoint). Raises UserError if there is no such checkpoint."""
    from grpo_kit.train.checkpoint import step_of

    folder, _, step = text.rpartition("@") if "@" in text else (text, "", "latest")
    position = read_position(step)
    if position is None:
        raise UserError(f"--fork {text}: write RUN@STEP, the step being a number")
    origin = RunDirectory.open(Path(folder))
    checkpoint = _checkpoint(origin, position, f"--fork {text}")
    if checkpoint is None:
        raise UserError(f"--fork {text}: {folder} has no checkpoint yet")
    before = load_recipe(origin.path / "config.yaml", complete=False)
    if before.model != config.model:
        raise UserError(f"--fork {text}: the model section must be that of {folder}; its weights would not fit another")
    if found := _misfits(before, config):
        raise UserError(
            f"--fork {text}: the checkpoint's optimizer and networks would not fit: {', '.join(map(str, found))}. Keep what it "
            f"was, or begin a run with its weights alone: model.path={checkpoint / 'model'}"
        )
    at = step_of(checkpoint)
    if at >= config.train.steps:
        raise UserError(f"--fork {text}: {at} steps are done there; give train.steps a larger number than that")
    return Fork(origin, checkpoint, at, changes(before, config))


def _misfits(before: Config, after: Config) -> list[Change]:
    """What a learner would look for in a checkpoint and not find; what it would find too much is passed over."""
    from grpo_kit.objective.algorithms import resolve_objective

    same = (before.algorithm, before.objective) == (after.algorithm, after.objective)  # a row's file may be gone by now
    now = resolve_objective(after.algorithm, after.objective, after.sampled_by)
    then = now if same else resolve_objective(before.algorithm, before.objective, before.sampled_by)
    preferences = ("pairs", "labels")  # one learner's state is the other's
    if then.family != now.family and not (then.family in preferences and now.family in preferences):
        return [Change("objective.family", then.family, now.family)]
    asked = [
        ("a critic", then.needs_critic, now.needs_critic),
        ("action_values twins", then.learns_twins, now.learns_twins),
        ("a target network", then.keeps_target and then.learns_twins == now.learns_twins, now.keeps_target),
        ("objective.step gradient", not then.natural_gradient, not now.natural_gradient),
    ]
    found = [Change(what, was, is_now) for what, was, is_now in asked if is_now and not was]
    for where, used, was, is_now in (
        ("optimizer", not now.natural_gradient, before.optimizer, after.optimizer),
        ("critic.optimizer", now.needs_critic or now.learns_twins, before.critic.optimizer, after.critic.optimizer),
    ):
        if used and was.moments != is_now.moments:
            found.append(Change(f"{where}.moments", was.moments, is_now.moments))
    return found


def create_fork(fork: Fork, path: Path, config: Config) -> tuple[RunDirectory, Path]:
    """Make a run folder that goes on from a fork, and needs the old one no more. Returns it and its first checkpoint."""
    from grpo_kit.train.checkpoint import copy_checkpoint

    run = RunDirectory.create(path, config)
    warm = fork.origin.path / "warm_start"
    if warm.is_dir():
        shutil.copytree(warm, run.path / "warm_start")
    run.write_json(
        "fork.json",
        {
            "from": str(fork.origin.path.resolve()),
            "step": fork.step,
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "changes": [str(change) for change in fork.changes],
        },
    )
    return run, copy_checkpoint(fork.checkpoint, run.checkpoints)
