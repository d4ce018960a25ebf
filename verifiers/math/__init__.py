"""The math verifier: find the final answer, parse it by grammar, decide equality. See docs/math.md."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..base import verifier
from ..score import Score
from .boxes import final_box
from .extract import Extraction, extract
from .judge import judge
from .judge.shapes import Mode

__all__ = ["Extraction", "Mode", "equal", "extract", "gold_answer", "math", "verify"]

_ANSWER_LINE = re.compile(r"\nA: ?([^\n]+)\s*$")
_MODES = ("strict", "default", "lenient")


def verify(response: str, gold: str | Sequence[str], mode: Mode = "default", *, last_expression: bool = True) -> Score:
    """Judge a response against a gold answer, or against several of which any is right.

    Args:
        response: the model's whole text; the final answer is extracted from it.
        gold: the gold answer (``1/2``), or a solution that ends in one (``#### 72``), or several golds.
        mode: ``strict``, ``default`` (what a careful marker does) or ``lenient``; docs/math.md lists the rules.
        last_expression: whether the last expression counts when nothing marks an answer (see `extract`).

    Returns:
        A score of 1 or 0 with what was extracted and why.

    Raises:
        ValueError: for an unknown mode. TypeError: for a response or gold that is not text.
    """
    if mode not in _MODES:
        raise ValueError(f"mode must be one of {', '.join(_MODES)}; got {mode!r}")
    golds = [gold] if isinstance(gold, (str, int, float)) else list(gold)
    if not isinstance(response, str) or not golds:
        raise TypeError(f"verify needs a response as text and a gold; got {type(response).__name__} and {gold!r:.80}")
    found = extract(response, last_expression)
    reason = ""
    for one in golds:
        wanted = gold_answer(str(one))
        if found.text is not None:
            verdict, reason = judge(wanted, found.text, mode)
        else:
            verdict, reason = False, "no answer"
        if not verdict and found.source in ("last", "none") and len(response) <= 2_000:
            verdict, why = judge(wanted, response, mode)  # "odd $n$": the words of a bare answer
            reason = why if verdict else reason
        if verdict:
            return Score(1.0, extracted=(found.text or response)[:2_000], reason=f"{reason}; {found.reason}")
    extracted = None if found.text is None else found.text[:2_000]
    return Score(0.0, extracted=extracted, reason=f"{reason}; {found.reason}")


def gold_answer(gold: str) -> str:
    """The answer within a gold that is a solution: after ``####``, in the last box, or in a last line ``A: ...``."""
    if "####" in gold:
        return gold.rpartition("####")[2].strip()
    box = final_box(gold) if "box" in gold else None
    if box is not None and box[0]:
        return box[0].strip()
    line = _ANSWER_LINE.search(gold)
    return line[1].strip() if line else gold.strip()


def equal(a: str, b: str, mode: Mode = "default") -> bool:
    """Whether answer ``b`` is right when ``a`` is the gold; both are bare answers, nothing is extracted."""
    return judge(a, b, mode)[0]


def _cases() -> list[Any]:
    from ..selftest import Case

    return [
        Case(r"The answer is \boxed{42}.", "42", expected=1.0),
        Case(r"So $x = \boxed{\frac{1}{2}}$.", "0.5", expected=1.0),
        Case(r"\boxed{x^2 - 1}", "(x-1)(x+1)", expected=1.0),
        Case("The answer is $1{,}234$ apples.", "1234", expected=1.0),
        Case(r"\boxed{(1, 2)}", r"\left(1,2\right)", expected=1.0),
        Case(r"\boxed{0.3333}", r"\frac{1}{3}", expected=0.0),
        Case(r"It is \boxed{3} or \boxed{4}.", "4", expected=0.0),
        Case(r"\boxed{5\text{ kg}}", r"5\text{ cm}", expected=0.0),
    ]


@verifier(name="math", timeout=5.0, version="1", cases=_cases)
def math(response: str, answer: str, mode: Mode = "default", last_expression: bool = False) -> Score:
    """The reward: an answer counts only where it is marked as the answer."""
    return verify(response, answer, mode, last_expression=last_expression)
