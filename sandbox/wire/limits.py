"""What a program may use. CPU time is the limit that decides; wall time only ends programs that wait."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any


class SandboxError(Exception):
    """The sandbox could not do its work. Never a statement about the program that was to run."""


class Broken(SandboxError):
    """A run that was ended from elsewhere, as far as can be seen. Should a program find out how to bring this about, it
    happens to that program again and again, and to others not."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one run. The defaults fit the reference solutions of HumanEval, MBPP and typical judge problems.

    Attributes:
        cpu_s: seconds of CPU time, over all threads; a verdict must not depend on how busy the machine is.
        wall_s: seconds of wall time; generous, for programs that sleep or wait for input that never comes.
        memory_mb: address space that the program may add to the warm interpreter's own, in MiB.
        processes: threads (and processes, where ``subprocesses`` is set) at a time.
        file_mb: size of one file, in MiB.
        disk_mb: size of all files of the private scratch together, in MiB; they are held in memory.
        inodes: files and folders in the scratch.
        open_files: open descriptors.
        output_kb: bytes of standard output, in KiB. As much of standard error is kept; 32 times as much may be written.
        reply_kb: bytes of results that come back from function calls, in KiB, over all tests of a run; where a referee
            judges, of what comes back from one call.
        stack_mb: stack of the main thread, in MiB: what deep recursion inside C code may use.
        subprocesses: let the program start other processes. Needs a writable cgroup v2, because address-space
            limits hold for one process and not for a tree.
    """

    cpu_s: float = 5.0
    wall_s: float = 20.0
    memory_mb: int = 512
    processes: int = 32
    file_mb: int = 16
    disk_mb: int = 32
    inodes: int = 1000
    open_files: int = 128
    output_kb: int = 1024
    reply_kb: int = 8192
    stack_mb: int = 64
    subprocesses: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "subprocesses":
                if not isinstance(value, bool):
                    raise ValueError(f"Limits.subprocesses must be True or False, got {value!r}")
            elif isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 1 << 31:
                raise ValueError(f"Limits.{field.name} must be a number above 0 (and below 2**31), got {value!r}")
            elif not isinstance(value, int) and field.name not in ("cpu_s", "wall_s"):
                raise ValueError(f"Limits.{field.name} must be a whole number, got {value!r}")

    def with_(self, **changes: Any) -> Limits:
        """These limits with some of them changed; an unknown name is a TypeError."""
        return replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """For a job's message; shared, so read only."""
        return _as_dict(self)


@lru_cache(maxsize=256)
def _as_dict(limits: Limits) -> dict[str, Any]:
    return asdict(limits)
