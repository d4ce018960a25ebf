"""The mapping names only real fields of TRL, with TRL's own defaults, and real keys of a recipe."""

import dataclasses
import inspect
import re

import pytest

from grpo_kit.compat.trl import together
from grpo_kit.compat.trl.fields import CONFIGS, FIELDS, METHODS, TRAINERS, fields_of
from grpo_kit.config.explain import all_keys
from tests.kit.optional import needs_extra


def test_every_key_is_one_of_a_recipe():
    known = {re.sub(r"\.\d+", "", key) for key in all_keys()}
    named = {re.sub(r"\.\d+", "", key) for field in FIELDS for key in field.keys}
    assert named - known == set()


def test_every_field_says_where_it_goes_or_why_not():
    names = [(field.name, method) for field in FIELDS for method in field.methods]
    assert len(names) == len(set(names))
    assert [field.name for field in FIELDS if not field.keys and not field.why] == []


@pytest.mark.parametrize("method", METHODS)
def test_fields_and_defaults_are_trls(method):
    needs_extra("trl", "parity")
    import trl

    theirs = {f.name: f for f in dataclasses.fields(getattr(trl, CONFIGS[method]))}
    for name, field in fields_of(method).items():
        assert (name in theirs) != field.older, name
        if field.older:
            continue
        default = theirs[name].default
        if default is dataclasses.MISSING:
            default = theirs[name].default_factory()
        ours = field.default_of(method)
        assert (list(ours) if isinstance(ours, tuple) else ours) == getattr(default, "value", default), name


def test_positional_arguments_are_trls():
    needs_extra("trl", "parity")
    import trl

    for name, (_, order) in TRAINERS.items():
        assert tuple(inspect.signature(getattr(trl, name)).parameters)[: len(order)] == order


SETTINGS = [
    {"loss_type": loss, "epsilon_high": 5.0 if loss == "cispo" else None, "beta": 0.1, "delta": 2.0}
    for loss in together.LOSSES
] + [
    {"use_vllm": True, "loss_type": "grpo", "vllm_importance_sampling_mode": mode} for mode in together.CORRECTIONS
] + [
    {"multi_objective_aggregation": "normalize_then_sum"}, {"off_policy_mask_threshold": 0.5}, {"entropy_coef": 0.1},
    {"use_adaptive_entropy": True}, {"scale_rewards": False}, {"scale_rewards": "batch"},
]  # fmt: skip


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_what_is_made_together_is_declared(settings):
    """A key that the table does not name would be carried without a word in the documentation."""
    values = {name: field.default_of("grpo") for name, field in fields_of("grpo").items()} | settings
    declared = {key for field in FIELDS for key in field.keys}
    assert {f"objective.{key}" for key in together.grpo_objective(values)} <= declared
    assert {f"rollout.{key}" for key in together.engine(values)} <= declared
