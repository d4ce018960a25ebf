"""Time that the tests let pass: threads of the program may call the functions that they were given meanwhile (`debounce`).

What the program calls is heard while the tests wait for it. So they sleep where the program is, and are told when it is over;
what it leaves of the time they sleep themselves.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# Seconds: an event that the program sets is seen as soon, and so is a thread that a function of the tests has started meanwhile.
_STEP = 0.01


def watch(is_given: Callable[[], bool], wait: Callable[[float], Any], forget: Callable[[], None], texts: str) -> None:
    """Have `time.sleep` and `threading.Event.wait` hear the program.

    Args:
        is_given: whether the program has functions of the tests.
        wait: waits where the program is.
        forget: what the program's objects have said so far: it may be otherwise after a while.
        texts: of the tests; what they do not name, they do not use.
    """
    sleep, clock = time.sleep, time.monotonic

    def hears() -> bool:
        # While another thread of the tests asks the program, it hears for all; `threading` does not know of each.
        return is_given() and len(sys._current_frames()) == 1

    def sleep_hearing(seconds: float) -> None:
        forget()
        until = clock() + seconds
        while seconds > 0 and hears():
            wait(min(seconds, _STEP))
            seconds = until - clock()
        sleep(max(seconds, 0))

    if "sleep" in texts:
        time.sleep = sleep_hearing  # type: ignore[assignment]
    if "Event" not in texts:
        return
    wait_for_event = threading.Event.wait

    def wait_hearing(self: threading.Event, timeout: float | None = None) -> bool:
        forget()
        until = math.inf if timeout is None else clock() + timeout
        while not self.is_set() and (left := until - clock()) > 0:
            if hears():
                wait(min(left, _STEP))
            else:
                wait_for_event(self, min(left, _STEP))
        return self.is_set()

    threading.Event.wait = wait_hearing  # type: ignore[method-assign]
