"""Tokens that are held back for their covariance."""

import pytest
import torch

from grpo_kit.objective.kl import toward
from grpo_kit.objective.tokens import clip_cov, covariance, entropy_limit, kl_cov

LOGPROBS = torch.tensor([-0.1, -3.0, -0.5, -2.0, -0.05, -1.0], dtype=torch.float64)
ADVANTAGES = torch.tensor([2.0, 2.0, -1.0, -1.0, 4.0, 0.0], dtype=torch.float64)


def test_covariance():
    mean_log, mean_advantage = sum(LOGPROBS.tolist()) / 6, sum(ADVANTAGES.tolist()) / 6
    expected = [
        (a - mean_advantage) * (p - mean_log) for p, a in zip(LOGPROBS.tolist(), ADVANTAGES.tolist(), strict=True)
    ]
    found = covariance(LOGPROBS, ADVANTAGES)
    assert found.tolist() == pytest.approx(expected)
    assert found.mean().item() == pytest.approx(
        torch.cov(torch.stack([LOGPROBS, ADVANTAGES]), correction=0)[0, 1].item()
    )


def test_kl_cov_takes_the_highest():
    assert kl_cov(torch.tensor([0.1, 3.0, -2.0, 5.0]), 0.5).tolist() == [False, True, False, True]
    assert kl_cov(torch.tensor([0.1, 3.0, -2.0]), 2e-4).sum() == 1  # one at least
    assert kl_cov(torch.tensor([]), 0.5).numel() == 0


def test_clip_cov_chooses_between_its_bounds_and_the_same_ones_again():
    values = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.5, 6.0] * 20)
    kept = clip_cov(values, 0.1, 1.0, 5.0, seed=7)
    assert (~kept).sum() == 12
    assert ((values[~kept] > 1.0) & (values[~kept] < 5.0)).all()
    assert torch.equal(kept, clip_cov(values, 0.1, 1.0, 5.0, seed=7))
    assert not torch.equal(kept, clip_cov(values, 0.1, 1.0, 5.0, seed=8))
    assert clip_cov(torch.zeros(9), 0.5, 1.0, 5.0, seed=0).all()  # none is between


def test_an_entropy_bonus_goes_toward_its_target():
    assert toward(0.01, 0.1, 0.2, 0.005) == pytest.approx(0.015)
    assert toward(0.01, 0.2, 0.2, 0.005) == pytest.approx(0.015)
    assert toward(0.01, 0.3, 0.2, 0.005) == pytest.approx(0.005)
    assert toward(0.002, 0.3, 0.2, 0.005) == 0.0


@pytest.mark.parametrize("share", [0.2, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("count", [1, 2, 10, 11, 37])
def test_the_share_of_highest_entropy_is_that_above_a_quantile(count, share):
    entropies = torch.rand(count, generator=torch.Generator().manual_seed(count))
    chosen = entropies >= entropy_limit(entropies, share)
    assert torch.equal(chosen, entropies >= entropies.double().quantile(1.0 - share) - 1e-7)


def test_a_step_may_have_more_tokens_than_a_quantile_can_be_taken_of():
    entropies = torch.arange(2**24 + 4, dtype=torch.int32).remainder(4).float()
    assert entropy_limit(entropies, 0.25) == 3.0
