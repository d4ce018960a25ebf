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


def test_a_bound_that_is_full_before_the_policy_has_moved_warns_once(listener):
    full = {"clip/high": 0.15, "clip/low": 0.1}
    listener.look({"critic/warmup": 1.0}, full, full)  # the policy rested in the first step
    assert len(listener.warnings) == 1
    assert listener.warnings[0].startswith("step 2: 25% of the tokens are clipped at the first update")
    assert "objective.correction" in listener.warnings[0]
    assert Listener().look({"clip/high": 0.1, "clip/low": 0.1}, full).warnings == []  # later on, it has moved
    assert Listener().look(full | {"clip/unmoved": 0.0}).warnings == []  # it moved within the step
    resumed = Listener()
    resumed.guard.load_state_dict(Listener().look({"clip/high": 0.0}).guard.state_dict())
    assert resumed.look(full).warnings == []


def test_labels_of_one_prompt_warn_once(listener):
    one = {"kto/mismatched_pairs": 0.0, "examples": 8.0, "kto/good_share_of_weight": 0.5}
    listener.look(one, one, algorithm="kto")
    assert len(listener.warnings) == 1
    assert "answers one prompt" in listener.warnings[0]
    assert Listener().look(one | {"kto/mismatched_pairs": 8.0}, algorithm="kto").warnings == []


@pytest.mark.parametrize(("shares", "warns"), [([0.7], True), ([0.3], True), ([0.66], False), ([0.9, 0.1], False)])
def test_labels_whose_weights_are_a_factor_of_two_apart_warn_once(listener, shares, warns):
    """Over all that was seen: one small batch is uneven by chance."""
    rows = [{"kto/mismatched_pairs": 16.0, "examples": 16.0, "kto/good_share_of_weight": s} for s in shares]
    listener.look(*rows, *rows, *rows, algorithm="kto")
    assert len(listener.warnings) == warns
    assert all("objective.good_weight" in text and "48 responses" not in text for text in listener.warnings)
