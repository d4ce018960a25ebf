"""Whether work grows as its text does: CPU time of this process, compared within one run.

A suspicion is measured again, and then at twice and four times the size. A machine under load makes measurements slow, and a
text that no longer fits into a cache costs more than its length says, once; no machine makes a quadratic cost a linear one.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import contextmanager

RATIO = 2.5
FLOOR = 0.025  # seconds, below which the clock says nothing
TRIES = 25  # a linear one passes at once on a quiet machine
DOUBLINGS = 3


def is_linear(cost: Callable[[str], float], text: Callable[[int], str], size: int, floor: float = FLOOR) -> bool:
    """Whether a text of twice the size costs at most `RATIO` times as much.

    Args:
        cost: CPU seconds that a text takes.
        text: the text of a size.
        floor: what costs no more than this is not compared.
    """
    before = 0.0
    for doubling in range(DOUBLINGS):
        least, most = _costs(cost, text(size << doubling), text(size << (doubling + 1)), floor)
        if doubling and not before <= least <= most:  # beyond a bound nothing is read, which says nothing of what is
            return False
        if most <= max(floor, RATIO * least):
            return True
        before = least
    return False


def _costs(cost: Callable[[str], float], shorter: str, longer: str, floor: float) -> tuple[float, float]:
    """The least that each was seen to cost, until the longer one is in proportion."""
    least = most = float("inf")
    for _ in range(TRIES):
        least, most = min(least, cost(shorter)), min(most, cost(longer))
        if most <= max(floor, RATIO * least):
            break
    return least, most


@contextmanager
def without_collections():
    """The collector goes through all that the suite has made, the sooner the more is made here: its time is no work of ours."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
