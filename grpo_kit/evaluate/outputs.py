"""What can be scored again: an outputs file, a run's rollouts step by step, an evaluation's samples task by task."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grpo_kit.data.rows import file_suffix, read_file
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_steps
from grpo_kit.runtime.condition import condition

from .records import RESULTS_FILE, SAMPLES_FILE

# Per token and long; a verifier judges text.
UNREAD = ("prompt_ids", "token_ids", "inserted", "logprobs", "ratios", "token_advantages")


@dataclass(frozen=True)
class Outputs:
    """Rows that make one line of the table.

    Attributes:
        name: the task's name in the results: the file's, ``step 60``, or the evaluation's own task.
        path: the file that they are from.
    """

    name: str
    path: Path
    rows: list[dict[str, Any]]

    def fingerprint(self) -> str:
        with self.path.open("rb") as file:
            return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"


def read_outputs(path: Path, step: str | None = None, limit: int | None = None) -> list[Outputs]:
    """Read a file, a run folder (by default its last step) or an evaluation's folder.

    Args:
        step: of a run, as ``rollouts --step`` takes it: 10, 5-20, '>= 5'.
        limit: only the first rows of each file.

    Raises:
        UserError: there is nothing to score, or a file is damaged.
    """
    if path.is_dir() and (path / RESULTS_FILE).is_file():
        path = path / SAMPLES_FILE
    elif path.is_dir():
        files = _chosen_steps(path, step)
        return [Outputs(f"step {number}", file, _read(file, limit)) for number, file in files.items()]
    if step is not None:
        raise UserError(f"--step is for run folders, and {path} is none")
    rows = _read(path, limit)
    tasks = dict.fromkeys(str(row["task"]) for row in rows) if all(_is_sample(row) for row in rows) else {}
    if tasks:
        return [Outputs(task, path, [row for row in rows if str(row["task"]) == task]) for task in tasks]
    return [Outputs(outputs_label(path), path, rows)]


def outputs_label(path: Path) -> str:
    """A run's or evaluation's folder, or the file without its endings."""
    if path.is_dir():
        return path.resolve().name
    if path.name == SAMPLES_FILE and (path.parent / RESULTS_FILE).is_file():
        return path.parent.resolve().name
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def _read(path: Path, limit: int | None) -> list[dict[str, Any]]:
    if file_suffix(path) in (".csv", ".tsv"):
        # All of its cells are text: a label "False" or a greedy "0" would count as yes.
        raise UserError(
            f"{path}: responses with their marks are read from .jsonl, .ndjson, .json or .parquet, not from a table"
        )
    rows = [{key: value for key, value in row.items() if key not in UNREAD} for row in read_file(path, limit=limit)]
    if not rows:
        raise UserError(f"{path} holds no rows")
    return rows


def _is_sample(row: Mapping[str, Any]) -> bool:
    """Whether a row is a line of an evaluation's ``samples.jsonl``."""
    return {"task", "id", "sample", "value", "status", "response"} <= row.keys()


def _chosen_steps(folder: Path, step: str | None) -> dict[int, Path]:

    files = rollout_steps(folder)
    if not files:
        inner = sorted(p.parent.name for p in folder.glob(f"*/{RESULTS_FILE}"))
        hint = f" It holds evaluations: score {folder / inner[0]}." if inner else ""
        raise UserError(
            f"{folder} has no rollouts and no finished evaluation: give a run in which a step is finished, an evaluation's "
            f"folder, or a file.{hint}"
        )
    wanted = condition(step, "--step") if step is not None else lambda value: value == max(files)
    chosen = {number: path for number, path in files.items() if wanted(number)}
    if not chosen:
        raise UserError(f"--step {step}: {folder} has rollouts of the steps {min(files)} to {max(files)}")
    return chosen
