"""From two answer texts to a verdict: strings, integers, letters, values, words, in this order."""

from __future__ import annotations

import re

from ...final_answer import bare
from ..limits import MAX_ANSWER, LimitExceeded, ParseError
from ..read import parse_cached
from ..read.spelling import to_ascii, undoubled
from ..values import Expr, ListOf, Percent, Quantity, Value
from .evaluated import unevaluated
from .exact import Undefined, exact
from .letters import chosen_letter, gold_choice, letter_set, option_text
from .marker import Marker, Mode
from .numerals import spelled
from .numeric import fresh_budget
from .parameters import declared_integers, renamings
from .rules import marker
from .words import formulas_and_words, letters_only, same_words

__all__ = ["Mode", "compare", "judge"]

_INTEGER = re.compile(r"[+-]?[0-9]+")
_LABELS = re.compile(r"\((?:[a-e]|i{1,3}|iv|[1-5])\)")
_GROUPED = re.compile(r"(?<![\d.])\d{1,3}(?:,(?:\\,)?\s?\d{3})+(?![\d.])")
_COMMA = re.compile(r"[^0-9,]*[0-9]+,[0-9]+[^0-9,]*")
_MARKS = re.compile(r"\s+|\\(?:left|right|displaystyle)(?![a-zA-Z])|\\[,;:! ]|[~$]")


def judge(gold: str, answer: str, mode: Mode = "default", closed: bool = False) -> tuple[bool, str]:
    """(verdict, reason) for an extracted answer against one gold answer.

    Never raises for any text, and never does unbounded work: what exceeds a limit is wrong, with the limit named.

    Args:
        closed: an answer that still has to be calculated (a sum, an integral, 2 + 2) does not answer for a number.
    """
    if gold == answer:
        return bool(gold.strip()), "identical"
    gold, answer = (undoubled(to_ascii(bare(text))) for text in (gold, answer))
    if not gold or not answer:
        return False, "an empty answer"
    if gold == answer:
        return True, "identical"
    if max(len(gold), len(answer)) > MAX_ANSWER:
        return _spelled_alike(gold, answer), f"an answer of more than {MAX_ANSWER} characters"
    if _INTEGER.fullmatch(gold) and _INTEGER.fullmatch(answer):
        return _same_digits(gold, answer), "whole numbers compared"
    fresh_budget()
    choice = gold_choice(gold)
    if choice is not None:
        letter = chosen_letter(answer)
        if letter is not None:
            return letter == choice[0], "choice letters compared"
        gold = choice[1] or gold
    letters = letter_set(gold), letter_set(answer)
    if letters[0] and letters[1] and (letters[0][1] != letters[1][1] or not letters[0][0].isascii()):
        return letters[0][0] == letters[1][0], "sets of letters compared"
    verdict, reason = _by_value(spelled(gold), spelled(answer), mode, closed)
    if not verdict and choice is None:
        option = option_text(answer)
        if option is not None and _by_value(gold, option, mode, closed)[0]:
            return True, "the text of the chosen option"
    return verdict, reason


def _spelled_alike(gold: str, answer: str) -> bool:
    """Too large to be read: equal only where nothing but blanks and the size of brackets differs."""
    return _MARKS.sub("", gold) == _MARKS.sub("", answer)


def _same_digits(one: str, two: str) -> bool:
    signs = [text.startswith("-") for text in (one, two)]
    digits = [text.lstrip("+-").lstrip("0") or "0" for text in (one, two)]
    return digits[0] == digits[1] and (signs[0] == signs[1] or digits[0] == "0")


