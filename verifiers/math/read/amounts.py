"""Amounts: what may stand behind a value, and what it does with it.

By rule, and in this order: a word of arithmetic changes the value (five million, five tenths, five squared), a unit of
measure or money measures it, a noun in the plural counts it. Whatever else stands there makes the text no amount, so
that "7 lorem ipsum" and "5 or so" are no sevens and fives.
"""

from __future__ import annotations

from ...final_answer import scales
from ..limits import LimitExceeded, ParseError
from ..trees import symbols
from ..values import Div, Expr, Mul, Number, Percent, Pow, Quantity, Unit, Value
from . import nouns
from . import vocabulary as V
from .lexer import Token
from .parser import AMOUNT, END, Parser, expression_of, number
from .unit_names import COMPOUND, PREFIXES, SYMBOLS, unit_of

_PERCENT = ("percent", "pct", "percents", "percentage", "процентов", "процента", "Prozent")
_POWER_WORDS = {"square": 2, "sq": 2, "squared": 2, "cubic": 3, "cu": 3, "cubed": 3}
_BRACKETS = {"(": ")", "[": "]", "{": "}"}
MAX_WORDS = 40
MAX_BRACKETS = 12  # opened within one unit
_PRIMES = {1: ("prime", "'"), 2: ("double prime", "''")}
# What may follow an amount: nothing, or a sign that something else begins.
_ENDS = (
    "=",
    "<",
    ">",
    "<=",
    ">=",
    "!=",
    "~",
    ",",
    ";",
    ")",
    "]",
    "}",
    ".",
    "and",
    "or",
    "row",
    "&",
    ":",
    "\\}",
    "union",
)


def money(parser: Parser, token: Token, power: int) -> Value:
    """``\\$18``: a currency sign before its amount."""
    name = currency(parser)
    parser.accept_word("us")
    value = parser.parse(AMOUNT)
    if parser.peek().kind == "word":
        value = scaled_by_word(parser, value)
        parser.peek().kind == "word" and unit_words(parser)
    return Quantity(value, ((name, 1),), name)


def currency(parser: Parser) -> str:
    if parser.peek().kind == "currency":
        parser.position += 1
        return str(parser.tokens[parser.position - 1].value)
    return ""


def money_behind(parser: Parser, left: Value) -> Value:
    name = currency(parser)
    return Quantity(left, ((name, 1),), name)


def money_code(parser: Parser) -> Value:
    """``USD 18``, ``US\\$18``."""
    code = str(parser.peek().value)
    parser.position += 1
    sign = currency(parser)
    value = parser.parse(AMOUNT)
    known = unit_of(code)
    name = known[0] if known else sign or "dollar"
    return Quantity(value, ((name, 1),), name)


def percent(parser: Parser, left: Value) -> Value:
    parser.position += 1
    return Percent(expression_of(left))


def behind(parser: Parser, left: Value) -> Value:
    """Words, units and degree or prime signs behind a value."""
    start = parser.position
    if isinstance(left, Expr):
        changed = scaled_by_word(parser, left)
        if changed is not left:
            return changed
        if parser.accept_word(*(word.lower() for word in _PERCENT)):
            return Percent(left)
    token = parser.peek()
    part = isinstance(left, Div) or (isinstance(left, Number) and left.value.denominator != 1)
    unit, text = unit_words(parser, part)
    if parser.position == start:
        raise ParseError(f"{token.value!r} is no unit")
    if isinstance(left, Expr) and symbols(left) and not (token.text or known_unit(unit)):
        raise ParseError(f"{text!r} is no unit")
    return Quantity(left, unit, text) if unit else left


def scaled_by_word(parser: Parser, left: Value) -> Value:
    """``5 million``, ``5 tenths``, ``5 squared``: a word of arithmetic and the value that it makes."""
    token = parser.peek()
    if token.kind != "word" or not isinstance(left, Expr):
        return left
    word = str(token.value)
    factor = scales.factor(word)
    if factor is not None and not (word == "k" and (not token.text or parser.peek(1).value == "Omega")):
        parser.position += 1
        return Number(left.value * factor) if isinstance(left, Number) else Mul((left, number(factor)))
    power = nouns.POWERS.get(word.lower())
    if power is not None and not unit_of_token(parser, 1):
        parser.position += 1
        return Pow(left, number(power))
    return left


