"""Over what an object of the program yields: the same however often it is asked, and as much as it says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from ..wire.plain import DATA_NAMES
from .emptied import Going
from .held import OPAQUE, Gone, Held, about, number, standing

_SCALARS = (int, float, complex, bool, str, bytes, type(None))


class Items:
    """What an opaque object has yielded so far: it yields the same however often it is asked, and backward the same, too.

    Args:
        mirrored: what it has yielded the other way round.
    """

    def __init__(self, over: Iterator[Any], mirrored: Callable[[], Items | None] = lambda: None) -> None:
        self._over, self._known, self._mirrored = over, [], mirrored  # type: Iterator[Any], list[Any], Any
        self._ended = False

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            if position == len(self._known):
                try:
                    self._known.append(next(self._over))
                except StopIteration:
                    self._ended = True
                    self._agree(0)
                    return
                self._agree(position)
            yield self._known[position]
            position += 1

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

    def __init__(self, over: OverAwaited) -> None:
        self._over, self._known = over, []  # type: OverAwaited, list[Any]

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


def _attribute(over: Any, name: str) -> Any:
    """Of the program's iterator. The library asks what it goes over for what data has (``dict`` for keys)."""
    if name.startswith("__") or name == "over" or name in DATA_NAMES:
        raise AttributeError(name)
    return getattr(over.over, name)


def held_of(value: Any) -> Any:
    """The iterator of the program that the tests go over; of anything else, itself."""
    return value.over if type(value) in (OverItems, OverAwaited) else value


class OverItems:
    """Over what the program yields. ``iter()`` insists on an iterator, which plain data (a list that claims to be one) is
    not. What an opaque object has said its length is, it yields: ``zip`` would end where it does.
    """

    def __init__(self, over: Any, of: Held) -> None:
        if not isinstance(over, Held):
            raise TypeError("iter() of an object of the program gave no iterator")
        self.over: Any = of if number(over) == number(of) else over
        self.of, self.count = of, 0
        # An object may hand over the same iterator each time.
        self.going = Going(about(of).link.emptied, about(over).number, about(of).number)

    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name)

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            value = next(self.over)
        except StopIteration:
            of: Any = self.of
            link, which = about(of).link, about(of).number
            kept, taken, count = link.kept, link.taken[which], self.count
            self.going.ended()
            if number(self.over) == which:
                count, taken = taken, 0
            elif standing(of) == OPAQUE:
                kept.yielded[which] = count  # reversed, it yields as many
                kept.lengths.setdefault(which, (frozenset((count,)), taken))
            if standing(of) == OPAQUE and not kept.has_yielded(which, count, taken):
                raise Gone("an object of the program yields not as many items as its length says") from None
            raise
        if not self.count:
            self.going.found()
        self.count += 1
        return value


class OverAwaited:
    """The same for ``async for``."""

    def __init__(self, over: Any, of: Held) -> None:
        if not isinstance(over, Held):
            raise TypeError("aiter() of an object of the program gave no iterator")
        self.over: Any = of if number(over) == number(of) else over
        self.going = Going(about(of).link.emptied, about(over).number, about(of).number)

    def __getattr__(self, name: str) -> Any:
        return _attribute(self, name)

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        try:
            value = await self.over.__anext__()
        except StopAsyncIteration:
            self.going.ended()
            raise
        self.going.found()
        return value
