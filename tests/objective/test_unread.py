"""Choices that do nothing are said."""

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.config.source import shipped_recipes
from grpo_kit.errors import UserError
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.objective.rows import Objective
from grpo_kit.objective.unread import READ_BY, idle, unread
from grpo_kit.train.preflight import preflight
from tests.kit.runs import recipe


@pytest.mark.parametrize(
    ("name", "key", "value", "reader"),
    [
        ("grpo", "gate_positive", 3.0, "surrogate sapo"),
        ("dapo", "rejection_limit", 1.0, "rejection off_policy"),
        ("cispo", "dual_clip", 3.0, "surrogate ppo_clip or aspo"),
        ("gspo", "covariance_share", 0.5, "tokens clip_cov or kl_cov"),
        ("kl_cov", "covariance_low", 0.5, "tokens clip_cov"),
        ("grpo", "set_size", 3, "shape pass_at_k"),
        ("dr_grpo", "kl_estimator", "k2", "a beta above 0"),
        ("rft", "shape", "signed", "selection all"),
        ("rft", "scale", "group_std", "policy gradients with selection all"),
        ("dqn", "baseline", "group_mean", "policy gradients with selection all"),
        ("dqn", "correction", "truncated", "policy gradients"),
        ("dqn", "expectile", 0.9, "bootstrap expectile"),
        ("grpo", "per_prompt", 2, "pairs and selection verified"),
        ("grpo", "value_clip", None, "baseline critic"),
        ("kto", "pair_loss", "ipo", "family pairs"),
        ("dpo", "good_weight", 2.0, "family labels"),
        ("dpo", "dynamic_sampling", True, "data sampled"),
        ("reward_model", "beta", 0.2, "a loss with a reference"),
    ],
)
def test_a_choice_that_nobody_reads_is_named_with_who_would(name, key, value, reader):
    (said,) = unread(resolve_objective(name, {key: value}), [key])
    assert said.startswith(f"objective.{key} {value} is read by {reader} alone")


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("online_dpo", "shape", "signed"),
        ("kto", "rejection", "token"),
        ("dpo", "scale", "none"),
        ("dpo", "baseline", "none"),
        ("ipo", "aggregation", "token_mean"),
        ("kto", "gate_positive", 3.0),
        ("reward_model", "mask_truncated", True),
        ("online_dpo", "correction_cap", 3.0),
        ("online_dpo", "kl_estimator", "k2"),
    ],
)
def test_choices_of_policy_gradients_are_named_where_preferences_are_learned(name, key, value):
    (said,) = unread(resolve_objective(name, {key: value}), [key])
    assert (
        said
        == f"objective.{key} {value} is of policy gradients, and changes nothing in family {ALGORITHMS[name].family}"
    )


def test_what_is_read_is_not_named():
    assert unread(resolve_objective("sapo", {"gate_positive": 3.0}), ["gate_positive"]) == []
    assert unread(resolve_objective("grpo", {"clip_high": 0.3}), ["clip_high"]) == []
    assert unread(resolve_objective("online_dpo", {"dynamic_sampling": True}), ["dynamic_sampling", "beta"]) == []
    assert unread(resolve_objective("dqn", {"trace": 0.5}), ["trace"]) == []
    (said,) = unread(resolve_objective("dqn", {"trace": 0.5, "bootstrap_steps": 3}), ["trace", "bootstrap_steps"])
    assert "trace 0.5 is read by returns gae and family values without bootstrap_steps alone" in said
    assert unread(resolve_objective("iql", {"expectile": 0.9}), ["expectile", "trace"]) == []
    added = ALGORITHMS["grpo"].model_copy(update={"surrogate": "of_a_file"})
    assert unread(added, ["clip_high", "gate_positive"]) == []


@pytest.mark.parametrize("name", ALGORITHMS)
def test_no_row_says_what_it_does_not_read(name):
    row = ALGORITHMS[name]
    said = [key for key in READ_BY if getattr(row, key) != Objective.model_fields[key].default]
    assert unread(row, said) == []


def test_no_shipped_recipe_does():
    for name in shipped_recipes():
        try:
            config = load_recipe(name)
        except UserError:  # of several stages, or a task of an evaluation
            continue
        row = ALGORITHMS[config.algorithm]
        said = [k for k in config.objective.model_fields_set if getattr(config.objective, k) != getattr(row, k)]
        assert unread(resolve_objective(config.algorithm, config.objective), said) == [], name
        assert idle(row, config.train.updates_per_batch * config.train.epochs_per_batch) == [], name


def test_a_penalty_on_moving_is_idle_at_a_batch_s_only_update():
    assert "tokens kl_cov" in idle(ALGORITHMS["kl_cov"], 1)[0]
    assert "ratio_penalty" in idle(resolve_objective("grpo", {"ratio_penalty": 0.1}), 1)[0]
    assert idle(ALGORITHMS["kl_cov"], 2) == []
    assert idle(resolve_objective("dppo", {"ratio_penalty": 0.1}), 1) == []  # its ratio is to the engine


def test_both_are_said_before_a_run():
    plan = preflight(recipe("kl_cov", "objective.gate_positive=3", "train.updates_per_batch=1"), None)
    assert any("objective.gate_positive 3.0 is read by surrogate sapo alone" in note for note in plan.notes)
    assert any("objective.tokens kl_cov holds the policy" in note for note in plan.notes)
