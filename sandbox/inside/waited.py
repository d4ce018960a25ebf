"""Time that the tests let pass: threads of the program may call the functions that they were given meanwhile (`debounce`), print,
or change what both have; and tasks of its event loop go on while that of the tests waits.

What the program says is heard while the tests wait for it. So they wait where the program is, and are told when it is over; what
it leaves of the time they wait themselves.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import threading
import time
from collections.abc import Callable
from typing import Any

# Seconds: what the program sets is seen as soon, and so is a thread that a function of the tests has started meanwhile.
_STEP = 0.01
_SHORT = 0.001  # until which a thread has begun, for one
_clock = time.monotonic


class Program:
    """
    Args:
        listens: whether the program may say something while nobody asks it.
        hears: whether a thread of the tests hears what it says by now: it does so for all.
        wait: waits where it is; False if a thread of the tests asks there.
        forget: what its objects have said so far: it may be otherwise after a while.

    Attributes:
        waiting: identifiers of threads of the tests that wait for another one, however long.
    """

    def __init__(
        self,
        listens: Callable[[], bool],
        hears: Callable[[], bool],
        wait: Callable[[float, bool], bool],
        forget: Callable[[], None],
    ) -> None:
        self.listens, self._hears, self._wait, self.forget = listens, hears, wait, forget
        self.waiting: set[int] = set()

    def wait(self, seconds: float, in_loop: bool = False) -> bool:
        """For a step, where the program is; False if another thread of the tests hears it, or asks there."""
        return self.listens() and not self._hears() and self._wait(min(seconds, _STEP), in_loop)

    def wait_until(self, comes: Callable[[float], bool], timeout: float | None) -> bool:
        """Wait for what another thread does, in steps; returns whether it has come.

        Args:
            comes: waits for it as many seconds itself.
        """
        self.forget()
        until, seconds = math.inf if timeout is None else _clock() + timeout, _SHORT
        this = threading.get_ident()
        if timeout is None:
            self.waiting.add(this)
        try:
            while not comes(max(0, min(seconds, until - _clock()))):
                if (left := until - _clock()) <= 0:
                    return False
                seconds = 0 if self.wait(left) else _STEP
            return True
        finally:
            self.waiting.discard(this)


def watch(program: Program, texts: str) -> None:
    """Have what the tests wait by hear the program.

    Args:
        texts: of the tests; what they do not name, they do not use.
    """
    if "sleep" in texts:
        _watch_sleep(program)
    if any(module in texts for module in ("threading", "queue", "futures")):
        _watch_threads(program)
    if "SimpleQueue" in texts:
        queue: Any = importlib.import_module("queue")
        queue.SimpleQueue = queue._PySimpleQueue  # which waits by a condition
    if "asyncio" in texts:
        _watch_loops(program)


def _watch_sleep(program: Program) -> None:
    sleep = time.sleep

    def sleep_hearing(seconds: float) -> None:
        if program.listens():
            program.wait_until(lambda step: sleep(step) is not None, seconds)
        else:
            program.forget()
            sleep(seconds)

    time.sleep = sleep_hearing  # type: ignore[assignment]


def _watch_threads(program: Program) -> None:
    """What waits by a condition, as events, queues, semaphores and barriers do, and what waits for the end of a thread."""
    lock, join = threading.Lock, threading.Thread.join

    def wait_hearing(self: Any, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`."""
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        waiter = lock()
        waiter.acquire()
        self._waiters.append(waiter)
        saved, told = self._release_save(), False
        try:
            told = program.wait_until(lambda seconds: waiter.acquire(timeout=seconds), timeout)
            return told
        finally:
            self._acquire_restore(saved)
            if not told:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)

    def join_hearing(self: Any, timeout: float | None = None) -> None:
        join(self, 0)

        def has_ended(seconds: float) -> bool:
            join(self, seconds)
            return not self.is_alive()

        program.wait_until(has_ended, timeout)

    threading.Condition.wait = wait_hearing  # type: ignore[method-assign]
    threading.Thread.join = join_hearing  # type: ignore[method-assign]


def _watch_loops(program: Program) -> None:
    """What an event loop waits by. What the program calls meanwhile runs in no loop, as it does in a thread."""
    asyncio: Any = importlib.import_module("asyncio")
    kind: Any = importlib.import_module("selectors").DefaultSelector
    select = kind.select

    def select_hearing(self: Any, timeout: float | None = None) -> Any:
        if timeout != 0:
            program.forget()
        if timeout == 0 or not program.listens():
            return select(self, timeout)
        timeout = _STEP if timeout is None else min(timeout, _STEP)
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(None)
        try:
            waited = program.wait(timeout, in_loop=True)
        finally:
            asyncio._set_running_loop(outer)
        return select(self, 0 if waited else timeout)

    kind.select = select_hearing
