"""Text -> tokens: LaTeX, plain ASCII maths and Unicode maths in one alphabet."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from . import vocabulary as V
from .limits import MAX_TOKENS, LimitExceeded, ParseError
from .literals import number_of


@dataclass(slots=True)
class Token:
    """``kind`` is num, sym, const, func, word, set, big, begin, end, frac, binom, sqrt, or op for the rest."""

    kind: str
    value: Any
    space: bool = False  # white space before it
    text: bool = False  # from \text{} or the like


_GROUPS = r"(?:(?:\{,\}|,\\!|\\,|\\ |~|\{\\,\}|\\;|\\:){sep}\d{{3}})+(?!\d)"
_SEPARATOR = r"(?:\{,\}|,\\!|\\!|\\,|\\ |~|\{\\,\}|\\;|\\:|')"
_NUMBER = re.compile(
    r"(?P<int>\d{1,3}(?:"
    + _SEPARATOR
    + r"\d{3})+(?!\d)|\d{1,3}(?:,\d{3})+(?![\d])|\d{1,3}(?: \d{3})+(?![\d/^]| ?\\?frac)|\d*)"
    r"(?:\.(?P<frac>\d*)(?P<rep>\\(?:overline|bar|dot)\s*(?:\{\d+\}|\d)(?:\d*\\dot\s*(?:\{\d\}|\d))?|\(\d+\))?)?"
    r"(?P<dots>\s*(?:\\ldots|\\dots|\\cdots|\.\.\.))?"
    r"(?P<exp>[eE][+-]?\d+(?![\d.]))?"
)
_PLAIN_INT = re.compile(r"\d+")
_SPACE = re.compile(r"(?:\s|\\[ ,;:!\n\t]|~|\\(?:q?quad|thinspace|enspace|space)(?![a-zA-Z]))+")
_COMMAND = re.compile(r"\\([a-zA-Z]+)\*?")
_LETTERS = re.compile(r"[A-Za-z]+")
_MULTI = re.compile(r"\+/-|<=>|==>|<=|>=|=<|!=|/=|<>|==|\*\*|->|\.\.\.+|\|\|")
_MULTI_TOKEN = {"=<": "<=", "!=": "!=", "/=": "!=", "<>": "!=", "==": "=", "**": "^", "||": "||", "+/-": "pm"}
_TIMES_X = re.compile(r"\s*10\s*(?:\^|\*\*)")
_BRACED = re.compile(r"\s*\{([^{}]*)\}")
_SUP = re.compile("[" + "".join(V.SUPERSCRIPTS) + "]+")
_SUB = re.compile("[" + "".join(V.SUBSCRIPTS) + "]+")
_BARE_FRACTION = re.compile(r"(\d)(?=[½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞])")
_SINGLE = frozenset("+-*/^_!'%=<>:;,()[]{}|&#@")
_DOTTED = re.compile(r"([ap])\s?\.?\s?m\b\.?", re.I)


def to_ascii(text: str) -> str:
    """Spell the Unicode of mathematics in LaTeX; other characters stay and fail to parse."""
    if text.isascii():
        return text
    text = _SUP.sub(lambda m: "^{" + "".join(V.SUPERSCRIPTS[c] for c in m[0]) + "}", text)
    text = _SUB.sub(lambda m: "_{" + "".join(V.SUBSCRIPTS[c] for c in m[0]) + "}", text)
    return text.translate(V.TRANSLATION)


class Lexer:
    """One pass over a text; ``thousands`` says whether ``1,234`` outside brackets is one number."""

    def __init__(self, text: str, thousands: bool = True) -> None:
        self.text = text
        self.tokens: list[Token] = []
        self.thousands = thousands
        self.depth = 0
        self.space = False

    def run(self) -> list[Token]:
        self._lex(self.text, False, 0)
        return self.tokens

    def _emit(self, kind: str, value: Any, text: bool = False) -> None:
        if len(self.tokens) >= MAX_TOKENS:
            raise LimitExceeded(f"more than {MAX_TOKENS} tokens")
        self.tokens.append(Token(kind, value, self.space, text))
        self.space = False

    def _lex(self, text: str, in_text: bool, level: int) -> None:
        position, end = 0, len(text)
        while position < end:
            char = text[position]
            if char in " \t\n\r~" or (char == "\\" and position + 1 < end and text[position + 1] in " ,;:!\n\tqte"):
                match = _SPACE.match(text, position)
                if match:
                    self.space = True
                    position = match.end()
                    continue
            if char.isdigit() or (char == "." and position + 1 < end and text[position + 1].isdigit()):
                position = self._number(text, position)
            elif char == "\\":
                position = self._command(text, position, level)
            elif char.isalpha() and char.isascii():
                position = self._letters(text, position, in_text)
            else:
                position = self._punctuation(text, position)

    def _punctuation(self, text: str, position: int) -> int:
        match = _MULTI.match(text, position)
        if match:
            token = match[0]
            if token == "!=" and self.tokens and self.tokens[-1].kind == "num" and not self.space:
                self._emit("op", "!")  # 5!=120 is a factorial
                return position + 1
            self._emit("op", "..." if token.startswith("...") else _MULTI_TOKEN.get(token, token))
            return match.end()
        char = text[position]
        if char in _SINGLE:
            if char in "([":
                self.depth += 1
            elif char in ")]":
                self.depth -= 1
            self._emit("op", char)
        elif char == "$":
            self.space = True
        elif char in V.CURRENCY:
            self._emit("currency", V.CURRENCY[char])
        elif char == "." and (position + 1 >= len(text) or text[position + 1] in " \n\\}$"):
            self._emit("op", ".")
        else:
            raise ParseError(f"unexpected character {char!r}")
        return position + 1

    def _number(self, text: str, position: int) -> int:
        match = _NUMBER.match(text, position)
        assert match is not None
        whole = match["int"]
        # Inside brackets a comma separates: (1,100) is a pair and \{2,500\} has two members.
        if ("," in whole and "{" not in whole and "!" not in whole and (self.depth > 0 or not self.thousands)) or (
            " " in whole
            and "\\" not in whole
            and (
                self.depth > 0
                or text[match.end() : match.end() + 1] == "/"
                or (self.tokens and self.tokens[-1].value in ("_", "^"))
            )
        ):
            plain = _PLAIN_INT.match(text, position)
            assert plain is not None
            match = _NUMBER.match(plain[0])
            assert match is not None
            whole, stop = plain[0], plain.end()
            if text[stop : stop + 1] == ".":
                raise ParseError("a decimal point after a separated group")
        else:
            stop = match.end()
        if match["dots"] and not match["frac"]:
            stop = match.end("int") if stop == match.end() else stop
            self._emit("num", number_of(whole, "", "", False, ""))
            return stop
        if match["frac"] == "" and not match["rep"]:  # "5." ends a sentence
            stop = min(stop, match.end("int"))
            self._emit("num", number_of(whole, "", "", False, ""))
            return stop
        self._emit(
            "num", number_of(whole, match["frac"] or "", match["rep"] or "", bool(match["dots"]), match["exp"] or "")
        )
        return stop

    def _letters(self, text: str, position: int, in_text: bool) -> int:
        match = _LETTERS.match(text, position)
        assert match is not None
        run, stop = match[0], match.end()
        previous = self.tokens[-1] if self.tokens else None
        after_number = previous is not None and previous.kind == "num"
        if run[0] in "aApP" and len(run) <= 2:
            half = _DOTTED.match(text, position)
            if half and (after_number or (previous is not None and previous.kind == "num")):
                self._emit("word", half[1].lower() + "m", in_text)
                return half.end()
        if run == "x" and after_number and _TIMES_X.match(text, stop):
            self._emit("op", "*")
        elif run in ("and", "or", "And", "Or", "OR", "AND"):
            self._emit("op", run.lower())
        elif run in V.FUNCTIONS and len(run) > 1:
            if run in ("min", "max", "deg", "sec") and (after_number or in_text):
                self._emit("word", run, in_text)
            else:
                self._emit("func", V.FUNCTIONS[run])
        elif run in V.CONSTANTS and run != "Pi":
            self._emit("const", V.CONSTANTS[run])
        elif run in V.GREEK and len(run) > 2:
            self._emit("sym", run)
        elif run in ("cup", "U") and previous is not None and previous.value in (")", "]", "\\}", "}"):
            self._emit("op", "union")
        elif len(run) == 1:
            unit = run in V.UNIT_LETTERS and self._follows_amount(in_text, text[stop : stop + 1])
            self._emit("word" if unit else "sym", run, in_text)
        elif run in V.UNIT_RUNS and not in_text and not self._after_value():
            for letter in run:
                self._emit("sym", letter)
        elif run in V.SHORT_WORDS or len(run) >= 4 or in_text or run.lower() in V.NUMBER_WORDS:
            self._word(run, in_text)
        else:
            for letter in run:
                self._emit("sym", letter)
        return stop

    def _after_value(self) -> bool:
        """Whether a value or another word of its unit stands before."""
        if not self.tokens:
            return False
        last = self.tokens[-1]
        if last.kind == "op" and last.value in ("/", "*") and len(self.tokens) > 1:
            last = self.tokens[-2]
            return last.kind == "word"
        return last.kind in ("num", "word", "const", "sym") or last.value in (")", "}", "!", "deg")

    def _follows_amount(self, in_text: bool, after: str) -> bool:
        """Whether a letter is a unit: upright after a value, or part of ``m/s``."""
        if len(self.tokens) < 1:
            return False
        last = self.tokens[-1]
        if last.kind == "op" and last.value in ("/", "*") and len(self.tokens) > 1:
            return self.tokens[-2].kind == "word"
        if last.kind == "num":
            return in_text or after == "/"
        return in_text and (last.kind in ("sym", "const") or last.value in ("}", ")", "!"))

    def _word(self, run: str, in_text: bool) -> None:
        """A word, unless it is a function written against its argument: ``sinx``, ``sqrtn``."""
        if not in_text and len(run) <= 8:
            for length in (6, 5, 4, 3, 2):
                head, tail = run[:length], run[length:]
                if head in V.FUNCTIONS and 1 <= len(tail) <= 2 and run not in V.SHORT_WORDS and run.islower():
                    if head in ("deg", "min", "max", "arg", "sec", "tg", "lg", "det", "abs"):
                        continue
                    self._emit("func", V.FUNCTIONS[head])
                    for letter in tail:
                        self._emit("sym", letter)
                    return
        self._emit("word", run, in_text)

    def _command(self, text: str, position: int, level: int) -> int:
        match = _COMMAND.match(text, position)
        if match is None:
            return self._escape(text, position)
        name, stop = match[1], match.end()
        if name in V.CURRENCY:
            self._emit("currency", V.CURRENCY[name])
        elif name in V.OPERATORS:
            if name == "langle":
                self.depth += 1
            elif name == "rangle":
                self.depth -= 1
            elif name in ("lbrace", "rbrace"):
                self.depth += 1 if name == "lbrace" else -1
            self._emit("op", V.OPERATORS[name])
        elif name in V.TEXTS:
            return self._text_argument(text, stop, name, level)
        elif name in V.FRACTIONS:
            self._emit("frac", name)
        elif name in V.BINOMIALS:
            self._emit("binom", name)
        elif name in V.FUNCTIONS:
            self._emit("sqrt" if name == "sqrt" else "func", V.FUNCTIONS[name])
        elif name in V.GREEK:
            self._emit("sym", {"varepsilon": "epsilon", "vartheta": "theta", "varphi": "phi"}.get(name, name))
        elif name in V.CONSTANTS:
            self._emit("const", V.CONSTANTS[name])
        elif name in V.BIG:
            self._emit("big", V.BIG[name])
        elif name in V.STYLE:
            if name in ("left", "right") and text[stop : stop + 1] == ".":
                stop += 1
            if name in ("quad", "qquad"):
                self.space = True
        else:
            return self._rare_command(text, stop, name)
        return stop

    def _rare_command(self, text: str, stop: int, name: str) -> int:
        braced = _BRACED.match(text, stop)
        if name in ("begin", "end"):
            if braced is None:
                raise ParseError(f"\\{name} without an environment")
            environment = braced[1].strip().rstrip("*")
            self.depth += 1 if name == "begin" else -1
            stop = braced.end()
            if environment == "array" and name == "begin":
                columns = _BRACED.match(text, stop)
                stop = columns.end() if columns else stop
            self._emit(name, environment)
        elif name in ("mathbb", "Bbb"):
            letter = braced[1].strip() if braced else text[stop : stop + 1]
            stop = braced.end() if braced else stop + 1
            if letter not in V.SETS:
                raise ParseError(f"unknown set \\mathbb{{{letter}}}")
            self._emit("set", V.SETS[letter])
        elif name in V.SETS:
            self._emit("set", V.SETS[name])
        elif name in ("overline", "bar"):
            if braced and braced[1].strip().isupper():
                return stop
            self._emit("func", "overline")
        elif name == "not":
            self._emit("op", "not")
        elif name in ("pmod", "bmod", "mod"):
            self._emit("op" if name == "bmod" else "word", "mod")
        elif name in V.DROPPED or name == "textcolor":
            stop = braced.end() if braced else stop
        elif name == "textsuperscript":
            self._emit("op", "^")
        elif name in ("quadx", "quady"):  # "\quadx": a space run into the next letter
            self._emit("sym", name[-1])
        else:
            raise ParseError(f"unknown command \\{name[:30]}")
        return stop

    def _escape(self, text: str, position: int) -> int:
        char = text[position + 1 : position + 2]
        if char == "$":
            self._emit("currency", "dollar")
        elif char in V.OPERATORS:
            if char in "{}":
                self.depth += 1 if char == "{" else -1
            self._emit("op", V.OPERATORS[char])
        elif char in "()[]":  # a stray \( or \] of the surrounding text
            self.space = True
        else:
            raise ParseError(f"unexpected \\{char}")
        return position + 2

    def _text_argument(self, text: str, stop: int, name: str, level: int) -> int:
        while stop < len(text) and text[stop].isspace():
            stop += 1
        if text[stop : stop + 1] != "{":
            return stop  # \rm-like use: what follows is ordinary
        depth, end = 0, stop
        for end in range(stop, len(text)):
            if text[end] == "{":
                depth += 1
            elif text[end] == "}":
                depth -= 1
                if depth == 0:
                    break
        else:
            raise ParseError(f"\\{name} without its closing brace")
        if level > 4:
            raise LimitExceeded("text within text within text")
        inner = text[stop + 1 : end]
        if name == "operatorname" and inner.strip() in V.FUNCTIONS:
            self._emit("func", V.FUNCTIONS[inner.strip()])
        elif (
            name in ("mathrm", "textbf", "textit")
            and len(inner) > 1
            and inner.strip().lower() not in ("and", "or")
            and (not inner.strip().isalpha())
        ):
            self._lex(inner, name != "mathrm" or not any(c.isdigit() for c in inner), level + 1)
        else:
            self._lex(inner, True, level + 1)
        self.space = self.space or inner.endswith(" ")
        return end + 1
