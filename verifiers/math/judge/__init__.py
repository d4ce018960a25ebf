"""From two answer texts to a verdict: strings, integers, letters, values, words, in this order."""

from __future__ import annotations

import re

from ..read import parse_cached
from .equal import same
from .exact import Undefined
from ..read.spelling import bare
from ..read.spelling import to_ascii
from ..limits import MAX_ANSWER, LimitExceeded, ParseError
from .shapes import Mode
from ..values import Value
from .words import chosen_letter, gold_choice, letter_set, option_text, same_words, spelled

_INTEGER = re.compile(r"[+-]?\d+")
_LABELS = re.compile(r"\((?:[a-e]|i{1,3}|iv|[1-5])\)")
_GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d.])")


def judge(gold: str, answer: str, mode: Mode = "default") -> tuple[bool, str]:
    """(verdict, reason) for an extracted answer against one gold answer.

    Never raises for any text, and never does unbounded work: what exceeds a limit is wrong, with the limit named.
    """
    if gold == answer:
        return bool(gold.strip()), "identical"
    gold, answer = to_ascii(bare(gold)), to_ascii(bare(answer))
    if not gold or not answer:
        return False, "an empty answer"
    if gold == answer:
        return True, "identical"
    if max(len(gold), len(answer)) > MAX_ANSWER:
        return False, f"an answer of more than {MAX_ANSWER} characters"
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return _same_digits(gold, answer), "whole numbers compared"
    choice = gold_choice(gold)
    if choice is not None:
        letter = chosen_letter(answer)
        if letter is not None:
            return letter == choice[0], "choice letters compared"
        gold = choice[1] or gold
    letters = letter_set(gold), letter_set(answer)
    if letters[0] and letters[1] and letters[0][1] != letters[1][1]:
        return letters[0][0] == letters[1][0], "sets of letters compared"
    verdict, reason = _by_value(spelled(gold), spelled(answer), mode)
    if not verdict and choice is None:
        option = option_text(answer)
        if option is not None and _by_value(gold, option, mode)[0]:
            return True, "the text of the chosen option"
    return verdict, reason


def _same_digits(one: str, two: str) -> bool:
    signs = [text.startswith("-") for text in (one, two)]
    digits = [text.lstrip("+-").lstrip("0") or "0" for text in (one, two)]
    return digits[0] == digits[1] and (signs[0] == signs[1] or digits[0] == "0")


def _by_value(gold: str, answer: str, mode: Mode) -> tuple[bool, str]:
    expected, given = parse_cached(gold), parse_cached(answer)
    for value in (expected, given):
        if isinstance(value, LimitExceeded):
            return "".join(gold.split()) == "".join(answer.split()), f"over a limit: {value}"
    if isinstance(expected, Value) and isinstance(given, Value):
        verdict, reason = compare(expected, given, mode)
        if not verdict and _GROUPED.search(gold) and not _GROUPED.search(answer):
            # "70,110" is a number with a thousands separator, or two answers; the response may tell which.
            other = parse_cached(gold, "list")
            if isinstance(other, Value) and compare(other, given, mode)[0]:
                return True, "equal as a list"
        if verdict or not (_wordlike(gold) and _wordlike(answer)):
            return verdict, reason
    if same_words(gold, answer):
        return True, "the same words"
    listed = without_enumeration(gold), without_enumeration(answer)
    if listed != (gold, answer):
        return _by_value(listed[0], listed[1], mode)
    if isinstance(given, ParseError):
        return False, f"not read as mathematics: {given}"
    return False, "different words" if isinstance(expected, ParseError) else "not equal"


def without_enumeration(text: str) -> str:
    """``(a) 3 (b) 5`` as the list ``3, 5``."""
    if not text.replace("\\text{", "").lstrip().startswith(("(a)", "(i)", "(1)")):
        return text
    parts = _LABELS.split(text.replace("\\text{", "{"))
    return ", ".join(part.strip(" ,;.{}") for part in parts if part.strip(" ,;.{}")) if len(parts) > 2 else text


def _wordlike(text: str) -> bool:
    return "text" in text or "mathrm" in text or "mbox" in text or text.replace(" ", "").isalpha()


def compare(expected: Value, given: Value, mode: Mode) -> tuple[bool, str]:
    """`equal.same` with its refusals turned into a verdict."""
    try:
        verdict = same(expected, given, mode)
    except LimitExceeded as error:
        return False, f"over a limit: {error}"
    except Undefined as error:
        return False, f"undefined: {error}"
    except ParseError as error:
        return False, f"not comparable: {error}"
    return verdict, "equal" if verdict else "not equal"
