"""How long a test waits for what has to happen. It ends what hangs, and is no measure of how fast a machine is."""

import time
from collections.abc import Callable

HANGS = 1500.0  # seconds; below pytest's own limit, so that the test can say what it waited for


def wait_until(happened: Callable[[], bool], what: str, every: float = 0.01) -> None:
    """Look again and again until something has happened. Raises AssertionError, naming it, where it never does."""
    end = time.monotonic() + HANGS
    while not happened():
        assert time.monotonic() < end, f"{what}: not within {HANGS:g} s"
        time.sleep(every)
