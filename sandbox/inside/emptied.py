"""Iterators of the program that tests go over behind their end: finding nothing there is no answer, unless it is asked for.

A program that returns an iterator in the place of a list would pass each check but the first: ``assert len(list(x)) == 3``, and
then ``for v in x: assert v == 5``. So whatever goes over such an iterator again and finds nothing, by whatever name, fails the
test. There are two ways out. The same place in the tests has found items of it before (``while some := list(islice(it, 3))``).
Or the tests ask whether there is nothing: what they have made of all its items, and of nothing else (``list(it)``, ``[*it]``,
``[str(v) for v in it]``), is compared with what is empty, or not true; that ``next`` of it, or ``max``, has given its default
is compared with it; or a block or a clause takes what ``next`` raises there, and fails if there is more.
"""

from __future__ import annotations

import itertools
import sys
import threading
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from .held import Held, number

Place = tuple[tuple[Any, int], ...]
_MOST_FRAMES = 50
_LAZY = frozenset(("builtins", "itertools"))
_CONTAINERS = (list, set, dict)  # of which each empty one is an object of its own
_EMPTY = (*_CONTAINERS, tuple, frozenset, str)
_MOST_PARTS = 1000
_FUNCTIONS = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType)
_PLAIN = frozenset((object, int, float, complex, bool, bytes, types.NoneType, *_FUNCTIONS))


class BehindItsEnd(BaseException):
    """Not raised: it is outstanding until the tests ask for it.

    Attributes:
        told: what ``next`` has raised for it: who asks for that asks for this, too.
    """

    told: StopIteration | None = None

    def __init__(self) -> None:
        super().__init__(
            "the tests go over an iterator of the program that has come to its end, and find nothing to check"
        )


def place() -> Place:
    """Where the tests are: in each of their functions that runs."""
    found: list[tuple[Any, int]] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < _MOST_FRAMES:
        if frame.f_code.co_filename.startswith(("<test", "<setup", "<text")):
            found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


class Going:
    """One time that the tests go over an iterator."""

    def __init__(self, emptied: Emptied, which: int) -> None:
        self._emptied, self._key = emptied, (which, place())
        self._behind = which in emptied.spent

    def found(self) -> None:
        """An item."""
        self._behind = False
        self._emptied.places.add(self._key)

    def ended(self) -> None:
        self._emptied.spent.add(self._key[0])
        if self._behind and self._key not in self._emptied.places:
            self._behind = False
            self._emptied.again.append(error := BehindItsEnd())
            self._emptied.add(error)


