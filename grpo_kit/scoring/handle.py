"""The pool's side of one worker process: its channel, its chunks, its deadline, and how it ended."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import deque
from typing import Any

from grpo_kit.types import Score

from .chunks import Chunk
from .execute import GRACE_SECONDS
from .work import HEARTBEAT, LOADING, WAITING

IMPORT_SECONDS = 300.0


class Worker:
    """The pool's side of one worker process."""

    def __init__(self, number: int, channel: socket.socket, heartbeat: Any) -> None:
        self.number = number
        self.channel = channel
        self.heartbeat = heartbeat
        self.chunks: deque[Chunk] = deque()
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.received = 0  # bytes
        self.heard = time.monotonic()
        self.ending: Score | None = None  # why the pool is ending it

    def marked(self) -> tuple[int, int, float]:
        return HEARTBEAT.unpack_from(self.heartbeat, 0)

    def overdue(self, now: float) -> float:
        """Seconds until this worker must have moved on; zero or less when it did not."""
        chunk, position, since = self.marked()
        head = self.chunks[0]
        timeout = head.loaded.verifier.timeout
        if chunk != head.id:  # it has not begun: whatever holds it is not a call of ours
            return self.heard + max(timeout, 30.0) - now
        if position == LOADING:
            return since + IMPORT_SECONDS - now
        slack = 2 * GRACE_SECONDS if position == WAITING else GRACE_SECONDS if head.loaded.verifier.is_async else 0.0
        return since + timeout + slack - now


def describe_death(status: int, fault: str) -> str:
    """One line on how a worker ended, from its wait status and what the fault handler wrote."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"the verifier ended its process with exit code {code}"
    name = signal.Signals(-code).name
    hint = " (out of memory?)" if name == "SIGKILL" else ""
    frames = [line.strip() for line in fault.splitlines() if line.strip().startswith("File")]
    where = f", at {frames[0]}" if frames else ""
    return f"the verifier's process was ended by {name}{hint}{where}"
