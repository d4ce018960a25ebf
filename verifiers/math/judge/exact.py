"""Exact rational evaluation with magnitude bounds checked before every operation that can grow."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from ..limits import MAX_BITS, MAX_EXACT_STEPS, MAX_FACTORIAL, LimitExceeded
from ..values import Add, Call, Constant, Div, Expr, Mul, Number, Pow

# Arithmetic on large numbers counts for more than one step: greatest common divisors take quadratic time.
BITS_PER_STEP = 400
MAX_ROOT_BITS = 6_000  # above, roots are compared numerically


class Undefined(ArithmeticError):
    """The expression has no value: division by zero, the logarithm of zero, zero to the power zero."""


def exact(node: Expr, budget: list[int] | None = None) -> Fraction | None:
    """The rational value of an expression, or None when it is irrational, symbolic or larger than the bounds.

    Raises:
        Undefined: for a division by zero.
        LimitExceeded: when the expression has too many parts.
    """
    if isinstance(node, Number):
        return node.value
    budget = budget or [MAX_EXACT_STEPS]
    budget[0] -= 1
    if budget[0] <= 0:
        raise LimitExceeded(f"more than {MAX_EXACT_STEPS} arithmetic steps")
    if isinstance(node, (Add, Mul)):
        adding = isinstance(node, Add)
        total = Fraction(0 if adding else 1)
        for part in node.terms if isinstance(node, Add) else node.factors:
            value = exact(part, budget)
            if value is None:
                return None
            total = total + value if adding else total * value
            bits = _bits(total)
            if bits > MAX_BITS:
                return None
            budget[0] -= bits // BITS_PER_STEP
        return total
    if isinstance(node, Div):
        top, bottom = exact(node.top, budget), exact(node.bottom, budget)
        if bottom == 0:
            raise Undefined("division by zero")
        if top is None or bottom is None:
            return None
        budget[0] -= (_bits(top) + _bits(bottom)) // BITS_PER_STEP
        return top / bottom
    if isinstance(node, Pow):
        base, exponent = exact(node.base, budget), exact(node.exponent, budget)
        if base is None or exponent is None:
            return None
        raised = power(base, exponent)
        budget[0] -= 0 if raised is None else _bits(raised) // BITS_PER_STEP
        return raised
    if isinstance(node, Call):
        result = _call(node, budget)
        budget[0] -= 0 if result is None else _bits(result) // BITS_PER_STEP
        return result
    return None


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


def power(base: Fraction, exponent: Fraction) -> Fraction | None:
    """``base ** exponent`` when it is rational and within the bounds; odd roots of negatives are real."""
    if base == 0:
        if exponent <= 0:
            raise Undefined("zero to a power that is not positive")
        return Fraction(0)
    if exponent.denominator == 1:
        if base in (1, -1):
            return base if exponent.numerator % 2 else Fraction(1)
        if abs(exponent.numerator) * _bits(base) > MAX_BITS:
            return None
        return base**exponent.numerator
    if exponent.denominator > 64 or abs(exponent.numerator) > 64:
        return None
    root = rational_root(base, exponent.denominator)
    return None if root is None else power(root, Fraction(exponent.numerator))


def rational_root(value: Fraction, index: int) -> Fraction | None:
    """The exact ``index``-th root, or None when there is no rational one."""
    if value < 0:
        if index % 2 == 0:
            return None
        root = rational_root(-value, index)
        return None if root is None else -root
    top, bottom = _integer_root(value.numerator, index), _integer_root(value.denominator, index)
    return None if top is None or bottom is None else Fraction(top, bottom)


def _integer_root(value: int, index: int) -> int | None:
    if index == 2:
        root = math.isqrt(value)
    elif value < 2:
        root = value
    elif value.bit_length() > MAX_ROOT_BITS:
        return None
    else:
        low, high = 1, 1 << (value.bit_length() // index + 1)
        while low < high:  # at most MAX_ROOT_BITS / index halvings
            middle = (low + high + 1) // 2
            low, high = (middle, high) if middle**index <= value else (low, middle - 1)
        root = low
    return root if root**index == value else None


_OF_ONE: dict[str, Callable[[Fraction], Fraction | None]] = {
    "neg": lambda value: -value,
    "sqrt": lambda value: rational_root(value, 2),
    "cbrt": lambda value: rational_root(value, 3),
    "abs": abs,
    "floor": lambda value: Fraction(math.floor(value)),
    "ceil": lambda value: Fraction(math.ceil(value)),
    "sgn": lambda value: Fraction((value > 0) - (value < 0)),
}


def _call(node: Call, budget: list[int]) -> Fraction | None:
    if node.name in ("pm", "mp", "deg", "prime") or len(node.args) > 400:
        return None
    values = []
    for argument in node.args:
        value = exact(argument, budget)
        if value is None:
            return None
        values.append(value)
    first = values[0]
    whole = all(value.denominator == 1 for value in values)
    if node.name in _OF_ONE:
        return _OF_ONE[node.name](first)
    match node.name:
        case "root":
            index = values[1]
            return rational_root(first, int(index)) if index.denominator == 1 and 2 <= index <= 64 else None
        case "max" | "min":
            return max(values) if node.name == "max" else min(values)
        case "mod" if whole and values[1] != 0:
            return Fraction(int(first) % int(values[1]))
        case "gcd" if whole:
            return Fraction(math.gcd(*(int(value) for value in values)))
        case "lcm" if whole:
            return Fraction(math.lcm(*(int(value) for value in values[:20])))
        case "det" if len(values) in (1, 4, 9):
            return determinant(values)
    return _combinatorial(node.name, values) if whole else None


def _combinatorial(name: str, values: list[Fraction]) -> Fraction | None:
    first = int(values[0])
    if name == "factorial" and 0 <= first <= MAX_FACTORIAL:
        return Fraction(math.factorial(first))
    if name == "factorial2" and 0 <= first <= MAX_FACTORIAL:
        return Fraction(math.prod(range(first, 0, -2)))
    if name == "permutations" and len(values) == 2 and 0 <= values[1] <= first <= MAX_FACTORIAL:
        return Fraction(math.perm(first, int(values[1])))
    if name == "binom" and len(values) == 2 and 0 <= first <= MAX_FACTORIAL:
        return Fraction(math.comb(first, int(values[1]))) if values[1] >= 0 else Fraction(0)
    return None


def determinant(values: list[Fraction]) -> Fraction:
    """The determinant of a square matrix given by rows, up to 3 by 3."""
    if len(values) == 1:
        return values[0]
    if len(values) == 4:
        return values[0] * values[3] - values[1] * values[2]
    a, b, c, d, e, f, g, h, i = values
    return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g)


def is_infinite(node: Expr) -> int:
    """1 for infinity, -1 for its negative, else 0."""
    if isinstance(node, Constant) and node.name == "inf":
        return 1
    if isinstance(node, Call) and node.name == "neg":
        return -is_infinite(node.args[0])
    return 0
