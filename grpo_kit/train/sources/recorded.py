"""Groups that stand in a file already, or are made from worked solutions."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from grpo_kit.data.records import Records
from grpo_kit.data.sampler import Sampler
from grpo_kit.types import Group


class RecordedGroups:
    """A `GroupSource` that reads what was recorded.

    Args:
        records: their order depends on the seed and the step alone, so that there is no position in them to be kept.
        sampler: of the recipe's tasks, from which nothing is drawn. A run that is forked from this one may draw from them,
            and begins where the sampler stands.
    """

    recorded = True

    def __init__(self, records: Records, sampler: Sampler) -> None:
        self.records, self.sampler = records, sampler

    def next(self, step: int, count: int) -> list[Group]:
        return self.records.next(step, count)

    def learned(self, step: int, groups: list[Group], advantages: list[list[float]]) -> None:
        """What came of a step decides nothing of the next."""

    def statistics(self) -> dict[str, float]:
        return {"prompts_too_long": self.sampler.skipped_long}

    def position(self, done: int) -> dict[str, Any]:
        return self.sampler.state_dict()

    def restore(self, position: dict[str, Any]) -> None:
        self.sampler.load_state_dict(position)

    def paused(self) -> AbstractContextManager[None]:
        """Reading uses neither generator nor scorer."""
        return nullcontext()

    def close(self) -> None:
        """Nothing works in the background."""
