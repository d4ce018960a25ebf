"""What each LaTeX command means to the lexer: a table of names and rules, the first that has the name decides."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Protocol

from ..limits import LimitExceeded, ParseError
from . import vocabulary as V


class Tokens(Protocol):
    """What a command adds to and may look at: the lexer, of which this file knows no more."""

    depth: int
    space: bool
    level: int

    def lex(self, text: str, upright: bool) -> None: ...

    def emit(self, kind: str, value: Any, digits: str = "") -> None: ...

    def op(self, value: str) -> None: ...


# Takes the name, the whole text and where the name ends; gives back where the command ends.
CommandRule = Callable[[Tokens, str, str, int], int]

_BRACED = re.compile(r"\s*\{([^{}]*)\}")
_ARGUMENT = re.compile(r"\s*\{")


def command(lexer: Tokens, match: re.Match[str]) -> int:
    name, text, stop = match["name"], match.string, match.end()
    for table, rule in COMMANDS:
        if name in table:
            return rule(lexer, name, text, stop)
    raise ParseError(f"unknown command \\{name[:30]}")


def _emitting(kind: str, table: dict[str, str] | None = None) -> CommandRule:
    def rule(lexer: Tokens, name: str, text: str, stop: int) -> int:
        value = name if table is None else table.get(name, name)
        if kind == "op":
            lexer.op(value)
        else:
            lexer.emit("sqrt" if value == "sqrt" else kind, value)
        return stop

    return rule


def _styled(lexer: Tokens, name: str, text: str, stop: int) -> int:
    """A command that changes the look only; ``\\left.`` is no bracket."""
    if name in ("left", "right") and text[stop : stop + 1] == ".":
        return stop + 1
    lexer.space = lexer.space or name in ("quad", "qquad", "hline")
    return stop


def _environment(lexer: Tokens, name: str, text: str, stop: int) -> int:
    braced = _BRACED.match(text, stop)
    if braced is None:
        raise ParseError(f"\\{name} without an environment")
    environment = braced[1].strip().rstrip("*")
    lexer.depth += 1 if name == "begin" else -1
    stop = braced.end()
    if environment in ("array", "tabular") and name == "begin":
        columns = _BRACED.match(text, stop)
        stop = columns.end() if columns else stop
    lexer.emit(name, environment)
    return stop


def _number_set(lexer: Tokens, name: str, text: str, stop: int) -> int:
    braced = _BRACED.match(text, stop)
    letter = braced[1].strip() if braced else text[stop : stop + 1]
    if letter not in V.SETS:
        raise ParseError(f"unknown set \\mathbb{{{letter[:10]}}}")
    lexer.emit("set", V.SETS[letter])
    return braced.end() if braced else stop + 1


def _overline(lexer: Tokens, name: str, text: str, stop: int) -> int:
    braced = _BRACED.match(text, stop)
    if not (braced and braced[1].strip().isupper()):  # \overline{AB} is the segment's name
        lexer.emit("func", "overline")
    return stop


def _dropped(lexer: Tokens, name: str, text: str, stop: int) -> int:
    braced = _BRACED.match(text, stop)
    return braced.end() if braced else stop


def _ring(lexer: Tokens, name: str, text: str, stop: int) -> int:
    """``\\AA`` and ``\\mathring{A}``."""
    braced = _BRACED.match(text, stop) if name == "mathring" else None
    if name == "mathring" and (braced is None or braced[1].strip() != "A"):
        raise ParseError("a ring over something else than A")
    lexer.emit("word", "angstrom")
    return braced.end() if braced else stop


def _over_a_space(lexer: Tokens, name: str, text: str, stop: int) -> int:
    """``\\quadx``: a space that ran into the next letter."""
    lexer.space = True
    lexer.emit("sym", name[-1])
    return stop


def _siunitx(lexer: Tokens, name: str, text: str, stop: int) -> int:
    """``\\SI{12}{cm}`` of the package siunitx."""
    number = _BRACED.match(text, stop)
    unit = _BRACED.match(text, number.end()) if number else None
    if number is None or unit is None:
        raise ParseError(f"\\{name} without a number and a unit")
    lexer.lex(number[1], False)
    lexer.lex(unit[1], True)
    return unit.end()


def _upright(lexer: Tokens, name: str, text: str, stop: int) -> int:
    """``\\text{...}`` and its kin: what stands in it is words and units."""
    opened = _ARGUMENT.match(text, stop)
    if opened is None:
        return stop  # \rm-like use: what follows is ordinary
    end = closing_brace(text, opened.end())
    if end < 0:
        raise ParseError(f"\\{name} without its closing brace")
    if lexer.level > 4:
        raise LimitExceeded("text within text within text")
    inner = text[opened.end() : end]
    plain = inner.strip()
    lexer.level += 1
    if name == "operatorname" and plain in V.FUNCTIONS:
        lexer.emit("func", V.FUNCTIONS[plain])
    elif name in ("mathrm", "rm") and plain in ("e", "i", "d"):
        lexer.lex(inner, False)  # upright e, i and d are the constants and the differential
    elif name in ("mathrm", "textbf", "textit") and len(inner) > 1 and not plain.isalpha():
        lexer.lex(inner, name != "mathrm" or not any(c.isdigit() for c in inner.split("^")[0]))
    else:
        lexer.lex(inner, True)
    lexer.level -= 1
    lexer.space = lexer.space or inner.endswith(" ")
    return end + 1


def closing_brace(text: str, start: int) -> int:
    """Where the group that is open at ``start`` closes, or -1."""
    depth = 1
    for match in _BRACES.finditer(text, start):
        if match[0] == "{":
            depth += 1
        elif match[0] == "}":
            depth -= 1
            if depth == 0:
                return match.start()
    return -1


_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)


# Which commands mean what; the first table that has the name decides.
COMMANDS: tuple[tuple[Any, CommandRule], ...] = (
    (("SI", "qty"), _siunitx),
    (V.CURRENCY, _emitting("currency", V.CURRENCY)),
    (V.OPERATORS, _emitting("op", V.OPERATORS)),
    (V.TEXTS, _upright),
    (V.FRACTIONS, _emitting("frac")),
    (V.BINOMIALS, _emitting("binom")),
    (V.FUNCTIONS, _emitting("func", V.FUNCTIONS)),
    (V.GREEK, _emitting("sym", V.VARIANTS)),
    (V.CONSTANTS, _emitting("const", V.CONSTANTS)),
    (V.BIG, _emitting("big", V.BIG)),
    (V.DOTLESS, _emitting("sym", V.DOTLESS)),
    (V.STYLE, _styled),
    (("begin", "end"), _environment),
    (("mathbb", "Bbb"), _number_set),
    (V.SETS, _emitting("set", V.SETS)),
    (("overline", "bar"), _overline),
    (("not",), _emitting("op")),
    (("pmod", "mod"), _emitting("word", {"pmod": "mod"})),
    (("bmod",), _emitting("op", {"bmod": "mod"})),
    (("forall",), _emitting("word")),
    (V.DROPPED, _dropped),
    (("textsuperscript",), _emitting("op", {"textsuperscript": "^"})),
    (("AA", "angstrom", "mathring"), _ring),
    (("quadx", "quady"), _over_a_space),
)
