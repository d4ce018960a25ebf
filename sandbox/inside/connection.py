"""Messages between the process of the program and that of the tests."""

from __future__ import annotations

import os
import struct
from typing import Any

from ..wire import codec


class Connection:
    """Frames over a stream socket.

    Args:
        longest: bytes of one that is read; None: the other side is trusted. How many are read, time limits.
    """

    def __init__(self, descriptor: int, longest: int | None = None) -> None:
        self.descriptor, self.longest = descriptor, longest
        self._read, self._write = os.read, os.write

    def send(self, message: Any) -> None:
        view = memoryview(codec.to_bytes(message))
        while view:
            view = view[self._write(self.descriptor, view) :]

    def receive(self) -> Any:
        """The next message; EOFError when the other side is gone, Malformed when it says too much."""
        (length,) = struct.unpack("<I", self._exactly(4))
        if self.longest is not None and length > self.longest:
            raise codec.Malformed("more data than reply_kb allows")
        return codec.from_bytes(self._exactly(length))

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._read(self.descriptor, min(length - len(data), 1 << 20))
            if not more:
                raise EOFError("the other process has ended")
            data += more
        return bytes(data)
