"""The replay buffer of a run: which groups of its last steps are learned from again, read from the run's own record.

What is kept here, and in a checkpoint, is a priority and a policy version for each group. Tokens and log-probabilities stay
where the step wrote them (``rollouts/step-000001.jsonl.gz``); a file is read once, when first a group of it is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, NamedTuple

from grpo_kit.config.replay import ReplayConfig
from grpo_kit.data.records import read_step
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_path
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.train.guards import not_finite
from grpo_kit.types import Group, Replayed

LEAST_PRIORITY = 0.01  # a group that taught nothing may teach something later: epsilon of arXiv:1511.05952, section 3.3


class Candidate(NamedTuple):
    """A recorded group: its step, its number there, its priority, and the oldest version that sampled a token of it."""

    step: int
    number: int
    priority: float
    version: int


class Drawn(NamedTuple):
    """The groups that a step replays, how many they were drawn from, and how many of the last steps' are too old."""

    groups: list[Group]
    candidates: int
    too_old: int


class ReplayBuffer:
    """Groups of the last ``settings.steps`` steps of a run.

    A draw depends on the seed, the step and the priorities alone, and changes nothing: a step that was abandoned is drawn
    again as it was.

    Args:
        folder: of the run.
        count: groups that are drawn for a step, once there are as many.
    """

    def __init__(self, folder: Path, settings: ReplayConfig, *, count: int, seed: int) -> None:
        self.folder, self.settings, self.count, self.seed = folder, settings, count, seed
        self._known: dict[int, dict[int, tuple[float, int]]] = {}  # (priority, version) by step and number of the group
        self._read: dict[int, list[Group]] = {}  # what is recorded of a step

    def draw(self, step: int, version: int) -> Drawn:
        """Groups to learn from again in ``step``, with weights of ``version``.

        Raises:
            UserError: a step's record is damaged, or gone.
        """
        known = self._candidates(step)
        oldest = self.settings.max_age
        found = [c for c in known if oldest is None or version - c.version <= oldest]
        generator = random.Random(f"{self.seed}/replay/{step}")
        generator.shuffle(found)
        shares = inclusion([c.priority**self.settings.priority_exponent for c in found], self.count)
        groups = []
        for index in systematic(shares, generator.random()):
            weight = bias_weight(shares[index], fmean(shares), self.settings.weight_exponent)
            at = found[index]
            groups.append(replace(self._recorded(at.step, at.number), replayed=Replayed(at.step, at.number, weight)))
        return Drawn(groups, len(found), len(known) - len(found))

    def _candidates(self, step: int) -> list[Candidate]:
        window = range(step - self.settings.steps, step)
        return [Candidate(s, n, *self._known[s][n]) for s in sorted(self._known) if s in window for n in self._known[s]]

    def _recorded(self, step: int, number: int) -> Group:
        if step not in self._read:
            self._read[step] = read_step(rollout_path(self.folder, step))
        if number >= len(self._read[step]):
            raise UserError(
                f"{rollout_path(self.folder, step)} is damaged: it has no group {number}, which was recorded"
            )
        return self._read[step][number]

    def learned(self, step: int, groups: Sequence[Group], advantages: Sequence[Sequence[float]]) -> None:
        """Remember the groups that a step sampled and recorded, and what its replayed groups are worth by now.

        What the disk refused, or what is not finite, is not remembered.
        """
        written = rollout_path(self.folder, step).is_file()
        number = 0
        for group, of_group in zip(groups, advantages, strict=True):
            priority = LEAST_PRIORITY + fmean(map(abs, of_group))
            at = group.replayed
            if at is not None:
                self._known[at.step][at.number] = (priority, self._known[at.step][at.number][1])
                continue
            if written and not_finite([group]) is None:
                self._known.setdefault(step, {})[number] = (priority, oldest_version(group))
            number += 1
        for gone in [s for s in self._known if s <= step - self.settings.steps]:
            del self._known[gone]
            self._read.pop(gone, None)

    def state_dict(self) -> dict[str, Any]:
        return {"known": {step: dict(groups) for step, groups in self._known.items()}}

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Go on as it was; of a fork, or where nothing was replayed before (None), without what others recorded.

        Raises:
            UserError: the record of a step that could be drawn from is gone.
        """
        forked = RunDirectory(self.folder).forked_at() or 0
        known = (
            {} if state is None else {step: dict(groups) for step, groups in state["known"].items() if step > forked}
        )
        for step in known:
            if not rollout_path(self.folder, step).is_file():
                raise UserError(
                    f"{rollout_path(self.folder, step)} is gone, and replay draws from it: the run cannot go on exactly. Put it "
                    f"back, or begin a new run from here, whose buffer is empty: --fork {self.folder}"
                )
        self._known, self._read = known, {}


def oldest_version(group: Group) -> int:
    """Of the policies that sampled a token of a group."""
    return min(version for c in group.completions for version, _ in c.versions())


def inclusion(priorities: Sequence[float], count: int) -> list[float]:
    """Probability that each of [candidates] is among ``count`` drawn without replacement: in proportion to its priority.

    None is above 1: what is certain is taken, and the rest share the places that are left.
    """
    if len(priorities) <= count:
        return [1.0] * len(priorities)
    shares, certain = [0.0] * len(priorities), set[int]()
    while True:
        total = sum(p for index, p in enumerate(priorities) if index not in certain)
        scale = (count - len(certain)) / total
        above = {index for index, p in enumerate(priorities) if index not in certain and scale * p >= 1.0}
        if not above:
            break
        certain |= above
    for index, priority in enumerate(priorities):
        shares[index] = 1.0 if index in certain else scale * priority
    return shares


def systematic(shares: Sequence[float], offset: float) -> list[int]:
    """Indices of what is drawn: at even distances along the sum of the shares (arXiv:1511.05952, section 3.3, without twice).

    Args:
        shares: of `inclusion`. [candidates]
        offset: a random number in [0, 1), the only one: each candidate is drawn with exactly its share as probability.
    """
    drawn, total, place = [], 0.0, offset
    for index, share in enumerate(shares):
        total += share
        if place < total - 1e-9:
            drawn.append(index)
            place += 1.0
    return drawn


def bias_weight(share: float, uniform: float, exponent: float) -> float:
    """min(1, (N P)^-exponent), the weight that undoes prioritising (arXiv:1511.05952, section 3.4).

    It only scales down. There the largest weight of a batch becomes 1, and a single group that is hardly ever drawn, which
    teaches next to nothing, would make all others as little.
    """
    return min(1.0, (uniform / share) ** exponent)
