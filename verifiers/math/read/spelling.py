"""One spelling for what is typed in many: Unicode to LaTeX, doubled backslashes to single ones, the marks around it."""

from __future__ import annotations

import re
import unicodedata

from . import vocabulary as V

_SUP = re.compile("[" + "".join(V.SUPERSCRIPTS) + "]+")
_SUB = re.compile("[" + "".join(V.SUBSCRIPTS) + "]+")
_FOREIGN_DIGIT = re.compile(r"[^\W\d_\x00-\x7f]|[^\x00-\x7f]")
_RUN = re.compile(r"\\+")
_DOUBLED = re.compile(r"\\\\(?=[A-Za-z]{2})")


def to_ascii(text: str) -> str:
    """Spell the Unicode of mathematics in LaTeX; other characters stay as they are."""
    if text.isascii():
        return text
    text = _SUP.sub(lambda m: "^{" + "".join(V.SUPERSCRIPTS[c] for c in m[0]) + "}", text)
    text = _SUB.sub(lambda m: "_{" + "".join(V.SUBSCRIPTS[c] for c in m[0]) + "}", text)
    text = text.translate(V.TRANSLATION)
    return text if text.isascii() else _FOREIGN_DIGIT.sub(_digit, text)


def _digit(match: re.Match[str]) -> str:
    # unicodedata.decimal knows the digits of every script and not the circled ones, which are marks and no numbers.
    return str(unicodedata.decimal(match[0], match[0]))


def undoubled(text: str) -> str:
    r"""``\\frac{1}{2}`` -> ``\frac{1}{2}``: a model that learned from JSON doubles every backslash.

    Only a text in which every run of backslashes is even was doubled: a matrix keeps its ``\\``.
    """
    if "\\\\" not in text or not _DOUBLED.search(text) or any(len(m[0]) % 2 for m in _RUN.finditer(text)):
        return text
    return _RUN.sub(lambda m: m[0][: len(m[0]) // 2], text)
