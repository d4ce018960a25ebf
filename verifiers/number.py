"""number: the final answer is a number, equal to the gold one within a tolerance."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

from grpo_kit.types import Score

from .cases import Case
from .final_answer import bare, final_answer, value_kind
from .final_answer.gold import final_of_gold, gold_texts
from .final_answer.marks import without_marks
from .final_answer.quantity import changes
from .final_answer.scales import factor
from .register import verifier

MAX_DIGITS = 400
MAX_TEXT = 600
_DIGITS = r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)"
_NUMBER = re.compile(
    rf"(?P<sign>[-+−])?\s?(?P<currency>[$€£¥₹]\s?)?(?P<whole>{_DIGITS})?(?P<decimals>\.[0-9]+)?"
    rf"(?:[eE](?P<exponent>[-+]?[0-9]{{1,3}}))?(?:(?:\s(?P<mixed>[0-9]{{1,20}}))?\s?/\s?(?P<divisor>{_DIGITS}))?"
    r"(?:\s?(?:\\times|\\cdot|×|·|\*|x)\s?10\s?(?:\^|\*\*)\s?\{?(?P<power>[-+−]?[0-9]{1,3})\}?)?",
    re.ASCII,
)
_LATEX_FRACTION = re.compile(
    r"([0-9])?\s?\\[dtc]?frac\s?(?:\{\s?([0-9]{1,40})\s?\}|([0-9]))\s?(?:\{\s?([0-9]{1,40})\s?\}|([0-9]))", re.ASCII
)
# What may stand before a number without changing it.
_BEFORE = re.compile(
    r"(?:approximately|about|exactly|roughly|around|=|≈|~|\\approx|\\sim|US(?=\s?\$)|USD|EUR|GBP|Rs\.?|\\text\{\s?\}|\s)++",
    re.I,
)
_NAME = re.compile(r"[A-Za-z][A-Za-z_{}()' ]{0,60}")
_TEXTS = re.compile(r"\\(?:text|textrm|textbf|mathrm|mbox|operatorname)\s?\{([^{}]{0,200})\}")
# Units that are written with signs: degrees, squares of a unit, slashes.
_UNIT_SIGNS = re.compile(
    r"\\[,;:! ]|~|\\?%|\^?\s?\{?\\circ\}?|°|[€£¥₹$]|(?<=[A-Za-z])(?:\^\{?[23]\}?|[²³])|(?<=[A-Za-z])/(?=[A-Za-z])"
)
_FONT = re.compile(
    r"\\(?:math|text)(?:bf|rm|it|sf|tt|normal)\s?(?=\{\s?[-+$\d.])|\\(?:bm|boldsymbol|text|mbox)\s?(?=\{\s?[-+$\d.])|\\displaystyle\b"
)
_WRAPPED = re.compile(r"(?:\[|\(|\{)\s{0,4}([-+]?[\d.,]{1,60})\s{0,4}(?:\]|\)|\})")
_UNIT_LETTERS = "mgshlLdkCFKJNWV"
_DIVISION = re.compile(r"[0-9]\s?/\s?[0-9]")
_SCALE = re.compile(r"[\s-]?([^\W\d_]{1,12})\b")


def parse_number(text: str) -> Fraction | None:
    """The exact value of ``text`` when it is one number, or None.

    Understood around it: thousands commas, a currency, a unit or counted noun, a name (``x = 5``), and words that
    scale it (``5 million``, ``2 dozen``). What changes it in another way (``5 tenths``, ``5²``, ``5 of 7``, ``5 is
    wrong``) leaves no number.
    """
    if len(text) > MAX_TEXT:
        return None
    text = without_marks(bare(text)).replace(r"\!", "").replace("{,}", ",").replace(r"\$", "$").strip("$ ")
    text = re.sub(r"(?<=[0-9])(?:\\[,; ]|,\s?(?=[0-9]{3}(?![0-9])))(?=[0-9]{3}(?![0-9]))", ",", text)
    text = _FONT.sub("", _LATEX_FRACTION.sub(_plain_fraction, text)).strip()
    if not any(map(str.isdigit, text)) or text.endswith(")"):
        from .math.judge.numerals import spelled

        text = _LATEX_FRACTION.sub(_plain_fraction, spelled(text))
    if inner := _WRAPPED.fullmatch(text):
        text = inner[1]
    if "=" in text.strip("= "):
        *left, text = (part.strip() for part in text.split("="))
        if left and not _NAME.fullmatch(left[0]) and _NUMBER.fullmatch(left[0]) and not _NUMBER.fullmatch(text):
            text, left[0] = left[0], text  # 7 = 3 + 4
        if not all(_same(part, text) for part in left if part):
            return None
    elif "≈" in text.lstrip("≈ "):
        return None
    negative = re.match(r"[-−]\s?(?=[$€£¥₹])", text) is not None
    text = text[1:].lstrip() if negative else text
    text = text[match.end() :] if (match := _BEFORE.match(text)) else text
    match = _NUMBER.match(text)
    if match is None or not (match["whole"] or match["decimals"]) or len(match[0]) > MAX_DIGITS:
        return None
    value = _value(match)
    tail = _TEXTS.sub(r" \1", text[match.end() :])
    if (letter := re.match(r"[A-Za-z](?![A-Za-z])", tail)) and letter[0] not in _UNIT_LETTERS:
        return None  # 12i, 5x
    if value is None or tail.startswith("!") or re.match(r"\s?(?:[-*²³+]|\^(?!\s?\{?\\circ))", tail):
        return None
    if (scale := _SCALE.match(tail)) and (times := factor(scale[1])) is not None:
        value, tail = value * times, tail[scale.end() :]
        if (again := _SCALE.match(tail)) and factor(again[1]) is not None:
            return None
    tail = _UNIT_SIGNS.sub(" ", tail)
    if changes(tail.rstrip(".!")):
        return None
    return -value if negative else value


def _plain_fraction(match: re.Match[str]) -> str:
    whole = f"{match[1]} " if match[1] else ""
    return f"{whole}{match[2] or match[3]}/{match[4] or match[5]}"


def _value(match: re.Match[str]) -> Fraction | None:
    value = Fraction(f"{(match['whole'] or '0').replace(',', '')}{match['decimals'] or ''}")
    value *= Fraction(10) ** (int(match["exponent"] or 0) + int((match["power"] or "0").replace("−", "-")))
    if match["divisor"]:
        divisor = int(match["divisor"].replace(",", ""))
        if divisor == 0:
            return None
        value = value + Fraction(int(match["mixed"]), divisor) if match["mixed"] else value / divisor
    return -value if match["sign"] in ("-", "−") else value


def _same(left: str, right: str) -> bool:
    """Whether the left side of an equation is a name or comes to the right side: a false equation is no answer."""
    left = _TEXTS.sub(r"\1", left).strip()
    if _NAME.fullmatch(left):
        return True
    from .math import equal

    return equal(right, left)


def _read(text: str) -> str | None:
    return text if parse_number(text) is not None else None


NUMBER = value_kind("number", _read, _read)


def _cases() -> list[Case]:
    right = [
        ("#### 18", "18"), (r"So she pays \boxed{\$1,234.50}", "1234.5"), ("The answer is 72 apples.", 72), ("-3/4", "-0.75"),
        (r"\boxed{\frac{3}{4}}", "0.75"), ("#### 72, altogether", "72"),
        (r"The answer is \(72\).", 72), ("I first guessed \\boxed{3}, but that fails. So \\boxed{4}.", 4),
        ("<answer>The answer is 72</answer>", 72), ("The answer is 5 million.", 5_000_000), ("答案是72", 72),
    ]  # fmt: skip
    wrong = [
        ("The answer is 71.", 72), ("#### 1 or 18", "18"), ("\\boxed{4}\n\\boxed{5}", "5"),
        ("18 and some words but\nno final answer 18", "18"), ("18 million", 18), ("18k", 18), ("18 squared", 18),
        ("18²", 18), ("18 is not the answer", 18), ("The answer is not \\boxed{5}.", 5), ("The answer is 5 of 7", 5),
    ]  # fmt: skip
    return [
        *(Case(text, answer, expected=1.0) for text, answer in right),
        *(Case(text, answer, expected=0.0) for text, answer in wrong),
    ]


@verifier(name="number", timeout=2.0, cases=_cases)
def number(response: str, answer: Any, rel_tol: float = 1e-6, abs_tol: float = 0.0) -> Score:
    """Whether the final answer is the gold number, by value.

    The final answer is taken from answer tags, a box, a ``####`` line or "the answer is"; a response that is nothing
    but a number is its own answer. Two different final answers are none. Exact rational comparison:
    ``|x - gold| <= max(abs_tol, rel_tol * |gold|)``, and equality for integers.
    """
    texts = gold_texts(answer)
    golds = [parse_number(final_of_gold(text, NUMBER)) for text in texts]
    if any(gold is None for gold in golds):
        raise ValueError(f"number: the gold answer {answer!r:.100} is not a number")
    found = final_answer(response, NUMBER)
    if found.text is None:
        return Score(0.0, reason=found.reason)
    value = parse_number(found.text)
    if value is None:
        return Score(0.0, extracted=found.text[:2000], reason="not a number")
    if (
        value.denominator == 1
        and "=" not in found.text
        and _DIVISION.search(_LATEX_FRACTION.sub(_plain_fraction, found.text))
    ):
        return Score(0.0, extracted=found.text[:2000], reason="not evaluated: a division that comes out even")
    right = any(_close(value, gold, rel_tol, abs_tol) for gold in golds if gold is not None)
    return Score(float(right), extracted=found.text)


def _close(value: Fraction, gold: Fraction, rel_tol: float, abs_tol: float) -> bool:
    if gold.denominator == 1 and value.denominator == 1 and not abs_tol:
        return value == gold
    return abs(value - gold) <= max(Fraction(abs_tol), Fraction(rel_tol) * abs(gold))
