"""Iterators of the program that tests go over behind their end: finding nothing there is no answer, unless it is asked for.

A program that returns an iterator in the place of a list would pass each check but the first: ``assert len(list(x)) == 3``, and
then ``for v in x: assert v == 5``. So whatever goes over such an iterator again and finds nothing, by whatever name, fails the
test. There are two ways out. The same place in the tests has found items of it before (``while some := list(islice(it, 3))``).
Or the tests ask whether there is nothing, where their text says so (`asked`).
"""

from __future__ import annotations

import sys
import types
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from typing import Any

from .taken import Takers, is_of_tests
from .watched import Watched

Place = tuple[tuple[Any, int], ...]
_MOST_FRAMES = 50
_CONTAINERS = (list, set, dict, deque)  # of which each empty one is an object of its own


class BehindItsEnd(BaseException):
    """Not raised: it is outstanding until the tests ask for it.

    Args:
        of: the number of what was gone over.

    Attributes:
        told: what ``next`` has raised for it: who asks for that asks for this, too.
    """

    told: BaseException | None = None

    def __init__(self, of: int | None) -> None:
        self.of = of
        super().__init__(
            "the tests go over an iterator of the program that has come to its end, and find nothing to check"
        )


def place() -> Place:
    """Where the tests are: in each of their functions that runs."""
    found: list[tuple[Any, int]] = []
    frame = sys._getframe(1)
    while frame is not None and len(found) < _MOST_FRAMES:
        if is_of_tests(frame.f_code):
            found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back  # type: ignore[assignment]
    return tuple(found)


class Going:
    """One time that the tests go over an iterator.

    Args:
        which: the iterator, by its number.
        of: what has handed it over, by its number.
    """

    def __init__(self, emptied: Emptied, which: int, of: int) -> None:
        self._emptied, self.of = emptied, of
        self.which, self.place = which, place()
        self._done = False  # it has found an item, or an end

    def found(self) -> None:
        """An item."""
        if not self._done:
            self._done = True
            self._emptied.places.add((self.which, self.place))

    def ended(self) -> None:
        emptied = self._emptied
        behind = not self._done and self.which in emptied.spent and (self.which, self.place) not in emptied.places
        self._done = True
        emptied.spent.add(self.which)
        emptied.leave(self, ended=True)
        if behind:
            emptied.again.append(error := BehindItsEnd(self.of))
            emptied.add(error)


class Made:
    """What an expression of the tests makes of iterators of the program.

    Attributes:
        sources: numbers of what it is made of.
        ends: those that were met meanwhile, each of which left nothing in it.
        returned: what functions of the tests have made for it.
    """

    value: Any = None

    def __init__(self, since: int) -> None:
        self.since = since
        self.sources: set[int | None] = set()
        self.ends: list[BehindItsEnd] = []
        self.returned: list[Made] = []


