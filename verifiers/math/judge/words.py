"""Answers in words: the normal form in which they are compared, and multiple-choice letters."""

from __future__ import annotations

import re

from ..read.spelling import to_ascii
from ..read.vocabulary import NUMBER_WORDS

_COMMANDS = re.compile(
    r"\\(?:overline|overrightarrow|widehat|text|textbf|textit|textrm|textsf|mathrm|mathbf|mbox|emph|operatorname|boldsymbol|bm)\s*(?=\{)"
)
_LOOK = re.compile(
    r"\\(?:left|right|big|Big|bigg|Bigg|displaystyle|limits|q?quad|[,;:! ])(?![a-zA-Z])|[${}~]|\\[()\[\]]"
)
_SPELLINGS = (("dfrac", "frac"), ("tfrac", "frac"), ("\\leq", "\\le"), ("\\geq", "\\ge"), ("\\neq", "\\ne"))
# Signs that carry meaning stay: 1.5 is not 15, -1 not 1, 3! not 3.
_PUNCTUATION = re.compile(r"(?<!\d)\s+|\s+(?!\d)|[;\"`*]+|[.,:](?!\d)|(?<=[A-Za-z])[-'!](?=[A-Za-z]|\s|$)")
_ARTICLES = re.compile(r"\b(?:the|a|an|it is|it's)\b\s*", re.I)
_SYNONYMS = {
    "dne": "doesnotexist", "nosolutions": "nosolution", "therearenosolutions": "nosolution",
    "thereisnosolution": "nosolution", "undefinedvalue": "undefined", "infinitelymanysolutions": "infinitelymany",
    "realnumbers": "allrealnumbers", "allreals": "allrealnumbers",
}  # fmt: skip
_LETTER = re.compile(r"\(?([A-Z])\)?")
_CHOICE = re.compile(r"(?:(?:option|choice|answer)\s*:?\s*)?\(?([A-Za-z])\)?[.:)]?", re.I)
_CHOICE_TEXT = re.compile(r"(?:\(([A-Z])\)|([A-Z])(?:[.)]|:(?=\s)))\s*([^\s+*/=^!_,;<>|-].*)", re.DOTALL)
_LIST = re.compile(r"\s*(?:,\s*and\b|,|;|\band\b)\s*")
_LETTERS = re.compile(r"\(?[A-H]\)?(?:\s*(?:,\s*and\b|,|;|&|\band\b)?\s*\(?[A-H]\)?){1,7}")
_YES_NO = frozenset(("yes", "no", "true", "false"))


def unwrapped(text: str) -> str:
    """Without text commands, dollars, braces and spacing commands."""
    return _LOOK.sub(" ", _COMMANDS.sub("", text)).strip()


def normal(text: str) -> str:
    """The normal form of an answer in words: no articles, punctuation, spaces or capitals."""
    text = unwrapped(to_ascii(text))
    for spelling, instead in _SPELLINGS:
        text = text.replace(spelling, instead)
    text = re.sub(r"(?<=\d)(?:st|nd|rd|th)\b", "", text)
    plain = _PUNCTUATION.sub("", _ARTICLES.sub("", text))
    # Capitals matter in single letters (points, variables) and not in words.
    plain = re.sub(r"[A-Za-z]{2,}", lambda m: m[0].lower(), plain)
    return _SYNONYMS.get(plain, plain)


def same_words(gold: str, response: str) -> bool:
    """Whether two answers in words are the same; an empty normal form equals nothing."""
    one, two = normal(gold), normal(response)
    if not one or not two:
        return False
    if one == two:
        return True
    parts = [sorted(normal(part) for part in _LIST.split(unwrapped(text))) for text in (gold, response)]
    if len(parts[0]) > 1 and parts[0] == parts[1]:
        return True
    if one in _YES_NO:
        first = re.match(r"\s*([A-Za-z]+)\s*(?:[,.;:!]|$)", unwrapped(response))
        return first is not None and first[1].lower() == one
    return False


def number_in_words(text: str) -> int | None:
    """``twelve``, ``twenty-one``: the number that the whole text spells."""
    words = re.split(r"[\s-]+", unwrapped(text).lower().strip(" ."))
    if not 1 <= len(words) <= 2 or any(word not in NUMBER_WORDS for word in words):
        return None
    values = [NUMBER_WORDS[word] for word in words]
    if len(values) == 1:
        return values[0]
    return sum(values) if values[0] >= 20 and values[0] % 10 == 0 and 0 < values[1] < 10 else None


def gold_choice(gold: str) -> tuple[str, str] | None:
    """(letter, option's text) when the gold is a multiple-choice answer."""
    plain = " ".join(unwrapped(gold).split())
    match = _LETTER.fullmatch(plain)
    if match:
        return match[1], ""
    match = _CHOICE_TEXT.fullmatch(plain)
    if match and not match[3].startswith("="):
        return match[1] or match[2], match[3]
    return None


def chosen_letter(response: str) -> str | None:
    """The letter that a response chooses: ``B``, ``(B)``, ``B. 7``, ``option B``, ``E: A polygenic score``."""
    plain = " ".join(unwrapped(response).split())
    match = _CHOICE.fullmatch(plain)
    if match:
        letter = match[1]
        bracketed = "(" in plain or len(plain) > 3
        return letter.upper() if letter.isupper() or bracketed else None
    match = _CHOICE_TEXT.fullmatch(plain) or re.fullmatch(r"(?:(?:option|choice)\s+)\(?([A-Z])\)?()()\b.*", plain, re.I)
    return (match[1] or match[2]).upper() if match else None


def letter_set(text: str) -> tuple[str, bool] | None:
    """The letters of ``ACF`` or ``A, C and F`` in order, and whether they were separated; None for other texts."""
    plain = " ".join(unwrapped(text).split())
    if not _LETTERS.fullmatch(plain.replace(" and ", ", ")):
        return None
    letters = [c for c in plain if c.isupper()]
    if len(letters) != len(set(letters)):
        return None
    return "".join(sorted(letters)), "," in plain or "and" in plain


def option_text(response: str) -> str | None:
    """The text of ``(B) 42`` without its letter."""
    match = _CHOICE_TEXT.fullmatch(" ".join(unwrapped(response).split()))
    return match[3] if match else None


NAMED = {"allrealnumbers": "\\mathbb{R}", "emptyset": "\\emptyset", "theemptyset": "\\emptyset",
         "infinity": "\\infty", "positiveinfinity": "\\infty", "negativeinfinity": "-\\infty"}  # fmt: skip


def spelled(text: str) -> str:
    """A number or set written in words as mathematics; other texts as they are."""
    if len(text) > 60 or not any(c.isalpha() for c in text):
        return text
    number = number_in_words(text)
    return str(number) if number is not None else NAMED.get(normal(text), text)
