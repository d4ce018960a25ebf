"""The last resort: the last formula, bold text or number of a response that marks no answer."""

from __future__ import annotations

import re

from .doubt import IGNORANCE
from .formulas import formulas
from .kinds import Kind
from .marks import bare
from .value import BOLD, NUMBER

_DENIAL = re.compile(
    r"\b(?:cannot|can't|could not|couldn't|unable to|do not|don't)\b[^.!?]{0,30}"
    r"\b(?:determine|find|answer|solve|know|say)\b"
    r"|\banswers? (?:isn't|is not|aren't|are not|cannot be|can't be)\b[^.!?]{0,80}[.!?]?\s{0,4}$",
    re.I,
)
_LISTED = re.compile(r"(?:,|and|or|,\s{0,4}and|,\s{0,4}or)")
_CLAUSE = re.compile(r"\b(?:is|are|equals|be)\b|:\s|(?<![<>!])=")


def last_expression_of(text: str, kind: Kind) -> str | None:
    """The last formula, bold text or number of the last lines that have one."""
    if _DENIAL.search(text[-300:]) or IGNORANCE.search(text[-300:]):
        return None
    tail = text.strip()[-3_000:]
    found: list[tuple[int, str]] = []
    maths = formulas(tail)
    if maths:
        inner = maths[-1].inner
        if len(maths) > 1 and _LISTED.fullmatch(tail[maths[-2].end : maths[-1].start].strip()):
            inner = f"{maths[-2].inner}, {inner}"
        found.append((maths[-1].end, inner.strip()))
    for match in list(BOLD.finditer(tail))[-1:]:
        content = re.sub(r"^[A-Za-z ]{1,40}[:=]\s*", "", match[1] or match[2])
        if kind.read(bare(content)) is not None:
            found.append((match.end(), bare(content)))
    for match in reversed(list(NUMBER.finditer(tail))):
        if any(c.isdigit() for c in match[0]):
            found.append((match.end(), _number_with_unit(tail, match, kind)))
            break
    clause = _last_clause(tail, kind)
    if clause is not None:
        found.append((len(tail), clause))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def _number_with_unit(tail: str, match: re.Match[str], kind: Kind) -> str:
    unit = re.match(r"\s?[a-zA-Zµ°²³^/]{1,12}\d?", tail[match.end() :])
    text = match[0].strip()
    if unit and kind.read(text + unit[0]) is not None and unit[0].strip() != "x":
        return text + unit[0]
    return text


def _last_clause(tail: str, kind: Kind) -> str | None:
    """What follows the last "is", "are", "=" or ":" of the last sentence, when it is of the kind."""
    sentence = re.split(r"(?<=[.!?])\s+|\n", tail.rstrip(" .*"))[-1]
    pieces = _CLAUSE.split(sentence)
    last = bare(pieces[-1]) if len(pieces) > 1 else ""
    return last if last and kind.read(last) is not None else None
