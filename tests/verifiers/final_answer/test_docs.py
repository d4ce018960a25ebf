"""Every example of docs/verifiers.md says what is extracted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from grpo_kit.verifiers.final_answer import LETTER, TEXT, final_answer
from grpo_kit.verifiers.number import NUMBER

DOCS = Path(__file__).resolve().parents[3] / "docs" / "verifiers.md"
KINDS = {"value": NUMBER, "letter": LETTER, "text": TEXT}


def examples() -> list[tuple[str, str, str]]:
    (block,) = re.findall(r"```answers\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    return [tuple(line.split(" :: ")) for line in block.strip().splitlines()]  # type: ignore[misc]


@pytest.mark.parametrize(("kind", "response", "answer"), examples())
def test_example(kind: str, response: str, answer: str) -> None:
    found = final_answer(response.replace("\\n", "\n"), KINDS[kind])
    assert found.text == (None if answer == "none" else answer)
    assert found.reason


def test_there_are_examples_of_every_kind() -> None:
    assert {kind for kind, _, _ in examples()} == set(KINDS)
