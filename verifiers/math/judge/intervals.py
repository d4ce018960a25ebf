"""Sets of real numbers as unions of intervals: inequalities, intervals, set builders and their combinations."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from ..limits import LimitExceeded
from ..trees import symbols
from ..values import (
    Add,
    Call,
    Expr,
    ListOf,
    NamedSet,
    Number,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Symbol,
    Tuple,
    Value,
)
from .exact import Undefined, exact, is_infinite
from .numeric import Evaluator, context

INEQUALITIES = frozenset(("<", ">", "<=", ">=", "!="))
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "!=": "!=", "=": "="}
_NEGATED = {"<": ">=", ">": "<=", "<=": ">", ">=": "<", "!=": "=", "=": "!="}


@dataclass(frozen=True, slots=True)
class Interval:
    """Real endpoints as 60-digit numbers, and whether they belong to it."""

    low: Any
    low_closed: bool
    high: Any
    high_closed: bool


class NotASet(ValueError):
    """The value is no set of real numbers that can be written as intervals."""


def same_point(one: Any, two: Any) -> bool:
    mp = context()
    return bool(
        one == two
        or (mp.isfinite(one) and mp.isfinite(two) and abs(one - two) <= mp.mpf("1e-40") * max(1e-30, abs(one)))
    )


def endpoint(node: Value) -> Any:
    if not isinstance(node, Expr):
        raise NotASet("an endpoint that is no number")
    infinite = is_infinite(node)
    mp = context()
    if infinite:
        return mp.inf * infinite
    try:
        value = Evaluator()(node)
    except (Undefined, LimitExceeded) as error:
        raise NotASet(str(error)) from error
    if isinstance(value, mp.mpc):
        if value.imag != 0:
            raise NotASet("a complex endpoint")
        value = value.real
    return value


def normal(intervals: list[Interval]) -> list[Interval]:
    """Sorted, without empty ones, with touching ones joined."""
    kept = [i for i in intervals if i.low < i.high or (same_point(i.low, i.high) and i.low_closed and i.high_closed)]
    kept.sort(key=lambda i: (i.low, not i.low_closed))
    joined: list[Interval] = []
    for current in kept:
        last = joined[-1] if joined else None
        touching = last is not None and (
            current.low < last.high or (same_point(current.low, last.high) and (current.low_closed or last.high_closed))
        )
        if last is None or not touching:
            joined.append(current)
            continue
        high, closed = last.high, last.high_closed
        if same_point(current.high, high):
            closed = closed or current.high_closed
        elif current.high > high:
            high, closed = current.high, current.high_closed
        joined[-1] = Interval(last.low, last.low_closed, high, closed)
    return joined


def same_intervals(first: list[Interval], second: list[Interval]) -> bool:
    one, two = normal(first), normal(second)
    return len(one) == len(two) and all(
        same_point(a.low, b.low)
        and same_point(a.high, b.high)
        and a.low_closed == b.low_closed
        and a.high_closed == b.high_closed
        for a, b in zip(one, two, strict=True)
    )


def complement(intervals: list[Interval]) -> list[Interval]:
    mp = context()
    result: list[Interval] = []
    low, closed = -mp.inf, False
    for interval in normal(intervals):
        result.append(Interval(low, closed, interval.low, not interval.low_closed))
        low, closed = interval.high, not interval.high_closed
    result.append(Interval(low, closed, mp.inf, False))
    return [i for i in result if not (mp.isinf(i.low) and same_point(i.low, i.high))]


def intersection(first: list[Interval], second: list[Interval]) -> list[Interval]:
    return normal(complement(complement(first) + complement(second)))


def intervals_of(value: Value, pairs: bool = True) -> list[Interval]:
    """The intervals of a set; a pair ``(a, b)`` counts as an interval when ``pairs`` is set.

    Raises:
        NotASet: for everything else.
    """
    mp = context()
    match value:
        case Tuple() if pairs and len(value.items) == 2:
            low, high = (endpoint(item) for item in value.items)
            if low > high:
                raise NotASet("an interval with its ends exchanged")
            return [Interval(low, value.left == "[", high, value.right == "]")]
        case SetOf():
            found = [endpoint(item) for item in value.items]
            return [Interval(point, True, point, True) for point in found]
        case NamedSet(name="R"):
            return [Interval(-mp.inf, False, mp.inf, False)]
        case NamedSet(name=("R+" | "R-")):
            low, high = (mp.zero, mp.inf) if value.name == "R+" else (-mp.inf, mp.zero)
            return [Interval(low, False, high, False)]
        case SetOperation():
            parts = [intervals_of(part) for part in value.parts]
            if value.name == "union":
                return normal([interval for part in parts for interval in part])
            result = parts[0]
            for part in parts[1:]:
                result = intersection(result, part if value.name == "intersection" else complement(part))
            return result
        case SetBuilder():
            return _builder(value)
        case Relation() | ListOf():
            return solution(value)
    raise NotASet(f"a {type(value).__name__.lower()}")


def _builder(value: SetBuilder) -> list[Interval]:
    element = value.element
    universe: list[Interval] | None = None
    if isinstance(element, Relation) and element.ops == ("in",):
        universe = intervals_of(element.parts[1])
        element = element.parts[0]
    if not isinstance(element, Symbol) or symbols(value.condition) - {element.name}:
        raise NotASet("a set builder over something else than its one variable")
    solved = solution(value.condition)
    return solved if universe is None else intersection(universe, solved)


def variable_of(value: Value) -> str | None:
    """The one free symbol of a relation or a list of them."""
    names = symbols(value)
    return next(iter(names)) if len(names) == 1 else None


def solution(value: Value) -> list[Interval]:
    """The real solutions of inequalities in one variable, of degree two at most."""
    if isinstance(value, ListOf):
        parts = [solution(item) for item in value.items]
        if variable_of(value) is None:
            raise NotASet("several variables")
        result = parts[0]
        if value.word == "or":
            return normal([interval for part in parts for interval in part])
        for part in parts[1:]:
            result = intersection(result, part)
        if not result and value.word == ",":  # "x < 1, x > 3" can only mean one or the other
            return normal([interval for part in parts for interval in part])
        return result
    if not isinstance(value, Relation):
        raise NotASet("no relation")
    if value.ops in (("in",), ("notin",)) and isinstance(value.parts[0], Symbol):
        inside = intervals_of(value.parts[1])
        return inside if value.ops == ("in",) else complement(inside)
    name = variable_of(value)
    if name is None or not all(op in INEQUALITIES or op == "=" for op in value.ops):
        raise NotASet("no inequality in one variable")
    solved_all: list[Interval] | None = None
    for left, op, right in zip(value.parts, value.ops, value.parts[1:], strict=False):
        solved = _solve(left, op, right, name)
        solved_all = solved if solved_all is None else intersection(solved_all, solved)
    assert solved_all is not None
    return solved_all


def _solve(left: Value, op: str, right: Value, name: str) -> list[Interval]:
    if op not in INEQUALITIES | {"="} or not isinstance(left, Expr) or not isinstance(right, Expr):
        raise NotASet("no inequality")
    for one, two, sign in ((left, right, op), (right, left, _FLIPPED[op])):
        if isinstance(one, Symbol) and not symbols(two):
            return _half_line(sign, endpoint(two))
        if isinstance(one, Call) and one.name == "abs" and not symbols(two):
            inner, bound = one.args[0], two
            upper = _solve(inner, sign, bound, name)
            lower = _solve(inner, _FLIPPED[sign], Call("neg", (bound,)), name)
            return intersection(upper, lower) if sign in ("<", "<=", "!=") else normal(upper + lower)
    return _polynomial(Add((left, Call("neg", (right,)))), op, name)


def _half_line(op: str, bound: Any) -> list[Interval]:
    mp = context()
    match op:
        case "<" | "<=":
            return [Interval(-mp.inf, False, bound, op == "<=")]
        case ">" | ">=":
            return [Interval(bound, op == ">=", mp.inf, False)]
        case "!=":
            return complement([Interval(bound, True, bound, True)])
    return [Interval(bound, True, bound, True)]


def _polynomial(difference: Expr, op: str, name: str) -> list[Interval]:
    """``difference op 0`` by interpolating a polynomial of degree two and checking it elsewhere."""
    mp = context()
    values = []
    try:
        for x in (0, 1, -1, 2, 5):
            values.append(Evaluator({name: mp.mpf(x)})(difference))
    except (Undefined, LimitExceeded) as error:
        raise NotASet(str(error)) from error
    if any(isinstance(value, mp.mpc) for value in values):
        raise NotASet("not real")
    c = values[0]
    a = (values[1] + values[2]) / 2 - c
    b = (values[1] - values[2]) / 2
    tiny = mp.mpf("1e-40") * (1 + max(abs(value) for value in values))
    for x, value in ((2, values[3]), (5, values[4])):
        if abs(a * x * x + b * x + c - value) > tiny:
            raise NotASet("no polynomial of degree two")
    if abs(a) <= tiny:
        if abs(b) <= tiny:
            raise NotASet("no variable")
        return _half_line(op if b > 0 else _FLIPPED[op], -c / b)
    discriminant = b * b - 4 * a * c
    everything = [Interval(-mp.inf, False, mp.inf, False)]
    if discriminant < 0:
        return everything if (a > 0) == (op in (">", ">=")) or op == "!=" else []
    half = mp.sqrt(discriminant) / (2 * abs(a))
    low, high = -b / (2 * a) - half, -b / (2 * a) + half
    if op in ("!=", "="):
        roots = [Interval(x, True, x, True) for x in (low, high)]
        return complement(roots) if op == "!=" else normal(roots)
    inside_op = op if a > 0 else _FLIPPED[op]
    inside = [Interval(low, inside_op in ("<=", ">"), high, inside_op in ("<=", ">"))]
    # For ">" the closed middle is removed, for ">=" the open one.
    if inside_op in ("<", "<="):
        return normal(inside)
    return complement(inside)


def exact_or_none(node: Value) -> Fraction | None:
    if not isinstance(node, Expr):
        return None
    try:
        return node.value if isinstance(node, Number) else exact(node)
    except (Undefined, LimitExceeded):
        return None
