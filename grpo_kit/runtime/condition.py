"""Conditions on numbers as options of the command line have them."""

from __future__ import annotations

import re
from collections.abc import Callable

from grpo_kit.errors import UserError

_CONDITION = re.compile(r"\s*(<=|>=|!=|<|>|=)?\s*(-?\d+(?:\.\d+)?)\s*")
_RANGE = re.compile(r"\s*(\d+)\s*-\s*(\d+)\s*")


def condition(text: str | None, option: str) -> Callable[[float], bool]:
    """``3``, ``2-5``, ``> 0``, ``<= 1`` as a test of a number. Raises UserError for anything else."""
    if text is None:
        return lambda value: True
    if found := _RANGE.fullmatch(text):
        low, high = float(found[1]), float(found[2])
        return lambda value: low <= value <= high
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise UserError(f"{option} {text!r}: write a number, 2-5, or a comparison such as '> 0'")
    number = float(found[2])
    tests: dict[str, Callable[[float], bool]] = {
        "<": lambda v: v < number,
        "<=": lambda v: v <= number,
        ">": lambda v: v > number,
        ">=": lambda v: v >= number,
        "!=": lambda v: v != number,
        "=": lambda v: v == number,
    }
    return tests[found[1] or "="]
