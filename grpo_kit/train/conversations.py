"""What the episodes of a step look like: turns, calls of tools, and what their environment said and took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import fmean
from typing import get_args

from grpo_kit.types import Ending, Group


def conversation_metrics(groups: Sequence[Group]) -> dict[str, float]:
    """Numbers of the completions that are episodes; none where there is no environment.

    ``turns/mean``, ``turns/max`` and ``turns/ended_*`` (shares of the episodes); ``calls/mean`` of an episode, ``calls/invalid``
    and ``calls/failed`` (shares of the calls); ``length/inserted``, tokens of an episode; ``environment/seconds`` of an episode;
    ``environment/reward``, the mean of what it paid where it paid anything.
    """
    episodes = [c for group in groups for c in group.completions if c.turns]
    if not episodes:
        return {}
    turns = [turn for episode in episodes for turn in episode.turns]
    calls = sum(turn.calls for turn in turns)
    endings = Counter(episode.ending for episode in episodes)
    paid = [score.value for episode in episodes if (score := episode.earned()) is not None and score.counts]
    return {
        "turns/mean": len(turns) / len(episodes),
        "turns/max": float(max(len(episode.turns) for episode in episodes)),
        **{f"turns/ended_{ending}": endings[ending] / len(episodes) for ending in get_args(Ending)},
        "calls/mean": calls / len(episodes),
        "calls/invalid": sum(turn.invalid for turn in turns) / max(1, calls),
        "calls/failed": sum(turn.failed for turn in turns) / max(1, calls),
        "length/inserted": fmean(episode.inserted_length for episode in episodes),
        "environment/seconds": sum(turn.seconds for turn in turns) / len(episodes),
        **({"environment/reward": fmean(paid)} if paid else {}),
    }
