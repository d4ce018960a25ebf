"""cgroup v2, where it is writable: memory and process limits over a whole tree of processes."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

from ..wire.limits import SandboxError

MOUNT = Path("/sys/fs/cgroup")
_numbers = itertools.count()
_NEEDED = {"memory", "pids"}


def own_group(mount: Path = MOUNT, listing: Path = Path("/proc/self/cgroup")) -> Path:
    """This process's cgroup v2 folder.

    Raises:
        SandboxError: no cgroup v2 here.
    """
    if not (mount / "cgroup.controllers").exists():
        raise SandboxError(f"no cgroup v2 at {mount} (version 1 or hybrid mounts are not used)")
    for line in listing.read_text().splitlines():
        number, _, path = line.split(":", 2)
        if number == "0":
            return mount / path.lstrip("/")
    raise SandboxError(f"{listing} names no cgroup v2 group")


def missing(mount: Path = MOUNT, listing: Path = Path("/proc/self/cgroup")) -> str:
    """Empty if trees of processes can be limited here, otherwise why not and what would help."""
    try:
        group = own_group(mount, listing)
        group_controllers = set((group / "cgroup.controllers").read_text().split())
    except (SandboxError, OSError) as error:
        return f"{error}; start with cgroup v2 and a delegated group (systemd-run --user --scope -p Delegate=yes ...)"
    if not group_controllers >= _NEEDED:
        lacking = ", ".join(sorted(_NEEDED - group_controllers))
        return f"{group} lacks the controllers {lacking}; delegate them (systemd: Delegate=memory pids)"
    if not os.access(group, os.W_OK):
        return f"{group} is not writable; delegate it (systemd-run --user --scope -p Delegate=yes ...)"
    return ""


class Cgroup:
    """A group for one worker's children."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, mount: Path = MOUNT, listing: Path = Path("/proc/self/cgroup")) -> Cgroup:
        reason = missing(mount, listing)
        if reason:
            raise SandboxError(f"subprocesses=True needs cgroup v2: {reason}")
        group = own_group(mount, listing)
        path = group / f"grpo-kit-{os.getpid()}-{next(_numbers)}"
        try:
            enabled = set((group / "cgroup.subtree_control").read_text().split())
            if not enabled >= _NEEDED:
                (group / "cgroup.subtree_control").write_text("+memory +pids")
            path.mkdir()
        except OSError as error:
            raise SandboxError(
                f"cannot create a group below {group}: {error}. A group that holds processes cannot hand out "
                "controllers (no internal processes): start the trainer in a delegated child group"
            ) from None
        return cls(path)

    def set(self, memory_mb: int, processes: int) -> None:
        (self.path / "memory.max").write_text(str(memory_mb << 20))
        (self.path / "pids.max").write_text(str(processes))
        with contextlib.suppress(OSError):  # no swap accounting
            (self.path / "memory.swap.max").write_text("0")

    def add(self, pid: int) -> None:
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        with contextlib.suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        for _ in range(50):  # the kernel removes a group only when its last process is reaped
            try:
                self.path.rmdir()
                return
            except FileNotFoundError:
                return
            except OSError:
                time.sleep(0.02)
        raise SandboxError(f"{self.path} is still in use")
