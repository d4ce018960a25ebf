"""What threads of the tests have still to say when the text of a test has ended: a program would else win by being slow."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection

_GRACE_S = 0.1  # from the last answer of the program to what a thread makes of it
_LOOK_S = 0.005
_DAEMONS_S = 1.0


def join(before: Collection[threading.Thread], asking: Collection[int]) -> None:
    """Wait for threads that were not there ``before``: to their end, as the interpreter does; for those of a pool until none of
    them asks the program, and as long as `_DAEMONS_S` for daemons, for which the interpreter does not wait.

    Args:
        asking: identifiers of threads whose request is under way.
    """
    queues = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
    new = [t for t in threading.enumerate() if t not in before]
    for thread in new:
        if not thread.daemon and thread not in queues:
            thread.join()
    begun = time.monotonic()
    until = begun + _GRACE_S
    while time.monotonic() < until and (left := [t for t in new if t.is_alive()]):
        patient = time.monotonic() < begun + _DAEMONS_S
        if any(
            (t.ident in asking and (patient or t in queues)) or (t in queues and not queues[t].empty()) for t in left
        ):
            until = time.monotonic() + _GRACE_S
        left[0].join(_LOOK_S)
