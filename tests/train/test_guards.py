"""Signs of trouble are named once, with what to look at, and only where they are signs of trouble."""

import pytest

from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.train.guards import Guard


class Listener:
    def __init__(self):
        self.warnings, self.remarks = [], []
        self.guard = Guard(None, self.warnings.append, self.remarks.append)

    def look(self, *rows, algorithm="grpo"):
        for step, metrics in enumerate(rows, start=1):
            self.guard.look(step, metrics, ALGORITHMS[algorithm])
        return self


@pytest.fixture
def listener():
    return Listener()


@pytest.mark.parametrize("ratio", [12.5, float("inf"), float("nan")])
def test_an_exploding_ratio_warns_once(listener, ratio):
    listener.look(*[{"ratio/max": ratio}] * 3)
    assert len(listener.warnings) == 1
    assert f"step 1: an importance ratio reached {ratio:.3g}" in listener.warnings[0]
    assert "mismatch/mean_logprob_difference" in listener.warnings[0]


def test_samples_of_another_policy_warn_once(listener):
    listener.look({"mismatch/kl": 0.09}, {"mismatch/kl": 0.107}, {"mismatch/kl": 0.2})
    assert len(listener.warnings) == 1
    assert listener.warnings[0].startswith(
        "step 2: the policy that sampled is 0.11 nats per token from the one that learns"
    )
    assert "max_staleness" in listener.warnings[0]
    assert Listener().look({"mismatch/kl": 3.0}, algorithm="offline_pg").warnings == []  # recorded by somebody else


def test_ordinary_ratios_and_a_slow_loss_of_entropy_are_silent(listener):
    listener.look(*[{"ratio/max": 3.0, "entropy": 1.0 / (1 + 0.3 * step)} for step in range(20)])
    assert listener.warnings == []


def test_a_first_loss_near_zero_is_explained_where_it_is_so_by_construction(listener):
    assert Listener().look({"loss": 0.0}).remarks == []  # no update: there is no gradient to speak of
    first = {"loss": 1e-9, "grad_norm": 0.1}
    listener.look(first, first)
    assert len(listener.remarks) == 1
    assert "right by construction" in listener.remarks[0]
    assert Listener().look({"loss": 0.4}).remarks == []
    assert Listener().look({"loss": 1e-9}, algorithm="ppo").remarks == []
    assert Listener().look({"loss": 1e-9}, algorithm="sft").remarks == []
