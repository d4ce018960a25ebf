"""What a worker process may touch: a session, a temporary folder and a memory limit of its own, and no output."""

from __future__ import annotations

import faulthandler
import os
import resource
import signal
import sys
import tempfile
from pathlib import Path


def confine(folder: Path, memory_mb: int) -> None:
    """Confine this process. folder: its own, made here; memory_mb: MiB on top of what the imports took, 0 for no limit."""
    os.setsid()
    for number in (signal.SIGCHLD, signal.SIGINT, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    folder.mkdir()
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    faulthandler.enable((folder.parent / f"{folder.name}.fault").open("w"))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    sys.stdout = open(1, "w", errors="replace", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", errors="replace", closefd=False)  # noqa: SIM115
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_mb and sys.platform == "linux":
        # On top of what the imports took; RLIMIT_DATA counts private writable memory, so libraries that only reserve
        # address space are not punished as they would be by RLIMIT_AS.
        limit = _private_bytes() + memory_mb * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    try:
        Path("/proc/self/oom_score_adj").write_text("1000")  # if memory ends, a worker goes before the trainer
    except OSError:  # not Linux
        return


def _private_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmData:"):
            return int(line.split()[1]) * 1024
    return 0
