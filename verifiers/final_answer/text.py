"""Answers in words, taken as they stand."""

from __future__ import annotations

import re

from .kinds import Kind, Reading
from .limits import MAX_LINE
from .marks import bare

# An initial ("J. K. Rowling") and a number do not end a sentence.
_END = re.compile(
    r"(?<![A-Z])\.(?=\s|$|\*)|\.(?=\s{0,4}$)|[!?](?=\s|$)|。|,? (?:because|since|rather than|instead of) |,? not (?=[\d$\\(A-Z-])"
)


def read_text(text: str) -> str | None:
    return text or None


def read_line(text: str) -> str | None:
    text = text.strip()
    return text if text and len(text) <= MAX_LINE and "\n" not in text else None


def stated_text(rest: str, kind: Kind) -> Reading | None:
    """The sentence behind "the answer is"."""
    line = rest.lstrip(" \t\n\r*_`:：#")[:2_000].partition("\n")[0]
    end = _END.search(line)
    sentence = line[: end.start()] if end and end.start() else line
    if end and end[0] == "?":
        return None
    return Reading(bare(sentence) or None)


def sentence_text(text: str, kind: Kind) -> Reading | None:
    return None


TEXT = Kind("text", read_text, read_line, stated_text, sentence_text)
