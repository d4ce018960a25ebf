"""Iterators that live with the tests, and that the program has handed over or was given: they are gone over here."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

from .handed_back import own_of
from .held import number


class Ends(Protocol):
    """What is known of the ends of iterators, by their numbers."""

    def go_over(self, which: int, of: int) -> Any: ...

    def step(self, which: int, step: Callable[[], Any]) -> Any: ...

    async def step_awaited(self, which: int, step: Callable[[], Any]) -> Any: ...


class Watched:
    """Their numbers, which are below zero.

    Args:
        has: whether the program has an object of the task's.
    """

    def __init__(self, has: Callable[[Any], bool]) -> None:
        self._has = has
        self._kinds: set[type] = set()  # classes of the task's iterators
        self._kept: dict[int, Any] = {}  # so that the numbers of others stay their own

    def number(self, value: Any) -> int | None:
        """Of any iterator that the program has, one of its own (`held.number`) among them; None for anything else."""
        if (own := own_of(value)) is not value:
            return -id(own)
        is_kind = not self._kinds.isdisjoint(type(value).__mro__)
        return -id(value) if is_kind and self._has(value) else number(value)

    def keep(self, own: Any) -> int:
        """The number of an iterator of the tests that the program hands over."""
        self._kept[-id(own)] = own
        return -id(own)

    def watch(self, kind: type, ends: Ends) -> None:
        """Tell ``ends`` of each time that an iterator of a class of the task's is gone over."""
        if "__next__" in vars(kind):
            self._watch(kind, "__iter__", "__next__", ends, ends.step)
        if "__anext__" in vars(kind):
            self._watch(kind, "__aiter__", "__anext__", ends, ends.step_awaited)

    def _watch(self, kind: Any, over: str, step: str, ends: Ends, stepping: Callable[..., Any]) -> None:
        begin: Any = getattr(kind, over, None)
        go_on: Any = getattr(kind, step)

        def begun(value: Any) -> Any:
            found = begin(value)
            if (which := self.number(found)) is not None:
                ends.go_over(which, self.number(value) or which)
            return found

        def stepped(value: Any) -> Any:
            which = self.number(value)
            return go_on(value) if which is None else stepping(which, functools.partial(go_on, value))

        self._kinds.add(kind)
        setattr(kind, step, functools.wraps(go_on)(stepped))
        if begin is not None:
            setattr(kind, over, functools.wraps(begin)(begun))
