"""The table and the names that the config accepts are the same."""

from typing import get_args

import pytest

from grpo_kit.objective import names
from grpo_kit.objective.algorithms import ALGORITHMS, AXES, resolve_objective


def test_config_names_are_the_tables_names():
    assert set(get_args(names.ALGORITHMS)) == set(ALGORITHMS)
    for axis, values in AXES.items():
        literal = {
            "baseline": names.BASELINES,
            "scale": names.SCALES,
            "ratio_level": names.RATIO_LEVELS,
            "surrogate": names.SURROGATES,
            "aggregation": names.AGGREGATIONS,
            "correction": names.CORRECTIONS,
            "kl_estimator": names.KL_ESTIMATORS,
        }[axis]
        assert set(get_args(literal)) == set(values), axis


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_row_chooses_values_that_exist(name):
    for axis, values in AXES.items():
        assert getattr(ALGORITHMS[name], axis) in values


def test_overrides_replace_single_choices():
    row = resolve_objective("grpo", {"beta": 0.0, "scale": None, "clip_high": 0.28})
    assert (row.beta, row.scale, row.clip_high, row.clip_low) == (0.0, "group_std", 0.28, 0.2)
