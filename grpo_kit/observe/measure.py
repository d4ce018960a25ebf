"""Numbers that say how they become one with those of other ranks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from grpo_kit.runtime import ranks

Merge = Literal["sum", "mean", "std", "max", "min", "last"]


class Measure(float):
    """A metric of one rank: a float that carries how it merges.

    Attributes:
        merge: ``sum`` of counts and amounts; ``mean`` by ``weight``; ``std`` of values of which there are ``weight``, around
            ``mean``; ``max``; ``min``; ``last`` for what every rank knows alike.
        weight: how many values stand behind it.
        mean: of those values, for ``std``.
    """

    merge: Merge
    weight: float
    mean: float

    def __new__(cls, value: float, merge: Merge, weight: float = 1.0, mean: float = 0.0) -> Measure:
        made = super().__new__(cls, value)
        made.merge, made.weight, made.mean = merge, weight, mean
        return made

    def __getnewargs__(self) -> tuple[float, Merge, float, float]:  # type: ignore[override]
        return float(self), self.merge, self.weight, self.mean


def _weighted(parts: Sequence[Measure]) -> float:
    whole = sum(p.weight for p in parts)
    return sum(p * p.weight for p in parts) / whole if whole else sum(parts) / len(parts)


def _deviation(parts: Sequence[Measure]) -> float:
    whole = sum(p.weight for p in parts)
    centre = sum(p.mean * p.weight for p in parts) / whole
    return math.sqrt(sum(p.weight * (p * p + (p.mean - centre) ** 2) for p in parts) / whole)


MERGES: dict[Merge, Callable[[Sequence[Measure]], float]] = {
    "sum": sum,
    "mean": _weighted,
    "std": _deviation,
    "max": max,
    "min": min,
    "last": lambda parts: parts[-1],
}


def merged(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The metrics of several ranks as those of one; each over the ranks that have it.

    Raises:
        TypeError: a metric does not say how it merges, or says two things.
    """
    found: dict[str, list[Measure]] = {}
    for part in parts:
        for name, value in part.items():
            if not isinstance(value, Measure):
                raise TypeError(f"metric {name} does not say how it merges over ranks: make it a Measure")
            found.setdefault(name, []).append(value)
    for name, values in found.items():
        if len({v.merge for v in values}) > 1:
            raise TypeError(f"metric {name} merges as {' and as '.join(sorted({v.merge for v in values}))}")
    return {name: float(MERGES[values[0].merge](values)) for name, values in found.items()}


def over_ranks(numbers: Mapping[str, float], purpose: str) -> dict[str, float]:
    """This rank's metrics and those of all others, as those of one."""
    return merged(ranks.everyone(dict(numbers), purpose))
