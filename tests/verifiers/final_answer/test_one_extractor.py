"""The same response gives the same answer to every verifier, and golds come in the shapes of data sets."""

from __future__ import annotations

import numpy as np
import pytest

from grpo_kit.verifiers import get_verifier
from grpo_kit.verifiers.adapters import adapt
from grpo_kit.verifiers.final_answer import LETTER, TEXT, after_reasoning, bare, boxes, final_answer, tags
from grpo_kit.verifiers.math import extract, gold_answer, verify
from grpo_kit.verifiers.number import NUMBER, parse_number

AGREED = [
    ("The answer is not $\\boxed{5}$.", None),
    ("I first guessed \\boxed{3}, but that fails. So \\boxed{4}.", "4"),
    ("The answer is 36, not 63.", "36"),
    ("$\\boxed5$", "5"),
    ("\\framebox{7}", "7"),
    ("答案：12", "12"),
    ("<answer>12</answer>", "12"),
    ("#### 12", "12"),
    ("Final Answer: 12", "12"),
    ("<think>12", None),
    ("<answer>12</answer> or <answer>13</answer>", None),
]


@pytest.mark.parametrize(("response", "answer"), AGREED)
def test_every_kind_reads_the_same(response: str, answer: str | None) -> None:
    assert final_answer(response, TEXT).text == answer
    assert final_answer(response, NUMBER).text == answer
    assert extract(response, last_expression=False).text == answer


@pytest.mark.parametrize(("response", "answer"), AGREED)
def test_a_foreign_scorer_is_given_the_same(response: str, answer: str | None) -> None:
    def score_answer(answer: str | None, entry: dict) -> float:
        return float(answer == entry["answer"])

    adapted = adapt(score_answer, "score_answer", {})
    assert adapted is not None
    score = adapted(response=response, answer=answer, prompt="", meta={})
    assert (score.value, score.extracted) == (1.0, answer)


def test_text_that_is_no_response_has_no_answer() -> None:
    for response in (None, 5, b"5", ["5"]):
        assert final_answer(response).text is None


@pytest.mark.parametrize(
    ("response", "gold", "right"),
    [
        ("The answer is Paris.", "Paris", True),
        ("The answer is 'Paris'.", "Paris", True),
        ("**Answer:** Paris", "Paris", True),
        ("The answer is J. K. Rowling.", "J. K. Rowling", True),
        ("<answer>The answer is Paris.</answer>", "Paris", True),
        ("<answer>line one\nline two</answer>", "line one line two", True),
        ("\\boxed{Paris}", "Paris", True),
        ("The answer is Paris because it is the capital.", "Paris", True),
        ("The answer is Paris, not Lyon.", "Paris", True),
        ("答案是巴黎。", "巴黎", True),
        ("The answer is not Paris.", "Paris", False),
        ("I doubt that the answer is Paris.", "Paris", False),
        ("The answer is Paris or Lyon.", "Paris", False),
        ("The answer is Paris?", "Paris", False),
        ("<answer>Paris</answer><answer>Lyon</answer>", "Paris", False),
        ("\\boxed{Paris} is wrong.", "Paris", False),
        ("<think>The answer is Paris.</think>", "Paris", False),
    ],
)
def test_text(response: str, gold: str, right: bool) -> None:
    assert (get_verifier("exact")(response=response, answer=gold).value == 1.0) is right


@pytest.mark.parametrize(
    "gold",
    [12, 12.0, "12", np.int64(12), np.float64(12), "np.int64(12)", "#### 12", "\\boxed{12}", "The answer is 12.",
     "<answer>12</answer>", "so 3*4\n#### 12", ["12", "13"], np.array([12, 13]), "12 (apples)"],
)  # fmt: skip
def test_golds_in_the_shapes_of_data_sets(gold: object) -> None:
    for name in ("math", "number"):
        assert get_verifier(name)(response="\\boxed{12}", answer=gold).value == 1.0
        assert get_verifier(name)(response="\\boxed{14}", answer=gold).value == 0.0


@pytest.mark.parametrize("gold", [{"answer": 12}, None, True, [], [None], [{"a": 1}], [[1, 2]]])
@pytest.mark.parametrize("name", ["math", "number", "exact"])
def test_a_gold_of_another_shape_is_an_error(name: str, gold: object) -> None:
    with pytest.raises(TypeError, match="a gold answer is a text, a number, or a list"):
        get_verifier(name)(response="\\boxed{12}", answer=gold)


def test_golds_of_a_choice() -> None:
    choice = get_verifier("choice")
    for gold in ("B", "(B)", "b.", "B) Paris", "The answer is B.", "<answer>B</answer>", "\\boxed{B}", 1, np.int64(1)):
        assert choice(response="B", answer=gold).value == 1.0, gold
    for gold in ("Paris", "", None, 30, ["A", "B"], {"answer": "B"}, True):
        with pytest.raises(ValueError, match="must be a letter or an index"):
            choice(response="B", answer=gold)


def test_a_gold_with_its_unit_in_brackets() -> None:
    assert gold_answer("9 (apples)") == "9"
    assert verify("\\boxed{18\\text{ mm}}", "18 (cm)").value == 0.0
    assert verify("\\boxed{18\\text{ cm}}", "18 (cm)").value == 1.0
    assert verify("\\boxed{5}", "(5)").value == 1.0


def test_the_parts() -> None:
    assert boxes("\\boxed{a{b}} \\fbox{\\boxed{c}} \\boxed{d") == ["a{b}", "\\boxed{c}"]
    assert tags("<answer>a<ANSWER>b</answer> c</answer> <answer>d") == ["b"]
    assert bare("**$x$**.") == "x"
    assert after_reasoning("<think>a</think>b<think>c") == "b"
    assert final_answer("B", LETTER).source == "whole"
    assert parse_number("1,234.5") == 1234.5
