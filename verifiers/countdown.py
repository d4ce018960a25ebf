"""countdown: an arithmetic expression that reaches the target with each given number used exactly once."""

from __future__ import annotations

import json
import re
from collections import Counter
from fractions import Fraction
from typing import Any

from grpo_kit.types import Score

from .cases import Case
from .final_answer import final_answer
from .register import verifier

MAX_EXPRESSION = 500
MAX_DEPTH = 40
_TOKEN = re.compile(r"\s*(?:([0-9]{1,12})|([-+*/()]))", re.ASCII)
_SPELLINGS = {  # in order: what begins with another's sign comes first
    **dict.fromkeys((r"\(", r"\)", r"\[", r"\]"), " "),
    **dict.fromkeys((r"\{", r"\lbrack"), "("),
    **dict.fromkeys((r"\}", r"\rbrack"), ")"),
    **dict.fromkeys(("×", "·", "⋅", "∙", "∗", "✕", "✖", r"\times", r"\cdot", r"\ast"), "*"),
    **dict.fromkeys(("÷", "∕", "⁄", "∶", r"\div"), "/"),
    **dict.fromkeys(("−", "–", "‐", "﹣", "－"), "-"),
    **dict.fromkeys(("＋", "﹢"), "+"),
    **dict.fromkeys(("[", "{", "（"), "("),
    **dict.fromkeys(("]", "}", "）"), ")"),
    **dict.fromkeys(
        ("\u00a0", r"\quad", r"\,", r"\;", r"\:", r"\!", "\\ ", r"\displaystyle", "$", r"\(", r"\)", r"\[", r"\]"), " "
    ),
    "＝": "=",
}
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])\.?")
_LETTER_TIMES = re.compile(r"(?<=[0-9)\s])[xX](?=[0-9(\s])")  # 2x(5+7), 2 x 3
_FENCE = re.compile(r"^\s*(?:`{1,3}|~{3})[a-z]{0,10}\s|\s*(?:`{1,3}|~{3})\s*$")
_FRACTION = re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}")


class ExpressionError(ValueError):
    """Text that is not an arithmetic expression, or one without a value."""


