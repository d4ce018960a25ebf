"""Several hundred labelled pairs by hand, by category; the verdict is what a careful human marker gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from grpo_kit.verifiers.math import verify

PAIRS = Path(__file__).with_name("pairs.txt")


def load() -> list[tuple[str, str, str, bool]]:
    rows = []
    for number, line in enumerate(PAIRS.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            category, rest = line.split(" | ", 1)
            body, expected = rest.rsplit(" | ", 1)
            gold, answer = body.split(" | ", 1)
            assert expected in ("T", "F"), f"line {number}: {expected!r}"
            rows.append((category, gold, response_of(answer), expected == "T"))
    return rows


def response_of(answer: str) -> str:
    if answer.startswith(">>"):
        return answer[2:].replace("\\n\\n", "\n\n").replace("\\n", "\n") if "\\n" in answer else answer[2:]
    return f"Working it out, we get $\\boxed{{{answer}}}$."


ROWS = load()


@pytest.mark.parametrize("category", sorted({row[0] for row in ROWS}))
def test_every_pair_of_the_category_is_judged_as_a_marker_would(category: str) -> None:
    wrong = [
        f"gold={gold!r} response={response!r} expected={expected}"
        for name, gold, response, expected in ROWS
        if name == category and (verify(response, gold).value == 1.0) is not expected
    ]
    assert not wrong, "\n".join(wrong)


def test_the_table_has_both_verdicts() -> None:
    assert len(ROWS) > 700
    assert 200 < sum(expected for *_, expected in ROWS) < len(ROWS) - 200
