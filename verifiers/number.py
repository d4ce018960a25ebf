"""number: the final answer is a number, equal to the gold one within a tolerance."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from .base import verifier
from .final_answer import Kind, final_answer
from .score import Score
from .selftest import Case

MAX_DIGITS = 400
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+−])?\s?(?P<whole>{_DIGITS})?(?P<decimals>\.[0-9]+)?(?:[eE](?P<exponent>[-+]?[0-9]{{1,3}}))?"
    rf"(?:\s?/\s?(?P<divisor>{_DIGITS}))?",
    re.ASCII,
)
_LATEX_FRACTION = re.compile(r"([-+]?)\\[dt]?frac\{?([0-9]{1,40})\}?\{?([0-9]{1,40})\}?", re.ASCII)
# What may stand around a number without changing it: currency before, a unit in words after.
_BEFORE = re.compile(r"^(?:approximately|about|=|≈|\\approx|[a-zA-Z]\s*=|US|[$€£¥]|\\\$|\\text\{\s*\$?\s*\}|\s)+")
_AFTER = re.compile(
    r"^(?:\s*(?:%|\\%|°|\\text\{[^{}]*\}|\\mathrm\{[^{}]*\}|\\,|\\ |[€£¥$]|[A-Za-z²³°/ ]{1,40}))*+[.!]?\s*$"
)


def parse_number(text: str) -> Fraction | None:
    """The exact value of ``text`` when it is one number, with thousands commas, a unit or a currency; else None."""
    text = text.strip().strip("*").replace(r"\!", "").replace("{,}", ",").replace(r"\$", "$").strip("$ ")
    if len(text) > MAX_DIGITS + 100:
        return None
    text = _LATEX_FRACTION.sub(r"\1\2/\3", text)
    negative = text.startswith(("-$", "−$"))
    text = text[1:] if negative else text
    text = text[match.end() :] if (match := _BEFORE.match(text)) else text
    match = _NUMBER.match(text)
    if match is None or not (match["whole"] or match["decimals"]) or not _AFTER.match(text[match.end() :]):
        return None
    value = Fraction(f"{(match['whole'] or '0').replace(',', '')}{match['decimals'] or ''}")
    exponent = int(match["exponent"] or 0)
    value *= Fraction(10) ** exponent
    if match["divisor"]:
        divisor = int(match["divisor"].replace(",", ""))
        if divisor == 0:
            return None
        value /= divisor
    return -value if negative or match["sign"] in ("-", "−") else value


def _is_number(text: str) -> bool:
    return parse_number(text) is not None


NUMBER = Kind("number", _is_number, _is_number)


def _cases() -> list[Case]:
    return [
        Case("#### 18", "18", expected=1.0),
        Case(r"So she pays \boxed{\$1,234.50}", "1234.5", expected=1.0),
        Case("The answer is 72 apples.", 72, expected=1.0),
        Case("-3/4", "-0.75", expected=1.0),
        Case(r"\boxed{\frac{3}{4}}", "0.75", expected=1.0),
        Case("The answer is 71.", 72, expected=0.0),
        Case("#### 1 or 18", "18", expected=0.0),
        Case("\\boxed{4}\n\\boxed{5}", "5", expected=0.0),
        Case("18 and some words but\nno final answer 18", "18", expected=0.0),
    ]


@verifier(name="number", timeout=2.0, cases=_cases)
def number(response: str, answer: Any, rel_tol: float = 1e-6, abs_tol: float = 0.0) -> Score:
    """Whether the final answer is the gold number, by value.

    The final answer is taken from answer tags, a box, a ``####`` line or "the answer is"; a one-line response is its
    own answer. Two different final answers are none. Exact rational comparison: ``|x - gold| <= max(abs_tol,
    rel_tol * |gold|)``, and equality for integers.
    """
    gold = parse_number(str(answer).rpartition("####")[2])
    if gold is None:
        raise ValueError(f"number: the gold answer {answer!r:.100} is not a number")
    found = final_answer(response, NUMBER)
    if found.text is None:
        return Score(0.0, reason=found.reason)
    value = parse_number(found.text)
    if value is None:
        return Score(0.0, extracted=found.text, reason="not a number")
    if gold.denominator == 1 and value.denominator == 1 and not abs_tol:
        return Score(float(value == gold), extracted=found.text)
    allowed = max(Fraction(abs_tol), Fraction(rel_tol) * abs(gold))
    return Score(float(abs(value - gold) <= allowed), extracted=found.text)
