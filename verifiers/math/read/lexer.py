"""Text -> tokens: LaTeX, plain ASCII maths and Unicode maths in one alphabet.

`RULES` is the lexer: an ordered table of pattern and rule. At every position the first pattern that matches decides,
and its rule says which tokens the text becomes. A rule may look at the tokens before, never back into the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..limits import MAX_TOKENS, LimitExceeded, ParseError
from . import vocabulary as V
from .commands import command
from .literals import read_number
from .unit_names import SYMBOLS, is_unit_name


@dataclass(slots=True)
class Token:
    """``kind`` is num, sym, const, func, word, set, big, begin, end, frac, binom, sqrt, currency, or op for the rest.

    Attributes:
        space: white space stood before it.
        text: it comes from ``\\text{}`` or the like, so that a letter is no variable.
        digits: how a whole number was written, for ``\\frac12``.
    """

    kind: str
    value: Any
    space: bool = False
    text: bool = False
    digits: str = ""


@dataclass(slots=True)
class Lexer:
    """One pass over a text.

    Attributes:
        commas: what a comma between digits outside brackets is: ``thousands`` where three digits follow, ``list``, or
            ``decimal``.
        depth: open brackets; inside them a comma separates: (1,100) is a pair.
    """

    text: str
    commas: str = "thousands"
    tokens: list[Token] | Any = None
    depth: int = 0
    space: bool = False
    upright: bool = False
    level: int = 0

    def run(self) -> list[Token]:
        self.tokens = []
        self.lex(self.text, False)
        return self.tokens

    def lex(self, text: str, upright: bool) -> None:
        """Append the tokens of ``text``; ``upright`` says that it is the inside of ``\\text{}``."""
        before, self.upright = self.upright, upright
        position, end, match_at = 0, len(text), _MASTER.match
        while position < end:
            match = match_at(text, position)
            if match is None:
                raise ParseError(f"unexpected character {text[position]!r}")
            position = _RULES[match.lastgroup](self, match)  # type: ignore[index]
        self.upright = before

    def emit(self, kind: str, value: Any, digits: str = "") -> None:
        if len(self.tokens) >= MAX_TOKENS:
            raise LimitExceeded(f"more than {MAX_TOKENS} tokens")
        self.tokens.append(Token(kind, value, self.space, self.upright, digits))
        self.space = False

    def op(self, value: str) -> None:
        if value in _OPENERS:
            self.depth += 1
        elif value in _CLOSERS:
            self.depth -= 1
        self.emit("op", value)

    @property
    def last(self) -> Token | None:
        return self.tokens[-1] if self.tokens else None

    def after_number(self) -> bool:
        return bool(self.tokens) and self.tokens[-1].kind == "num"

    def after_value(self) -> bool:
        """Whether a value or another word of its unit stands before."""
        last = self.last
        if last is not None and last.kind == "op" and last.value in ("/", "*") and len(self.tokens) > 1:
            return bool(self.tokens[-2].kind == "word")
        return last is not None and (
            last.kind in ("num", "word", "const", "sym") or last.value in (")", "}", "!", "deg", "]")
        )


_OPENERS = frozenset(("(", "[", "\\{", "<("))
_CLOSERS = frozenset((")", "]", "\\}", ")>"))
_MULTI = {"=<": "<=", "/=": "!=", "<>": "!=", "==": "=", "**": "^", "+/-": "pm", "|->": "mapsto"}
_TIMES_X = re.compile(r"\s*10\s*(?:\^|\*\*)")
_HALF = re.compile(r"([ap])\s?\.?\s?m\b\.?", re.I)
_VOWEL = re.compile("[aeiouy]")


def _space(lexer: Lexer, match: re.Match[str]) -> int:
    lexer.space = True
    return match.end()


def _number(lexer: Lexer, match: re.Match[str]) -> int:
    last = lexer.last
    script = last is not None and last.kind == "op" and last.value in ("_", "^")
    commas = "list" if lexer.depth > 0 else lexer.commas
    number, digits, end = read_number(match.string, match.start(), commas, spaces=lexer.depth == 0 and not script)
    lexer.emit("num", number, digits)
    return end


def _degree(lexer: Lexer, match: re.Match[str]) -> int:
    lexer.op("deg")
    letter = match["scale"]
    if letter:
        upright, lexer.upright = lexer.upright, True
        lexer.emit("word", letter)
        lexer.upright = upright
    return match.end()


def _primes(lexer: Lexer, match: re.Match[str]) -> int:
    for _ in range(min(MAX_TOKENS, match[0].count("'") + match[0].count("prime") + 2 * match[0].count('"'))):
        lexer.op("'")
    return match.end()


def _row(lexer: Lexer, match: re.Match[str]) -> int:
    lexer.op("row")
    return match.end()


def _multi(lexer: Lexer, match: re.Match[str]) -> int:
    token = match[0]
    if token == "!=" and lexer.after_number() and not lexer.space:
        lexer.op("!")  # 5!=120 is a factorial
        return match.start() + 1
    lexer.op("..." if token.startswith("...") else _MULTI.get(token, token))
    return match.end()


def _single(lexer: Lexer, match: re.Match[str]) -> int:
    lexer.op(match[0])
    return match.end()


def _currency(lexer: Lexer, match: re.Match[str]) -> int:
    lexer.emit("currency", V.CURRENCY[match[0].removeprefix("\\")])
    return match.end()


def _foreign(lexer: Lexer, match: re.Match[str]) -> int:
    """A word of another alphabet; the conjunctions among them separate answers."""
    word = match[0]
    if word in V.CONJUNCTIONS:
        lexer.op(V.CONJUNCTIONS[word])
    else:
        lexer.emit("word", word)
    return match.end()


def _letters(lexer: Lexer, match: re.Match[str]) -> int:
    run, stop, text = match[0], match.end(), match.string
    after_number = lexer.after_number()
    if after_number and run[0] in "aApP" and len(run) <= 2:
        half = _HALF.match(text, match.start())
        if half:
            lexer.emit("word", half[1].lower() + "m")
            return half.end()
    if lexer.upright and (run in V.CONJUNCTIONS or (run in "ye" and after_number and text[stop : stop + 1] == " ")):
        lexer.op(V.CONJUNCTIONS.get(run, "and"))  # Spanish y, Italian e
    elif run == "x" and after_number and _TIMES_X.match(text, stop):
        lexer.op("*")
    elif run.lower() in ("and", "or") and run != "oR":
        lexer.op(run.lower())
    elif run == "mod":
        lexer.op("mod")  # 7 mod 3 is a number; the residue class has brackets, \\pmod or an equivalence before it
    elif run in V.FUNCTIONS and len(run) > 1:
        _function(lexer, run)
    elif run in V.CONSTANTS and run != "Pi":
        lexer.emit("const", V.CONSTANTS[run])
    elif run in V.GREEK and len(run) > 2:
        lexer.emit("sym", run)
    elif run in ("cup", "U") and lexer.last is not None and lexer.last.value in (")", "]", "\\}", "}"):
        lexer.op("union")
    elif len(run) == 1:
        lexer.emit("word" if _unit_letter(lexer, run, text[stop : stop + 1]) else "sym", run)
    else:
        _run(lexer, run)
    return stop


def _function(lexer: Lexer, run: str) -> None:
    """The name of a function; in running text it is a word: "5 ways to choose", "10 min"."""
    last = lexer.last
    after = lexer.after_number()
    worded = lexer.upright and last is not None and last.kind == "word"
    measured = is_unit_name(run) and (after or lexer.upright)
    counted = run in ("min", "max") and lexer.upright and after
    if worded or measured or counted:
        lexer.emit("word", run)
    else:
        lexer.emit("func", V.FUNCTIONS[run])


def _unit_letter(lexer: Lexer, letter: str, after: str) -> bool:
    """Whether a letter is a unit: upright after a value, or part of ``m/s``."""
    last = lexer.last
    if last is None or letter not in SYMBOLS:
        return False
    if last.kind == "op" and last.value in ("/", "*") and len(lexer.tokens) > 1:
        return bool(lexer.tokens[-2].kind == "word")
    if last.kind == "num":
        return lexer.upright or (after == "/" and letter in "msghlL")
    return lexer.upright and (last.kind in ("sym", "const", "word") or last.value in ("}", ")", "!", "deg"))


def _run(lexer: Lexer, run: str) -> None:
    """Several letters: a word, a unit after its amount, a function against its argument, or a product of variables."""
    if not lexer.upright and len(run) <= 8 and run.islower():
        for length in range(min(6, len(run) - 1), 1, -1):
            head, tail = run[:length], run[length:]
            if head in V.AGAINST and len(tail) <= 2 and not is_unit_name(run) and run not in V.SHORT_WORDS:
                lexer.emit("func", V.FUNCTIONS[head])
                for letter in tail:
                    lexer.emit("sym", letter)
                return
    counted = len(run) == 3 and lexer.space and lexer.after_number() and _VOWEL.search(run) is not None
    unit = is_unit_name(run) and lexer.after_value() and not (len(run) == 2 and run.isupper())
    if (
        lexer.upright
        or len(run) >= 4
        or run in V.SHORT_WORDS
        or run.lower() in V.NUMBER_WORDS
        or counted
        or unit
        or run in V.CODES
    ):
        lexer.emit("word", run)
        return
    for letter in run:
        lexer.emit("sym", letter)


def _escape(lexer: Lexer, match: re.Match[str]) -> int:
    char = match[0][1:]
    if char == "$":
        lexer.emit("currency", "dollar")
    elif char in V.OPERATORS:
        lexer.op(V.OPERATORS[char])
    elif char in "()[]":  # a stray \( or \] of the surrounding text
        lexer.space = True
    else:
        raise ParseError(f"unexpected \\{char}")
    return match.end()


_DEGREE_SIGN = r"\\(?:circ|degree|textdegree)(?![a-zA-Z])"
_BRACED_DEGREE = rf"\{{\s*{_DEGREE_SIGN}\s*(?:\\?(?:text|mathrm)?\{{?(?P<scale>[CF])\}}?\s*)?\}}"
_SPACE_COMMANDS = r"q?quad|thinspace|enspace|space|negthinspace|nobreakspace"
RULES: tuple[tuple[str, str, Callable[[Lexer, re.Match[str]], int]], ...] = (
    ("space", rf"(?:\s|~|\\[ ,;:!\n\t/]|\\(?:{_SPACE_COMMANDS})(?![a-zA-Z])|\{{\s*\}})+", _space),
    ("number", r"[0-9]|\.(?=[0-9])", _number),
    # ^\circ, with the letter of a temperature scale only where the letter ends the braces of its own.
    ("degree", rf"\{{\s*\^\s*{_DEGREE_SIGN}\s*\}}|(?:\^\s*)?(?:{_BRACED_DEGREE}|{_DEGREE_SIGN})", _degree),
    ("primes", r"\^\s*\{\s*(?:\\prime(?![a-zA-Z])\s*)+\}|(?:\^\s*)?\\prime(?![a-zA-Z])|'|\"", _primes),
    ("row", r"\\\\(?:\s*\[\s*-?[\d.]+\s*(?:pt|em|ex|cm|mm|in|bp|mu)\s*\])?", _row),
    ("command", r"\\(?P<name>[a-zA-Z]+)\*?", command),
    ("escape", r"\\.", _escape),
    ("accented", r"[A-Za-z]*[\u00c0-\u024f\u1e00-\u1eff][A-Za-z\u00c0-\u024f\u1e00-\u1eff]*", _foreign),
    ("letters", r"[A-Za-z]+", _letters),
    ("currency", r"[€£¥₹₽₩¢]", _currency),
    ("dollar", r"\$", _space),
    ("multi", r"\+/-|\|->|<=>|==>|<=|>=|=<|!=|/=|<>|==|\*\*|->|\.\.\.+|\|\|", _multi),
    ("single", r"[+\-*/^_!%=<>:;,()\[\]{}|&#@]|\.(?=[\s\\}$]|$)", _single),
    ("foreign", r"[^\W\d_a-zA-Z]+", _foreign),
)  # fmt: skip
_MASTER = re.compile("|".join(f"(?P<{name}>{pattern})" for name, pattern, _ in RULES), re.DOTALL)
_RULES = {name: rule for name, _, rule in RULES}
