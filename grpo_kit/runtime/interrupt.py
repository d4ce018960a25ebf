"""Stopping a run from outside without losing it, and without waiting for what need not be finished.

A signal is noticed at once. Work that leaves no trace until it is complete (sampling, scoring, evaluation) is abandoned
where it stands; work that changes the weights is finished. What is saved is always the state after a whole step.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, TextIO

from grpo_kit.errors import EXIT_INTERRUPTED
from grpo_kit.runtime import ranks
from grpo_kit.runtime.process import Process

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
SHOW_CURSOR = b"\x1b[?25h"
LAST_GRACE_SECONDS = 10.0  # for a main thread that does not react; after it the process ends itself


class Interrupted(Exception):
    """A signal or a callback asked the run to stop.

    Attributes:
        step: the last one that was done.
        saved: the step that a resumed run goes on after; None if it starts again.
        run: the folder of the run, where it has one.
    """

    run: Path | None = None

    def __init__(self, step: int, saved: int | None) -> None:
        kept = "nothing was saved yet, and --resume begins again" if saved is None else "it is saved"
        if saved is not None and saved != step:
            kept = f"the newest checkpoint is that of step {saved}"
        super().__init__(f"interrupted after step {step}; {kept}")
        self.step, self.saved = step, saved


class StopStep(BaseException):
    """Raised where work may be abandoned. Not an Exception, so that no library takes it for an error of its own."""


class StoppedAtOnce(BaseException):
    """A second signal, or the end of the time to stop in. What was on disk before stays valid."""


class _Failed(BaseException):
    """Raised in a thread that no signal reaches, for the failure that another thread saw."""


class StopRequest:
    """Whether a stop was asked for, and whether the work under way may be abandoned for it.

    Args:
        seconds: from the first signal to the end of the process.
    """

    def __init__(self, seconds: float = 60.0) -> None:
        self.seconds = seconds
        self.requested = False
        self.failure: Exception | None = None
        self.hears_signals = False
        self._thread = threading.get_ident()
        self._abandonable = False
        self._late = False
        self._over = threading.Event()

    @contextmanager
    def abandonable(self) -> Iterator[None]:
        """Within, a signal raises `StopStep` at once."""
        self.check()
        # Among several ranks nobody may leave a step that the others are in.
        self._abandonable = not ranks.together()
        try:
            yield
        finally:
            self._abandonable = False

    def check(self) -> None:
        """Raises `StopStep` if a stop was asked for, on every rank if it was on any."""
        if ranks.any_rank(self.requested, "asking whether to stop"):
            raise StopStep

    def fail(self, error: Exception) -> None:
        """Have the thread of the run raise ``error`` wherever it is; for a thread that watches over it.

        Beside the main thread it is raised by the next line of Python: a wait inside of a library is not cut short.
        """
        self.failure = error
        if self.hears_signals:
            signal.pthread_kill(self._thread, signal.SIGTERM)
        else:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread), ctypes.py_object(_Failed))

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.failure is not None:
            raise self.failure
        if self.requested:
            # A cluster's manager signals torchrun and its processes, and torchrun signals them once more. It kills them
            # after 30 s itself.
            if number == signal.SIGTERM and ranks.launched() and not self._late:
                return
            raise StoppedAtOnce
        self.requested = True
        name = signal.Signals(number).name
        second = "SIGINT" if ranks.launched() else "signal"
        _write(f"\n{name}: saving and stopping within {self.seconds:g} s; a second {second} stops at once\n")
        threading.Thread(target=self._enforce, args=(number,), name="grpo-kit-stop", daemon=True).start()
        if self._abandonable:
            raise StopStep

    def _enforce(self, number: int) -> None:
        if self._over.wait(self.seconds):
            return
        self._late = True
        _write(f"not done within {self.seconds:g} s (train.stop_seconds): stopping without\n")
        signal.pthread_kill(self._thread, number)
        if not self._over.wait(LAST_GRACE_SECONDS) and Process.ours:
            if os.isatty(1) and os.environ.get("TERM") != "dumb":
                with suppress(OSError):
                    os.write(1, SHOW_CURSOR)  # a bar of progress hides it, and has no time to show it again
            os._exit(EXIT_INTERRUPTED)

    def finish(self) -> None:
        self._over.set()


@contextmanager
def stop_on_signal(seconds: float = 60.0) -> Iterator[StopRequest]:
    """SIGINT and SIGTERM ask for a stop; a second one stops at once (but under torchrun, which repeats SIGTERM, SIGINT alone
    does); a closed terminal does not matter to a command. Under torchrun no SIGTERM cuts off the reason of what leaves as an
    exception. Beside the main thread no signal arrives, and no handler is touched."""
    request = StopRequest(seconds)
    request.hears_signals = threading.current_thread() is threading.main_thread()
    previous: dict[int, Any] = {}
    if request.hears_signals:
        previous = {number: signal.signal(number, request.handle) for number in STOP_SIGNALS}
        if Process.ours:
            previous[signal.SIGHUP] = signal.signal(signal.SIGHUP, _leave_terminal)
    try:
        yield request
    except _Failed:
        assert request.failure is not None
        raise request.failure from None
    except BaseException:
        if ranks.launched() and request.hears_signals:
            # torchrun ends the other ranks once one has died, and each still has to say what it saw.
            previous[signal.SIGTERM] = _later
        raise
    finally:
        request.finish()
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _later(number: int, frame: FrameType | None) -> None:
    """This process is ending anyway; who sent the signal kills it if that takes too long."""


def _leave_terminal(number: int, frame: FrameType | None) -> None:
    """The terminal is gone: what was written to it goes nowhere from here on, and the run goes on."""
    silence([descriptor for descriptor in (1, 2) if os.isatty(descriptor)])


def silence(descriptors: Iterable[int]) -> None:
    """Send what is written to them nowhere, so that no later write can fail."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        with suppress(OSError):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


