"""Lists, sets and named values: pairing the members of two collections."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from ..limits import MAX_ITEMS, MAX_PLUS_MINUS, MAX_UNORDERED
from .relations import assignment, name_of
from .sets import exact_or_none
from ..trees import expand_signs
from ..values import Ellipsis_, Expr, ListOf, Number, Relation, SetOf, Tuple, Value

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
        if isinstance(item, Expr):
            result.extend(expand_signs(item, MAX_PLUS_MINUS))
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


def same_members(gold: tuple[Value, ...], response: tuple[Value, ...], mode: Any, as_set: bool = False) -> bool:
    """The same members in any order; repeated ones count once in sets."""
    from .equal import same

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
        rest = [_distinct(side, mode) for side in rest]
    if len(rest[0]) != len(rest[1]):
        return False
    unpaired = list(rest[1])
    for item in rest[0]:
        for candidate in unpaired:
            if same(item, candidate, mode):
                unpaired.remove(candidate)
                break
        else:
            return False
    return True


def _distinct(items: list[Value], mode: Any) -> list[Value]:
    from .equal import same

    result: list[Value] = []
    for item in items:
        if not any(same(item, other, mode) for other in result):
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


def same_named(gold: Value, response: Value, mode: Any) -> bool | None:
    """Lists of named values; None when names do not decide and the lists must be compared as they are."""
    from .equal import same

    regrouped = grouped(gold), grouped(response)
    if regrouped[0] is not gold or regrouped[1] is not response:
        return same(*regrouped, mode)
    one, two = _names(gold), _names(response)
    if one is None and two is None:
        return None
    if one is not None and two is not None:
        if {name for name, _ in one} == {name for name, _ in two} and len({name for name, _ in one}) == len(one):
            values = dict(two)
            return len(one) == len(two) and all(same(value, values[name], mode) for name, value in one)
        if not (_are_roots([n for n, _ in one]) and _are_roots([n for n, _ in two])):
            return False
        return None
    named, other = (one, response) if one is not None else (two, gold)
    assert named is not None
    if _are_roots([name for name, _ in named]):
        return None
    if isinstance(other, Relation) and isinstance(name_of(other.parts[0]), str):
        inner = assignment(other)
        other = inner[1] if inner else other
    if isinstance(other, (ListOf, Tuple)):
        items = other.items if isinstance(other, Tuple) else value_tuple(other)
        for order in (named, sorted(named, key=lambda pair: pair[0])) if isinstance(other, Tuple) else (named,):
            pairs = list(zip((value for _, value in order), items, strict=False))
            if len(items) == len(named) and all(
                same(*(pair if one is not None else pair[::-1]), mode) for pair in pairs
            ):
                return True
        return False
    return None
