"""The smallest parts of an expression: symbols, fractions, roots, brackets, functions, sums over an index."""

from __future__ import annotations

from fractions import Fraction
from typing import cast

from .lexer import Token
from .limits import ParseError
from .reader import END, TokenReader
from .values import Big, Call, Constant, Div, Expr, Mul, Number, Pow, Symbol, Value

# Letters that are read as a function when a bracket follows at once: f(x), but x(x+1) is a product.
FUNCTION_LETTERS = frozenset("fghFGHPQTS")
_INVERSE = {
    "sin": "arcsin", "cos": "arccos", "tan": "arctan", "cot": "arccot", "sec": "arcsec", "csc": "arccsc",
    "sinh": "arsinh", "cosh": "arcosh", "tanh": "artanh",
}  # fmt: skip
_CLOSERS = {"(": ")", "[": "]", "{": "}", "floor(": ")floor", "ceil(": ")ceil"}


class AtomParser(TokenReader):
    """What an operator can stand between. The subclass knows sums and products."""

    def sum(self) -> Value:
        raise NotImplementedError

    def product(self) -> Value:
        raise NotImplementedError

    def power(self) -> Value:
        raise NotImplementedError

    def starts_factor(self) -> bool:
        raise NotImplementedError

    def script(self) -> Expr:
        """What follows ``^``: one token, a signed number, or a group."""
        if self.at("deg"):
            self.position += 1
            return Symbol("deg")
        if self.at("*"):
            raise ParseError("a starred symbol")
        if self.at("{"):
            inner = self.peek(1)
            if inner.value == "deg" and self.peek(2).value == "}":
                self.position += 3
                return Symbol("deg")
            if inner.kind == "word" and self.peek(2).value == "}" and inner.value in ("th", "st", "nd", "rd"):
                self.position += 3
                return Symbol(inner.value)
        if self.peek().kind == "word" and self.peek().value in ("th", "st", "nd", "rd"):
            self.position += 1
            return Symbol(str(self.tokens[self.position - 1].value))
        self.enter()
        if self.at("-", "+"):
            sign = self.accept("-", "+")
            value = self.script()
            value = self.negate(value) if sign == "-" else value
        else:
            value = self.expression_of(self.primary())
            if self.at("^"):
                self.position += 1
                value = Pow(value, self.script())
            while self.accept("!"):
                value = Call("factorial", (value,))
        self.depth -= 1
        return value

    def subscripted(self, base: Expr) -> Expr:
        if isinstance(base, Number):
            raise ParseError("a subscript on a number")
        name = symbol_name(base)
        if self.accept("{"):
            inner: list[str] = []
            while not self.at("}"):
                token = self.peek()
                if token is END or len(inner) > 20:
                    raise ParseError("a subscript without end")
                inner.append(str(token.value.value) if token.kind == "num" else str(token.value))
                self.position += 1
            self.position += 1
            suffix = "".join(inner)
        else:
            token = self.peek()
            if token.kind not in ("num", "sym", "word", "const", "func"):
                raise ParseError("a subscript of nothing")
            self.position += 1
            suffix = str(token.value.value) if token.kind == "num" else str(token.value)
        return Symbol(f"{name}_{suffix}")

    def primary(self) -> Value:
        self.enter()
        try:
            return self._primary()
        finally:
            self.depth -= 1

    def _primary(self) -> Value:
        token = self.peek()
        kind = token.kind
        if kind == "op":
            return self.bracket(str(token.value))
        self.position += 1
        if kind == "num":
            return cast(Number, token.value)
        if kind == "sym":
            return self.symbol(str(token.value))
        if kind == "const":
            return Constant(str(token.value))
        if kind == "frac":
            return Div(self.argument(), self.argument())
        if kind == "binom":
            return Call("binom", (self.argument(), self.argument()))
        if kind == "sqrt":
            return self.root()
        if kind == "func":
            return self.function(str(token.value))
        if kind == "big":
            return self.big(str(token.value))
        self.position -= 1
        return self.other_primary(token)

    def other_primary(self, token: Token) -> Value:
        raise ParseError(f"unexpected {token.value!r}")

    def symbol(self, name: str) -> Expr:
        if name in ("e", "i"):
            return Constant(name)
        if name in ("C", "P") and self.at("(") and self.peek(1).kind == "num" and self.peek(2).value == ",":
            return Call("binom" if name == "C" else "permutations", self.call_arguments())
        if name in FUNCTION_LETTERS and self.at("(") and not self.peek().space:
            return Call(name, self.call_arguments())
        return Symbol(name)

    def call_arguments(self) -> tuple[Expr, ...]:
        self.expect("(")
        arguments = [self.expression_of(self.sum())]
        while self.accept(","):
            arguments.append(self.expression_of(self.sum()))
        self.expect(")")
        return tuple(arguments)

    def argument(self) -> Expr:
        """A TeX argument: a group, or one token; ``\\frac12`` takes a single digit."""
        token = self.peek()
        if token.kind == "num" and token.value.digits is None and token.value.value.denominator == 1:
            digits = str(token.value.value)
            if len(digits) > 1 and digits.isdigit():
                rest = Token("num", Number(Fraction(int(digits[1:]))))
                self.tokens[self.position : self.position + 1] = [Token("num", Number(Fraction(int(digits[0])))), rest]
            self.position += 1
            return Number(Fraction(int(digits[0])))
        return self.expression_of(self.primary())

    def root(self) -> Expr:
        index: Expr | None = None
        if self.at("["):
            self.position += 1
            index = self.expression_of(self.sum())
            self.expect("]")
        body = self.expression_of(self.primary()) if self.at("(") else self.argument()
        return Call("sqrt", (body,)) if index is None else Call("root", (body, index))

    def bracket(self, op: str) -> Value:
        if op == "|":
            self.position += 1
            self.bars += 1
            inner = self.expression_of(self.sum())
            self.expect("|")
            self.bars -= 1
            return Call("abs", (inner,))
        if op in ("floor(", "ceil("):
            self.position += 1
            inner = self.expression_of(self.sum())
            self.expect(_CLOSERS[op])
            return Call(op[:-1], (inner,))
        return self.collection(op)

    def collection(self, op: str) -> Value:
        """``( ... )`` and ``{ ... }`` as grouping; answers.py knows the rest."""
        if op not in ("(", "{", "["):
            raise ParseError(f"unexpected {op!r}")
        self.position += 1
        saved, self.bars = self.bars, 0
        value = self.sum()
        self.expect(_CLOSERS[op])
        self.bars = saved
        return value

    def function(self, name: str) -> Expr:
        """``\\sin^2 x``, ``\\log_2 8``, ``\\ln(x+1)``, ``sqrt(2)``; without brackets the argument is one product."""
        base: Expr | None = None
        power: Expr | None = None
        while self.at("_", "^"):
            if self.accept("_"):
                base = self.script() if not self.at("{") else self.expression_of(self.primary())
            else:
                self.position += 1
                power = self.script()
        if power is not None and isinstance(power, Number) and power.value == -1 and name in _INVERSE:
            name, power = _INVERSE[name], None
        arguments = self.function_arguments(name)
        if name == "log" and base is not None:
            call: Expr = Call("log", (arguments[0], base))
        elif name == "sqrt" and len(arguments) == 1:
            call = Call("sqrt", arguments)
        else:
            call = Call(name, arguments)
        return call if power is None else Pow(call, power)

    def function_arguments(self, name: str) -> tuple[Expr, ...]:
        if self.at("("):
            return self.call_arguments()
        if self.at("[") and name in ("sin", "cos", "tan", "ln", "log", "exp"):
            return (self.expression_of(self.collection("[")),)
        if name in ("sqrt", "cbrt", "overline", "abs", "deg"):
            return (self.expression_of(self.power() if name != "overline" else self.primary()),)
        self.enter()
        negative = self.accept("-")
        factors = [self.expression_of(self.power())]
        while (
            self.starts_factor()
            and self.peek().kind not in ("func", "big", "begin")
            and not (self.at("(") or self.differential())
        ):
            factors.append(self.expression_of(self.power()))
        self.depth -= 1
        argument = factors[0] if len(factors) == 1 else Mul(tuple(factors))
        return (self.negate(argument) if negative else argument,)

    def bound(self) -> Expr:
        """One token or group: in ``\\int_0^1`` the 1 is no power of 0."""
        negative = self.accept("-")
        value = self.expression_of(self.primary())
        return self.negate(value) if negative else value

    def differential(self) -> bool:
        return self.integrals > 0 and self.peek().value == "d" and self.peek(1).kind == "sym"

    def big(self, name: str) -> Expr:
        """``\\sum_{k=1}^{n} ...``, ``\\lim_{x \\to 0} ...``, ``\\int_0^1 ... dx``."""
        variable, low, high = "", None, None
        while self.at("_", "^"):
            if self.accept("^"):
                high = self.bound()
            else:
                self.position += 1
                braced = self.accept("{")
                if self.peek().kind in ("sym",) and self.peek(1).value in ("=", "->"):
                    variable = str(self.peek().value)
                    self.position += 2
                low = self.expression_of(self.sum()) if braced else self.bound()
                if braced:
                    self.expect("}")
        self.integrals += name == "int"
        body = self.expression_of(self.product())
        self.integrals -= name == "int"
        return Big(name, variable, low, high, body)


def symbol_name(node: Expr) -> str:
    if isinstance(node, (Symbol, Constant)):
        return node.name
    raise ParseError("a subscript on something that is no symbol")