class Unbreakable:
    """Standard output that may go away, or that lacks letters: a write never fails.

    Once the reader is gone writes go nowhere. A letter that the encoding has not is written as its escape.

    Args:
        stream: held from here on. Whoever draws on a terminal may put a proxy in the place of ``sys.stdout`` that writes
            to this object, and looking the name up again would send each write round for ever.
        ascii_only: tell whoever draws that there is nothing but ASCII.
    """

    def __init__(self, stream: TextIO | None = None, *, ascii_only: bool = False) -> None:
        found = stream if stream is not None else sys.stdout
        while True:  # down to the stream itself
            inner = getattr(found, "rich_proxied_file", None) or (
                found.stream if isinstance(found, Unbreakable) else None
            )
            if inner is None:
                break
            found = inner
        if found is None:  # started with a closed standard output
            found = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        self.stream: TextIO = found
        # Asked now, as one that is gone says no. Standard error is the same terminal then.
        self._beside = [2] if found.isatty() and os.isatty(2) else []
        self.encoding = "ascii" if ascii_only else getattr(found, "encoding", None) or "utf-8"

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["stream"], name)

    def write(self, text: str) -> int:
        try:
            if self.encoding == "ascii" and not text.isascii():
                text = text.encode("ascii", "backslashreplace").decode("ascii")
            return self.stream.write(text)
        except UnicodeEncodeError:
            encoding = getattr(self.stream, "encoding", None) or "ascii"
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError):
            self._lost()
            return len(text)

    def flush(self) -> None:
        try:
            self.stream.flush()
        except (OSError, ValueError):
            self._lost()

    def _lost(self) -> None:
        """A terminal takes standard error with it; a closed pipe does not, and errors are still to be told."""
        try:
            number = self.stream.fileno()
        except (OSError, ValueError):
            return
        silence([number, *self._beside])


def _write(text: str) -> None:
    with suppress(OSError):  # the terminal may be what went away
        os.write(2, text.encode())


def end_with_parent() -> None:
    """Have the kernel send SIGTERM to this process once its parent is gone: it would go on with nobody to stop it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
