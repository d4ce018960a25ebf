"""Which groups teach nothing, by who is right and not by the total reward."""

from __future__ import annotations

from collections.abc import Iterator

from grpo_kit.types import Group, Score

AGREEMENT = 1e-9


def agrees(group: Group) -> bool:
    """Whether the judge marks all responses alike (DAPO, arXiv:2503.14476, eq. 11: all of them right, or none).

    The reward is not what is compared: a punishment for length would keep groups that differ in nothing else. It decides
    only where a group has no marks to compare.
    """
    values = list(_counted(group.marks()))
    if len(values) < 2:
        values = list(_counted(group.scores))
    return len(values) < 2 or max(values) - min(values) < AGREEMENT


def _counted(scores: list[Score]) -> Iterator[float]:
    return (s.value for s in scores if s.counts)
