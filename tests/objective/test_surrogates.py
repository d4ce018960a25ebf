"""Every surrogate and its gradient against a formula in plain float64 Python."""

import math

import pytest
import torch

from grpo_kit.objective.losses import RATIO_LEVELS
from grpo_kit.objective.rows import Objective
from grpo_kit.objective.surrogates import DIVERGENCES, SURROGATES

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
    if name == "geometric_clip":
        bound = min(log_ratio, 0.28) if a > 0 else max(log_ratio, -0.2)
        return -math.exp(bound) * a, 0.0 if bound != log_ratio else -r * a
    if name == "vespo":
        k, rate = (2.0, 3.0) if a >= 0 else (3.0, 2.0)
        weight = math.exp(rate) * r**k * math.exp(-rate * r)
        return -weight * a * logprob, -weight * a
    if name == "topr":
        weight = 1.0 if a >= 0 else min(r, 1.0)
        return -weight * a * logprob, -weight * a
    if name == "aspo":
        stopped = (a > 0 and r > 1.28) or (a < 0 and r < 0.8)
        weight = 1 / min(r, 1.28) if a > 0 else max(r, 0.8)
        return -weight * a, 0.0 if stopped else -weight * a
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


@pytest.mark.parametrize("ratio", [0.5, 1.05, 1.2, 1.25, 1.6, 4.0])
@pytest.mark.parametrize("bound", [1.1, 3.0])
def test_a_dual_clip_is_the_papers_also_inside_the_clip(ratio, bound):
    """max(min(r A, clip(r) A), c A) where A < 0 (arXiv:1912.09729, eq. 5), and nothing of it elsewhere."""
    row = Objective(clip_low=0.2, clip_high=0.28, dual_clip=bound)
    log_ratio = torch.full((2,), math.log(ratio), dtype=torch.float64)
    a = torch.tensor([-2.0, 2.0], dtype=torch.float64)
    loss = SURROGATES["ppo_clip"](log_ratio, log_ratio, a, torch.arange(2), row).loss
    clipped = min(max(ratio, 0.8), 1.28)
    wanted = [-max(min(ratio * -2.0, clipped * -2.0), bound * -2.0), -min(ratio * 2.0, clipped * 2.0)]
    assert loss.tolist() == pytest.approx(wanted)


FAR = [
    ("ppo_clip", {}, 1.0), ("ppo_clip", {"dual_clip": 3.0}, -1.0), ("cispo", {}, 1.0), ("cispo", {}, -1.0),
    ("sapo", {}, 1.0), ("sapo", {}, -1.0), ("divergence_mask", {}, 1.0), ("divergence_mask", {}, -1.0),
    ("divergence_mask", {"divergence": "kl"}, 1.0), ("divergence_mask", {"divergence": "kl"}, -1.0),
    ("vespo", {}, 1.0), ("vespo", {}, -1.0), ("topr", {}, -1.0), ("aspo", {"dual_clip": 3.0}, 1.0),
    ("aspo", {"dual_clip": 3.0}, -1.0), ("geometric_clip", {}, 1.0),
    # The loss of kl_penalty has no bound, whatever the advantage.
    *((name, {}, 0.0) for name in SURROGATES if name != "kl_penalty"),
    ("ppo_clip", {"dual_clip": 3.0}, 0.0), ("aspo", {"dual_clip": 3.0}, 0.0),
    ("divergence_mask", {"divergence": "kl"}, 0.0),
]  # fmt: skip


@pytest.mark.parametrize(("name", "choices", "advantage"), FAR)
@pytest.mark.parametrize("log_ratio", [-200.0, -110.0, 95.0, 200.0])
def test_what_is_bounded_stays_so_where_the_ratio_overflows(name, choices, advantage, log_ratio):
    """A response of 4000 tokens that moved by 0.03 nats each has a log-ratio of 120, whose exponential float32 has not."""
    row = Objective(**choices)
    found = []
    for dtype in (torch.float32, torch.float64):
        logprob = torch.tensor([min(0.0, log_ratio) - 0.5], dtype=dtype, requires_grad=True)
        old = torch.tensor([-max(0.0, log_ratio) - 0.5], dtype=dtype)
        result = SURROGATES[name](logprob, logprob - old, torch.tensor([advantage], dtype=dtype), ONE, row)
        (gradient,) = torch.autograd.grad(result.loss.sum(), logprob)
        found.append((result.loss.item(), gradient.item(), result.clipped_low.item(), result.clipped_high.item()))
    assert found[0] == pytest.approx(found[1], rel=1e-4, abs=1e-6)


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


def test_aspo_holds_large_weights_and_keeps_their_gradient():
    """A token that became 30 times rarer with A > 0, and one 30 times likelier with A < 0, weigh 3 in place of 30."""
    row = Objective(clip_low=0.2, clip_high=0.2, dual_clip=3.0)
    logprob = torch.tensor([-4.0, -1.0], dtype=torch.float64, requires_grad=True)
    old = logprob.detach() + torch.tensor([math.log(30.0), -math.log(30.0)], dtype=torch.float64)
    a = torch.tensor([1.0, -1.0], dtype=torch.float64)
    result = SURROGATES["aspo"](logprob, logprob - old, a, torch.arange(2), row)
    (gradient,) = torch.autograd.grad(result.loss.sum(), logprob)
    torch.testing.assert_close(gradient, torch.tensor([-3.0, 3.0], dtype=torch.float64))


def test_a_geometric_mean_is_of_the_response_and_a_clipped_token_alone_stands_still():
    row, index = Objective(clip_low=0.4, clip_high=0.4), torch.tensor([0, 0, 1])
    log_ratio = torch.tensor([1.0, 0.1, -0.2], dtype=torch.float64, requires_grad=True)
    a = torch.tensor([2.0, 2.0, -1.0], dtype=torch.float64)
    result = SURROGATES["geometric_clip"](log_ratio, log_ratio, a, index, row)
    first, second = math.exp((0.4 + 0.1) / 2), math.exp(-0.2)
    assert result.loss.tolist() == pytest.approx([-2 * first, -2 * first, second])
    (gradient,) = torch.autograd.grad(result.loss.sum(), log_ratio)
    assert gradient.tolist() == pytest.approx([0.0, -2 * first, second])
    assert result.clipped_high.tolist() == [True, False, False]


def test_the_two_divergences_of_dppo():
    new, old = torch.tensor([0.5, 0.01], dtype=torch.float64), torch.tensor([0.3, 0.02], dtype=torch.float64)
    tv, kl = (DIVERGENCES[name](new.log(), (new / old).log()) for name in ("tv", "kl"))
    assert tv.tolist() == pytest.approx([0.2, 0.01])
    exact = old * (old / new).log() + (1 - old) * ((1 - old) / (1 - new)).log()
    assert kl.tolist() == pytest.approx(exact.tolist(), rel=1e-6)
    certain = torch.tensor([0.0], dtype=torch.float64)  # of probability 1 before and after
    assert DIVERGENCES["kl"](certain, certain).item() == 0.0
