"""Tuples, vectors and matrices, sets, ratios, piecewise definitions, digits in a base."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from ..limits import MAX_UNORDERED, LimitExceeded
from ..trees import substitute, symbols
from ..values import (
    Add,
    Based,
    Call,
    Cases,
    Constant,
    Div,
    Expr,
    ListOf,
    Matrix,
    Mul,
    NamedSet,
    Number,
    Ratio,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Symbol,
    Text,
    Tuple,
    Value,
)
from .exact import Undefined, exact
from .identity import same_expression
from .intervals import NotASet, intervals_of, same_intervals
from .lists import half_open, same_members
from .marker import Marker

_REST = Text("otherwise")
_UNIT_VECTORS = ("i", "j", "k")
_ZERO, _ONE = Number(Fraction(0)), Number(Fraction(1))


def never(mark: Marker, gold: Value, response: Value) -> bool:
    return False


def always(mark: Marker, gold: Value, response: Value) -> bool:
    return True


def same_text(mark: Marker, gold: Text, response: Text) -> bool:
    return gold.words == response.words


def same_ratio(mark: Marker, gold: Value, response: Value) -> bool:
    """Proportional ratios; two times of day must be the same time."""
    if isinstance(gold, Ratio) and isinstance(response, Ratio):
        if gold.clock and response.clock:
            return same_time(gold, response)
        if len(gold.items) != len(response.items) or gold.half or response.half:
            return False
        return all(
            same_expression(Mul((gold.items[0], b)), Mul((response.items[0], a)))
            for a, b in zip(gold.items[1:], response.items[1:], strict=True)
        )
    one, other = (gold, response) if isinstance(gold, Ratio) else (response, gold)
    assert isinstance(one, Ratio)
    if mark.strict or one.clock or len(one.items) != 2 or not isinstance(other, Expr):
        return False
    return same_expression(Div(*one.items), other)


def same_time(gold: Ratio, response: Ratio) -> bool:
    times = []
    for clock in (gold, response):
        parts = [int(exact(item) or 0) for item in clock.items]
        if clock.half and parts[0] <= 12:
            parts[0] = parts[0] % 12 + (12 if clock.half == "pm" else 0)
        times.append(parts + [0] * (3 - len(parts)))
    if bool(gold.half) == bool(response.half):
        return times[0] == times[1]
    bare, halved = (1, 0) if gold.half else (0, 1)
    # "3:30" may stand for 3:30 p.m., and so does 15:30, but not for another half than the one written.
    return times[bare] == times[halved] or (
        times[bare][0] <= 12 and times[bare][0] % 12 == times[halved][0] % 12 and times[bare][1:] == times[halved][1:]
    )


def same_based(mark: Marker, gold: Value, response: Value) -> bool:
    """Digits in a base: the base must agree; base ten is the plain number."""
    if isinstance(gold, Based) and isinstance(response, Based):
        return gold.base == response.base and gold.digits.lstrip("0") == response.digits.lstrip("0")
    one, other = (gold, response) if isinstance(gold, Based) else (response, gold)
    assert isinstance(one, Based)
    if not isinstance(other, Number) or other.digits is not None:
        return False
    if one.base == 10:
        return one.digits.lstrip("-").isdigit() and other.value == int(one.digits)
    return mark.lenient and one is gold and str(other.value) == one.digits


def rows_of(value: Value) -> Any:
    if isinstance(value, Matrix):
        return value.rows
    if isinstance(value, Tuple) and not half_open(value):
        if all(isinstance(item, (Tuple, ListOf)) for item in value.items):  # ((1,2),(3,4)) and [1,2;3,4]
            return tuple(item.items for item in value.items if isinstance(item, (Tuple, ListOf)))
        return tuple((item,) for item in value.items)
    return None


def same_matrix(mark: Marker, gold: Value, response: Value) -> bool:
    one, two = rows_of(gold), rows_of(response)
    if one is None or two is None:
        return False
    if not (isinstance(gold, Matrix) and isinstance(response, Matrix)):
        # A vector written as a tuple may stand for a row or a column.
        one, two = (tuple((item,) for item in rows[0]) if len(rows) == 1 else rows for rows in (one, two))
    return len(one) == len(two) and all(
        len(a) == len(b) and all(mark.same(x, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(one, two, strict=True)
    )


def vector_in_letters(mark: Marker, gold: Value, response: Value) -> bool | None:
    """``2i - j`` and ``\\binom{2}{-1}`` against a tuple or matrix of as many entries."""
    vector, expression = (response, gold) if isinstance(gold, Expr) else (gold, response)
    rows = rows_of(vector)
    if rows is None or not (len(rows) == 1 or all(len(row) == 1 for row in rows)):
        return None
    entries = rows[0] if len(rows) == 1 else tuple(row[0] for row in rows)
    if isinstance(expression, Call) and expression.name == "binom":
        parts: Any = expression.args
    else:
        parts = coefficients(expression, len(entries))
    if parts is None or len(parts) != len(entries):
        return None
    pairs = zip(entries, parts, strict=True)
    return all(mark.same(a, b) if vector is gold else mark.same(b, a) for a, b in pairs)


def coefficients(node: Value, size: int) -> tuple[Expr, ...] | None:
    """The coefficients of i, j, k in a sum of their multiples; None when something else is added."""
    if size not in (2, 3):
        return None
    found: dict[str, list[Expr]] = {name: [] for name in _UNIT_VECTORS[:size]}
    terms = node.terms if isinstance(node, Add) else (node,)
    for term in terms:
        negative = isinstance(term, Call) and term.name == "neg"
        inner = term.args[0] if isinstance(term, Call) and negative else term
        factors: list[Any] = list(inner.factors) if isinstance(inner, Mul) else [inner]
        letters = [f for f in factors if isinstance(f, (Symbol, Constant)) and f.name in found]
        if len(letters) != 1 or not all(isinstance(factor, Expr) for factor in factors):
            return None
        factors.remove(letters[0])
        size_of = Mul(tuple(factors)) if len(factors) > 1 else factors[0] if factors else _ONE
        found[letters[0].name].append(Call("neg", (size_of,)) if negative else size_of)
    return tuple(Add(tuple(values)) if values else _ZERO for values in found.values())


def same_cases(mark: Marker, gold: Cases, response: Cases) -> bool:
    """Piecewise definitions: the same pieces under the same conditions, in any order."""
    left = list(response.rows)
    if len(left) != len(gold.rows):
        return False
    if len(left) > MAX_UNORDERED:  # too many to be paired: in the order of the gold
        return all(
            mark.same(a[0], b[0]) and mark.same(a[1] or _REST, b[1] or _REST)
            for a, b in zip(gold.rows, left, strict=True)
        )
    for value, condition in gold.rows:
        for row in left:
            conditions_agree = (condition is None and row[1] is None) or (
                condition is not None and row[1] is not None and mark.same(condition, row[1])
            )
            if mark.same(value, row[0]) and (conditions_agree or (len(left) == 1 and is_rest(condition, row[1]))):
                left.remove(row)
                break
        else:
            return False
    return True


def is_rest(one: Value | None, two: Value | None) -> bool:
    """``otherwise`` in one definition stands for the last remaining condition of the other."""
    return any(part is None or isinstance(part, Text) for part in (one, two))


def same_tuple(mark: Marker, gold: Tuple, response: Tuple) -> bool:
    """Ordered; the kind of bracket matters for two members, which may be an interval."""
    if len(gold.items) != len(response.items):
        return False
    if len(gold.items) == 2 and (gold.left, gold.right) != (response.left, response.right):
        return False
    return all(mark.same(a, b) for a, b in zip(gold.items, response.items, strict=True))


def same_builder(mark: Marker, gold: SetBuilder, response: SetBuilder) -> bool:
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded, Undefined):
        one, two = (indices(value.condition) for value in (gold, response))
        if len(one) == len(two) == 1 and one != two and one[0] not in symbols(response):
            response = substitute(response, two[0], Symbol(one[0]))  # {2n : n in Z} and {2k : k in Z}
        return mark.same(gold.element, response.element) and mark.same(gold.condition, response.condition)


def indices(condition: Value) -> list[str]:
    """The names that range over a set in the condition of a set builder."""
    parts = condition.items if isinstance(condition, ListOf) else (condition,)
    return [
        p.parts[0].name
        for p in parts
        if isinstance(p, Relation) and p.ops == ("in",) and isinstance(p.parts[0], Symbol)
    ]


def same_set(mark: Marker, gold: Value, response: Value) -> bool:
    """Unions, named sets, set builders; as intervals of reals, else part by part."""
    if isinstance(gold, NamedSet) and isinstance(response, NamedSet):
        return gold.name == response.name
    if isinstance(gold, SetOf) and isinstance(response, SetOf):
        return same_members(mark, gold.items, response.items, as_set=True)
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded, Undefined):
        pass
    if isinstance(gold, SetOperation) and isinstance(response, SetOperation) and gold.name == response.name:
        if gold.name == "difference":
            return all(mark.same(a, b) for a, b in zip(gold.parts, response.parts, strict=False))
        return same_members(mark, gold.parts, response.parts)
    return False
