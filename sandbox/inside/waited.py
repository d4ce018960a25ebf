"""Time that the tests let pass: threads of the program may call the functions that they were given meanwhile (`debounce`), print,
or change what both have; and tasks of its event loop go on while that of the tests waits.

What the program says is heard while the tests wait for it. So they wait where the program is, and are told when it is over; what
it leaves of the time they wait themselves.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# Seconds: what the program sets is seen as soon, and so is a thread that a function of the tests has started meanwhile.
_STEP = 0.01


class Program:
    """
    Args:
        listens: whether the program may say something while nobody asks it.
        wait: waits where it is.
        forget: what its objects have said so far: it may be otherwise after a while.
    """

    def __init__(
        self, listens: Callable[[], bool], wait: Callable[[float, bool], None], forget: Callable[[], None]
    ) -> None:
        self._listens, self._wait, self.forget = listens, wait, forget

    def is_heard(self) -> bool:
        # While another thread of the tests asks the program, it hears for all; `threading` does not know of each.
        return self._listens() and len(sys._current_frames()) == 1

    def wait(self, seconds: float, in_loop: bool = False) -> None:
        self._wait(min(seconds, _STEP), in_loop)


def watch(program: Program, texts: str) -> None:
    """Have what the tests wait by hear the program.

    Args:
        texts: of the tests; what they do not name, they do not use.
    """
    if "sleep" in texts:
        _watch_sleep(program)
    if any(module in texts for module in ("threading", "queue", "futures")):
        _watch_conditions(program)
    if "SimpleQueue" in texts:
        queue: Any = importlib.import_module("queue")
        queue.SimpleQueue = queue._PySimpleQueue  # which waits by a condition
    if "asyncio" in texts:
        _watch_loops(program)


def _watch_sleep(program: Program) -> None:
    sleep, clock = time.sleep, time.monotonic

    def sleep_hearing(seconds: float) -> None:
        program.forget()
        until = clock() + seconds
        while seconds > 0 and program.is_heard():
            program.wait(seconds)
            seconds = until - clock()
        sleep(max(seconds, 0))

    time.sleep = sleep_hearing  # type: ignore[assignment]


def _watch_conditions(program: Program) -> None:
    """Events, queues, semaphores and barriers wait by one."""
    clock, lock = time.monotonic, threading.Lock

    def wait_hearing(self: Any, timeout: float | None = None) -> bool:
        """As `threading.Condition.wait`, in steps."""
        if not self._is_owned():
            raise RuntimeError("cannot wait on un-acquired lock")
        program.forget()
        until = math.inf if timeout is None else clock() + timeout
        waiter = lock()
        waiter.acquire()
        self._waiters.append(waiter)
        saved, told = self._release_save(), False
        try:
            while not (told := waiter.acquire(blocking=False)) and (left := until - clock()) > 0:
                if program.is_heard():
                    program.wait(left)
                elif told := waiter.acquire(timeout=min(left, _STEP)):
                    break
            return told
        finally:
            self._acquire_restore(saved)
            if not told:
                with contextlib.suppress(ValueError):
                    self._waiters.remove(waiter)

    threading.Condition.wait = wait_hearing  # type: ignore[method-assign]


def _watch_loops(program: Program) -> None:
    """What an event loop waits by. What the program calls meanwhile runs in no loop, as it does in a thread."""
    asyncio: Any = importlib.import_module("asyncio")
    kind: Any = importlib.import_module("selectors").DefaultSelector
    select = kind.select

    def select_hearing(self: Any, timeout: float | None = None) -> Any:
        if timeout != 0:
            program.forget()
        if timeout != 0 and program.is_heard():
            outer = asyncio._get_running_loop()
            asyncio._set_running_loop(None)
            try:
                program.wait(_STEP if timeout is None else timeout, in_loop=True)
            finally:
                asyncio._set_running_loop(outer)
            timeout = 0
        return select(self, timeout)

    kind.select = select_hearing
