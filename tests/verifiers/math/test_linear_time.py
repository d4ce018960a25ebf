"""Twice the text costs at most 2.5 times the work, whatever it is made of: repeated pieces, and a search for worse ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from grpo_kit.verifiers.math import equal, verify
from grpo_kit.verifiers.math.judge.words import core, formulas_and_words, normal, pieces
from grpo_kit.verifiers.math.read import parse_cached
from tests.kit.attack_shapes import PIECES, Shape, mixed, repeated
from tests.kit.linear import is_linear, without_collections

SMALL = 4_000
NEGLIGIBLE = 0.006  # seconds of CPU time below which the clock says nothing


@pytest.fixture(autouse=True)
def no_collection() -> Iterator[None]:
    with without_collections():
        yield


def seconds(work: Callable[[str], object], text: str) -> float:
    parse_cached.cache_clear()
    pieces.cache_clear()
    start = time.process_time()
    work(text)
    return time.process_time() - start


def in_a_box(text: str) -> None:
    verify(f"So \\boxed{{{text}}}", "\\frac{x}{2}")


def as_words(text: str) -> None:
    equal(f"\\text{{even}} {text} or", f"\\text{{odd}} {text} of")
    for part in (normal, core, formulas_and_words):
        part(text)


def grows_faster(work: Callable[[str], object], shape: Shape) -> bool:
    return not is_linear(lambda text: seconds(work, text), shape, SMALL, floor=2.5 * NEGLIGIBLE)


@pytest.mark.parametrize("work", [in_a_box, as_words])
def test_repeated_pieces_cost_in_proportion(work: Callable[[str], object]) -> None:
    assert [piece for piece in PIECES if grows_faster(work, repeated(piece))] == []


@pytest.mark.parametrize("work", [in_a_box, as_words])
def test_a_search_finds_no_shape_that_costs_more(work: Callable[[str], object]) -> None:
    assert [seed for seed in range(40) if grows_faster(work, mixed(seed))] == []


def test_a_text_beyond_the_bound_is_not_read() -> None:
    for piece in PIECES[::12]:
        large = repeated(piece)(1_000_000)
        assert not equal("\\frac{x}{2}", large)
        assert equal(large + "x", large + "x ")
