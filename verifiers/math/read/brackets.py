"""Brackets that are groups or collections: pairs, intervals, sets, TeX groups."""

from __future__ import annotations

from ..limits import ParseError
from ..values import Call, Div, ListOf, NamedSet, Number, SetBuilder, SetOf, Tuple, Value
from .atoms import script
from .lexer import Token
from .parser import ANYTHING, END, SUM, Parser, expression_of

_CLOSERS = {"(": (")", "]"), "[": (")", "]"), "{": ("}",), "<(": (")>",), "]": ("[", "]")}
_MATCHING = {"(": ")", "[": "]"}
_AFTER_INTERVAL = ("union", "intersection", ",", "and", "or")


def group(parser: Parser, token: Token, power: int) -> Value:
    """``( ... )``, ``[ ... ]``, ``{ ... }``, ``< ... >`` and the French ``] ... [``: a group, tuple or interval."""
    op = str(token.value)
    outward = closes_outward(parser, op)
    closers = ("[",) if outward else _CLOSERS[op]
    parser.position += 1
    saved = parser.bars, parser.colon_ends, parser.french
    parser.bars, parser.colon_ends, parser.french = 0, False, op == "]" or outward
    if parser.at(*closers):
        raise ParseError("empty brackets")
    value = infix_group(parser) if op == "{" else parser.parse(ANYTHING)
    parser.bars, parser.colon_ends, parser.french = saved
    closer = parser.accept(*closers)
    if closer is None:
        raise ParseError(f"expected {closers[0]!r}, found {parser.peek().value!r}")
    if op == "{":
        return SetOf(value.items) if isinstance(value, ListOf) else value
    if isinstance(value, ListOf):
        left, right = ("(" if op in ("<(", "]") else op, ")" if closer in (")>", "[") else closer)
        return Tuple(value.items, left, right)
    if op in _MATCHING and closer == _MATCHING[op]:
        return Tuple((value,), "[", "]") if isinstance(value, Tuple) and op == "[" else value
    raise ParseError("brackets that do not match")


def closes_outward(parser: Parser, op: str) -> bool:
    """``[0, 1[``: after the comma a bracket opens where nothing follows that it could enclose."""
    if op not in _MATCHING:
        return False
    comma, depth = False, 0
    for index in range(parser.position + 1, min(len(parser.tokens), parser.position + 60)):
        token = parser.tokens[index]
        if token.kind != "op":
            continue
        if token.value in ("(", "{") or (token.value == "[" and not (comma and depth == 0)):
            depth += 1
        elif token.value in (")", "]", "}"):
            depth -= 1
            if depth < 0:
                return False
        elif token.value == "[":
            after = parser.tokens[index + 1] if index + 1 < len(parser.tokens) else END
            return after is END or after.value in _AFTER_INTERVAL
        elif token.value in (",", ";") and depth == 0:
            comma = True
    return False


def infix_group(parser: Parser) -> Value:
    """The inside of TeX braces, where ``\\over`` and ``\\choose`` split it in two."""
    value = parser.parse(ANYTHING)
    infix = parser.accept("over", "choose")
    if infix is None:
        return value
    bottom = parser.expression(SUM - 1)
    top = expression_of(value)
    return Div(top, bottom) if infix == "over" else Call("binom", (top, bottom))


def set_literal(parser: Parser, token: Token, power: int) -> Value:
    """``\\{1, 2\\}`` and ``\\{x \\mid x > 0\\}``."""
    parser.position += 1
    if parser.accept("\\}"):
        return SetOf(())
    # A bar inside ends the element of a set builder, and so does a colon.
    saved = parser.bars, parser.colon_ends
    parser.bars, parser.colon_ends = 1, True
    element = parser.parse(ANYTHING)
    parser.colon_ends = False
    if parser.accept("|", ":"):
        parser.bars = 0
        value: Value = SetBuilder(element, parser.parse(ANYTHING))
    else:
        value = SetOf(element.items if isinstance(element, ListOf) else (element,))
    parser.bars, parser.colon_ends = saved
    parser.expect("\\}")
    return value


def named_set(parser: Parser, token: Token, power: int) -> Value:
    """``\\mathbb{R}``, ``\\mathbb{Z}^+``, ``\\emptyset``."""
    parser.position += 1
    name = str(token.value)
    if name == "empty":
        return SetOf(())
    if parser.accept("^", "_"):
        braced = parser.accept("{")
        sign = parser.accept("+", "-", "*")
        if sign is None:
            power_of = parser.expression(SUM - 1) if braced else script(parser)
            name += "^" + (str(power_of.value) if isinstance(power_of, Number) else "?")
        else:
            name += sign
        if braced:
            parser.expect("}")
    return NamedSet(name)
