"""Formulas in running text: ``$...$``, ``$$...$$``, ``\\(...\\)``, ``\\[...\\]``."""

from __future__ import annotations

import re
from dataclasses import dataclass

_OPEN = re.compile(r"\$\$?|\\[(\[]")
_CLOSE = {"$$": "$$", "$": "$", "\\(": "\\)", "\\[": "\\]"}
_MONEY = re.compile(r"\$\d[\d,.]*\s{1,4}[a-z]{2,}")


@dataclass(frozen=True, slots=True)
class Formula:
    start: int
    end: int
    inner: str


def formulas(text: str) -> list[Formula]:
    """The formulas of a text in order, in linear time: a closing mark that is missing is looked for once."""
    found: list[Formula] = []
    missing: set[str] = set()
    reached = 0
    for match in _OPEN.finditer(text):
        if match.start() < reached:
            continue
        closing = _CLOSE[match[0]]
        end = -1 if closing in missing else text.find(closing, match.end() + 1)
        if end < 0:
            missing.add(closing)
            continue
        stop = end + len(closing)
        if match[0] == "$" and _MONEY.match(text, match.start()) and "\\" not in text[match.start() : stop]:
            continue  # "$5 and then $" is two prices
        found.append(Formula(match.start(), stop, text[match.end() : end]))
        reached = stop
    return found
