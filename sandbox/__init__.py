"""Where untrusted programs run: isolated by the kernel, judged from outside. See docs/sandbox.md."""

from __future__ import annotations

from .limits import Limits, SandboxError
from .probe import Probe, probe
from .result import Result, TestResult, Verdict
from .sandbox import Sandbox
from .tally import TestError

__all__ = ["Limits", "Probe", "Result", "Sandbox", "SandboxError", "TestError", "TestResult", "Verdict", "probe"]
