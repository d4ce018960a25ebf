"""Which thread of the program's process speaks with the tests: one that answers them, or one that has them call their function.

The tests do one thing at a time, and what they begin last they end first. So a thread has them call a function while none
other runs; or on top of the last one, if what that one asks waits for another thread (`worker.join()` in a function of the
tests): maybe for this one. Not before: the function may hold a lock of the tests while it asks.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_STEP, _STEPS = 0.01, 5  # seconds; how often a thread is found waiting until it is believed
_THREADING = threading.Condition.wait.__code__.co_filename  # where a thread waits for another one

Message = list[Any]


@dataclass(slots=True, eq=False)
class _Call:
    """A function of the tests that runs.

    Attributes:
        thread: which has called it.
        asks: what it asks the program and waits for.
    """

    thread: int
    asks: Message | None = None


class Turns:
    """
    Args:
        receive: gives what the tests say next.
    """

    def __init__(self, receive: Callable[[], Message]) -> None:
        self._receive = receive
        self._turn = threading.Condition(threading.RLock())
        self._inbox: list[Message] = []  # requests that a thread has received, and that are not its to answer
        self._calls: list[_Call] = []

    def next(self) -> Message:
        """What the tests ask, beyond what their functions ask."""
        with self._turn:
            self._turn.wait_for(lambda: self._inbox or not self._calls)
            if not self._inbox:
                return self._receive()
            self._turn.notify_all()
            return self._inbox.pop()

    def call(self, send: Callable[[], None], answer: Callable[[Message], Callable[[], None]]) -> Message:
        """Have the tests call a function of theirs; returns what they say that came of it.

        Args:
            send: tells them.
            answer: works for what the function asks; returns what sends the answer.
        """
        call = _Call(threading.get_ident())
        with self._turn:
            self._wait()
            self._calls.append(call)
            send()
        try:
            while True:
                with self._turn:
                    message = self._hear(call)
                    if message[0] != "nested":
                        return message
                    call.asks = message
                    self._turn.notify_all()
                reply = answer(message)
                with self._turn:  # whoever has called on top of it by now has done so before the function hears
                    call.asks = None
                    reply()
        finally:
            with self._turn:
                self._calls.remove(call)
                self._turn.notify_all()

    def _wait(self) -> None:
        """Until the tests can call a function."""
        watched, steps = None, 0
        while self._calls and (last := self._calls[-1]).thread != threading.get_ident():
            frame = sys._current_frames().get(last.thread)
            waits = frame is not None and frame.f_code.co_filename == _THREADING
            if last.asks is None or last.asks is not watched or not waits:
                watched, steps = last.asks, 0
            elif steps >= _STEPS:
                return
            steps += not self._turn.wait(_STEP)

    def _hear(self, call: _Call) -> Message:
        while True:
            self._turn.wait_for(lambda: self._calls[-1] is call)
            message = self._receive()
            if message[0] in ("nested", "returned", "failed"):
                return message
            self._inbox.append(message)  # answered here, a call that waits for what this thread does would never return
            self._turn.notify_all()
            self._turn.wait_for(lambda: not self._inbox)
