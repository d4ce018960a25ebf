"""No phase waits for ever: a thread that watches how long the run has stood at one place, and ends it with every stack."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from grpo_kit.config import LimitsConfig
from grpo_kit.errors import EXIT_FAILED, RunFailed
from grpo_kit.observe.clock import Clock
from grpo_kit.runtime.interrupt import StopRequest
from grpo_kit.runtime.process import Process

GRACE_SECONDS = 15.0  # for the main thread to close engines and pools; one that is stuck in a collective never will


class Stuck(RunFailed):
    """A phase waited longer than its limit."""


@contextmanager
def watch(clock: Clock, limits: LimitsConfig, folder: Path, stop: StopRequest) -> Iterator[None]:
    """Within, end the run with exit code 1 when one wait of a phase lasts longer than its limit.

    All stacks go to ``stuck.txt`` in the run's folder and to standard error; the error names the phase. A process that is not a
    command's own is not ended: there a thread that never comes back stays where it is.
    """
    over = threading.Event()
    longest = limits.minutes()
    every = max(0.05, min(5.0, min(longest.values()) * 60.0 / 4))

    def look() -> None:
        while not over.wait(every):
            inner, seconds = clock.waiting()
            phase = inner.partition("/")[0]
            limit = longest.get(phase, limits.other) * 60.0
            if seconds > limit:
                key = phase if phase in longest else "other"
                where = f"for {phase!r}" if phase else "between two phases, where callbacks are called"
                error = Stuck(
                    f"stuck: waited {seconds:.0f} s {where} (limit {limit:.0f} s). The stacks of all threads are in "
                    f"{folder / 'stuck.txt'}. The run can go on with --resume; raise limits.{key} (minutes) if this much is "
                    "normal here."
                )
                _dump_stacks(folder / "stuck.txt", str(error))
                stop.fail(error)
                if not over.wait(GRACE_SECONDS):
                    print(f"error: {error}", file=sys.stderr, flush=True)
                    if Process.ours:
                        _end_children()
                        os._exit(EXIT_FAILED)
                return

    thread = threading.Thread(target=look, name="grpo-kit-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


def _dump_stacks(path: Path, reason: str) -> None:
    with suppress(OSError), path.open("w", encoding="utf-8") as file:
        file.write(reason + "\n\n")
        file.flush()
        faulthandler.dump_traceback(file=file, all_threads=True)
    with suppress(OSError, ValueError):
        faulthandler.dump_traceback(all_threads=True)


def _end_children() -> None:
    """Nobody else ends them when this process goes without clean-up."""
    found: set[int] = set()
    for children in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found |= {int(pid) for pid in children.read_text().split()}
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
