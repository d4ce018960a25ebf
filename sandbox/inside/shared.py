"""Containers that both sides have by now, and either may change: what the program hands over and still has itself
(``s.peek().append(3)``, a list that is kept for other calls, one row as all rows), what the tests take from an attribute
(``node.children.append(other)``), and what they hand over to an object, a closure or a block that keeps it (``Logger(lines)``).

Each side has one of its own under one number. With what a side says next goes what has changed in it. Handed over again, the
same container is the same one for the tests.
"""

from __future__ import annotations

import collections
import functools
import sys
import threading
from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Any

from ..wire import codec
from ..wire.containers import MUTABLE
from .given import Arguments, alike, fill, marked, shallow

_MOST, _LONGEST = 64, 1000


class Numbered:
    """A container in a message: by its number, and with what is in it.

    Args:
        given: marks of what else has one there.
    """

    __slots__ = ("among", "container", "given", "number")

    def __init__(
        self, among: Shared, number: int, container: Any, given: Mapping[int, Any] = MappingProxyType({})
    ) -> None:
        self.among, self.number, self.container, self.given = among, number, container, given

    def reference(self, encode: Callable[[Any], Any]) -> Any:
        """What is written of it. Raises TooDeep for what holds itself."""
        content = self.among.content(self.number, self.container, encode, self.given)
        return {"~": "ref", "v": ["container", self.number, content]}


class Shared:
    """One side's containers by number: `known`. The ones that were met last, if they and what is in them are not too long.

    Args:
        step: from one number that this side gives to the next: 1 or -1, so that both sides give others.
    """

    def __init__(self, step: int = 1) -> None:
        self.known: dict[int, Any] = {}
        self._numbers: dict[int, int] = {}  # by identity
        self._before: dict[int, tuple[Arguments, list[Any]]] = {}
        self._own: collections.Counter[int] = collections.Counter()  # references in these, by identity
        self._written: set[int] = set()  # whose content is being written
        self._next, self._step = step, step
        self._lock = threading.RLock()  # whoever reads takes them, while others look for what has changed

    def number(self, container: Any) -> int | None:
        """The number of one that the program hands over or keeps; None for one that is too long to be followed."""
        with self._lock:
            number = self._numbers.get(id(container))
            if number is None:
                number = self._next
                self._next += self._step
            return number if self.keep(number, container) else None

    def keep(self, number: int, container: Any) -> bool:
        """Follow a container from now on; False if it is too long for that."""
        with self._lock:
            self._drop(number)
            parts = Arguments([container] if len(container) <= _LONGEST else [])
            if not parts.containers or sum(map(len, parts.containers)) > _LONGEST:
                return False
            self.known[number], self._numbers[id(container)] = container, number
            self._remember(number, parts)
            for oldest in list(self.known)[:-_MOST]:
                self._drop(oldest)
            return True

    def _remember(self, number: int, parts: Arguments) -> None:
        self._forget(number)
        self._before[number] = parts, parts.before()
        for container in parts.containers:
            self._own[id(container)] += 1 + parts.places[id(container)]

    def _forget(self, number: int) -> None:
        parts, _ = self._before.pop(number, (Arguments([]), None))
        for container in parts.containers:
            self._own[id(container)] -= 1 + parts.places[id(container)]
            if not self._own[id(container)]:
                del self._own[id(container)]

    def _drop(self, number: int) -> None:
        if number in self.known:
            container = self.known.pop(number)
            if self._numbers.get(id(container)) == number:  # it may have been kept by another one since
                del self._numbers[id(container)]
            self._forget(number)

    def put(self, number: int, content: Any) -> Any:
        """Give a container what the other side's holds; returns it, or a new one."""
        with self._lock:
            known = self.known.get(number)
            if known is not None and alike(known, content):
                fill(known, content)
                self._is_told_within(known)
                content = known
            self.keep(number, content)
            return content

    def _is_told_within(self, container: Any) -> None:
        """What the other side has put into one is no news where that stands in others, and what else is new there still is."""
        for parts, before in self._before.values():
            if (mark := parts.marks.get(id(container))) is not None:
                before[mark.number] = shallow(container)

    def take(self, states: Any, decode: Callable[[Any], Any]) -> None:
        """What the other side has changed. Raises Malformed."""
        if type(states) is not list:
            raise codec.Malformed("not containers")
        for number, content in states:
            found = decode(content)
            with self._lock:
                if number in self.known and alike(self.known[number], found):
                    self.put(number, found)

    def changed(self, encode: Callable[[Any], Any]) -> list[Any]:
        """[number, content] of those that are not what they were; the other side is told of it now."""
        with self._lock:
            found = [(number, self.known[number]) for number in self.untold()]
            self.told([number for number, _ in found])
            return [[number, self.content(number, container, encode)] for number, container in found]

    def handed(
        self, value: Any, is_kept: bool, given: Mapping[int, Any] = MappingProxyType({}), top: bool = False
    ) -> Any:
        """What one side hands over, with marks in the place of what of it that side has otherwise, or holds twice.

        Args:
            is_kept: whether it has ``value`` itself.
            given: marks of what of it is known otherwise.
            top: whether ``value`` is a container whose content is asked for.
        """
        parts = Arguments([value])
        if not parts.containers:
            return value
        in_tuples = parts.in_tuples if is_kept or not isinstance(value, tuple) else ()
        kept = [container for container in self.known_otherwise(parts.containers, in_tuples) if container is not value]
        if isinstance(value, MUTABLE) and is_kept:
            kept.append(value)
        for container in kept[-_MOST // 2 :]:
            if isinstance(container, MUTABLE) and id(container) not in given:
                self.number(container)
        return marked(value, functools.partial(self.mark, given=given), top)

    def known_otherwise(self, containers: list[Any], surely: Collection[int] = ()) -> list[Any]:
        """Those, of some that stand in a value, that the program has otherwise, too, or twice; ``surely``: by identity."""
        counts = zip(containers, _references(containers), strict=True)
        return [c for c, count in counts if count > _IN_ONE + self._own[id(c)] or id(c) in surely]

    def mark(self, container: Any, given: Mapping[int, Any]) -> Any:
        """What stands for a container in a message; None: it is itself."""
        number = self._numbers.get(id(container))
        return given.get(id(container)) or (None if number is None else Numbered(self, number, container, given))

    def content(
        self, number: int, container: Any, encode: Callable[[Any], Any], given: Mapping[int, Any] = MappingProxyType({})
    ) -> Any:
        """What is written of the items of one: of others that are followed, their numbers, too. Raises TooDeep for what holds
        itself."""
        with self._lock:
            if number in self._written:
                raise codec.TooDeep("a container within itself")
            self._written.add(number)
            try:
                return encode(marked(container, functools.partial(self.mark, given=given), top=True))
            finally:
                self._written.discard(number)

    def told(self, numbers: Collection[int]) -> None:
        """Take some for what the other side knows."""
        with self._lock:
            for number in self.known.keys() & numbers:
                self._remember(number, Arguments([self.known[number]]))

    def untold(self) -> list[int]:
        """Numbers of those that are not what the other side knows."""
        with self._lock:
            return [n for n, (parts, before) in self._before.items() if not parts.are(before)]


def _references(containers: list[Any]) -> list[int]:
    return [sys.getrefcount(container) for container in containers]


# Of what stands in one other container, and is known by its place in a list of all.
_IN_ONE = _references(Arguments([[[]]]).containers)[1]
