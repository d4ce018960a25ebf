"""Sampling that runs ahead of the training by a bounded number of policy versions.

Groups of the next steps are sampled and scored on the engine's own devices while the trainer updates. Every completion
carries the version that sampled it and the engine's log-probabilities, against which the loss corrects token by token.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import SamplingParams
from grpo_kit.observe.clock import Clock
from grpo_kit.runtime import ranks
from grpo_kit.types import Completion, Group, Prompt

from .rollouts import Round, SampledGroups

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_TO_END = 60.0
SECONDS_TO_ANSWER = 5.0


class _Over(BaseException):
    """The run is over: what is under way is not needed any more."""


@dataclass
class _Batch:
    """A step's groups, and what there is to log of them."""

    step: int
    groups: list[Group]
    statistics: dict[str, float]


class _UnderWay(Iterator[list[Completion]]):
    """Completions that are being sampled in a thread, whether they are asked for or not."""

    def __init__(self, stream: Callable[[], Iterator[list[Completion]]], over: Callable[[], bool]) -> None:
        self._over = over
        self._found: queue.Queue[list[Completion] | BaseException] = queue.Queue()
        threading.Thread(target=self._sample, args=(stream,), name="under-way", daemon=True).start()

    def _sample(self, stream: Callable[[], Iterator[list[Completion]]]) -> None:
        try:
            for completions in stream():
                self._found.put(completions)
                if self._over():
                    break
            self._found.put(StopIteration())
        except BaseException as error:
            self._found.put(error)

    def __next__(self) -> list[Completion]:
        while not self._over():
            with suppress(queue.Empty):
                found = self._found.get(timeout=SECONDS_BETWEEN_LOOKS)
                if isinstance(found, BaseException):
                    raise found
                return found
        raise _Over


class GroupsAhead:
    """A `GroupSource` that prepares steps before they are asked for.

    The requests of step s go out when step s - ``most`` is asked for, whether those of the steps between have been answered
    or not, so that a long response keeps no engine waiting, and no completion can be more than ``most`` versions old. Should
    one be older all the same (a server that came back with older weights), its group is dropped. With dynamic sampling, where
    the tasks of a step depend on the scores of the one before, requests go out one step after the other.

    A thread scores what comes and makes groups of it, step by step. Of several ranks each has one, for the rank's part of a
    step; they agree before they exchange groups, so that none waits for another one's that will never come.

    Args:
        most: how many policy versions a completion may be behind the weights that learn from it; at least 1.
        steps: the last step that will be asked for.
        version: the policy version that learns now.
        clock: the trainer's, which is charged for waiting.
    """

    recorded = False

    def __init__(self, groups: SampledGroups, most: int, steps: int, version: Callable[[], int], clock: Clock) -> None:
        groups.may_mix_versions = True
        groups.generate = self._under_way
        groups.before_gathering = lambda: self._agree(ready=True)
        self.groups, self.most, self.steps, self.version, self.clock = groups, most, steps, version, clock
        self._room = threading.Condition()
        self._pauses = self._parked = self._resumed = 0  # how many were asked for, kept, and are over
        self._begun: dict[int, Round] = {}
        self._positions: dict[int, dict[str, Any]] = {}  # of the sampler, before each step
        self._ready: deque[_Batch] = deque()
        self._wanted = 0  # the step that is trained now or was trained last
        self._failure: BaseException | None = None
        self._over = False
        self._asking = False  # the other ranks, which may have failed
        self._thread: threading.Thread | None = None
        self._statistics: dict[str, float] = {}

    def next(self, step: int, count: int) -> list[Group]:
        """See `GroupSource`. Raises what sampling or scoring raised."""
        self.groups.generator.weights_stand(True)
        with self.clock.phase("data"), self._room:
            self._wanted = step
            if not self.groups.objective.dynamic_sampling:
                for later in range(max([step - 1, *self._positions]) + 1, min(self.steps, step + self.most) + 1):
                    self._begin(later, count)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, args=(step, count), name="ahead", daemon=True)
                self._thread.start()
            self._room.notify_all()
        with self.clock.phase("generate"), self._room:
            # A batch stays until the next one is asked for: until then a stop may leave it untrained.
            while self._ready and self._ready[0].step < step:
                self._positions.pop(self._ready.popleft().step)
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

    def _begin(self, step: int, count: int) -> None:
        self._positions[step] = self.groups.sampler.state_dict()
        self._begun[step] = self.groups.begin(step, count)

    def _under_way(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[list[Completion]]:
        return _UnderWay(lambda: self.groups.generator.generate(prompts, sampling), lambda: self._over)

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
                self._prepare(step, count)
        except _Over:
            pass  # whoever ended the run knows why
        except BaseException as error:
            self._failure = error
        finally:
            with self._room:
                self._room.notify_all()

    def _prepare(self, step: int, count: int) -> None:
        while step <= self.steps:
            with self._room:
                while not (here := self._may_begin(step)) and self._pauses == self._parked and not self._over:
                    self._room.wait(SECONDS_BETWEEN_LOOKS)
                if here and step not in self._begun:
                    self._begin(step, count)
            if not here:
                self._agree(ready=False)
                continue
            try:
                groups = self.groups.finish(step, count, self._begun[step])
            except _Over:
                if not self._asking:  # else the others know
                    self._agree(ready=False)
                raise
            statistics = self.groups.statistics()
            with self._room:
                del self._begun[step]
                self._ready.append(_Batch(step, groups, statistics))
                self._room.notify_all()
            step += 1

    def _may_begin(self, step: int) -> bool:
        return step in self._begun or (self.groups.objective.dynamic_sampling and step <= self._wanted + self.most)

    def _agree(self, ready: bool) -> None:
        """Ask the other ranks whether all go on, and wait while somebody needs the scorer.

        Args:
            ready: to exchange groups; who is not asks only because of a pause, or of the end.

        Raises:
            _Over: on every rank, when the run is over on one.
        """
        while True:
            self._asking = True
            said = ranks.everyone((self._over, self._pauses), "agreeing on the groups of a step")
            if any(over for over, _ in said):
                raise _Over
            self._asking = False
            asked = max(pauses for _, pauses in said)
            if asked == self._parked:
                return
            with self._room:
                self._parked = asked
                self._room.notify_all()
                while self._resumed < asked and not self._over:
                    self._room.wait(SECONDS_BETWEEN_LOOKS)
            if not ready:
                return

    def position(self, done: int) -> dict[str, Any]:
        """Where the sampler stood before the first groups after step ``done``: they are sampled again on resume."""
        with self._room:
            return self._positions.get(done + 1) or self.groups.sampler.state_dict()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait for the step that is being scored; within, the scorer belongs to the caller. The engine goes on."""
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
        """End the threads; what they are working on is given up."""
        with self._room:
            self._over = True
            self._room.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            end = time.monotonic() + SECONDS_TO_END
            while self._thread.is_alive() and time.monotonic() < end:
                if self._asking:
                    end = min(end, time.monotonic() + SECONDS_TO_ANSWER)
                self._thread.join(SECONDS_BETWEEN_LOOKS)
