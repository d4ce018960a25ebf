"""The completions that a page shows, from a run's rollouts or an evaluation's samples, in one form."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.evaluate.records import Record


@dataclass
class Row:
    """A completion as the page and the terminal show it.

    Attributes:
        group: what makes completions comparable: the step and the problem.
        advantage: None where nothing was trained on it.
        scores: by verifier: value, status, extracted, reason.
        token_values: per token, by name (``logprob``, ``ratio``, ``advantage``), for the heat map.
    """

    step: int | None
    task: str
    problem: str
    sample: int
    reward: float
    status: str
    advantage: float | None
    finish: str
    prompt: str
    answer: Any
    response: str
    scores: dict[str, dict[str, Any]]
    token_ids: list[int] = field(default_factory=list)
    token_values: dict[str, list[float]] = field(default_factory=dict)

    @property
    def group(self) -> str:
        return f"{self.step}/{self.task}/{self.problem}"


TOKEN_VALUES = {"logprobs": "logprob", "ratios": "ratio", "token_advantages": "advantage"}


def rollout_steps(folder: Path) -> dict[int, Path]:
    """The rollout files of a run by step."""
    return {int(path.name[5:11]): path for path in sorted((folder / "rollouts").glob("step-*.jsonl.gz"))}


def spread(steps: list[int], count: int) -> list[int]:
    """At most ``count`` of the steps, evenly spread, with the first and the last."""
    if count >= len(steps):
        return steps
    if count < 2:
        return steps[-1:]
    return sorted({steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)})


def rollout_rows(path: Path) -> Iterator[Row]:
    """The rows of one rollout file. Raises UserError if it is damaged."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield _from_rollout(json.loads(line))
    except (OSError, EOFError, ValueError, KeyError) as error:
        raise UserError(f"{path} is not a rollout file: {error}") from error


def _from_rollout(row: dict[str, Any]) -> Row:
    family, _, rest = row["task"].partition("/")
    return Row(
        step=row["step"],
        task=family,
        problem=rest or family,
        sample=row["sample"],
        reward=row["reward"],
        status=row["status"],
        advantage=row["advantage"],
        finish=row["finish"],
        prompt=row["prompt"],
        answer=row["answer"],
        response=row["response"],
        scores=row["scores"],
        token_ids=row["token_ids"],
        token_values={name: row[key] for key, name in TOKEN_VALUES.items() if row.get(key)},
    )


def run_rows(folder: Path, limit: int) -> tuple[list[Row], int]:
    """Rows of evenly spread steps, at most ``limit`` where one step does not exceed it, and how many there are in all."""
    files = rollout_steps(folder)
    if not files:
        return [], 0
    steps = list(files)
    last = list(rollout_rows(files[steps[-1]]))
    chosen = spread(steps, max(1, limit // max(1, len(last))))
    rows = [row for step in chosen[:-1] for row in rollout_rows(files[step])] + last
    return rows[-limit:], len(last) * len(steps)


def evaluation_rows(records: Iterable[Record], verifiers: dict[str, str], limit: int) -> tuple[list[Row], int]:
    """Rows of an evaluation, whole problems evenly spread; verifiers: the verifier's name by task."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.id), []).append(record)
    total = sum(map(len, groups.values()))
    keys = list(groups)
    if total > limit:
        keys = [keys[i] for i in spread(list(range(len(keys))), max(1, limit * len(keys) // total))]
    return [_from_record(r, verifiers.get(r.task, "verifier")) for key in keys for r in groups[key]], total


def _from_record(record: Record, verifier: str) -> Row:
    score = {"value": record.value, "status": record.status, "extracted": record.extracted, "reason": record.reason}
    return Row(
        step=None,
        task=record.task,
        problem=record.id.removeprefix(f"{record.task}/"),
        sample=record.sample,
        reward=record.value,
        status=record.status,
        advantage=None,
        finish=record.finish,
        prompt=record.prompt,
        answer=record.answer,
        response=record.response,
        scores={verifier: score},
        token_ids=list(record.token_ids),
        token_values={"logprob": list(record.logprobs)} if record.logprobs else {},
    )
