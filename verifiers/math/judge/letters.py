"""Multiple-choice letters: the one that a gold names and the one that a response chooses."""

from __future__ import annotations

import re

from .words import unwrapped

_LETTER = re.compile(r"\(?([A-Z])\)?")
_CHOICE = re.compile(r"(?:(?:option|choice|answer)\s*:?\s*)?\(?([A-Za-z])\)?[.:)]?", re.I)
_CHOICE_TEXT = re.compile(r"(?:\(([A-Z])\)|([A-Z])(?:[.)]|:(?=\s)))\s*([^\s+*/=^!_,;<>|-].*)", re.DOTALL)
_OPTION = re.compile(r"(?:(?:option|choice)\s+)\(?([A-Z])\)?()()\b.*", re.I)
# A second letter behind the first: "(A) and (B)", "A. B. C. D.", "A) 3, B) 4".
_ANOTHER = re.compile(r"\(([A-Z])\)|(?<![A-Za-z])([A-Z])(?:[.):](?=[\s,;]|$)|\s*$)|\b(?:and|or|not)\s+\(?([A-Z])\b")
_CAPITAL = re.compile("[A-Z]")
_LETTERS = re.compile(r"\(?[A-H]\)?(?:\s*(?:,\s*and\b|,|;|&|\band\b)?\s*\(?[A-H]\)?){1,7}")
_CIRCLED = re.compile(
    r"[\u2460-\u2473\u2474-\u2487\u2776-\u277f](?:[\s,;、，和及与]*[\u2460-\u2473\u2474-\u2487\u2776-\u277f])*"
)


def _no_capital(text: str) -> bool:
    """Most answers have no capital letter, and need not be looked through for options."""
    return _CAPITAL.search(text) is None


def gold_choice(gold: str) -> tuple[str, str] | None:
    """(letter, option's text) when the gold is a multiple-choice answer."""
    if _no_capital(gold):
        return None
    plain = " ".join(unwrapped(gold).split())
    match = _LETTER.fullmatch(plain)
    if match:
        return match[1], ""
    match = _CHOICE_TEXT.fullmatch(plain)
    if match and not match[3].startswith("="):
        return match[1] or match[2], match[3]
    return None


def chosen_letter(response: str) -> str | None:
    """The letter that a response chooses: ``B``, ``(B)``, ``B. 7``, ``option B``; "" for several letters."""
    plain = " ".join(unwrapped(response).split())
    match = _CHOICE.fullmatch(plain)
    if match:
        letter = match[1]
        bracketed = "(" in plain or len(plain) > 3
        return letter.upper() if letter.isupper() or bracketed else None
    match = _CHOICE_TEXT.fullmatch(plain) or _OPTION.fullmatch(plain)
    if match is None:
        return None
    letter = (match[1] or match[2]).upper()
    others = {next(group for group in other.groups() if group) for other in _ANOTHER.finditer(plain)}
    return "" if others - {letter} else letter


def letter_set(text: str) -> tuple[str, bool] | None:
    """The letters of ``ACF`` or ``A, C and F`` in order, and whether they were separated; None for other texts."""
    if text.isascii() and _no_capital(text):
        return None
    plain = " ".join(unwrapped(text).split())
    if _CIRCLED.fullmatch(plain):
        marks = [c for c in plain if "\u2460" <= c <= "\u277f"]
        return "".join(sorted(set(marks))), len(marks) < len(plain)
    if not _LETTERS.fullmatch(plain.replace(" and ", ", ")):
        return None
    letters = [c for c in plain if c.isupper()]
    if len(letters) != len(set(letters)):
        return None
    return "".join(sorted(letters)), "," in plain or "and" in plain


def option_text(response: str) -> str | None:
    """The text of ``(B) 42`` without its letter."""
    if _no_capital(response):
        return None
    match = _CHOICE_TEXT.fullmatch(" ".join(unwrapped(response).split()))
    return match[3] if match else None
