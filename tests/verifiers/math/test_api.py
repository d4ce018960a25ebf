"""The public calls: scores with reasons, registration, errors for wrong use."""

from __future__ import annotations

import pytest

from grpo_kit.verifiers import get_verifier
from grpo_kit.verifiers.math import equal, extract, gold_answer, verify


def test_the_registered_verifier_ignores_unmarked_answers() -> None:
    verifier = get_verifier("math")
    assert verifier(response="The answer is 7.", answer="7").value == 1.0
    assert verifier(response="so we get 7", answer="7").value == 0.0
    assert verify("so we get 7", "7").value == 1.0
    assert verifier.with_options({"last_expression": True})(response="so we get 7", answer="7").value == 1.0
    assert verifier.with_options({"mode": "lenient"})(response="\\boxed{3.14}", answer="\\pi").value == 1.0


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
