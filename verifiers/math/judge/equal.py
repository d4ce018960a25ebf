"""The judgement: whether a response's value answers what the gold value asks.

``same(gold, response, mode)`` is not symmetric where a marker is not: a gold ``25\\%`` accepts 25, a gold 25 does not
accept ``25\\%``. Every rule is listed with an example in docs/math.md.
"""

from __future__ import annotations

from fractions import Fraction

from . import units
from ..read.amounts import known_unit
from .exact import Undefined, exact
from .identity import same_expression
from ..limits import MAX_PLUS_MINUS, LimitExceeded
from .pairing import members, same_members, same_named, value_tuple
from .relations import assignment, compatible, constant_chain, renamed, same_equation, same_inequality
from .sets import INEQUALITIES, NotASet, intervals_of, same_intervals
from .shapes import Mode, as_product, flat, half_open, indices, is_rest, relational, rows_of, same_based, same_time
from ..trees import expand_signs, substitute, symbols
from ..values import (
    Based,
    Call,
    Cases,
    Div,
    Ellipsis_,
    Expr,
    Labelled,
    ListOf,
    Matrix,
    Modular,
    Mul,
    NamedSet,
    Number,
    Percent,
    Quantity,
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

_SET_LIKE = (SetOf, SetOperation, SetBuilder, NamedSet, Tuple, Relation)


def same(gold: Value, response: Value, mode: Mode = "default") -> bool:
    """Whether the response's value is the gold's, by the rules of ``mode``."""
    if isinstance(gold, Expr) and isinstance(response, Expr):
        return same_plain(gold, response, mode)
    if isinstance(gold, (Quantity, Percent)) or isinstance(response, (Quantity, Percent)):
        amounts = same_amount(gold, response, mode)
        if amounts is not None:
            return amounts
    if isinstance(gold, Modular) and isinstance(response, Modular):
        return same_residue(gold, response, mode)
    if isinstance(gold, (Relation, Labelled)) or isinstance(response, (Relation, Labelled)):
        return same_relation(gold, response, mode)
    if isinstance(gold, ListOf) or isinstance(response, ListOf):
        return same_list(gold, response, mode)
    if isinstance(gold, Ratio) or isinstance(response, Ratio):
        return same_ratio(gold, response, mode)
    if isinstance(gold, Based) or isinstance(response, Based):
        return same_based(gold, response, mode)
    if isinstance(gold, Matrix) or isinstance(response, Matrix):
        return same_matrix(gold, response, mode)
    if isinstance(gold, Cases) and isinstance(response, Cases):
        return same_cases(gold, response, mode)
    if isinstance(gold, Tuple) and isinstance(response, Tuple):
        return same_tuple(gold, response, mode)
    if isinstance(gold, SetBuilder) and isinstance(response, SetBuilder):
        return same_builder(gold, response, mode)
    if (isinstance(gold, SetOf) and isinstance(response, (SetOf, Expr))) or (
        isinstance(response, SetOf) and isinstance(gold, Expr)
    ):
        # Also a plus-minus value against the set of its two numbers, and {5} against 5.
        return same_members(members(gold), members(response), mode, as_set=True)
    if isinstance(gold, _SET_LIKE) and isinstance(response, _SET_LIKE):
        return same_set(gold, response, mode)
    if isinstance(gold, Text) and isinstance(response, Text):
        return gold.words == response.words
    return isinstance(gold, Ellipsis_) and isinstance(response, Ellipsis_)


def same_plain(gold: Expr, response: Expr, mode: Mode) -> bool:
    """Numbers and functions; plus-minus signs stand for all their values."""
    golds, responses = (expand_signs(node, MAX_PLUS_MINUS) for node in (gold, response))
    if len(golds) == len(responses) == 1:
        return same_expression(gold, response, lenient=mode == "lenient")
    return same_members(tuple(golds), tuple(responses), mode)


def same_amount(gold: Value, response: Value, mode: Mode) -> bool | None:
    """Units, currencies and percent; None when one side is a list or relation that must be taken apart first."""
    if isinstance(gold, Ratio) or isinstance(response, Ratio):
        return False
    for one, other in ((gold, response), (response, gold)):
        if isinstance(other, (ListOf, Relation, Labelled, SetOf, Tuple)) and isinstance(one, (Quantity, Percent)):
            return None
    if isinstance(gold, Quantity) and isinstance(response, Quantity):
        if units.agree(gold.unit, response.unit):
            return same(gold.value, response.value, mode)
        factor = units.conversion(response.unit, gold.unit)
        if mode == "lenient" and factor is not None and isinstance(response.value, Expr):
            return same(gold.value, Mul((Number(factor), response.value)), mode)
        return False
    if isinstance(gold, Quantity):
        if isinstance(response, Percent):
            return False
        if isinstance(response, Expr) and symbols(response) and not symbols(gold.value):
            return same(as_product(gold), response, mode)
        if mode == "strict" and known_unit(gold.unit):
            return False
        return same(gold.value, response, mode)
    if isinstance(response, Quantity):
        if mode == "strict" or isinstance(gold, (Percent, Ratio, Based)):
            return False
        if isinstance(gold, Expr) and symbols(gold) and not symbols(response.value):
            return same(gold, as_product(response), mode)
        return same(gold, response.value, mode)
    return _same_percent(gold, response, mode)


def _same_percent(gold: Value, response: Value, mode: Mode) -> bool:
    hundredth = Number(Fraction(1, 100))
    if isinstance(gold, Percent) and isinstance(response, Percent):
        return same(gold.value, response.value, mode)
    if isinstance(gold, Percent):
        if not isinstance(response, Expr):
            return False
        if same(Mul((gold.value, hundredth)), response, mode):
            return True
        return mode != "strict" and same(gold.value, response, mode)
    assert isinstance(response, Percent)
    if not isinstance(gold, Expr):
        return False
    if same(gold, Mul((response.value, hundredth)), mode):
        return True
    return mode != "strict" and same(gold, response.value, mode)


def same_relation(gold: Value, response: Value, mode: Mode) -> bool:
    """Equations, named values, inequalities; at least one side is a relation or a labelled value."""
    if isinstance(gold, (Relation, Labelled)) and isinstance(response, (Relation, Labelled)):
        return _both_relations(gold, response, mode)
    if isinstance(gold, ListOf) or isinstance(response, ListOf):
        return same_list(gold, response, mode)
    as_set = _as_sets(gold, response)
    if as_set is not None:
        return as_set
    if isinstance(response, (Relation, Labelled)):
        named = assignment(response)
        if named is not None:
            return same(gold, named[1], mode)
        last = constant_chain(response)
        return last is not None and same(gold, last, mode)
    named = assignment(gold)
    if named is not None and mode != "strict":
        return same(named[1], response, mode)
    last = constant_chain(gold)
    return last is not None and same(last, response, mode)


def _both_relations(gold: Relation | Labelled, response: Relation | Labelled, mode: Mode) -> bool:
    one, two = assignment(gold), assignment(response)
    if one is not None and two is not None:
        if compatible(one[0], two[0]) and same(one[1], two[1], mode):
            return True
        if isinstance(gold, Relation) and isinstance(response, Relation):
            head = gold.parts[0]
            if isinstance(head, Call) and head.args and hasattr(head.args[0], "name"):
                other = renamed(response, head.args[0].name)
                if other is not None:
                    return _both_relations(gold, other, mode)
    if isinstance(gold, Labelled) or isinstance(response, Labelled):
        return False
    as_set = _as_sets(gold, response)
    if as_set is not None:
        return as_set
    if one is not None and two is None and not symbols(one[1]):
        return False  # x = 4 is solved, 2x = 8 is not
    if any(op in INEQUALITIES for op in gold.ops):
        return same_inequality(gold, response)
    if one is not None and two is not None and not (symbols(one[1]) or symbols(two[1])):
        return False
    if same_equation(gold, response):
        return True
    return (
        len(gold.parts) == len(response.parts)
        and gold.ops == response.ops
        and all(same(a, b, mode) for a, b in zip(gold.parts, response.parts, strict=True))
    )


def _as_sets(gold: Value, response: Value) -> bool | None:
    """Inequalities against intervals and against each other, when both are sets of reals; None when they are not."""
    inequality = [isinstance(v, Relation) and any(op in INEQUALITIES for op in v.ops) for v in (gold, response)]
    membership = [isinstance(v, Relation) and v.ops in (("in",), ("notin",)) for v in (gold, response)]
    if not (any(inequality) or any(membership)) or isinstance(gold, Expr) or isinstance(response, Expr):
        return None
    names = [symbols(v) for v in (gold, response)]
    if isinstance(gold, Relation) and isinstance(response, Relation) and names[0] != names[1]:
        return False
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded):
        return None


