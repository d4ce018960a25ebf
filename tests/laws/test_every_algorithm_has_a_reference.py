"""Law 7: every algorithm's loss and gradient equal an independent reference. The formulas are in tests/parity; here it is
checked that no row of the table is without one."""

import pytest

from grpo_kit.objective.algorithms import ALGORITHMS
from tests.parity import test_formulas

# Families whose formulas are one test for all of their rows.
BY_FAMILY = {"pairs", "labels", "reward_model", "values"}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_reference_exists(name):
    row = ALGORITHMS[name]
    if row.family == "policy_gradient":
        assert callable(test_formulas.FORMULAS[name])
    else:
        assert row.family in BY_FAMILY
