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

from grpo_kit.environments.episodes import Episodes, play
from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.observe.clock import Clock
from grpo_kit.runtime import ranks
from grpo_kit.types import Completion, Group, Prompt, Task

from .gate import SECONDS_BETWEEN_LOOKS, Gate, RunOver
from .rounds import Round, Rounds, SamplingSetup

SECONDS_TO_END = 60.0
SECONDS_TO_ANSWER = 5.0


class AtOnce:
    """Requests go out when a round begins, each in a thread of its own, whether their completions are asked for or not."""

    mixes_versions = True

    def __init__(self, generator: Generator, gate: Gate, episodes: Episodes | None = None) -> None:
        self.generator, self.gate, self.episodes = generator, gate, episodes

    def completions(self, tasks: Sequence[tuple[Task, Prompt]], sampling: SamplingParams) -> Iterator[list[Completion]]:
        return _UnderWay(lambda: play(self.generator, tasks, sampling, self.episodes), lambda: self.gate.closed)

    def before_gathering(self, put_aside: Callable[[], None]) -> None:
        self.gate.agree(exchanging=True, before_waiting=put_aside)


class _UnderWay(Iterator[list[Completion]]):
    """Completions that are being sampled in a thread. Raises what sampling raised, and RunOver at the end of the run."""

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
        raise RunOver


@dataclass
class _Batch:
    """A step's groups, and what there is to log of them."""

    step: int
    groups: list[Group]
    statistics: dict[str, float]


