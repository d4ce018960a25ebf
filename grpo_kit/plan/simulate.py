"""A step at any number of devices: generation, update and weight sync as queues, with lengths from a distribution.

Synchronous: all devices sample, then all train. Asynchronous: some devices sample without a break, at most k policy
versions ahead, while the others train. What decides between them is the tail: a batch is complete when its longest response is,
and a device that decodes three stragglers takes almost as long for a token as one that decodes three hundred sequences.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from .cost import Costs, Work

STEPS = 12  # simulated; the first ones fill the pipeline and are not counted
WARM_UP = 4


@dataclass(frozen=True, slots=True)
class Timing:
    """Averages over the counted steps.

    Attributes:
        step: seconds from update to update.
        engines_idle, trainers_idle: shares of the time in which they waited.
        staleness: mean age in versions of what was trained on.
    """

    step: float
    engines: int
    trainers: int
    engines_idle: float
    trainers_idle: float
    staleness: float


def lengths_of(mean: float, most: int, count: int, seed: int, spread: float = 0.6) -> np.ndarray:
    """Lengths of responses: log-normal with this mean before it is cut at ``most`` tokens, as reasoning models give."""
    random = np.random.default_rng(seed)
    drawn = random.lognormal(np.log(mean) - spread**2 / 2, spread, count)
    return np.clip(drawn, 1, most).round()


class _Pool:
    """Engines that share their requests evenly, decoding one token for every running sequence at a time."""

    def __init__(self, costs: Costs, engines: int, slots: int, context: float) -> None:
        self.costs, self.engines, self.context = costs, engines, context
        self.room = max(1, slots) * engines
        self.tokens = 0.0  # decoded by each sequence since the start
        self.running: list[tuple[float, int]] = []  # (value of `tokens` at which it ends, batch)
        self.waiting: list[tuple[float, int]] = []
        self.busy = 0.0
        self.paces: dict[int, float] = {}

    def admit(self) -> None:
        while self.waiting and len(self.running) < self.room:
            length, batch = self.waiting.pop()
            heapq.heappush(self.running, (self.tokens + length, batch))

    @property
    def pace(self) -> float:
        """Seconds for one token."""
        running = len(self.running)
        if running not in self.paces:
            self.paces[running] = self.costs.decode_step(running / self.engines, self.context)
        return self.paces[running]

    def next_end(self) -> float:
        """Seconds until a sequence ends."""
        return (self.running[0][0] - self.tokens) * self.pace if self.running else float("inf")

    def advance(self, seconds: float) -> None:
        if self.running:
            self.tokens += seconds / self.pace
            self.busy += seconds


def synchronous(costs: Costs, work: Work, lengths: np.ndarray, devices: int, slots: int) -> Timing:
    """All devices sample, then all devices train. lengths: [steps, sequences]."""
    context = work.context
    update, sync = costs.update(work, devices), costs.sync()
    generated = []
    for batch in lengths[:STEPS]:
        pool = _Pool(costs, devices, slots, context)
        pool.waiting = [(float(length), 0) for length in batch]
        pool.admit()
        now = costs.prefill(work, devices)
        while pool.running:
            seconds = pool.next_end()
            pool.advance(seconds)
            now += seconds
            heapq.heappop(pool.running)
            pool.admit()
        generated.append(now)
    generate = float(np.mean(generated))
    step = generate + update + sync
    return Timing(step, devices, devices, 1 - generate / step, 1 - update / step, 0.0)


def asynchronous(
    costs: Costs, work: Work, lengths: np.ndarray, engines: int, trainers: int, slots: int, ahead: int
) -> Timing:
    """Engines sample up to ``ahead`` versions before the trainer's. lengths: [steps, sequences]."""
    context = work.context
    update = costs.update(work, trainers)
    per_batch = costs.prefill(work, engines)
    pool = _Pool(costs, engines, slots, context)
    left = [len(batch) for batch in lengths]
    started: list[int] = []  # version at which each batch was begun
    ends: list[float] = []  # time of each update
    now, version, submitted, finished = 0.0, 0, 0, 0
    training_until, training_time = float("inf"), 0.0
    while version < STEPS:
        while submitted < len(lengths) and submitted <= version + ahead and len(pool.waiting) < pool.room:
            pool.waiting = [(float(length), submitted) for length in lengths[submitted]] + pool.waiting
            started.append(version)
            submitted += 1
            now += per_batch
        pool.admit()
        if training_until == float("inf") and left[version] == 0:
            training_until, training_time = now + update, training_time + update
        seconds = min(pool.next_end(), max(0.0, training_until - now))
        pool.advance(seconds)
        now += seconds
        if now >= training_until:
            version += 1
            now += costs.sync()  # engines pause, keep what they have, and go on
            training_until = float("inf")
            ends.append(now)
        elif pool.running:
            left[heapq.heappop(pool.running)[1]] -= 1
            finished += 1
    step = (ends[-1] - ends[WARM_UP - 1]) / (STEPS - WARM_UP)
    ages = [version - begun for version, begun in enumerate(started[:STEPS])]
    return Timing(
        step,
        engines,
        trainers,
        max(0.0, 1 - pool.busy / now),
        max(0.0, 1 - training_time / now),
        float(np.mean(ages[WARM_UP:])),
    )


def best_asynchronous(
    costs: Costs, work: Work, lengths: np.ndarray, devices: int, slots: int, ahead: int
) -> Timing | None:
    """The best split of the devices into engines and trainers; None for one device."""
    found = None
    for share in np.linspace(0.125, 0.875, 7):
        engines = min(devices - 1, max(1, round(devices * share)))
        if engines < 1:
            return None
        timing = asynchronous(costs, work, lengths, engines, devices - engines, slots, ahead)
        if found is None or timing.step < found.step:
            found = timing
    return found
