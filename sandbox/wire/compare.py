"""When an output is the right one: the usual rules of online judges, and data compared with data."""

from __future__ import annotations

import math
from typing import Any

from . import codec


def same_text(actual: str, expected: str, tolerance: float | None = None) -> bool:
    """Whether two outputs agree line by line, spaces at the end of lines and empty lines at the end left aside.

    With ``tolerance``, tokens that are numbers may differ by it, absolutely or relative to the expected one.
    """
    ours, theirs = _lines(actual), _lines(expected)
    if ours == theirs:
        return True
    if tolerance is None or len(ours) != len(theirs):
        return False
    return all(_same_tokens(a.split(), b.split(), tolerance) for a, b in zip(ours, theirs, strict=True))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _same_tokens(ours: list[str], theirs: list[str], tolerance: float) -> bool:
    return len(ours) == len(theirs) and all(
        a == b or _close(_number(a), _number(b), tolerance) for a, b in zip(ours, theirs, strict=True)
    )


def _number(token: str) -> float:
    try:
        return float(token) if len(token) < 400 and "_" not in token else math.nan
    except ValueError:
        return math.nan


def _close(actual: float, expected: float, tolerance: float) -> bool:
    if not math.isfinite(actual) or not math.isfinite(expected):
        return actual == expected
    return abs(actual - expected) <= tolerance * max(1.0, abs(expected))


def same_value(actual: Any, expected: Any, tolerance: float | None = None) -> bool:
    """Whether returned data is the expected data, which usually comes from JSON: lists and tuples are alike.

    A number and a text are never alike, nor are True and 1: a test that says True means it.
    """
    if isinstance(actual, codec.Array):
        actual = actual.items
    if isinstance(expected, (list, tuple)):
        if not isinstance(actual, (list, tuple)) or len(actual) != len(expected):
            return False
        return all(same_value(a, e, tolerance) for a, e in zip(actual, expected, strict=True))
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or actual.keys() != expected.keys():
            return False
        return all(same_value(actual[key], value, tolerance) for key, value in expected.items())
    if isinstance(expected, bool) or isinstance(actual, bool):
        return actual is expected
    if isinstance(expected, (int, float)) and isinstance(actual, (int, float)):
        if actual == expected or (actual != actual and expected != expected):
            return True
        if tolerance is None or (isinstance(actual, int) and isinstance(expected, int)):
            return False
        try:
            return _close(float(actual), float(expected), tolerance)
        except OverflowError:
            return False
    return type(actual) is type(expected) and bool(actual == expected)
