"""What the episodes of a step look like: turns, calls of tools, and what their environment said and took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import get_args

from grpo_kit.observe.episode_numbers import EpisodeNumbers
from grpo_kit.types import Ending, Group


def conversation_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Numbers of the completions that are episodes; none where there is no environment.

    ``turns/mean``, ``turns/max`` and ``turns/ended_*`` (shares of the episodes); ``turns/misread`` (share of the turns that
    called nothing and were not understood); ``calls/mean`` of an episode, ``calls/invalid`` and ``calls/failed`` (shares of the
    calls); ``length/inserted``, tokens of an episode; ``environment/seconds`` of an episode; ``environment/reward``, the mean of
    what it paid where it paid anything.
    """
    episodes = [c for group in groups for c in group.completions if c.turns]
    found = EpisodeNumbers.of(episodes)
    if found is None:
        return {}
    paid = [score.value for episode in episodes if (score := episode.earned()) is not None and score.counts]
    return {
        "turns/mean": found.turns,
        "turns/max": float(found.most_turns),
        **{f"turns/ended_{ending}": found.endings.get(ending, 0.0) for ending in get_args(Ending)},
        "turns/misread": found.misread,
        "calls/mean": found.calls,
        "calls/invalid": found.invalid,
        "calls/failed": found.failed,
        "length/inserted": fmean(episode.inserted_length for episode in episodes),
        "environment/seconds": found.seconds,
        **({"environment/reward": fmean(paid)} if paid else {}),
    }
