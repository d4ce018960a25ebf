"""Combinations that cannot mean anything are refused, with the reason; everything in the table is allowed."""

import re

import pytest

from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.compatibility import refusals
from grpo_kit.objective.unread import unread


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_row_can_be_trained(name):
    assert refusals(ALGORITHMS[name], group_size=8) == []


REFUSED = [
    ("grpo", {"baseline": "critic"}, "need each other"),
    ("ppo", {"baseline": "batch_mean"}, "need each other"),
    ("ppo", {"ratio_level": "sequence"}, "gives every token"),
    ("ppo", {"scale": "group_std"}, "scaled over the batch or not at all"),
    ("bnpo", {"baseline": "batch_mean"}, "derived for the baseline group_mean"),
    ("dppo", {"ratio_level": "sequence"}, "needs ratio_level token"),
    ("reinforce", {"ratio_level": "sequence_token"}, "uses no ratio"),
    ("trpo", {"surrogate": "ppo_clip"}, "bounds the step already"),
    ("trpo", {"step": "gradient"}, "no bound of its own"),
    ("grpo", {"penalty_target": 0.1}, "adapts the weight of surrogate kl_penalty"),
    ("reinforce", {"correction": "in_ratio"}, "bounds no ratio"),
    ("trpo", {"correction": "in_ratio"}, "bounds no ratio"),
    ("dapo", {"kl_target": 0.1}, "adapts beta, which is 0"),
    ("rft", {"dynamic_sampling": True}, "which selection verified would keep"),
    ("offline_pg", {"baseline": "greedy"}, "recorded data does not hold"),
    ("offline_pg", {"dynamic_sampling": True}, "learns from recorded data"),
    ("sft", {"data": "sampled", "dynamic_sampling": True}, "which selection right would keep"),
    ("grpo", {"kl_estimator": "k1"}, "gradient of zero in expectation"),
    ("dapo", {"kl_estimator": "k1", "beta": 0.1}, "gradient of zero in expectation"),
    ("ppo", {"kl_estimator": "k2"}, "k2 in the reward does not give the gradient"),
    ("grpo", {"kl_place": "reward"}, "k3 in the reward does not give the gradient"),
    ("grpo", {"rejection": "sequence", "rejection_low": None, "rejection_high": None}, "leaves nothing out"),
    ("ppo", {"shape": "signed"}, "shape signed makes one number of a response"),
    ("reinforce", {"combine": "decoupled"}, "combine decoupled makes one number of a response"),
    ("gdpo", {"shape": "signed"}, "leave one of them out"),
    ("pass_at_k", {"set_size": 8}, "every set would be the whole group"),
    ("maxrl", {"baseline": "leave_one_out"}, "scale group_mean is derived for the baseline group_mean"),
    ("reinforce++", {"drop_agreeing": True}, "would move the baseline"),
    ("scalerl", {"dynamic_sampling": True}, "would sample again; use one of them"),
    ("grpo", {"positive_weight": 0.0, "negative_weight": 0.0}, "nothing would be learned"),
    ("rft", {"positive_weight": 0.5}, "scale the learning rate instead"),
    ("gmpo", {"ratio_level": "sequence"}, "clips each token's own ratio"),
    ("gmpo", {"entropy_share": 0.2}, "takes the mean over all tokens of a response"),
    ("vespo", {"ratio_level": "token"}, "needs ratio_level sequence_product"),
    ("aspo", {"ratio_level": "sequence"}, "needs ratio_level token"),
    ("opo", {"ratio_penalty": 0.1}, "uses no ratio"),
    ("dapo", {"kl_weighted": True}, "there is none; give beta a value"),
    ("trpo", {"entropy_target": 0.3}, "use step gradient"),
    ("rft", {"data": "recorded", "tokens": "clip_cov"}, "imitation gives all the same"),
    ("rft", {"tokens": "kl_cov"}, "imitation gives all the same"),
    ("remax", {"shape": "signed"}, "on another scale than the greedy response's"),
    ("remax", {"combine": "decoupled"}, "on another scale than the greedy response's"),
    ("clip_cov", {"covariance_low": 5.0}, "where none can be"),
    ("on_policy_distillation", {"teacher_weight": 0.0}, "does not listen to it"),
    ("grpo", {"teacher_weight": 0.5}, "and objective.teacher is none"),
    ("gspo", {"correction": "in_ratio"}, "most of a batch would be clipped before any update"),
]


@pytest.mark.parametrize(("name", "change", "reason"), REFUSED)
def test_refused_with_the_reason(name, change, reason):
    assert any(reason in found for found in refusals(resolve_objective(name, change), group_size=8))


