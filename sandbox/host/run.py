"""The poll loop over the children of one run: feed, listen, watch the limits, take what is left at the end."""

from __future__ import annotations

import contextlib
import functools
import os
import select
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, Protocol

from ..inside import scratch
from ..wire import codec
from ..wire.limits import Limits
from .jobs import LARGE, Job, Slot

_FIRST_LOOK_MS = 3.0
_STDERR_FACTOR = 32  # so many times the bound of the output may be written to standard error, which is not kept
_CORES = os.cpu_count() or 1


class Keeper(Protocol):
    """What a run needs of its worker."""

    control: socket.socket | None
    scratch: str | None

    def kill(self, slot: Slot) -> None: ...
    def ask_cpu(self, slot: Slot) -> None: ...
    def read_report(self) -> None: ...
    def admit(self, slot: Slot, limits: Limits) -> None: ...


class Run:
    """The poll loop over the children of one run."""

    def __init__(self, worker: Keeper, pairs: list[tuple[Slot, Job]]) -> None:
        self.worker, self.pairs = worker, pairs
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], bool]] = {}

    def begin(self) -> None:
        """Hand over the jobs. The children read them at once, before any code of the program has run."""
        self.started = time.monotonic()
        for slot, job in self.pairs:
            if job.limits.subprocesses:
                self.worker.admit(slot, job.limits)
            slot.give_input(job.stdin)
            frame = codec.to_bytes(job.message)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has left: its exit report says so
                if job.line is not None:
                    sent = socket.send_fds(slot.channel, [frame[:4]], [job.line.fileno()])
                    job.line.close()
                    frame = frame[sent:]
                slot.channel.sendall(frame)
            slot.channel.setblocking(False)

    def until_ended(self) -> None:
        control = self.worker.control
        assert control is not None
        self._watch(control.fileno(), select.POLLIN, self._read_report)
        deadlines = [self.started + job.limits.wall_s for _, job in self.pairs]
        # Most runs end within milliseconds: wait for that alone before listening to every pipe, each of whose writes
        # would wake this process. A program that fills a pipe meanwhile waits no longer than this.
        if self.poll.poll(_FIRST_LOOK_MS):
            self.worker.read_report()
        for slot, job in self.pairs:
            slot.next_look = self.started + job.limits.cpu_s / _CORES
        for slot, job in self.pairs:
            self._listen(slot, job)
        while not all(slot.ended for slot, _ in self.pairs):
            now = time.monotonic()
            for (slot, _), deadline in zip(self.pairs, deadlines, strict=True):
                if now >= deadline and not slot.ended:
                    self._stop(slot, "wall")
            times = [t for t in (*deadlines, *self._cpu_checks(now)) if t > now]
            wait = min(times) - now if times else 1.0
            if self.worker.scratch is not None:
                wait = min(wait, 0.05)
                self._check_disk()
            for descriptor, _ in self.poll.poll(wait * 1000 + 1):
                self._serve(descriptor)
            for slot, job in self.pairs:
                if slot.ended and job.decisive:
                    for other, _ in self.pairs:
                        self._stop(other, "partner")
        for slot, job in self.pairs:
            slot.outcome.wall_s = time.monotonic() - self.started
            self._drain(slot, job)

    def _cpu_checks(self, now: float) -> list[float]:
        """End what is over its CPU time; ask for the accounts that are due; say when to look next.

        No program can use CPU time faster than all cores give it, so that short runs are never asked for.
        """
        times = []
        for slot, job in self.pairs:
            if slot.ended or slot.outcome.stopped:
                continue
            left = job.limits.cpu_s - slot.outcome.cpu_s
            if left <= 0:
                self._stop(slot, "cpu")
            elif now >= slot.next_look and not slot.asked:
                slot.asked = True
                slot.next_look = now + max(0.02, left / _CORES)
                self.worker.ask_cpu(slot)
            times.append(slot.next_look)
        return times

    def _watch(self, descriptor: int, events: int, handler: Callable[[], bool]) -> None:
        """Call ``handler`` whenever the descriptor is ready, until it returns False."""
        self.poll.register(descriptor, events)
        self.handlers[descriptor] = handler

    def _serve(self, descriptor: int) -> None:
        handler = self.handlers.get(descriptor)
        with contextlib.suppress(BlockingIOError):
            if handler is not None and not handler():
                self.poll.unregister(descriptor)
                del self.handlers[descriptor]

    def _read_report(self) -> bool:
        self.worker.read_report()
        return True

    def _listen(self, slot: Slot, job: Job) -> None:
        self._watch(slot.channel.fileno(), select.POLLIN, functools.partial(self._hear, slot, job))
        for descriptor, text in slot.streams():
            os.set_blocking(descriptor, False)
            self._watch(descriptor, select.POLLIN, functools.partial(self._read, slot, job, descriptor, text))

    def _read(self, slot: Slot, job: Job, descriptor: int, text: bytearray) -> bool:
        """Read once; False at the end of the stream. BlockingIOError: nothing there."""
        data = os.read(descriptor, 1 << 16)
        outcome, bound = slot.outcome, job.limits.output_kb * 1024
        room = max(0, bound - len(text))
        text += data[:room]
        if text is outcome.stderr:  # notes of the program to itself: what is too much is not kept, and does no harm
            outcome.stderr_dropped += max(0, len(data) - room)
            over = outcome.stderr_dropped > _STDERR_FACTOR * bound
        else:
            over = len(data) > room
        if over:
            self._stop(slot, "output")
        return bool(data)

    def _hear(self, slot: Slot, job: Job) -> bool:
        """Take what is on the channel; False at its end. BlockingIOError: nothing there."""
        try:
            data = slot.channel.recv(1 << 18)
        except BlockingIOError:
            raise
        except OSError:
            data = b""
        slot.received += len(data)
        if slot.received > job.limits.reply_kb * 1024 + (1 << 16):
            self._stop(slot, "reply")
            return bool(data)
        slot.buffer += data
        self._frames(slot, job)
        return bool(data)

    def _frames(self, slot: Slot, job: Job) -> None:
        buffer, outcome, start = slot.buffer, slot.outcome, 0
        while len(buffer) - start >= 4 and outcome.stopped not in ("protocol", "stop"):
            (length,) = struct.unpack_from("<I", buffer, start)
            if length > job.limits.reply_kb * 1024 + (1 << 16):
                self._stop(slot, "protocol")
                break
            if len(buffer) - start - 4 < length:
                break
            body = bytes(buffer[start + 4 : start + 4 + length])
            start += 4 + length
            try:
                if length > LARGE and job.on_large is not None and outcome.accepted:
                    if job.on_large(body):
                        self._stop(slot, "stop")
                else:
                    self._frame(slot, job, codec.from_bytes(body))
            except (codec.Malformed, RecursionError):
                self._stop(slot, "protocol")
        del buffer[:start]

    def _frame(self, slot: Slot, job: Job, frame: Any) -> None:
        if type(frame) is not list or not frame or type(frame[0]) is not str:
            raise codec.Malformed("not a frame")
        if slot.outcome.accepted:
            if job.on_frame(frame):
                self._stop(slot, "stop")
        elif frame[0] == "job":
            slot.outcome.accepted = True
        elif frame[0] == "sandbox_error":  # only the trusted part, before the program, can get here
            slot.outcome.error = str(frame[1])

    def _stop(self, slot: Slot, why: str) -> None:
        if not slot.outcome.stopped and not slot.ended:
            slot.outcome.stopped = why
            self.worker.kill(slot)
        elif why in ("output", "protocol", "reply") and not slot.outcome.stopped:
            slot.outcome.stopped = why  # seen only after the end

    def _check_disk(self) -> None:
        for slot, job in self.pairs:
            size, count, seen = scratch.use(f"{self.worker.scratch}/{slot.number}")
            if size > job.limits.disk_mb << 20 or count > job.limits.inodes or not seen:
                self._stop(slot, "disk")

    def _drain(self, slot: Slot, job: Job) -> None:
        """Take what the ended child had written. Where nobody else holds their other ends, the streams end here."""
        with contextlib.suppress(BlockingIOError):
            while self._hear(slot, job) and slot.outcome.stopped not in ("protocol", "reply", "stop"):
                pass
        for descriptor, text in slot.streams():
            with contextlib.suppress(BlockingIOError):
                while self._read(slot, job, descriptor, text) and slot.outcome.stopped != "output":
                    pass
