"""Where the seconds of a step go, with what nobody claimed called by its name."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")


class Clock:
    """Accumulates seconds per phase; phases may nest, and an inner phase's time is not counted in the outer one."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._started = time.perf_counter()
        self._inner = [0.0]

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begun
            own = elapsed - self._inner.pop()
            self._inner[-1] += elapsed
            self.seconds[name] = self.seconds.get(name, 0.0) + own

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
        self.seconds, self._started = {}, time.perf_counter()
        return result
