"""Whether an answer was calculated, or only repeats what was asked.

A sum, an integral, a greatest common divisor or 2 + 2 is the question, not the answer, where the gold is a closed
number: a policy that is paid for it learns to copy the problem into the box. Powers, radicals, fractions and products
with powers are forms of an answer, and whatever operation the gold itself has.
"""

from __future__ import annotations

import re
from typing import Any

from ..limits import LimitExceeded, ParseError
from ..read import parse_cached
from ..trees import children, symbols
from ..values import (
    Add,
    Big,
    Call,
    Constant,
    Div,
    Expr,
    Labelled,
    ListOf,
    Matrix,
    Modular,
    Mul,
    Number,
    Percent,
    Pow,
    Quantity,
    Relation,
    Symbol,
    Tuple,
    Value,
)
from .exact import Undefined, exact
from .identity import key

_BIG = {"sum": "a sum", "prod": "a product", "int": "an integral", "iint": "an integral", "oint": "an integral",
        "lim": "a limit"}  # fmt: skip
_KINDS = {
    "a greatest common divisor": "gcd lcm", "a remainder": "mod", "a rounding": "floor ceil",
    "a factorial": "factorial factorial2", "a binomial coefficient": "binom permutations", "an extremum": "min max",
    "an absolute value": "abs", "a logarithm": "ln log lg", "a determinant": "det", "a sign": "sgn",
    "a trigonometric value": "sin cos tan cot sec csc", "a hyperbolic value": "sinh cosh tanh coth",
    "an inverse trigonometric value": "arcsin arccos arctan arccot arcsec arccsc", "a gamma value": "Gamma",
    "a complex part": "Re Im arg",
}  # fmt: skip
_CALLS = {name: kind for kind, names in _KINDS.items() for name in names.split()}
_ROOTS = ("sqrt", "root", "cbrt")
MAX_NODES = 4_000


def unevaluated(gold: Value, response: Value) -> str:
    """What the response left to be calculated and the gold did not, or an empty text."""
    wanted = stated(gold)
    if isinstance(gold, (Matrix, Tuple)) and isinstance(response, Call) and response.name == "binom":
        return ""  # \\binom{2}{-1} is how some write a column
    answer = stated(response)
    kinds = operations(answer) - operations(wanted)
    if _is_whole(wanted) and _comes_out_even(answer):
        kinds.add("a division that comes out even")
    if isinstance(gold, Modular):
        kinds.discard("a remainder")
    if symbols(wanted):
        kinds &= set(_BIG.values())
    return min(kinds, default="")


def _is_whole(value: Any) -> bool:
    value = value.value if isinstance(value, Quantity) else value
    return isinstance(value, Number) and value.value.denominator == 1


def _comes_out_even(value: Any) -> bool:
    """``72/2`` for 36: what is asked, and no fraction in lowest terms."""
    value = value.value if isinstance(value, (Quantity, Percent)) else value
    if isinstance(value, Call) and value.name == "neg":
        value = value.args[0]
    return isinstance(value, Div) and is_literal(value.top) and is_literal(value.bottom)


def stated(value: Any) -> Any:
    """What counts of a statement: the last part of a chain, the exact one before an approximation."""
    if isinstance(value, Labelled):
        return stated(value.value)
    if isinstance(value, Modular):
        return stated(value.value)
    if isinstance(value, ListOf):
        return tuple(stated(item) for item in value.items)
    if isinstance(value, Relation) and all(op in ("=", "~") for op in value.ops):
        where = value.ops.index("~") if "~" in value.ops else 0
        if where == 0 and isinstance(value.parts[0], Number):
            return value.parts[0]  # 7 = 3 + 4
        return value.parts[where] if where > 0 else value.parts[-1]
    return value


def operations(value: Any) -> set[str]:
    """The operations in a value that somebody would still have to carry out."""
    found: set[str] = set()
    waiting, steps = [value], 0
    while waiting:
        node = waiting.pop()
        steps += 1
        if steps > MAX_NODES:
            break
        kind = operation(node)
        if kind:
            found.add(kind)
        waiting.extend(children(node))
    return found


def operation(node: Any) -> str:
    """The name of the calculation that a node leaves open, or an empty text."""
    if isinstance(node, Big):
        return _BIG.get(node.name, "a sum")
    if not isinstance(node, (Call, Pow, Add, Mul)) or symbols(node):
        return ""  # |x| > 2 leaves nothing to calculate
    if isinstance(node, Call):
        if node.name in _ROOTS and rational(node):
            return "a root of a perfect power"
        return _CALLS.get(node.name, "")
    if isinstance(node, Pow):
        return "a root of a perfect power" if _fractional(node.exponent) and rational(node) else ""
    if isinstance(node, Add):
        numbers = [term for term in node.terms if rational(term)]
        return "arithmetic between numbers" if len(numbers) > 1 and not _is_mixed(numbers) else ""
    if isinstance(node, Mul):
        powers = any(isinstance(factor, Pow) for factor in node.factors)
        literal = sum(is_literal(factor) for factor in node.factors)
        return "arithmetic between numbers" if literal > 1 and not powers else ""
    return ""


def _is_mixed(terms: list[Expr]) -> bool:
    """``2 + \\frac13``: a mixed number written out."""
    return len(terms) == 2 and isinstance(terms[0], Number) and isinstance(terms[1], Div) and is_literal(terms[1])


def _fractional(exponent: Expr) -> bool:
    try:
        value = exact(exponent) if not symbols(exponent) else None
    except (Undefined, LimitExceeded):
        return False
    return value is not None and value.denominator != 1


def is_literal(node: Any) -> bool:
    """A written number or fraction, with its sign."""
    if isinstance(node, Call) and node.name == "neg":
        return is_literal(node.args[0])
    if isinstance(node, Div):
        return is_literal(node.top) and is_literal(node.bottom)
    return isinstance(node, Number)


def rational(node: Any) -> bool:
    if isinstance(node, Number):
        return True
    try:
        return isinstance(node, Expr) and not symbols(node) and exact(node) is not None
    except (Undefined, LimitExceeded):
        return False


_LOOK = re.compile(
    r"\s+|\\(?:left|right|displaystyle|big|Big|limits|,|;|:|!| )(?![a-zA-Z])|\\[()\[\]]|[$~]|(?<=\\)[dt](?=frac)"
)


def squeezed(text: str) -> str:
    return _LOOK.sub("", text)


def copied(prompt: str, answer: str, gold: str) -> bool:
    """Whether an answer is an expression of the prompt, for a gold that is written in another form.

    A number, a symbol or a tuple of them may well stand in the prompt and be the answer.
    """
    inner = squeezed(answer).strip(".")
    if len(inner) < 3 or inner == squeezed(gold).strip(".") or inner not in squeezed(prompt):
        return False
    values = parse_cached(answer), parse_cached(gold)
    if any(isinstance(value, (ParseError, LimitExceeded)) for value in values) or is_plain(values[0]):
        return False
    return key(values[0]) != key(values[1])


def is_plain(node: Any) -> bool:
    """A number, a symbol, or a collection of them: nothing that could be worked out."""
    if isinstance(node, (Tuple, ListOf)):
        return all(is_plain(item) for item in node.items)
    if isinstance(node, (Quantity, Percent)):
        return is_plain(node.value)
    return is_literal(node) or isinstance(node, (Symbol, Constant))
