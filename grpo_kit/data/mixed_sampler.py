"""Prompts of several data sets in one step, each in its share, each set with a sampler of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Any

from grpo_kit.types import Group, Prompt, Task

from .mixture import DataSet, mixed_fingerprint, shares
from .sampler import OtherData, Sampler


class MixedSampler:
    """Draws from each data set in proportion to its weight (`shares`); which of its prompts, its own sampler decides.

    The state is that of the samplers, and how many prompts each data set has given.
    """

    def __init__(self, sets: Sequence[DataSet], samplers: Sequence[Sampler]) -> None:
        self.sets, self.samplers = tuple(sets), tuple(samplers)
        self.told = max(sampler.told for sampler in samplers)
        self.drawn = [0] * len(sets)

    @property
    def skipped_long(self) -> int:
        return sum(sampler.skipped_long for sampler in self.samplers)

    def next(self, count: int, drawn: Collection[str] = ()) -> list[tuple[Task, Prompt]]:
        """See `TaskSampler.next`; a data set with too few prompts left for its share of a step's later rounds gives fewer."""
        order = shares([part.weight for part in self.sets], self.drawn, count)
        wanted = Counter(order)
        # Every sampler is asked, if for nothing: a step passes for all of them.
        found = [iter(sampler.next(wanted[number], drawn)) for number, sampler in enumerate(self.samplers)]
        for number in order:
            self.drawn[number] += 1  # also where it has no more: what it cannot give it does not owe to later steps
        pairs = [next(found[number], None) for number in order]
        return [pair for pair in pairs if pair is not None]

    def observe(self, groups: Sequence[Group]) -> None:
        for part, sampler in zip(self.sets, self.samplers, strict=True):
            sampler.observe([group for group in groups if group.task.data_set == part.name])

    def statistics(self) -> dict[str, float]:
        """Each data set's own, under its name."""
        return {
            f"data/{part.name}/{name}": value
            for part, sampler in zip(self.sets, self.samplers, strict=True)
            for name, value in sampler.statistics().items()
        }

    def state_dict(self) -> dict[str, Any]:
        return {
            "sets": [sampler.state_dict() for sampler in self.samplers],
            "drawn": list(self.drawn),
            "fingerprint": mixed_fingerprint(self.sets),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Raises OtherData if the data sets, their names or weights changed; nothing is changed then."""
        if state["fingerprint"] != mixed_fingerprint(self.sets):
            found = [own["fingerprint"] for own in state["sets"]]
            now = [part.source.fingerprint for part in self.sets]
            other = [
                f"{p.where} ({p.name})" for p, was in zip(self.sets, found, strict=False) if p.source.fingerprint != was
            ]
            which = (
                ""
                if len(found) != len(now) or not other
                else f": {' and '.join(other)} has other rows, or reads them otherwise"
            )
            raise OtherData(
                "data: these are not the data sets that the checkpoint was trained on, or not with these names and weights"
                + which
            )
        for sampler, own in zip(self.samplers, state["sets"], strict=True):
            sampler.load_state_dict(own)
        self.drawn = list(state["drawn"])