def test_groups_of_one_are_for_baselines_that_need_no_group():
    for name in ("grpo", "rloo", "dapo", "online_dpo", "bnpo", "maxrl", "gdpo", "opo", "scalerl"):
        assert "leaves nothing to compare" in refusals(ALGORITHMS[name], group_size=1)[0], name
    for name in ("reinforce", "remax", "reinforce++", "ppo"):
        assert refusals(ALGORITHMS[name], group_size=1) == [], name


def test_an_unweighted_gradient_is_right_for_one_update_only():
    assert "leave it after the first" in refusals(ALGORITHMS["reinforce"], group_size=8, updates=2)[0]
    assert refusals(ALGORITHMS["rft"], group_size=8, updates=2) == []


@pytest.mark.parametrize(("place", "estimator"), [("loss", "k2"), ("loss", "k3"), ("reward", "k1")])
def test_estimators_of_the_kl_stand_where_their_gradient_is_one(place, estimator):
    row = resolve_objective("grpo", {"kl_place": place, "kl_estimator": estimator})
    assert refusals(row, group_size=8) == []
    off = resolve_objective("grpo", {"beta": 0.0, "kl_place": place, "kl_estimator": "k1"})
    assert refusals(off, group_size=8) == []  # without a weight there is no KL to be wrong about


VALUES = {"family": "values", "aggregation": "token_mean", "beta": 0.0}


@pytest.mark.parametrize("bootstrap", ["max", "double_max", "soft", "expectile"])
def test_values_of_any_policy_can_be_learned_from_what_older_ones_sampled(bootstrap):
    row = resolve_objective("grpo", VALUES | {"bootstrap": bootstrap, "target_rate": 1.0}, "older_weights")
    assert refusals(row, group_size=8, replays=True) == []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("positive_weight", 0.1),
        ("rejection", "token"),
        ("clip_high", 0.28),
        ("dual_clip", 3.0),
        ("value_clip", None),
        ("entropy_share", 0.2),
        ("selection", "right"),
        ("returns", "gae"),
        ("surrogate", "cispo"),
        ("ratio_level", "sequence"),
    ],
)
def test_choices_of_policy_gradients_are_no_choices_of_values(key, value):
    row = resolve_objective("dqn", {key: value})
    (found,) = refusals(row, group_size=8)
    assert found.startswith(f"objective.{key} {value} is of policy gradients; family values needs ")
    assert refusals(resolve_objective("dqn", {}), group_size=8) == []


@pytest.mark.parametrize("name", [name for name, row in ALGORITHMS.items() if row.family != "values"])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("action_values", "twins"),
        ("bootstrap", "max"),
        ("value_temperature", 0.5),
        ("bootstrap_steps", 3),
        ("target_rate", 0.1),
        ("target_every", 2),
        ("policy_steps", 2),
        ("huber", 1.0),
        ("expectile", 0.9),
    ],
)
def test_choices_of_values_are_choices_of_no_other_family(name, key, value):
    row = resolve_objective(name, {key: value})
    found = [
        reason for reason in refusals(row, group_size=8) if f"objective.{key} {value} is of family values" in reason
    ]
    assert found
    assert f"family {row.family} does not read it" in found[0]
    named = re.search(r"begin with a row that does \((.*)\)", found[0])[1].split(", ")
    with_it = [resolve_objective(reader, {key: value}) for reader in named]
    assert any(refusals(reader, group_size=8) == unread(reader, [key]) == [] for reader in with_it)


def test_what_values_do_not_read_is_refused_or_not_made():
    found = refusals(resolve_objective("grpo", VALUES | {"entropy_target": 0.5}), group_size=8)
    assert any("adapts a bonus of policy gradients" in reason for reason in found)
    assert not resolve_objective("remax", VALUES).needs_greedy


@pytest.mark.parametrize("name", ALGORITHMS)
def test_what_samples_can_replay_but_pairs_labels_and_sarsa(name):
    row = resolve_objective(name, {}, "older_weights")
    off_policy = row.family == "policy_gradient" or (row.learns_values and row.bootstrap != "sampled")
    found = refusals(row, group_size=8, replays=True)
    assert (found == []) == (off_policy and not row.recorded), found


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("grpo", {"correction": "none"}, "as if that had sampled what older ones did"),
        ("online_dpo", {}, "its loss knows no ratio to the policy that sampled"),
        ("offline_pg", {}, "this algorithm learns from recorded data"),
        ("grpo", VALUES | {"bootstrap": "sampled"}, "the tokens of older ones are not what this one would go on with"),
    ],
)
def test_what_cannot_replay_is_refused_with_the_reason(name, change, reason):
    row = resolve_objective(name, change, "older_weights")
    assert any(reason in found for found in refusals(row, group_size=8, replays=True))
    assert refusals(resolve_objective(name, change), group_size=8) == []
