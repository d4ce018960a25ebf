"""What somebody meant to type."""

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import find_recipe, shipped_recipes
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.runtime.suggest import closest, did_you_mean, distance


def test_a_swap_is_one_slip():
    assert [distance("gpro", name) for name in ("grpo", "gspo", "gpro")] == [1, 2, 0]
    assert distance("", "abc") == distance("abc", "") == 3


@pytest.mark.parametrize(
    ("word", "meant"),
    [("gpro", "grpo"), ("pppo", "ppo"), ("GRPO", "grpo"), ("rlo", "rloo"), ("dr-grpo", "dr_grpo"), ("cat", None)],
)
def test_the_algorithm_of_fewest_slips(word, meant):
    assert closest(word, ALGORITHMS) == meant


def test_a_recipe_without_its_folder():
    assert closest("grpoo", shipped_recipes()) == "grpo/grpo"
    assert did_you_mean("adition", shipped_recipes()) == " Did you mean quickstart/addition?"
    assert closest("quikstart", shipped_recipes()) == "quickstart/addition"
    assert closest("preferance", shipped_recipes()) == "preference/dpo"
    with pytest.raises(UserError, match="Did you mean grpo/grpo"):
        find_recipe("grpoo")


@pytest.mark.parametrize(
    ("override", "meant"),
    [
        ("steps=3", "train.steps or warm_start.steps"),
        ("group_size=3", "rollout.group_size"),
        ("learning_rat=1", "optimizer.learning_rate"),
        ("train.learning_rate=1", "optimizer.learning_rate"),
        ("treads=2", "threads"),
        ("train.stepz=3", "steps"),
    ],
)
def test_a_key_is_looked_for_in_every_section(override, meant):
    with pytest.raises(UserError) as caught:
        load_recipe("quickstart/addition", [override])
    assert f"Did you mean {meant}" in str(caught.value)
