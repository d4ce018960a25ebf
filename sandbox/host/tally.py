"""What is asked of a run, and the verdicts as they come in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..wire import shown
from ..wire.limits import Limits
from .jobs import Outcome, killed_by
from .result import Result, TestResult, Verdict

RESTARTS = 3  # how often a program that died in one test is started anew for the tests after it


class TestError(ValueError):
    """A test that cannot be run whatever the program: it does not parse, or lacks a field."""

    __test__ = False


@dataclass(slots=True)
class Request:
    """A program and its tests. See `Sandbox.run_tests` for the fields."""

    code: str
    tests: Sequence[Any]
    kind: str
    entry_points: tuple[str, ...]
    setup: str
    limits: Limits
    stop_at_first: bool = False
    tolerance: float | None = None
    grading: str = "outside"
    layout: str = "lines"

    def message(self, mode: str, limits: Limits) -> dict[str, Any]:
        """What a child is told of the program. The setup runs before it, as a program of its own."""
        return {"mode": mode, "code": self.code, "setup": self.setup, "limits": limits.as_dict()}


@dataclass(slots=True)
class Tally:
    """Verdicts as they come in, and what the processes used."""

    request: Request
    backend: str
    verdicts: list[TestResult | None] = field(default_factory=list)
    result: Result = field(default_factory=lambda: Result("fail"))
    kept_output: bool = False
    decided: bool = False

    def __post_init__(self) -> None:
        self.verdicts = [None] * len(self.request.tests)

    def set(self, index: int, verdict: Verdict, reason: str = "") -> bool:
        """Record one verdict; True if the run may end here, after which nothing more is recorded."""
        if self.decided:
            return True  # replies that were on their way when the run was ended
        if self.verdicts[index] is None:
            self.verdicts[index] = TestResult(verdict, shown.written(reason))
        self.decided = self.request.stop_at_first and verdict != "pass"
        return self.decided

    def fill(self, verdict: Verdict, reason: str) -> None:
        for index, known in enumerate(self.verdicts):
            if known is None:
                self.verdicts[index] = TestResult(verdict, shown.written(reason))

    def pending(self) -> list[int]:
        return [] if self.decided else [i for i, v in enumerate(self.verdicts) if v is None]

    def remaining(self) -> Limits | None:
        """What is left of the time, which holds for all tests together; None when there is none."""
        limits, used = self.request.limits, self.result
        cpu, wall = limits.cpu_s - used.cpu_s, limits.wall_s - used.wall_s
        return limits.with_(cpu_s=cpu, wall_s=wall) if cpu > 0 and wall > 0 else None

    def account(self, outcome: Outcome, keep_output: bool = True) -> None:
        result = self.result
        result.wall_s += outcome.wall_s
        result.cpu_s += outcome.cpu_s
        result.peak_memory_mb = max(result.peak_memory_mb, outcome.peak_memory_mb)
        if keep_output:
            result.stdout = outcome.stdout.decode("utf-8", "replace")
            result.stderr = outcome.stderr.decode("utf-8", "replace")
            result.signal = killed_by(outcome.status) if not outcome.stopped else None

    def finish(self, grading: str) -> Result:
        result = self.result
        self.fill("skipped", "an earlier test decided")
        result.tests = [v for v in self.verdicts if v is not None]
        first = result.first_failure
        result.verdict = "pass" if first is None else result.tests[first].verdict
        result.reason = "" if first is None else result.tests[first].reason
        result.grading, result.backend = grading, self.backend  # type: ignore[assignment]
        return result
