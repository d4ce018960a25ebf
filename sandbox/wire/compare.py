"""When an output is the right one: the usual rules of online judges, and data compared with data."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

from . import codec

JUDGES_TOLERANCE = 1e-6  # what judges allow where the expected number is written with a point or an exponent
_LONGEST_NUMBER = 400  # characters of a number that is compared by value; longer ones are compared as text
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_PARTS = re.compile(r"\s+|\S+")


def same_text(actual: str, expected: str, tolerance: float | None = None, layout: str = "lines") -> bool:
    """Whether two outputs agree.

    ``lines``: line by line, as LiveCodeBench does; spaces at the ends of lines and empty lines around the output are left
    aside. In lines of numbers, numbers are compared by value, however they are spaced: 2.0 is 2. Where the expected
    number has a point or an exponent, it may differ by 1e-6, absolutely or relative to it. With ``tolerance``, every
    number may differ by that. ``tokens``: word by word, as CodeContests does, wherever lines end and in any case.
    """
    if layout == "tokens":
        return _same_tokens(actual.lower().split(), expected.lower().split(), tolerance or 1e-5)
    ours, theirs = _lines(actual), _lines(expected)
    return len(ours) == len(theirs) and all(
        a == b or _same_line(a, b, tolerance) for a, b in zip(ours, theirs, strict=True)
    )


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().replace("\r\n", "\n").split("\n")]


def _same_line(actual: str, expected: str, tolerance: float | None) -> bool:
    ours, theirs = actual.split(), expected.split()
    if tolerance is not None or all(map(_is_number, theirs)):
        return _same_tokens(ours, theirs, tolerance)
    # Beside words a whole number may be a name (room 007), and spaces may be a drawing.
    ours, theirs = _PARTS.findall(actual), _PARTS.findall(expected)
    return len(ours) == len(theirs) and all(
        a == b or (not _is_whole(b) and _same_number(a, b, None)) for a, b in zip(ours, theirs, strict=True)
    )


def _same_tokens(ours: list[str], theirs: list[str], tolerance: float | None) -> bool:
    return len(ours) == len(theirs) and all(
        a == b or _same_number(a, b, tolerance) for a, b in zip(ours, theirs, strict=True)
    )


def _is_number(token: str) -> bool:
    return len(token) <= _LONGEST_NUMBER and _NUMBER.fullmatch(token) is not None


def _is_whole(token: str) -> bool:
    return token.lstrip("+-").isdigit()


def _same_number(actual: str, expected: str, tolerance: float | None) -> bool:
    if not _is_number(actual) or not _is_number(expected):
        return False
    ours, theirs = Decimal(actual), Decimal(expected)
    if ours == theirs:
        return True
    # A count is right or wrong: the relative error is for measures, which are written with a point.
    if _is_whole(expected) and (tolerance is None or _is_whole(actual)):
        return False
    return _close(float(ours), float(theirs), JUDGES_TOLERANCE if tolerance is None else tolerance)


def _close(actual: float, expected: float, tolerance: float) -> bool:
    if not math.isfinite(actual) or not math.isfinite(expected):
        return False  # equal numbers were told before; two that are too large are only that
    return abs(actual - expected) <= tolerance * max(1.0, abs(expected))


def _json_key(key: Any) -> Any:
    """What JSON makes of a dict's key."""
    if key is None or isinstance(key, bool):
        return {None: "null", True: "true", False: "false"}[key]
    return str(key) if isinstance(key, float) or (isinstance(key, int) and key.bit_length() < 10_000) else key


def same_value(actual: Any, expected: Any, tolerance: float | None = None) -> bool:
    """Whether returned data is the expected data, which usually comes from JSON: lists and tuples are alike.

    A number and a text are never alike. True and 1 are, as in Python and with the datasets' own graders. A dict whose
    expected keys are texts may have numbers for keys: JSON knows no other.
    """
    if isinstance(actual, codec.Member):
        actual = actual.plain
    if isinstance(actual, codec.Array):
        actual = actual.items
    if isinstance(expected, (list, tuple)):
        if not isinstance(actual, (list, tuple)) or len(actual) != len(expected):
            return False
        return all(same_value(a, e, tolerance) for a, e in zip(actual, expected, strict=True))
    if isinstance(expected, dict):
        if not isinstance(actual, dict) or len(actual) != len(expected):
            return False
        if actual.keys() != expected.keys():
            actual = {_json_key(key): value for key, value in actual.items()}
            if actual.keys() != expected.keys():
                return False
        return all(same_value(actual[key], value, tolerance) for key, value in expected.items())
    if isinstance(expected, bool) or isinstance(actual, bool):
        return (
            isinstance(actual, (bool, int, float)) and isinstance(expected, (bool, int, float)) and actual == expected
        )
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