def same_list(gold: Value, response: Value, mode: Mode) -> bool:
    """Several values on at least one side, named or not, ordered or not."""
    named = same_named(gold, response, mode)
    if named is not None:
        return named
    try:
        if isinstance(gold, (Relation, SetBuilder, SetOperation)) or relational(gold):
            return same_intervals(intervals_of(gold), intervals_of(response))
        if relational(response) and isinstance(gold, (Tuple, SetOf, NamedSet)):
            return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded):
        pass
    for one, other in ((gold, response), (response, gold)):
        if isinstance(one, SetOperation) and isinstance(other, ListOf) and one.name == "union":
            return same_set(one, SetOperation("union", other.items), mode)  # "(0,1) and (2,3)"
        if isinstance(one, Tuple) and isinstance(other, ListOf):
            if half_open(one) or (one is gold and one.left == "[" and len(one.items) == 2):
                return False  # an interval is no list
            return len(one.items) > 1 and same_tuple(one, Tuple(value_tuple(other), one.left, one.right), mode)
        if isinstance(one, Matrix) and isinstance(other, ListOf):
            return False
    as_set = isinstance(gold, SetOf) or isinstance(response, SetOf)
    return same_members(members(gold), members(response), mode, as_set=as_set)


def same_ratio(gold: Value, response: Value, mode: Mode) -> bool:
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
    if mode == "strict" or one.clock or len(one.items) != 2 or not isinstance(other, Expr):
        return False
    return same_expression(Div(*one.items), other)


