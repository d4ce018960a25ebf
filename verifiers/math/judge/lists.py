"""Lists, sets and named values: pairing the members of two collections."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from ..limits import MAX_ITEMS, MAX_PLUS_MINUS, MAX_UNORDERED, LimitExceeded
from ..trees import contains, expand_signs
from ..values import (
    Call,
    Ellipsis_,
    Expr,
    ListOf,
    Matrix,
    Modular,
    NamedSet,
    Number,
    Relation,
    SetBuilder,
    SetOf,
    SetOperation,
    Tuple,
    Value,
)
from .intervals import INEQUALITIES, NotASet, exact_or_none, intervals_of, same_intervals
from .marker import Marker
from .relations import assignment, classes, name_of

_ROOT_NAME = re.compile(r"(.*?)_?\d+")


def members(value: Value) -> tuple[Value, ...]:
    """The members of a list or set, plus-minus signs expanded and a shared name (``x = 1, 2``) taken off."""
    items = progression(value.items) if isinstance(value, (ListOf, SetOf)) else (value,)
    result: list[Value] = []
    for item in items:
        if isinstance(item, ListOf):
            item = Tuple(value_tuple(item))
        if isinstance(item, SetOf) and isinstance(value, ListOf) and len(items) == 1:
            result.extend(members(item))
            continue
        named = assignment(item) if isinstance(item, Relation) else None
        if named is not None:
            item = named[1]
            if isinstance(item, SetOf):  # p \in \{2, 3, 5\}
                result.extend(members(item))
                continue
        if isinstance(item, (Expr, Tuple)):
            result.extend(expand_signs(item, MAX_PLUS_MINUS))
        elif isinstance(item, Modular):
            result.extend(classes(item))
        else:
            result.append(item)
    return tuple(result)


def progression(items: tuple[Value, ...]) -> tuple[Value, ...]:
    """``1, 2, ..., 10`` written out, when the dots stand between whole numbers in arithmetic progression."""
    dots = [index for index, item in enumerate(items) if isinstance(item, Ellipsis_)]
    if len(dots) != 1 or not 1 < dots[0] == len(items) - 2:
        return items
    numbers = [exact_or_none(item) for item in items if not isinstance(item, Ellipsis_)]
    if any(number is None for number in numbers):
        return items
    whole = [number for number in numbers if number is not None]
    step, last = whole[1] - whole[0], whole[-1]
    if step == 0 or any(b - a != step for a, b in pairwise(whole[:-1])) or ((last - whole[-2]) / step).denominator != 1:
        return items
    count = int((last - whole[0]) / step)
    if not 0 < count <= MAX_ITEMS:
        return items
    return tuple(Number(whole[0] + step * index) for index in range(count + 1))


def value_tuple(value: ListOf) -> tuple[Value, ...]:
    """The bare values of a list, in order."""
    result = []
    for item in value.items:
        named = assignment(item)
        result.append(item if named is None else named[1])
    return tuple(result)


def same_members(mark: Marker, gold: tuple[Value, ...], response: tuple[Value, ...], as_set: bool = False) -> bool:
    """The same members in any order; repeated ones count once in sets."""
    one, two = list(gold), list(response)
    rest: list[list[Value]] = []
    exact_values: list[list[Any]] = []
    for side in (one, two):
        rationals = [(exact_or_none(item), item) for item in side]
        exact_values.append([value for value, _ in rationals if value is not None])
        rest.append([item for value, item in rationals if value is None])
    # A response that repeats a solution still has the right ones; a gold that repeats one means it.
    as_set = as_set or len(two) > len(one)
    if as_set:
        exact_values = [list(set(values)) for values in exact_values]
    if sorted(exact_values[0]) != sorted(exact_values[1]):
        # Written decimals of irrational or repeating values pair with inexact members below.
        if len(one) > MAX_UNORDERED or len(two) > MAX_UNORDERED:
            return False
        rest = [one, two]
    if len(rest[0]) > MAX_UNORDERED or len(rest[1]) > MAX_UNORDERED:
        return len(rest[0]) == len(rest[1]) and _sorted_alike(rest[0], rest[1])
    if as_set:
        rest = [_distinct(mark, side) for side in rest]
    if len(rest[0]) != len(rest[1]):
        return False
    unpaired = list(rest[1])
    for item in rest[0]:
        for candidate in unpaired:
            if mark.same(item, candidate):
                unpaired.remove(candidate)
                break
        else:
            return False
    return True


def _distinct(mark: Marker, items: list[Value]) -> list[Value]:
    result: list[Value] = []
    for item in items:
        if not any(mark.same(item, other) for other in result):
            result.append(item)
    return result


def _sorted_alike(one: list[Value], two: list[Value]) -> bool:
    """Large collections without a cheap order: equal only when they are spelled alike up to order."""
    return sorted(map(repr, one)) == sorted(map(repr, two))


def _names(value: Value) -> list[tuple[str, Value]] | None:
    """(name, value) of every item of a list in which each is named."""
    if not isinstance(value, ListOf):
        return None
    result = []
    for item in value.items:
        named = assignment(item)
        if named is None or (isinstance(item, Relation) and item.ops == ("in",)):
            return None
        result.append(named)
    return result


def grouped(value: Value) -> Value:
    """``p=5, q=2; p=7, q=2`` as the list of pairs that it is; other values as they are."""
    if not isinstance(value, ListOf):
        return value
    groups = value.items
    if all(isinstance(group, ListOf) and _names(group) for group in groups):
        return ListOf(tuple(Tuple(value_tuple(group)) for group in groups if isinstance(group, ListOf)))
    names = _names(value)
    if names is None:
        return value
    distinct = list(dict.fromkeys(name for name, _ in names))
    size = len(distinct)
    if 1 < size < len(names) and len(names) % size == 0:
        rows = [names[i : i + size] for i in range(0, len(names), size)]
        if all([name for name, _ in row] == distinct for row in rows):
            return ListOf(tuple(Tuple(tuple(v for _, v in row)) for row in rows))
    return value


def _are_roots(names: list[str]) -> bool:
    """``x_1`` and ``x_2``, or the same name again: several values of one unknown, in no order."""
    bases = set()
    for name in names:
        match = _ROOT_NAME.fullmatch(name)
        bases.add(match[1] if match else name)
    return len(bases) == 1 and (len(set(names)) == 1 or all(_ROOT_NAME.fullmatch(name) for name in names))


def same_named(mark: Marker, gold: Value, response: Value) -> bool | None:
    """Lists of named values; None when names do not decide and the lists must be compared as they are."""
    regrouped = grouped(gold), grouped(response)
    if regrouped[0] is not gold or regrouped[1] is not response:
        return mark.same(*regrouped)
    one, two = _names(gold), _names(response)
    if one is None and two is None:
        return None
    if one is not None and two is not None:
        if {name for name, _ in one} == {name for name, _ in two} and len({name for name, _ in one}) == len(one):
            values = dict(two)
            return len(one) == len(two) and all(mark.same(value, values[name]) for name, value in one)
        if not (_are_roots([n for n, _ in one]) and _are_roots([n for n, _ in two])):
            return False
        return None
    return _named_beside_bare(mark, one, two, gold, response)


def _named_beside_bare(mark: Marker, one: Any, two: Any, gold: Value, response: Value) -> bool | None:
    """``x = 1, y = 2`` beside ``(1, 2)`` or ``1, 2``: in the order of writing, or by name for a tuple."""
    named, other = (one, response) if one is not None else (two, gold)
    if _are_roots([name for name, _ in named]):
        return None
    if isinstance(other, Relation) and isinstance(name_of(other.parts[0]), str):
        inner = assignment(other)
        other = inner[1] if inner else other
    if not isinstance(other, (ListOf, Tuple)):
        return None
    items = other.items if isinstance(other, Tuple) else value_tuple(other)
    if len(items) != len(named):
        return False
    orders = [named, sorted(named, key=lambda pair: pair[0])] if isinstance(other, Tuple) else [named]
    for order in orders:
        pairs = [(value, item) for (_, value), item in zip(order, items, strict=True)]
        if all(mark.same(*(pair if one is not None else pair[::-1])) for pair in pairs):
            return True
    return False


def has_signs(value: Value) -> bool:
    return contains(value, lambda part: isinstance(part, Call) and part.name in ("pm", "mp"))


def same_list(mark: Marker, gold: Value, response: Value) -> bool:
    """Several values on at least one side, named or not, ordered or not."""
    named = same_named(mark, gold, response)
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
            return mark.same(one, SetOperation("union", other.items))  # "(0,1) and (2,3)"
        if isinstance(one, Tuple) and isinstance(other, ListOf):
            if has_signs(one) and all(isinstance(item, Tuple) for item in other.items):
                break  # (\\pm 2, 0) stands for two points
            if half_open(one) or (one is gold and one.left == "[" and len(one.items) == 2):
                return False  # an interval is no list
            return len(one.items) > 1 and mark.same(one, Tuple(value_tuple(other), one.left, one.right))
        if (
            isinstance(one, Matrix)
            and isinstance(other, ListOf)
            and not all(isinstance(item, Matrix) for item in other.items)
        ):
            return False
    return same_as_sets(mark, gold, response, isinstance(gold, SetOf) or isinstance(response, SetOf))


def same_as_sets(mark: Marker, gold: Value, response: Value, as_set: bool = True) -> bool:
    """A plus-minus value against the set of its two numbers, {5} against 5, lists in any order."""
    return same_members(mark, members(gold), members(response), as_set)


def signs_in_tuple(mark: Marker, gold: Value, response: Value) -> bool | None:
    """``(0, \\pm 3)`` against the set of its two points."""
    return same_as_sets(mark, gold, response) if has_signs(gold) or has_signs(response) else None


def relational(value: Value) -> bool:
    return isinstance(value, ListOf) and all(
        isinstance(item, Relation) and any(op in INEQUALITIES for op in item.ops) for item in value.items
    )


def half_open(value: Value) -> bool:
    """``[1, 2)``: an interval and nothing else."""
    return isinstance(value, Tuple) and (value.left, value.right) in (("[", ")"), ("(", "]"))
