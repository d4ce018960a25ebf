"""What waits to be scored, and how much of it one worker is given at a time."""

from __future__ import annotations

import itertools
import pickle
from collections import deque
from collections.abc import Iterable
from typing import Any

from grpo_kit.types import Score, Status

from .channel import MAX_ATTEMPTS, WAITING
from .work import Loaded, Work

# One chunk should take about this long: far above the cost of sending it, far below what a step would wait for.
CHUNK_SECONDS = 0.01
FIRST_CHUNK, LARGEST_CHUNK, LARGEST_BATCH = 4, 512, 64
CHUNK_CHARACTERS = 2**20
# Chunks per worker that the last of the work is divided into, so that one worker does not end long after the others.
TAIL = 4

Item = tuple[Work, int]


class Chunk:
    """Some completions for one verifier, sent to a worker together."""

    _ids = itertools.count(1)

    def __init__(self, loaded: Loaded, items: list[Item]) -> None:
        self.id = next(self._ids)
        self.loaded = loaded
        self.items = items
        self.open = len(items)
        self.seconds = 0.0
        self.received = [False] * len(items)

    @property
    def done(self) -> bool:
        return self.open == 0

    def request(self) -> tuple[Any, ...]:
        """The verifier, and runs of completions that share a task, each pickled alone with their number.

        Raises:
            Exception: whatever a task's own class raises when it is pickled.
        """
        segments = []
        for work, members in itertools.groupby(self.items, key=lambda item: item[0]):
            positions = [position for _, position in members]
            own = None if work.own is None else [work.own[p] for p in positions]
            run = (work.context, [work.responses[p] for p in positions], own)
            segments.append((pickle.dumps(run, pickle.HIGHEST_PROTOCOL), len(positions)))
        key, address, options = self.loaded.request
        return (key, address, (options, self.loaded.verifier.timeout)), segments

    def deliver(self, result: list[Any]) -> None:
        """Take one result as a worker encodes it."""
        position, seconds, value = result[:3]
        status: Status
        status, extracted, reason, metrics, traceback = result[3:] or ("ok", None, "", {}, "")
        self._settle(position, Score(value, status, extracted, reason, metrics), seconds, traceback)

    def _settle(self, position: int, score: Score, seconds: float = 0.0, traceback: str = "") -> None:
        if self.received[position]:
            return
        self.received[position] = True
        self.open -= 1
        self.seconds += seconds
        work, index = self.items[position]
        work.deliver(index, score, seconds, traceback)

    def blame(self, position: int, score: Score) -> None:
        """Charge the death of a worker to the call that was running, if that is known."""
        if self.loaded.verifier.batch and len(self.items) > 1 and score.status in ("error", "timeout"):
            self.count_attempts(WAITING)  # one response of the batch did it: each is tried alone
        elif self.loaded.verifier.many or position == WAITING:
            for each in range(len(self.items)):
                self._settle(each, score, self.loaded.verifier.timeout if score.status == "timeout" else 0.0)
        elif position >= 0 and not self.received[position]:
            self._settle(position, score, self.loaded.verifier.timeout if score.status == "timeout" else 0.0)
        else:
            self.count_attempts(position)

    def count_attempts(self, position: int) -> None:
        """Nobody can be blamed: what was under way may be tried again, but not for ever."""
        running = [position] if position >= 0 and not self.received[position] else range(len(self.items))
        for each in running:
            if self.received[each]:
                continue
            work, index = self.items[each]
            work.attempts[index] = work.attempts.get(index, 0) + 1
            if work.attempts[index] >= MAX_ATTEMPTS:
                self._settle(
                    each, Score(status="error", reason=f"its worker died {MAX_ATTEMPTS} times while it was scored")
                )


class Queue:
    """Completions waiting for a worker, per verifier, oldest group first."""

    def __init__(self) -> None:
        self._waiting: dict[int, deque[Item]] = {}
        self._loaded: dict[int, Loaded] = {}
        self._busy: dict[int, int] = {}  # chunks under way, per verifier
        self._cost: dict[int, float] = {}  # seconds per completion, smoothed
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def extend(self, works: Iterable[Work]) -> None:
        for work in works:
            key = work.loaded.key
            self._loaded[key] = work.loaded
            waiting = self._waiting.setdefault(key, deque())
            waiting.extend((work, position) for position in range(len(work.responses)))
            self._count += len(work.responses)

    def give_back(self, chunk: Chunk) -> None:
        """Queue what a dead worker left undone, ahead of everything else."""
        left = [item for item, received in zip(chunk.items, chunk.received, strict=True) if not received]
        self._waiting[chunk.loaded.key].extendleft(reversed(left))
        self._count += len(left)
        self._busy[chunk.loaded.key] -= 1
        if chunk.seconds:
            self._measure(chunk)

    def learn(self, chunk: Chunk) -> None:
        """Take the measured cost of a finished chunk into account."""
        self._busy[chunk.loaded.key] -= 1
        self._measure(chunk)

    def _measure(self, chunk: Chunk) -> None:
        key, cost = chunk.loaded.key, chunk.seconds / len(chunk.items)
        self._cost[key] = 0.5 * (self._cost.get(key, cost) + cost)

    def take(self, workers: int) -> Chunk | None:
        """The next chunk, or None when what waits must wait for calls that are under way."""
        for key, waiting in self._waiting.items():
            verifier = self._loaded[key].verifier
            # Their limit of concurrent calls is kept by one event loop, so they are one worker's at a time.
            if not waiting or (verifier.is_async and not verifier.many and self._busy.get(key)):
                continue
            items = self._take_group(waiting) if verifier.group else self._take_items(key, waiting, workers)
            if not items:
                continue
            # round robin: this verifier goes behind the others
            self._waiting[key] = self._waiting.pop(key)
            self._busy[key] = self._busy.get(key, 0) + 1
            return Chunk(self._loaded[key], items)
        return None

    def _take_group(self, waiting: deque[Item]) -> list[Item]:
        work = waiting[0][0]
        items: list[Item] = []
        while waiting and waiting[0][0] is work:
            items.append(self._pop(waiting))
        return [] if work.cancelled else items

    def _take_items(self, key: int, waiting: deque[Item], workers: int) -> list[Item]:
        size, characters = self._size(key, len(waiting), workers), 0
        items: list[Item] = []
        while waiting and len(items) < size and characters < CHUNK_CHARACTERS:
            if waiting[0][1] in waiting[0][0].attempts:  # a worker died of it, perhaps: alone next time
                size = 1
                if items:
                    break
            work, position = self._pop(waiting)
            if not work.cancelled:
                items.append((work, position))
                characters += len(work.responses[position] or "")  # None only in self-tests
        return items

    def _pop(self, waiting: deque[Item]) -> Item:
        self._count -= 1
        return waiting.popleft()

    def _size(self, key: int, waiting: int, workers: int) -> int:
        verifier = self._loaded[key].verifier
        if verifier.is_async and not verifier.many:
            return verifier.concurrency * 16
        if key not in self._cost:
            return FIRST_CHUNK
        largest = LARGEST_BATCH if verifier.batch else LARGEST_CHUNK
        fair = max(FIRST_CHUNK, -(-waiting // (TAIL * workers)))
        return max(1, min(int(CHUNK_SECONDS / max(self._cost[key], 1e-9)), largest, fair))
