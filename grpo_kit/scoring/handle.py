"""The pool's side of one worker process that scores: its chunks and its deadline."""

from __future__ import annotations

import socket
from collections import deque
from typing import Any

from .channel import LOADING, WAITING
from .chunks import Chunk
from .execute import GRACE_SECONDS
from .processes import IMPORT_SECONDS, Process


class Worker(Process):
    """The pool's side of one worker process."""

    def __init__(self, number: int, channel: socket.socket, heartbeat: Any) -> None:
        super().__init__(number, channel, heartbeat)
        self.chunks: deque[Chunk] = deque()

    @property
    def busy(self) -> bool:
        return bool(self.chunks)

    @property
    def timeout(self) -> float:
        return self.chunks[0].loaded.verifier.timeout

    def overdue(self, now: float) -> tuple[float, float]:
        chunk, position, since = self.marked()
        head = self.chunks[0]
        timeout = self.timeout
        if chunk != head.id:  # it has not begun: whatever holds it is not a call of ours
            return self.heard + max(timeout, 30.0) - now, timeout
        if position == LOADING:
            return since + IMPORT_SECONDS - now, IMPORT_SECONDS
        slack = 2 * GRACE_SECONDS if position == WAITING else GRACE_SECONDS if head.loaded.verifier.is_async else 0.0
        return since + timeout + slack - now, timeout
