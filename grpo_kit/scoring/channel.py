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
TEXT_LIMIT = 2_000
TRACEBACK_LIMIT = 8_000


def receive_request(channel: socket.socket) -> tuple[int, int, bytearray] | None:
    """Id, number of calls and pickled rest of the next request; None when the channel is closed."""
    try:
        header = receive_exactly(channel, REQUEST.size)
        if header is None:
            return None
        length, request, count = REQUEST.unpack(header)
        payload = receive_exactly(channel, length)
    except OSError:
        return None
    return None if payload is None else (request, count, payload)


def receive_exactly(channel: socket.socket, size: int) -> bytearray | None:
    buffer = bytearray(size)
    view, filled = memoryview(buffer), 0
    while filled < size:
        got = channel.recv_into(view[filled:])
        if got == 0:
            return None
        filled += got
    return buffer