class GroupsAhead:
    """A `GroupSource` that prepares steps before they are asked for.

    A step goes through these states, its position being kept from the first to the last::

        drawn ---> finished ---> given ---> gone
          |            |           |          `- next(s + 1): only now has it been learned from, as a stop may come before
          |            |           `- next(s): by then it is waited for
          |            `- the preparing thread, one step after the other: completions have come and are scored
          `- next(s - max_staleness): requests go out, whether those of the steps between have been answered or not,
             so that a long response keeps no engine waiting. With dynamic sampling the tasks of a step depend on
             the scores of the one before: then the preparing thread draws, one step after the other

    and the preparing thread through these::

        at work ---> at the gate ---> at work      before it exchanges groups with other ranks, and while paused
          |              `----------> over         the run ended here, or on another rank
          `----------> failed                      sampling or scoring raised; `next` raises it from then on

    Since nothing is drawn earlier, no completion can be more than ``max_staleness`` versions old. Should one be older all
    the same (a server that came back with older weights), its group is dropped. Of several ranks each has such a thread,
    for the rank's part of a step.

    Args:
        clock: the trainer's, which is charged for waiting.
        max_staleness: how many policy versions a completion may be behind the weights that learn from it; at least 1.
        steps: the last step that will be asked for.
        version: the policy version that learns now.
    """

    recorded = False

    def __init__(
        self, setup: SamplingSetup, clock: Clock, *, max_staleness: int, steps: int, version: Callable[[], int]
    ) -> None:
        self.setup, self.clock = setup, clock
        self.max_staleness, self.steps, self.version = max_staleness, steps, version
        self._gate = Gate()
        self._condition = self._gate.condition
        # The thread has a clock that nobody reads: what it does costs the step no time but that of waiting for it.
        self._rounds = Rounds(setup, AtOnce(setup.generator, self._gate, setup.episodes), Clock())
        self._thread: threading.Thread | None = None
        self._failure: BaseException | None = None
        self._wanted = 0  # the step that is trained now or was trained last
        self._drawn: dict[int, Round] = {}
        self._finished: deque[_Batch] = deque()
        self._positions: dict[int, dict[str, Any]] = {}  # of the sampler, before each step that is not gone
        self._statistics: dict[str, float] = {}

    def next(self, step: int, count: int) -> list[Group]:
        """See `GroupSource.next`. Raises what sampling or scoring raised."""
        self.setup.generator.weights_stable(True)
        with self.clock.phase("data"), self._condition:
            self._wanted = step
            if not self.setup.objective.dynamic_sampling:
                last = min(self.steps, step + self.max_staleness)
                for later in range(max([step - 1, *self._positions]) + 1, last + 1):
                    self._draw(later, count)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, args=(step, count), name="ahead", daemon=True)
                self._thread.start()
            self._condition.notify_all()
        with self.clock.phase("generate"), self._condition:
            # A batch stays until the next one is asked for: until then a stop may leave it untrained.
            while self._finished and self._finished[0].step < step:
                self._positions.pop(self._finished.popleft().step)
            while not self._finished:
                if self._failure is not None:
                    raise self._failure
                if not self._thread.is_alive():
                    raise RunFailed(f"step {step}: sampling has ended, as another rank stopped")
                self._gate.wait()
            batch = self._finished[0]
        self.setup.generator.weights_stable(False)
        if batch.step != step:
            raise RuntimeError(f"step {step} was asked for, step {batch.step} was prepared")
        return self._fresh(batch)

    def _draw(self, step: int, count: int) -> None:
        self._positions[step] = self.setup.sampler.state_dict()
        self._drawn[step] = self._rounds.begin(step, count)

    def _fresh(self, batch: _Batch) -> list[Group]:
        """The groups of a batch that are not too old."""
        now = self.version()
        # The age of each token; that of a completion is the age of its oldest one.
        ages = [
            [(now - version, count) for c in group.completions for version, count in c.versions()]
            for group in batch.groups
        ]
        oldest = [max(age for age, _ in found) for found in ages]
        kept = [g for g, age in zip(batch.groups, oldest, strict=True) if age <= self.max_staleness]
        tokens = sum(count for found in ages for _, count in found)
        if not kept:
            raise RunFailed(
                f"step {batch.step}: all {len(ages)} groups were sampled {min(oldest)} or more policy versions ago, and "
                f"rollout.max_staleness is {self.max_staleness}: the servers do not take new weights"
            )
        self._statistics = batch.statistics | {
            "staleness/mean": sum(age * count for found in ages for age, count in found) / max(1, tokens),
            "staleness/max": float(max(oldest, default=0)),
            "staleness/mixed_completions": float(
                sum(bool(c.later_versions) for g in batch.groups for c in g.completions)
            ),
            "staleness/dropped_groups": float(len(batch.groups) - len(kept)),
            "staleness/steps_ready": float(len(self._finished) - 1),
        }
        return kept

    def learned(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        """What came of a step decides nothing of the next."""

    def statistics(self) -> dict[str, float]:
        statistics, self._statistics = self._statistics, {}
        return statistics | {"prompts_too_long": self.setup.sampler.skipped_long}

    # --- the preparing thread ------------------------------------------------------------------------------------

    def _work(self, step: int, count: int) -> None:
        try:
            with ranks.aside():
                self._prepare(step, count)
        except RunOver:
            pass  # whoever ended the run knows why
        except BaseException as error:
            self._failure = error
        finally:
            with self._condition:
                self._condition.notify_all()

    def _prepare(self, step: int, count: int) -> None:
        gate = self._gate
        while step <= self.steps:
            with self._condition:
                while not (may_begin := self._may_begin(step)) and not gate.pause_requested and not gate.closed:
                    gate.wait()
                if may_begin and step not in self._drawn:
                    self._draw(step, count)
            if not may_begin:
                gate.agree(exchanging=False)
                continue
            try:
                groups = self._rounds.finish(step, count, self._drawn[step])
            except RunOver:
                if not gate.asking:  # else the others know
                    gate.agree(exchanging=False)
                raise
            statistics = self._rounds.statistics()
            with self._condition:
                del self._drawn[step]
                self._finished.append(_Batch(step, groups, statistics))
                self._condition.notify_all()
            step += 1

    def _may_begin(self, step: int) -> bool:
        may_draw = self.setup.objective.dynamic_sampling and step <= self._wanted + self.max_staleness
        return step in self._drawn or may_draw

    # --- leaving and coming back ---------------------------------------------------------------------------------

    def position(self, done: int) -> dict[str, Any]:
        """Where the sampler stood before the first groups after step ``done``: they are sampled again on resume."""
        with self._condition:
            return self._positions.get(done + 1) or self.setup.sampler.state_dict()

    def restore(self, position: dict[str, Any]) -> None:
        self.setup.sampler.load_state_dict(position)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Wait for the step that is being scored; within, the scorer belongs to the caller. The engine goes on."""
        self.setup.generator.weights_stable(True)
        with self._gate.pause(self._works):
            yield

    def _works(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def close(self) -> None:
        """End the threads; what they are working on is given up."""
        self._gate.close()
        if self._thread is not None and self._thread is not threading.current_thread():
            end = time.monotonic() + SECONDS_TO_END
            while self._thread.is_alive() and time.monotonic() < end:
                if self._gate.asking:
                    end = min(end, time.monotonic() + SECONDS_TO_ANSWER)
                self._thread.join(SECONDS_BETWEEN_LOOKS)
