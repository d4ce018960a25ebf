"""Numbers written in words: ``twelve``, ``minus three``, ``two hundred and five``, ``two thirds``, ``twelve dollars``."""

from __future__ import annotations

import re

from ...final_answer.scales import factor
from ..read.vocabulary import NUMBER_WORDS
from .words import NAMED, normal, unwrapped

_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_NO_SOLUTION = re.compile(
    r"(?:there\s+(?:is|are)\s+|it\s+has\s+|has\s+)?no\s+(?:(?:real|integer|positive|such|valid|rational)\s+){0,2}"
    r"(?:solutions?|values?|roots?|numbers?)(?:\s+exists?)?[.!]?",
    re.I,
)
_WORDY = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{3}|\\(?:text|mathrm|mbox|textbf|rm)(?![a-z])|[^\x00-\x7f]")
_WORD = re.compile(r"[A-Za-z]+|\S")
_GLOSSED = re.compile(r"([A-Za-z][A-Za-z -]{0,80}?)\s{0,3}[(\[]\s?(-?[0-9]{1,20})\s?[)\]]")  # seven (7)
MAX_WORDS = 24


def spelled(text: str) -> str:
    """A number or set written in words as mathematics; other texts as they are."""
    if len(text) > 160 or not _WORDY.search(text):
        return text
    plain = unwrapped(text)
    if _NO_SOLUTION.fullmatch(plain):
        return "\\emptyset"
    if (glossed := _GLOSSED.fullmatch(plain)) and spelled(glossed[1]) == glossed[2]:
        return glossed[2]
    first = re.match(r"[\s.]*([A-Za-z]+)", plain)
    if first is None:
        return text if plain.isascii() else NAMED.get(normal(text), text)
    if first[1].lower() in NUMBER_WORDS or first[1].lower() in (
        "minus",
        "negative",
        "half",
        "plus",
        "a",
        "an",
        "point",
    ):
        number = number_in_words(plain)
        if number is not None:
            return number
    return NAMED.get(normal(text), text)


def number_in_words(plain: str) -> str | None:
    """The LaTeX of a text that begins with a number in words, with what follows it; None for other texts."""
    words = [word for word in _WORD.findall(plain.strip().rstrip(".")) if word != "-"]
    if not words or len(words) > MAX_WORDS:
        return None
    lower = [word.lower() for word in words]
    sign, index = "", 0
    if len(lower) == 1 and lower[0] in ("minus", "negative", "plus"):
        return None
    if lower[0] in ("minus", "negative", "plus"):
        sign, index = "-" if lower[0] != "plus" else "", 1
    if lower[index] in ("a", "an") and lower[index + 1 : index + 2] and lower[index + 1] in _SCALES:
        lower[index] = "one"
    value, index = _whole(lower, index)
    if value is None:
        return _half(lower, sign, index)
    rest = lower[index:]
    if rest[:3] == ["and", "a", "half"]:
        return f"{sign}\\frac{{{2 * value + 1}}}{{2}}" + _after(words[index + 3 :])
    if (
        rest[:1] == ["point"]
        and len(rest) > 1
        and all(word in NUMBER_WORDS and NUMBER_WORDS[word] < 10 for word in rest[1:])
    ):
        return f"{sign}{value}." + "".join(str(NUMBER_WORDS[word]) for word in rest[1:])
    if rest and rest[0] not in _SCALES and (part := factor(rest[0])) is not None and part < 1:
        return f"{sign}\\frac{{{value}}}{{{part.denominator}}}" + _after(words[index + 1 :])
    return f"{sign}{value}" + _after(words[index:])


def _after(words: list[str]) -> str:
    return f"\\text{{ {' '.join(words)}}}" if words else ""


def _half(lower: list[str], sign: str, index: int) -> str | None:
    if lower[index:] in (["half"], ["a", "half"], ["one", "half"]):
        return f"{sign}\\frac{{1}}{{2}}"
    if lower[index:] in (["a", "third"], ["a", "quarter"]):
        return f"{sign}\\frac{{1}}{{{3 if lower[-1] == 'third' else 4}}}"
    return None


def _whole(words: list[str], index: int) -> tuple[int | None, int]:
    """The whole number that the words from ``index`` on spell, and the index behind it."""
    total, group, start, last = 0, 0, index, 0
    while index < len(words):
        word = words[index]
        if word in NUMBER_WORDS:
            size = NUMBER_WORDS[word]
            # "twenty one" and "hundred five" go on, "two three" does not.
            if last and not (last >= 20 and last % 10 == 0 and last < 100 and 0 < size < 10):
                break
            group, last = group + size, size
        elif word == "hundred" and 0 < group < 100:
            group, last = group * 100, 0
        elif word in _SCALES and group:
            total, group, last = total + group * _SCALES[word], 0, 0
        elif (
            word == "and" and index > start and index + 1 < len(words) and words[index + 1] in NUMBER_WORDS and not last
        ):
            pass
        else:
            break
        index += 1
    return (None, start) if index == start else (total + group, index)
