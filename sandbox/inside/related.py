"""Two objects that the program has handed over, compared with each other.

If `dataclasses` has written how, they are compared here by what is in their fields, which they say as they say a length: one
says the same until the tests call the program again. Objects of a class under test are compared by their class. What it is
asked then says neither which comparison the tests make nor which object stands on its left, and what it answers has to fit
together, as if both were data: else one that says yes to everything would be less, equal and greater (``s.min() < s.max()``).
"""

from __future__ import annotations

from typing import Any

from .comparisons import EXCLUDED, SWAPPED
from .held import Held, about, not_data, number, saying


def is_of_tested(*objects: Held) -> bool:
    """Whether they are of one class, as they say, and the tests make objects of it themselves."""
    names = {about(held).class_name for held in objects}
    return len(names) == 1 and names <= about(objects[0]).link.making


def related(ours: Held, other: Held, operation: str) -> bool:
    """What a comparison of two opaque objects says; who cannot be compared so fails the test."""
    if is_of_tested(ours, other):
        return _by_their_class(ours, other, operation)
    first, second = _in_order(ours, other)
    fields = {number(held): _fields(held) for held in (first, second)}
    (kind, has_order, _, values), (other_kind, *_, others) = fields[number(ours)], fields[number(other)]
    alike = number(kind) == number(other_kind)
    if operation in ("eq", "ne"):
        return (alike and values == others) == (operation == "eq")
    if not alike or not has_order:
        raise not_data(ours, operation)
    return bool(getattr(tuple(values), f"__{operation}__")(tuple(others)))


def hashed(held: Held) -> int | None:
    """The hash of an opaque object whose class has one of its own; None if that is not to be asked."""
    if is_of_tested(held):
        value = saying(held, "hash")
        if type(value) is not int:
            raise not_data(held, "hash")
        return value
    told = _told(held)
    return hash(tuple(told[3])) if told is not None and told[2] else None


def _in_order(ours: Held, other: Held) -> tuple[Held, Held]:
    """By their numbers: the program is not to hear which one stands on the left."""
    return (other, ours) if about(other).number < about(ours).number else (ours, other)


def _fields(held: Held) -> list[Any]:
    told = _told(held)
    if told is None:
        raise not_data(held, "a comparison")
    return told


def _told(held: Held) -> list[Any] | None:
    """[its class, whether that has an order, and a hash, of its fields, and these] of a data class; None: it is none."""
    told = saying(held, "fields")
    well_formed = type(told) is list and [type(part) for part in told[1:]] == [bool, bool, list]
    return told if well_formed and isinstance(told[0], Held) else None


def _by_their_class(ours: Held, other: Held, operation: str) -> bool:
    link, (first, second) = about(ours).link, _in_order(ours, other)
    told = link.operation("relations", first, second)
    if type(told) is not list or len(told) != 2 or not all(_are_relations(part) for part in told):
        raise not_data(ours, operation)
    said, swapped = told if first is ours else reversed(told)
    if said[operation] is None:
        link.operation(operation, ours, other)  # for what it raises
        raise not_data(ours, operation)
    excluded = EXCLUDED[operation]
    agree = all(said[name] is swapped[SWAPPED[name]] for name in (operation, *excluded))
    if not agree or (said[operation] and any(said[name] for name in excluded)):
        raise not_data(ours, operation)
    if operation in ("eq", "ne") and said["eq"] is said["ne"]:
        raise not_data(ours, operation)
    return bool(said[operation])


def _are_relations(told: Any) -> bool:
    return (
        type(told) is dict
        and told.keys() == SWAPPED.keys()
        and all(v is None or type(v) is bool for v in told.values())
    )
