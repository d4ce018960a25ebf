"""Losses, ratios, aggregations and KL estimators against independent float64 formulas in plain Python."""

import pytest
import torch

from grpo_kit.objective.kl import KL_ESTIMATORS, double_or_halve, proportional
from grpo_kit.objective.losses import (
    AGGREGATIONS,
    RATIO_LEVELS,
    sequence_weights,
)

LENGTHS = [3, 1, 5]
INDEX = torch.tensor([0, 0, 0, 1, 2, 2, 2, 2, 2])


def random_logprobs(seed):
    generator = torch.Generator().manual_seed(seed)
    return -torch.rand(9, generator=generator, dtype=torch.float64) * 3


def test_token_ratio():
    new, old = random_logprobs(0), random_logprobs(1)
    assert torch.equal(RATIO_LEVELS["token"](new, old, INDEX), new - old)


def test_sequence_ratio_is_the_mean_log_ratio_of_the_sequence():
    new, old = random_logprobs(0), random_logprobs(1)
    result = RATIO_LEVELS["sequence"](new, old, INDEX).tolist()
    differences, start = (new - old).tolist(), 0
    for length in LENGTHS:
        mean = sum(differences[start : start + length]) / length
        assert result[start : start + length] == pytest.approx([mean] * length, rel=1e-12)
        start += length


def test_sequence_token_ratio_has_the_sequences_value_and_the_tokens_gradient():
    new, old = random_logprobs(0).requires_grad_(), random_logprobs(1)
    result = RATIO_LEVELS["sequence_token"](new, old, INDEX)
    torch.testing.assert_close(result, RATIO_LEVELS["sequence"](new, old, INDEX))
    (gradient,) = torch.autograd.grad((result * torch.arange(9)).sum(), new)
    assert gradient.tolist() == list(range(9))


def test_sequence_product_is_the_ratio_of_the_whole_response():
    new, old = random_logprobs(0), random_logprobs(1)
    result = RATIO_LEVELS["sequence_product"](new, old, INDEX).tolist()
    differences, start = (new - old).tolist(), 0
    for length in LENGTHS:
        assert result[start : start + length] == pytest.approx([sum(differences[start : start + length])] * length)
        start += length


@pytest.mark.parametrize("level", RATIO_LEVELS)
def test_ratios_of_an_empty_batch_are_empty(level):
    empty = torch.tensor([])
    assert RATIO_LEVELS[level](empty, empty, torch.tensor([], dtype=torch.long)).numel() == 0


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("sequence_mean", lambda length: 1 / (length * 3)),
        ("token_mean", lambda length: 1 / sum(LENGTHS)),
        ("constant_length", lambda length: 1 / (3 * 64)),
        ("sequence_sum", lambda length: 1 / 3),
    ],
)
def test_aggregations(name, formula):
    weights = sequence_weights(torch.tensor(LENGTHS), aggregation=name, max_tokens=64)
    assert weights.dtype == torch.float64
    assert weights.tolist() == pytest.approx([formula(length) for length in LENGTHS], rel=1e-12)


def test_group_token_mean_gives_every_group_the_same_weight():
    lengths, groups = torch.tensor(LENGTHS), torch.tensor([0, 1, 1])
    weights = sequence_weights(lengths, aggregation="group_token_mean", max_tokens=64, group_index=groups)
    assert weights.tolist() == pytest.approx([1 / (2 * 3), 1 / (2 * 6), 1 / (2 * 6)], rel=1e-12)


def test_every_aggregation_survives_an_empty_step():
    for name in AGGREGATIONS:
        assert sequence_weights(torch.tensor([]), aggregation=name, max_tokens=8).numel() == 0


def test_kl_estimators_and_their_gradients():
    new, reference = random_logprobs(2).requires_grad_(), random_logprobs(3)
    difference = (reference - new).detach()
    expected = {
        "k1": (-difference, torch.ones(9, dtype=torch.float64)),
        "k2": (difference**2 / 2, -difference),
        "k3": (difference.exp() - difference - 1, 1 - difference.exp()),
    }
    assert set(expected) == set(KL_ESTIMATORS)
    for name, (value, gradient) in expected.items():
        result = KL_ESTIMATORS[name](new, reference)
        torch.testing.assert_close(result.detach(), value, rtol=1e-12, atol=1e-12)
        (found,) = torch.autograd.grad(result.sum(), new)
        torch.testing.assert_close(found, gradient, rtol=1e-12, atol=1e-12)


def test_k1_and_k3_estimate_the_same_divergence():
    """On all tokens of a small distribution, weighted by the policy, both give KL(policy || reference) exactly."""
    policy, reference = torch.tensor([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]], dtype=torch.float64)
    exact = (policy * (policy / reference).log()).sum()
    for name in ("k1", "k3"):
        estimate = (policy * KL_ESTIMATORS[name](policy.log(), reference.log())).sum()
        torch.testing.assert_close(estimate, exact, rtol=1e-12, atol=1e-12)


def test_adaptive_coefficients():
    assert [double_or_halve(1.0, kl, 0.1) for kl in (0.2, 0.1, 0.05)] == [2.0, 1.0, 0.5]
    found = [proportional(1.0, kl, 0.1) for kl in (0.2, 0.11, 0.1, 0.0)]
    assert found == pytest.approx([1.02, 1.01, 1.0, 0.98])
