"""exact and regex: the final answer as text."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .final_answer import after_reasoning, bare, final_answer
from .final_answer.gold import final_of_gold, gold_texts
from .final_answer.limits import MAX_RESPONSE
from .final_answer.text import TEXT
from .register import verifier


def _exact_cases() -> list[Case]:
    return [
        Case("Paris", "Paris", expected=1.0),
        Case("<think>Lyon? no.</think>The answer is Paris.", "paris", expected=1.0),
        Case("<answer> new   york </answer>", "New York", expected=1.0),
        Case("Paris", "paris", options={"ignore_case": False}, expected=0.0),
        Case("Paris or Lyon", "Paris", expected=0.0),
        Case("Lyon", ["Paris", "Lyon"], expected=1.0),
        Case("Lyon", "<answer>Lyon</answer>", expected=1.0),
        Case("Lyon", "The answer is Lyon.", expected=1.0),
        Case("Paris", "<answer>Lyon</answer>", expected=0.0),
        Case("I went to Paris.\nIt rained.", "Paris", expected=0.0),
        Case("Paris\nLyon", "Paris\nLyon", options={"whole": True}, expected=1.0),
    ]


@verifier(name="exact", timeout=2.0, cases=_exact_cases)
def exact(response: str, answer: Any, ignore_case: bool = True, whole: bool = False) -> Score:
    """Whether the final answer is the gold text, or one of a list of gold texts.

    Runs of white space count as one blank; a full stop at the end does not count.

    Args:
        ignore_case: compare case-folded.
        whole: compare the whole text after the reasoning, instead of the final answer found in it.
    """
    golds = gold_texts(answer)
    if any(not _plain(gold, ignore_case) for gold in golds):
        raise ValueError(f"exact: the gold answer {answer!r:.100} is empty")
    if whole:
        if not isinstance(response, str) or len(response) > MAX_RESPONSE:
            return Score(0.0, reason=f"not text of at most {MAX_RESPONSE:,} characters")
        text = after_reasoning(response)
    elif (found := final_answer(response)).text is not None:
        text = found.text
    else:
        return Score(0.0, reason=found.reason)
    given = _plain(text, ignore_case)
    right = any(
        given == _plain(form, ignore_case) for gold in golds for form in (gold, bare(gold), final_of_gold(gold, TEXT))
    )
    return Score(float(right), extracted=text[:2000])


def _plain(text: str, ignore_case: bool) -> str:
    text = " ".join(text.split()).removesuffix(".")
    return text.casefold() if ignore_case else text


def _regex_cases() -> list[Case]:
    return [
        Case("Flight BA 117 at 9", options={"pattern": r"\b[A-Z]{2} ?\d{3}\b"}, expected=1.0),
        Case("no flight", options={"pattern": r"\b[A-Z]{2} ?\d{3}\b"}, expected=0.0),
        Case("total = 42.", "42", options={"pattern": r"total = (\d+)"}, expected=1.0),
        Case("total = 41.", "42", options={"pattern": r"total = (\d+)"}, expected=0.0),
        Case("total = 41. total = 42.", "42", options={"pattern": r"total = (\d+)"}, expected=0.0),
        Case("yes", options={"pattern": "yes|no", "full": True}, expected=1.0),
        Case("yes and no", options={"pattern": "yes|no", "full": True}, expected=0.0),
    ]


@verifier(name="regex", timeout=2.0, cases=_regex_cases)
def regex(response: str, answer: Any = None, pattern: str = "", full: bool = False, ignore_case: bool = False) -> Score:
    """Whether the text after the reasoning matches a pattern of yours; with a group, whether it captured the gold.

    The pattern comes from the recipe, never from data or the model. A pattern that backtracks for ever is ended by the
    deadline. Matches that capture different things are no answer.

    Args:
        pattern: Python regular expression; its first group, if any, is compared with the gold answer.
        full: the whole text must match.
    """
    if not pattern:
        raise VerifierError("regex needs the option 'pattern'")
    if not isinstance(response, str) or len(response) > MAX_RESPONSE:
        return Score(0.0, reason=f"not text of at most {MAX_RESPONSE:,} characters")
    compiled = _compiled(pattern, ignore_case)
    text = after_reasoning(response).strip()
    matches = [compiled.fullmatch(text)] if full else list(compiled.finditer(text))
    found = [match for match in matches if match is not None]
    if not found:
        return Score(0.0, reason="the pattern does not match")
    if not compiled.groups:
        return Score(1.0, extracted=found[-1][0])
    if answer is None:
        raise ValueError("regex: the pattern has a group, so the task needs a gold answer to compare it with")
    captured = {(match[1] or "").strip() for match in found}
    if len(captured) > 1:
        return Score(0.0, reason=f"{len(captured)} different answers match")
    (given,) = captured
    return Score(float(given == str(answer).strip()), extracted=given)


@lru_cache(maxsize=32)
def _compiled(pattern: str, ignore_case: bool) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.MULTILINE | (re.IGNORECASE if ignore_case else 0))
    except re.error as error:
        raise VerifierError(f"regex: the pattern {pattern!r} is not a regular expression: {error}") from error
