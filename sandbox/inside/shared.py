"""Containers that both sides have by now, and either may change: what the tests take from an attribute and change there
(``node.children.append(other)``), and what they hand over to an object, a closure or a block that keeps it (``Logger(lines)``).

Each side has one of its own under one number. With what a side says next goes what has changed in it. Asked for again, the
same container is the same one for the tests.

What a method or an item of an object hands over stays what it was for the tests, whatever the program does, which may by then
have been told what they expect. But the program hears of what they change in it: it may be its own (``s.peek().append(3)``).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Collection, Iterator
from typing import Any

from ..wire import codec
from .given import Arguments, alike, fill


class Shared:
    """One side's containers by number: `known`.

    Args:
        most: of them: the ones that were met last.
        longest: how many items one may have, with those of what is in it.
    """

    def __init__(self, most: int = 20, longest: int = 1000) -> None:
        self._most, self._longest = most, longest
        self.known: dict[int, Any] = {}
        self._before: dict[int, list[Any]] = {}
        self._next = 0
        self._lock = threading.RLock()  # whoever reads takes them, while others look for what has changed

    def number(self, container: Any) -> int | None:
        """The number of one that the program hands over or keeps; None for one that is too long to be followed."""
        number = next((n for n, known in list(self.known.items()) if known is container), None)
        if number is None:
            number = self._next
            self._next += 1
        return number if self.keep(number, container) else None

    def keep(self, number: int, container: Any) -> bool:
        """Follow a container from now on; False if it is too long for that."""
        with self._lock:
            self._drop(number)
            parts = Arguments([container] if len(container) <= self._longest else [])
            if not parts.containers or sum(map(len, parts.containers)) > self._longest:
                return False
            self.known[number], self._before[number] = container, parts.before()
            for oldest in list(self.known)[: -self._most]:
                self._drop(oldest)
            return True

    def _drop(self, number: int) -> None:
        self.known.pop(number, None)
        self._before.pop(number, None)

    def put(self, number: int, content: Any) -> Any:
        """Give a container what the other side's holds; returns it, or a new one."""
        with self._lock:
            known = self.known.get(number)
            if known is not None and alike(known, content):
                fill(known, content)
                content = known
            self.keep(number, content)
            return content

    def take(self, states: Any, decode: Callable[[Any], Any]) -> None:
        """What the other side has changed. Raises Malformed."""
        if type(states) is not list:
            raise codec.Malformed("not containers")
        for number, content in states:
            found = decode(content)
            if number in self.known and alike(self.known[number], found):
                self.put(number, found)

    def take_of_own(self, states: Any, decode: Callable[[Any], Any]) -> None:
        """What the other side has changed in what is here what it was."""
        for number in self.untold():
            self._drop(number)
        for number, content in states:
            if number in self.known:
                self.put(number, decode(content))

    def changed(self, encode: Callable[[Any], Any]) -> list[Any]:
        """[number, content] of those that are not what they were; the other side is told of it now."""
        with self._lock:
            found = [(number, self.known[number]) for number in self.untold()]
            self.told()
        return [[number, encode(container)] for number, container in found]

    def told(self, but_for: Collection[int] = ()) -> None:
        """Take all, but for some, for what the other side knows."""
        with self._lock:
            for number in self.known.keys() - but_for:
                self._before[number] = Arguments([self.known[number]]).before()

    def untold(self) -> list[int]:
        """Numbers of those that are not what the other side knows."""
        with self._lock:
            return [n for n, container in self.known.items() if _has_changed(container, self._before[n])]


@contextlib.contextmanager
def no_news(*sides: Shared) -> Iterator[None]:
    """For the time in which the tests take what the program has changed.

    What has changed may be in another container, or be known by another number: that these have changed is none of the tests'
    doing, by which the program's objects might be others.
    """
    news = [shared.untold() for shared in sides]
    yield
    for shared, untold in zip(sides, news, strict=True):
        shared.told(but_for=untold)


def _has_changed(container: Any, before: list[Any]) -> bool:
    parts = Arguments([container])
    return len(parts.containers) != len(before) or bool(parts.changed(before, lambda content: content))


def results() -> Shared:
    """Of what is handed over all the time: each is looked at with each message."""
    return Shared(most=3, longest=200)
