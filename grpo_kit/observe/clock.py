"""Where the seconds of a step go, with what nobody claimed called by its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Accumulates seconds per phase; phases may nest, and an inner phase's time is not counted in the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.listeners: list[Callable[[dict[str, float]], None]] = []
        self.region: Callable[[str], AbstractContextManager[None]] | None = None  # entered with every phase
        self._started = time.perf_counter()
        self._inner = [0.0]
        # Innermost last, with when it was entered or come back to; the first is what no phase claims.
        self._active: list[tuple[str, float]] = [("", self._started)]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        self._inner.append(0.0)
        self._active.append((name, begun))
        try:
            with self.region(name) if self.region else nullcontext():
                yield
        finally:
            now = time.perf_counter()
            elapsed = now - begun
            self._active.pop()
            self._active[-1] = (self._active[-1][0], now)
            own = elapsed - self._inner.pop()
            self._inner[-1] += elapsed
            self.seconds[name] = self.seconds.get(name, 0.0) + own

    def waiting(self) -> tuple[str, float]:
        """The phase that the run is in (none: ""), and for how many seconds nothing has begun or ended; for another thread."""
        name, since = self._active[-1]
        return name, time.perf_counter() - since

    def touch(self) -> None:
        """Say that the present phase gets on."""
        self._active[-1] = (self._active[-1][0], time.perf_counter())

    def iterate(self, name: str, items: Iterable[T]) -> Iterator[T]:
        """Charge the time that an iterator takes to produce its items to a phase."""
        iterator = iter(items)
        while True:
            with self.phase(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def finish(self) -> dict[str, float]:
        """Seconds per phase, the total, and what is unaccounted for; the clock starts again."""
        total = time.perf_counter() - self._started
        result = {f"seconds/{name}": value for name, value in self.seconds.items()}
        result["seconds/total"] = total
        result["seconds/unaccounted"] = total - sum(self.seconds.values())
        self.seconds = {}
        for listener in self.listeners:
            listener(result)
        self._started = time.perf_counter()
        return result


def where_time_went(finished: Iterable[Mapping[str, float]]) -> str:
    """What a run took in all and its largest parts, for a person.

    Args:
        finished: what `Clock.finish` gave, step by step.
    """
    parts: dict[str, float] = {}
    for seconds in finished:
        for name, value in seconds.items():
            if name.startswith("seconds/"):
                part = name.split("/")[1]  # that of "seconds/update/backward" is update
                parts[part] = parts.get(part, 0.0) + value
    whole = parts.pop("total", 0.0)
    shown = [
        f"{name} {spent / whole:.0%}"
        for name, spent in sorted(parts.items(), key=lambda p: -p[1])
        if spent > 0.02 * whole
    ]
    return f"{duration(whole)}: {', '.join(shown)}" if shown else duration(whole)


def duration(seconds: float) -> str:
    """Seconds in the two largest units that say something."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, hours = divmod(round(seconds), 60)[0], round(seconds) // 3600
    return f"{minutes} min {round(seconds) % 60} s" if hours < 1 else f"{hours} h {minutes % 60} min"


_running: list[Clock] = []


def run_by(clock: Clock) -> Clock:
    """Make this the clock that `phase` charges, in place of an earlier run's."""
    _running[:] = [clock]
    return clock


@contextmanager
def phase(name: str) -> Iterator[None]:
    """Charge a phase of the running clock, for code that is not handed one; without a clock it does nothing."""
    if not _running:
        yield
        return
    with _running[0].phase(name):
        yield


def rates(metrics: dict[str, float], tokens: int, machine_rate: float) -> dict[str, float]:
    """What a step came to per second.

    Args:
        metrics: of the step, with its phases; ``update/flops`` of all ranks where the learner counts them.
        tokens: sampled in the step.
        machine_rate: floating-point operations per second of a large matrix product, the sum over all ranks (0 where it
            was not measured).
    """
    found = {"tokens_per_second": tokens / metrics["seconds/total"]}
    passes = sum(seconds for name, seconds in metrics.items() if name.startswith("seconds/update"))
    if "update/flops" in metrics and machine_rate and passes:
        found["utilisation"] = metrics["update/flops"] / passes / machine_rate
    return found
