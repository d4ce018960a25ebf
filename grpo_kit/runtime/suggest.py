"""What somebody meant to type: the nearest of the names that there are."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def distance(first: str, second: str) -> int:
    """Letters that were added, left out, mistaken, or swapped with their neighbour (optimal string alignment)."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, start=1):
        before, last, row = row, before, [i]
        for j, b in enumerate(second, start=1):
            best = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (a != b))
            if i > 1 and j > 1 and a == second[j - 2] and first[i - 2] == b:
                best = min(best, last[j - 2] + 1)
            row.append(best)
    return row[-1]


def closest(word: str, names: Iterable[str]) -> str | None:
    """The name that fewest slips lead to, if they are few for its length; the parts of a name, the last before the others,
    count too."""
    wanted = word.lower()

    def slips(name: str) -> tuple[int, bool, float]:
        known = name.lower()
        *folders, last = known.replace("/", ".").split(".")
        near = min(distance(wanted, part) for part in {known, last})
        above = min((distance(wanted, part) for part in folders if "/" in known), default=near)
        if above < near:  # of all that is in a folder nothing is nearer than the rest
            return above, True, 0.0
        return near, False, -SequenceMatcher(None, wanted, known).ratio()

    best = min(names, key=slips, default=None)
    if best is None or slips(best)[0] > max(1, len(word) // 3):
        return None
    return best


def did_you_mean(word: str, names: Iterable[str]) -> str:
    """A sentence that begins with a blank, or nothing."""
    found = closest(word, names)
    return f" Did you mean {found}?" if found else ""
