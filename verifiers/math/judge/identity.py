"""When two expressions denote the same number or the same function.

Rationals are compared exactly. Otherwise both sides are evaluated with 60 digits: constants once, functions at fixed
points of their symbols, positive ones first, because identities such as ln(ab) = ln a + ln b hold there.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any

from .exact import Undefined, exact, is_infinite
from ..limits import DECIMAL_DIGITS, MAX_MAGNITUDE, LimitExceeded
from .numeric import Evaluator, context, needs_integers
from ..trees import contains, rebuilt, symbols
from ..values import Add, Big, Call, Constant, Div, Expr, Mul, Number, Pow, Symbol

# Two irrational numbers are one when they agree to 40 of 60 digits; a decimal written with at least ten significant
# digits stands for the exact value it agrees with to nine.
RELATIVE = "1e-40"
WRITTEN_DIGITS = 10
WRITTEN = "1e-9"
FLOAT_NOISE = "1e-12"
_RANGES = (("0.15", "0.9"), ("1.1", "2.9"), ("3.2", "7.1"), ("-2.8", "2.9"), ("-0.9", "0.8"), ("-6.9", "-1.2"))
_ROOTS = ("0.41421356237", "0.7320508075", "0.2360679774", "0.6457513110", "0.31662479035", "0.60555127546",
          "0.1231056256", "0.35889894354", "0.79583152331", "0.38516480713")  # fmt: skip


def decimal_digits(*nodes: Expr) -> int | None:
    """The fewest significant digits of a written decimal with at least `WRITTEN_DIGITS`, if there is one."""
    found: list[int] = []

    def test(part: Any) -> bool:
        if isinstance(part, Number) and part.digits is not None and part.digits >= WRITTEN_DIGITS:
            found.append(part.digits)
        return False

    for node in nodes:
        contains(node, test)
    return min(found) if found else None


def same_number(first: Expr, second: Expr, lenient: bool = False) -> bool | None:
    """Equality of two constants by exact arithmetic; None when one of them is not rational."""
    one, two = exact(first), exact(second)
    if one is None or two is None:
        return None
    if one == two:
        return True
    return _written_alike(first, second, one, two) or (lenient and _rounds_to(first, second, one, two))


def _written_alike(first: Expr, second: Expr, one: Fraction, two: Fraction) -> bool:
    """0.333333333333 for 1/3, and 0.30000000000000004 for 0.3."""
    digits = decimal_digits(first, second)
    if digits is None or not one or not two:
        return False
    difference = abs(one - two) / max(abs(one), abs(two))
    plain = (Number,)
    terminating = all(_terminates(value) for value in (one, two))
    if terminating or not (isinstance(first, plain) or isinstance(second, plain)):
        return difference < Fraction(FLOAT_NOISE)
    return difference < Fraction(WRITTEN)


def _terminates(value: Fraction) -> bool:
    """Whether a rational has a short finite decimal, which one would have written out."""
    bottom = value.denominator
    if bottom.bit_length() > 200:
        return False
    for prime in (2, 5):
        while bottom % prime == 0:
            bottom //= prime
    return bottom == 1


def _rounds_to(first: Expr, second: Expr, one: Fraction, two: Fraction) -> bool:
    """Lenient: the values agree after rounding to the fewer decimal places, three significant digits at least."""
    places = [n.places for n in (first, second) if isinstance(n, Number) and n.digits is not None and n.digits >= 3]
    return bool(places) and abs(one - two) <= Fraction(1, 2 * 10 ** min(places))


def close(one: Any, two: Any, scale: Any, relative: str = RELATIVE, spare: int = 0) -> bool:
    """Whether two evaluated numbers agree.

    Args:
        scale: the largest term that cancelled on the way.
        spare: digits that were evaluated beyond the usual ones.
    """
    mp = context(DECIMAL_DIGITS + spare)
    finer = mp.mpf(10) ** -spare
    return bool(abs(one - two) <= (mp.mpf(relative) * max(abs(one), abs(two)) + scale * mp.mpf("1e-52")) * finer)


def same_expression(first: Expr, second: Expr, lenient: bool = False) -> bool:
    """Whether two expressions are the same number, or the same function of the same symbols."""
    for node, other in ((first, second), (second, first)):
        if is_infinite(node):
            return is_infinite(node) == is_infinite(other)
    try:
        verdict = same_number(first, second, lenient)
    except Undefined:
        return False
    if verdict is not None:
        return verdict
    if key(first) == key(second):
        return not contains(first, lambda part: isinstance(part, Constant) and part.name == "undefined")
    names = symbols((first, second))
    if not _same_value(first, second, names, lenient):
        one, two = _with_decimal_logarithms(first), _with_decimal_logarithms(second)
        return (one, two) != (first, second) and _same_value(one, two, names, lenient)
    return True


def _with_decimal_logarithms(node: Any) -> Any:
    r"""``\log x`` without a base is natural to some and decimal to others."""
    if isinstance(node, Call) and node.name == "log" and len(node.args) == 1:
        return Call("lg", (_with_decimal_logarithms(node.args[0]),))
    return rebuilt(node, _with_decimal_logarithms)


def _same_value(first: Expr, second: Expr, names: set[str], lenient: bool) -> bool:
    try:
        if not names:
            return _same_constant(first, second, lenient)
        return same_function(first, second, names) or _up_to_constant(first, second, names)
    except (Undefined, LimitExceeded):
        return False


def _same_constant(first: Expr, second: Expr, lenient: bool) -> bool:
    mp = context()
    one, two = Evaluator(), Evaluator()
    a, b = one(first), two(second)
    # A number of 50 digits and its successor agree to 40: large values are compared with as many digits more.
    size = max(abs(a), abs(b), one.cancelled, two.cancelled)
    magnitude = int(mp.mag(size) * 0.30103) if size else 0
    if magnitude > MAX_MAGNITUDE:  # products and powers still differ relatively, sums need not
        return not contains((first, second), lambda part: isinstance(part, Add)) and close(a, b, 0)
    spare = (magnitude // 100 + 1) * 100 if magnitude > 10 else 0
    if spare:
        one, two = (Evaluator(digits=DECIMAL_DIGITS + spare) for _ in range(2))
        a, b = one(first), two(second)
    scale = one.cancelled + two.cancelled + (one.error + two.error) * mp.mpf("1e52") * mp.mpf(10) ** spare
    if close(a, b, scale, spare=spare):
        return True
    digits = decimal_digits(first, second)
    if digits is not None and close(a, b, 0, WRITTEN):
        return True
    if lenient:
        for node, other in ((first, b), (second, a)):
            if isinstance(node, Number) and (node.digits or 0) >= 3 and abs(a - b) * 2 * 10**node.places <= 1:
                return not isinstance(other, context().mpc)
    return False


def points(names: set[str], integers: bool = False) -> Iterator[tuple[dict[str, Any], bool]]:
    """Fixed sample points and whether all coordinates are positive."""
    mp = context()
    ordered = sorted(names)
    if integers:
        for shift in range(9):
            yield (
                {name: mp.mpf(1 + (shift + 2 * index * (1 + shift % 2)) % 9) for index, name in enumerate(ordered)},
                True,
            )
        return
    for number, (low, high) in enumerate(_RANGES):
        start, width = mp.mpf(low), mp.mpf(high) - mp.mpf(low)
        point = {}
        for index, name in enumerate(ordered):
            fraction = mp.mpf(_ROOTS[(index * 3 + number) % 10]) + mp.mpf(index // 10) / 37
            point[name] = start + width * (fraction % 1)
        yield point, number < 3


def same_function(first: Expr, second: Expr, names: set[str]) -> bool:
    """Agreement at every sample point; for expressions of whole numbers, at whole points."""
    if len(names) > 40:
        return False
    if _agree_at(first, second, points(names)):
        return True
    return (needs_integers(first) or needs_integers(second)) and _agree_at(first, second, points(names, integers=True))


def _agree_at(first: Expr, second: Expr, samples: Iterator[tuple[dict[str, Any], bool]]) -> bool:
    mp = context()
    compared = complex_compared = 0
    genuinely_complex = contains((first, second), lambda part: isinstance(part, Constant) and part.name == "i")
    digits = decimal_digits(first, second)
    for point, _ in samples:
        values = []
        evaluators = (Evaluator(point), Evaluator(point))
        for evaluator, node in zip(evaluators, (first, second), strict=True):
            try:
                values.append(evaluator(node))
            except Undefined:
                values.append(None)
        if values[0] is None or values[1] is None:
            if values[0] is not values[1]:
                return False
            continue
        scale = evaluators[0].cancelled + evaluators[1].cancelled
        agrees = close(values[0], values[1], scale) or (digits is not None and close(values[0], values[1], 0, WRITTEN))
        imaginary = any(isinstance(v, mp.mpc) and abs(v.imag) > abs(v) * mp.mpf("1e-40") for v in values)
        if agrees:
            compared += not imaginary
            complex_compared += 1
        elif (imaginary or any(e.left_reals for e in evaluators)) and not genuinely_complex:
            continue  # another branch outside the real domain
        else:
            return False
    return compared >= 2 or complex_compared >= 4 or (genuinely_complex and complex_compared >= 2)


def _up_to_constant(first: Expr, second: Expr, names: set[str]) -> bool:
    """Antiderivatives: both end in an arbitrary constant and differ by a number."""
    parts = [_without_constant(node) for node in (first, second)]
    if parts[0] is None or parts[1] is None:
        return False
    one, two = parts
    assert one is not None
    assert two is not None
    if one[1].lower() != two[1].lower() and {one[1], two[1]} - {"C", "c", "K", "k", "C_1", "c_1", "C_0"}:
        return False
    names = symbols((one[0], two[0]))
    difference = Add((one[0], Call("neg", (two[0],))))
    values: list[Any] = []
    scale: Any = 0
    for point, positive in points(names):
        if positive:
            evaluator = Evaluator(point)
            values.append(evaluator(difference))
            scale = max(scale, evaluator.cancelled, abs(values[-1]))
    return all(close(a, b, scale + 1) for a, b in pairwise(values))


def _without_constant(node: Expr) -> tuple[Expr, str] | None:
    """The rest and the name of the arbitrary constant of ``... + C``."""
    if not isinstance(node, Add):
        return None
    names = [t.name for t in node.terms if isinstance(t, Symbol) and t.name in ("C", "c", "K", "C_1", "c_1", "C_0")]
    if len(names) != 1:
        return None
    rest = tuple(t for t in node.terms if not (isinstance(t, Symbol) and t.name == names[0]))
    return (Add(rest), names[0]) if names[0] not in symbols(rest) else None


def key(node: Any) -> str:
    """A canonical spelling in which sums and products are sorted; equal keys mean equal expressions."""
    match node:
        case Number():
            return str(node.value)
        case Symbol() | Constant():
            return node.name
        case Add():
            return "(" + "+".join(sorted(key(term) for term in node.terms)) + ")"
        case Mul():
            return "(" + "*".join(sorted(key(factor) for factor in node.factors)) + ")"
        case Div():
            return f"({key(node.top)}/{key(node.bottom)})"
        case Pow():
            return f"({key(node.base)}^{key(node.exponent)})"
        case Call():
            return f"{node.name}({','.join(key(argument) for argument in node.args)})"
        case Big():
            low, high = (key(part) if part is not None else "" for part in (node.low, node.high))
            return f"{node.name}[{node.variable},{low},{high}]({key(node.body)})"
    return repr(node)
