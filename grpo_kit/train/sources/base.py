"""What the loop asks of whatever gives it groups, so that it need not know where they come from."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from grpo_kit.types import Group


class GroupSource(Protocol):
    """Scored groups, a step at a time, in an order that a run can leave at any step and come back to.

    What the groups of a step are depends on the position before it, the step and the policy alone. Steps are asked for one
    after the other. Every source passes ``tests/train/sources/test_contract.py``.

    Attributes:
        recorded: whether the groups stand in a file already, so that they need not be logged again.
    """

    @property
    def recorded(self) -> bool: ...

    def next(self, step: int, count: int) -> list[Group]:
        """``count`` groups to learn from in ``step``, or fewer where some cannot be learned from; and replayed ones beside.

        Raises what sampling, scoring or reading raised. One that raises, or is abandoned, leaves the source where it was.
        """

    def learned(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        """The groups that `next` gave were learned from with these advantages [groups][samples], and stand in the record."""

    def statistics(self) -> dict[str, float]:
        """What is worth logging of the step that `next` gave last, of all ranks. What is counted is told once."""

    def position(self, done: int) -> dict[str, Any]:
        """Where a run that has learned from step ``done``, and from no later one, goes on: for a checkpoint."""

    def restore(self, position: dict[str, Any]) -> None:
        """Go on from a `position`, before the first `next`.

        Raises:
            OtherData: it is a position in other data; the source stays where it is.
        """

    def paused(self) -> AbstractContextManager[None]:
        """Within, generator and scorer belong to the caller; what is prepared meanwhile waits."""

    def close(self) -> None:
        """End what works in the background, also after a failure. The generator and the scorer stay open."""
