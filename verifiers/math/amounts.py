"""Amounts: a value with its currency, percent sign, scale word or unit."""

from __future__ import annotations

from fractions import Fraction

from . import vocabulary as V
from .brackets import CollectionParser
from .limits import ParseError
from .trees import symbols
from .units import STOP_WORDS, is_known, parse_unit
from .values import Call, Ellipsis_, Expr, Mul, Number, Percent, Pow, Quantity, Symbol, Value

_UNIT_LETTERS = frozenset("msghlLNJWVK")
QUALIFIERS = frozenset(("for", "where", "with", "whenever"))


class AmountParser(CollectionParser):
    """Sums with what may stand around them."""

    def amount(self, units: bool = True) -> Value:
        """A sum with what may stand around it: ``\\$18``, ``25\\%``, ``5 cm``, ``5 million``, ``9 a.m.``"""
        if self.accept("..."):
            return Ellipsis_()
        negative = self.at("-") and self.peek(1).kind == "currency"
        if negative:
            self.position += 1
        currency = self.currency()
        if self.peek().kind == "word" and self.peek().value in ("USD", "US", "EUR", "GBP"):
            currency = {"EUR": "euro", "GBP": "pound sterling"}.get(str(self.peek().value), "dollar")
            self.position += 1
            self.currency()
        value = self.sum()
        if negative:
            value = self.negate(self.expression_of(value))
        if isinstance(value, Expr) and self.accept("%"):
            value = Percent(value)
        elif isinstance(value, Expr) and self.peek().value in ("percent", "pct", "percents"):
            self.position += 1
            value = Percent(value)
        if self.peek().kind == "word" and str(self.peek().value).lower() in V.SCALES and isinstance(value, Expr):
            scale = V.SCALES[str(self.peek().value).lower()]
            self.position += 1
            value = Mul((value, Number(Fraction(scale))))
        if currency or self.peek().kind == "currency":
            currency = currency or self.currency()
            self.unit_words()
            return Quantity(value, ((currency, 1),), currency)
        value, unit = self.inner_degree(value)
        if not units:
            return value
        return self.with_unit(value, unit)

    def currency(self) -> str:
        if self.peek().kind == "currency":
            self.position += 1
            return str(self.tokens[self.position - 1].value)
        return ""

    @staticmethod
    def inner_degree(value: Value) -> tuple[Value, str]:
        """``60^\\circ`` alone is sixty with a unit; within an expression the degree sign is a factor."""
        if isinstance(value, Call) and value.name == "deg":
            return value.args[0], "degree"
        if isinstance(value, Call) and value.name == "neg":
            inner = value.args[0]
            if isinstance(inner, Call) and inner.name == "deg":
                return Call("neg", inner.args), "degree"
        if isinstance(value, Mul) and len(value.factors) == 2 and value.factors[1] in (Symbol("C"), Symbol("F")):
            inner = value.factors[0]
            if isinstance(inner, Call) and inner.name == "deg":
                return inner.args[0], "celsius" if value.factors[1] == Symbol("C") else "fahrenheit"
        return value, ""

    def with_unit(self, value: Value, unit: str) -> Value:
        if unit:
            if self.peek().kind == "sym" and self.peek().value in ("C", "F", "K"):
                unit = {"C": "celsius", "F": "fahrenheit", "K": "kelvin"}[str(self.peek().value)]
                self.position += 1
            return Quantity(value, ((unit, 1),), unit)
        letter = self.unit_letter(value)
        if letter is not None:
            return letter
        words = self.unit_words()
        if not words:
            return value
        parsed = parse_unit(words)
        if parsed is None or (isinstance(value, Expr) and symbols(value) and not is_known(parsed)):
            raise ParseError(f"{words!r} is no unit")
        return Quantity(value, parsed, words) if parsed else value

    def unit_letter(self, value: Value) -> Value | None:
        """``3 m`` at the end was read as a product; the space or the upright letter tells that it is metres."""
        # Within brackets and fractions a letter is a variable.
        if (
            self.depth
            or not isinstance(value, Mul)
            or len(value.factors) < 2
            or not isinstance(value.factors[-1], (Symbol, Pow))
        ):
            return None
        last = value.factors[-1]
        power = 1
        index = self.position - 1
        if isinstance(last, Pow):
            if not (isinstance(last.base, Symbol) and isinstance(last.exponent, Number)):
                return None
            if last.exponent.value not in (2, 3) or index < 2:
                return None
            power = int(last.exponent.value)
            last = last.base
            while index > 0 and self.tokens[index].value != "^":
                index -= 1
            index -= 1
        token = self.tokens[index]
        if last.name == "Omega" and token.value == "Omega" and not symbols(rest_of(value)):
            return Quantity(rest_of(value), (("ohm", 1),), "ohm")
        if token.value not in _UNIT_LETTERS or not isinstance(last, Symbol) or last.name != token.value:
            return None
        rest = rest_of(value)
        area = power > 1 and last.name == "m"  # "20m^2" needs no space
        if not (token.space or token.text or area) or symbols(rest):
            return None
        words = str(token.value) + (f"^{power}" if power != 1 else "") + " " + self.unit_words()
        parsed = parse_unit(words)
        return Quantity(rest, parsed, words.strip()) if parsed else None

    def unit_words(self) -> str:
        """The words, slashes and powers that follow a value, up to the next separator."""
        words: list[str] = []
        start = self.position
        while len(words) < 16:
            token = self.peek()
            if token.kind in ("word", "func") and token.value not in V.FUNCTIONS:
                if str(token.value).lower() in QUALIFIERS | {"to"} or (token.value == "in" and self.opens_set()):
                    break
                words.append(str(token.value))
            elif (
                token.kind == "word"
                or (token.kind == "sym" and (words or token.text))
                or (words and token.kind == "op" and token.value in ("/", "*"))
            ):
                words.append(str(token.value))
            elif token.kind == "op" and token.value == "/" and self.peek(1).kind in ("word",):
                words.append("/")
            elif words and token.kind == "op" and token.value == "^":
                power = self.unit_power()
                if not power:
                    break
                words.append(power)
                continue
            elif words and token.kind == "op" and token.value in ("{", "}"):
                pass
            else:
                break
            self.position += 1
        if words and words[0].lower() in STOP_WORDS:
            self.position = start
            return ""
        return " ".join(words)

    def opens_set(self) -> bool:
        return self.peek(1).value in ("(", "[", "\\{")

    def unit_power(self) -> str:
        """``^2``, ``^{-1}`` after a unit."""
        saved = self.position
        self.position += 1
        braced = self.accept("{")
        sign = "-" if self.accept("-") else ""
        token = self.peek()
        if token.kind == "num" and token.value.value in (1, 2, 3, 4):
            self.position += 1
            if not braced or self.accept("}"):
                return f"^{sign}{token.value.value}"
        self.position = saved
        return ""


def rest_of(product: Mul) -> Expr:
    """A product without its last factor."""
    return product.factors[0] if len(product.factors) == 2 else Mul(product.factors[:-1])
