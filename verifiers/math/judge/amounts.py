"""Units, currencies and percent."""

from __future__ import annotations

from fractions import Fraction

from ..read.amounts import known_unit
from ..trees import symbols
from ..values import (
    Based,
    Expr,
    Labelled,
    ListOf,
    Modular,
    Mul,
    Number,
    Percent,
    Quantity,
    Ratio,
    Relation,
    SetOf,
    Symbol,
    Tuple,
    Value,
)
from . import units
from .marker import Marker

_TAKEN_APART = (ListOf, Relation, Labelled, SetOf, Tuple, Modular)
_HUNDREDTH = Number(Fraction(1, 100))


def same_amount(mark: Marker, gold: Value, response: Value) -> bool | None:
    """Both sides' units must agree; one side may lack its unit. None for lists and relations, taken apart first."""
    if isinstance(gold, Quantity) and isinstance(response, Quantity):
        return _both_quantities(mark, gold, response)
    if isinstance(gold, _TAKEN_APART) or isinstance(response, _TAKEN_APART):
        return None
    if isinstance(gold, Quantity):
        if isinstance(response, Percent) or (mark.strict and known_unit(gold.unit)):
            return False
        if isinstance(response, Expr) and symbols(response) and not symbols(gold.value):
            return mark.same(as_product(gold), response)
        return mark.same(gold.value, response)
    if isinstance(response, Quantity):
        if mark.strict or isinstance(gold, (Percent, Ratio, Based)):
            return False
        if isinstance(gold, Expr) and symbols(gold) and not symbols(response.value):
            return mark.same(gold, as_product(response))
        return mark.same(gold, response.value)
    return _same_percent(mark, gold, response)


def _both_quantities(mark: Marker, gold: Quantity, response: Quantity) -> bool:
    if units.agree(gold.unit, response.unit):
        return mark.same(gold.value, response.value)
    factor = units.conversion(response.unit, gold.unit)
    if mark.lenient and factor is not None and isinstance(response.value, Expr):
        return mark.same(gold.value, Mul((Number(factor), response.value)))
    return False


def _same_percent(mark: Marker, gold: Value, response: Value) -> bool:
    """25% is 25/100; outside of strict the sign may also be missing on either side."""
    if isinstance(gold, Percent) and isinstance(response, Percent):
        return mark.same(gold.value, response.value)
    if isinstance(gold, Percent):
        if not isinstance(response, Expr):
            return False
        return mark.same(Mul((gold.value, _HUNDREDTH)), response) or (
            not mark.strict and mark.same(gold.value, response)
        )
    assert isinstance(response, Percent)
    if not isinstance(gold, Expr):
        return False
    return mark.same(gold, Mul((response.value, _HUNDREDTH))) or (not mark.strict and mark.same(gold, response.value))


def as_product(quantity: Quantity) -> Value:
    """``3 m`` as three times m, for a gold in which m is a variable."""
    letters = quantity.text
    if letters.isalpha() and letters.isascii() and len(letters) <= 3 and isinstance(quantity.value, Expr):
        return Mul((quantity.value, *(Symbol(letter) for letter in letters)))
    return quantity.value
