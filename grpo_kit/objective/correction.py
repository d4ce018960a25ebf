"""Correcting for an engine that is not exactly the trainer: importance weights against the engine's own log-probabilities.

An inference engine computes the same policy with other kernels, another precision, sometimes older weights. Tokens were
sampled from what the engine computed, so each token's loss is weighted by ``trainer / engine``, as any other mismatch
between the sampled and the trained distribution. Without a bound, one token can carry the whole gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .rows import declare_axis
from .shapes import Tokens


def no_correction(log_weight: Tokens, cap: float) -> Tokens:
    """1 for every token."""
    return torch.ones_like(log_weight)


def truncated(log_weight: Tokens, cap: float) -> Tokens:
    """min(w, cap) (F. Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", 2025)."""
    # Bounded before the exponential: a token that the engine called impossible would overflow.
    return log_weight.clamp(max=math.log(cap)).exp()


def masked(log_weight: Tokens, cap: float) -> Tokens:
    """w where w <= cap, else 0 (J. Liu et al., "When speed kills stability", 2025): what differs too much is left out."""
    return torch.where(log_weight <= math.log(cap), truncated(log_weight, cap), 0.0)


def in_ratio(log_weight: Tokens, cap: float) -> Tokens:
    """1: the ratio itself is taken to the engine, so that the surrogate's own bound holds all that came since sampling.

    The two others take the ratio to the trainer at the start of the batch and weight it (decoupled PPO, arXiv:2110.00641).
    With one update per batch that ratio is 1 and never clipped, however old the samples are; this one is PPO as published.
    """
    return torch.ones_like(log_weight)


# log_weight: trainer's minus engine's log-probability of each sampled token, without gradient.
Correction = Callable[[Tokens, float], Tokens]
CORRECTIONS: dict[str, Correction] = {
    "none": no_correction,
    "truncated": truncated,
    "masked": masked,
    "in_ratio": in_ratio,
}
declare_axis("correction", CORRECTIONS)
