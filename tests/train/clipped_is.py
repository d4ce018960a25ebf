"""An algorithm of one's own: importance weights clipped on both sides, whatever the sign of the advantage."""

import torch

from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.surrogates import SURROGATES, Surrogate


def clipped_importance(logprobs, log_ratio, advantages, sequence_index, row):
    """-clip(r, 1 - low, 1 + high) A: a gradient only inside the bounds."""
    bounded = log_ratio.exp().clamp(1 - row.clip_low, 1 + row.clip_high)
    never = torch.zeros_like(bounded, dtype=torch.bool)
    return Surrogate(-bounded * advantages, never, never)


SURROGATES["clipped_importance"] = clipped_importance
clipped_is = Algorithm(
    paper="my notes", summary="clipped importance sampling", surrogate="clipped_importance", clip_high=0.5
)
