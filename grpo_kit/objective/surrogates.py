"""Surrogates: what is minimised at each token, given its ratio and its advantage. Pure functions on tensors."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .losses import sequence_mean_of
from .rows import Objective, declare_axis
from .shapes import Tokens

_LEAST, _MOST = math.log(1e-8), 20.0  # of the logarithm of a ratio


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A per-token loss and where its bound was active, as booleans."""

    loss: Tokens
    clipped_low: Tokens
    clipped_high: Tokens


def _unbounded(loss: Tokens) -> Surrogate:
    never = torch.zeros_like(loss, dtype=torch.bool)
    return Surrogate(loss, never, never)


def _reachable(log_ratio: Tokens, bounded: Tokens) -> Tokens:
    """The log-ratio, where the surrogate bounds it held within what has an exponential in float32.

    A bound takes the gradient of a far token away, as an advantage of 0 does, and 0 times an exponential that overflowed is
    not 0.

    Args:
        bounded: bool, where the surrogate has no gradient that far out.
    """
    return torch.where(bounded, log_ratio.clamp(max=_MOST), log_ratio)


def policy_gradient(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-A log pi: REINFORCE (Williams, 1992); with A = 1 maximum likelihood. No ratio, so on-policy data only."""
    return _unbounded(-advantages * logprobs)


def importance(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-r A, without a bound: TRPO's objective (arXiv:1502.05477, eq. 14), whose bound is the trust region of the step."""
    return _unbounded(-_reachable(log_ratio, advantages == 0).exp() * advantages)


def ppo_clip(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-min(r A, clip(r, 1 - low, 1 + high) A) (PPO, arXiv:1707.06347, eq. 7; two bounds: DAPO, arXiv:2503.14476).

    ``dual_clip`` bounds r where A < 0, where the minimum alone does not (arXiv:1912.09729, eq. 5).
    """
    low, high = row.clip_low, row.clip_high
    # Of a bad token without a dual clip nothing bounds the ratio, and what overflows there must not pass for learned.
    ratio = _reachable(log_ratio, advantages >= 0 if row.dual_clip is None else torch.ones_like(advantages > 0)).exp()
    bounded = ratio.clamp(1.0 - low, 1.0 + high)
    gain = torch.minimum(ratio * advantages, bounded * advantages)
    if row.dual_clip is not None:
        gain = torch.where(advantages < 0, torch.maximum(gain, row.dual_clip * advantages), gain)
    return Surrogate(
        -gain,
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
    ratio = _reachable(log_ratio, torch.ones_like(advantages > 0)).exp()
    gate = torch.sigmoid(temperature * (ratio - 1.0)) * 4.0 / temperature
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
    """-r A, no gradient where the step would leave divergence <= limit (DPPO, arXiv:2602.04879).

    The probability of the token, not its ratio, says how far the policy moved: rare tokens may change by large factors.
    ``ratio_cap`` bounds that factor as a weight, and leaves the token its gradient.
    """
    # The value is that of the capped ratio, the gradient its multiple of that of log pi; no quotient, which 0 and inf spoil.
    capped = log_ratio.detach().exp().clamp(max=row.ratio_cap) * (log_ratio - log_ratio.detach()).exp()
    moved = DIVERGENCES[row.divergence](logprobs.detach(), log_ratio.detach()) > row.divergence_limit
    high = moved & (advantages > 0) & (log_ratio > 0)
    low = moved & (advantages < 0) & (log_ratio < 0)
    return Surrogate(-capped * advantages * (~(low | high)), low, high)


def total_variation(logprobs: Tokens, log_ratio: Tokens) -> Tokens:
    """|pi - pi_old|: total variation of "this token or another" (arXiv:2602.04879)."""
    return (logprobs.exp() - (logprobs - log_ratio).exp()).abs()


def binary_kl(logprobs: Tokens, log_ratio: Tokens) -> Tokens:
    """KL(old || new) of "this token or another", in nats (arXiv:2602.04879; the authors' code adds 1e-8 to what is divided)."""
    new, old = logprobs.exp(), (logprobs - log_ratio).exp()
    return -old * log_ratio + (1.0 - old) * ((1.0 - old + 1e-8) / (1.0 - new + 1e-8)).log()


DIVERGENCES: dict[str, Callable[[Tokens, Tokens], Tokens]] = {"tv": total_variation, "kl": binary_kl}
declare_axis("divergence", DIVERGENCES)


def geometric_clip(
    logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective
) -> Surrogate:
    """-A (prod_t r_t)^(1 / |y|), each log r_t clipped on the side that its sign asks for (GMPO, arXiv:2507.20673, eq. 4).

    The clip is of the logarithm: the ratio of a token may fall to exp(-clip_low) and rise to exp(clip_high). A token that is
    clipped has no gradient, the others keep theirs, and one far token cannot carry the mean away.
    """
    bounded = log_ratio.clamp(-row.clip_low, row.clip_high)
    kept = torch.where(advantages > 0, torch.minimum(log_ratio, bounded), torch.maximum(log_ratio, bounded))
    ratio = _reachable(sequence_mean_of(kept, sequence_index), advantages == 0).exp()
    return Surrogate(
        -ratio * advantages,
        (log_ratio < -row.clip_low) & (advantages <= 0),
        (log_ratio > row.clip_high) & (advantages > 0),
    )


def vespo(logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective) -> Surrogate:
    """-stop(phi(w)) A log pi, phi(w) = exp(l) w^k exp(-l w) of the whole response's ratio w (VESPO, arXiv:2602.10693).

    phi(1) = 1, and far from there the response fades on both sides. k and l are those of the sign of the advantage. w is
    bounded to [1e-8, e^20] as in TRL 1.16, whose code this was read from.
    """
    log_w = log_ratio.detach().clamp(_LEAST, _MOST)
    power = _by_sign(advantages, row.gamma_power_positive, row.gamma_power_negative)
    decay = _by_sign(advantages, row.gamma_decay_positive, row.gamma_decay_negative)
    weight = (decay + power * log_w - decay * log_w.exp()).exp()
    return _unbounded(-weight * advantages * logprobs)


def _by_sign(advantages: Tokens, positive: float, negative: float) -> Tokens:
    # Not torch.where of two floats, which is float32 whatever the loss is computed in.
    return torch.full_like(advantages, positive).masked_fill(advantages < 0, negative)


def topr(logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective) -> Surrogate:
    """-A log pi where A >= 0, -stop(min(r, 1)) A log pi where it is not (TOPR, arXiv:2503.14286, gradient of J_topr).

    Good responses are imitated whoever wrote them; a bad one is pushed down only as far as the policy would still write it.
    """
    tapered = log_ratio.detach().clamp(max=0.0).exp()
    weight = torch.where(advantages < 0, tapered, torch.ones_like(tapered))
    below = (advantages < 0) & (log_ratio.detach() < 0)
    return Surrogate(-weight * advantages * logprobs, below, torch.zeros_like(below))


def aspo(logprobs: Tokens, log_ratio: Tokens, advantages: Tokens, sequence_index: Tokens, row: Objective) -> Surrogate:
    """Where A > 0 the ratio is flipped: a gradient of -A / r, so that rare tokens rise fastest (ASPO, arXiv:2510.06062).

    Below 1 - clip_low with A < 0 and above 1 + clip_high with A > 0 there is no gradient, as in PPO. Weights (r, or 1 / r)
    above ``dual_clip`` are held there and keep their gradient, the paper's soft dual clip. The authors' code, which this was
    read from, also widens the clip for tokens of low entropy; that is left out.
    """
    low, high, most = 1.0 - row.clip_low, 1.0 + row.clip_high, math.inf if row.dual_clip is None else row.dual_clip
    ratio = _reachable(log_ratio.detach(), advantages == 0).exp()
    rising = advantages > 0
    stopped_low, stopped_high = (ratio < low) & (advantages < 0), (ratio > high) & rising
    weight = torch.where(rising, 1.0 / ratio.clamp(max=high), ratio.clamp(min=low)).clamp(max=most)
    moving = torch.where(stopped_low | stopped_high, logprobs.detach(), logprobs)
    # The value is that of the weight, the gradient that of weight times log pi.
    return Surrogate(-weight * advantages * (1.0 + moving - moving.detach()), stopped_low, stopped_high)


SurrogateLoss = Callable[[Tokens, Tokens, Tokens, Tokens, Objective], Surrogate]
SURROGATES: dict[str, SurrogateLoss] = {
    "policy_gradient": policy_gradient,
    "importance": importance,
    "ppo_clip": ppo_clip,
    "cispo": cispo,
    "sapo": sapo,
    "kl_penalty": kl_penalty,
    "divergence_mask": divergence_mask,
    "geometric_clip": geometric_clip,
    "vespo": vespo,
    "topr": topr,
    "aspo": aspo,
}
declare_axis("surrogate", SURROGATES)
