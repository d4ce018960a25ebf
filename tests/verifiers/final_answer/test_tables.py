"""Responses judged by hand, kind by kind: the same answer is read by every verifier that looks for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpo_kit.verifiers import get_verifier
from grpo_kit.verifiers.math import verify

_BREAK = re.compile(r"\\n(?!eq)")  # a line break, and not the beginning of \neq
HERE = Path(__file__).parent


def rows(name: str) -> list[tuple[str, str, bool]]:
    found = []
    for line in (HERE / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("# gold") or " :: " not in line:
            continue
        gold, response, verdict = line.split(" :: ")
        assert verdict in ("right", "wrong"), line
        found.append((gold, _BREAK.sub("\n", response), verdict == "right"))
    return found


@pytest.mark.parametrize(("gold", "response", "right"), rows("letters.txt"))
def test_choice(gold: str, response: str, right: bool) -> None:
    assert (get_verifier("choice")(response=response, answer=gold).value == 1.0) is right


@pytest.mark.parametrize(("gold", "response", "right"), rows("letters.txt"))
def test_math_of_a_letter(gold: str, response: str, right: bool) -> None:
    assert (get_verifier("math")(response=response, answer=gold).value == 1.0) is right
    assert (verify(response, gold).value == 1.0) is right


@pytest.mark.parametrize(("gold", "response", "right"), rows("values.txt"))
def test_math(gold: str, response: str, right: bool) -> None:
    assert (get_verifier("math")(response=response, answer=gold).value == 1.0) is right


@pytest.mark.parametrize(("gold", "response", "right"), rows("values.txt") + rows("numbers.txt"))
def test_number(gold: str, response: str, right: bool) -> None:
    assert (get_verifier("number")(response=response, answer=gold).value == 1.0) is right
