"""Sampling that runs ahead of the training by a bounded number of policy versions, in a thread of its own.

Groups of the next steps are sampled and scored on the engine's own devices while the trainer updates. Every completion
carries the version that sampled it and the engine's log-probabilities, against which the loss corrects token by token.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from grpo_kit import ranks
from grpo_kit.errors import RunFailed
from grpo_kit.observe.clock import Clock
from grpo_kit.types import Group

from .rollouts import SampledGroups

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_END = 60.0
SECONDS_TO_ANSWER = 5.0


@dataclass
class _Batch:
    """A step's groups, and where the sampler stood before them."""

    step: int
    groups: list[Group]
    position: dict[str, Any]
    statistics: dict[str, float]


class GroupsAhead:
    """A `GroupSource` that prepares steps before they are asked for.

    The groups of step s are begun when step s - ``most`` is, so that no completion can be more than ``most``
    versions old. Should one be older all the same (a server that came back with older weights), its group is dropped.

    Of several ranks each has such a thread, which samples the rank's part of a step. The threads agree before every step
    whether to begin it, so that none waits for another one's groups that will never come.

    Args:
        most: how many policy versions a completion may be behind the weights that learn from it; at least 1.
        steps: the last step that will be asked for.
        version: the policy version that learns now.
        clock: the trainer's, which is charged for waiting.
    """

    recorded = False

    def __init__(self, groups: SampledGroups, most: int, steps: int, version: Callable[[], int], clock: Clock) -> None:
        groups.may_mix_versions = True
        self.groups, self.most, self.steps, self.version, self.clock = groups, most, steps, version, clock
        self._room = threading.Condition()
        self._pauses = self._parked = self._resumed = 0  # how many were asked for, kept, and are over
        self._ready: deque[_Batch] = deque()
        self._wanted = 0  # the step that is trained now or was trained last
        self._failure: BaseException | None = None
        self._over = False
        self._asking = False  # the other ranks, which may have failed
        self._thread: threading.Thread | None = None
        self._before: dict[str, Any] = groups.sampler.state_dict()
        self._statistics: dict[str, float] = {}

    def next(self, step: int, count: int) -> list[Group]:
        """See `GroupSource`. Raises what sampling or scoring raised."""
        self.groups.generator.weights_stand(True)
        with self._room:
            self._wanted = step
            if self._thread is None:
                self._before = self.groups.sampler.state_dict()
                self._thread = threading.Thread(target=self._work, args=(step, count), name="ahead", daemon=True)
                self._thread.start()
            self._room.notify_all()
        with self.clock.phase("generate"), self._room:
            # A batch stays until the next one is asked for: until then a stop may leave it untrained.
            while self._ready and self._ready[0].step < step:
                self._ready.popleft()
            while not self._ready:
                if self._failure is not None:
                    raise self._failure
                if not self._thread.is_alive():
                    raise RunFailed(f"step {step}: sampling has ended, as another rank stopped")
                self._room.wait(SECONDS_BETWEEN_LOOKS)
            batch = self._ready[0]
        self.groups.generator.weights_stand(False)
        if batch.step != step:
            raise RuntimeError(f"step {step} was asked for, step {batch.step} was prepared")
        return self._fresh(batch)

    def _fresh(self, batch: _Batch) -> list[Group]:
        now = self.version()
        # The age of each token; that of a completion is the age of its oldest one.
        ages = [
            [(now - version, count) for c in group.completions for version, count in c.versions()]
            for group in batch.groups
        ]
        oldest = [max(age for age, _ in found) for found in ages]
        kept = [g for g, age in zip(batch.groups, oldest, strict=True) if age <= self.most]
        tokens = sum(count for found in ages for _, count in found)
        if not kept:
            raise RunFailed(
                f"step {batch.step}: all {len(ages)} groups were sampled {min(oldest)} or more policy versions ago, and "
                f"rollout.max_staleness is {self.most}: the servers do not take new weights"
            )
        self._statistics = batch.statistics | {
            "staleness/mean": sum(age * count for found in ages for age, count in found) / max(1, tokens),
            "staleness/max": float(max(oldest, default=0)),
            "staleness/mixed_completions": float(
                sum(bool(c.later_versions) for g in batch.groups for c in g.completions)
            ),
            "staleness/dropped_groups": float(len(batch.groups) - len(kept)),
            "staleness/steps_ready": float(len(self._ready) - 1),
        }
        return kept

    def _work(self, step: int, count: int) -> None:
        try:
            with ranks.aside():
                while step <= self.steps and self._may_begin(step):
                    position = self.groups.sampler.state_dict()
                    groups = self.groups.next(step, count)
                    statistics = self.groups.statistics()
                    with self._room:
                        self._ready.append(_Batch(step, groups, position, statistics))
                        self._before = self.groups.sampler.state_dict()
                        self._room.notify_all()
                    step += 1
        except BaseException as error:
            self._failure = error
        finally:
            with self._room:
                self._room.notify_all()

    def _may_begin(self, step: int) -> bool:
        """Wait until there is room for a step and nobody needs the engine; False when the run is over."""
        while True:
            with self._room:
                while step - self.most > self._wanted and self._pauses == self._parked and not self._over:
                    self._room.wait(SECONDS_BETWEEN_LOOKS)
                mine = (self._over, self._pauses)
            self._asking = True
            said = ranks.everyone(mine, "beginning to sample a step")
            self._asking = False
            if any(over for over, _ in said):
                return False
            asked = max(pauses for _, pauses in said)
            if asked == self._parked:
                return True
            with self._room:
                self._parked = asked
                self._room.notify_all()
                while self._resumed < asked and not self._over:
                    self._room.wait(SECONDS_BETWEEN_LOOKS)

    def position(self, done: int) -> dict[str, Any]:
        """Where the sampler stood before the first groups after step ``done``: they are sampled again on resume."""
        if self._thread is None:
            return self.groups.sampler.state_dict()
        with self._room:
            return next((b.position for b in self._ready if b.step > done), self._before)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait for the groups under way; within, engine and scorer belong to the caller."""
        self.groups.generator.weights_stand(True)
        with self._room:
            self._pauses += 1
            self._room.notify_all()
            while self._thread is not None and self._thread.is_alive() and self._parked < self._pauses:
                self._room.wait(SECONDS_BETWEEN_LOOKS)
        try:
            yield
        finally:
            with self._room:
                self._resumed = self._pauses
                self._room.notify_all()

    def statistics(self) -> dict[str, float]:
        found, self._statistics = self._statistics, {}
        return found

    def close(self) -> None:
        """End the thread after the groups it is working on."""
        with self._room:
            self._over = True
            self._room.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            end = time.monotonic() + SECONDS_TO_END
            while self._thread.is_alive() and time.monotonic() < end:
                if self._asking:
                    end = min(end, time.monotonic() + SECONDS_TO_ANSWER)
                self._thread.join(SECONDS_BETWEEN_LOOKS)
