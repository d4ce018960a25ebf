"""Where untrusted programs run: isolated by the kernel, judged from outside. See docs/sandbox.md, and docs/grading.md.

`host` is trusted, `inside` shares its processes with hostile code, `wire` is what the two speak.
"""

from __future__ import annotations

from .host.probe import Probe, probe
from .host.result import Result, TestResult, Verdict
from .host.sandbox import Sandbox
from .host.session import Session, Step
from .host.tally import TestError
from .wire.limits import Limits, SandboxError

__all__ = [
    "Limits",
    "Probe",
    "Result",
    "Sandbox",
    "SandboxError",
    "Session",
    "Step",
    "TestError",
    "TestResult",
    "Verdict",
    "probe",
]
