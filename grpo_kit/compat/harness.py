"""``grpo-kit eval CKPT --tasks lm_eval:NAME,inspect:FILE.py@TASK``: tasks of other harnesses, run by them on a checkpoint.

What is asked, how it is judged and how errors are made is theirs; the model that answers is ours. Their numbers come into one
table and one file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from rich.console import Console

from grpo_kit.errors import UserError
from grpo_kit.evaluate.checkpoints import Settings, find_model
from grpo_kit.evaluate.commands import check_output, default_output, folder_name, labels_of
from grpo_kit.evaluate.protocol import model_fingerprint, versions
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import line
from grpo_kit.runtime.packages import versions_of
from grpo_kit.runtime.scratch_file import write_whole

from .foreign import HARNESSES, ForeignTask, require
from .measured import Measured

FILE = "harness.json"


def evaluate_foreign(
    checkpoints: Sequence[str],
    tasks: Sequence[ForeignTask],
    settings: Settings,
    *,
    limit: int | None,
    max_tokens: int | None,
    out: Path | None,
    console: Console,
) -> dict[str, list[Measured]]:
    """Run each task on each checkpoint, and write what was found.

    Returns:
        The numbers of each checkpoint, by its label.

    Raises:
        UserError: a harness, a task, a checkpoint or the engine cannot be used; what is known beforehand is said first.
    """
    for harness in dict.fromkeys(task.harness for task in tasks):
        require(harness)
    folder = out or default_output(checkpoints)
    check_output(folder)
    for path in checkpoints:
        find_model(path)
    if len(checkpoints) > 1 and settings.engine == "vllm":
        raise UserError("--engine vllm is started once in a process: evaluate one checkpoint at a time")
    found = {}
    for label, path in zip(labels_of(checkpoints), checkpoints, strict=True):
        place = folder if len(checkpoints) == 1 else folder / folder_name(label)
        place.mkdir(parents=True, exist_ok=True)
        found[label] = _evaluate_one(label, path, tasks, settings, place, limit, max_tokens)
    _show(console, found)
    line(console, f"written: {folder}")
    return found


def _evaluate_one(
    label: str,
    path: str,
    tasks: Sequence[ForeignTask],
    settings: Settings,
    folder: Path,
    limit: int | None,
    max_tokens: int | None,
) -> list[Measured]:
    from .asked import AskedModel

    rows: list[Measured] = []
    with AskedModel(path, settings, folder) as asked:
        for task in tasks:
            run: Any = import_module(HARNESSES[task.harness].room)
            rows += run.run_task(asked, task.name, task.variant, folder, limit, max_tokens)
        model = {"label": label, "path": asked.path}
        if Path(asked.path).is_dir():
            model["fingerprint"] = model_fingerprint(Path(asked.path))
        used = [HARNESSES[task.harness].distribution for task in tasks]
        content = {
            "model": model,
            "run": {
                "engine": settings.engine, "device": str(asked.policy.device), "seed": settings.seed, "limit": limit,
                "max_tokens": max_tokens, "versions": versions() | versions_of(used),
            },
            "tasks": [asdict(row) for row in rows],
        }  # fmt: skip
    write_whole(folder / FILE, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return rows


def _show(console: Console, found: dict[str, list[Measured]]) -> None:
    cells = [
        (
            label, row.task, row.metric, f"{row.value:.4f}", "-" if row.error is None else f"{row.error:.4f}",
            "-" if row.problems is None else str(row.problems),
        )
        for label, rows in found.items() for row in rows
    ]  # fmt: skip
    names = ("model", "task", "metric", "value", "s.e.", "problems")
    columns = [Column(name, right=name in ("value", "s.e.", "problems")) for name in names]
    show_table(console, columns, cells, title="Numbers and standard errors are the harness' own")