def unit_of_token(parser: Parser, ahead: int) -> bool:
    token = parser.peek(ahead)
    return token.kind in ("word", "sym") and unit_of(str(token.value)) is not None


def unit_follows(parser: Parser, left: Value) -> bool:
    """Whether the letters behind a number are a unit: ``3 m``, ``12 \\mu m``, ``5 \\frac{m}{s}``, ``12 (cm)``.

    A letter alone is a variable where it touches its number, within brackets, and where anything goes on behind it.
    """
    token = parser.peek()
    if parser.depth > 0 or not isinstance(left, Expr) or symbols(left):
        return False
    if token.kind == "sym":
        spaced = token.space or token.text or (token.value == "m" and parser.peek(1).value == "^")
        letter = token.value in ("mu", "Omega") or (token.value in "msghlLNJWVK" and spaced)
        if not letter:
            return False
    elif token.kind == "frac":
        if not any(parser.peek(k).kind == "word" or parser.peek(k).text for k in (1, 2)) and not (
            parser.peek(2).kind == "sym" and parser.peek(2).value in "mgsl" and parser.peek(5).kind in ("sym", "word")
        ):
            return False
    elif not (
        token.kind == "op" and token.value in ("(", "[") and (parser.peek(1).kind == "word" or parser.peek(1).text)
    ):
        return False
    start = parser.position
    try:
        unit, _ = unit_words(parser)
        after = parser.peek()
        return bool(unit) and (after is END or (after.kind == "op" and after.value in _ENDS))
    except (ParseError, LimitExceeded):
        return False
    finally:
        parser.position = start


def known_unit(unit: Unit) -> bool:
    return bool(unit) and all(not name.startswith("#") for name, _ in unit)


