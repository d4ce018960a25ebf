"""What threads of the tests have still to say when the text of a test has ended: a program would else win by being slow."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Collection

_GRACE_S = 0.1  # from the last answer of the program to what a thread makes of it
_LOOK_S = 0.005
_DAEMONS_S = 1.0
_clock = time.monotonic


class Threads:
    """
    Args:
        asking: identifiers of threads whose request is under way.
        waiting: of those that wait for another one, however long.
        called: in which functions of the tests run that threads of the program have called.

    Attributes:
        last: whether it is the last test that runs.
    """

    def __init__(
        self, asking: Collection[int | None], waiting: Collection[int | None], called: Collection[threading.Thread]
    ) -> None:
        self._asking, self._waiting, self._called = asking, waiting, called
        self._left: list[threading.Thread] = []  # that earlier tests have begun
        self.last = False

    def join(self, before: Collection[threading.Thread], failed: bool = False) -> None:
        """Wait for threads that were not there ``before`` a test.

        To their end, as the interpreter does, or until they wait for what a later test may do; for those of a pool until none
        of them asks the program, and as long as `_DAEMONS_S` for daemons, for which the interpreter does not wait, and for
        those of a test that has ``failed``.
        """
        new = [t for t in threading.enumerate() if t not in before]
        if not failed:
            self._left += new
        begun = _clock()
        until = begun + _GRACE_S
        while left := [t for t in {*(new if failed else self._left), *self._called} if t.is_alive()]:
            patient = _clock() < begun + _DAEMONS_S
            if any(self._has_to_say(t, patient, failed) for t in left):
                until = _clock() + _GRACE_S
            elif _clock() >= until:
                return
            left[0].join(_LOOK_S)

    def _has_to_say(self, thread: threading.Thread, patient: bool, failed: bool) -> bool:
        queues = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", {})
        waits = thread.ident in self._waiting
        if thread in queues:
            return not queues[thread].empty() or (thread.ident in self._asking and not waits)
        if thread in self._called:
            return not waits
        if thread.daemon or failed:
            return patient and thread.ident in self._asking and not waits
        return self.last or not waits
