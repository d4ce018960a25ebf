"""Weights against the engine and what is rejected: each value against its formula, and what they do to a loss."""

import math

import pytest
import torch
from pydantic import ValidationError

from grpo_kit.objective.correction import CORRECTIONS, LEVELS, REJECTIONS, Mismatch, spread
from grpo_kit.objective.rows import Objective

LOG_WEIGHTS = torch.tensor([-3.0, -0.1, 0.0, math.log(2.0) - 1e-6, math.log(2.0) + 1e-3, 5.0, 200.0])


def test_weights():
    w = LOG_WEIGHTS.double().exp()
    expected = {"none": torch.ones_like(w), "truncated": w.clamp(max=2.0), "in_ratio": torch.ones_like(w)}
    assert set(expected) == set(CORRECTIONS)
    for name, values in expected.items():
        assert torch.allclose(CORRECTIONS[name](LOG_WEIGHTS, 2.0).double(), values, rtol=1e-5), name


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("name", CORRECTIONS)
def test_an_engine_that_agrees_changes_nothing(name, level):
    index = torch.tensor([0, 0, 1, 1, 1])
    assert torch.equal(CORRECTIONS[name](LEVELS[level](torch.zeros(5), index), 2.0), torch.ones(5))


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
    assert errors["in_ratio"] == errors["none"]  # the weight stands in the ratio instead: tests/train/test_update.py


def test_only_the_weight_of_a_response_removes_the_bias_of_what_came_before():
    """Two tokens, the second of which depends on the first; f is of the response. A token's own weight leaves a bias."""
    first = {"trainer": [0.7, 0.3], "engine": [0.4, 0.6]}
    second = {"trainer": [[0.5, 0.5], [0.2, 0.8]], "engine": [[0.6, 0.4], [0.3, 0.7]]}
    pairs = [(i, j) for i in (0, 1) for j in (0, 1)]
    value = dict(zip(pairs, (1.0, -2.0, 0.5, 3.0), strict=True))
    truth = sum(first["trainer"][i] * second["trainer"][i][j] * value[i, j] for i, j in pairs)
    found = dict.fromkeys(LEVELS, 0.0)
    for i, j in pairs:
        ratio = [first["trainer"][i] / first["engine"][i], second["trainer"][i][j] / second["engine"][i][j]]
        log_weight = torch.tensor(ratio, dtype=torch.float64).log()
        for level in LEVELS:  # what the second token of a response counts
            weight = LEVELS[level](log_weight, torch.tensor([0, 0])).exp()[1].item()
            found[level] += first["engine"][i] * second["engine"][i][j] * weight * value[i, j]
    assert found["sequence"] == pytest.approx(truth, rel=1e-12)
    assert abs(found["token"] - truth) > 0.1


LENGTHS = [3, 1, 2, 4]
INDEX = torch.repeat_interleave(torch.arange(4), torch.tensor(LENGTHS))
LOG_WEIGHT = torch.tensor([0.3, -0.2, 0.1, 1.8, -0.9, 0.1, 0.2, 0.3, 0.4, -0.1], dtype=torch.float64)
DRIFT = torch.tensor([0.9, 0.9, 0.3, -0.4, 0.2, 0.1, 0.8, 0.9, 1.0, 0.7], dtype=torch.float64)
ADVANTAGES = torch.tensor([-1.0, 1.0, -0.5, 0.7], dtype=torch.float64)[INDEX]


def reference(name, low, high, limit):
    """Kept or not, token by token, in plain Python."""
    kept, start = [], 0
    for length in LENGTHS:
        ratios = [math.exp(v) for v in LOG_WEIGHT[start : start + length].tolist()]
        drift = DRIFT[start : start + length].tolist()
        for ratio in ratios:
            measured = {
                "token": ratio,
                "sequence": math.prod(ratios),
                "geometric": math.prod(ratios) ** (1 / length),
            }
            if name == "off_policy":
                kept.append(ADVANTAGES[start].item() >= 0 or sum(drift) / length <= limit)
            else:
                kept.append(name == "none" or low <= measured[name] <= high)
        start += length
    return kept


@pytest.mark.parametrize(("low", "high"), [(0.5, 5.0), (0.8, 1.3), (0.99, 2.0)])
@pytest.mark.parametrize("name", REJECTIONS)
def test_rejections(name, low, high):
    seen = Mismatch(LOG_WEIGHT, DRIFT, ADVANTAGES, INDEX)
    row = Objective(rejection=name, rejection_low=low, rejection_high=high, rejection_limit=0.6)
    assert REJECTIONS[name](seen, row).tolist() == reference(name, low, high, 0.6)


def test_a_bound_may_be_off():
    seen = Mismatch(LOG_WEIGHT, DRIFT, ADVANTAGES, INDEX)
    above = REJECTIONS["token"](seen, Objective(rejection_low=None, rejection_high=1.3))
    assert above.tolist() == (LOG_WEIGHT.exp() <= 1.3).tolist()
    below = REJECTIONS["token"](seen, Objective(rejection_low=0.8, rejection_high=None))
    assert below.tolist() == (LOG_WEIGHT.exp() >= 0.8).tolist()


def test_the_old_spelling_names_the_new_one():
    with pytest.raises(
        ValidationError, match="masked is a weight and a rejection now: write correction: truncated, reje"
    ):
        Objective.model_validate({"correction": "masked"})


def test_the_spread_is_the_chi_square_divergence():
    trainer, engine = torch.tensor([0.5, 0.3, 0.2]).double(), torch.tensor([0.3, 0.3, 0.4]).double()
    mean = (engine * spread((trainer / engine).log())).sum()
    assert mean.item() == pytest.approx(((trainer - engine).square() / engine).sum().item())
    assert torch.isfinite(spread(torch.tensor([500.0]))).all()
