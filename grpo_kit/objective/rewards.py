"""What a reward becomes before it is compared: a mark with a sign, a part of a set's success, parts put on one scale.

Flat, as in `advantages`: ``right[i]`` says of sequence i whether it is right, and ``group_index[i]`` which prompt it answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from .advantages import Rewards, group_mean, group_std
from .rows import declare_axis
from .shapes import Scores, Sequences


def as_scored(rewards: Rewards, right: Sequences, k: int) -> Sequences:
    """The reward that was given."""
    return rewards.values


def signed(rewards: Rewards, right: Sequences, k: int) -> Sequences:
    """1 for a right response and -1 for any other (NSR and PSR, arXiv:2506.01347, section 2)."""
    return 2.0 * right - 1.0


def pass_at_k(rewards: Rewards, right: Sequences, k: int) -> Sequences:
    """How often a set of k responses of the group succeeds, given that this response is in it (Pass@k training, 2508.10751).

    1 for a right response, 1 - C(wrong - 1, k - 1) / C(all - 1, k - 1) for a wrong one. Their mean over the group is the share
    of sets that succeed; `advantages.bernoulli_std` is the deviation of a set's success, by which the paper divides.
    """
    shaped = right.clone()
    index = torch.where(rewards.counted, rewards.group_index, -1)
    for group in index.unique().tolist():
        members = index == group
        count, wrong = int(members.sum()), int((right[members] < 1.0).sum())
        size = min(k, count)
        failing = math.comb(max(wrong - 1, 0), size - 1) / math.comb(count - 1, size - 1)
        shaped[members] = 1.0 - failing * (right[members] < 1.0).to(right.dtype)
    return shaped


# rewards, whether each is right (1.0 or 0.0), and k
Shape = Callable[[Rewards, Sequences, int], Sequences]
SHAPES: dict[str, Shape] = {"none": as_scored, "signed": signed, "pass_at_k": pass_at_k}
declare_axis("shape", SHAPES)


def summed(rewards: Rewards, scores: Scores, known: Scores, weights: Scores) -> Sequences:
    """The weighted sum that was scored."""
    return rewards.values


def decoupled(rewards: Rewards, scores: Scores, known: Scores, weights: Scores) -> Sequences:
    """Each part's standard score within the group, then the weighted sum (GDPO, arXiv:2601.05242).

    In a sum the part of larger spread decides, and different combinations of parts come to one number. The paper then
    standardises over the batch: baseline batch_mean, scale batch_std.

    Args:
        scores: what each verifier gave each response. known: bool, where it had an opinion.
        weights: of the verifiers, which may be others for the prompts of another data set.
    """
    total = torch.zeros_like(rewards.values)
    for part in range(scores.shape[1]):
        own = Rewards(scores[:, part], rewards.group_index, known[:, part] & rewards.counted)
        score = (own.values - group_mean(own)) / group_std(own)
        total = total + weights[:, part] * torch.where(own.counted, score, 0.0)
    return total


Combine = Callable[[Rewards, Scores, Scores, Scores], Sequences]
COMBINES: dict[str, Combine] = {"sum": summed, "decoupled": decoupled}
declare_axis("combine", COMBINES)
