"""The table and the names that the config accepts are the same."""

from dataclasses import fields
from typing import get_args

import pytest

from grpo_kit.config import ObjectiveConfig
from grpo_kit.objective import names
from grpo_kit.objective.algorithms import ALGORITHMS, AXES, Algorithm, resolve_objective
from grpo_kit.objective.names import NULLABLE


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


@pytest.mark.parametrize(
    ("name", "itself", "engine", "older"),
    [
        ("grpo", "none", "truncated", "in_ratio"),
        ("gspo", "none", "truncated", "truncated"),
        ("gspo_token", "none", "truncated", "truncated"),
        ("rloo", "none", "truncated", "truncated"),
        ("dppo", "in_ratio", "in_ratio", "in_ratio"),  # its region is around the policy that sampled
    ],
)
def test_what_samples_decides_the_correction_where_nobody_else_does(name, itself, engine, older):
    found = [resolve_objective(name, {}, by).correction for by in ("itself", "engine", "older_weights")]
    assert found == [itself, engine, older]
    assert resolve_objective(name, {"correction": "masked"}, "engine").correction == "masked"
    assert resolve_objective(name, {"correction": "none"}, "older_weights").correction == "none"


def test_null_switches_off_what_a_row_switches_on():
    assert resolve_objective("ppo", {}).value_clip == 0.2
    assert resolve_objective("ppo", {"value_clip": None}).value_clip is None
    assert resolve_objective("ppo_penalty", {"penalty_target": None}).penalty_target is None


def test_every_choice_that_can_be_off_is_named():
    optional = {f.name for f in fields(Algorithm) if "None" in str(f.type)}
    assert optional == set(NULLABLE)
