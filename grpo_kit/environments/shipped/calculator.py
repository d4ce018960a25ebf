"""calculator: exact arithmetic, for policies whose own is not."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from ..base import ToolError
from ..cases import Case
from ..formats import Call
from ..tools import tool

LONGEST = 1000  # characters of an expression
MOST_BITS = 10_000  # of a number
DIGITS = 12  # significant ones of a result that is not whole
Number = int | Fraction
OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: Fraction,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}


def _cases() -> list[Case]:
    def ask(expression: str) -> Call:
        return Call("calculator", {"expression": expression})

    told: dict[str, Any] = {"prompt": "What is 482 * 739?", "answer": "356198"}
    return [
        Case((ask("482 * 739"), "The answer is 356198."), ("356198",), label="a product", **told),
        Case(
            (ask("2 ** 0.5"), [ask("1 / 0"), ask("1 / 8")], "0.125"),
            ("whole exponents", "0.125"),
            label="errors",
            **told,
        ),
    ]


@tool(timeout=2.0, cases=_cases)
def calculator(expression: str) -> str:
    """Calculate an arithmetic expression exactly.

    Args:
        expression: numbers, + - * / // % ** and parentheses, for example (17 + 4) * 2.5
    """
    if len(expression) > LONGEST:
        raise ToolError(f"The expression has {len(expression)} characters; at most {LONGEST} are calculated.")
    text = expression.strip().replace("×", "*").replace("÷", "/").replace("−", "-").replace("^", "**")
    try:
        tree = ast.parse(text, mode="eval")
        return shown(value_of(tree.body, text))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ToolError(f"This is no arithmetic expression: {text[:100]!r}.") from error
    except ZeroDivisionError as error:
        raise ToolError("Division by zero.") from error


def value_of(node: ast.expr, text: str) -> Number:
    """The exact value of arithmetic on literals; nothing is ever evaluated as code. Raises ToolError for anything else."""
    match node:
        case ast.Constant(value=bool()):
            pass
        case ast.Constant(value=int() as number):
            return number
        case ast.Constant(value=float()):
            written = ast.get_source_segment(text, node) or ""
            number_, _, exponent = written.lower().replace("_", "").partition("e")
            if abs(int(exponent or 0)) <= MOST_BITS // 4:
                return Fraction(number_) * Fraction(10) ** int(exponent or 0)
            raise ToolError("The number is too large.")
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            value = value_of(operand, text)
            return -value if isinstance(sign, ast.USub) else value
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return limited(power(value_of(left, text), value_of(right, text)))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return limited(OPERATORS[type(op)](value_of(left, text), value_of(right, text)))
    raise ToolError("Only numbers, + - * / // % ** and parentheses are calculated.")


def power(base: Number, exponent: Number) -> Number:
    if Fraction(exponent).denominator != 1:
        raise ToolError("Only whole exponents are calculated.")
    if bits(base) * abs(int(exponent)) > MOST_BITS and base not in (-1, 0, 1):
        raise ToolError("The result is too large.")
    return Fraction(base) ** int(exponent)


def bits(value: Number) -> int:
    exact = Fraction(value)
    return max(exact.numerator.bit_length(), exact.denominator.bit_length())


def limited(value: Number) -> Number:
    if bits(value) > MOST_BITS:
        raise ToolError("The result is too large.")
    return value


def shown(value: Number) -> str:
    """A whole number or a decimal that ends, exactly; otherwise the fraction and what it is about."""
    exact = Fraction(value)
    if exact.denominator == 1:
        return str(exact.numerator)
    rest = exact.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    if rest == 1 and exact.denominator.bit_length() <= 64:
        places = next(n for n in range(1, 65) if 10**n % exact.denominator == 0)
        digits = f"{abs(exact.numerator) * 10**places // exact.denominator:0{places + 1}d}"
        return f"{'-' if exact < 0 else ''}{digits[:-places]}.{digits[-places:]}"
    try:
        return f"{exact} (about {float(exact):.{DIGITS}g})"
    except OverflowError:
        return str(exact)
