"""Groups of a run's earlier steps beside those that the present step gives: off-policy, from a replay buffer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from statistics import fmean
from typing import Any

from grpo_kit.observe.clock import Clock
from grpo_kit.runtime import ranks
from grpo_kit.types import Group

from .base import GroupSource
from .replay_buffer import Drawn, ReplayBuffer
from .rounds import interleaved


class ReplayedGroups:
    """A `GroupSource` that adds groups of a replay buffer to those of another source, at even distances.

    The buffer is the first rank's, which writes the record that it reads; the others are given what was drawn.

    Args:
        fresh: what samples.
        version: the policy version that learns now.
    """

    recorded = False

    def __init__(self, fresh: GroupSource, buffer: ReplayBuffer, clock: Clock, version: Callable[[], int]) -> None:
        self.fresh, self.buffer, self.clock, self.version = fresh, buffer, clock, version
        self._statistics: dict[str, float] = {}

    def next(self, step: int, count: int) -> list[Group]:
        """See `GroupSource.next`. Raises UserError where the record of an earlier step cannot be read."""
        with self.clock.phase("replay"):  # before sampling, which would have to be undone
            drawn = self.buffer.draw(step, self.version()) if ranks.first() else Drawn([], 0, 0)
            drawn = ranks.broadcast(drawn, "the groups that are learned from again")
        groups = self.fresh.next(step, count)
        self._statistics = statistics_of(drawn, self.version())
        return interleaved(groups, drawn.groups)

    def learned(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        self.fresh.learned(step, groups, advantages)
        if ranks.first():
            self.buffer.learned(step, groups, advantages)

    def statistics(self) -> dict[str, float]:
        own, self._statistics = self._statistics, {}
        return own | self.fresh.statistics()

    def position(self, done: int) -> dict[str, Any]:
        return self.fresh.position(done) | {"replay": self.buffer.state_dict()}

    def restore(self, position: dict[str, Any]) -> None:
        self.fresh.restore({key: value for key, value in position.items() if key != "replay"})
        if ranks.first():
            self.buffer.load_state_dict(position.get("replay"))

    def paused(self) -> AbstractContextManager[None]:
        return self.fresh.paused()

    def close(self) -> None:
        self.fresh.close()


def statistics_of(drawn: Drawn, version: int) -> dict[str, float]:
    """What a step replays: groups and tokens, their age in policy versions, what they were drawn from, and their weight."""
    completions = [c for group in drawn.groups for c in group.completions]
    ages = [(version - sampled, count) for c in completions for sampled, count in c.versions()]
    tokens = sum(count for _, count in ages)
    found = {
        "replay/groups": float(len(drawn.groups)),
        "replay/tokens": float(tokens),
        "replay/candidates": float(drawn.candidates),
        "replay/too_old": float(drawn.too_old),
    }
    if drawn.groups:
        found["replay/age_mean"] = sum(age * count for age, count in ages) / max(1, tokens)
        found["replay/age_max"] = float(max(age for age, _ in ages))
        found["replay/weight"] = fmean(group.replay_weight for group in drawn.groups)
    return found
