"""Every surrogate and its gradient against a formula in plain float64 Python."""

import math

import pytest
import torch

from grpo_kit.objective.losses import RATIO_LEVELS
from grpo_kit.objective.rows import Objective
from grpo_kit.objective.surrogates import SURROGATES

ROW = Objective(
    clip_low=0.2,
    clip_high=0.28,
    dual_clip=None,
    gate_positive=1.0,
    gate_negative=1.05,
    divergence_limit=0.15,
    penalty=0.7,
)
LOGPROB = -0.9
ONE = torch.tensor([0])  # a sequence of one token


def sigmoid(x):
    return 1.0 / (1.0 + math.exp(-x))


def expected(name, logprob, log_ratio, a):
    """(loss, d loss / d logprob), with the old log-probability held fixed."""
    r = math.exp(log_ratio)
    if name == "policy_gradient":
        return -a * logprob, -a
    if name == "importance":
        return -r * a, -r * a
    if name == "ppo_clip":
        stopped = (a > 0 and r > 1.28) or (a < 0 and r < 0.8)
        return -min(r * a, min(max(r, 0.8), 1.28) * a), 0.0 if stopped else -r * a
    if name == "cispo":
        weight = min(max(r, 0.8), 1.28)
        return -weight * a * logprob, -weight * a
    if name == "sapo":
        t = 1.0 if a > 0 else 1.05
        gate = sigmoid(t * (r - 1))
        return -4 / t * gate * a, -4 * gate * (1 - gate) * r * a
    if name == "kl_penalty":
        return -r * a + 0.7 * (r - 1 - log_ratio), -r * a + 0.7 * (r - 1)
    if name == "divergence_mask":
        moved = abs(math.exp(logprob) - math.exp(logprob - log_ratio)) > 0.15
        masked = moved and ((a > 0 and r > 1) or (a < 0 and r < 1))
        return (0.0, 0.0) if masked else (-r * a, -r * a)
    raise AssertionError(f"no formula for {name}")


@pytest.mark.parametrize("name", SURROGATES)
@pytest.mark.parametrize("advantage", [1.5, -0.7])
@pytest.mark.parametrize("log_ratio", [-2.0, -0.3, -0.1, 0.0, 0.1, 0.26, 2.0])
def test_loss_and_gradient(name, advantage, log_ratio):
    logprob = torch.tensor([LOGPROB], dtype=torch.float64, requires_grad=True)
    ratio = RATIO_LEVELS["token"](logprob, torch.tensor([LOGPROB - log_ratio], dtype=torch.float64), torch.tensor([0]))
    a = torch.tensor([advantage], dtype=torch.float64)
    result = SURROGATES[name](logprob, ratio, a, ONE, ROW)
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprob)
    loss, slope = expected(name, LOGPROB, log_ratio, advantage)
    assert result.loss.item() == pytest.approx(loss, rel=1e-9, abs=1e-12)
    assert gradient.item() == pytest.approx(slope, rel=1e-9, abs=1e-12)


def test_ppo_reports_where_it_clipped():
    log_ratio = torch.tensor([-1.0, -1.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    advantages = torch.tensor([1.0, -1.0, 1.0, 1.0, -1.0], dtype=torch.float64)
    result = SURROGATES["ppo_clip"](log_ratio, log_ratio, advantages, torch.arange(5), ROW)
    assert result.clipped_low.tolist() == [False, True, False, False, False]
    assert result.clipped_high.tolist() == [False, False, False, True, False]


def test_dual_clip_bounds_the_loss_of_bad_tokens_that_became_likely():
    log_ratio = torch.tensor([3.0], dtype=torch.float64, requires_grad=True)
    row = Objective(dual_clip=3.0)
    result = SURROGATES["ppo_clip"](log_ratio, log_ratio, torch.tensor([-2.0], dtype=torch.float64), ONE, row)
    assert result.loss.item() == pytest.approx(6.0)
    result.loss.sum().backward()
    assert log_ratio.grad.item() == 0.0


def test_all_surrogates_have_the_policy_gradient_where_nothing_moved():
    """At ratio 1 every algorithm is REINFORCE: what differs is how it leaves that point."""
    for name, surrogate in SURROGATES.items():
        logprob = torch.tensor([-1.2, -0.4], dtype=torch.float64, requires_grad=True)
        a = torch.tensor([0.8, -1.1], dtype=torch.float64)
        result = surrogate(logprob, logprob - logprob.detach(), a, torch.arange(2), ROW)
        (gradient,) = torch.autograd.grad(result.loss.sum(), logprob)
        torch.testing.assert_close(gradient, -a, msg=name)


def test_a_rare_token_of_dppo_weighs_no_more_than_the_cap():
    """From 1e-6 to 1e-3 the probability moves by 0.001 and the ratio by 1000: no limit of probabilities holds that."""
    row = Objective(divergence_limit=0.15, ratio_cap=20.0)
    logprob = torch.tensor([1e-3, 0.3], dtype=torch.float64).log().requires_grad_()
    old = torch.tensor([1e-6, 0.25], dtype=torch.float64).log()
    result = SURROGATES["divergence_mask"](
        logprob, logprob - old, torch.ones(2, dtype=torch.float64), torch.arange(2), row
    )
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprob)
    torch.testing.assert_close(result.loss.detach(), torch.tensor([-20.0, -1.2], dtype=torch.float64))
    torch.testing.assert_close(gradient, torch.tensor([-20.0, -1.2], dtype=torch.float64))
