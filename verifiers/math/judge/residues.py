"""Residue classes: ``x \\equiv 3 \\pmod 7`` beside others, and beside the bare 3."""

from __future__ import annotations

from ..limits import MAX_PLUS_MINUS
from ..trees import expand_signs
from ..values import Expr, Modular, Relation, Value
from .exact import exact
from .marker import Marker
from .relations import assignment


def residue(value: Modular) -> Value:
    """What stands before the modulus, without the name of the unknown."""
    inner = value.value
    if isinstance(inner, Relation) and len(inner.parts) > 2:
        return inner.parts[-1]
    named = assignment(inner)
    return named[1] if named else inner


def classes(value: Modular) -> tuple[Modular, ...]:
    """One residue class per sign: ``\\pm 1 \\pmod 6`` is two."""
    inner = residue(value)
    if not isinstance(inner, Expr):
        return (value,)
    return tuple(Modular(one, value.modulus) for one in expand_signs(inner, MAX_PLUS_MINUS))


def same_residue(mark: Marker, gold: Modular, response: Modular) -> bool:
    """The same residue classes: equal moduli, congruent values."""
    from .lists import same_members

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