class UnitReader:
    """Reads one unit or counted noun from the tokens behind a value: powers by name, and the words as written."""

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.powers: dict[str, int] = {}
        self.words: list[str] = []  # everything that is no unit, in order
        self.text: list[str] = []
        self.last = ""
        self.pending = 1  # the power that "square" gives the unit behind it
        self.current = 1  # -1 behind a slash
        self.depth = 0

    def read(self, sign: int = 1, closing: str = "") -> None:
        """Factors up to the end, or to ``closing``; what stands behind a slash has the opposite sign."""
        self.pending, self.current = 1, sign
        self.depth += 1
        if self.depth > MAX_BRACKETS:
            raise LimitExceeded(f"a unit with more than {MAX_BRACKETS} brackets")
        for _ in range(MAX_WORDS):
            if closing and self.parser.at(closing):
                return
            token, start = self.parser.peek(), self.parser.position
            if token.kind == "op":
                self.operator(token, sign, closing)
            elif token.kind == "frac":
                self.fraction(self.current)
            elif token.kind in ("word", "sym", "func"):
                self.word(token, sign)
            if self.parser.position == start:
                break
        else:
            raise LimitExceeded(f"a unit of more than {MAX_WORDS} words")
        if closing:
            raise ParseError("a unit without its closing bracket")

    def operator(self, token: Token, sign: int, closing: str) -> None:
        """What an operator does within a unit; the position stays where it ends the unit."""
        parser, op = self.parser, str(token.value)
        if op in ("*", "/") and self.unit_ahead(1):
            parser.position += 1
            self.current = -sign if op == "/" else self.current
        elif op in _BRACKETS and (closing or self.words_inside(1)):
            parser.position += 1
            self.read(self.current, _BRACKETS[op])
            parser.position += 1
            self.current = sign
        elif op == "^" and self.last:
            self.raise_last()
        elif op == "." and self.unit_ahead(1) and (self.pending != 1 or self.last):
            parser.position += 1  # sq. units, ft. lb
        elif op in ("'", "deg"):
            self.sign(token)

    def word(self, token: Token, sign: int) -> None:
        """``per``, a word of power, or the name of a unit or thing."""
        lower = str(token.value).lower() if token.kind == "word" else ""
        if lower == "per":
            self.parser.position += 1
            self.current = -sign
        elif lower in ("squared", "cubed"):
            if not self.last:
                raise ParseError(f"{lower} behind no unit")
            self.parser.position += 1
            self.powers[self.last] *= _POWER_WORDS[lower]
        elif lower in _POWER_WORDS:
            self.parser.position += 1
            self.pending = _POWER_WORDS[lower]
        elif self.name(token, self.current, self.pending):
            self.pending, self.current = 1, sign

    def words_inside(self, ahead: int) -> bool:
        token = self.parser.peek(ahead)
        return token.kind == "word" or bool(token.text)

    def unit_ahead(self, ahead: int) -> bool:
        token = self.parser.peek(ahead)
        return (
            token.kind in ("word", "frac")
            or (token.kind == "sym" and str(token.value) in SYMBOLS)
            or (token.kind == "op" and token.value == "(" and self.words_inside(ahead + 1))
        )

    def add(self, name: str, power: int, text: str) -> None:
        self.powers[name] = self.powers.get(name, 0) + power
        self.last = name
        self.text.append(text)

    def name(self, token: Token, sign: int, pending: int) -> bool:
        """One unit or word; False when the token is neither."""
        word = str(token.value)
        parser = self.parser
        if word == "mu" or (word in PREFIXES and parser.peek(1).value == "Omega"):
            known = unit_of(word + str(parser.peek(1).value)) if parser.peek(1).kind in ("word", "sym") else None
            if known is None:
                return False
            parser.position += 2
            self.add(known[0], sign * pending, word)
            return True
        if token.kind == "sym" and not (token.text or word == "Omega" or (word in SYMBOLS and word != "k")):
            return False
        if word in COMPOUND or word.lower() in COMPOUND:
            top, _, bottom = COMPOUND.get(word, COMPOUND.get(word.lower(), "")).partition(" / ")
            parser.position += 1
            self.add(top, sign * pending, word)
            self.add(bottom.split()[0], -sign * (2 if "^2" in bottom else 1), "")
            return True
        known = unit_of(word)
        if known is not None and not (word in ("in",) and self.words):
            parser.position += 1
            self.add(known[0], sign * pending * known[1], word)
            return True
        if token.kind == "func" and word in V.FUNCTIONS:
            return False
        parser.position += 1
        self.words.append(word)
        self.text.append(word)
        self.last = ""
        if pending != 1:
            raise ParseError(f"square or cubic {word!r}")
        return True

    def sign(self, token: Token) -> None:
        """Degree signs with their scale, and primes."""
        parser = self.parser
        if token.value == "deg":
            parser.position += 1
            scale = {"C": "celsius", "С": "celsius", "F": "fahrenheit", "K": "kelvin"}.get(str(parser.peek().value))
            if scale is None:
                raise ParseError("a degree sign within a unit")
            parser.position += 1
            self.add(scale, 1, scale)
            return
        count = 0
        while parser.accept("'"):
            count += 1
        if count not in _PRIMES:
            raise ParseError("more than two primes")
        self.add(_PRIMES[count][0], 1, _PRIMES[count][1])

    def raise_last(self) -> None:
        """``^2``, ``^{-1}`` behind a unit."""
        parser = self.parser
        parser.position += 1
        braced = parser.accept("{")
        sign = -1 if parser.accept("-") else 1
        token = parser.peek()
        if token.kind != "num" or token.value.value not in (1, 2, 3, 4):
            raise ParseError("a unit to a power that is not small and whole")
        parser.position += 1
        if braced:
            parser.expect("}")
        self.powers[self.last] *= sign * int(token.value.value)

    def fraction(self, sign: int) -> None:
        """``\\frac{m}{s}``."""
        self.parser.position += 1
        for current in (sign, -sign):
            if self.parser.accept("{"):
                self.read(current, "}")
                self.parser.position += 1
            else:
                token = self.parser.peek()
                if token.kind not in ("word", "sym") or not self.name(token, current, 1):
                    raise ParseError("a fraction of no units")


def unit_words(parser: Parser, part: bool = False) -> tuple[Unit, str]:
    """The unit or counted noun at the position, which moves behind it.

    Raises:
        ParseError: the words are neither, and so no amount.
    """
    reader = UnitReader(parser)
    reader.read()
    names = tuple(sorted((name, power) for name, power in reader.powers.items() if power))
    if reader.words:
        counted = nouns.counted(reader.words, bool(reader.powers), part)
        if counted is None:
            raise ParseError(f"{' '.join(reader.words)[:60]!r} is no unit and counts nothing")
        names = tuple(sorted(names + tuple((f"#{noun}", 1) for noun in counted)))
    return names, " ".join(reader.text)
