"""Which completions a person should read first: those that the reward and the judge see differently, and odd texts."""

from __future__ import annotations

import math
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .rows import Row

COPIES = 3  # problems that get the very same response
LOOKED_AT = 20_000  # characters of a response, for what repeats itself
LEAST_TEXT = 120
REPETITIVE = 0.25  # of its size after compression; prose stays above a third


@dataclass(frozen=True)
class Suspicion:
    """How much a completion is worth a look.

    Attributes:
        weight: 0 for nothing to see; sorts the list.
        why: in words.
        copies: problems on the page that got this very text.
        repetition: share of the text that compression takes away.
    """

    weight: float
    why: str
    copies: int
    repetition: float


def suspicions(rows: Sequence[Row]) -> list[Suspicion]:
    """One for each row, against all rows of the page."""
    reward = _scaled([row.reward if row.status == "ok" else math.nan for row in rows])
    parts = _parts(rows)
    problems: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for row in rows:
        problems[row.written.strip()].add((row.task, row.problem))
    lengths = [row.length for row in rows] or [0]
    longest, usual = float(np.quantile(lengths, 0.99)), float(np.median(lengths))
    found = []
    for i, row in enumerate(rows):
        copies, repetition = len(problems[row.written.strip()]), _repetition(row.written)
        reasons = [
            *_verdicts(row, reward[i]),
            *_parting(row, {name: values[i] for name, values in parts.items()}, reward[i]),
        ]
        if copies >= COPIES:
            reasons.append((min(1.5, 0.3 * math.log2(copies)), f"same text for {copies} problems"))
        if repetition > 1 - REPETITIVE:
            reasons.append((repetition, "repeats itself"))
        if row.length >= longest and row.length > 1.5 * usual:
            reasons.append((0.5, "among the longest"))
        why = ", ".join(words for _, words in sorted(reasons, reverse=True))
        found.append(Suspicion(round(sum(weight for weight, _ in reasons), 3), why, copies, round(repetition, 3)))
    return found


def _scaled(values: Sequence[float]) -> list[float | None]:
    """Between 0 (the lowest) and 1 (the highest); None where there is no value, or nothing to tell apart."""
    known = [v for v in values if math.isfinite(v)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    if high <= low:
        return [None for _ in values]
    return [(v - low) / (high - low) if math.isfinite(v) else None for v in values]


def _parts(rows: Sequence[Row]) -> dict[str, list[float | None]]:
    """The scaled score of each verifier; one that only takes away (a penalty) does not praise."""
    found = {}
    for name in sorted({name for row in rows for name in row.scores}):
        values = [_value(row, name) for row in rows]
        if any(v > 0 for v in values):
            found[name] = _scaled(values)
    return found


def _value(row: Row, name: str) -> float:
    part = row.scores.get(name)
    return float(part["value"]) if part is not None and part["status"] == "ok" else math.nan


def _verdicts(row: Row, reward: float | None) -> list[tuple[float, str]]:
    if reward is None or row.right is None:
        return []
    if not row.right and reward >= 0.3:
        raised = row.advantage is not None and row.advantage > 0
        return [(3 * reward + raised, f"reward {row.reward:.3g}, judged wrong")]
    if row.right and reward <= 0.1:
        return [(0.5, f"reward {row.reward:.3g}, judged right")]
    return []


def _parting(row: Row, scaled: dict[str, float | None], reward: float | None) -> list[tuple[float, str]]:
    """Two verifiers that part over a response that was paid."""
    known = {name: value for name, value in scaled.items() if value is not None}
    if len(known) < 2 or reward is None or reward < 0.3:
        return []
    high, low = max(known, key=lambda n: known[n]), min(known, key=lambda n: known[n])
    if known[high] - known[low] < 0.5:
        return []
    words = f"{high} {_value(row, high):.3g} and {low} {_value(row, low):.3g}"
    return [(reward * (known[high] - known[low]), words)]


def _repetition(text: str) -> float:
    raw = text[:LOOKED_AT].encode("utf-8", "replace")
    return max(0.0, 1.0 - len(zlib.compress(raw, 1)) / len(raw)) if len(raw) >= LEAST_TEXT else 0.0
