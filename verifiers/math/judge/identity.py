"""When two expressions denote the same number or the same function.

Rationals are compared exactly. Otherwise both sides are evaluated with 60 digits: constants once, functions at the
points of sampling.py, positive ones first, because identities such as ln(ab) = ln a + ln b hold there.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

from ..limits import DECIMAL_DIGITS, MAX_MAGNITUDE, LimitExceeded
from ..trees import contains, rebuilt, symbols
from ..values import Add, Big, Call, Constant, Div, Expr, Mul, Number, Pow, Symbol
from .exact import Undefined, exact, is_infinite
from .numeric import Evaluator, context
from .sampling import implied_integers, is_complex, points, summed_over

# Two irrational numbers are one when they agree to 40 of 60 digits; a decimal written with at least ten significant
# digits stands for the exact value it agrees with to nine.
RELATIVE = "1e-40"
WRITTEN_DIGITS = 10
WRITTEN = "1e-9"
FLOAT_NOISE = "1e-12"
# A gold of one of these means all reals: |x| is not \\sqrt{x}^2, which has only half of them.
PIECED = frozenset(("abs", "min", "max", "sgn", "floor", "ceil"))


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
    return _written_alike(first, second, one, two) or (lenient and _rounded(first, second, one, two))


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


def _rounded(first: Expr, second: Expr, one: Fraction, two: Fraction) -> bool:
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


def same_expression(first: Expr, second: Expr, lenient: bool = False, integers: frozenset[str] = frozenset()) -> bool:
    """Whether two expressions are the same number, or the same function of the same symbols.

    Args:
        first: the gold, which alone says which variables are whole numbers.
        lenient: a decimal may be rounded.
        integers: variables that are declared to be whole numbers.
    """
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
    whole = integers | implied_integers(first) | summed_over(second) if names else integers
    if not _same_value(first, second, names, lenient, whole):
        one, two = _with_decimal_logarithms(first), _with_decimal_logarithms(second)
        return (one, two) != (first, second) and _same_value(one, two, names, lenient, whole)
    return True


def rounds_to(first: Expr, second: Expr) -> bool:
    """Whether one number is the other rounded or cut off at its last written place."""
    try:
        values = [Evaluator()(node) for node in (first, second)]
    except (Undefined, LimitExceeded):
        return False
    for node, exact_value, rounded in ((second, values[0], values[1]), (first, values[1], values[0])):
        written = node.args[0] if isinstance(node, Call) and node.name == "neg" else node
        if isinstance(written, Number) and written.value.denominator <= 10**12:
            places = written.places if written.digits is not None else 0
            unit = context().mpf(10) ** -places
            if abs(exact_value - rounded) <= unit * (context().mpf("0.5") if places == 0 else 1):
                return True
    return False


def _with_decimal_logarithms(node: Any) -> Any:
    r"""``\log x`` without a base is natural to some and decimal to others."""
    if isinstance(node, Call) and node.name == "log" and len(node.args) == 1:
        return Call("lg", (_with_decimal_logarithms(node.args[0]),))
    return rebuilt(node, _with_decimal_logarithms)


def _same_value(first: Expr, second: Expr, names: set[str], lenient: bool, integers: frozenset[str] | set[str]) -> bool:
    try:
        if not names:
            return _same_constant(first, second, lenient)
        return same_function(first, second, names, frozenset(integers)) or _up_to_constant(first, second, names)
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
    magnitude = max(magnitude, one.gap, two.gap)
    if magnitude > MAX_MAGNITUDE:
        return False
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


def same_function(first: Expr, second: Expr, names: set[str], integers: frozenset[str] = frozenset()) -> bool:
    """Agreement at every sample point; whole ones only for variables that are declared or can only be whole."""
    if len(names) > 40:
        return False
    mp = context()
    compared = complex_compared = 0
    genuinely_complex = is_complex(first, second)
    pieced = contains(first, lambda part: isinstance(part, Call) and part.name in PIECED)
    digits = decimal_digits(first, second)
    for number, point in enumerate(points(first, second, names, integers & names)):
        try:
            one, two, scale, left, gap = _values_at(first, second, point)
        except LimitExceeded:
            if number < 6:
                raise
            continue  # far out a power may be too large to be evaluated
        if one is None or two is None:
            # Whole numbers that the gold has no value for, as (d-k)! for k > d, are not asked about.
            if one is not two and not (integers & names and (one is None or one == 0)):
                return False
            continue
        if gap > MAX_MAGNITUDE and number >= 6:
            continue
        imaginary = any(isinstance(v, mp.mpc) and abs(v.imag) > abs(v) * mp.mpf("1e-40") for v in (one, two))
        agree = close(one, two, scale) and not (gap and not _agree_finer(first, second, point, gap))
        if agree or (digits is not None and close(one, two, 0, WRITTEN)):
            compared += not imaginary
            complex_compared += 1
        elif (imaginary or any(left)) and not genuinely_complex and not (pieced and left == (False, True)):
            continue  # another branch outside the real domain
        else:
            return False
    return compared >= 2 or complex_compared >= 4 or (genuinely_complex and complex_compared >= 2)


def _agree_finer(first: Expr, second: Expr, point: dict[str, Any], gap: int) -> bool:
    """Whether the functions agree with more digits too, where a term is too small for the usual ones."""
    if gap > MAX_MAGNITUDE:
        return False
    spare = (gap // 100 + 1) * 100
    mp = context(DECIMAL_DIGITS + spare)
    exact_point = {name: mp.mpf(value) for name, value in point.items()}
    one, two = (Evaluator(exact_point, digits=DECIMAL_DIGITS + spare) for _ in range(2))
    try:
        values = one(first), two(second)
        return close(*values, one.cancelled + two.cancelled, spare=spare)
    except (Undefined, LimitExceeded):
        return False


def _values_at(first: Expr, second: Expr, point: dict[str, Any]) -> tuple[Any, Any, Any, tuple[bool, bool], int]:
    """Both values (None: undefined), the scale of what cancelled, which left the reals, the widest gap."""
    values: list[Any] = []
    evaluators = (Evaluator(point), Evaluator(point))
    for evaluator, node in zip(evaluators, (first, second), strict=True):
        try:
            values.append(evaluator(node))
        except Undefined:
            values.append(None)
    scale = evaluators[0].cancelled + evaluators[1].cancelled
    one, two = evaluators
    return values[0], values[1], scale, (one.left_reals, two.left_reals), max(one.gap, two.gap)


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
    for number, point in enumerate(points(one[0], two[0], names)):
        if number < 3:
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
