"""Which thread a message is for: each thread of the program that has the tests call a function speaks with one of theirs.

In a conversation the two sides take turns, and what is begun last ends first. Conversations know nothing of each other: a
function of the tests may wait for another one, and hold a lock while it asks the program.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

Message = list[Any]

MAIN = 0  # the conversation that the tests begin


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
