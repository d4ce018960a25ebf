"""Labelled pairs by hand, by category and by kind of fault; the verdict is what a careful human marker gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.math_pairs import misjudged, read_pairs

PAIRS = read_pairs(Path(__file__).with_name("pairs.txt"))
KINDS = read_pairs(Path(__file__).with_name("kinds.txt"))


@pytest.mark.parametrize("category", sorted({pair.category for pair in PAIRS}))
def test_every_pair_of_the_category_is_judged_as_a_marker_would(category: str) -> None:
    wrong = misjudged(PAIRS, category)
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("kind", sorted({pair.category for pair in KINDS}))
def test_every_kind_of_fault_is_mended(kind: str) -> None:
    wrong = misjudged(KINDS, kind)
    assert not wrong, "\n".join(wrong)


def test_the_tables_have_both_verdicts() -> None:
    assert len(PAIRS) > 700
    assert 200 < sum(pair.right for pair in PAIRS) < len(PAIRS) - 200
    for kind in {pair.category for pair in KINDS}:
        assert {pair.right for pair in KINDS if pair.category == kind} == {True, False}, kind