def evaluate(text: str) -> tuple[Fraction, list[int]]:
    """The exact value of ``text`` and the numbers written in it, in order.

    Grammar: integers, ``+ - * /``, parentheses, signs, and products without a sign, ``2(5+7)`` and ``(1+2)(3+4)``.

    Raises:
        ExpressionError: anything else, a division by zero, or more than 500 characters or 40 levels.
    """
    if len(text) > MAX_EXPRESSION:
        raise ExpressionError(f"the expression is longer than {MAX_EXPRESSION} characters")
    parser = _Parser(_tokens(text))
    value = parser.sum(0)
    if parser.peek() is not None:
        raise ExpressionError(f"unexpected {parser.peek()!r}")
    return value, parser.numbers


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(f"not arithmetic: {text[position : position + 20]!r}")
        tokens.append(match[1] or match[2])
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.position = 0
        self.numbers: list[int] = []

    def peek(self) -> str | None:
        return self.tokens[self.position] if self.position < len(self.tokens) else None

    def next(self) -> str | None:
        token = self.peek()
        self.position += 1
        return token

    def sum(self, depth: int) -> Fraction:
        value = self.product(depth)
        while self.peek() in ("+", "-"):
            value = value + self.product(depth) if self.next() == "+" else value - self.product(depth)
        return value

    def product(self, depth: int) -> Fraction:
        value = self.atom(depth)
        while (sign := self.peek()) in ("*", "/", "(") or self._number_follows_bracket():
            if sign not in ("*", "/") or self.next() == "*":  # 2(5+7): a product, as strong as a written one
                value *= self.atom(depth)
            else:
                divisor = self.atom(depth)
                if divisor == 0:
                    raise ExpressionError("division by zero")
                value /= divisor
        return value

    def _number_follows_bracket(self) -> bool:
        token = self.peek()
        return token is not None and token.isdigit() and self.position > 0 and self.tokens[self.position - 1] == ")"

    def atom(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise ExpressionError(f"nested deeper than {MAX_DEPTH} levels")
        token = self.next()
        if token == "(":
            value = self.sum(depth + 1)
            if self.next() != ")":
                raise ExpressionError("a parenthesis is not closed")
            return value
        if token == "-":
            return -self.atom(depth + 1)
        if token == "+":
            return self.atom(depth + 1)
        if token is None or not token.isdigit():
            raise ExpressionError(f"a number is missing before {token!r}" if token else "the expression ends too early")
        self.numbers.append(int(token))
        return Fraction(int(token))


def _cases() -> list[Case]:
    task = {"numbers": [44, 19, 35], "target": 98}
    return [
        Case(r"<think>44 + 19 = 63</think> \boxed{44 + 19 + 35}", task, expected=1.0),
        Case("<answer>(44 + 19) + 35 = 98</answer>", task, expected=1.0),
        Case("<answer>35 + 44 + 19</answer>", 98, meta=task, expected=1.0),
        Case(r"\boxed{98}", task, expected=0.0),
        Case(r"\boxed{44 + 44 + 10}", task, expected=0.0),
        Case(r"\boxed{44 + 19}", task, expected=0.0),
        Case("<answer>44 + 19 + 35 + 0</answer>", task, expected=0.0),
        Case("<answer>44 / (19 - 19) + 35</answer>", task, expected=0.0),
        Case("The numbers are 44 + 19 + 35.", task, expected=0.0),
        Case(r"\boxed{1\left(44 + 19\right) + 35}", task, expected=0.0),
        Case("<answer>[44 + 19] + 35.</answer>", task, expected=1.0),
    ]


@verifier(name="countdown", timeout=2.0, cases=_cases)
def countdown(response: str, answer: Any = None, meta: Any = None, format_score: float = 0.0) -> Score:
    """Full marks for an expression that equals the target and uses each number exactly once.

    The expression stands in the last ``\\boxed{}`` or ``<answer>`` tag; ``= 98`` after it is accepted when true.
    The task is ``{"numbers": [...], "target": n}``, as the answer or in meta. Exact rational arithmetic, own grammar.

    Args:
        format_score: value of a well-formed expression that uses the numbers but misses the target.
    """
    numbers, target = _task(answer, meta)
    if not isinstance(response, str) or not any(mark in response for mark in ("boxed", "<answer>", "<ANSWER>")):
        return Score(0.0, reason="no \\boxed{} and no <answer>")
    found = final_answer(response)
    if found.text is None:
        return Score(0.0, reason=found.reason)
    text = _plain(found.text)
    try:
        if text.count("=") > 1:
            raise ExpressionError("more than one equals sign")
        left, _, right = text.partition("=")
        value, used = evaluate(left)
        claimed = evaluate(right)[0] if right else value
    except ExpressionError as error:
        return Score(0.0, extracted=found.text, reason=str(error))
    if Counter(used) != Counter(numbers):
        return Score(0.0, extracted=found.text, reason=f"used {sorted(used)}, given {sorted(numbers)}")
    if value != target or claimed != value:
        return Score(float(format_score), extracted=found.text, reason=f"equals {value}, wanted {target}")
    return Score(1.0, extracted=found.text)


def _plain(text: str) -> str:
    """``text`` in the signs of the grammar."""
    text = _FENCE.sub(" ", text[: 4 * MAX_EXPRESSION].strip()).strip().strip("`")
    text = _SIZES.sub("", text)
    for _ in range(MAX_DEPTH):
        text, changed = _FRACTION.subn(r"((\1)/(\2))", text)
        if not changed:
            break
    for spelling, sign in _SPELLINGS.items():
        text = text.replace(spelling, sign)
    return _LETTER_TIMES.sub("*", text).strip().removesuffix(".").strip()


def _task(answer: Any, meta: Any) -> tuple[list[int], Fraction]:
    if isinstance(answer, str) and answer.lstrip().startswith("{"):
        answer = json.loads(answer)
    task = answer if isinstance(answer, dict) else meta if isinstance(meta, dict) else {}
    numbers = task.get("numbers", task.get("nums"))
    target = task.get("target", None if isinstance(answer, (dict, list)) else answer)
    if numbers is None or target is None:
        raise ValueError(
            f"countdown needs 'numbers' and 'target' in the answer or in meta; got answer {answer!r:.100} and meta "
            f"{meta!r:.100}"
        )
    if isinstance(numbers, (str, dict)) or not hasattr(numbers, "__iter__") or isinstance(target, (list, dict, bool)):
        raise ValueError(
            f"countdown: 'numbers' must be a list and 'target' a number; got {numbers!r:.100}, {target!r:.100}"
        )
    read = [Fraction(str(number)) for number in numbers]
    if any(number.denominator != 1 for number in read):
        raise ValueError(f"countdown: 'numbers' must be whole; got {numbers!r:.100}")
    return [int(number) for number in read], Fraction(str(target))