def same_residue(gold: Modular, response: Modular, mode: Mode) -> bool:
    """The same residue class: equal moduli, congruent values."""
    if not same(gold.modulus, response.modulus, mode):
        return False
    one, two = (named[1] if (named := assignment(m.value)) else m.value for m in (gold, response))
    if not isinstance(one, Expr) or not isinstance(two, Expr):
        return same(one, two, mode)
    a, b, modulus = exact(one), exact(two), exact(gold.modulus)
    if a is None or b is None or not modulus:
        return same(one, two, mode)
    return ((a - b) / modulus).denominator == 1


def same_matrix(gold: Value, response: Value, mode: Mode) -> bool:
    rows = [rows_of(value) for value in (gold, response)]
    if rows[0] is None or rows[1] is None:
        return False
    one, two = rows
    if not (isinstance(gold, Matrix) and isinstance(response, Matrix)):
        # A vector written as a tuple may stand for a row or a column.
        one, two = (flat(value) for value in (one, two))
    return len(one) == len(two) and all(
        len(a) == len(b) and all(same(x, y, mode) for x, y in zip(a, b, strict=True))
        for a, b in zip(one, two, strict=True)
    )


def same_cases(gold: Cases, response: Cases, mode: Mode) -> bool:
    """Piecewise definitions: the same pieces under the same conditions, in any order."""
    left = list(response.rows)
    if len(left) != len(gold.rows):
        return False
    for value, condition in gold.rows:
        for row in left:
            conditions_agree = (condition is None and row[1] is None) or (
                condition is not None and row[1] is not None and same(condition, row[1], mode)
            )
            if same(value, row[0], mode) and (conditions_agree or (len(left) == 1 and is_rest(condition, row[1]))):
                left.remove(row)
                break
        else:
            return False
    return True


def same_tuple(gold: Tuple, response: Tuple, mode: Mode) -> bool:
    """Ordered; the kind of bracket matters for two members, which may be an interval."""
    if len(gold.items) != len(response.items):
        return False
    if len(gold.items) == 2 and (gold.left, gold.right) != (response.left, response.right):
        return False
    return all(same(a, b, mode) for a, b in zip(gold.items, response.items, strict=True))


def same_builder(gold: SetBuilder, response: SetBuilder, mode: Mode) -> bool:
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded, Undefined):
        one, two = (indices(value.condition) for value in (gold, response))
        if len(one) == len(two) == 1 and one != two and one[0] not in symbols(response):
            response = substitute(response, two[0], Symbol(one[0]))  # {2n : n in Z} and {2k : k in Z}
        return same(gold.element, response.element, mode) and same(gold.condition, response.condition, mode)


def same_set(gold: Value, response: Value, mode: Mode) -> bool:
    """Unions, named sets, set builders; as intervals of reals, else part by part."""
    if isinstance(gold, NamedSet) and isinstance(response, NamedSet):
        return gold.name == response.name
    try:
        return same_intervals(intervals_of(gold), intervals_of(response))
    except (NotASet, LimitExceeded, Undefined):
        pass
    if isinstance(gold, SetOperation) and isinstance(response, SetOperation) and gold.name == response.name:
        if gold.name == "difference":
            return all(same(a, b, mode) for a, b in zip(gold.parts, response.parts, strict=False))
        return same_members(gold.parts, response.parts, mode)
    return False
