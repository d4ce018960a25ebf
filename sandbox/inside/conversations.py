"""Which thread a message is for: each thread of one side that asks the other speaks with a thread there.

In a conversation the two sides take turns, and what is begun last ends first. Conversations know nothing of each other: a
function of the tests may wait for another one, and hold a lock while it asks the program; so may what they call in threads.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from typing import Any

Message = list[Any]

_ROOM = 100  # frames: what it takes to hear of an answer, or to say what has failed

MAIN = 0  # of the thread that runs the tests; others of theirs are below, those of the program's threads above


def need_room() -> None:
    """Raise RecursionError before anything has been said, and not in the middle of it: each side would take what the other one
    says next for something else."""
    try:
        sys._getframe(sys.getrecursionlimit() // 3)  # calls in C count, too, which have no frame
    except ValueError:
        return
    _take(_ROOM)


def _take(frames: int) -> None:
    if frames:
        _take(frames - 1)


class _Condition(threading.Condition):
    wait = threading.Condition.wait  # that of the tests may hear the program (`waited`)


class Conversations:
    """One side's messages by conversation. Whoever waits for one reads for all.

    Args:
        receive: the next message of any.
        begin: hears of one in a conversation that nobody has joined here, and joins it.
    """

    def __init__(self, receive: Callable[[], Message], begin: Callable[[int, Message], None]) -> None:
        self._receive, self._begin = receive, begin
        self._changed = _Condition(threading.RLock())
        self._received: dict[int, list[Message]] = {MAIN: []}
        self._broken: BaseException | None = None
        self.reads = False  # whether somebody reads

    def join(self, number: int) -> None:
        self._received[number] = []

    def leave(self, number: int) -> None:
        del self._received[number]

    def hear(self, number: int) -> Message:
        """The next message of a conversation. Raises what reading has raised, in whichever thread."""
        received = self._received[number]
        while True:
            with self._changed:
                self._changed.wait_for(lambda: received or self._broken or not self.reads)
                if received:
                    return received.pop(0)
                if self._broken is not None:
                    raise self._broken
                self.reads = True
            self._read()

    def read_on(self) -> None:
        """Read whenever nobody else does: whoever would hear the next message may be at work."""
        while self._broken is None:
            with self._changed:
                self._changed.wait_for(lambda: not self.reads)
                self.reads = True
            self._read()

    def _read(self) -> None:
        try:
            self._take(self._receive())
        except BaseException as error:
            self._broken = error
        finally:
            with self._changed:
                self.reads = False
                self._changed.notify_all()

    def _take(self, message: Message) -> None:
        number = MAIN
        if message[0] == "nested":
            _, number, message = message
        if number in self._received:
            self._received[number].append(message)
        else:
            self._begin(number, message)


class _Here(threading.local):
    has_taken = False


class Turns:
    """Of calls that take along what the tests have once, one goes over at a time: each brings back what it has made of its own
    copy. Not while a function of the tests runs, which may wait for another call.
    """

    def __init__(self) -> None:
        self._changed = _Condition()
        self._taken: Counter[Any] = Counter()
        self._functions = self._wanting = 0
        self._here = _Here()

    def are_wanted(self) -> bool:
        return self._wanting > 0

    @contextlib.contextmanager
    def taken(self, things: Collection[Any]) -> Iterator[None]:
        """For the time of a call with these ``things``, and of what it asks before it goes over."""
        if not things or self._here.has_taken:
            yield
            return
        with self._changed:
            self._wanting += 1
            self._changed.wait_for(lambda: self._functions or self._taken.keys().isdisjoint(things))
            self._taken.update(things)
        self._here.has_taken = True
        try:
            yield
        finally:
            self._here.has_taken = False
            with self._changed:
                self._wanting -= 1
                self._taken -= Counter(things)
                self._changed.notify_all()

    @contextlib.contextmanager
    def given_up(self) -> Iterator[None]:
        """For the time of a function that the program has called."""
        with self._changed:
            self._functions += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._functions -= 1
