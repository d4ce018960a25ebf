"""What stands around a number in running text: a unit or counted noun, or something that makes it another number."""

from __future__ import annotations

import re

from .doubt import CONDITION, DENIES, OTHER_GUESS
from .scales import WORDS, factor

# Directly behind a number these make it another one. A closed class: units and counted nouns are an open one.
_CHANGES = frozenset(
    [
        "of",
        "out",
        "over",
        "factorial",
        "point",
        "and",
        "or",
        "minus",
        "plus",
        "times",
        "divided",
        "multiplied",
        "by",
        "to",
        "through",
        "thru",
        "squared",
        "cubed",
        "mod",
        "modulo",
        "choose",
        "percentage",
        "raised",
        "power",
        "root",
        "base",
        "x",
        "pairs",
        "double",
        "is",
        "are",
        "was",
        "were",
        "be",
        "has",
        "have",
        "hundred-odd",
        "something",
        "odd",
        "rd",
        "st",
        "nd",
        "th",
    ]
)
_COMPARED = re.compile(r"\b(?:more|less|fewer|greater|larger|smaller|higher|lower|longer|older)\s{1,4}than\b", re.I)
_FRACTION = re.compile(rf"\band\s{{1,4}}(?:an?|one|two|three)\s{{1,4}}(?:{'|'.join(WORDS)})\b", re.I)
_PARTITIVE = re.compile(r"^of (?:them|these|those|us|it)\b")
# The sum of 6 terms is no 6, a sum of 6 dollars is one.
_OPERATED = re.compile(r"\b(?:sum|product|average|mean|median|difference|quotient|remainder) of\s{0,4}$", re.I)
_OPERANDS = re.compile(
    r"\s{0,4}(?:[a-z]+\s{1,3}){0,2}(?:terms|numbers|integers|primes|values|squares|cubes|elements|fractions|digits|factors|summands)\b",
    re.I,
)
_MULTIPLE = re.compile(r"的(?:倍|平方|立方|倒数|相反数|一半)|の倍")
_PARTICLE = re.compile(r"[的分余多左上下以]|이상|이하|미만|초과")
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_NOT_WORDS = re.compile(r"[\d\\$^=<>+*/|&{}\[\]¦²³!?±×÷√π]")
# Before a number these say that it is no value: a label, a bound, a position.
_NO_VALUE = re.compile(
    r"\b(?:at least|at most|more|less|fewer|greater|than|under|over|below|above|between|near|nearly|almost|close|from|"
    r"far|but|anything|except|besides|after|before|until|within|beyond|by|equations?|eq|examples?|steps?|cases?|"
    r"problems?|questions?|parts?|options?|choices?|exercises?|lemma|theorems?|figures?|fig|tables?|lines?|rows?|pages?|"
    r"sections?|chapters?|items?|no|number(?! of)|up to|minus|negative|plus|half|twice|double|triple|square|cube|root|"
    r"times|reciprocal|inverse|multiples?|divisors?|factors?|opposite|negation|complement|conjugate|logarithm|log|factorial|"
    r"powers?|percent|fraction|digits?|derivative|modulo|mod|unknown|unclear|hard|difficult|not|never|cannot|can't|except)\b[^.;:\n]{0,40}$|(?:至少|至多|不到|超过|大于|小于|少于|多于|第|步骤|接近)\s{0,2}$",
    re.I,
)


def changes(tail: str) -> str:
    """Why the words behind a number do not leave its value alone; empty when they do (a unit, a noun, an aside)."""
    text = tail.strip(" \t\n*_`.,;:!–—-。，")
    text = _PARTITIVE.sub("", text)
    if not text:
        return ""
    if OTHER_GUESS.search(text):
        return "another guess follows"
    if CONDITION.search(text):
        return "a condition follows"
    if DENIES.search(text):
        return "it is denied"
    plain = text[1:-1] if text[0] in "(（[" and text[-1] in ")）]" else text
    if _FRACTION.search(plain) or _COMPARED.search(plain):
        return "what follows changes the value"
    if plain is not text:
        return ""  # "(three)", "(6 / 2)"
    if _NOT_WORDS.search(text):
        return "more follows than words"
    if _PARTICLE.match(text) or _MULTIPLE.search(text):
        return "a particle changes the value"
    first = _WORD.match(text)
    if (
        first
        and (first[0].lower() in _CHANGES or factor(first[0]) is not None)
        and not tail.lstrip().startswith((",", ";", "–", "—", "-"))
    ):
        return f"{first[0]!r} changes the value"
    return ""


def is_value_position(before: str) -> bool:
    """Whether a number behind these words is what a sentence is about, and no label, bound or part of an operation."""
    return _NO_VALUE.search(before[-80:]) is None and not re.search(r"[(:;#=<>^_]\s*$|\bn't\b", before[-80:])


def is_operand(before: str, after: str) -> bool:
    """Whether a number only counts what an operation is applied to: "the sum of 6 terms"."""
    return _OPERATED.search(before[-40:]) is not None and _OPERANDS.match(after[:80]) is not None
