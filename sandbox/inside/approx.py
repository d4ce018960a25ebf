"""Numbers that are nearly equal, as tests written for pytest mean it, where pytest is not installed.

``a == approx(b)``: each number of ``a`` is within ``max(rel * |b|, abs)`` of its counterpart, with ``rel`` 1e-6 and ``abs``
1e-12; with ``abs`` alone, ``rel`` is not looked at. Sequences and mappings are compared item by item, and may be nested.
"""

from __future__ import annotations

import decimal
import math
import numbers
from collections.abc import Mapping, Sequence, Set
from typing import Any

from .arrays import hold_no_items
from .proxy import Proxy

_REL, _ABS = 1e-6, 1e-12


class approx:
    """What is compared with is the tests': an object of the program's in its place, or on the other side, decides nothing.

    Raises:
        TypeError: for what has no order, or is the program's own object.
        ValueError: a tolerance that is negative or not a number.
    """

    __hash__ = None  # type: ignore[assignment]
    __array_ufunc__ = None  # an array leaves the comparison to this class
    __array_priority__ = 100

    def __init__(self, expected: Any, rel: Any = None, abs: Any = None, nan_ok: bool = False) -> None:
        if isinstance(expected, Proxy):
            raise TypeError("approx() of an object of the program's")
        if isinstance(expected, Set):
            raise TypeError(f"approx() of a {type(expected).__name__}, which has no order")
        for name, value in (("relative", rel), ("absolute", abs)):
            if value is not None and (value < 0 or math.isnan(value)):
                raise ValueError(f"the {name} tolerance must be a number and not negative, got {value}")
        self.expected, self.rel, self.abs, self.nan_ok = expected, rel, abs, nan_ok

    def __eq__(self, actual: object) -> bool:
        return _near(actual, self.expected, self)

    def __ne__(self, actual: object) -> bool:
        return not self == actual

    def __bool__(self) -> bool:
        raise AssertionError("approx() has no truth; compare with it: assert a == approx(b)")

    def __repr__(self) -> str:
        return f"approx({self.expected!r})"


def _near(actual: Any, expected: Any, of: approx) -> bool:
    if isinstance(actual, Proxy):
        return bool(actual == expected)  # says what it is instead of data
    if hold_no_items(actual, expected):  # each of no numbers is near to anything
        return False
    if type(expected).__module__ == "numpy" and hasattr(expected, "tolist"):
        shape = getattr(actual, "shape", ())
        if expected.shape and shape not in ((), expected.shape):
            return False
        if expected.shape and not shape and not _holds(actual):  # one number near to all of them
            return all(_near(actual, value, of) for value in expected.ravel().tolist())
        return _near(actual, expected.tolist(), of)
    if type(actual).__module__ == "numpy" and hasattr(actual, "tolist"):
        if not _holds(expected):  # every number of the array near to this one
            return all(_near(value, expected, of) for value in actual.ravel().tolist())
        return _near(actual.tolist(), expected, of)
    if isinstance(expected, Mapping):
        if not isinstance(actual, Mapping) or actual.keys() != expected.keys():
            return False
        return all(_near(actual[key], value, of) for key, value in expected.items())
    if _holds(expected):
        if not _holds(actual) or isinstance(actual, Mapping) or len(actual) != len(expected):
            return False
        return all(_near(a, b, of) for a, b in zip(actual, expected, strict=True))
    return _near_number(actual, expected, of)


def _holds(value: Any) -> bool:
    return isinstance(value, (Sequence, Mapping)) and not isinstance(value, (str, bytes, bytearray))


def _near_number(actual: Any, expected: Any, of: approx) -> bool:
    if isinstance(expected, bool) and not isinstance(actual, bool):
        return False
    if not all(isinstance(v, (numbers.Complex, decimal.Decimal)) for v in (actual, expected)) or actual == expected:
        return bool(actual == expected)
    if math.isnan(abs(expected)):
        return of.nan_ok and math.isnan(abs(actual))
    if math.isinf(abs(expected)):
        return False
    return bool(abs(expected - actual) <= _tolerance(expected, of))


def _tolerance(expected: Any, of: approx) -> Any:
    kind: Any = decimal.Decimal if isinstance(expected, decimal.Decimal) else lambda value: value
    absolute = kind(str(_ABS)) if of.abs is None and isinstance(expected, decimal.Decimal) else _ABS
    if of.abs is not None:
        absolute = kind(of.abs)
        if of.rel is None:
            return absolute
    relative = kind(str(_REL)) if of.rel is None and isinstance(expected, decimal.Decimal) else _REL
    if of.rel is not None:
        relative = kind(of.rel)
    return max(relative * abs(expected), absolute)
