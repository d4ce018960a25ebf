"""Time that the tests let pass: threads of the program may call the functions that they were given meanwhile (`debounce`).

What the program calls is heard while the tests wait for it. So they sleep where the program is, and are told when it is over;
what it leaves of the time they sleep themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

_STEP = 0.01  # seconds: an event that the program sets is seen as soon
_LONGEST = 3600.0  # seconds, beyond any limit: infinity does not go over


def watch(is_given: Callable[[], bool], wait: Callable[[float], Any], texts: str) -> None:
    """Have `time.sleep` and `threading.Event.wait` hear the program.

    Args:
        is_given: whether the program has functions of the tests.
        wait: waits where the program is.
        texts: of the tests; what they do not name, they do not use.
    """
    sleep, clock = time.sleep, time.monotonic

    def hears() -> bool:
        # While another thread of the tests asks the program, it hears for all.
        return is_given() and threading.active_count() == 1

    def sleep_hearing(seconds: float) -> None:
        until = clock() + seconds
        if hears() and seconds > 0:
            wait(float(min(seconds, _LONGEST)))
            seconds = max(until - clock(), 0)
        sleep(seconds)

    if "sleep" in texts:
        time.sleep = sleep_hearing  # type: ignore[assignment]
    if "Event" not in texts:
        return
    wait_for_event = threading.Event.wait

    def wait_hearing(self: threading.Event, timeout: float | None = None) -> bool:
        until = None if timeout is None else clock() + timeout
        while hears() and not self.is_set() and (until is None or clock() < until):
            wait(_STEP)
        return wait_for_event(self, None if until is None else max(until - clock(), 0))

    threading.Event.wait = wait_hearing  # type: ignore[method-assign]
