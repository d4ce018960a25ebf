"""The table and the names that the config accepts are the same."""

from dataclasses import fields
from typing import get_args

import pytest

from grpo_kit.config import ObjectiveConfig
from grpo_kit.objective import names
from grpo_kit.objective.algorithms import ALGORITHMS, AXES, Algorithm, resolve_objective


def test_config_names_are_the_tables_names():
    assert set(get_args(names.ALGORITHMS)) == set(ALGORITHMS)
    for axis, values in AXES.items():
        plural = {"family": "FAMILIES", "data": "DATA", "returns": "RETURNS", "pair_loss": "PAIR_LOSSES"}.get(
            axis, f"{axis.upper()}S"
        )
        assert set(get_args(getattr(names, plural))) == set(values), axis
    assert set(names.RECORDED) == {name for name, row in ALGORITHMS.items() if row.data == "recorded"}


def test_every_override_of_a_recipe_is_a_field_of_the_table():
    choices = {f.name for f in fields(Algorithm)} - {"paper", "summary"}
    assert set(ObjectiveConfig.model_fields) == choices


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_row_chooses_values_that_exist(name):
    for axis, values in AXES.items():
        assert getattr(ALGORITHMS[name], axis) in values


def test_overrides_replace_single_choices():
    row = resolve_objective("grpo", {"beta": 0.0, "scale": None, "clip_high": 0.28})
    assert (row.beta, row.scale, row.clip_high, row.clip_low) == (0.0, "group_std", 0.28, 0.2)
