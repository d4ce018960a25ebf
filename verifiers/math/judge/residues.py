"""Residue classes: ``x \\equiv 3 \\pmod 7`` beside others, and beside the bare 3."""

from __future__ import annotations

from ..values import Expr, Modular, Value
from .exact import exact
from .lists import same_members
from .marker import Marker
from .relations import classes, residue


def same_residue(mark: Marker, gold: Modular, response: Modular) -> bool:
    """The same residue classes: equal moduli, congruent values."""
    golds, responses = classes(gold), classes(response)
    if len(golds) > 1 or len(responses) > 1:
        return same_members(mark, golds, responses, as_set=True)
    if not mark.same(gold.modulus, response.modulus):
        return False
    one, two = residue(gold), residue(response)
    if not isinstance(one, Expr) or not isinstance(two, Expr):
        return mark.same(one, two)
    a, b, modulus = exact(one), exact(two), exact(gold.modulus)
    if a is None or b is None or not modulus:
        return mark.same(one, two)
    return ((a - b) / modulus).denominator == 1


def residue_of_gold(mark: Marker, gold: Modular, response: Value) -> bool:
    """A gold ``3 \\pmod 7`` is answered by 3."""
    return not mark.strict and mark.same(residue(gold), response)


def residue_of_response(mark: Marker, gold: Value, response: Modular) -> bool:
    """A gold 3 is answered by ``x \\equiv 3 \\pmod 7``."""
    return not mark.strict and mark.same(gold, residue(response))
