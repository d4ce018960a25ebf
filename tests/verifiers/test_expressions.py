"""countdown in the signs people write, and JSON in the fences models write."""

import numpy as np
import pytest

from grpo_kit.verifiers import get_verifier
from grpo_kit.verifiers.format import ParsedJson, read_json

TASK = {"numbers": [2, 5, 7], "target": 24}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("2(5+7)", 1),
        ("(5+7)2", 1),
        (r"2\left(5+7\right)", 1),
        (r"2\bigl(5+7\bigr)", 1),
        ("2x(5+7)", 1),
        ("2 x (5 + 7)", 1),
        ("(5+7) X 2", 1),
        ("2×(5+7)", 1),
        (r"2 \times (5+7)", 1),
        (r"\(2 \cdot (5+7)\)", 1),
        ("[5+7]*2", 1),
        ("{5+7}*2", 1),
        (r"\{5+7\}*2", 1),
        ("2*(5+7).", 1),
        ("`2*(5+7)`", 1),
        ("2*(5+7) = 24", 1),
        ("2(5+7)=24.", 1),
        ("2*(5+7) = 25", 0),
        ("2*5+7", 0),
        ("25+7", 0),
        ("(2)(5)(7)", 0),
        ("24", 0),
        ("2**(5+7)", 0),
        ("2*(5+7))", 0),
        ("__import__('os')", 0),
        ("2x5x7", 0),
    ],
)
def test_countdown(expression, value):
    assert get_verifier("countdown")(response=f"<answer>{expression}</answer>", answer=TASK).value == value


def test_division_and_fractions():
    found = get_verifier("countdown")
    assert found(response=r"<answer>\frac{10}{5}+7</answer>", answer={"numbers": [10, 5, 7], "target": 9}).value == 1
    assert found(response="<answer>10÷5+7</answer>", answer={"numbers": [10, 5, 7], "target": 9}).value == 1
    assert found(response="<answer>10/5(7)</answer>", answer={"numbers": [10, 5, 7], "target": 14}).value == 1


@pytest.mark.parametrize(
    "task",
    [
        '{"numbers": [2, 5, 7], "target": 24}',
        {"nums": np.array([2, 5, 7]), "target": np.int64(24)},
        {"numbers": ["2", 5.0, 7], "target": "24"},
    ],
)
def test_gold_formats_of_countdown(task):
    assert get_verifier("countdown")(response="<answer>2(5+7)</answer>", answer=task).value == 1


@pytest.mark.parametrize(
    "task", [{"numbers": "257", "target": 24}, {"numbers": [2.5], "target": 24}, {"numbers": [2], "target": [24]}]
)
def test_gold_that_cannot_be_read_is_no_zero(task):
    with pytest.raises(ValueError, match="countdown"):
        get_verifier("countdown")(response="<answer>2(5+7)</answer>", answer=task)


@pytest.mark.parametrize(
    ("response", "value"),
    [
        ('```json\n{"a": 1}\n```', {"a": 1}),
        ('```JSON\n{"a": 1}\n```', {"a": 1}),
        ('~~~json\n{"a": 1}\n~~~', {"a": 1}),
        ('```json {"a": 1} ```', {"a": 1}),
        ('```{"a": 1}```', {"a": 1}),
        ('Here is the JSON:\n```json\n{"a": 1}\n```', {"a": 1}),
        ("Here: ```\n[1, 2]\n```", [1, 2]),
        ("```json\n1\n```", 1),
        ('{"a": "```"}', {"a": "```"}),
        ('````json\n{"a": 1}\n````', {"a": 1}),
        ('```json\n{"a": 1}\n``` That is all.', None),
        ('{"a": 1} and more', None),
        ('```json\n{"a": 1}\n```\nor\n```json\n{"a": 2}\n```', None),
        ("```json\n{a: 1}\n```", None),
        ('Here is {"a": 1}', None),
    ],
)
def test_json_in_fences(response, value):
    found = read_json(response)
    assert (found.value if isinstance(found, ParsedJson) else None) == value
