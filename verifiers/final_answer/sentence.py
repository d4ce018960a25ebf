"""Where the sentence behind "the answer is" ends, and where its answer ends and an explanation begins."""

from __future__ import annotations

import re

from .formulas import Formula, formulas
from .limits import MAX_STATED

# A point ends a sentence, except behind an initial ("J. K.") and inside a number.
_ABBREVIATED = r"(?<!sq)(?<!cu)(?<!approx)(?<!Mrs)(?<!Mr)(?<!Dr)(?<!vs)(?<!e\.g)(?<!i\.e)(?<!ca)(?<!No)"
_END = re.compile(_ABBREVIATED + r"\.(?=\s|$|\*)|[!?？](?=\s|$)|\n|。")
EXPLAINED = re.compile(
    r",?\s(?:because|since|which|as (?:required|desired|we|it|the|a|an|shown|stated)|I hope|instead of|rather than|but|"
    r"however|although|though|so that|whereas|while|given that|due to|meaning|namely|i\.e\.|that is|and not)(?=[\s,.:]|$)"
    r"|,? \(?not (?=[\d$\\(A-Z-])|, (?:so|it|as|where|and (?:the|it|this|we))\b|,? and (?:we (?:are|have)|we\'re|I am|I\'m)\b"
    r"|[，,]?\s{0,2}(?:因为|因此|所以|而不是|不是|なぜなら|왜냐하면)",
)


def first_sentence(rest: str) -> tuple[str, str]:
    """The first sentence, with its closing mark when that is a question mark, and what follows it."""
    rest = rest[:MAX_STATED]
    covered = iter(formulas(rest))
    formula: Formula | None = next(covered, None)
    for match in _END.finditer(rest):
        while formula is not None and formula.end <= match.start():
            formula = next(covered, None)
        if formula is not None and formula.start < match.start():
            continue
        end = match.end() if match[0] in "?？" else match.start()
        return (rest[:end], rest[match.end() :]) if match.start() else (rest[:1], rest[1:])
    return rest, ""


def answer_and_aside(sentence: str) -> tuple[str, str]:
    """The part that may hold the answer, and the explanation behind it."""
    covered = iter(formulas(sentence))
    formula: Formula | None = next(covered, None)
    for match in EXPLAINED.finditer(sentence):
        while formula is not None and formula.end <= match.start():
            formula = next(covered, None)
        if formula is not None and formula.start < match.start():
            continue
        if sentence[: match.start()].strip(" *_$"):
            return sentence[: match.start()], sentence[match.start() :]
    return sentence, ""
