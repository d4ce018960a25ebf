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


FORMULAS = {
    "reinforce": reinforce, "remax": reinforce, "rloo": rloo, "reinforce++": reinforce_plus_plus, "grpo": grpo,
    "dr_grpo": dr_grpo, "bnpo": reinforce_plus_plus, "dapo": dapo, "gspo": gspo, "gspo_token": gspo_token,
    "cispo": cispo, "sapo": sapo, "dppo": dppo, "ppo": reinforce_plus_plus, "ppo_penalty": ppo_penalty, "trpo": trpo,
    "rft": likelihood, "sft": likelihood, "offline_pg": offline_pg, "on_policy_distillation": reinforce_plus_plus,
}  # fmt: skip


@pytest.mark.parametrize("name", [n for n, row in ALGORITHMS.items() if row.family == "policy_gradient"])
@pytest.mark.parametrize("token_budget", [10**6, 20])
def test_loss_and_gradient(case, name, token_budget):
    """The advantages are given; what a baseline or a critic makes of rewards is tested where it is defined."""
    row = resolve_objective(name, {"baseline": "none"})
    same(case, our_loss(case, row, token_budget), FORMULAS[name](case), 1e-9)


def test_entropy_bonus_and_high_entropy_tokens(case):
    row = resolve_objective("dapo", {"entropy_bonus": 0.03, "entropy_share": 0.25})
    entropies = case.flat(case.entropies)
    limit = entropies.detach().float().quantile(0.75)
    kept = (case.entropies.detach().float() >= limit) & case.mask.bool()
    assert 0 < kept.sum() < 0.4 * TOTAL
    policy = clipped((case.logprobs - case.old).exp(), case.advantages[:, None], 0.2, 0.28)
    wanted = -((policy + 0.03 * case.entropies) * kept).sum() / TOTAL
    same(case, our_loss(case, row), wanted, 1e-9)
