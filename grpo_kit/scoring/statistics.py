"""What is counted per verifier between two readings."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from grpo_kit.observe.measure import Measure
from grpo_kit.types import Score

# Enough for exact percentiles of a usual step; a longer one is thinned evenly, so that memory stays bounded.
MAX_LATENCIES = 8192


@dataclass
class Latencies:
    """How long calls took, in seconds."""

    kept: list[float] = field(default_factory=list)
    seen: int = 0
    stride: int = 1

    def add(self, seconds: float) -> None:
        if self.seen % self.stride == 0:
            self.kept.append(seconds)
            if len(self.kept) >= MAX_LATENCIES:
                self.kept = self.kept[::2]
                self.stride *= 2
        self.seen += 1

    def summary(self) -> dict[str, Measure]:
        """``latency_p50`` and ``latency_p95``; over several ranks the latter is that of the slowest one."""
        if not self.kept:
            return {}
        ordered = sorted(self.kept)
        middle, slow = (ordered[min(int(share * len(ordered)), len(ordered) - 1)] for share in (0.5, 0.95))
        return {"latency_p50": Measure.mean(middle * self.seen, self.seen), "latency_p95": Measure.max(slow)}


@dataclass
class VerifierStatistics:
    """Counts of one verifier's scores, and the moments and percentiles of them."""

    statuses: Counter[str] = field(default_factory=Counter)
    total: float = 0.0
    squares: float = 0.0
    metrics: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0, 0.0]))
    latencies: Latencies = field(default_factory=Latencies)

    @property
    def count(self) -> int:
        return sum(self.statuses.values())

    @property
    def failure_rate(self) -> float:
        """Share of calls that ended in an error or a timeout."""
        return (self.statuses["error"] + self.statuses["timeout"]) / self.count if self.count else 0.0

    def add(self, score: Score, seconds: float) -> None:
        self.latencies.add(seconds)
        self.statuses[score.status] += 1
        if not score.counts:
            return
        self.total += score.value
        self.squares += score.value * score.value
        for name, value in score.metrics.items():
            summed = self.metrics[name]
            summed[0] += value
            summed[1] += 1

    def summary(self) -> dict[str, Measure]:
        """``mean`` and ``std`` of the scores that count, counts by status, latency percentiles in seconds."""
        found = {"count": Measure.sum(self.count)}
        found |= {status: Measure.sum(self.statuses[status]) for status in ("abstain", "error", "timeout")}
        scored = self.statuses["ok"]
        if scored:
            found["mean"] = Measure.mean(self.total, scored)
            found["std"] = Measure.std(self.squares, self.total, scored)
        found |= self.latencies.summary()
        return found | {name: Measure.mean(total, count) for name, (total, count) in self.metrics.items()}
