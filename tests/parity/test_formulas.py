"""Each online row of the table, through the trainer's loss, against its paper's objective written out in float64."""

import pytest
import torch

from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from tests.parity.case import LENGTHS, MAX_TOKENS, our_loss, same

N, TOTAL = len(LENGTHS), sum(LENGTHS)


def per_sequence(case):
    """(log pi, log pi_old, log reference, advantage) of each response without its padding."""
    for i, length in enumerate(LENGTHS):
        yield case.logprobs[i, :length], case.old[i, :length], case.reference[i, :length], case.advantages[i]


def clipped(ratio, a, low, high):
    return torch.min(ratio * a, ratio.clamp(1 - low, 1 + high) * a)


def k3(new, reference):
    return (reference - new).exp() - (reference - new) - 1


def reinforce(case):
    return -sum((new * a).sum() for new, _, _, a in per_sequence(case)) / N


def rloo(case):
    ratios = [((new - old).sum().exp(), a) for new, old, _, a in per_sequence(case)]
    return -sum(clipped(r, a, 0.2, 0.2) for r, a in ratios) / N


def reinforce_plus_plus(case):
    return -sum(clipped((new - old).exp(), a, 0.2, 0.2).sum() for new, old, _, a in per_sequence(case)) / TOTAL


def grpo(case):
    parts = [
        (clipped((new - old).exp(), a, 0.2, 0.2) - 0.04 * k3(new, ref)).mean()
        for new, old, ref, a in per_sequence(case)
    ]
    return -sum(parts) / N


def dr_grpo(case):
    parts = [clipped((new - old).exp(), a, 0.2, 0.2).sum() for new, old, _, a in per_sequence(case)]
    return -sum(parts) / (N * MAX_TOKENS)


def dapo(case):
    return -sum(clipped((new - old).exp(), a, 0.2, 0.28).sum() for new, old, _, a in per_sequence(case)) / TOTAL


def gspo(case):
    return -sum(clipped((new - old).mean().exp(), a, 3e-4, 4e-4) for new, old, _, a in per_sequence(case)) / N


def gspo_token(case):
    parts = []
    for new, old, _, a in per_sequence(case):
        ratio = (new - old).mean().exp().detach() * (new - new.detach()).exp()
        parts.append(clipped(ratio, a, 3e-4, 4e-4).mean())
    return -sum(parts) / N


def cispo(case):
    parts = [((new - old).exp().detach().clamp(max=5.0) * a * new).sum() for new, old, _, a in per_sequence(case)]
    return -sum(parts) / TOTAL


def sapo(case):
    parts = []
    for new, old, _, a in per_sequence(case):
        t = 1.0 if a > 0 else 1.05
        parts.append((torch.sigmoid(t * ((new - old).exp() - 1)) * 4 / t * a).mean())
    return -sum(parts) / N


def dppo(case):
    total = 0.0
    for new, old, _, a in per_sequence(case):
        leaves = (new.exp() - old.exp()).abs() > 0.15
        away = ((new > old) & (a > 0)) | ((new < old) & (a < 0))
        total = total + torch.where(leaves & away, 0.0, (new - old).exp() * a).sum()
    return -total / TOTAL


def ppo_penalty(case):
    parts = [
        ((new - old).exp() * a - ((new - old).exp() - 1 - (new - old))).sum() for new, old, _, a in per_sequence(case)
    ]
    return -sum(parts) / TOTAL


def trpo(case):
    return -sum(((new - old).exp() * a).sum() for new, old, _, a in per_sequence(case)) / TOTAL


def likelihood(case):
    return -sum((new * a).sum() for new, _, _, a in per_sequence(case)) / TOTAL


def offline_pg(case):
    parts = [((new - old).exp().detach().clamp(max=2.0) * a * new).sum() for new, old, _, a in per_sequence(case)]
    return -sum(parts) / TOTAL


def luspo(case):
    return (
        -sum(len(new) * clipped((new - old).mean().exp(), a, 3e-4, 4e-4) for new, old, _, a in per_sequence(case)) / N
    )


