"""Where two functions are compared: points at which they can differ.

Analytic functions that agree on a few points agree everywhere, but absolute values, floors and minima change their
form where their arguments do. For these the points are spread over magnitudes and lie on both sides of every constant
that occurs in either function. All points are drawn from a generator seeded with both functions, so that no response
can be written to agree at points that it knows.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

from ..trees import contains, symbols
from ..values import Big, Call, Constant, Expr, Number, Pow, Symbol
from .exact import exact
from .numeric import context

_RANGES = ((0.15, 0.9), (1.1, 2.9), (3.2, 7.1), (-2.8, 2.9), (-0.9, 0.8), (-6.9, -1.2))
_MAGNITUDES = (0.02, 13.0, 41.0, 170.0, 1300.0, -0.03, -14.0, -47.0, -190.0, -1250.0)
_BRANCHING = frozenset(("abs", "floor", "ceil", "min", "max", "sgn", "mod", "Re", "Im", "arg", "overline", "sqrt", "root",
                        "cbrt", "gcd", "lcm"))  # fmt: skip
_ROUNDING = frozenset(("floor", "ceil"))
_STEPS = frozenset(("floor", "ceil", "mod"))
_COUNTERS = frozenset("nkmljpqNKM")  # a gold that rounds one of these means whole numbers
_INTEGER_ARGUMENTS = frozenset(("factorial", "factorial2", "binom", "permutations", "gcd", "lcm", "mod"))
_WHOLE = (1, 2, 3, 4, 5, 6, 7, 8, 9)
_FURTHER = (10, 11, 12, 16, 21, 25, 34, 50, 81, 99, 100, 144)
_MAX_BREAKS = 16


def branches(node: Any) -> bool:
    """Whether a function may change its form from one region to another."""

    def test(part: Any) -> bool:
        if isinstance(part, Call):
            return part.name in _BRANCHING and bool(symbols(part))
        if isinstance(part, Pow):
            whole = isinstance(part.exponent, Number) and part.exponent.value.denominator == 1
            return not whole and bool(symbols(part.base))
        return isinstance(part, Big)

    return contains(node, test)


def branching_symbols(node: Any) -> set[str]:
    """The variables within absolute values, floors and the like."""
    found: set[str] = set()

    def test(part: Any) -> bool:
        if isinstance(part, Call) and part.name in _BRANCHING:
            found.update(symbols(part))
        return False

    contains(node, test)
    return found


def implied_integers(gold: Any) -> set[str]:
    """The variables that a gold can only mean as whole numbers: in factorials, (-1)^n, bounds of sums, indices a_n."""
    found: set[str] = set()

    def test(part: Any) -> bool:
        if isinstance(part, Call) and part.name in _INTEGER_ARGUMENTS:
            found.update(symbols(part))
        elif isinstance(part, Call) and part.name in _ROUNDING:
            found.update(symbols(part) & _COUNTERS)
        elif isinstance(part, Pow) and not isinstance(part.exponent, Number) and symbols(part.exponent):
            base = None if symbols(part.base) else exact(part.base)
            if base is not None and base < 0:
                found.update(symbols(part.exponent))
        elif isinstance(part, Big) and part.name in ("sum", "prod"):
            for bound in (part.low, part.high):
                if bound is not None:
                    found.update(symbols(bound))
        elif isinstance(part, Symbol) and "_" in part.name:
            index = part.name.rpartition("_")[2]
            if len(index) == 1 and index.isalpha() and index not in ("i", "e"):
                found.add(index)
        return False

    contains(gold, test)
    return found


def summed_over(response: Any) -> set[str]:
    """Counters in the bounds of a response's sums, which have no value between whole numbers."""
    found: set[str] = set()

    def test(part: Any) -> bool:
        if isinstance(part, Big) and part.name in ("sum", "prod"):
            found.update(symbols((part.low or (), part.high or ())) & _COUNTERS)
        return False

    contains(response, test)
    return found


def seed_of(first: Expr, second: Expr) -> int:
    """The same for both orders, so that the verdict is symmetric."""
    return zlib.crc32("|".join(sorted((repr(first), repr(second)))).encode())


def breaks(first: Expr, second: Expr) -> list[float]:
    """Where absolute values and floors of either function can change: its constants, their roots and quotients."""
    constants: set[Fraction] = set()

    def test(part: Any) -> bool:
        if isinstance(part, Number) and abs(part.value) < 10**6 and len(constants) < _MAX_BREAKS:
            constants.add(abs(part.value))
        return False

    contains((first, second), test)
    plain = sorted(float(value) for value in constants)
    found = {0.0, *plain, *(value**0.5 for value in plain)}
    for one in plain[:6]:
        for two in plain[:6]:
            if two:
                found.update((one / two, one * two))
            found.add(abs(one - two))
    chosen = sorted(found)[: 2 * _MAX_BREAKS]
    return [-value for value in reversed(chosen) if value] + chosen


def points(
    first: Expr, second: Expr, names: set[str], integers: frozenset[str] = frozenset()
) -> Iterator[dict[str, Any]]:
    """Sample points for two functions of ``names``: six near the origin, and all others where the functions branch."""
    mp = context()
    ordered = sorted(names)
    draw = random.Random(seed_of(first, second))
    further = branches(first) or branches(second)

    def real(low: float, high: float) -> Any:
        return mp.mpf(low) + (mp.mpf(high) - mp.mpf(low)) * mp.mpf(draw.getrandbits(100)) / 2**100

    def whole(number: int, index: int, among: tuple[int, ...]) -> Any:
        return mp.mpf(among[(number + 2 * index * (1 + number % 2)) % len(among)])

    if names & integers:
        for number in range(len(_WHOLE) + (len(_FURTHER) if further else 0)):
            among, start = (_WHOLE, number) if number < len(_WHOLE) else (_FURTHER, number - len(_WHOLE))
            yield {
                name: whole(start, index, among) if name in integers else real(*_RANGES[number % 3])
                for index, name in enumerate(ordered)
            }
        return
    for low, high in _RANGES:
        yield {name: real(low, high) for name in ordered}
    if not further:
        return
    marks = breaks(first, second)
    gaps = [(a, b) for a, b in pairwise(marks) if b - a > 1e-9]
    gaps += [(value * 0.8, value * 1.2) if value > 0 else (value * 1.2, value * 0.8) for value in _MAGNITUDES]
    for gap in gaps if len(ordered) == 1 else gaps[:: max(1, len(gaps) // 24)]:
        yield {name: real(*(gap if position == 0 else draw.choice(gaps))) for position, name in enumerate(ordered)}
    if contains((first, second), lambda part: isinstance(part, Call) and part.name in _STEPS):
        for number in (3, -2, 7, 40):  # a floor and a ceiling differ at whole numbers, and only there
            yield {name: mp.mpf(number + 3 * index) for index, name in enumerate(ordered)}
    for value in _MAGNITUDES:  # all variables far out, in every combination of signs that the generator draws
        yield {name: real(0.7, 1.3) * value * draw.choice((1, 1, -1, 3)) for name in ordered}


def is_complex(first: Expr, second: Expr) -> bool:
    return contains((first, second), lambda part: isinstance(part, Constant) and part.name == "i")
