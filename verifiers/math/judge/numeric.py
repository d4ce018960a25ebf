"""High-precision numeric evaluation and identity testing; mpmath is imported when it is first needed.

Every operation is guarded by the size of its arguments, because arbitrary-precision functions of large numbers can
take unbounded time (sin of a tower) or memory.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from fractions import Fraction
from functools import lru_cache
from typing import Any

from ..limits import (
    DECIMAL_DIGITS,
    MAX_ANGLE,
    MAX_FACTORIAL,
    MAX_LOG2,
    MAX_STEPS,
    MAX_TERMS,
    MAX_WORK,
    LimitExceeded,
)
from ..values import Add, Big, Call, Constant, Div, Expr, Mul, Number, Pow, Symbol
from .exact import Undefined, exact

TRIGONOMETRIC = {"sin", "cos", "tan", "cot", "sec", "csc"}


def context(digits: int = DECIMAL_DIGITS) -> Any:
    """Our own mpmath context, one for each precision: numbers of two contexts are of two types."""
    return _context(digits)


@lru_cache(maxsize=16)
def _context(digits: int) -> Any:
    """Its precision is never changed after this, so threads can share it."""
    import mpmath

    made = mpmath.MPContext()
    made.dps = digits
    return made


# Nodes that all evaluations of one judgement may visit together: a list of forty members is compared pair by pair.
_BUDGET: ContextVar[list[int] | None] = ContextVar("budget", default=None)


def fresh_budget() -> None:
    """Begin a judgement: its evaluations share `MAX_WORK` steps."""
    _BUDGET.set([MAX_WORK])


class Evaluator:
    """Evaluates expressions at one point.

    Attributes:
        cancelled: the largest term that cancelled in a sum, the scale of the rounding error.
        error: an absolute error that some step has (limits), zero for all others.
    """

    def __init__(
        self, point: Mapping[str, Any] | None = None, budget: int = MAX_STEPS, digits: int = DECIMAL_DIGITS
    ) -> None:
        self.mp = context(digits)
        self.point = dict(point or {})
        self.steps = budget
        self.budget = _BUDGET.get() or [MAX_WORK]
        self.cancelled: Any = self.mp.zero
        self.error: Any = self.mp.zero
        self.gap = 0  # decimal digits between the largest and the smallest term of some sum, where they are many
        self.left_reals = False  # a root, logarithm or power of a real number was complex

    def __call__(self, node: Expr) -> Any:
        """The value, real or complex.

        Raises:
            Undefined: no value here, or an unbound symbol. LimitExceeded: too large or too many steps.
        """
        self.steps -= 1
        self.budget[0] -= 1
        if self.steps <= 0 or self.budget[0] <= 0:
            raise LimitExceeded(f"more than {MAX_STEPS} steps of evaluation")
        mp = self.mp
        match node:
            case Number():
                return mp.mpf(node.value.numerator) / node.value.denominator
            case Symbol():
                if node.name not in self.point:
                    raise Undefined(f"the symbol {node.name} has no value")
                return self.point[node.name]
            case Constant():
                return self.constant(node.name)
            case Add():
                return self.total([self(term) for term in node.terms])
            case Mul():
                product = mp.one
                for factor in node.factors:
                    product = product * self(factor)
                return product
            case Div():
                bottom = self(node.bottom)
                if bottom == 0:
                    raise Undefined("division by zero")
                return self(node.top) / bottom
            case Pow():
                return self.power(node)
            case Call():
                return self.call(node)
            case Big():
                return self.big(node)
        raise Undefined(f"no number: {type(node).__name__}")

    def constant(self, name: str) -> Any:
        if name in self.point:  # i as the index of a sum
            return self.point[name]
        if name == "inf":
            raise Undefined("infinity in arithmetic")
        return {"pi": self.mp.pi, "e": self.mp.e, "i": self.mp.mpc(0, 1)}[name] * 1

    def total(self, values: list[Any]) -> Any:
        total = self.mp.zero
        for value in values:
            total = total + value
        sizes = [abs(value) for value in values]
        largest = max(sizes, default=self.mp.zero)
        if len(sizes) > 1 and (smallest := min(sizes)) and smallest < largest * 1e-20:
            self.gap = max(self.gap, int((self.mp.mag(largest) - self.mp.mag(smallest)) * 0.30103) + 1)
        if abs(total) < largest * 1e-12 and largest > self.cancelled:
            self.cancelled = largest
        return total

    def power(self, node: Pow) -> Any:
        base = self(node.base)
        rational = exact(node.exponent)
        mp = self.mp
        exponent = self(node.exponent) if rational is None else mp.mpf(rational.numerator) / rational.denominator
        if base == 0:
            if isinstance(exponent, mp.mpc) or exponent <= 0:
                raise Undefined("zero to a power that is not positive")
            return mp.zero
        magnitude = abs(mp.mag(base)) + 1
        if mp.mag(exponent) > 60 or magnitude * abs(exponent) > MAX_LOG2:
            raise LimitExceeded("a power beyond the bounds")
        if rational is not None and rational.denominator == 1:
            return base ** int(rational)
        if rational is not None and isinstance(base, mp.mpf) and base < 0 and rational.denominator % 2:
            root = (-base) ** exponent
            return -root if rational.numerator % 2 else root
        return self.noted(mp.power(base, exponent), base)

    def call(self, node: Call) -> Any:
        name = node.name
        if len(node.args) > 50:
            raise LimitExceeded("a function of more than 50 arguments")
        function = _FUNCTIONS.get(name)
        if function is None:
            return self.unknown(node)
        values = [self(argument) for argument in node.args]
        for value in values:
            if name in TRIGONOMETRIC and abs(value) > MAX_ANGLE:
                raise LimitExceeded("an angle beyond the bounds")
            if name in ("exp", "sinh", "cosh", "tanh") and abs(value) > MAX_LOG2 / 1024:
                raise LimitExceeded("an exponential beyond the bounds")
            if name in ("factorial", "factorial2", "binom", "Gamma") and abs(value) > MAX_FACTORIAL:
                raise LimitExceeded("a factorial beyond the bounds")
            if name in ("floor", "ceil", "gcd", "lcm") and abs(value) > 10**40:
                raise LimitExceeded("rounding beyond the working precision")
        try:
            return self.noted(function(self.mp, *values), *values)
        except (ValueError, ZeroDivisionError, OverflowError, TypeError, ArithmeticError) as error:
            raise Undefined(f"{name} has no value here") from error

    def noted(self, value: Any, *arguments: Any) -> Any:
        if isinstance(value, self.mp.mpc) and not any(isinstance(argument, self.mp.mpc) for argument in arguments):
            self.left_reals = True
        return value

    def unknown(self, node: Call) -> Any:
        """An unspecified function, f(x): some smooth function of its arguments, the same in both expressions."""
        if node.name in ("pm", "mp"):
            raise Undefined("two values at once")
        inner = node.args[0]
        seed = zlib.crc32(node.name.encode()) % 997 / 100
        if node.name == "prime":
            if not isinstance(inner, (Call, Symbol)):
                raise Undefined("a derivative of an expression")
            seed += zlib.crc32(inner.name.encode()) % 997 / 100
            inner = inner.args[0] if isinstance(inner, Call) else Number(Fraction(1))
        value = self.mp.mpf(seed)
        for position, argument in enumerate((inner, *node.args[1:])):
            value = value + self(argument) * (1 + position * self.mp.mpf("0.37"))
        if abs(value) > 10**6:
            raise LimitExceeded("an argument beyond the bounds")
        return self.mp.sin(value) + value / 7

    def big(self, node: Big) -> Any:
        if node.name == "int" and node.low is not None and node.high is not None:
            return self.integral(node)
        if node.low is None or not node.variable:
            raise Undefined(f"{node.name} without its bounds")
        if node.name == "lim":
            return self.limit(node)
        if node.name not in ("sum", "prod") or node.high is None:
            raise Undefined(f"{node.name} is not evaluated")
        low, high = exact(node.low), exact(node.high)
        if low is None:
            low = self.whole(node.low)
        if high is None:
            high = self.whole(node.high)
        if low.denominator != 1 or high.denominator != 1:
            raise Undefined("a sum between bounds that are not whole")
        if high - low > MAX_TERMS:
            raise LimitExceeded(f"more than {MAX_TERMS} terms")
        inner = Evaluator({**self.point}, self.steps)
        result = self.mp.zero if node.name == "sum" else self.mp.one
        for index in range(int(low), int(high) + 1):
            inner.point[node.variable] = self.mp.mpf(index)
            value = inner(node.body)
            result = result + value if node.name == "sum" else result * value
        self.steps = inner.steps
        return result

    def integral(self, node: Big) -> Any:
        """A definite integral by Gauss-Legendre rules of two orders; what they disagree on is the error."""
        assert node.low is not None
        assert node.high is not None
        low, high = self(node.low), self(node.high)
        body, variable = integrand(node.body)
        mp = self.mp
        if isinstance(low, mp.mpc) or isinstance(high, mp.mpc):
            raise Undefined("complex bounds")
        totals = []
        for order in (4, 5):
            inner = Evaluator(self.point, self.steps)
            total = mp.zero
            for x, weight in _nodes(order):
                inner.point[variable] = (low + high) / 2 + (high - low) / 2 * x
                total = total + weight * inner(body)
            self.steps = inner.steps
            totals.append(total * (high - low) / 2)
        spread = abs(totals[0] - totals[1])
        if spread > mp.mpf("1e-12") * (1 + abs(totals[1])):
            raise Undefined("an integral that does not settle")
        self.error = max(self.error, spread * 10)
        return totals[1]

    def whole(self, node: Expr) -> Fraction:
        value = self(node)
        if isinstance(value, self.mp.mpc) or abs(value) > 10**6 or value != int(value):
            raise Undefined("a bound that is not a whole number")
        return Fraction(int(value))

    def limit(self, node: Big) -> Any:
        """Two-sided values ever nearer to the point; they must settle, and their distance is the error."""
        assert node.low is not None
        point = self(node.low)
        values = []
        for step in ("1e-14", "1e-16", "-1e-16"):
            inner = Evaluator({**self.point, node.variable: point + self.mp.mpf(step)}, self.steps)
            values.append(inner(node.body))
            self.steps = inner.steps
        spread = max(abs(values[0] - values[1]), abs(values[1] - values[2]))
        if spread > 1e-10:
            raise Undefined("a limit that does not settle")
        self.error = max(self.error, spread * 4 + self.mp.mpf("1e-25"))
        return values[1]


@lru_cache(maxsize=4)
def _nodes(order: int) -> list[Any]:
    mp = context()
    from mpmath.calculus.quadrature import GaussLegendre

    return list(GaussLegendre(mp).calc_nodes(order, mp.prec))


def integrand(body: Expr) -> tuple[Expr, str]:
    """The function and the variable of ``f(x) dx``, whose differential was read as the factors d and x."""
    factors = body.factors if isinstance(body, Mul) else (body,)
    if len(factors) < 2 or factors[-2] != Symbol("d") or not isinstance(factors[-1], Symbol):
        raise Undefined("an integral without its differential")
    rest = factors[:-2]
    return (Mul(rest) if rest else Number(Fraction(1))), factors[-1].name


def _log(mp: Any, value: Any, base: Any = None) -> Any:
    if value == 0 or base in (0, 1):
        raise ValueError("logarithm of zero")
    return mp.log(value) if base is None else mp.log(value) / mp.log(base)


def _binom(mp: Any, n: Any, k: Any) -> Any:
    if all(isinstance(x, mp.mpf) and x == int(x) and x >= 0 for x in (n, k)) and k > n:
        return mp.zero  # no k of fewer things; the gamma functions have a pole there
    return mp.gamma(n + 1) / (mp.gamma(k + 1) * mp.gamma(n - k + 1))


def _root(mp: Any, value: Any, index: Any) -> Any:
    if isinstance(value, mp.mpf) and value < 0 and index == int(index) and int(index) % 2:
        return -mp.power(-value, 1 / index)
    return mp.power(value, 1 / index)


def _divisor(name: str) -> Callable[..., Any]:
    def function(mp: Any, *values: Any) -> Any:
        import math

        if any(isinstance(value, mp.mpc) or value != int(value) for value in values):
            raise ValueError("not whole numbers")
        return mp.mpf(getattr(math, name)(*(int(value) for value in values)))

    return function


def _reciprocal(name: str) -> Callable[..., Any]:
    return lambda mp, x: 1 / getattr(mp, name)(x)


def _real(name: str) -> Callable[..., Any]:
    def function(mp: Any, *values: Any) -> Any:
        if any(isinstance(value, mp.mpc) and value.imag != 0 for value in values):
            raise ValueError("not real")
        values = tuple(mp.mpf(value.real) for value in values)
        if name in ("floor", "ceil"):
            return getattr(mp, name)(values[0])
        return max(values) if name == "max" else min(values) if name == "min" else mp.sign(values[0])

    return function


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "neg": lambda mp, x: -x,
    "sqrt": lambda mp, x: mp.sqrt(x),
    "cbrt": lambda mp, x: _root(mp, x, mp.mpf(3)),
    "root": _root,
    "abs": lambda mp, x: abs(x),
    "exp": lambda mp, x: mp.exp(x),
    "ln": _log,
    "log": _log,
    "lg": lambda mp, x: _log(mp, x, mp.mpf(10)),
    "floor": _real("floor"),
    "ceil": _real("ceil"),
    "sgn": _real("sgn"),
    "max": _real("max"),
    "min": _real("min"),
    "factorial": lambda mp, x: mp.gamma(x + 1),
    "factorial2": lambda mp, x: mp.fac2(x),
    "Gamma": lambda mp, x: mp.gamma(x),
    "binom": _binom,
    "mod": lambda mp, a, b: a - b * mp.floor(a / b),
    "permutations": lambda mp, n, k: mp.gamma(n + 1) / mp.gamma(n - k + 1),
    "gcd": _divisor("gcd"),
    "lcm": _divisor("lcm"),
    "deg": lambda mp, x: x * mp.pi / 180,
    "overline": lambda mp, x: mp.conj(x),
    "Re": lambda mp, x: mp.re(x),
    "Im": lambda mp, x: mp.im(x),
    "arg": lambda mp, x: mp.arg(x),
    "det": lambda mp, *v: v[0] * v[3] - v[1] * v[2] if len(v) == 4 else _no_value(),
    "arccot": lambda mp, x: mp.pi / 2 - mp.atan(x),
    "arcsec": lambda mp, x: mp.acos(1 / x),
    "arccsc": lambda mp, x: mp.asin(1 / x),
    **{name: (lambda mp, x, name=name: getattr(mp, name)(x)) for name in ("sin", "cos", "tan", "sinh", "cosh", "tanh")},
    **{name: _reciprocal(of) for name, of in (("sec", "cos"), ("csc", "sin"), ("cot", "tan"), ("coth", "tanh"))},
    **{
        name: (lambda mp, x, of=of: getattr(mp, of)(x))
        for name, of in (
            ("arcsin", "asin"), ("arccos", "acos"), ("arctan", "atan"),
            ("arsinh", "asinh"), ("arcosh", "acosh"), ("artanh", "atanh"),
        )
    },
}  # fmt: skip


def _no_value() -> Any:
    raise ValueError("no value")
