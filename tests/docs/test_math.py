"""Every example of docs/math.md, and the claims it makes about modes and limits."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpo_kit.verifiers.math import equal, extract, limits, verify

DOCS = Path(__file__).resolve().parents[2] / "docs" / "math.md"


def examples() -> list[tuple[str, str, bool]]:
    rows = []
    for block in re.findall(r"```pairs\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL):
        for line in block.strip().splitlines():
            gold, answer, verdict = line.split(" :: ")
            assert verdict in ("right", "wrong"), line
            rows.append((gold, answer, verdict == "right"))
    return rows


@pytest.mark.parametrize(("gold", "answer", "expected"), examples())
def test_example(gold: str, answer: str, expected: bool) -> None:
    assert equal(gold, answer) is expected
    assert (verify(f"Hence $\\boxed{{{answer}}}$.", gold).value == 1.0) is expected


def unevaluated() -> list[tuple[str, str, bool]]:
    block = re.findall(r"```unevaluated\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    rows = [line.split(" :: ") for line in block.strip().splitlines()]
    assert {verdict for _, _, verdict in rows} == {"refused", "paid"}
    return [(gold, answer, verdict == "paid") for gold, answer, verdict in rows]


@pytest.mark.parametrize(("gold", "answer", "paid"), unevaluated())
def test_what_is_left_to_be_calculated(gold: str, answer: str, paid: bool) -> None:
    score = verify(f"Hence $\\boxed{{{answer}}}$.", gold)
    assert (score.value == 1.0) is paid
    assert paid or score.reason.startswith("not evaluated: ")
    assert verify(f"Hence $\\boxed{{{answer}}}$.", gold, unevaluated="allow").value == 1.0
    assert equal(gold, answer)


def test_the_prompt_of_the_docs() -> None:
    prompt = "Simplify (x+1)^2 - x^2."
    assert verify("\\boxed{(x+1)^2-x^2}", "2x+1", prompt=prompt).value == 0.0
    assert verify("\\boxed{(x+1)^2-x^2}", "2x+1").value == 1.0
    assert verify("\\boxed{2x+1}", "2x+1", prompt=prompt).value == 1.0


def test_there_are_examples() -> None:
    assert len(examples()) >= 160


@pytest.mark.parametrize(
    ("gold", "answer", "verdicts"),
    [  # strict, default, lenient
        ("5\\text{ cm}", "5", (False, True, True)),
        ("5", "5\\text{ cm}", (False, True, True)),
        ("5\\text{ cm}", "5\\text{ centimeters}", (True, True, True)),
        ("25\\%", "25", (False, True, True)),
        ("25\\%", "\\frac14", (True, True, True)),
        ("x=5", "5", (False, True, True)),
        ("3:4", "\\frac34", (False, True, True)),
        ("\\pi", "3.14", (False, False, True)),
        ("\\pi", "3.15", (False, False, False)),
        ("7.78", "\\frac{70}{9}", (False, False, True)),
        ("2\\text{ hours}", "120\\text{ minutes}", (False, False, True)),
        ("413_5", "413", (False, False, True)),
    ],
)
def test_modes(gold: str, answer: str, verdicts: tuple[bool, bool, bool]) -> None:
    assert tuple(equal(gold, answer, mode) for mode in ("strict", "default", "lenient")) == verdicts


def test_the_limits_named_in_the_docs_are_the_limits() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for value in (limits.MAX_ANSWER, limits.MAX_DIGITS, limits.MAX_BITS, limits.MAX_ITEMS, limits.MAX_TERMS):
        assert f"{value:,}" in text
    assert f"{limits.MAX_DEPTH} nested brackets" in text


def test_the_code_of_the_docs() -> None:
    score = verify("So the area is $\\boxed{\\frac{1}{2}}$.", "0.5")
    assert (score.value, score.extracted, score.reason) == (1.0, "\\frac{1}{2}", "equal; last box")
    assert verify("The answer is 3 or 4.", "3").value == 0.0
    assert verify("\\boxed{0.5}", ["7", "1/2"]).value == 1.0
    assert extract("#### 1,250").text == "1,250"
    assert equal("x^2-1", "(x-1)(x+1)")
