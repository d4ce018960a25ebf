"""What can be done with a finished run: commands that work for what was trained, ready to be pasted."""

from __future__ import annotations

from pathlib import Path

from grpo_kit.config import Config
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.evaluate.tasks import shipped_tasks
from grpo_kit.objective.algorithms import resolve_objective

Command = tuple[str, list[str]]  # what it does, and its words
MASTERED = 0.5  # held-out accuracy from which on harder problems are the next thing to learn


def after_training(config: Config, path: Path, failed: bool = False, accuracy: float | None = None) -> list[Command]:
    """For a run that came to its end.

    Args:
        failed: the watch saw a failure, so what was learned is nothing to build on.
        accuracy: held-out accuracy at the end, 0 to 1; None where it was not measured.
    """
    recipe, model = str(path / "config.yaml"), str(path / "model")
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    answers = not objective.scores_responses  # a reward model has a score where others write
    found = [("the same run with another seed", ["grpo-kit", "train", recipe, f"seed={config.seed + 1}"])]
    mastered = accuracy is None or accuracy >= MASTERED
    steps = config.train.steps
    if not mastered and not failed and (path / "checkpoints" / f"step-{steps:06d}").is_dir():
        found.append(("go on, longer", to_fork(path, steps, f"train.steps={2 * steps}")))
    data = config.only_set
    task = None if data is None else data.task
    if data and task and answers and mastered and not failed and _has_level(task, data.level + 1):
        harder = [f"model.path={model}", "warm_start=null", f"data.level={data.level + 1}"]
        found.append(("go on, harder", ["grpo-kit", "train", recipe, *harder]))
    if any((path / "rollouts").glob("*")):
        found.append(("completions with their scores, here", ["grpo-kit", "rollouts", str(path)]))
    if config.warm_start and answers:
        both = [str(path / "warm_start"), model]
        # A run is asked what it held out, as it was asked; a shipped task is the same for every run.
        shipped = task if config.environment is None and task in shipped_tasks() else None
        options = ["--tasks", shipped or str(path), "-n", "8", "--out", f"evals/{path.name}"]
        found.append(("before and after", ["grpo-kit", "eval", *both, *options]))
    return found


def to_resume(path: Path) -> list[str]:
    return ["grpo-kit", "train", str(path / "config.yaml"), "--run-dir", str(path), "--resume"]


def to_fork(path: Path, step: int, *changes: str) -> list[str]:
    return ["grpo-kit", "train", str(path / "config.yaml"), *changes, "--fork", f"{path}@{step}"]


def _has_level(task: str, level: int) -> bool:
    try:
        ProceduralSource(task, level, 0, False).task(0)
    except (UserError, ValueError):
        return False
    return True
