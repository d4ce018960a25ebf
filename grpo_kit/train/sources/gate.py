"""Where a thread that prepares steps waits for the trainer, and agrees with those of the other ranks to go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from grpo_kit.runtime import ranks

SECONDS_BETWEEN_LOOKS = 0.5


class RunOver(BaseException):
    """The run is over: what is under way is not needed any more. Not an Exception, so that no library takes it for one."""


class Gate:
    """Stands between the trainer's thread, which pauses and closes it, and the preparing thread, which passes it.

    Pauses are numbered in the order in which they are asked for; of each the preparing thread says that it has reached it,
    and the trainer's that it has ended. The preparing threads of several ranks pass together: each tells the others which
    pause it knows of, and all wait at the latest one, so that none exchanges groups with one that never comes.

    Attributes:
        condition: guards this state and whatever else the two threads share, and tells of every change.
        closed: the run is over on this rank.
        asking: the preparing thread waits for what those of the other ranks say; they may have failed.
    """

    def __init__(self) -> None:
        self.condition = threading.Condition()
        self.closed = self.asking = False
        self._requested = self._reached = self._ended = 0  # the number of the last pause

    @property
    def pause_requested(self) -> bool:
        """Whether a pause has been asked for that the preparing thread has not reached."""
        return self._requested != self._reached

    def wait(self) -> None:
        """Wait for a change, with the condition held. Comes back after a while all the same: a rank may have died."""
        self.condition.wait(SECONDS_BETWEEN_LOOKS)

    def agree(self, *, exchanging: bool, before_waiting: Callable[[], None] = lambda: None) -> None:
        """Ask the other ranks whether all go on, and wait while somebody pauses them; for the preparing thread.

        Args:
            exchanging: whether groups are exchanged next; else it asks only because of a pause, or of the end.
            before_waiting: called before whoever asked for a pause is let through.

        Raises:
            RunOver: on every rank, when the run is over on one.
        """
        while True:
            self.asking = True
            said = ranks.all_gather((self.closed, self._requested), "agreeing on the groups of a step")
            if any(closed for closed, _ in said):
                raise RunOver
            self.asking = False
            requested = max(pauses for _, pauses in said)
            if requested == self._reached:
                return
            before_waiting()
            with self.condition:
                self._reached = requested
                self.condition.notify_all()
                while self._ended < requested and not self.closed:
                    self.wait()
            if not exchanging:
                return

    @contextmanager
    def pause(self, works: Callable[[], bool]) -> Iterator[None]:
        """Within, the preparing thread stands at the gate; for the trainer's.

        Args:
            works: whether there is a preparing thread that could come to the gate.
        """
        with self.condition:
            self._requested += 1
            self.condition.notify_all()
            while works() and self._reached < self._requested:
                self.wait()
        try:
            yield
        finally:
            with self.condition:
                self._ended = self._requested
                self.condition.notify_all()

    def close(self) -> None:
        with self.condition:
            self.closed = True
            self.condition.notify_all()
