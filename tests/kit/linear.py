"""Whether work grows as its text does: CPU time of this process, compared within one run.

A suspicion is measured again: a machine under load can make one measurement slow, and no machine makes a quadratic one fast.
"""

from __future__ import annotations

from collections.abc import Callable

RATIO = 2.5
FLOOR = 0.025  # seconds, below which the clock says nothing
TRIES = 25  # a linear one passes at once on a quiet machine


def is_linear(cost: Callable[[str], float], shorter: str, longer: str, floor: float = FLOOR) -> bool:
    """Whether the longer text, of twice the length, costs at most `RATIO` times as much.

    Args:
        cost: CPU seconds that a text takes.
        floor: what costs no more than this is not compared.
    """
    least = most = float("inf")
    for _ in range(TRIES):
        least, most = min(least, cost(shorter)), min(most, cost(longer))
        if most <= max(floor, RATIO * least):
            return True
    return False
