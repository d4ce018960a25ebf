"""Which tokens of a step carry the policy gradient, or a penalty, by their entropy or by how they would move it. Pure functions.

A token's part in how the entropy falls is the covariance of its log-probability and its advantage (arXiv:2505.22617, eq. 9): what
is likely already and pays is what ends exploration. Both methods hold a tiny share of tokens, those of high covariance.
"""

from __future__ import annotations

import math

import torch

from .shapes import Kept, Scalar, Tokens


def entropy_limit(entropies: Tokens, share: float) -> Scalar:
    """The entropy at or above which a token is of the ``share`` of highest entropy (arXiv:2506.01939)."""
    # Not quantile, which takes no more than 2^24 numbers; that is a step of 512 prompts x 8 x 4096 tokens.
    rank = math.ceil(round((1.0 - share) * (entropies.numel() - 1), 6))
    return entropies.sort().values[rank]


def covariance(logprobs: Tokens, advantages: Tokens) -> Tokens:
    """(A - mean A) (log pi - mean log pi), over all tokens of a step."""
    return (advantages - advantages.mean()) * (logprobs - logprobs.mean())


def clip_cov(covariances: Tokens, share: float, low: float, high: float, seed: int) -> Kept:
    """False for a share of the tokens, chosen at random of those with low < covariance < high (Clip-Cov, 2505.22617, eq. 12).

    Args:
        seed: of the choice, so that it is the same on every rank and after a resume.
    """
    kept = torch.ones_like(covariances, dtype=torch.bool)
    between = torch.nonzero((covariances > low) & (covariances < high))[:, 0]
    order = torch.randperm(len(between), generator=torch.Generator().manual_seed(seed)).to(between.device)
    kept[between[order[: _count(covariances, share)]]] = False
    return kept


def kl_cov(covariances: Tokens, share: float) -> Kept:
    """True for the share of tokens of the highest covariance (KL-Cov, 2505.22617, eq. 13)."""
    chosen = torch.zeros_like(covariances, dtype=torch.bool)
    if covariances.numel():
        chosen[covariances.topk(_count(covariances, share)).indices] = True
    return chosen


def _count(values: Tokens, share: float) -> int:
    return max(1, int(share * values.numel()))