class Emptied:
    """What is known of the ends of iterators, and what the rewritten text of a test asks of it (`asked`).

    Args:
        add, take: hear of what the tests have to ask for, and that they have.
        has: whether the program has an object of the task's.

    Attributes:
        watched: the iterators that are gone over here.
        takers: who would take a failure of the tests.
        spent: iterators that have come to their end.
        places: which of them have given an item in which place.
        again: each time that one was gone over behind its end, in this test.
    """

    def __init__(
        self,
        add: Callable[[BaseException], None],
        take: Callable[[BaseException], list[Any]],
        has: Callable[[Any], bool],
    ) -> None:
        self.add, self._take, self.watched = add, take, Watched(has)
        self.takers = Takers()
        self.spent: set[int] = set()
        self.places: set[tuple[int, Place]] = set()
        # By iterator: those that have not come to an end, the latest last, each in a place of its own; and the latest that has.
        self._goings: defaultdict[int, dict[Place, Going]] = defaultdict(dict)
        self._left: dict[int, Going] = {}
        self.clear()

    def clear(self) -> None:
        self.again: list[BehindItsEnd] = []
        self._open: defaultdict[int, list[Made]] = defaultdict(list)  # by the frame in which they are evaluated
        self._passed: list[tuple[types.FrameType, Made]] = []  # by the frame that calls, as long as it does

    def step(self, which: int, step: Callable[[], Any]) -> Any:
        """The next item of an iterator that is gone over here."""
        going = self.going(which)
        try:
            value = step()
        except StopIteration:
            going.ended()
            raise
        going.found()
        return value

    async def step_awaited(self, which: int, step: Callable[[], Any]) -> Any:
        going = self.going(which)
        try:
            value = await step()
        except StopAsyncIteration:
            going.ended()
            raise
        going.found()
        return value

    def go_over(self, which: int, of: int) -> Going:
        """The tests begin to go over an iterator, which something has handed over."""
        goings, going = self._goings[which], Going(self, which, of)
        goings.pop(going.place, None)
        goings[going.place] = going
        return going

    def going(self, which: int) -> Going:
        """Which of them it is that asks, an iterator does not hear. It is the latest: one that began before an end and has found
        nothing comes behind that end."""
        goings = self._goings[which]
        return goings[next(reversed(goings))] if goings else self._left.get(which) or self.go_over(which, which)

    def leave(self, going: Going, ended: bool = False) -> None:
        goings = self._goings[going.which]
        if goings.get(going.place) is going:
            del goings[going.place]
        if ended:
            self._left[going.which] = going

    def iter(self, value: Any, *sentinel: Any) -> Any:
        """By which nothing is gone over yet: whatever does, begins for itself."""
        found = iter(value, *sentinel)
        if (which := self.watched.number(found)) is not None:
            self.leave(self.going(which))
        return found

    # What is made of iterators: `mark`, then the sources, then `made`, all in one frame.

    def mark(self) -> Made:
        made = Made(len(self.again))
        self._open[id(sys._getframe(1))].append(made)
        return made

    def source(self, value: Any, *made: Made) -> Any:
        """What a part of it is made of, and how that was ``made`` itself."""
        self._open[id(sys._getframe(1))][-1].sources.add(self.watched.number(value))
        for one in made:
            if one.value is value:
                self._open[id(sys._getframe(1))][-1].ends += one.ends
        return value

    def handed(self, value: Any) -> Any:
        """The same, of what a function of the tests has returned, or is given."""
        frame = sys._getframe(1)
        now = self._open[id(frame)][-1]
        now.sources.add(self.watched.number(value))
        passed = [made for caller, made in self._passed if caller is frame.f_back]
        now.ends += [end for made in now.returned + passed if made.value is value for end in made.ends]
        return value

    def _close(self, made: Made, value: Any, frame: types.FrameType) -> list[Made]:
        """Returns within what it was made."""
        around = self._open[id(frame)]
        while around and around.pop() is not made:  # what an exception has left behind
            pass
        made.value = value
        made.ends += self._of(made)
        made.since = len(self.again)
        return around

    def _of(self, made: Made) -> list[BehindItsEnd]:
        return [end for end in self.again[made.since :] if end.of in made.sources]

    def made(self, made: Made, value: Any) -> Made:
        self._close(made, value, sys._getframe(1))
        return made

    def bound(self, made: Made, value: Any) -> Made:
        """The same, for a name: what else is made there is made of it."""
        for around in self._close(made, value, sys._getframe(1))[-1:]:
            around.ends += made.ends
        return made

    def calling(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """A function of the tests is given what they have made. It may call itself as often as if this were not between."""
        frame = sys._getframe()
        sys.setrecursionlimit(sys.getrecursionlimit() + 1)
        passed = [(frame, made) for made in _ends(*arguments) if isinstance(made.value, _CONTAINERS)]
        self._passed += passed
        try:
            return function(*map(value_of, arguments), **named)
        finally:
            sys.setrecursionlimit(sys.getrecursionlimit() - 1)
            for one in passed:
                self._passed.remove(one)

    def returned(self, made: Made, value: Any) -> Any:
        """To where something is made of it."""
        frame = sys._getframe(1)
        self._close(made, value, frame)
        if made.ends and isinstance(value, _CONTAINERS):
            for waiting in self._open[id(frame.f_back)][-1:]:
                waiting.returned.append(made)
        return value

    # What asks.

    def _prove(self, ends: list[BehindItsEnd]) -> None:
        """The test has not failed. Where that would be taken, somebody has looked, and no other place asks for them."""
        if not self.takers.take(sys._getframe(1)):
            for end in ends:
                self._take(end)
        ends.clear()

    def looped(self, over: Made) -> Iterator[Any]:
        """What a loop goes over that fails at the first item."""
        yield from over.value
        self._prove(over.ends + self._of(over))

    def false(self, side: Made) -> bool:
        """Whether it is true, which it is not to be."""
        result = bool(side.value)
        if not result:
            self._prove(side.ends)
        return result

    def eq(self, left: Any, right: Any) -> Any:
        result = value_of(left) == value_of(right)
        if _ends(left, right) and result:
            self.alike(left, right)
        return result

    def noteq(self, left: Any, right: Any) -> Any:
        result = value_of(left) != value_of(right)
        if _ends(left, right) and not result:
            self.alike(left, right)
        return result

    def alike(self, left: Any, right: Any) -> None:
        """Sides are equal. What was made of an end says nothing about another, but what proves one proves the other."""
        met = _ends(left, right)
        if len(met) == 2:
            left.ends += right.ends
            right.ends = left.ends
        elif met:
            self._prove(met[0].ends)

    def asserting(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``assertEqual(list(x), [])``, ``assertCountEqual(x, [])``, ``assertIsNone(next(x, None))``."""
        for side in arguments:  # what another argument has met is none of its ends
            if type(side) is Made:
                side.since = len(self.again)
        result = function(*map(value_of, arguments), **named)
        for side in arguments:
            if type(side) is Made:  # what the function itself has gone over
                side.ends += self._of(side)
        self.alike(arguments[0], arguments[1] if len(arguments) > 1 else None)
        return result

    def next(self, iterator: Any, *default: Any) -> Any:
        since, going = len(self.again), self._next_begins(iterator)
        try:
            return next(iterator)
        except StopIteration as error:
            return self._next_ended(iterator, since, error, default)
        finally:
            self._next_is_over(going)

    async def anext(self, iterator: Any, *default: Any) -> Any:
        since, going = len(self.again), self._next_begins(iterator)
        try:
            return await anext(iterator)
        except StopAsyncIteration as error:
            return self._next_ended(iterator, since, error, default)
        finally:
            self._next_is_over(going)

    def _next_begins(self, iterator: Any) -> Going | None:
        which = self.watched.number(iterator)
        return None if which is None else self.go_over(which, which)

    def _next_is_over(self, going: Going | None) -> None:
        if going is not None:
            self.leave(going)

    def _next_ended(self, iterator: Any, since: int, error: BaseException, default: tuple[Any, ...]) -> Any:
        for end in self.again[since:]:
            if end.of == self.watched.number(iterator):
                end.told = error
        if not default:
            raise error
        return default[0]


def value_of(side: Any) -> Any:
    return side.value if type(side) is Made else side


def _ends(*sides: Any) -> list[Made]:
    return [side for side in sides if type(side) is Made and side.ends]
