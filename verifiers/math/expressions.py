"""The grammar of expressions: sums, products and powers by recursive descent, with bounded depth."""

from __future__ import annotations

from .atoms import AtomParser
from .limits import MAX_DEPTH, LimitExceeded, ParseError
from .reader import ZERO
from .values import Add, Call, Div, Expr, Mul, Number, Pow, Symbol, Value


class ExpressionParser(AtomParser):
    """Reads one expression from tokens, leaving ``position`` behind it."""

    def sum(self) -> Value:
        """``a + b - c``, with the plus-minus signs kept as calls of ``pm`` and ``mp``."""
        first = self.signed_product()
        terms = [first]
        while self.at("+", "-", "pm", "mp"):
            if self.peek(1).kind == "op" and self.peek(1).value == "...":
                break
            sign = self.accept("+", "-", "pm", "mp")
            term = self.expression_of(self.signed_product())
            terms.append(term if sign == "+" else self.negate(term) if sign == "-" else Call(str(sign), (term,)))
        if len(terms) == 1:
            return first
        return Add(tuple(self.expression_of(term) for term in terms))

    def signed_product(self) -> Value:
        signs: list[str] = []
        while self.at("+", "-", "pm", "mp"):
            signs.append(str(self.accept("+", "-", "pm", "mp")))
            if len(signs) > MAX_DEPTH:
                raise LimitExceeded(f"more than {MAX_DEPTH} signs in a row")
        value = self.product()
        for sign in reversed(signs):
            if sign == "-":
                value = self.negate(self.expression_of(value))
            elif sign != "+":
                value = Call(sign, (self.expression_of(value),))
        return value

    def product(self) -> Value:
        """Factors with ``*``, ``/`` or nothing between them, left to right."""
        value = self.power()
        factors: list[Expr] = []
        divisions = 0
        while True:
            if self.at("/") and not self.slash_unit():
                self.position += 1
                divisions += 1
                if divisions > MAX_DEPTH:
                    raise LimitExceeded(f"more than {MAX_DEPTH} divisions in a row")
                top = self.expression_of(value) if not factors else Mul(tuple(factors))
                value, factors = self.divide(top, self.expression_of(self.signed_factor())), []
                continue
            if self.at("*"):
                self.position += 1
                right = self.signed_factor()
            elif self.at("mod"):  # 17 \\bmod 5 is a number, 3 \\pmod 7 a residue class
                self.position += 1
                left = self.expression_of(value) if not factors else Mul(tuple(factors))
                value, factors = Call("mod", (left, self.expression_of(self.signed_factor()))), []
                continue
            elif self.starts_factor():
                right, mixed = self.juxtaposed(None if factors else value)
                if mixed:
                    value = right
                    continue
            else:
                break
            if not isinstance(right, Expr):
                return self.scale(self.expression_of(value) if not factors else Mul(tuple(factors)), right)
            factors = factors or [self.expression_of(value)]
            factors.append(right)
        return value if not factors else Mul(tuple(factors))

    def slash_unit(self) -> bool:
        return self.peek(1).kind == "word"

    def scale(self, factor: Expr, collection: Value) -> Value:
        raise ParseError("a number times a collection")

    def juxtaposed(self, value: Value | None) -> tuple[Value, bool]:
        """The next factor; or, with True, the mixed number that it makes with the whole number before it."""
        first = self.peek()
        whole = (
            isinstance(value, Number)
            and value.digits is None
            and value.value.denominator == 1
            and self.tokens[self.position - 1].kind == "num"
        )
        if not whole:
            if first.kind == "num" and isinstance(value, Number):
                raise ParseError("two numbers side by side")
            return self.power(), False
        assert isinstance(value, Number)
        if first.kind == "num":
            part: Value = Div(first.value, self.peek(2).value) if self.peek(2).kind == "num" else ZERO
            if self.peek(1).value != "/" or not proper_fraction(part):
                raise ParseError("two numbers side by side")
            self.position += 3
        else:
            part = self.power()
        if first.kind in ("num", "frac") and proper_fraction(part):
            assert isinstance(part, Div)
            fraction = part.top.value / part.bottom.value  # type: ignore[attr-defined]
            return Number(value.value + fraction, mixed=True), True
        return part, False

    @staticmethod
    def divide(top: Expr, bottom: Expr) -> Expr:
        return Div(top, bottom)

    def signed_factor(self) -> Value:
        if self.at("-", "+", "pm"):
            sign = self.accept("-", "+", "pm")
            self.enter()
            value = self.expression_of(self.signed_factor())
            self.depth -= 1
            return self.negate(value) if sign == "-" else value if sign == "+" else Call("pm", (value,))
        return self.power()

    def starts_factor(self) -> bool:
        token = self.peek()
        if token.kind in ("num", "sym", "const", "func", "frac", "binom", "sqrt", "big", "begin"):
            return True
        if token.kind != "op":
            return False
        if token.value == "|":
            return self.bars == 0 and self.closes_bar()
        if token.value == "(" and self.peek(1).value == "mod":
            return False
        return token.value in ("(", "{", "floor(", "ceil(") or (token.value == "[" and not self.french)

    def closes_bar(self) -> bool:
        """Whether another bar follows before the end, so that this one opens an absolute value."""
        depth = 0
        for token in self.tokens[self.position + 1 : self.position + 200]:
            if token.kind == "op":
                if token.value in ("(", "[", "{", "\\{"):
                    depth += 1
                elif token.value in (")", "]", "}", "\\}"):
                    depth -= 1
                    if depth < 0:
                        return False
                elif token.value == "|" and depth == 0:
                    return True
                elif token.value in (",", ";", "<", ">", "<=", ">=", "=") and depth == 0:
                    return False
        return False

    def power(self) -> Value:
        value = self.primary()
        for _ in range(MAX_DEPTH):
            token = self.peek()
            if token.kind != "op" or token.value not in ("^", "_", "!", "'", "deg", "%"):
                return value
            if token.value == "%":
                return value  # read by the answer grammar
            if not isinstance(value, Expr):
                return self.postfix_of_collection(value)
            self.position += 1
            if token.value == "!":
                value = Call("factorial2" if self.accept("!") else "factorial", (value,))
            elif token.value == "'":
                value = Call("prime", (value,))
            elif token.value == "deg":
                value = Call("deg", (value,))
            elif token.value == "_":
                value = self.subscripted(value)
            else:
                value = self.raised(value)
        raise LimitExceeded(f"more than {MAX_DEPTH} powers, factorials or subscripts of one symbol")

    def postfix_of_collection(self, value: Value) -> Value:
        raise ParseError("a power of a collection")

    def raised(self, base: Expr) -> Expr:
        if self.accept("'"):
            return Call("prime", (base,))
        exponent = self.script()
        if exponent == Symbol("deg"):
            return Call("deg", (base,))
        if isinstance(exponent, Symbol) and exponent.name in ("th", "st", "nd", "rd"):
            return base  # an ordinal: 12^{th}
        return Pow(base, exponent)


def proper_fraction(node: Value) -> bool:
    """A positive fraction of two whole literals, below one: the second part of a mixed number."""
    return (
        isinstance(node, Div)
        and isinstance(node.top, Number)
        and isinstance(node.bottom, Number)
        and node.top.value.denominator == node.bottom.value.denominator == 1
        and 0 < node.top.value < node.bottom.value
    )
