"""The completions that a page shows, from a run's rollouts or an evaluation's samples, in one form."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.evaluate.records import Record
from grpo_kit.observe.episode_record import read_ending, read_inserted, read_messages, read_turns
from grpo_kit.observe.rollout_file import rollout_lines, rollout_steps
from grpo_kit.types import Message, Turn

from .conversation import Said, conversation

MAX_CHARACTERS = 256 * 2**20  # of texts and tokens that one page takes up


@dataclass
class Row:
    """A completion as the page and the terminal show it.

    Attributes:
        group: what makes completions comparable: the step and the problem.
        right: the judge's verdict; None where it gave none.
        advantage: None where nothing was trained on it.
        scores: by verifier: value, status, extracted, reason.
        token_values: per token, by name (``logprob``, ``ratio``, ``advantage``), for the heat map.
        checkpoint: what wrote it, where a page shows several.
        draw: tells two groups of one problem in one step apart.
        inserted, turns, ending: of an episode, as its `Completion` has them.
        messages: of an episode, what stood before its first turn.
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
    right: bool | None = None
    token_ids: list[int] = field(default_factory=list)
    token_values: dict[str, list[float]] = field(default_factory=dict)
    checkpoint: str = ""
    draw: int | None = None
    inserted: Sequence[tuple[int, Sequence[int]]] = ()
    turns: Sequence[Turn] = ()
    ending: str | None = None
    messages: Sequence[Message] = ()

    @property
    def group(self) -> str:
        return f"{self.step}/{self.draw}/{self.task}/{self.problem}"

    @property
    def length(self) -> int:
        """In tokens, or in characters where the tokens are not known."""
        return len(self.token_ids) or len(self.response)

    @property
    def size(self) -> int:
        """About how many characters it adds to a page."""
        per_token = 8 * (1 + len(self.token_values))
        tokens = per_token * len(self.token_ids) + 8 * sum(len(ids) for _, ids in self.inserted)
        return len(self.prompt) + len(self.response) + sum(len(said.text) for said in self.conversation) + tokens + 200

    @property
    def conversation(self) -> list[Said]:
        """Empty where there was no environment."""
        return conversation(self.messages, self.turns, len(self.token_ids)) if self.turns else []

    @property
    def written(self) -> str:
        """All that the policy wrote, turn after turn."""
        return "\n".join(turn.text for turn in self.turns) if self.turns else self.response

    @property
    def text(self) -> str:
        """Everything that was asked, written and answered, to be searched."""
        return "\n".join([self.prompt, self.response, str(self.answer), *(said.text for said in self.conversation)])


TOKEN_VALUES = {"logprobs": "logprob", "ratios": "ratio", "token_advantages": "advantage", "values": "value"}


def spread(steps: list[int], count: int) -> list[int]:
    """At most ``count`` of the steps, evenly spread, with the first and the last."""
    if count >= len(steps):
        return steps
    if count < 2:
        return steps[-1:]
    return sorted({steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)})


def rollout_rows(path: Path, judge: str | None = None) -> Iterator[Row]:
    """The rows of one rollout file.

    Args:
        judge: the verifier whose verdict is right or wrong where a row does not say it; default: the first.

    Raises:
        UserError: it is damaged.
    """
    for number, line in enumerate(rollout_lines(path), start=1):
        try:
            yield _from_rollout(line, judge)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise UserError(f"{path} is not a rollout file: line {number}: {error!r:.200}") from error


def _from_rollout(row: Mapping[str, Any], judge: str | None) -> Row:
    family, _, rest = str(row["task"]).partition("/")
    scores = {str(name): _part(part) for name, part in row["scores"].items()}
    ids = row["token_ids"]
    if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
        raise TypeError("token_ids are not whole numbers")
    advantage = row["advantage"]
    return Row(
        step=int(row["step"]),
        task=family,
        problem=rest or family,
        sample=int(row["sample"]),
        reward=_number(row["reward"]),
        status=str(row["status"]),
        advantage=None if advantage is None else _number(advantage),
        finish=str(row["finish"] or ""),
        prompt=str(row["prompt"]),
        answer=row["answer"],
        response=str(row["response"]),
        scores=scores,
        right=_verdict(row, scores, judge),
        token_ids=ids,
        token_values={n: [_number(v) for v in row[key]] for key, n in TOKEN_VALUES.items() if row.get(key)},
        draw=int(row["group"]) if isinstance(row.get("group"), int) else None,
        inserted=read_inserted(row),
        turns=(turns := read_turns(row)),
        ending=read_ending(row),
        messages=read_messages(row) if turns else (),
    )


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    extracted = part.get("extracted")
    return {
        "value": _number(part["value"]),
        "status": str(part["status"]),
        "extracted": None if extracted is None else str(extracted),
        "reason": str(part.get("reason") or ""),
    }


def _verdict(row: Mapping[str, Any], scores: Mapping[str, Mapping[str, Any]], judge: str | None) -> bool | None:
    """Whether the judge gave its full mark: the one that the row names, or was asked for, or the first verifier."""
    name = row.get("judge") or judge
    part = scores.get(str(name)) if name else next(iter(scores.values()), None)
    if part is None or part["status"] != "ok":
        return None
    return bool(part["value"] >= 1.0)


def _number(value: Any) -> float:
    """A number of a file; null is not a number, and neither is text."""
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r:.40} stands in the place of a number")
    return float(value)


def run_rows(folder: Path, limit: int, judge: str | None = None) -> tuple[list[Row], int]:
    """Rows of evenly spread steps, at most ``limit``, and about how many there are in all."""
    files = rollout_steps(folder)
    if not files:
        return [], 0
    steps = list(files)
    last, in_last = _first_rows(rollout_rows(files[steps[-1]], judge), limit, MAX_CHARACTERS)
    chosen = spread(steps, max(1, limit // max(1, in_last)))
    rows: list[Row] = []
    room = MAX_CHARACTERS - sum(row.size for row in last)
    for step in chosen[:-1]:
        found, _ = _first_rows(rollout_rows(files[step], judge), limit, room)
        rows, room = rows + found, room - sum(row.size for row in found)
    return [*rows, *last][-limit:], in_last * len(steps)


def _first_rows(rows: Iterator[Row], limit: int, room: int) -> tuple[list[Row], int]:
    """The rows that fit into the page, and how many there are; those beyond it are not kept."""
    kept: list[Row] = []
    for row in islice(rows, limit):
        room -= row.size
        if room < 0 and kept:
            return kept, len(kept) + 1 + sum(1 for _ in rows)
        kept.append(row)
    return kept, len(kept) + sum(1 for _ in rows)


def evaluation_rows(
    records: Iterable[Record], verifiers: Mapping[str, str], limit: int, checkpoint: str = ""
) -> tuple[list[Row], int]:
    """Rows of an evaluation, whole problems evenly spread; verifiers: the verifier's name by task."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.task, record.id), []).append(record)
    total = sum(map(len, groups.values()))
    keys = list(groups)
    if total > limit:
        keys = [keys[i] for i in spread(list(range(len(keys))), max(1, limit * len(keys) // total))]
    chosen = [r for key in keys for r in groups[key]]
    return [_from_record(r, verifiers.get(r.task, "verifier"), checkpoint) for r in chosen], total


def _from_record(record: Record, verifier: str, checkpoint: str) -> Row:
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
        right=record.right if record.counts else None,
        token_ids=list(record.token_ids),
        token_values={"logprob": list(record.logprobs)} if record.logprobs else {},
        checkpoint=checkpoint,
        inserted=record.inserted,
        turns=record.turns,
        ending=record.ending,
        messages=record.messages,
    )
