"""Reading tokens: the base of the parser classes."""

from __future__ import annotations

from fractions import Fraction

from .lexer import Token
from .limits import MAX_DEPTH, LimitExceeded, ParseError
from .values import Call, Expr, Number, Value

END = Token("end of text", None)
ZERO = Number(Fraction(0))


class TokenReader:
    """Tokens, the position in them, and how deep the parser is nested."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.depth = 0
        self.bars = 0  # open |...| pairs
        self.colon_ends = False  # inside { x : ... }, before the colon
        self.integrals = 0  # integrals being read
        self.french = False  # inside ]a, b[

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

    def enter(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise LimitExceeded(f"nested deeper than {MAX_DEPTH}")

    @staticmethod
    def expression_of(value: Value) -> Expr:
        if not isinstance(value, Expr):
            raise ParseError(f"a {type(value).__name__.lower()} where a number is needed")
        return value

    @staticmethod
    def negate(node: Expr) -> Expr:
        if isinstance(node, Number) and node.value != 0:
            return Number(-node.value, node.digits, node.places, node.mixed)
        return Call("neg", (node,))