def gmpo(case):
    parts = []
    for new, old, _, a in per_sequence(case):
        log = new - old
        bound = log.clamp(max=0.4) if a > 0 else log.clamp(min=-0.4)
        parts.append(bound.exp().prod() ** (1 / len(log)) * a)
    return -sum(parts) / N


def dppo_kl(case):
    total = 0.0
    for new, old, _, a in per_sequence(case):
        p, q = new.exp(), old.exp()
        divergence = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log()
        away = ((new > old) & (a > 0)) | ((new < old) & (a < 0))
        total = total + torch.where((divergence > 0.05) & away, 0.0, (new - old).exp() * a).sum()
    return -total / TOTAL


def vespo(case):
    total = 0.0
    for new, old, _, a in per_sequence(case):
        w = (new - old).sum().exp().detach()
        k, rate = (2.0, 3.0) if a >= 0 else (3.0, 2.0)
        total = total + (torch.e**rate * w**k * (-rate * w).exp() * a * new).sum()
    return -total / TOTAL


def topr(case):
    total = 0.0
    for new, old, _, a in per_sequence(case):
        taper = 1.0 if a >= 0 else (new - old).sum().exp().detach().clamp(0.0, 1.0)
        total = total + taper * a * new.sum()
    return -total / N


def aspo(case):
    total = 0.0
    for new, old, _, a in per_sequence(case):
        for now, before in zip(new, old, strict=True):
            r = (now - before).exp()
            if a > 0:
                kept = r.clamp(max=1.2)
                flipped = kept / kept.detach() ** 2  # pi_old pi / stop(pi^2)
                total = total + (flipped if flipped < 3.0 else 3.0 * (1 + now - now.detach())) * a
            else:
                kept = r.clamp(min=0.8)
                total = total + (kept if kept < 3.0 else 3.0 * (1 + now - now.detach())) * a
    return -total / TOTAL


def scalerl(case):
    """Each response answers a prompt of its own here, so the mean over prompts is one over responses."""
    parts = [((new - old).exp().detach().clamp(max=5.0) * a * new).mean() for new, old, _, a in per_sequence(case)]
    return -sum(parts) / N


def covariances(case):
    advantages = torch.cat([a.expand(len(new)) for new, _, _, a in per_sequence(case)])
    logs = torch.cat([old for _, old, _, _ in per_sequence(case)])
    return (advantages - advantages.mean()) * (logs - logs.mean())


def kl_cov(case):
    worst = covariances(case).argmax()
    new, old = (torch.cat([s[i] for s in per_sequence(case)]) for i in (0, 1))
    advantages = torch.cat([a.expand(len(n)) for n, _, _, a in per_sequence(case)])
    return (-((new - old).exp() * advantages).sum() + (new - old)[worst].abs()) / TOTAL


def clip_cov(case):
    """Of 35 tokens one is left out; which of those between the bounds is a matter of the seed."""
    found = covariances(case)
    between = torch.nonzero((found > 1.0) & (found < 5.0))[:, 0]
    order = torch.randperm(len(between), generator=torch.Generator().manual_seed(0))
    kept = torch.ones(TOTAL, dtype=torch.float64)
    kept[between[order[:1]]] = 0.0
    new, old = (torch.cat([s[i] for s in per_sequence(case)]) for i in (0, 1))
    advantages = torch.cat([a.expand(len(n)) for n, _, _, a in per_sequence(case)])
    return -(clipped((new - old).exp(), advantages, 0.2, 0.2) * kept).sum() / TOTAL


