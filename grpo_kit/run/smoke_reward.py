"""A reward by chance, so that a model which can do nothing yet has something to learn from in `train --smoke`."""

from __future__ import annotations

from collections.abc import Sequence


def by_chance(completion_ids: Sequence[int]) -> float:
    """0 or 1, by the tokens alone."""
    return float(sum((place + 1) * token for place, token in enumerate(completion_ids)) % 97 % 2)
