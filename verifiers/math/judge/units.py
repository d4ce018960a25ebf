"""When two units, currencies or counted nouns can stand for the same answer.

A unit is a tuple of (name, power), sorted: ``km/h`` and ``kilometres per hour`` are both
``(("hour", -1), ("kilometre", 1))``. Counted nouns have a ``#`` before their name.
"""

from __future__ import annotations

from fractions import Fraction

from ..read.amounts import known_unit
from ..read.unit_names import FACTORS
from ..values import Unit

_LENGTHS = frozenset(name for name, (dimension, _) in FACTORS.items() if dimension == "L") | {"unit"}
_EITHER = {"prime": {"foot", "arcminute", "minute"}, "double prime": {"inch", "arcsecond", "second"}}


def agree(first: Unit, second: Unit) -> bool:
    """Whether two units can stand for the same answer.

    An absent unit agrees with any; ``units`` agrees with any length of the same power; nouns agree when one phrase
    holds the other's words (``ways`` and ``different ways``).
    """
    if not first or not second or first == second:
        return True
    if len(first) == len(second) == 1:
        (one, power), (two, other) = first[0], second[0]
        if "unit" in (one, two):
            return power == other and {one, two} <= _LENGTHS
        if two in _EITHER.get(one, ()) or one in _EITHER.get(two, ()):
            return power == other
    names, others = {n for n, _ in first}, {n for n, _ in second}
    if names <= others or others <= names:
        smaller, larger = (dict(first), dict(second)) if names <= others else (dict(second), dict(first))
        return not known_unit(tuple(larger.items())) and all(larger[name] == power for name, power in smaller.items())
    return False


def conversion(first: Unit, second: Unit) -> Fraction | None:
    """What one ``first`` is in ``second``, when both have the same dimension and the factor is exact."""
    totals: list[tuple[dict[str, int], Fraction]] = []
    for unit in (first, second):
        dimension: dict[str, int] = {}
        scale = Fraction(1)
        for name, power in unit:
            if name not in FACTORS or abs(power) > 4:
                return None
            base, factor = FACTORS[name]
            dimension[base] = dimension.get(base, 0) + power
            scale *= factor**power
        totals.append((dimension, scale))
    return totals[0][1] / totals[1][1] if totals[0][0] == totals[1][0] else None
