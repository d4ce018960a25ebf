"""LaTeX environments: matrices, piecewise definitions, aligned lines."""

from __future__ import annotations

from ..limits import MAX_ITEMS, LimitExceeded, ParseError
from ..values import Call, Cases, ListOf, Matrix, Text, Value
from . import vocabulary as V
from .lexer import Token
from .parser import END, LIST, Parser, expression_of

_ALIGNED = ("aligned", "align", "gathered", "split", "equation", "gather", "alignedat")
_FILLERS = ("if", "when", "for")
_REST = ("otherwise", "else")


def environment(parser: Parser, token: Token, power: int) -> Value:
    parser.position += 1
    name = str(token.value)
    if name in V.MATRICES:
        rows = read_rows(parser, name)
        if len({len(row) for row in rows}) != 1:
            raise ParseError("a matrix with rows of different length")
        if name == "vmatrix":
            return Call("det", tuple(expression_of(cell) for row in rows for cell in row))
        return Matrix(tuple(tuple(row) for row in rows))
    if name in ("cases", "dcases", "rcases"):
        return Cases(tuple((row[0], row[1] if len(row) > 1 else None) for row in read_rows(parser, name)))
    if name in _ALIGNED:
        items = aligned_rows(parser, name)
        return items[0] if len(items) == 1 else ListOf(items)
    raise ParseError(f"unknown environment {name[:30]!r}")


def aligned_rows(parser: Parser, name: str) -> tuple[Value, ...]:
    """The lines of ``aligned``, in which ``&`` only marks where they align."""
    end = parser.position
    while end < len(parser.tokens) and not (parser.tokens[end].kind == "end" and parser.tokens[end].value == name):
        end += 1
    kept = [token for token in parser.tokens[parser.position : end] if token.value != "&" or token.kind != "op"]
    parser.tokens[parser.position : end] = kept
    items: list[Value] = []
    while parser.peek().kind != "end":
        if parser.peek() is END or len(items) > MAX_ITEMS:
            raise ParseError("an environment without end")
        if not parser.accept("row", ",", ";"):
            items.append(parser.parse(LIST))
    parser.position += 1
    if not items:
        raise ParseError("an empty environment")
    return tuple(items)


def read_rows(parser: Parser, name: str) -> list[list[Value]]:
    rows: list[list[Value]] = [[]]
    count = 0
    while parser.peek().kind != "end":
        if parser.accept("row"):
            rows.append([])
            continue
        if parser.accept("&", ","):
            continue
        while parser.accept_word(*_FILLERS):
            pass
        rows[-1].append(cell(parser))
        count += 1
        if count > MAX_ITEMS:
            raise LimitExceeded(f"more than {MAX_ITEMS} matrix entries")
    if parser.peek().value != name:
        raise ParseError("environments that do not match")
    parser.position += 1
    rows = [row for row in rows if row]
    if not rows:
        raise ParseError("an empty environment")
    return rows


def cell(parser: Parser) -> Value:
    if parser.accept_word(*_REST):
        return Text("otherwise")
    if parser.peek() is END:
        raise ParseError("an environment without end")
    value = parser.parse(LIST)
    parser.accept(".")
    return value
