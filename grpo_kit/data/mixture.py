"""Several data sets of one run: their names on what they give, and one source that takes turns among them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from grpo_kit.config import DataConfig
from grpo_kit.types import Task

from .problem import Problem
from .source import TaskSource
from .tasks import ProceduralSource


@dataclass(frozen=True)
class DataSet:
    """One of the data sets of a run.

    Attributes:
        name: empty where it is the only one.
        where: its section of the recipe.
    """

    name: str
    where: str
    config: DataConfig
    source: TaskSource
    weight: float = 1.0


class NamedSource:
    """A source whose tasks say which data set they are of, in their ids as well: those of two files may be alike."""

    def __init__(self, source: TaskSource, name: str) -> None:
        self.source, self.name = source, name

    @property
    def size(self) -> int | None:
        return self.source.size

    @property
    def fingerprint(self) -> str:
        return self.source.fingerprint

    def task(self, index: int) -> Task:
        return named(self.source.task(index), self.name)


def named(task: Task, name: str) -> Task:
    """The task as one of the data set of that name."""
    return replace(task, id=f"{name}/{task.id}", data_set=name)


def unnamed(source: TaskSource) -> TaskSource:
    """What a name was put on."""
    return source.source if isinstance(source, NamedSource) else source


class MixedSource:
    """Several data sets as one source, which takes a task of each in turn; one that has an end is then passed over.

    It knows nothing of weights: how often a data set is drawn from is the sampler's (`MixedSampler`).
    """

    def __init__(self, sets: Sequence[DataSet]) -> None:
        self.sets = tuple(sets)
        sizes = [part.source.size for part in sets]
        self._order: list[tuple[int, int]] | None = None
        if None not in sizes:
            found = [(index, number) for number, size in enumerate(sizes) for index in range(size or 0)]
            self._order = [(number, index) for index, number in sorted(found)]

    @property
    def size(self) -> int | None:
        return None if self._order is None else len(self._order)

    @property
    def fingerprint(self) -> str:
        return mixed_fingerprint(self.sets)

    def place(self, index: int) -> tuple[int, int]:
        """The number of the data set that task ``index`` is of, and its index there."""
        if self._order is not None:
            return self._order[index]
        inner, number = divmod(index, len(self.sets))
        size = self.sets[number].source.size
        return number, inner % size if size else inner

    def task(self, index: int) -> Task:
        number, inner = self.place(index)
        return self.sets[number].source.task(inner)


def mixed_fingerprint(sets: Sequence[DataSet]) -> str:
    """Of the data sets with their names and weights: a change of any is other data."""
    told = "\n".join(f"{part.name} {part.weight!r} {part.source.fingerprint}" for part in sets)
    return f"mixture:{len(sets)}:sha256:{hashlib.sha256(told.encode()).hexdigest()[:32]}"


class MixedProblems:
    """Problems of several procedural tasks in turn, for those who learn from their worked solutions."""

    def __init__(self, sources: Sequence[ProceduralSource]) -> None:
        self.sources = tuple(sources)

    def problem(self, index: int, slip: bool = False) -> Problem:
        inner, number = divmod(index, len(self.sources))
        return self.sources[number].problem(inner, slip)

    def task(self, index: int) -> Task:
        inner, number = divmod(index, len(self.sources))
        return self.sources[number].task(inner)


def shares(weights: Sequence[float], drawn: Sequence[int], wanted: int) -> list[int]:
    """Which data set each of the next ``wanted`` prompts is of: always the one that is furthest behind its share.

    After any number n of prompts a data set of weight w has given n w / sum(w) of them, to within one for two data sets. The
    order is of the weights and of what was drawn alone, so that every part of a step has its part of each data set.

    Args:
        drawn: how many prompts each has given so far; [data sets].
    """
    given, total, first = list(drawn), sum(weights), sum(drawn) + 1
    order: list[int] = []
    for n in range(first, first + wanted):
        furthest, most = 0, -math.inf
        for number, weight in enumerate(weights):  # in plain loops: all of a run is gone through before it
            behind = n * weight / total - given[number]
            if behind > most:
                furthest, most = number, behind
        order.append(furthest)
        given[furthest] += 1
    return order


def largest_shares(weights: Sequence[float], wanted: int, steps: int, refills: int = 0) -> list[int]:
    """The most prompts that the first round of a step asks of each data set, in a run of so many steps; [data sets].

    A share of 3.5 is 3 in one step and 4 in the next; with three data sets or more it may be further from its mean.

    Args:
        refills: rounds of up to ``wanted`` prompts that may follow the first of each step. They may end anywhere in the order
            of all prompts, and the next step begins there.
    """
    last = (steps - 1) * wanted * (1 + refills)  # where the last step begins at the latest
    seen = min(last, LOOKED_AT - LOOKED_AT % wanted)
    order = np.array(shares(weights, [0] * len(weights), seen + wanted))
    found = []
    for number in range(len(weights)):
        given = np.concatenate(([0], np.cumsum(order == number)))
        asked = given[wanted:] - given[:-wanted]  # from each place in the order on
        most = int(asked[:: 1 if refills else wanted].max())
        found.append(min(wanted, most + (seen < last)))
    return found


LOOKED_AT = 1_000_000  # prompts; of what comes later one more is thought possible
