"""What a worker process and the pool say to each other, and where: a socket, and memory that both of them see."""

from __future__ import annotations

import socket
import struct

# Shared between a worker and the pool: id of the request, position in it, monotonic seconds of the mark. It outlives the
# worker, so that the pool knows which call killed it.
HEARTBEAT = struct.Struct("<qqd")
LENGTH = struct.Struct("<I")  # of a reply
REQUEST = struct.Struct("<IqI")  # length, id, how many calls
LOADING = -1  # importing: the import limit holds, not the deadline of a call
WAITING = -2  # an event loop with nothing to run: calls are under way, none of them holds the thread
IDLE = 0  # the id of no request

RECYCLE = 77  # exit status of a worker that asks for a successor (after MemoryError)
CHANNEL_LOST = 78  # exit status of a worker that cannot send its results
# How often one call may be under way when a worker dies for no visible reason.
MAX_ATTEMPTS = 3
READ = 2**16  # bytes that a worker takes in at once
TEXT_LIMIT = 2_000
TRACEBACK_LIMIT = 8_000


class Requests:
    """What a worker is asked, as it comes: what has arrived together is taken in together."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel, self._buffer, self._at = channel, bytearray(), 0

    def next(self) -> tuple[int, int, memoryview] | None:
        """Id, number of calls and pickled rest of the next request; None when the channel is closed."""
        if not self._fill(REQUEST.size):
            return None
        length, request, count = REQUEST.unpack_from(self._buffer, self._at)
        if not self._fill(REQUEST.size + length):
            return None
        begin, self._at = self._at + REQUEST.size, self._at + REQUEST.size + length
        return request, count, memoryview(self._buffer)[begin : self._at]

    def _fill(self, size: int) -> bool:
        """Whether so many bytes are there, waiting for them."""
        if len(self._buffer) - self._at >= size:
            return True
        # A new one: somebody may still look at the old one.
        self._buffer, self._at = self._buffer[self._at :], 0
        while len(self._buffer) < size:
            try:
                data = self._channel.recv(max(READ, size - len(self._buffer)))
            except OSError:
                return False
            if not data:
                return False
            self._buffer += data
        return True


def receive_exactly(channel: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        got = channel.recv_into(view[filled:])
        if got == 0:
            return None
        filled += got
    return buffer
