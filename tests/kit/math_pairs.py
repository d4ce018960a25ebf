"""Labelled pairs of gold and response, kept as lines ``category | gold | answer | T or F``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Pair(NamedTuple):
    category: str
    gold: str
    response: str
    right: bool


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file; an answer stands in a box of its own unless it begins with ``>>``."""
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if line and not line.startswith("#"):
            category, rest = line.split(" | ", 1)
            body, expected = rest.rsplit(" | ", 1)
            gold, answer = body.split(" | ", 1)
            assert expected in ("T", "F"), f"{path.name}, line {number}: {expected!r}"
            pairs.append(Pair(category, gold, response_of(answer), expected == "T"))
    return pairs


def response_of(answer: str) -> str:
    if answer.startswith(">>"):
        return answer[2:].replace("\\n\\n", "\n\n").replace("\\n", "\n") if "\\n" in answer else answer[2:]
    return f"Working it out, we get $\\boxed{{{answer}}}$."


def misjudged(pairs: list[Pair], category: str) -> list[str]:
    """The pairs of a category whose verdict is not the label, as lines to read."""
    from grpo_kit.verifiers.math import verify

    return [
        f"gold={gold!r} response={response!r} right={right}"
        for name, gold, response, right in pairs
        if name == category and (verify(response, gold).value == 1.0) is not right
    ]
