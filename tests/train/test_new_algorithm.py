"""The example of docs/algorithms.md: a row of one's own in a file, its test, and a run with it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from grpo_kit.config import check_row
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.surrogates import SURROGATES
from tests.train.test_every_algorithm_runs import ODD, recipe, run

FILE = Path(__file__).with_name("clipped_is.py")


@pytest.fixture(autouse=True)
def _table_as_it_was():
    before = dict(SURROGATES)
    yield
    SURROGATES.clear()
    SURROGATES.update(before)


def test_its_gradient_is_a_formula():
    row = resolve_objective(f"{FILE}:clipped_is", {"clip_low": 0.3})
    logprobs = torch.tensor([0.5, 1.2, 2.0], dtype=torch.float64).log().requires_grad_()  # the old one is 0
    advantages = torch.full((3,), 2.0, dtype=torch.float64)
    result = SURROGATES[row.surrogate](logprobs, logprobs, advantages, row.surrogate_settings())
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprobs)
    torch.testing.assert_close(gradient, torch.tensor([0.0, -2.4, 0.0], dtype=torch.float64))


def test_it_trains(tmp_path):
    run(recipe(f"{FILE}:clipped_is", ODD, "scoring.max_rejected_gold=1.0", "train.steps=2"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == [1, 2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"clip_low": -1.0}, "clip_low is -1.0: Input should be greater than 0"),
        ({"discount": 1.5, "entropy_share": 0.0}, "discount is 1.5.*entropy_share is 0.0"),
        ({"dual_clip": 0.5, "surrogate": "mine"}, "dual_clip is 0.5"),
    ],
)
def test_its_numbers_are_held_to_what_a_recipe_may_set(fields, message):
    with pytest.raises(UserError, match=message):
        check_row("mine.py:row", replace(ALGORITHMS["grpo"], **fields))


def test_its_own_axis_values_are_its_own_business():
    check_row("mine.py:row", replace(ALGORITHMS["grpo"], surrogate="mine"))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.py:row", "there is no file nowhere.py"), (f"{FILE}:other", "has no Algorithm called 'other'")],
)
def test_what_is_not_there_is_named(name, message):
    with pytest.raises(UserError, match=message):
        resolve_objective(name, {})
