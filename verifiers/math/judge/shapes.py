"""Small questions about single values that the judgement in equal.py asks: times, bases, rows, indices."""

from __future__ import annotations

from typing import Any, Literal

from .exact import exact
from .sets import INEQUALITIES
from ..values import Based, Expr, ListOf, Matrix, Mul, Number, Quantity, Ratio, Relation, Symbol, Text, Tuple, Value

Mode = Literal["strict", "default", "lenient"]


def as_product(quantity: Quantity) -> Value:
    """``3 m`` as three times m, for a gold in which m is a variable."""
    letter = quantity.text
    if len(letter) == 1 and isinstance(quantity.value, Expr):
        return Mul((quantity.value, Symbol(letter)))
    return quantity.value


def relational(value: Value) -> bool:
    return isinstance(value, ListOf) and all(
        isinstance(item, Relation) and any(op in INEQUALITIES for op in item.ops) for item in value.items
    )


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
    return times[bare] == times[halved] or (times[bare][0] <= 12 and times[bare][0] % 12 == times[halved][0] % 12
                                            and times[bare][1:] == times[halved][1:])  # fmt: skip


def same_based(gold: Value, response: Value, mode: Mode) -> bool:
    """Digits in a base: the base must agree; base ten is the plain number."""
    if isinstance(gold, Based) and isinstance(response, Based):
        return gold.base == response.base and gold.digits.lstrip("0") == response.digits.lstrip("0")
    one, other = (gold, response) if isinstance(gold, Based) else (response, gold)
    assert isinstance(one, Based)
    if not isinstance(other, Number) or other.digits is not None:
        return False
    if one.base == 10:
        return one.digits.lstrip("-").isdigit() and other.value == int(one.digits)
    return mode == "lenient" and one is gold and str(other.value) == one.digits


def half_open(value: Value) -> bool:
    """``[1, 2)``: an interval and nothing else."""
    return isinstance(value, Tuple) and (value.left, value.right) in (("[", ")"), ("(", "]"))


def rows_of(value: Value) -> Any:
    if isinstance(value, Matrix):
        return value.rows
    if isinstance(value, Tuple) and not half_open(value):
        if all(isinstance(item, (Tuple, ListOf)) for item in value.items):  # ((1,2),(3,4)) and [1,2;3,4]
            return tuple(item.items for item in value.items if isinstance(item, (Tuple, ListOf)))
        return tuple((item,) for item in value.items)
    return None


def flat(rows: Any) -> Any:
    return tuple((item,) for item in rows[0]) if len(rows) == 1 else rows


def is_rest(one: Value | None, two: Value | None) -> bool:
    """``otherwise`` in one definition stands for the last remaining condition of the other."""
    return any(part is None or isinstance(part, Text) for part in (one, two))


def indices(condition: Value) -> list[str]:
    """The names that range over a set in the condition of a set builder."""
    parts = condition.items if isinstance(condition, ListOf) else (condition,)
    return [
        p.parts[0].name
        for p in parts
        if isinstance(p, Relation) and p.ops == ("in",) and isinstance(p.parts[0], Symbol)
    ]
