"""The parser: one loop of operator precedence (Pratt 1973) over tables that say what each token means where.

`PREFIX` has a rule for every token that can begin a value, `INFIX` one for every token that can follow one, with its
binding power. Whoever reads a part asks for it by the power that the part must bind with: ``parse(RELATION)`` reads one
side of an equation, ``parse(PRODUCT)`` one factor. The tables are in grammar.py, the rules beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from ..limits import MAX_DEPTH, MAX_HEIGHT, LimitExceeded, ParseError
from ..values import Call, Expr, Mul, Number, Quantity, Value
from .lexer import Token

END = Token("end of text", None)
# Binding powers, from the loosest to the tightest.
ANYTHING, LIST, MODULO, RELATION, SET, RATIO, AMOUNT, SUM, PRODUCT, POSTFIX = range(0, 100, 10)

Prefix = Callable[["Parser", Token, int], Value]
InfixRule = Callable[["Parser", Value], Value]
Guard = Callable[["Parser", Value], int]


@dataclass(frozen=True, slots=True)
class Infix:
    """How a token goes on from a value: with which power, by which rule.

    Attributes:
        power: the binding power, or a function that tells it from what stands around (0: the token does not go on).
    """

    power: int | Guard
    rule: InfixRule


class Parser:
    """The tokens, the position in them, and what the parts around the position say.

    Attributes:
        depth: how deep the parser is nested.
        bars: open ``|...|`` pairs.
        colon_ends: inside ``{ x : ... }``, before the colon.
        integrals: integrals being read.
        french: inside ``]a, b[``.
    """

    def __init__(self, tokens: list[Token], prefix: Mapping[str, Prefix], infix: Mapping[str, Infix]) -> None:
        self.tokens = tokens
        self.prefix = prefix
        self.infix = infix
        self.position = 0
        self.depth = 0
        self.height = 0  # of the highest tree read so far at this level: "2²7'2²7'" nests without a bracket
        self.bars = 0
        self.colon_ends = False
        self.integrals = 0
        self.french = False

    def parse(self, power: int) -> Value:
        """The longest value whose operators bind tighter than ``power``."""
        beside, self.height = self.height, 0
        token = self.peek()
        rule = self.prefix.get(token.value if token.kind == "op" else token.kind)
        if rule is None:
            raise ParseError(f"unexpected {token.value!r}" if token is not END else "the text ends too early")
        if token.kind in ("num", "sym", "const"):  # nothing lies within these
            left = rule(self, token, power)
        else:
            self.enter()
            left = rule(self, token, power)
            self.depth -= 1
        while True:
            found = self.follows(left, power)
            if found is None:
                break
            reached, infix = found
            left = infix.rule(self, whole_amount(left) if reached < AMOUNT else left)
            self.height += 1
            if self.height > MAX_HEIGHT:
                raise LimitExceeded(f"more than {MAX_HEIGHT} operators around one another")
        self.height = max(beside, self.height)
        return whole_amount(left) if power < AMOUNT else left

    def follows(self, left: Value, power: int) -> tuple[int, Infix] | None:
        """(power, rule) of the next token, when it goes on from ``left`` and binds tighter than ``power``."""
        token = self.peek()
        infix = self.infix.get(token.value if token.kind == "op" else token.kind)
        if infix is None:
            return None
        reached = infix.power if isinstance(infix.power, int) else infix.power(self, left)
        return (reached, infix) if reached > power else None

    def expression(self, power: int) -> Expr:
        return expression_of(self.parse(power))

    def peek(self, ahead: int = 0) -> Token:
        index = self.position + ahead
        return self.tokens[index] if index < len(self.tokens) else END

    def at(self, *ops: str) -> bool:
        token = self.peek()
        return token.kind == "op" and token.value in ops

    def accept(self, *ops: str) -> str | None:
        if self.at(*ops):
            self.position += 1
            return str(self.tokens[self.position - 1].value)
        return None

    def expect(self, op: str) -> None:
        if not self.accept(op):
            raise ParseError(f"expected {op!r}, found {self.peek().value!r}")

    def accept_word(self, *words: str) -> str | None:
        token = self.peek()
        if token.kind == "word" and str(token.value).lower() in words:
            self.position += 1
            return str(token.value).lower()
        return None

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LimitExceeded(f"nested deeper than {MAX_DEPTH}")


def expression_of(value: Value) -> Expr:
    if not isinstance(value, Expr):
        raise ParseError(f"a {type(value).__name__.lower()} where a number is needed")
    return value


def negate(node: Expr) -> Expr:
    if isinstance(node, Number) and node.value != 0:
        return Number(-node.value, node.digits, node.places, node.mixed)
    return Call("neg", (node,))


def whole_amount(value: Value) -> Value:
    """``60^\\circ`` alone is sixty with a unit; within an expression the degree sign is a factor."""
    if isinstance(value, Call) and value.name == "deg":
        return Quantity(value.args[0], (("degree", 1),), "degree")
    if isinstance(value, Call) and value.name == "neg":
        inner = value.args[0]
        if isinstance(inner, Call) and inner.name == "deg":
            return Quantity(Call("neg", inner.args), (("degree", 1),), "degree")
    return value


def number(value: int | Fraction) -> Number:
    return Number(Fraction(value))


def product_of(factors: list[Expr]) -> Expr:
    return factors[0] if len(factors) == 1 else Mul(tuple(factors))


def symbol_name(token: Token) -> str | None:
    return str(token.value) if token.kind == "sym" else None
