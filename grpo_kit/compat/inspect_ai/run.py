"""A task of inspect_ai, run by its own harness on a checkpoint."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from inspect_ai import eval as run_inspect
from inspect_ai.log import EvalLog
from inspect_ai.model import GenerateConfig, Model

from grpo_kit.compat.asked import AskedModel
from grpo_kit.compat.measured import Measured
from grpo_kit.errors import RunFailed, UserError

from .provider import CheckpointAPI

ERRORS = ("stderr", "bootstrap_stderr")


def run_task(
    asked: AskedModel, name: str, variant: str, folder: Path, limit: int | None, max_tokens: int | None
) -> list[Measured]:
    """Run a task.

    Args:
        name: a file (.py) of tasks, or a registered name (``inspect_evals/gsm8k``).
        variant: which task of the file; empty: all of them.
        folder: inspect_ai's log is written below it, for ``inspect view``.

    Raises:
        UserError: there is no such task.
        RunFailed: the harness ended with an error, which its log has.
    """
    if name.endswith(".py") and not Path(name).is_file():
        raise UserError(f"--tasks inspect:{name}: no such file (looked in {Path.cwd()})")
    api: Any = CheckpointAPI(Path(asked.path).name)
    api.asked = asked
    settings: dict[str, Any] = {} if max_tokens is None else {"max_tokens": max_tokens}
    logs = run_inspect(
        f"{name}@{variant}" if variant else name, model=Model(api, GenerateConfig()), limit=limit, display="none",
        log_dir=str(folder / "inspect"), **settings,
    )  # fmt: skip
    if not logs:
        raise UserError(f"--tasks inspect:{name}: it holds no task{f' {variant!r}' if variant else ''}")
    return [row for log in logs for row in measured(log)]


def measured(log: EvalLog) -> list[Measured]:
    """The numbers of a log, each with the error that its scorer gives. Raises RunFailed for one that did not come to its end."""
    if log.status != "success" or log.results is None:
        reason = log.error.message if log.error else log.status
        raise RunFailed(f"inspect:{log.eval.task} ended with an error: {reason:.400} (its log: {log.location})")
    rows = []
    for score in log.results.scores:
        error = next((score.metrics[name].value for name in ERRORS if name in score.metrics), None)
        for name, metric in score.metrics.items():
            if name not in ERRORS:
                label = name if score.name == score.scorer else f"{name} ({score.name})"
                of_mean = error if name in ("accuracy", "mean") else None
                rows.append(
                    Measured(f"inspect:{log.eval.task}", label, float(metric.value), of_mean, score.scored_samples)
                )
    return rows
