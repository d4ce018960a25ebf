"""A task of lm-eval, run by its own harness on a checkpoint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lm_eval.evaluator import simple_evaluate
from lm_eval.tasks import TaskManager

from grpo_kit.compat.asked import AskedModel
from grpo_kit.compat.measured import Measured
from grpo_kit.errors import UserError
from grpo_kit.runtime.scratch_file import write_whole
from grpo_kit.runtime.suggest import did_you_mean

from .model import CheckpointLM

NO_METRICS = ("alias", "name", "sample_len", "sample_count")


def run_task(
    asked: AskedModel, name: str, variant: str, folder: Path, limit: int | None, max_tokens: int | None
) -> list[Measured]:
    """Run a task, or a group of them.

    Args:
        name: what lm-eval calls it, or the path of a task file (.yaml).
        variant: ``chat``: prompts stand in the model's chat template; empty: they do not.
        folder: lm-eval's whole result is written to it.

    Raises:
        UserError: there is no such task, or it asks for what no engine here does.
    """
    if variant not in ("", "chat"):
        raise UserError(f"--tasks lm_eval:{name}@{variant}: behind @ stands chat, or nothing")
    file = Path(name)
    if file.suffix in (".yaml", ".yml"):
        if not file.is_file():
            raise UserError(f"--tasks lm_eval:{name}: no such file (looked in {Path.cwd()})")
        manager = TaskManager(include_path=str(file.resolve().parent), include_defaults=False)
        name = _task_of(file)
    else:
        manager = TaskManager()
    if name not in manager.all_tasks:
        raise UserError(f"--tasks: lm_eval has no task {name!r}.{did_you_mean(name, manager.all_tasks)}")
    lengths: dict[str, Any] = {} if max_tokens is None else {"gen_kwargs": {"max_gen_toks": max_tokens}}
    found = simple_evaluate(
        CheckpointLM(asked, max_tokens), tasks=[name], limit=limit, apply_chat_template=variant == "chat", task_manager=manager,
        **lengths,
    )  # fmt: skip
    assert found is not None  # None on other ranks than the first
    result: dict[str, Any] = dict(found)
    text = json.dumps(result, indent=1, ensure_ascii=False, default=str)
    write_whole(folder / f"lm_eval-{name.replace('/', '_')}.json", text + "\n")
    return measured(result)


def measured(result: dict[str, Any]) -> list[Measured]:
    """The numbers of a result of lm-eval's, with the errors that it gives them."""
    rows = []
    for task, metrics in {**result["results"], **(result.get("groups") or {})}.items():
        counts = result.get("n-samples", {}).get(task, {})
        for key, value in metrics.items():
            metric, _, how = key.partition(",")
            if metric in NO_METRICS or metric.endswith("_stderr") or not isinstance(value, (int, float)):
                continue
            error = metrics.get(f"{metric}_stderr,{how}")
            rows.append(
                Measured(
                    f"lm_eval:{task}",
                    metric if how in ("", "none") else f"{metric} ({how})",
                    float(value),
                    float(error) if isinstance(error, (int, float)) else None,
                    counts.get("effective"),
                )
            )
    return rows


def _task_of(file: Path) -> str:
    """The name that a task file gives itself; its other keys may hold tags that only lm-eval knows."""
    for text in file.read_text(encoding="utf-8").splitlines():
        key, colon, value = text.partition(":")
        if colon and key in ("task", "group") and value.strip():
            return value.strip().strip("'\"")
    raise UserError(f"--tasks lm_eval:{file}: it has no line `task: NAME`")
