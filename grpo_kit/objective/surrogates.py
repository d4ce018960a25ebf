"""Surrogates: what is minimised at each token, given its ratio and its advantage. Pure functions on tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .rows import Objective, declare_axis
from .shapes import Tokens


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A per-token loss and where its bound was active, as booleans."""

    loss: Tokens
    clipped_low: Tokens
    clipped_high: Tokens


def _unbounded(loss: Tokens) -> Surrogate:
    never = torch.zeros_like(loss, dtype=torch.bool)
    return Surrogate(loss, never, never)


def policy_gradient(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-A log pi: REINFORCE (Williams, 1992); with A = 1 maximum likelihood. No ratio, so on-policy data only."""
    return _unbounded(-advantages * logprobs)


def importance(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-r A, without a bound: TRPO's objective (arXiv:1502.05477, eq. 14), whose bound is the trust region of the step."""
    return _unbounded(-log_ratio.exp() * advantages)


def ppo_clip(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-min(r A, clip(r, 1 - low, 1 + high) A) (PPO, arXiv:1707.06347, eq. 7; two bounds: DAPO, arXiv:2503.14476).

    ``dual_clip`` bounds r where A < 0, where the minimum alone does not (arXiv:1912.09729, eq. 5).
    """
    low, high = row.clip_low, row.clip_high
    ratio = log_ratio.exp()
    bounded = ratio.clamp(1.0 - low, 1.0 + high)
    free = ratio if row.dual_clip is None else ratio.clamp(max=row.dual_clip)
    return Surrogate(
        -torch.minimum(free * advantages, bounded * advantages),
        (ratio < 1.0 - low) & (advantages < 0),
        (ratio > 1.0 + high) & (advantages > 0),
    )


def cispo(logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective) -> Surrogate:
    """-stop(clip(r, 1 - low, 1 + high)) A log pi: no token loses its gradient (MiniMax-M1, arXiv:2506.13585, eq. 4)."""
    low, high = 1.0 - row.clip_low, 1.0 + row.clip_high
    ratio = log_ratio.detach().exp()
    return Surrogate(-ratio.clamp(low, high) * advantages * logprobs, ratio < low, ratio > high)


def sapo(logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective) -> Surrogate:
    """-(4 / t) sigmoid(t (r - 1)) A: a soft gate instead of a clip (SAPO, arXiv:2511.20347, eq. 5 and 6).

    The temperature t is higher where A <= 0, so that the gradient of unlikely tokens fades faster.
    """
    # Not torch.where of two floats, which is float32 whatever the loss is computed in.
    positive = torch.full_like(advantages, row.gate_positive)
    temperature = positive.masked_fill(advantages <= 0, row.gate_negative)
    gate = torch.sigmoid(temperature * (log_ratio.exp() - 1.0)) * 4.0 / temperature
    return _unbounded(-gate * advantages)


def kl_penalty(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-r A + penalty * KL(old || new) (PPO, arXiv:1707.06347, eq. 8).

    The KL is estimated from tokens of the old policy by r - 1 - log r: unbiased, and never negative.
    """
    ratio = log_ratio.exp()
    return _unbounded(-ratio * advantages + row.penalty * (ratio - 1.0 - log_ratio))


def divergence_mask(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-r A, no gradient where the step would leave |pi - pi_old| <= limit (DPPO, binary TV, arXiv:2602.04879).

    The probability of the token, not its ratio, says how far the policy moved: rare tokens may change by large factors.
    ``ratio_cap`` bounds that factor as a weight, and leaves the token its gradient.
    """
    ratio = log_ratio.exp()
    capped = ratio * (ratio.detach().clamp(max=row.ratio_cap) / ratio.detach())
    probability = logprobs.detach().exp()
    moved = (probability - probability * (-log_ratio.detach()).exp()).abs() > row.divergence_limit
    high = moved & (advantages > 0) & (log_ratio > 0)
    low = moved & (advantages < 0) & (log_ratio < 0)
    return Surrogate(-capped * advantages * (~(low | high)), low, high)


SurrogateLoss = Callable[[Tokens, Tokens, Tokens, Tokens, Objective], Surrogate]
SURROGATES: dict[str, SurrogateLoss] = {
    "policy_gradient": policy_gradient,
    "importance": importance,
    "ppo_clip": ppo_clip,
    "cispo": cispo,
    "sapo": sapo,
    "kl_penalty": kl_penalty,
    "divergence_mask": divergence_mask,
}
declare_axis("surrogate", SURROGATES)
