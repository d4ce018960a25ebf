"""What comes back from the sandbox: a verdict per test, a verdict overall, and what the run used."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal[
    "pass",
    "fail",
    "timeout",
    "memory",
    "output_limit",
    "compile_error",
    "signal",
    "blocked",
    "skipped",
    "sandbox_error",
]
Backend = Literal["namespaces", "landlock", "none"]


@dataclass(slots=True)
class TestResult:
    """One test: its verdict, and one line of why when it did not pass.

    ``skipped`` means that an earlier failure ended the run before this test began.
    """

    __test__ = False  # not a test class, whatever pytest thinks of its name

    verdict: Verdict
    reason: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"


@dataclass(slots=True)
class Result:
    """One run of one program.

    Attributes:
        verdict: ``pass`` if every test passed, otherwise the verdict of the first test that did not.
        tests: one per test, in order; empty for `Sandbox.run_script`.
        stdout, stderr: what the program wrote, bounded by ``Limits.output_kb``, undecodable bytes replaced. For several
            stdio tests: of the first test that did not pass, or of the last.
        exit_code: of the program, for scripts that came to an end by themselves.
        wall_s, cpu_s, peak_memory_mb: of the program's own process (sums over several processes; memory: the maximum).
        sandbox_error: why the sandbox could not judge. Then ``verdict`` is ``sandbox_error``, which says nothing about
            the program and must not become a reward.
        backend: what isolated the program.
        grading: ``calls`` (results compared outside), ``referee`` (tests in a second isolated process), ``stdio``, or
            ``same_process`` (asked for; the program can cheat).
    """

    verdict: Verdict
    tests: list[TestResult] = field(default_factory=list)
    stdout: str = ""
    stderr: str = ""
    reason: str = ""
    exit_code: int | None = None
    signal: int | None = None
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_memory_mb: float = 0.0
    sandbox_error: str | None = None
    backend: Backend = "namespaces"
    grading: str = ""

    @property
    def passed(self) -> bool:
        return self.verdict == "pass"

    @property
    def fraction(self) -> float:
        """Share of the tests that passed; 1 or 0 where there are no separate tests."""
        if not self.tests:
            return float(self.passed)
        return sum(t.passed for t in self.tests) / len(self.tests)

    @property
    def first_failure(self) -> int | None:
        """Index of the first test that did not pass."""
        return next((i for i, t in enumerate(self.tests) if not t.passed), None)
