"""Correcting for an engine that is not exactly the trainer: a weight for what differs, and leaving out what differs too much.

An inference engine computes the same policy with other kernels, another precision, sometimes older weights. Tokens were
sampled from what the engine computed, so each token's loss is weighted by ``trainer / engine``, as any other mismatch
between the sampled and the trained distribution. Without a bound, one token can carry the whole gradient. A rejection
leaves tokens or whole responses out in place of bounding them; both may be used at once.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch

from .losses import sequence_mean_of, sequence_sum_of
from .rows import Objective, declare_axis
from .shapes import Kept, Tokens

# --- level: what one difference is of ----------------------------------------------------------------------------


def token_level(log_weight: Tokens, sequence_index: Tokens) -> Tokens:
    """A token's own: low variance, biased (it ignores that earlier tokens were sampled from the engine as well)."""
    return log_weight


def sequence_level(log_weight: Tokens, sequence_index: Tokens) -> Tokens:
    """The whole response's, given to each of its tokens: the weight of an action that is the response (J. Liu et al., "When
    speed kills stability", 2025). Unbiased; its variance grows with the length."""
    return sequence_sum_of(log_weight, sequence_index)


Level = Callable[[Tokens, Tokens], Tokens]
LEVELS: dict[str, Level] = {"token": token_level, "sequence": sequence_level}
declare_axis("correction_level", LEVELS)

# --- weight ------------------------------------------------------------------------------------------------------


def no_correction(log_weight: Tokens, cap: float) -> Tokens:
    """1 for every token."""
    return torch.ones_like(log_weight)


def truncated(log_weight: Tokens, cap: float) -> Tokens:
    """min(w, cap) (F. Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", 2025)."""
    # Bounded before the exponential: a token that the engine called impossible would overflow.
    return log_weight.clamp(max=math.log(cap)).exp()


def in_ratio(log_weight: Tokens, cap: float) -> Tokens:
    """1: the ratio itself is taken to the engine, so that the surrogate's own bound holds all that came since sampling.

    Truncation takes the ratio to the trainer at the start of the batch and weights it (decoupled PPO, arXiv:2110.00641).
    With one update per batch that ratio is 1 and never clipped, however old the samples are; this one is PPO as published.
    """
    return torch.ones_like(log_weight)


# log_weight: trainer's minus engine's log-probability at the row's level, without gradient.
Correction = Callable[[Tokens, float], Tokens]
CORRECTIONS: dict[str, Correction] = {"none": no_correction, "truncated": truncated, "in_ratio": in_ratio}
declare_axis("correction", CORRECTIONS)

# --- rejection: what takes no part in the policy gradient --------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Mismatch:
    """How far the tokens of a micro-batch are from the policy that sampled them, without gradient.

    Attributes:
        log_weight: the trainer's log-probability at the start of the batch minus the engine's.
        drift: the engine's minus that of the policy as it is now.
    """

    log_weight: Tokens
    drift: Tokens
    advantages: Tokens
    sequence_index: Tokens


def no_rejection(seen: Mismatch, row: Objective) -> Kept:
    return torch.ones_like(seen.log_weight, dtype=torch.bool)


def token_band(seen: Mismatch, row: Objective) -> Kept:
    """Tokens whose w lies within [rejection_low, rejection_high] (IcePop, ringtech.notion.site/icepop, 2025)."""
    return _within(seen.log_weight, row)


def sequence_band(seen: Mismatch, row: Objective) -> Kept:
    """Responses whose product of w lies within the band (sequence-level masked importance sampling, J. Liu et al., 2025)."""
    return _within(sequence_sum_of(seen.log_weight, seen.sequence_index), row)


def geometric_band(seen: Mismatch, row: Objective) -> Kept:
    """Responses whose geometric mean of w lies within the band, which does not tighten with length (verl's ``geometric``)."""
    return _within(sequence_mean_of(seen.log_weight, seen.sequence_index), row)


def off_policy(seen: Mismatch, row: Objective) -> Kept:
    """Responses of A >= 0, and those of which mean log(engine / policy) <= rejection_limit (DeepSeek-V3.2, 2512.02556, eq. 9).

    What went well is learned from however old it is; a bad response that the policy has left already pushes it nowhere
    sensible. The two policies differ by the engine and by every update since, so it is looked at again at each update.
    """
    left = sequence_mean_of(seen.drift, seen.sequence_index) > row.rejection_limit
    return ~(left & (seen.advantages < 0))


def _within(log_weight: Tokens, row: Objective) -> Kept:
    low = -math.inf if row.rejection_low is None else math.log(row.rejection_low)
    high = math.inf if row.rejection_high is None else math.log(row.rejection_high)
    return (log_weight >= low) & (log_weight <= high)


Rejection = Callable[[Mismatch, Objective], Kept]
REJECTIONS: dict[str, Rejection] = {
    "none": no_rejection,
    "token": token_band,
    "sequence": sequence_band,
    "geometric": geometric_band,
    "off_policy": off_policy,
}
declare_axis("rejection", REJECTIONS)


def without_overflow(log_ratio: Tokens, weight: Tokens | float) -> Tokens:
    """The log-ratio, held within what has an exponential where the weight is 0: 0 times what overflowed is not 0.

    What a rejection leaves out for being far away is what overflows.
    """
    if isinstance(weight, float):
        return log_ratio
    return torch.where(weight > 0, log_ratio, log_ratio.clamp(max=_LARGEST))


def spread(log_weight: Tokens) -> Tokens:
    """w^2 - 1, whose mean is the chi-square divergence of trainer and engine; n / (1 + mean) samples are left of n."""
    return (2.0 * log_weight.clamp(max=_LARGEST)).exp() - 1.0


_LARGEST = 20.0  # the square of its exponential is finite in float32