def _by_value(gold: str, answer: str, mode: Mode, closed: bool) -> tuple[bool, str]:
    expected, given = parse_cached(gold), parse_cached(answer)
    for value in (expected, given):
        if isinstance(value, LimitExceeded):
            return _spelled_alike(gold, answer), f"over a limit: {value}"
    mark = marker(mode, declared_integers(gold))
    if isinstance(expected, Value) and isinstance(given, Value):
        verdict, reason = _compared(expected, given, gold, answer, mark)
        if verdict and closed:
            left = unevaluated(expected, given)
            if left:
                return False, f"not evaluated: {left}"
        if verdict or not (letters_only(gold) and letters_only(answer)):
            return verdict, reason
    if same_words(gold, answer):
        return True, "the same words"
    if _same_mixed(gold, answer, mark):
        return True, "the same words and formulas"
    listed = without_enumeration(gold), without_enumeration(answer)
    if listed != (gold, answer):
        return _by_value(listed[0], listed[1], mode, closed)
    if isinstance(given, ParseError):
        return False, f"not read as mathematics: {given}"
    return False, "different words" if isinstance(expected, ParseError) else "not equal"


def _compared(expected: Value, given: Value, gold: str, answer: str, mark: Marker) -> tuple[bool, str]:
    """Equal as they are read first, by another reading of their commas, or with a parameter renamed."""
    verdict, reason = compare(expected, given, mark)
    if verdict:
        return True, reason
    if _GROUPED.search(gold) and not _GROUPED.search(answer):
        # "70,110" is a number with a thousands separator, or two answers; the response may tell which.
        other = parse_cached(gold, "list")
        if isinstance(other, Value) and compare(other, given, mark)[0]:
            return True, "equal as a list"
    if isinstance(expected, ListOf) and _GROUPED.search(answer):
        other = parse_cached(answer, "list")
        if isinstance(other, Value) and compare(expected, other, mark)[0]:
            return True, "equal as a list"
    if _COMMA.fullmatch(answer) and _is_fraction(expected):
        other = parse_cached(answer, "decimal")
        if isinstance(other, Value) and compare(expected, other, mark)[0]:
            return True, "equal with a decimal comma"
    for renamed in renamings(expected, given, gold, answer):
        if compare(expected, renamed, mark)[0]:
            return True, "equal with the parameter renamed"
    return verdict, reason


def _is_fraction(value: Value) -> bool:
    """Whether a value is one number that is not whole, so that a list cannot be meant beside it."""
    inner = value.value if isinstance(value, (Quantity, Percent)) else value
    try:
        number = exact(inner) if isinstance(inner, Expr) else None
    except (Undefined, LimitExceeded):
        return False
    return number is not None and number.denominator != 1


def _same_mixed(gold: str, answer: str, mark: Marker) -> bool:
    """``2^{n-1} if n is odd``: the words by their normal form, the formulas between them by value."""
    one, two = formulas_and_words(gold), formulas_and_words(answer)
    if one is None or two is None or [wordy for wordy, _ in one] != [wordy for wordy, _ in two] or len(one) > 40:
        return False
    for (wordy, first), (_, second) in zip(one, two, strict=True):
        if wordy or first == second:
            if first != second and not same_words(first, second):
                return False
            continue
        values = parse_cached(first), parse_cached(second)
        if not (
            isinstance(values[0], Value) and isinstance(values[1], Value) and compare(values[0], values[1], mark)[0]
        ):
            return False
    return True


def without_enumeration(text: str) -> str:
    """``(a) 3 (b) 5`` as the list ``3, 5``."""
    if not text.replace("\\text{", "").lstrip().startswith(("(a)", "(i)", "(1)")):
        return text
    parts = _LABELS.split(text.replace("\\text{", "{"))
    return ", ".join(part.strip(" ,;.{}") for part in parts if part.strip(" ,;.{}")) if len(parts) > 2 else text


def compare(expected: Value, given: Value, mark: Marker) -> tuple[bool, str]:
    """`Marker.same` with its refusals turned into a verdict."""
    try:
        verdict = mark.same(expected, given)
    except LimitExceeded as error:
        return False, f"over a limit: {error}"
    except Undefined as error:
        return False, f"undefined: {error}"
    except ParseError as error:
        return False, f"not comparable: {error}"
    return verdict, "equal" if verdict else "not equal"
