"""The example of docs/algorithms.md: a row of one's own in a file, its test, and a run with it."""

import json
from pathlib import Path

import pytest
import torch

from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.objective.surrogates import SURROGATES
from tests.kit.runs import ODD, recipe, run

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
    result = SURROGATES[row.surrogate](logprobs, logprobs, advantages, torch.arange(3), row)
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprobs)
    torch.testing.assert_close(gradient, torch.tensor([0.0, -2.4, 0.0], dtype=torch.float64))


def test_a_surrogate_that_knows_no_sequences_is_refused_before_anything_is_trained(tmp_path):
    """It was called with four arguments once."""
    lines = ("def mine_too(logprobs, log_ratio, advantages, row): ...", "SURROGATES['mine'] = mine_too")
    with pytest.raises(
        UserError, match=r"takes logprobs, log_ratio, advantages, row, and is given .*sequence_index, row"
    ):
        row_of(tmp_path, *lines, "mine = Algorithm(paper='', summary='', surrogate='mine')")


def test_it_trains(tmp_path):
    run(recipe(f"{FILE}:clipped_is", ODD, "scoring.max_rejected_gold=1.0", "train.steps=2"), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [m["step"] for m in lines] == [1, 2]


def row_of(folder, *lines):
    """The row called ``mine`` of a file."""
    path = folder / "mine.py"
    head = ("from grpo_kit.objective.algorithms import ALGORITHMS", "from grpo_kit.objective.rows import Algorithm")
    path.write_text("\n".join((*head, "from grpo_kit.objective.surrogates import SURROGATES", *lines)))
    return resolve_objective(f"{path}:mine", {})


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"clip_low": -1.0}, "mine.py:mine: clip_low is -1.0: Input should be greater than 0"),
        ({"discount": 1.5, "entropy_share": 0.0}, "discount is 1.5.*entropy_share is 0.0"),
        ({"dual_clip": 0.5}, "dual_clip is 0.5"),
        ({"scale": None}, "scale is None: .* null switches off dual_clip"),
        ({"surrogate": "nobodys"}, "surrogate is 'nobodys': Input should be 'policy_gradient', "),
        ({"clip": 0.1}, "clip is 0.1: Extra inputs are not permitted"),
    ],
)
def test_its_choices_are_held_to_what_a_recipe_may_set(tmp_path, choices, message):
    with pytest.raises(UserError, match=message):
        row_of(tmp_path, f"mine = Algorithm(paper='', summary='', **{choices})")
    with pytest.raises(UserError, match=message):
        row_of(tmp_path, f"mine = ALGORITHMS['grpo'].model_copy(update={choices})")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("mine = Algorithm('my notes', 'what it is')", r"mine.py:4: TypeError: .*positional.* docs/algorithms.md"),
        ("mine = nothing", "mine.py:4: NameError: name 'nothing' is not defined"),
        ("mine =", "mine.py: SyntaxError: invalid syntax .*line 4"),
    ],
)
def test_a_file_that_cannot_be_run_is_an_error_with_its_line(tmp_path, line, message):
    with pytest.raises(UserError, match=message):
        row_of(tmp_path, line)


def test_its_own_axis_values_are_its_own_business(tmp_path):
    own = ("SURROGATES['mine'] = SURROGATES['sapo']", "mine = Algorithm(paper='', summary='', surrogate='mine')")
    assert row_of(tmp_path, *own).surrogate == "mine"


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere.py:row", "there is no file nowhere.py"), (f"{FILE}:other", "has no Algorithm called 'other'")],
)
def test_what_is_not_there_is_named(name, message):
    with pytest.raises(UserError, match=message):
        resolve_objective(name, {})
