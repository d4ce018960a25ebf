"""Over what an object of the program yields: the same however often it is asked, and as much as it says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .held import OPAQUE, Gone, Held, about, number, standing


class Items:
    """What an opaque object has yielded so far: it yields the same however often it is asked."""

    def __init__(self, over: Iterator[Any]) -> None:
        self._over, self._known = over, []  # type: Iterator[Any], list[Any]

    def __iter__(self) -> Iterator[Any]:
        position = 0
        while True:
            if position == len(self._known):
                try:
                    self._known.append(next(self._over))
                except StopIteration:
                    return
            yield self._known[position]
            position += 1


class OverItems:
    """Over what the program yields. ``iter()`` insists on an iterator, which plain data (a list that claims to be one) is
    not. What an opaque object has said its length is, it yields: ``zip`` would end where it does.
    """

    def __init__(self, over: Any, of: Held) -> None:
        if not isinstance(over, Held):
            raise TypeError("iter() of an object of the program gave no iterator")
        self.over: Any = over
        self.of, self.count = of, 0

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        try:
            value = next(self.over)
        except StopIteration:
            of: Any = self.of
            kept, which = about(of).link.kept, about(of).number
            if number(self.over) == which:
                about(of).link.spent.add(which)
            elif standing(of) == OPAQUE:
                kept.lengths.setdefault(which, self.count)  # reversed, it yields as many
                kept.yielded[which] = self.count
            if standing(of) == OPAQUE and kept.lengths.get(which, self.count) != self.count:
                raise Gone("an object of the program yields not as many items as its length says") from None
            raise
        self.count += 1
        return value


class OverAwaited:
    """The same for ``async for``."""

    def __init__(self, over: Any) -> None:
        if not isinstance(over, Held):
            raise TypeError("aiter() of an object of the program gave no iterator")
        self.over: Any = over

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return await self.over.__anext__()
