"""Starting zygotes, and the folders and counts they need from the host."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

from ..inside import isolate, scratch
from ..wire.limits import SandboxError

ENVIRONMENT = {
    # A program's verdict must not depend on chance: set and dict order of strings is the same in every run.
    "PYTHONHASHSEED": "0",
    "LANG": "C.UTF-8",
    # A threaded BLAS would start its threads in the zygote, and they do not survive a fork.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc reserves 64 MiB of address space per thread's arena, which the memory limit would count.
    "MALLOC_ARENA_MAX": "1",
}


class _Spawner(threading.Thread):
    """Starts zygotes. The kernel's parent-death signal follows the thread that forked, so this one never ends."""

    def __init__(self) -> None:
        super().__init__(name="grpo-kit-sandbox-spawner", daemon=True)
        self.orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.owner = os.getpid()

    def run(self) -> None:
        while True:
            command, descriptor, answer = self.orders.get()
            try:
                answer.put(
                    subprocess.Popen(
                        command,
                        pass_fds=[descriptor],
                        env=ENVIRONMENT,
                        cwd="/",
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        start_new_session=True,
                    )
                )
            except OSError as error:
                answer.put(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def spawn(command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    global _spawner
    with _spawner_lock:
        if _spawner is None or _spawner.owner != os.getpid():
            _spawner = _Spawner()
            _spawner.start()
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
    _spawner.orders.put((command, descriptor, answer))
    made = answer.get()
    if isinstance(made, OSError):
        raise SandboxError(f"cannot start {command[0]}: {made}")
    return made


_PREFIX = "grpo-kit-sandbox-"


def _owner() -> str:
    """Who made a scratch folder: the pid namespace, without which the process id says nothing, and the id."""
    return f"{os.stat('/proc/self/ns/pid').st_ino}-{os.getpid()}"


def make_scratch() -> str:
    """A folder for the backends without a tmpfs of their own; what dead processes left of theirs is removed.

    Only what was made in this pid namespace: /dev/shm may be shared with other containers, whose processes are not
    to be seen from here and may well be alive.
    """
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    namespace, _, _ = _owner().partition("-")
    for old in base.glob(f"{_PREFIX}{namespace}-*"):
        owner = old.name.removeprefix(f"{_PREFIX}{namespace}-").partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            with contextlib.suppress(OSError):  # another user's
                scratch.remove(str(old))
    return tempfile.mkdtemp(prefix=f"{_PREFIX}{_owner()}-", dir=base)


def tasks_of_user(backend: str) -> int:
    """How many tasks count against the program's process limit before it starts any.

    In its own user namespace: the zygote and the children it keeps. Elsewhere the kernel counts all tasks of the user,
    wherever they are, so that the limit can only be their number now, with room for what the trainer may still start.
    """
    if backend == "namespaces":
        return 8
    user = isolate.NOBODY if os.geteuid() == 0 else os.geteuid()
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == user:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
    return count + 256
