"""A namespace that lives for several calls: what a tool runs a model's code in, turn by turn.

The same isolation as a run's, in a warm interpreter of its own. Between calls its process is stopped, so that nothing it
started goes on. Whatever goes wrong ends the session, never the caller: a hang, too much output, memory or disk, a crash.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import struct
import threading
import time
from dataclasses import dataclass
from typing import Any

from ..inside import scratch
from ..wire import codec, shown
from ..wire.limits import Limits, SandboxError
from . import classify
from .result import Verdict
from .worker import Worker, ZygoteLost

_LONGEST_TEXT = 16_384  # characters of a value's repr or an exception's text
_LOOK_S = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """One call of a session.

    Attributes:
        verdict: ``pass``: it ran to its end; ``fail``: it raised; otherwise what ended the session.
        stdout, stderr: what was written during the call, together at most ``Limits.output_kb``.
        value: repr of the last statement's value if that is an expression and not None, as text, bounded.
        error: the exception as text (bounded), or why the session ended; empty if neither.
        cpu_s, wall_s: of this call.
        alive: whether the session takes more calls.
    """

    verdict: Verdict
    stdout: str = ""
    stderr: str = ""
    value: str = ""
    error: str = ""
    cpu_s: float = 0.0
    wall_s: float = 0.0
    alive: bool = True


class Session:
    """Made by `Sandbox.session`. A context manager; one call at a time, from any thread.

    Args:
        limits: of each call (``cpu_s``, ``wall_s``, ``output_kb``) and of the process (memory, disk, files, threads).
        total: what all calls together may use of ``cpu_s``, ``wall_s`` (while calls run) and ``output_kb``.
    """

    def __init__(self, worker: Worker, limits: Limits, total: Limits) -> None:
        self.limits, self.total = limits, total
        self._worker = worker
        self._lock = threading.Lock()
        self._cpu_s = self._wall_s = 0.0
        self._written = self._calls = 0
        self.ended = ""  # why, once it has
        worker.start()
        try:
            self._begin()
        except BaseException:
            worker.close()
            raise

    def _begin(self) -> None:
        limits = self.limits.with_(cpu_s=self.total.cpu_s)  # the kernel's own limit is for all calls together
        self._slot = self._worker._order(self._worker._profile(limits))
        if limits.subprocesses:
            self._worker.admit(self._slot, limits)
        self._slot.channel.sendall(codec.to_bytes({"mode": "session", "limits": limits.as_dict()}))
        self._slot.close_stdin()
        self._slot.channel.setblocking(False)
        for descriptor, _ in self._slot.streams():
            os.set_blocking(descriptor, False)
        frame = self._until_frame("ready", time.monotonic() + 60)
        if frame is None:
            raise SandboxError(f"the session did not start: {self._slot.outcome.error or self._slot.outcome.stopped}")
        self._hold("stop")

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the session and everything it has started. Idempotent; may be called while a call runs."""
        self.ended = self.ended or "the session is closed"
        self._hold("kill")
        with self._lock:
            with contextlib.suppress(SandboxError):
                self._await_end()
            self._worker.close()

    def _await_end(self) -> None:
        """So that its zygote takes leave of it, before that goes itself."""
        control, end = self._worker.control, time.monotonic() + 10
        while control is not None and not self._slot.ended and time.monotonic() < end:
            if select.select([control], [], [], 0.5)[0]:
                self._worker.read_report()

    def run(self, code: str, limits: Limits | None = None) -> Step:
        """Run code in the session's namespace, which later calls see. Never raises for what the code does.

        Args:
            limits: for this call, of ``cpu_s``, ``wall_s`` and ``output_kb``; the rest was fixed at the start.
        """
        with self._lock:
            if self.ended:
                return Step("skipped", error=self.ended, alive=False)
            try:
                return self._run(code, limits or self.limits)
            except (ZygoteLost, OSError) as error:
                return self._end("signal", f"the session's process is gone: {error}", 0.0, 0.0)

    def _run(self, code: str, limits: Limits) -> Step:
        outcome = self._slot.outcome
        outcome.stdout.clear()
        outcome.stderr.clear()
        left = self.total.output_kb * 1024 - self._written
        self._room = max(0, min(limits.output_kb * 1024, left))
        began = time.monotonic()
        cpu_limit = min(limits.cpu_s, self.total.cpu_s - self._cpu_s)
        deadline = began + min(limits.wall_s, self.total.wall_s - self._wall_s)
        self._calls += 1
        self._hold("continue")
        self._send(["run", self._calls, code], deadline)
        frame = self._until_frame("ran", deadline, cpu_limit)
        if frame is not None:
            self._hold("stop")
            self._drain()
        wall_s, cpu_s = time.monotonic() - began, self._cpu_now() - self._cpu_s
        self._wall_s, self._cpu_s = self._wall_s + wall_s, self._cpu_s + cpu_s
        self._written += len(outcome.stdout) + len(outcome.stderr)
        if frame is None or outcome.stopped:
            return self._end(*self._why(limits), cpu_s, wall_s)
        error, value = (self._text(part) for part in frame[2:4])
        verdict: Verdict = "fail" if error else "pass"
        return Step(verdict, *self._output(), value, error, cpu_s, wall_s)

    def _why(self, limits: Limits) -> tuple[Verdict, str]:
        try:
            return classify.ending(self._slot.outcome, limits, self._worker.backend)
        except SandboxError as error:
            return "signal", str(error)

    def _end(self, verdict: Verdict, reason: str, cpu_s: float, wall_s: float) -> Step:
        output = self._output()
        self.ended = self.ended or f"the session has ended: {reason}"
        self._worker.close()
        return Step(verdict, *output, "", self.ended, cpu_s, wall_s, alive=False)

    def _output(self) -> tuple[str, str]:
        outcome = self._slot.outcome
        return outcome.stdout.decode("utf-8", "replace"), outcome.stderr.decode("utf-8", "replace")

    @staticmethod
    def _text(part: Any) -> str:
        return shown.written(part[:_LONGEST_TEXT]) if isinstance(part, str) else ""

    # -- the process -------------------------------------------------------------------------------------------------

    def _hold(self, what: str) -> None:
        control = self._worker.control
        if control is not None:
            with contextlib.suppress(OSError):
                control.send(json.dumps({"do": what, "slot": self._slot.number}).encode())

    def _cpu_now(self) -> float:
        """CPU time of the process so far, by the scheduler's account."""
        slot, control = self._slot, self._worker.control
        if slot.ended or control is None:
            return slot.outcome.cpu_s
        slot.asked = True
        self._worker.ask_cpu(slot)
        end = time.monotonic() + 10
        while slot.asked and not slot.ended and time.monotonic() < end:
            if select.select([control], [], [], 0.5)[0]:
                self._worker.read_report()
        return slot.outcome.cpu_s

    def _send(self, message: list[Any], deadline: float) -> None:
        view = memoryview(codec.to_bytes(message))
        poll = select.poll()
        poll.register(self._slot.channel, select.POLLOUT)
        while view and time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                view = view[self._slot.channel.send(view) :]
                continue
            poll.poll(100)

    def _until_frame(self, kind: str, deadline: float, cpu_limit: float = float("inf")) -> list[Any] | None:
        """The answer, or None once the process has ended or was ended for a reason that its outcome names."""
        slot, control = self._slot, self._worker.control
        assert control is not None
        before = self._cpu_s
        poll = select.poll()
        for source in (control, slot.channel, slot.stdout, slot.stderr):
            poll.register(source, select.POLLIN)
        next_look = time.monotonic() + _LOOK_S
        while not slot.ended:
            for descriptor, _ in poll.poll(_LOOK_S * 1000):
                if descriptor == control.fileno():
                    self._worker.read_report()
                elif descriptor == slot.channel.fileno():
                    if not self._receive():
                        poll.unregister(descriptor)
                elif not self._read(descriptor):
                    poll.unregister(descriptor)
            found = self._frame(kind)
            if found is not None:
                return found
            now = time.monotonic()
            if now >= next_look and not slot.outcome.stopped:
                next_look = now + _LOOK_S
                self._look(now, deadline, before + cpu_limit)
        self._drain()
        return None

    def _look(self, now: float, deadline: float, cpu_limit: float) -> None:
        slot = self._slot
        if not slot.asked:
            slot.asked = True
            self._worker.ask_cpu(slot)
        if slot.outcome.cpu_s > cpu_limit:
            self._stop("cpu")
        elif now > deadline:
            self._stop("wall")
        elif self._worker.scratch is not None:
            size, count, seen = scratch.use(f"{self._worker.scratch}/{slot.number}")
            if size > self.limits.disk_mb << 20 or count > self.limits.inodes or not seen:
                self._stop("disk")

    def _stop(self, why: str) -> None:
        if not self._slot.outcome.stopped:
            self._slot.outcome.stopped = why
            self._hold("kill")

    _room = 0

    def _read(self, descriptor: int) -> bool:
        """Read once; False at the stream's end."""
        outcome = self._slot.outcome
        text = outcome.stdout if descriptor == self._slot.stdout else outcome.stderr
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        room = self._room - len(outcome.stdout) - len(outcome.stderr)
        text += data[: max(0, room)]
        if len(data) > room:
            self._stop("output")
        return bool(data)

    def _drain(self) -> None:
        """Take what is in the pipes; they hold no more than 64 KiB each."""
        for descriptor, _ in self._slot.streams():
            self._read(descriptor)

    def _receive(self) -> bool:
        slot = self._slot
        try:
            data = slot.channel.recv(1 << 16)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        slot.buffer += data
        if len(slot.buffer) > 1 << 18:
            self._stop("protocol")
        return bool(data)

    def _frame(self, kind: str) -> list[Any] | None:
        """The next message of this kind, for this call; anything else the process says is passed over."""
        buffer = self._slot.buffer
        while len(buffer) >= 4:
            (length,) = struct.unpack_from("<I", buffer)
            if length > 1 << 18:
                self._stop("protocol")
                return None
            if len(buffer) < 4 + length:
                return None
            body = bytes(buffer[4 : 4 + length])
            del buffer[: 4 + length]
            try:
                frame = codec.from_bytes(body)
            except codec.Malformed:
                self._stop("protocol")
                return None
            if type(frame) is not list or not frame:
                continue
            if frame[0] == "job":
                self._slot.outcome.accepted = True
            elif frame[0] == "sandbox_error" and not self._slot.outcome.accepted:
                self._slot.outcome.error = str(frame[1:])[:500]
            elif frame[0] == kind and (kind == "ready" or (len(frame) == 4 and frame[1] == self._calls)):
                return frame
        return None
