"""Metrics that say how they merge: over micro-batches, optimizer steps, calls of a verifier and ranks, by one rule."""

from __future__ import annotations

import itertools
import math
import operator
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from grpo_kit.runtime import ranks

if TYPE_CHECKING:  # the workers that score import this module, and most need no torch
    from torch import Tensor

Number: TypeAlias = "float | Tensor"
Kind = Literal["sum", "mean", "std", "max", "min", "last"]

_MERGES: dict[Kind, Callable[[float, float], float]] = {
    "sum": operator.add,
    "mean": operator.add,
    "std": operator.add,
    "max": max,
    "min": min,
    "last": lambda earlier, later: later,
}


@dataclass(frozen=True, slots=True)
class Measure:
    """What was seen of a metric once, or several times when merged.

    Attributes:
        kind: how several become one.
        parts: the numbers that are merged; scalar tensors stay on their device until somebody reads the metric.
    """

    kind: Kind
    parts: tuple[Number, ...]

    @classmethod
    def sum(cls, amount: Number) -> Measure:
        """A count or an amount. What all ranks do at once is counted by the first of them."""
        return cls("sum", (amount,))

    @classmethod
    def mean(cls, total: Number, count: float = 1.0) -> Measure:
        """The mean of ``count`` values (or of weights that sum to it) that add up to ``total``."""
        return cls("mean", (total, count))

    @classmethod
    def mean_of(cls, values: Tensor) -> Measure:
        """The mean over all elements, without gradient: each weighs the same, however they are split."""
        return cls.mean(values.detach().sum(), values.numel())

    @classmethod
    def std(cls, squares: float, total: float, count: float) -> Measure:
        """The deviation of ``count`` values from their mean, from the sum of their squares and their sum."""
        return cls("std", (squares, total, count))

    @classmethod
    def max(cls, value: Number) -> Measure:
        return cls("max", (value,))

    @classmethod
    def min(cls, value: Number) -> Measure:
        return cls("min", (value,))

    @classmethod
    def last(cls, value: Number) -> Measure:
        """What replaces the one before; of several ranks, the last one speaks."""
        return cls("last", (value,))

    def __float__(self) -> float:
        numbers = read(self.parts)
        if self.kind == "mean":
            total, count = numbers
            return total / count if count else 0.0
        if self.kind == "std":
            squares, total, count = numbers
            return math.sqrt(max(squares / count - (total / count) ** 2, 0.0)) if count else 0.0
        return numbers[0]


class Measures(Mapping[str, float]):
    """Metrics by name, and numbers to who reads them. What is added under one name is merged when somebody reads it."""

    def __init__(self, measures: Mapping[str, Measure] | None = None) -> None:
        self._whole: dict[str, Measure] = dict(measures or {})
        self._added: list[tuple[str, Measure]] = []

    def add(self, name: str, measure: Measure) -> None:
        self._added.append((name, measure))

    def means(self, values: Mapping[str, Tensor]) -> None:
        """As `add`, of the mean over all elements of each tensor."""
        for name, tensor in values.items():
            self.add(name, Measure.mean_of(tensor))

    def merged(self) -> dict[str, Measure]:
        """One measure per name, read from the device.

        Raises:
            TypeError: a name was given two kinds.
        """
        if self._added:
            numbers = iter(read([part for _, measure in self._added for part in measure.parts]))
            added = ((name, Measure(m.kind, tuple(next(numbers) for _ in m.parts))) for name, m in self._added)
            self._whole = _merged([*self._whole.items(), *added])
            self._added = []
        return self._whole

    def over_ranks(self, purpose: str) -> Measures:
        """These and those of all other ranks, each over the ranks that have it. Raises TypeError as `merged`."""
        parts = ranks.all_gather(self.merged(), purpose)
        return Measures(_merged(item for part in parts for item in part.items()))

    def __or__(self, other: Measures) -> Measures:
        return Measures(_merged([*self.merged().items(), *other.merged().items()]))

    def __getitem__(self, name: str) -> float:
        return float(self.merged()[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.merged())

    def __len__(self) -> int:
        return len(self.merged())


def _merged(measures: Iterable[tuple[str, Measure]]) -> dict[str, Measure]:
    whole: dict[str, Measure] = {}
    for name, measure in measures:
        before = whole.setdefault(name, measure)
        if before.kind != measure.kind:
            raise TypeError(f"metric {name} merges as {before.kind} and as {measure.kind}")
        if before is not measure:
            pairs = zip(read(before.parts), read(measure.parts), strict=True)
            whole[name] = Measure(measure.kind, tuple(itertools.starmap(_MERGES[measure.kind], pairs)))
    return whole


def read(numbers: Sequence[Number]) -> list[float]:
    """Numbers on the host. Tensors, which are scalars, come over in one transfer for each dtype, and are waited for once."""
    tensors: dict[tuple[object, object], list[tuple[int, Tensor]]] = defaultdict(list)
    found = [0.0] * len(numbers)
    for index, number in enumerate(numbers):
        if isinstance(number, int | float):
            found[index] = float(number)
        else:
            tensors[number.device, number.dtype].append((index, number))
    if tensors:
        import torch

        for places in tensors.values():
            values = torch.stack([tensor for _, tensor in places]).tolist()
            for (index, _), value in zip(places, values, strict=True):
                found[index] = float(value)
    return found
