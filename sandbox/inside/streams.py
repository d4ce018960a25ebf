"""Text and bytes in memory that the tests pass to the program as files: ``f(io.StringIO("a,b"))``, ``Logger(out)``.

Each side has a stream of its own under one number. A call takes with it what is in the tests' streams by now, and brings back
what the program has made of them, whenever it was given them. Only text and positions go over.
"""

from __future__ import annotations

import io
from typing import Any

from ..wire import codec

_KINDS: dict[str, type] = {"text": io.StringIO, "bytes": io.BytesIO}


class Streams:
    """One side's streams by number."""

    def __init__(self) -> None:
        self.known: dict[int, Any] = {}
        self._before: dict[int, list[Any]] = {}

    def number(self, value: Any, new: bool = False) -> int | None:
        """The number of a stream; a ``new`` one is known from now on. None for anything else."""
        if type(value) not in _KINDS.values():
            return None
        for number, known in self.known.items():
            if known is value:
                return number
        if not new or value.closed:
            return None
        self.known[len(self.known)] = value
        return len(self.known) - 1

    def changed(self) -> list[Any]:
        """[number, kind, text, position] of those that are not as the other side has them, which is told of it now.

        The text is None of what is closed. Bytes are text of the same codes.
        """
        now = {number: _state(stream) for number, stream in self.known.items()}
        states = [[number, *state] for number, state in now.items() if state != self._before.get(number)]
        self._before = now
        return states

    def named(self, number: int) -> list[Any]:
        """How a stream is named in a message: with what is in it, if it is new to the other side."""
        if number in self._before:
            return [number]
        self._before[number] = _state(self.known[number])
        return [number, *self._before[number]]

    def put(self, states: Any, make: bool = False) -> None:
        """Give streams what the other side's hold.

        Raises:
            Malformed: no state of a known stream.
        """
        for number, kind, text, position in states:
            if make and number not in self.known and kind in _KINDS:
                self.known[number] = _KINDS[kind]()
            if type(number) is not int or type(self.known.get(number)) is not _KINDS.get(kind):
                raise codec.Malformed("not a stream of the tests")
            if text is not None and (type(text) is not str or type(position) is not int or position < 0):
                raise codec.Malformed("not what a stream holds")
            _fill(self.known[number], kind, text, position)
            self._before[number] = [kind, text, position]


def _state(stream: Any) -> list[Any]:
    kind = "text" if isinstance(stream, io.StringIO) else "bytes"
    if stream.closed:
        return [kind, None, 0]
    return [kind, stream.getvalue() if kind == "text" else stream.getvalue().decode("latin-1"), stream.tell()]


def _fill(stream: Any, kind: str, text: str | None, position: int) -> None:
    if text is None:
        stream.close()
    elif not stream.closed:
        content = text if kind == "text" else text.encode("latin-1")
        stream.seek(0)
        stream.truncate()
        stream.write(content)
        stream.seek(min(position, len(content)))