FORMULAS = {
    "reinforce": reinforce, "remax": reinforce, "rloo": rloo, "reinforce++": reinforce_plus_plus, "grpo": grpo,
    "dr_grpo": dr_grpo, "bnpo": reinforce_plus_plus, "dapo": dapo, "gspo": gspo, "gspo_token": gspo_token,
    "cispo": cispo, "sapo": sapo, "dppo": dppo, "ppo": reinforce_plus_plus, "ppo_penalty": ppo_penalty, "trpo": trpo,
    "lite_ppo": reinforce_plus_plus, "opo": likelihood, "maxrl": reinforce_plus_plus, "gdpo": reinforce_plus_plus,
    "pass_at_k": reinforce_plus_plus, "scalerl": scalerl, "clip_cov": clip_cov,
    "kl_cov": kl_cov, "luspo": luspo, "gmpo": gmpo, "dppo_kl": dppo_kl, "vespo": vespo, "aspo": aspo,
    "a2c": likelihood,
    "rft": likelihood, "sft": likelihood, "offline_pg": offline_pg, "on_policy_distillation": reinforce_plus_plus,
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n, row in ALGORITHMS.items() if row.family == "policy_gradient"])
@pytest.mark.parametrize("token_budget", [10**6, 20])
def test_loss_and_gradient(case, name, token_budget):
    """The advantages are given; what a baseline or a critic makes of rewards is tested where it is defined."""
    row = resolve_objective(name, {"baseline": "none"})
    same(case, our_loss(case, row, token_budget), FORMULAS[name](case), 1e-9)


def test_wrong_responses_that_fade_with_the_policy(case):
    settings = {"baseline": "none", "scale": "none", "ratio_level": "sequence_product", "surrogate": "topr"}
    row = resolve_objective("grpo", settings | {"aggregation": "sequence_sum", "correction": "in_ratio", "beta": 0.0})
    same(case, our_loss(case, row), topr(case), 1e-9)


def test_entropy_bonus_and_high_entropy_tokens(case):
    row = resolve_objective("dapo", {"entropy_bonus": 0.03, "entropy_share": 0.25})
    entropies = case.flat(case.entropies)
    limit = entropies.detach().float().quantile(0.75)
    kept = (case.entropies.detach().float() >= limit) & case.mask.bool()
    assert 0 < kept.sum() < 0.4 * TOTAL
    policy = clipped((case.logprobs - case.old).exp(), case.advantages[:, None], 0.2, 0.28)
    wanted = -((policy + 0.03 * case.entropies) * kept).sum() / TOTAL
    same(case, our_loss(case, row), wanted, 1e-9)


def test_the_squared_log_ratio_beside_a_surrogate(case):
    row = resolve_objective("dapo", {"ratio_penalty": 0.3})
    parts = [
        (clipped((new - old).exp(), a, 0.2, 0.28) - 0.3 * (new - old) ** 2).sum()
        for new, old, _, a in per_sequence(case)
    ]
    same(case, our_loss(case, row), -sum(parts) / TOTAL, 1e-9)


def test_a_kl_weighted_by_the_ratio(case):
    """DeepSeek-V3.2: r k3, whose expectation over the old policy's tokens is the KL of the new one."""
    row = resolve_objective("grpo", {"kl_weighted": True})
    parts = [
        (clipped((new - old).exp(), a, 0.2, 0.2) - 0.04 * (new - old).exp() * k3(new, ref)).mean()
        for new, old, ref, a in per_sequence(case)
    ]
    same(case, our_loss(case, row), -sum(parts) / N, 1e-9)


def test_weighted_by_the_ratio_the_kl_is_that_of_the_policy_of_now():
    """Summed over a vocabulary with the old policy's probabilities, value and gradient are those of KL(policy || reference)."""
    logits = torch.tensor([0.3, -0.5, 1.1, 0.2], dtype=torch.float64, requires_grad=True)
    old = torch.tensor([0.1, 0.4, 0.3, 0.2], dtype=torch.float64)
    reference = torch.tensor([0.25, 0.25, 0.2, 0.3], dtype=torch.float64)
    new = logits.log_softmax(-1)
    estimate = (old * (new - old.log()).exp() * k3(new, reference.log())).sum()
    exact = (new.exp() * (new - reference.log())).sum()
    assert estimate.item() == pytest.approx(exact.item(), rel=1e-12)
    (found,) = torch.autograd.grad(estimate, logits, retain_graph=True)
    (wanted,) = torch.autograd.grad(exact, logits)
    torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-12)
