"""From how a process ended to a verdict about the program."""

from __future__ import annotations

import errno
import os
import signal
from typing import TYPE_CHECKING

from ..wire.calls import Raised
from ..wire.limits import Broken, Limits, SandboxError
from .result import Verdict

if TYPE_CHECKING:
    from .jobs import Outcome


_FORGED = "the program wrote on the channel of its results"


def ending(outcome: Outcome, limits: Limits, backend: str) -> tuple[Verdict, str]:
    """Verdict and reason for a process that ended before it said all it should have.

    Raises:
        SandboxError: something outside the program ended it.
    """
    if outcome.error is not None:
        raise SandboxError(outcome.error)
    if not outcome.accepted and not outcome.stopped:
        raise SandboxError(f"the child ended (status {outcome.status}) before it took its job")
    stopped: dict[str, tuple[Verdict, str]] = {
        "cpu": ("timeout", f"more than {limits.cpu_s:g} s of CPU time"),
        "wall": ("timeout", f"more than {limits.wall_s:g} s of wall time"),
        "output": ("output_limit", f"more than {limits.output_kb} KiB of output"),
        "reply": ("output_limit", f"more than {limits.reply_kb} KiB of results"),
        "protocol": ("fail", _FORGED),
        "stop": ("fail", _FORGED),  # it said more than there was to say
        "disk": ("fail", f"more than {limits.disk_mb} MiB or {limits.inodes} files written"),
    }
    if outcome.stopped in stopped:
        return stopped[outcome.stopped]
    if out_of_time(outcome, limits):
        return "timeout", f"more than {limits.cpu_s:g} s of CPU time"
    if os.WIFSIGNALED(outcome.status):
        return _by_signal(os.WTERMSIG(outcome.status), outcome, limits, backend)
    code = os.waitstatus_to_exitcode(outcome.status)
    return "fail", f"the program ended by itself (exit code {code})"


def out_of_time(outcome: Outcome, limits: Limits) -> bool:
    """Whether the kernel's account of CPU time is above the limit."""
    return outcome.cpu_s > limits.cpu_s


def _by_signal(number: int, outcome: Outcome, limits: Limits, backend: str) -> tuple[Verdict, str]:
    name = signal.Signals(number).name if number in set(signal.Signals) else str(number)
    if number == signal.SIGSYS:
        return "blocked", "a forbidden system call"
    if number == signal.SIGXCPU:
        return "timeout", f"more than {limits.cpu_s:g} s of CPU time"
    if number == signal.SIGKILL and backend == "namespaces":
        # The first process of a pid namespace cannot kill itself: this came from outside, most likely from the
        # kernel's out-of-memory killer.
        if limits.subprocesses or outcome.peak_memory_mb > limits.memory_mb / 2:
            return "memory", "killed while it held much memory"
        raise Broken("something outside the sandbox killed the program")
    return "signal", f"ended by {name}"


def exception(raised: Raised) -> tuple[Verdict, str]:
    """Verdict and reason for an exception that the program did not catch."""
    if raised.name == "MemoryError":
        return "memory", "MemoryError"
    if raised.name == "PermissionError" and raised.errno in (errno.EPERM, errno.EACCES, errno.EROFS):
        return "blocked", str(raised)
    return "fail", str(raised)
