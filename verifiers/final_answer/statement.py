"""The last sentence that announces an answer: "the answer is", "####", "Answer:", 答案是, and what it states."""

from __future__ import annotations

import re
from dataclasses import dataclass

from .doubt import NEGATED, framed, taken_back
from .kinds import FinalAnswer, Kind
from .letter import LETTER, VERDICT
from .limits import MAX_STATED, MAX_STATEMENTS
from .markers import CORRECTED, DECISIVE, LETTER_ANNOUNCED, announced

_LOOKED_AT = 8  # announcements, counted from the end
_BESIDE = re.compile(
    r"[\s*_$)\]}]{0,8}(?:[.,;:!\n][\s*_]{0,8}(?:(?:or|and|also|maybe|perhaps|else)\b[\s,:]{0,4}){0,2}"
    r"|(?:or|and|also|maybe|perhaps|else)\b[\s,:]{0,4})(?:the\s{1,3})?(?:final\s|correct\s)?",
    re.I,
)


@dataclass(frozen=True, slots=True)
class _Announcement:
    start: int
    end: int
    letter: str = ""  # where the letter stands before the verdict: "B is correct"


def last_statement(text: str, kind: Kind, after: int, standing: str = "") -> FinalAnswer | None:
    """The last statement of an answer; one behind ``after`` (a box) only where it is decisive and of the kind.

    ``standing`` is what the box holds: a denial of it behind the box takes it back.

    Returns:
        None when nothing is announced; an answer without text when what is announced may not be paid.
    """
    offset = max(0, len(text) - MAX_STATEMENTS)
    window = text[offset:]
    found = _announcements(window, kind, max(0, after + 1 - offset))
    if after >= 0:
        found = [one for one in found if one.letter or DECISIVE.search(window[max(0, one.start - 30) : one.end])]
    denied: set[str] = set()
    refusal: FinalAnswer | None = None
    for index in range(len(found) - 1, max(-1, len(found) - 1 - _LOOKED_AT), -1):
        one = found[index]
        rest = window[one.end : one.end + MAX_STATED]
        if framed(window[max(0, one.start - 120) : one.start]):
            refusal = refusal or FinalAnswer(None, "none", "an answer is only quoted, supposed or denied")
            continue
        if not one.letter and (negation := NEGATED.match(rest)):
            reading = kind.stated(rest[negation.end() :], kind)
            denied.add(_squeezed(reading.text) if reading and reading.text else "")
            refusal = refusal or FinalAnswer(None, "none", "the answer is only denied")
            continue
        text_of, reason = one.letter, ""
        if not one.letter:
            reading = kind.stated(rest, kind)
            if reading is None:
                continue
            text_of, reason = reading.text or "", reading.reason
        if after >= 0 and (not text_of or kind.read(text_of) is None or "\\boxed" in text_of):
            if not text_of and reason and DECISIVE.search(window[max(0, one.start - 30) : one.end]):
                return FinalAnswer(None, "none", reason)
            continue
        if not text_of:
            return FinalAnswer(None, "none", reason or "nothing follows the announcement")
        if _squeezed(text_of) in denied:
            return FinalAnswer(None, "none", "the answer is denied afterwards")
        if _guessed_beside(window, found, index, text_of, kind):
            return FinalAnswer(None, "none", "different answers are stated side by side")
        if taken_back(_behind(window, one)):
            return FinalAnswer(None, "none", "the stated answer is taken back")
        return FinalAnswer(text_of, "statement", f"stated after {window[one.start : one.end].strip()[:40]!r}")
    return refusal if after < 0 or _squeezed(standing) in denied else None


def _announcements(window: str, kind: Kind, start: int) -> list[_Announcement]:
    found = [_Announcement(*span) for span in announced(window, start)]
    found += [_Announcement(*match.span()) for match in CORRECTED.finditer(window, start)]
    if kind is LETTER:
        found += [_Announcement(*match.span()) for match in LETTER_ANNOUNCED.finditer(window, start)]
        found += [
            _Announcement(match.start(), match.end(), match["letter"] or match["zh"])
            for match in VERDICT.finditer(window, start)
        ]
    found.sort(key=lambda one: (one.end, one.start))
    kept: list[_Announcement] = []
    for one in found:
        if kept and one.start < kept[-1].end and not one.letter:
            one = _Announcement(min(one.start, kept[-1].start), one.end)
            kept.pop()
        kept.append(one)
    return kept


def _behind(window: str, one: _Announcement) -> str:
    """What follows the sentence of an announcement."""
    rest = window[one.end : one.end + 700]
    end = re.search(r"[.!?。](?=\s|$)|\n", rest)
    return rest[end.start() :] if end else ""


def _guessed_beside(window: str, found: list[_Announcement], index: int, text_of: str, kind: Kind) -> bool:
    """Whether the announcement right before this one says something else: "The answer is 3. The answer is 4."."""
    one = found[index]
    if index == 0 or one.letter or found[index - 1].letter:
        return False
    before = found[index - 1]
    gap = window[before.end : one.start]
    if framed(window[max(0, before.start - 120) : before.start]):
        return False
    if len(gap) > 60:
        return False
    reading = kind.stated(gap + "\n", kind)
    if reading is None or not reading.text or _squeezed(reading.text) == _squeezed(text_of) or NEGATED.match(gap):
        return False
    at = gap.find(reading.text)
    return at >= 0 and _BESIDE.fullmatch(gap[at + len(reading.text) :]) is not None


def _squeezed(text: str) -> str:
    return "".join(text.split()).strip("$.")
