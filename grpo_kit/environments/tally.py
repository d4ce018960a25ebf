"""What is counted of an environment between two readings, and when it has failed too often to go on."""

from __future__ import annotations

import re
import threading
from collections import Counter
from pathlib import Path

from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.scoring.statistics import Latencies
from grpo_kit.types import Task

from .base import Environment
from .players import Players
from .pool import EnvironmentFailed, Heard

SHOWN = 4_000  # characters of a turn beside a traceback


class Tally:
    """Counts calls, keeps the first failure, and stops a run whose environment fails in most episodes.

    Args:
        max_error_rate: above this share of episodes that failed or timed out, a round counts as broken.
        patience: that many broken rounds in a row are too many.
        folder: where the first traceback is written.
    """

    def __init__(self, environment: Environment, max_error_rate: float, patience: int, folder: Path | None) -> None:
        self._environment, self._max_error_rate, self._patience, self._folder = (
            environment,
            max_error_rate,
            patience,
            folder,
        )
        self._lock = threading.Lock()
        self._latencies, self._counts = Latencies(), Counter[str]()
        self._first_failure = ""
        self._broken_rounds = 0
        self._told = (0, 0)  # workers replaced and calls made again, at the last reading

    def call(self, heard: Heard, task: Task, text: str) -> None:
        """A call was answered. text: the turn that it was about."""
        with self._lock:
            self._counts["count"] += 1
            self._latencies.add(heard.seconds)
        if heard.failure is not None:
            self.failure(heard, task, text)

    def failure(self, heard: Heard, task: Task, text: str) -> None:
        assert heard.failure is not None
        with self._lock:
            self._counts[heard.failure.status] += 1
            if self._first_failure:
                return
            self._first_failure = heard.failure.reason
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True)
            name = re.sub(r"[^A-Za-z0-9_.-]", "_", self._environment.name)
            (self._folder / f"environment-{name}.txt").write_text(
                f"environment {self._environment.name} ({self._environment.origin})\ntask {task.id}\n"
                f"{heard.failure.status}: {heard.failure.reason}\n\n{heard.traceback}\nturn:\n{text[:SHOWN]}\n",
                encoding="utf-8",
                errors="backslashreplace",
            )

    def round_ended(self, failed: int, count: int) -> None:
        if count:
            self._broken_rounds = self._broken_rounds + 1 if failed > self._max_error_rate * count else 0

    def raise_if_broken(self) -> None:
        """Raises EnvironmentFailed where too many rounds in a row were broken."""
        if self._broken_rounds >= self._patience:
            kept = f" Its first traceback: {self._folder}." if self._folder else ""
            raise EnvironmentFailed(
                f"environment {self._environment.name!r} failed in more than {self._max_error_rate:.0%} of the episodes, "
                f"{self._broken_rounds} rounds in a row. First failure: {self._first_failure}.{kept} Mend the environment."
            )

    def summary(self, pool: Players) -> Measures:
        now = (pool.replaced, pool.replayed)
        with self._lock:
            counts, self._counts = self._counts, Counter()
            latencies, self._latencies = self._latencies, Latencies()
            before, self._told = self._told, now
        found = {name: Measure.sum(counts[name]) for name in ("count", "error", "timeout")} | latencies.summary()
        found |= {"restarts": Measure.sum(now[0] - before[0]), "replayed": Measure.sum(now[1] - before[1])}
        return Measures({f"environment/{name}": measure for name, measure in found.items()}) | pool.statistics()
