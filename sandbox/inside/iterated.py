"""Over what an object of the program yields: the same however often it is asked, and as much as it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from .held import Gone, Held, about

_SCALARS = (int, float, complex, bool, str, bytes, type(None))


class Items:
    """What an opaque object has yielded so far: it yields the same however often it is asked, and backward the same, too.

    What it has said its length is, it yields: ``zip`` would end where it does.

    Args:
        over, of: its iterator, and itself.
        mirrored: what it has yielded the other way round.
    """

    def __init__(self, over: Any, of: Held, mirrored: Callable[[], Items | None]) -> None:
        self._over, self._of, self._mirrored = over, of, mirrored
        self._known: list[Any] = []
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            if position == len(self._known):
                try:
                    self._known.append(next(self._over))
                except StopIteration:
                    self._ended = True
                    self._count()
                    self._agree(0)
                    return
                self._agree(position)
            yield self._known[position]
            position += 1

    def _count(self) -> None:
        link, which, count = about(self._of).link, about(self._of).number, len(self._known)
        link.kept.yielded[which] = count  # reversed, it yields as many
        link.kept.lengths.setdefault(which, (frozenset((count,)), link.taken[which]))
        if not link.kept.has_yielded(which, count, link.taken[which]):
            raise Gone("an object of the program yields not as many items as its length says")

    def _agree(self, first: int) -> None:
        """Hold what is known from an item on against the other way round, as soon as one of them is known to its end."""
        other = self._mirrored()
        if other is None or not (self._ended or other._ended):
            return
        whole, part = (self._known, other._known) if self._ended else (other._known, self._known[first:])
        first = 0 if self._ended else first
        for position, item in enumerate(part, first):
            if position >= len(whole) or _differ(item, whole[-1 - position]):
                raise Gone("an object of the program yields something else backward")


def _differ(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and type(one) is type(other):
        return len(one) != len(other) or any(map(_differ, one, other))
    return not isinstance(one, Held) and not isinstance(other, Held) and type(one) in _SCALARS and bool(one != other)


class AwaitedItems:
    """`Items` for ``async for``."""

    def __init__(self, over: Any, of: Held) -> None:
        self._over = over
        self._known: list[Any] = []

    async def __aiter__(self) -> AsyncIterator[Any]:
        position = 0
        while True:
            if position == len(self._known):
                try:
                    self._known.append(await self._over.__anext__())
                except StopAsyncIteration:
                    return
            yield self._known[position]
            position += 1
