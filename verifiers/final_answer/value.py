"""Numbers and mathematics in a sentence: the value that it states, and only where nothing behind changes it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

from .doubt import CONDITION, IGNORANCE, NEGATED, OTHER_GUESS, doubted
from .formulas import formulas
from .kinds import Kind, Reading
from .marks import bare, without_gloss, without_marks
from .quantity import changes, is_operand, is_value_position
from .sentence import answer_and_aside, first_sentence

_LEAD = re.compile(
    r"^(?:[\s*_`>:：=#✅✔️→⇒➜-]{1,9}(?<![-])|(?:"
    r"so|for sure|definitely|certainly|clearly|simply|therefore|thus|hence|just|exactly|"
    r"approximately|about|around|roughly|equal to|given by|option|choice|probably|likely|now|obviously|indeed|actually|also|"
    r"donc|quindi|portanto|entonces|deshalb|somit|поэтому|"
    r"still|then|again|maybe|perhaps|the (?:number|value|point|fraction|set|interval|pair|ordered pair)|letter)\b[\s,:]*+)*+",
    re.I,
)
NUMBER = re.compile(
    r"(?<![A-Za-z0-9_.,])-?[$€£]?(?:\d{1,3}(?:,\d{3})+|\d+)?(?:\.\d+)?(?:(?<=\d)/\d+)?(?<=\d)(?:\s?(?:\\?%|percent\b|pct\b))?"
)
BOLD = re.compile(r"\*\*([^*\n]{1,200})\*\*|__([^_\n]{1,200})__")
_OPTION = re.compile(r"[(]?[A-J](?:\)|[.:])\s+\S")
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_SHARES = re.compile(r"\bwith\s{1,3}\d{1,3}\s?%[^\n%]{1,80}\d\s?%")
_LISTED = re.compile(r"(?:,|;|and|or|,\s{0,4}and|,\s{0,4}or|)")
_POLITE = re.compile(r"(?:입니다|이다|です|である|となります|となる|だ|입니다)\s*$")
_RELATED = re.compile(
    r"\b(?:is|are|was|were|equals?|has|have|had|be|gives?|yields?|gets?|makes?)\b|[:：](?=\s)|(?<![<>!=])="
)


def value_kind(name: str, read: Callable[[str], str | None], alone: Callable[[str], str | None]) -> Kind:
    """A kind of value: what stands around it in a sentence must leave it alone."""
    return Kind(name, read, alone, stated_value, sentence_value)


def stated_value(rest: str, kind: Kind) -> Reading | None:
    """The value at the beginning of what follows "the answer is"."""
    stripped = rest.lstrip(" \t\n\r*_`:：#")
    sentence, _ = first_sentence(stripped)
    if "**" in rest[: len(rest) - len(stripped)]:
        sentence = sentence.replace("**", "", 1)  # the bold that was opened before the value
    if sentence.rstrip(" *_$)\"'").endswith(("?", "？")):
        return None
    if IGNORANCE.search(sentence):
        return Reading(None, "the response says that it does not know")
    main, aside = answer_and_aside(sentence)
    if _SHARES.search(main):
        return Reading(None, "several guesses with their probabilities")
    main = _POLITE.sub("", main)
    if _OPTION.match(main):
        return Reading(bare(main))
    refusal = "the response hedges what it states" if doubted(aside) else ""
    refused = ""
    for candidate, tail in candidates(main):
        read = kind.read(candidate)
        if read is None:
            continue
        refused = refusal or changes(tail)
        if not refused:
            return Reading(read)
        break
    if refused:
        # The whole sentence may still be of the gold's words; the judge sees all of it or nothing.
        hedged = refused == refusal or OTHER_GUESS.search(main) or CONDITION.search(main)
        return Reading(None, f"stated, but {refused}") if hedged else Reading(bare(main), refused)
    if formulas(main):  # a formula that cannot be read stays whole; its numbers are not the answer
        return Reading(bare(main[formulas(main)[-1].start : formulas(main)[-1].end]))
    quantity = single_quantity(main)
    return Reading(quantity if quantity is not None else bare(_LEAD.sub("", main)) or bare(main) or None)


def candidates(sentence: str) -> Iterator[tuple[str, str]]:
    """Readings of a sentence, the most complete first, each with what of the sentence stands behind it."""
    whole = without_gloss(without_marks(bare(sentence)))
    yield whole, ""
    led = bare(_LEAD.sub("", sentence))
    if led != whole:
        yield led, ""
    maths = formulas(sentence)
    if maths:
        gaps = [sentence[a.end : b.start] for a, b in pairwise(maths)]
        if all(_LISTED.fullmatch(gap.strip()) for gap in gaps):
            yield ", ".join(formula.inner for formula in maths), sentence[maths[-1].end :]
        last = sentence[max(0, maths[-1].start - 3) : maths[-1].start]
        chosen = maths[-1] if "=" in last else maths[0]
        yield without_marks(chosen.inner), sentence[chosen.end :]
    for mark in (",", ";", "(", " – ", " — ", " - "):
        head, found, tail = led.partition(mark)
        if found and head.strip():
            yield bare(head), mark + tail
    for match in BOLD.finditer(sentence):
        yield bare(match[1] or match[2]), sentence[match.end() :]
    number = NUMBER.match(led)
    if maths or number is None or not number[0].strip("$-"):
        return
    tail = led[number.end() :]
    if not re.match(r"[A-Za-z0-9^*/(\\{]|\s*[*^]", tail):  # else it is a piece of a larger expression
        yield number[0], tail


def single_quantity(sentence: str) -> str | None:
    """The one number of a sentence of words, where it is what the sentence is about."""
    numbers = [match for match in NUMBER.finditer(sentence[:1000]) if match[0].strip("$-")]
    if len(numbers) != 1 or (len(sentence.split()) <= 3 and not _CJK.search(sentence)):
        return None
    before, after = sentence[: numbers[0].start()], sentence[numbers[0].end() :]
    if (
        re.match(r"[A-Za-z^*(\\{!]", after)
        or changes(after)
        or not is_value_position(before)
        or is_operand(before, after)
    ):
        return None
    return numbers[0][0]


def sentence_value(text: str, kind: Kind) -> Reading | None:
    """The value that a sentence comes to, in a place that is marked as the answer: "She has 3 apples left."."""
    line = text.strip().splitlines()[-1] if text.strip() else ""
    if not line or IGNORANCE.search(line) or NEGATED.match(line):
        return None
    sentences = [part for part in re.split(r"(?<=[.!?])\s+", line[-1000:]) if part.strip()]
    last = sentences[-1].rstrip(" .") if sentences else ""
    pieces = list(_RELATED.finditer(last))
    if pieces:
        stated = stated_value(last[pieces[-1].end() :], kind)
        before = last[: pieces[-1].end()]
        if stated is not None and stated.text and kind.read(stated.text) is not None and is_value_position(before[:-1]):
            return stated
        if stated is not None and stated.text is None:
            return stated
    quantity = single_quantity(last)
    return Reading(quantity) if quantity is not None and kind.read(quantity) is not None else None
