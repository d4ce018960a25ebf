"""Importance weights against the engine: each row against its formula, and what they do to a loss."""

import math

import pytest
import torch

from grpo_kit.objective.correction import CORRECTIONS

LOG_WEIGHTS = torch.tensor([-3.0, -0.1, 0.0, math.log(2.0) - 1e-6, math.log(2.0) + 1e-3, 5.0, 200.0])


def test_rows():
    w = LOG_WEIGHTS.double().exp()
    expected = {
        "none": torch.ones_like(w),
        "truncated": w.clamp(max=2.0),
        "masked": torch.where(w <= 2.0, w, 0.0),
        "in_ratio": torch.ones_like(w),
    }
    assert set(expected) == set(CORRECTIONS)
    for name, values in expected.items():
        assert torch.allclose(CORRECTIONS[name](LOG_WEIGHTS, 2.0).double(), values, rtol=1e-5), name


@pytest.mark.parametrize("name", CORRECTIONS)
def test_an_engine_that_agrees_changes_nothing(name):
    assert torch.equal(CORRECTIONS[name](torch.zeros(5), 2.0), torch.ones(5))


def test_the_weights_remove_the_bias_of_a_wrong_engine():
    """E_engine[w f] = E_trainer[f]: sampled from the engine's distribution, the weighted mean is the trainer's."""
    trainer, engine = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.3, 0.3, 0.4])
    value = torch.tensor([1.0, 0.0, -1.0])
    errors = {}
    for name, correction in CORRECTIONS.items():
        weight = correction((trainer / engine).log(), 2.0)
        errors[name] = float(((engine * weight * value).sum() - (trainer * value).sum()).abs())
    assert errors["none"] > 0.3
    assert errors["truncated"] == pytest.approx(0.0, abs=1e-6)
    assert errors["masked"] == pytest.approx(0.0, abs=1e-6)
    assert errors["in_ratio"] == errors["none"]  # the weight stands in the ratio instead: tests/train/test_update.py
