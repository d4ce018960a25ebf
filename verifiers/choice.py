"""choice: a multiple-choice letter, in the usual ways of saying it."""

from __future__ import annotations

import re
from typing import Any

from .base import verifier
from .final_answer import boxes
from .final_answer.limits import MAX_RESPONSE
from .final_answer.statement import after_reasoning, tags
from .score import Score
from .selftest import Case

_LETTER = r"[\(\[\{]?\s{0,2}\**\s{0,2}(?:\\text(?:bf)?\{)?\s{0,2}([A-Z])(?![A-Za-z0-9'’])"
_SAID = re.compile(
    r"\b(?:the\s{1,3})?(?:(?:final|correct|right|best)\s{1,3})?(?:answer|choice|option)\b(?:\s{1,3}(?:choice|option))?"
    r"(?:\s{0,3}(?:is|would\s{1,3}be|should\s{1,3}be|must\s{1,3}be|:|=)){1,2}\s{0,3}\**:?\s{0,3}"
    r"(?:(?:option|choice|answer|letter)\s{1,3})?" + _LETTER,
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:I|we)\s{1,3}(?:would\s{1,3}|will\s{1,3}|'ll\s{1,3})?(?:choose|chose|pick|select|go\s{1,3}with)\s{1,3}"
    r"(?:(?:option|choice|answer)\s{1,3})?" + _LETTER,
    re.IGNORECASE,
)
_IS_CORRECT = re.compile(
    r"(?:\b(?:option|choice|answer)\s{1,3})?" + _LETTER + r"\**[\)\]\}]?\**\s{1,3}is\s{1,3}(?:the\s{1,3})?"
    r"(?:correct|right|best)\b",
    re.IGNORECASE,
)
# A letter alone, or a letter set off from the text of its option: "B", "(B)", "**B.**", "B) Paris", "Option B".
_ALONE = re.compile(
    r"(?:(?:final\s)?(?:answer|option|choice)\s?:?\s?)?\**[\(\[]?([A-Z])(?:[\)\]]|[.:](?=\s|\*|$)|(?=\**\s*$))[^\n]{0,300}",
    re.IGNORECASE,
)
# "A or B", "A/B", "A, B": a list of guesses
_SEVERAL = re.compile(r"\b[A-Z]\b[\)\]]?\s{0,2}(?:,|/|&|\bor\b|\band\b)\s{0,2}[\(\[]?\b[A-Z]\b", re.IGNORECASE)


def _cases() -> list[Case]:
    right = [
        "B", "(B)", "B.", "B) Paris", "**B**", "The answer is B.", "The correct answer is (B) Paris.", r"\boxed{B}",
        r"\boxed{\text{B}}", "<answer>B</answer>", "Answer: B", "Option B is correct.", "I would choose option B.",
        "<think>Maybe A. Or C.</think>\nThe best answer is **B**.", "A is wrong because of X.\nFinal answer: B",
        "the correct option is b", "Reasoning about a cat.\n\nB",
    ]  # fmt: skip
    wrong = [
        "A", "The answer is A.", "A or B", "The answer is A or B.", "\\boxed{A} \\boxed{B}", "", "A, B, C, D",
        "The answer is Berlin.", "I like B movies a lot, they are fun to watch.", "ABCD",
        "The answer is A. The answer is B.", "The answer is not B",
    ]  # fmt: skip
    return [
        *(Case(text, "B", expected=1.0) for text in right),
        *(Case(text, "B", expected=0.0) for text in wrong),
        Case("(B)", 1, meta={"choices": ["Rome", "Paris"]}, expected=1.0),
        Case("The answer is I", "B", meta={"choices": ["Rome", "Paris"]}, expected=0.0),
    ]


@verifier(name="choice", timeout=2.0, cases=_cases)
def choice(response: str, answer: Any, meta: Any = None, choices: int = 26) -> Score:
    """Whether the chosen letter is the gold one.

    Understood: a letter in a box or answer tag, "the answer is (B)", "option B is correct", "I choose B", and a line
    that is just the letter or "B) text". A response that settles on two letters has chosen none.

    Args:
        choices: number of options; ``meta["choices"]`` (a list) overrides it.

    The gold answer is a letter, or the index of the option counted from 0.
    """
    offered = meta.get("choices") if isinstance(meta, dict) else None
    count = len(offered) if isinstance(offered, (list, tuple, dict)) else choices
    gold = _gold(answer, count)
    if not isinstance(response, str) or len(response) > MAX_RESPONSE:
        return Score(0.0, reason=f"not text of at most {MAX_RESPONSE:,} characters")
    text = after_reasoning(response).strip()
    chosen = [letter for letter in _chosen(text) if letter == "?" or ord(letter) - ord("A") < count]
    if len(set(chosen)) != 1:
        return Score(0.0, reason=f"{len(set(chosen))} different answers, wanted one letter")
    return Score(float(chosen[0] == gold), extracted=chosen[0])


def _gold(answer: Any, count: int) -> str:
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < min(count, 26):
        return chr(ord("A") + answer)
    text = str(answer).strip().strip("().").upper()
    if len(text) != 1 or not "A" <= text <= "Z":
        raise ValueError(f"choice: the gold answer must be a letter or an index below {count}, got {answer!r:.100}")
    return text


def _chosen(text: str) -> list[str]:
    for candidates in (tags(text), boxes(text)):
        if candidates:
            # a box that holds anything but a letter is an answer too, and another one
            return [letter for candidate in candidates for letter in _letters(candidate) or ["?"]]
    said = [match for pattern in (_SAID, _VERB, _IS_CORRECT) for match in pattern.finditer(text)]
    if said:
        return [letter for match in said for letter in _around(text, match)]
    lines = text.splitlines()
    return _letters(lines[0]) if len(lines) == 1 else _letters(lines[-1]) if lines else []


def _around(text: str, match: re.Match[str]) -> list[str]:
    """The letter of a sentence, and those that are listed right behind it."""
    letter = match[1]
    # the words "a" and "I", unless they are set off as a letter would be
    set_off = re.match(r"\s*[\)\].,:*]|\s*\Z", text[match.end() : match.end() + 3])
    if not set_off and (letter == "a" or (letter.upper() == "I" and match.end() < len(text))):
        return []
    tail = text[match.start(1) : match.start(1) + 12]
    several = _SEVERAL.match(tail)
    return [c.upper() for c in re.findall(r"\b[A-Za-z]\b", several[0])] if several else [letter.upper()]


def _letters(line: str) -> list[str]:
    line = re.sub(r"\\text(?:bf|rm)?\{([^{}]*)\}|\\mathrm\{([^{}]*)\}", r"\1\2", line.strip()[:400]).strip()
    if several := _SEVERAL.search(line):
        return [c.upper() for c in re.findall(r"\b[A-Za-z]\b", several[0])]
    match = _ALONE.fullmatch(line)
    return [match[1].upper()] if match else []
