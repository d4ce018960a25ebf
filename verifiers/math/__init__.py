"""The math verifier: find the final answer, parse it by grammar, decide equality. See docs/math.md."""

from __future__ import annotations

import re
from typing import Any, Literal

from grpo_kit.types import RIGHT_UNMARKED, Score

from ..final_answer import LETTER, UNMARKED, FinalAnswer, final_answer
from ..final_answer.gold import final_of_gold, gold_texts
from ..register import verifier
from .judge import Mode, judge
from .judge.evaluated import copied
from .judge.letters import gold_choice
from .kind import MATHEMATICS

__all__ = ["FinalAnswer", "Mode", "equal", "extract", "gold_answer", "math", "verify"]

_ANSWER_LINE = re.compile(r"\nA: ?([^\n]+)\s*$")
_MARKED = re.compile(r"####|box|answer|<|\n|答|[:：]|\([A-Za-z ]+\)\s*$", re.I)
_MODES = ("strict", "default", "lenient")


Unevaluated = Literal["refuse", "allow"]


def extract(response: str, last_expression: bool = True) -> FinalAnswer:
    """The final answer of a response.

    Args:
        response: the model's text.
        last_expression: whether to fall back on the last expression of the text when nothing marks an answer; right
            for the evaluation of base models, wrong for rewards, where it pays for an answer never given.
    """
    return final_answer(response, MATHEMATICS, last_expression=last_expression)


def verify(
    response: str,
    gold: Any,
    mode: Mode = "default",
    *,
    last_expression: bool = True,
    unevaluated: Unevaluated = "refuse",
    prompt: str | None = None,
) -> Score:
    """Judge a response against a gold answer, or against several of which any is right.

    Args:
        response: the model's whole text; the final answer is extracted from it.
        gold: the gold answer (``1/2``, 0.5), or a solution or sentence that gives one (``#### 72``), or several golds.
        mode: ``strict``, ``default`` (what a careful marker does) or ``lenient``; docs/math.md lists the rules.
        last_expression: whether the last expression counts when nothing marks an answer (see `extract`).
        unevaluated: whether an answer that still has to be calculated (``\\sum_{k=1}^{100} k``, ``2+2``) is paid where
            the gold is a closed number: a policy learns to copy the question, so that rewards refuse it.
        prompt: the problem; an expression copied from it is not paid for a gold of another form.

    Returns:
        A score of 1 or 0 with what was extracted and why. Where nothing marks an answer and ``last_expression`` is false, its
        metric `RIGHT_UNMARKED` says whether the last expression would have been right: 1 or 0.

    Raises:
        ValueError: for an unknown mode. TypeError: for a response that is not text, or a gold that is no answer.
    """
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}; got {mode!r}")
    if unevaluated not in ("refuse", "allow"):
        raise ValueError(f"unevaluated must be refuse or allow; got {unevaluated!r}")
    if not isinstance(response, str):
        raise TypeError(f"verify needs a response as text; got {type(response).__name__}")
    found, reason = extract(response, last_expression), ""
    closed = unevaluated == "refuse"
    for wanted in map(gold_answer, gold_texts(gold)):
        verdict, given, why = _judge_one(response, wanted, mode, found, closed)
        if verdict and closed and prompt and copied(prompt, given, wanted):
            verdict, why = False, f"copied from the prompt, not worked out; {found.reason}"
        if verdict:
            return Score(1.0, extracted=given[:2_000], reason=why)
        reason = why
    if found.reason == UNMARKED and found.text is None and not last_expression:
        unmarked = verify(response, gold, mode, unevaluated=unevaluated, prompt=prompt)
        return Score(0.0, reason=reason, metrics={RIGHT_UNMARKED: unmarked.value})
    extracted = None if found.text is None else found.text[:2_000]
    return Score(0.0, extracted=extracted, reason=reason)


def _judge_one(response: str, wanted: str, mode: Mode, found: FinalAnswer, closed: bool) -> tuple[bool, str, str]:
    """(verdict, extracted text, reason) for one gold."""
    choice = gold_choice(wanted)
    if choice is not None:
        chosen = final_answer(response, LETTER)
        if chosen.text is not None or not choice[1]:
            right = chosen.text == choice[0]
            return right, chosen.text or "", f"choice letters compared; {chosen.reason}"
    verdict, reason = judge(wanted, found.text, mode, closed) if found.text is not None else (False, "no answer")
    if not verdict and len(response) <= 2_000 and (found.source == "last" or _is_unmarked_words(wanted, found)):
        verdict, why = judge(wanted, response, mode, closed)  # "odd $n$": the words of a bare answer
        reason = why if verdict else reason
    return verdict, found.text or response, f"{reason}; {found.reason}"


def _is_unmarked_words(wanted: str, found: FinalAnswer) -> bool:
    return found.reason == UNMARKED and MATHEMATICS.read(wanted) is None


def gold_answer(gold: str) -> str:
    """The answer within a gold that is a solution, a tagged text or a sentence; other golds as they are."""
    if not _MARKED.search(gold) and MATHEMATICS.read(gold) is not None:
        return gold.strip()  # the usual case: nothing but an answer
    line = _ANSWER_LINE.search(gold) if "####" not in gold and "box" not in gold else None
    return line[1].strip() if line else final_of_gold(gold, MATHEMATICS)


def equal(a: str, b: str, mode: Mode = "default", unevaluated: Unevaluated = "allow") -> bool:
    """Whether answer ``b`` is right when ``a`` is the gold; both are bare answers, nothing is extracted."""
    return judge(a, b, mode, unevaluated == "refuse")[0]


def _cases() -> list[Any]:
    from ..cases import Case

    return [
        Case(r"The answer is \boxed{42}.", "42", expected=1.0),
        Case(r"So $x = \boxed{\frac{1}{2}}$.", "0.5", expected=1.0),
        Case(r"\boxed{x^2 - 1}", "(x-1)(x+1)", expected=1.0),
        Case("The answer is $1{,}234$ apples.", "1234", expected=1.0),
        Case(r"\boxed{(1, 2)}", r"\left(1,2\right)", expected=1.0),
        Case(r"\boxed{0.3333}", r"\frac{1}{3}", expected=0.0),
        Case(r"It is \boxed{3} or \boxed{4}.", "4", expected=0.0),
        Case(r"\boxed{5\text{ kg}}", r"5\text{ cm}", expected=0.0),
        Case(r"\boxed{\sum_{k=1}^{100} k}", "5050", expected=0.0),
        Case(r"\boxed{\sum_{k=1}^{100} k}", "5050", options={"unevaluated": "allow"}, expected=1.0),
        Case(r"\boxed{7\text{ lorem ipsum}}", "7", expected=0.0),
    ]


@verifier(name="math", timeout=5.0, version="2", cases=_cases)
def math(
    response: str,
    answer: Any,
    prompt: str | None = None,
    mode: Mode = "default",
    last_expression: bool = False,
    unevaluated: Unevaluated = "refuse",
) -> Score:
    """The reward: an answer counts only where it is marked as the answer, calculated, and not copied from the prompt."""
    problem = prompt if isinstance(prompt, str) else None
    return verify(response, answer, mode, last_expression=last_expression, unevaluated=unevaluated, prompt=problem)
