"""The public calls: scores with reasons, registration, errors for wrong use."""

from __future__ import annotations

import numpy as np
import pytest

from grpo_kit.types import RIGHT_UNMARKED
from grpo_kit.verifiers import get_verifier
from grpo_kit.verifiers.math import equal, extract, gold_answer, verify


def test_the_registered_verifier_ignores_unmarked_answers() -> None:
    verifier = get_verifier("math")
    assert verifier(response="The answer is 7.", answer="7").value == 1.0
    assert verifier(response="so we get 7", answer="7").value == 0.0
    assert verify("so we get 7", "7").value == 1.0
    assert verifier.with_options({"last_expression": True})(response="so we get 7", answer="7").value == 1.0
    assert verifier.with_options({"mode": "lenient"})(response="\\boxed{3.14}", answer="\\pi").value == 1.0


def test_what_would_be_right_unmarked_is_said_and_not_paid() -> None:
    verifier = get_verifier("math")
    assert verifier(response="so we get 7", answer="7").metrics == {RIGHT_UNMARKED: 1.0}
    assert verifier(response="so we get 8", answer="7").metrics == {RIGHT_UNMARKED: 0.0}
    for marked in ("The answer is 8.", "The answer is 7."):
        assert verifier(response=marked, answer="7").metrics == {}


@pytest.mark.parametrize(
    ("response", "text", "source"),
    [
        ("<think>\\boxed{1}</think>\\boxed{2}", "2", "box"),
        ("<think>\\boxed{1}</think>", None, "none"),
        ("<think>\\boxed{1}", None, "none"),
        ("<answer>3</answer>", "3", "tag"),
        ("#### 72", "72", "statement"),
        ("x<2", "x<2", "whole"),
        ("There are 4 + 5 = 9 apples.", "9 apples", "last"),
        ("\\boxed{1} and \\boxed{2}", "1, 2", "box"),
        ("", None, "none"),
    ],
)
def test_extraction_says_what_and_where(response: str, text: str | None, source: str) -> None:
    found = extract(response)
    assert (found.text, found.source) == (text, source)
    assert found.reason


def test_a_gold_may_be_a_whole_solution() -> None:
    assert gold_answer("48/2=24\n#### 72") == "72"
    assert gold_answer("Hence $x=\\boxed{\\frac12}$.") == "\\frac12"
    assert gold_answer("So 9*2 = 18\nA: 18") == "18"


def test_every_gold_of_several_is_tried() -> None:
    assert verify("\\boxed{0.5}", ["\\text{half}", "\\frac12"]).value == 1.0
    assert verify("\\boxed{0.6}", ("\\text{half}", "\\frac12")).value == 0.0


def test_wrong_use_is_an_error() -> None:
    with pytest.raises(ValueError, match="mode must be one of"):
        verify("7", "7", mode="loose")
    with pytest.raises(TypeError, match="response as text"):
        verify(None, "7")
    with pytest.raises(TypeError, match="gold"):
        verify("7", [])


def test_equal_is_not_symmetric_where_a_marker_is_not() -> None:
    assert equal("25\\%", "0.25")
    assert equal("0.25", "25\\%")
    assert not equal("25", "0.25")


@pytest.mark.parametrize(
    "gold",
    [
        12,
        12.0,
        np.int64(12),
        np.float32(12),
        np.array([12, 13]),
        ["7", 12],
        "np.int64(12)",
        "The answer is 12.",
        "<answer>12</answer>",
        "Work.\n#### 12",
        "Hence $\\boxed{12}$.",
    ],
)
def test_a_gold_is_read_in_every_shape(gold: object) -> None:
    assert verify("\\boxed{12}", gold).value == 1.0
    assert verify("\\boxed{11}", gold).value == 0.0


@pytest.mark.parametrize("gold", [{"answer": 12}, None, [None], b"12"])
def test_a_gold_that_is_no_answer_is_an_error(gold: object) -> None:
    with pytest.raises(TypeError, match="gold answer"):
        verify("\\boxed{12}", gold)


def test_a_response_that_repeats_the_question_earns_nothing_as_a_reward() -> None:
    verifier = get_verifier("math")
    asked = "Compute $\\sum_{k=1}^{100} k$."
    assert verifier(response="\\boxed{\\sum_{k=1}^{100} k}", answer="5050", prompt=asked).value == 0.0
    assert verifier(response="\\boxed{5050}", answer="5050", prompt=asked).value == 1.0
    allowed = verifier.with_options({"unevaluated": "allow"})
    assert allowed(response="\\boxed{\\sum_{k=1}^{100} k}", answer="5050", prompt=asked).value == 1.0
    with pytest.raises(ValueError, match="unevaluated must be"):
        verify("7", "7", unevaluated="never")


@pytest.mark.parametrize(
    ("prompt", "answer", "gold", "value"),
    [
        ("Factor $x^2-1$ completely.", "x^2-1", "(x-1)(x+1)", 0.0),
        ("Factor $x^2-1$ completely.", "(x-1)(x+1)", "(x-1)(x+1)", 1.0),
        ("Write $\\frac{1}{\\sqrt{2}}$ without a root below.", "\\frac{1}{\\sqrt{2}}", "\\frac{\\sqrt2}{2}", 0.0),
        ("Which is larger, $2\\sqrt{3}$ or 3?", "2\\sqrt{3}", "2\\sqrt{3}", 1.0),
        ("Is $(1, 2)$ or $(2, 1)$ on the line?", "(1, 2)", "(1,2)", 1.0),
        ("Is 0.5 or 0.4 larger?", "0.5", "\\frac{1}{2}", 1.0),
        ("Solve $|x|<1$.", "|x|<1", "(-1,1)", 0.0),
        ("Solve $|x|<1$.", "-1<x<1", "(-1,1)", 1.0),
    ],
)
def test_an_expression_of_the_prompt_answers_only_for_a_gold_of_its_form(
    prompt: str, answer: str, gold: str, value: float
) -> None:
    assert verify(f"\\boxed{{{answer}}}", gold, prompt=prompt).value == value
