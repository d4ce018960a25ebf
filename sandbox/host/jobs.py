"""What one child is to do, how it ended, and the descriptors that connect it to the trainer."""

from __future__ import annotations

import fcntl
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ..inside import isolate
from ..wire.limits import Limits

LARGE = 1 << 16  # bytes; as Python objects a message takes many times its length, and checks of it their time

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(slots=True)
class Job:
    """What one child is to do.

    ``line``: this child's end of the socket to its partner, closed here once it is sent: while anybody else held it, the
    partner of a child that died would wait for its answer. ``on_frame`` gets each message and returns True to end the run;
    ``on_large`` gets the bytes of a
    message longer than `LARGE` instead, unparsed. ``decisive``: when this child ends, its partners are ended too.
    """

    message: dict[str, Any]
    limits: Limits
    stdin: bytes = b""
    line: socket.socket | None = None
    on_frame: Callable[[list[Any]], bool] = lambda frame: False
    on_large: Callable[[bytes], bool] | None = None
    decisive: bool = True


@dataclass(slots=True)
class Outcome:
    """How a child ended. ``stopped``: why this side ended it, if it did."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    stderr_dropped: int = 0
    status: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_mb: float = 0.0
    stopped: str = ""
    accepted: bool = False
    error: str | None = None


def _input_file() -> tuple[int, int]:
    """A file in memory as (the child's end, ours): programs stat, seek and map their standard input.

    The child's end is an opening of its own, read only and with a position of its own.
    """
    ours = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.fchmod(ours, 0o444)
    return os.open(f"/proc/self/fd/{ours}", os.O_RDONLY | os.O_CLOEXEC), ours


class Slot:
    """One child: its channel, its standard streams and what has been read of them."""

    def __init__(self, number: int, profile: tuple[Any, ...]) -> None:
        self.number, self.profile = number, profile
        self.ended = False
        self.born = time.monotonic()
        channel, theirs = socket.socketpair()
        stdin, self.stdin = _input_file()
        self.stdout, stdout = os.pipe2(os.O_CLOEXEC)
        self.stderr, stderr = os.pipe2(os.O_CLOEXEC)
        if os.geteuid() == 0:
            # Opening /dev/stdin opens the pipe anew, with a permission check against its owner.
            for descriptor in (stdout, stderr):
                os.fchown(descriptor, isolate.NOBODY, isolate.NOBODY)
        self.channel = channel
        self.theirs = [theirs.detach(), stdin, stdout, stderr]
        self.outcome = Outcome()
        self.buffer = bytearray()
        self.received = 0
        self.asked = False  # for its CPU time
        self.next_look = 0.0

    def streams(self) -> list[tuple[int, bytearray]]:
        """What is read, and where it is kept."""
        return [(self.stdout, self.outcome.stdout), (self.stderr, self.outcome.stderr)]

    def close_theirs(self) -> None:
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def give_input(self, content: bytes) -> None:
        """Fill the child's standard input, before it takes its job; nobody can change it afterwards."""
        written, view = 0, memoryview(content)
        while written < len(view):
            written += os.pwrite(self.stdin, view[written:], written)
        fcntl.fcntl(self.stdin, fcntl.F_ADD_SEALS, _SEALS)
        self.close_stdin()

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        self.close_theirs()
        self.close_stdin()
        self.channel.close()
        for descriptor in (self.stdout, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)
        self.stdout = self.stderr = -1


def killed_by(status: int) -> int | None:
    """The signal in a wait status."""
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
