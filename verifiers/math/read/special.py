"""Numbers that are read by their digits: a stated base, a time of day."""

from __future__ import annotations

import re
from fractions import Fraction

from ..values import Based, Number, Ratio

_BASED = re.compile(r"\(?(-?[0-9A-Fa-f]+(?:\.[0-9A-Fa-f]+)?)\)?_\{?(\d{1,2})\}?")
_WRAPPING = re.compile(r"\\(?:text|mathrm|textbf|mbox)\s*\{([^{}]*)\}|\\left|\\right|[\s$~]|\\[,;:! ]")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?(?::(\d\d))?([ap])?\.?(m)?\.?", re.I)
_BASE_WORDS = {"two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
               "sixteen": 16, "twelve": 12}  # fmt: skip


def based_number(text: str) -> Based | None:
    """``413_5``, ``2A_{16}``, ``\\text{2A}_{16}``, ``(413)_{\\text{five}}``."""
    if "_" not in text or len(text) > 200:
        return None
    bare = _WRAPPING.sub(r"\1", text).rstrip(".")
    for word, base in _BASE_WORDS.items():
        bare = bare.replace("_{" + word + "}", f"_{base}").replace("_" + word, f"_{base}")
    match = _BASED.fullmatch(bare)
    if match is None or not any(c.isdigit() for c in match[1]):
        return None
    base = int(match[2])
    if not 2 <= base <= 36 or any(int(c, 36) >= base for c in match[1] if c.isalnum()):
        return None
    return Based(match[1].upper(), base)


def clock_time(text: str) -> Ratio | None:
    """``3:30``, ``12:05 p.m.``, ``9\\text{ a.m.}``; two digits of minutes tell a time from a ratio."""
    if len(text) > 60 or not (":" in text or "m" in text or "M" in text):
        return None
    match = _CLOCK.fullmatch("".join(_WRAPPING.sub(r"\1", text.replace("{:}", ":")).split()))
    if match is None or bool(match[4]) != bool(match[5]) or not (match[2] or match[4]):
        return None
    hour, minute, second = int(match[1]), int(match[2] or 0), int(match[3] or 0)
    if hour > 24 or minute > 59 or second > 59:
        return None
    parts = (hour, minute, second) if match[3] else (hour, minute)
    half = (match[4] or "").lower() + "m" if match[4] else ""
    return Ratio(tuple(Number(Fraction(part)) for part in parts), True, half)
