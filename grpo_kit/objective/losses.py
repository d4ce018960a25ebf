"""The policy-gradient losses: a ratio, a surrogate, an aggregation. Pure functions on tensors.

Everything is flat: tokens of all sequences of a micro-batch stand in one row, and ``sequence_index[t]`` says to which
sequence token t belongs. The loss of a step is ``sum_t weight[sequence_index[t]] * token_loss[t]``, where the weights
were computed from the lengths of *all* sequences of the step. So the sum over micro-batches, in any split, is the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class ClipRange:
    """The ratio may move in [1 - low, 1 + high] before the gradient stops."""

    low: float
    high: float


# --- importance ratio: at what level the new policy is compared with the old one ---------------------------------


def token_log_ratio(logprobs: Tensor, old_logprobs: Tensor, sequence_index: Tensor) -> Tensor:
    """log pi(token) - log pi_old(token). All shapes: [tokens]."""
    return logprobs - old_logprobs


def sequence_log_ratio(logprobs: Tensor, old_logprobs: Tensor, sequence_index: Tensor) -> Tensor:
    """Length-normalised log-ratio of the whole sequence, given to each of its tokens (GSPO, arXiv:2507.18071, eq. 7)."""
    if not logprobs.numel():
        return logprobs - old_logprobs
    zeros = logprobs.new_zeros(int(sequence_index.max()) + 1)
    total = zeros.index_add(0, sequence_index, logprobs - old_logprobs)
    length = zeros.index_add(0, sequence_index, torch.ones_like(old_logprobs))
    return (total / length.clamp(min=1))[sequence_index]


LogRatio = Callable[[Tensor, Tensor, Tensor], Tensor]
RATIO_LEVELS: dict[str, LogRatio] = {"token": token_log_ratio, "sequence": sequence_log_ratio}


# --- surrogate: what is minimised at each token ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Surrogate:
    """A per-token loss and where its clip was active, as booleans. All shapes: [tokens]."""

    loss: Tensor
    clipped_low: Tensor
    clipped_high: Tensor


def ppo_clip(log_ratio: Tensor, advantages: Tensor, clip: ClipRange) -> Surrogate:
    """-min(r A, clip(r, 1 - low, 1 + high) A) (PPO, arXiv:1707.06347, eq. 7; two bounds: DAPO, arXiv:2503.14476)."""
    ratio = log_ratio.exp()
    bounded = ratio.clamp(1.0 - clip.low, 1.0 + clip.high)
    return Surrogate(
        -torch.minimum(ratio * advantages, bounded * advantages),
        (ratio < 1.0 - clip.low) & (advantages < 0),
        (ratio > 1.0 + clip.high) & (advantages > 0),
    )


SURROGATES: dict[str, Callable[[Tensor, Tensor, ClipRange], Surrogate]] = {"ppo_clip": ppo_clip}


# --- aggregation: how much each token counts ---------------------------------------------------------------------


def sequence_mean(lengths: Tensor, max_tokens: int) -> Tensor:
    """Mean over tokens inside a sequence, then over sequences (GRPO, arXiv:2402.03300, eq. 3)."""
    return 1.0 / (lengths.clamp(min=1) * max(1, lengths.numel()))


def token_mean(lengths: Tensor, max_tokens: int) -> Tensor:
    """Mean over all tokens of the batch: long sequences weigh more (DAPO, arXiv:2503.14476, eq. 8)."""
    return (1.0 / lengths.sum().clamp(min=1)).expand_as(lengths)


def constant_length(lengths: Tensor, max_tokens: int) -> Tensor:
    """Sum over tokens divided by the generation limit, mean over sequences: no length bias (Dr. GRPO, 2503.20783)."""
    return torch.full_like(lengths, 1.0 / (max_tokens * max(1, lengths.numel())))


Aggregation = Callable[[Tensor, int], Tensor]
AGGREGATIONS: dict[str, Aggregation] = {
    "sequence_mean": sequence_mean,
    "token_mean": token_mean,
    "constant_length": constant_length,
}


def sequence_weights(lengths: Tensor, *, aggregation: str, max_tokens: int) -> Tensor:
    """The weight of each token of each sequence in the loss of the step.

    Args:
        lengths: [sequences] completion tokens of every sequence that counts, over the whole step.
        aggregation: a key of `AGGREGATIONS`.
        max_tokens: the generation limit.

    Returns:
        [sequences] float64.
    """
    return AGGREGATIONS[aggregation](lengths.to(torch.float64), max_tokens)