class Emptied:
    """What is known of the ends of iterators, and what the rewritten text of a test asks of it (`rewritten`).

    Args:
        add, take: hear of what the tests have to ask for, and that they have.

    Attributes:
        spent: iterators that have come to their end.
        places: which of them have given an item in which place.
        again: each time that one was gone over behind its end, in this test.
    """

    def __init__(self, add: Callable[[BaseException], None], take: Callable[[BaseException], Any]) -> None:
        self.add, self._take = add, take
        self.spent: set[int] = set()
        self.places: set[tuple[int, Place]] = set()
        self.clear()

    def clear(self) -> None:
        self.again: list[BehindItsEnd] = []
        self._nothing: list[tuple[Any, list[BehindItsEnd]]] = []  # what was made of one then, and of nothing else
        self._lazy: list[Any] = []
        self._mapped: list[Any] = []  # those of them whose items a function makes: one may be what stands for none
        self._sides: dict[tuple[int, int], list[list[Any]]] = {}
        self._sources: dict[tuple[int, int], tuple[Any, int]] = {}

    def _is_whole(self, value: Any) -> bool:
        """Whether it yields all items of an iterator of the program, and nothing else."""
        return isinstance(value, Held) or any(value is one for one in self._lazy)

    def _of(self, value: Any, since: int) -> list[BehindItsEnd]:
        """The ends that were met when ``value`` was gone over, or made."""
        made = next((ends for one, ends in self._nothing if one is value), []) if isinstance(value, _CONTAINERS) else []
        return made or (self.again[since:] if self._is_whole(value) else [])

    def _keep(self, result: Any, ends: list[BehindItsEnd]) -> None:
        if ends:
            self._nothing.append((result, ends))

    def over(self, function: Any, *arguments: Any, **named: Any) -> Any:
        """``map(g, x)``, ``islice(x, 3)``: what it yields is all that ``x`` does."""
        result = function(*arguments, **named)
        behind = any(number(a) in self.spent or any(a is one for one in self._lazy) for a in arguments)
        if behind and getattr(function, "__module__", "") in _LAZY:
            self._lazy.append(result)
            if isinstance(result, (map, itertools.starmap)) or any(a is one for one in self._mapped for a in arguments):
                self._mapped.append(result)
        return result

    def whole(self, function: Any, value: Any, **named: Any) -> Any:
        """``list(x)``, ``max(x, default=None)``."""
        since = len(self.again)
        result = function(value, **named)
        if self.again and (result is None or (isinstance(result, _EMPTY) and not result)):
            self._keep(result, self._of(value, since))
        return result

    def spread(self, kind: str, value: Any) -> Any:
        """``[*x]``."""
        return self.whole({"list": list, "tuple": tuple, "set": set}[kind], value)

    def source(self, value: Any, comprehension: int) -> Any:
        """What a comprehension goes over."""
        self._sources[threading.get_ident(), comprehension] = value, len(self.again)
        return value

    def listed(self, result: Any, comprehension: int) -> Any:
        """What it has made."""
        value, since = self._sources.pop((threading.get_ident(), comprehension), (None, 0))
        if self.again and not result:
            self._keep(result, self._of(value, since))
        return result

    def to_be_empty(self, value: Iterable[Any]) -> Iterator[Any]:
        """What a loop goes over that fails at the first item."""
        since = len(self.again)
        yield from value
        self._take_all(self._of(value, since))

    def next(self, iterator: Any, *default: Any) -> Any:
        since = len(self.again)
        which = number(iterator)
        going = Going(self, which) if which is not None else None
        try:
            return next(iterator)
        except StopIteration as error:
            if going is not None:
                going.ended()
            ends = self.again[since:] if self._is_whole(iterator) else []
            if not default:
                for end in ends:
                    end.told = error
                raise
            if not any(iterator is one for one in self._mapped):
                self._keep(default[0], ends)
            return default[0]

    def len(self, value: Any) -> int:
        length = len(value)
        if self._nothing and not length:
            self._keep(length, self._within(value, True))
        return length

    def _take_all(self, ends: list[BehindItsEnd]) -> None:
        for end in ends:
            self._take(end)

    def _answered(
        self, sides: Sequence[Any], ends: Sequence[list[BehindItsEnd]], shared: Sequence[Sequence[Any]]
    ) -> None:
        """Sides are equal. What is made of an end says nothing about another, nor about itself.

        Args:
            ends: what each side holds.
            shared: what was read for both, of each two of them.
        """
        for (one, other), read in zip(itertools.combinations(range(len(sides)), 2), shared, strict=True):
            by_chance = sides[one] is sides[other] and not isinstance(
                sides[one], _CONTAINERS
            )  # there is but one ``()``
            if (by_chance or not ends[one] or not ends[other]) and not any(map(_may_hold, read)):
                self._take_all([*ends[one], *ends[other]])

    def _within(self, value: Any, direct: bool) -> list[BehindItsEnd]:
        """The ends that are asked for where ``value`` is found to be empty, or equal to what holds such parts.

        Args:
            direct: it may be one that is no object of its own (None, an empty tuple).
        """
        parts, met = [value], 0
        found: list[BehindItsEnd] = []
        while parts and met < _MOST_PARTS:
            part, met = parts.pop(), met + 1
            if isinstance(part, _CONTAINERS) or (direct and part is value):
                found += [end for one, ends in self._nothing if one is part for end in ends]
            if isinstance(part, (list, tuple)):
                parts += part
            elif isinstance(part, dict):
                parts += part.values()
        return found

    def equal(self, left: Any, right: Any, *known: Any) -> Any:
        return self._compared(left == right, True, (left, right), *known)

    def unequal(self, left: Any, right: Any, *known: Any) -> Any:
        return self._compared(left != right, False, (left, right), *known)

    def is_same(self, left: Any, right: Any, *known: Any) -> bool:
        return self._is(left is right, True, (left, right), *known)

    def is_other(self, left: Any, right: Any, *known: Any) -> bool:
        return self._is(left is not right, False, (left, right), *known)

    def _is(
        self, result: bool, alike: bool, sides: tuple[Any, Any], direct: Sequence[bool] = (), shared: Any = ()
    ) -> bool:
        if self._nothing and result is alike:
            for ends in map(self._within, sides, direct):
                self._take_all(ends)
        return result

    def side(self, value: Any, comparison: int, first: bool) -> Any:
        """One of more than two that are compared."""
        waiting = self._sides.setdefault((threading.get_ident(), comparison), [])
        if first:
            waiting.append([])
        waiting[-1].append(value)
        return value

    def chained(self, result: Any, comparison: int, *known: Any) -> Any:
        """``a == b == c``."""
        sides = self._sides[threading.get_ident(), comparison].pop()
        return self._compared(result, True, sides, *known)

    def _compared(
        self, result: Any, alike: bool, sides: Sequence[Any], direct: tuple[bool, ...], shared: tuple[Any, ...]
    ) -> Any:
        if self._nothing and result is alike:
            self._answered(sides, [*map(self._within, sides, direct)], shared)
        return result

    def no(self, value: Any, direct: bool) -> bool:
        """``not x``."""
        result = not value
        if self._nothing and result:
            self._take_all(self._within(value, direct))
        return result

    def asserting(self, shared: tuple[Any, ...], function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``assertEqual(list(x), [])``, ``assertFalse(list(x))``, ``assertCountEqual(x, [])``."""
        since = len(self.again)
        result = function(*arguments, **named)
        if self.again:
            sides = arguments[:2]
            ends = [self._within(a, True) or self._of(a, since) for a in sides]
            if len(sides) == 1:
                self._take_all(ends[0])
            self._answered(sides, ends, shared)
        return result


def _may_hold(value: Any) -> bool:
    """Whether it may be what was made of an iterator, or something that holds it."""
    return not value if type(value) is str else type(value) not in _PLAIN
