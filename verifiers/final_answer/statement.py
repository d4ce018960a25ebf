"""The last sentence that announces an answer: "the answer is", "####", "Answer:", 答案是, and what it states."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from .doubt import NEGATED, another_follows, framed, taken_back
from .kinds import FinalAnswer, Kind
from .letter import LETTER, VERDICT
from .limits import MAX_STATED, MAX_STATEMENTS
from .markers import CORRECTED, DECISIVE, KEPT, LETTER_ANNOUNCED, announced
from .sentence import first_sentence

_INSTEAD = re.compile(
    r"\bbut\b(?:\s{1,3}rather)?\s{1,3}|[,;]\s{0,3}(?:but\s{1,3})?(?:it|that)(?:'s|\s{1,3}is)\s{1,3}", re.I
)
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
    if after >= 0 and len(text) - after < 5:
        return None
    offset = max(0, len(text) - MAX_STATEMENTS)
    window = text[offset:]
    found = _announcements(window, kind, max(0, after - offset))
    if after >= 0:
        unread = (
            kind is LETTER and kind.read(standing) is None
        )  # the box holds something else: any choice of a letter counts
        found = [
            one for one in found if one.letter or unread or DECISIVE.search(window[max(0, one.start - 30) : one.end])
        ]
    denied: set[str] = set()
    refusal: FinalAnswer | None = None
    for index in range(len(found) - 1, max(-1, len(found) - 1 - _LOOKED_AT), -1):
        one = found[index]
        rest = window[one.end : one.end + MAX_STATED]
        if framed(window[max(0, one.start - 120) : one.start]):
            refusal = refusal or FinalAnswer(None, "none", "an answer is only quoted, supposed or denied")
            continue
        if not one.letter and (negation := NEGATED.match(rest)):
            if instead := _instead(rest[negation.end() :], kind):
                return FinalAnswer(instead, "statement", "stated in place of what is denied")
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
        if one.letter and index and _both_right(window, found[index - 1], one):
            return FinalAnswer(None, "none", "several letters are said to be right")
        if not text_of:
            return FinalAnswer(None, "none", reason or "nothing follows the announcement")
        if _squeezed(text_of) in denied:
            return FinalAnswer(None, "none", "the answer is denied afterwards")
        if _guessed_beside(window, found, index, text_of, kind):
            return FinalAnswer(None, "none", "different answers are stated side by side")
        behind = _behind(window, one)
        if another_follows(behind):
            return FinalAnswer(None, "none", "another guess follows")
        if taken_back(behind):
            return FinalAnswer(None, "none", "the stated answer is taken back")
        return FinalAnswer(text_of, "statement", f"stated after {window[one.start : one.end].strip()[:40]!r}")
    return refusal if after < 0 or _squeezed(standing) in denied else None


def _instead(denied: str, kind: Kind) -> str | None:
    """``not A but B``: what is stated in the same sentence in place of what is denied."""
    sentence, _ = first_sentence(denied)
    match = _INSTEAD.search(sentence)
    reading = kind.stated(sentence[match.end() :], kind) if match else None
    return reading.text if reading and reading.text and kind.read(reading.text) is not None else None


def _both_right(window: str, before: _Announcement, one: _Announcement) -> bool:
    gap = window[before.end : one.start]
    return (
        bool(before.letter)
        and before.letter != one.letter
        and re.fullmatch(r"\W{0,4}(?:and|or|also)?\W{0,4}", gap) is not None
    )


def _announcements(window: str, kind: Kind, start: int) -> list[_Announcement]:
    found = [_Announcement(*span) for span in announced(window, start)]
    found += [_Announcement(*match.span()) for match in deque(CORRECTED.finditer(window, start), maxlen=KEPT)]
    if kind is LETTER:
        found += [
            _Announcement(*match.span()) for match in deque(LETTER_ANNOUNCED.finditer(window, start), maxlen=KEPT)
        ]
        found += [
            _Announcement(match.start(), match.end(), match["letter"] or match["zh"])
            for match in deque(VERDICT.finditer(window, start), maxlen=KEPT)
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
