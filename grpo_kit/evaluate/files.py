"""Rows of any origin as problems with responses: which field holds what, and what their labels say."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.observe.episode_record import read_ending, read_messages, read_outcome, read_turns
from grpo_kit.types import Completion, Ending, Message, Score, Turn

from .records import GREEDY

# Tried in this order where no field is named; what other harnesses call theirs.
USUAL = {
    "response": ("response", "responses", "completion", "completions", "output", "outputs", "generation", "generations",
                 "resps", "code", "prediction"),
    "gold": ("answer", "gold", "gt", "ground_truth", "target", "reference", "expected_answer", "solution"),
    "prompt": ("prompt", "question", "problem", "query", "input", "instruction"),
    "label": ("reward", "is_correct"),
}  # fmt: skip
LOOKED_AT = 100  # rows


@dataclass(frozen=True)
class Fields:
    """Which fields hold what; ``a.b`` reaches into nested objects. None: a usual name is looked for."""

    response: str | None = None
    gold: str | None = None
    label: str | None = None
    id: str | None = None
    prompt: str | None = None


# What the kit writes itself, by the keys that tell it: a run's rollouts and an evaluation's samples.
RECORDED = {
    ("task", "sample", "reward", "status", "response", "policy_version"): Fields(
        "response", "answer", "reward", "task", "prompt"
    ),
    ("task", "id", "sample", "value", "status", "response"): Fields("response", "answer", "value", "id", "prompt"),
}

# What rows of the kit say of a conversation, and not of a task.
EPISODE = ("messages", "turns", "ending", "outcome", "outcome_weight", "fresh")


@dataclass(frozen=True)
class Labels:
    """How the numbers of a label field become right and wrong.

    A label of ``threshold`` or more is right. Rewards are shaped in many ways: where some reach 1, 1 is the threshold, as
    it is for any verdict of the kit; where all stay below, for example because length costs a little, it is half of the
    highest; where none is above 0, nothing is right.
    """

    field: str
    threshold: float
    why: str

    @classmethod
    def of(cls, field: str, values: Sequence[float], threshold: float | None = None) -> Labels:
        highest = max(values, default=0.0)
        if threshold is not None:
            return cls(field, threshold, "--label-threshold")
        if highest >= 1.0 or highest <= 0.0:
            return cls(field, 1.0, f"the highest is {highest:g}")
        return cls(field, highest / 2, f"half of the highest, {highest:g}; --label-threshold sets another")

    def describe(self, labels: Sequence[bool | None]) -> str:
        right, wrong = labels.count(True), labels.count(False)
        none = f", {labels.count(None)} without" if None in labels else ""
        return f"labels: {self.field} of {self.threshold:g} or more is right ({self.why}): {right} right, {wrong} wrong{none}"


@dataclass(frozen=True)
class Episode:
    """What is recorded of an episode beside its last turn."""

    turns: tuple[Turn, ...] = ()
    ending: Ending | None = None
    outcome: Score | None = None

    def __bool__(self) -> bool:
        return bool(self.turns)

    def put_into(self, completion: Completion) -> None:
        completion.turns, completion.ending, completion.outcome = list(self.turns), self.ending, self.outcome


NO_EPISODE = Episode()


@dataclass
class Problem:
    """One problem with everything that was answered to it.

    Attributes:
        labels: empty, or one per response; None where a response has none.
        samples: the sample index of each response, `GREEDY` for a greedy one.
        blank: the rows that hold no response; an empty one stands in ``responses`` for each.
        opening: the messages before the first response, where the kit recorded them.
        episodes: of each response that is the last turn of one; `NO_EPISODE` for the others.
    """

    id: str
    prompt: str
    gold: Any
    responses: list[str] = field(default_factory=list)
    labels: list[bool | None] = field(default_factory=list)
    samples: list[int] = field(default_factory=list)
    blank: list[int] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)
    opening: tuple[Message, ...] = ()
    episodes: list[Episode] = field(default_factory=list)


def resolve_fields(rows: Sequence[Mapping[str, Any]], fields: Fields, path: Path) -> Fields:
    """Fill in the fields that were not named, and check those that were.

    Raises:
        UserError: a named field is in no row, or no usual name is.
    """
    known = _recorded(rows) or Fields()
    chosen: dict[str, str | None] = {}
    for role in ("response", "gold", "label", "id", "prompt"):
        named = getattr(fields, role)
        if named is not None:
            _check(rows, named, role, path)
            chosen[role] = named
            continue
        taken = {chosen.get("response"), chosen.get("gold")}
        chosen[role] = getattr(known, role) or _usual(rows, role, taken)
        if chosen[role] is None and role in ("response", "gold"):
            raise UserError(
                f"{path}: name the {role}s with --{role}-field; the rows have: {', '.join(_all_names(rows))}"
            )
    return Fields(**chosen)


def _usual(rows: Sequence[Mapping[str, Any]], role: str, taken: set[str | None]) -> str | None:
    looked = rows[:LOOKED_AT]  # not the first row alone: it may be the one that lacks a value
    for name in USUAL.get(role, ()):
        values = [row[name] for row in looked if name in row]
        if values and name not in taken and (role != "label" or all(_is_label(value) for value in values)):
            return name
    return None


def _is_label(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, (bool, int, float))
        or (isinstance(value, list) and all(map(_is_label, value)))
    )


def _recorded(rows: Sequence[Mapping[str, Any]]) -> Fields | None:
    return next((made for keys, made in RECORDED.items() if set(keys) <= rows[0].keys()), None)


def describe_fields(rows: Sequence[Mapping[str, Any]], named: Fields, found: Fields) -> str:
    """Which field holds what, and which of them nobody named."""
    parts = []
    guessed = "" if _recorded(rows) else " (guessed)"
    for role in ("response", "gold", "label", "id", "prompt"):
        name = getattr(found, role)
        if name is not None:
            parts.append(f"{role} {name}{'' if getattr(named, role) else guessed}")
    missing = [role for role in ("label", "id") if getattr(found, role) is None]
    without = {"label": "no labels", "id": "every row is a problem of its own"}
    return ("fields: " if guessed else "fields, as the kit records them: ") + ", ".join(
        parts + [without[role] for role in missing]
    )


def _all_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows[:LOOKED_AT] for name in _names(row)))


def _check(rows: Sequence[Mapping[str, Any]], name: str, role: str, path: Path) -> None:
    if any(_has(row, name) for row in rows[:LOOKED_AT]):
        return
    names = _all_names(rows)
    close = difflib.get_close_matches(name, names, 1, 0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise UserError(f"--{role}-field: {path} has no field {name!r}; it has: {', '.join(names)}.{hint}")


def _names(row: Mapping[str, Any]) -> list[str]:
    inner = [f"{k}.{i}" for k, v in row.items() if isinstance(v, Mapping) for i in v]
    return [k for k, v in row.items() if not isinstance(v, Mapping)] + inner


def _has(row: Mapping[str, Any], name: str) -> bool:
    try:
        _value(row, name)
    except KeyError:
        return False
    return True


def _value(row: Any, name: str) -> Any:
    if isinstance(row, Mapping) and name in row:
        return row[name]
    first, dot, rest = name.partition(".")
    if dot and isinstance(row, Mapping) and first in row:
        return _value(row[first], rest)
    raise KeyError(name)


def read_labels(
    rows: Sequence[Mapping[str, Any]], fields: Fields, path: Path, threshold: float | None = None
) -> Labels | None:
    """The rule by which the rows' labels are read; None where no field holds any.

    Raises:
        UserError: a label is no number.
    """
    if fields.label is None:
        return None
    values = [value for row in rows if _has(row, fields.label) for value in _numbers(row, fields.label, path)]
    if fields.label == "value":  # an evaluation's own verdicts: the threshold is not for the data to say
        threshold = 1.0 if threshold is None else threshold
    return Labels.of(fields.label, [value for value in values if value is not None], threshold)


def _numbers(row: Mapping[str, Any], name: str, where: object) -> list[float | None]:
    value = _value(row, name)
    values = value if isinstance(value, list) else [value]
    bad = next((v for v in values if v is not None and not isinstance(v, (bool, int, float))), None)
    if bad is not None:
        raise UserError(f"{where}: a label must be true, false or a number (1 and more is right), found {bad!r:.80}")
    return [None if v is None or math.isnan(v) else float(v) for v in values]


def problems_of(
    rows: Sequence[Mapping[str, Any]], fields: Fields, path: Path, labels: Labels | None = None
) -> list[Problem]:
    """Rows as problems. Rows with the same id (where an id field is named) are samples of one problem.

    A row whose ``sample`` is -1, or whose ``greedy`` is true, holds a greedy answer.

    Args:
        fields: as `resolve_fields` returns them.
        labels: as `read_labels` returns it; None reads it from these rows.

    Raises:
        UserError: a row lacks a field, a response is not text, or there are not as many labels as responses.
    """
    labels = labels or read_labels(rows, fields, path)
    recorded = bool(rows) and _recorded(rows) is not None
    found: dict[str, Problem] = {}
    for number, row in enumerate(rows):
        where = f"{path}: row {number}"
        try:
            responses = _texts(_value(row, str(fields.response)), where, str(fields.response)) or [""]
            gold = _value(row, str(fields.gold))
            id = str(_value(row, fields.id)) if fields.id else str(number)
            prompt = _value(row, fields.prompt) if fields.prompt else ""
            marks = _marks(row, labels, len(responses), where) if labels else []
        except KeyError as error:
            raise UserError(f"{where} has no field {error.args[0]!r}; it has: {', '.join(_names(row))}") from None
        opening, episode = _conversation(row, where) if recorded else ((), NO_EPISODE)
        used = {fields.response, fields.gold, fields.label, "verifier", *(EPISODE if episode else ())}
        meta = {k: v for k, v in row.items() if k not in used}
        problem = found.setdefault(id, Problem(id, _prompt_text(prompt), gold, meta=meta, opening=opening))
        if problem.gold != gold:
            raise UserError(
                f"{where}: problem {id} has the gold {gold!r:.80}, and {problem.gold!r:.80} in an earlier row"
            )
        start = sum(sample != GREEDY for sample in problem.samples)
        greedy = row.get("sample") == GREEDY or row.get("greedy") is True
        problem.samples += [GREEDY if greedy else start + i for i in range(len(responses))]
        problem.responses += responses
        problem.labels += marks
        problem.blank += [number for text in responses if not text.strip() and not episode]
        problem.episodes += [episode for _ in responses]
    return list(found.values())


def _conversation(row: Mapping[str, Any], where: str) -> tuple[tuple[Message, ...], Episode]:
    """What stood before the first turn of a recorded episode, and the episode; nothing where there was no environment."""
    try:
        turns = read_turns(row)
        if not turns:
            return (), NO_EPISODE
        ending, outcome = read_ending(row), read_outcome(row)
        if ending == "deadline" and outcome is None:  # an evaluation's samples hold the verdict alone
            outcome = Score(status="timeout", reason="the environment ran out of time")
        return read_messages(row), Episode(tuple(turns), ending, outcome)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{where} is no recorded episode: {error!r:.200}") from error


def _marks(row: Mapping[str, Any], labels: Labels, count: int, where: str) -> list[bool | None]:
    if row.get("status", "ok") != "ok" and "response" in row and labels.field in ("reward", "value"):
        return [None] * count  # recorded by the kit, and no verifier judged it: the number says nothing
    values = _numbers(row, labels.field, where)
    if not isinstance(_value(row, labels.field), list):
        values = values * count
    if len(values) != count and not (count == 1 and not values):
        raise UserError(f"{where}: {len(values)} labels for {count} responses")
    return [None if v is None else v >= labels.threshold for v in values] or [None]


def _texts(value: Any, where: str, name: str) -> list[str]:
    """A text, a list of texts, or such lists within lists (as lm-eval nests them)."""
    if value is None:
        return [""]
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        for key in ("text", "content", "response"):
            if isinstance(value.get(key), str):
                return [value[key]]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item, where, name)]
    raise UserError(f"{where}: {name} must be text or a list of texts, found {type(value).__name__}: {value!r:.80}")


def _prompt_text(value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        value = value[-1].get("content", "")
    return value if isinstance(value, str) else str(value)
