"""From rewards to advantages: a baseline is subtracted, a scale divides. Pure functions on tensors.

Everything is flat: ``rewards[i]`` belongs to sequence i, and ``group_index[i]`` says which prompt it answers. Sequences
with ``counted[i] == False`` (a verifier abstained, crashed or timed out) take no part in any mean or deviation and get
an advantage of zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .rows import declare_axis
from .shapes import Groups, Sequences, Tokens

# Keeps the division finite where every reward of a group is the same; such groups have advantage 0 anyway.
EPSILON = 1e-6


@dataclass(frozen=True, slots=True)
class Rewards:
    """The rewards of a batch and what a baseline may know.

    Attributes:
        values: float. group_index: long, 0 .. groups - 1. counted: bool.
        greedy: reward of each prompt's greedy response, for the baseline of that name.
        average: moving average of earlier batches' mean rewards; None before the first.
        lengths: sampled tokens of each sequence, for the baseline that weighs by them.
    """

    values: Sequences
    group_index: Sequences
    counted: Sequences
    greedy: Groups | None = None
    average: float | None = None
    lengths: Sequences | None = None


# --- baselines ---------------------------------------------------------------------------------------------------


def no_baseline(rewards: Rewards) -> Sequences:
    return torch.zeros_like(rewards.values)


def moving_average(rewards: Rewards) -> Sequences:
    """Mean reward of the batches before this one (R. J. Williams, "Simple statistical gradient-following", 1992).

    The first batch has no past and is compared with its own mean.
    """
    return batch_mean(rewards) if rewards.average is None else torch.full_like(rewards.values, rewards.average)


def group_mean(rewards: Rewards) -> Sequences:
    """Mean reward of each sequence's own group (GRPO, arXiv:2402.03300, section 4.1.2)."""
    total, count = _group_sums(rewards, rewards.values)
    return (total / count.clamp(min=1))[rewards.group_index]


def leave_one_out(rewards: Rewards) -> Sequences:
    """Mean reward of the *other* sequences of the group (RLOO, arXiv:2402.14740, eq. 8).

    A sequence that has no counted sibling keeps its own reward as baseline, so that its advantage is zero.
    """
    total, count = _group_sums(rewards, rewards.values)
    others = count[rewards.group_index] - 1
    mean = (total[rewards.group_index] - rewards.values) / others.clamp(min=1)
    return torch.where(others > 0, mean, rewards.values)


def batch_mean(rewards: Rewards) -> Sequences:
    """Mean reward of the whole batch."""
    weight = rewards.counted.to(rewards.values.dtype)
    return ((rewards.values * weight).sum() / weight.sum().clamp(min=1)).expand_as(rewards.values)


def greedy(rewards: Rewards) -> Sequences:
    """Reward of the greedy response to the same prompt (ReMax, arXiv:2310.10505, eq. 5)."""
    if rewards.greedy is None:
        raise ValueError("the greedy baseline needs the reward of each prompt's greedy response")
    return rewards.greedy[rewards.group_index]


def length_weighted_mean(rewards: Rewards) -> Sequences:
    """Mean reward of the group, each response weighing as its tokens (OPO, arXiv:2505.23585).

    The baseline of least variance weighs a response by the squared norm of its gradient, which is taken to grow with its length.
    """
    if rewards.lengths is None:
        raise ValueError("the baseline length_weighted_mean needs the lengths of the responses")
    lengths = rewards.lengths.to(rewards.values.dtype)
    total, _ = _group_sums(rewards, rewards.values * lengths)
    tokens, _ = _group_sums(rewards, lengths)
    return (total / tokens.clamp(min=1))[rewards.group_index]


# --- scales ------------------------------------------------------------------------------------------------------


def no_scale(rewards: Rewards) -> Sequences:
    return torch.ones_like(rewards.values)


def group_std(rewards: Rewards) -> Sequences:
    """Sample standard deviation (n - 1) of each sequence's own group, plus `EPSILON`."""
    centred = rewards.values - group_mean(rewards)
    squares, count = _group_sums(rewards, centred.square())
    return (squares / (count - 1).clamp(min=1)).sqrt()[rewards.group_index] + EPSILON


def batch_std(rewards: Rewards) -> Sequences:
    """Sample standard deviation (n - 1) of the whole batch, plus `EPSILON`."""
    chosen = rewards.values[rewards.counted]
    deviation = chosen.std() if chosen.numel() > 1 else rewards.values.new_zeros(())
    return (deviation + EPSILON).expand_as(rewards.values)


def mean_of_group(rewards: Rewards) -> Sequences:
    """Mean reward of each sequence's own group, where it is above 0 (MaxRL, arXiv:2602.02710). For rewards of 0 and more.

    Divided by the success rate p, the gradient of p is that of log p: the hardest prompts weigh most, as in maximum likelihood.
    """
    mean = group_mean(rewards)
    return torch.where(mean > 0, mean + EPSILON, torch.ones_like(mean))


def bernoulli_std(rewards: Rewards) -> Sequences:
    """sqrt(m (1 - m)) of the group's mean m, plus `EPSILON`: the deviation of a success of that rate. For rewards in [0, 1]."""
    mean = group_mean(rewards).clamp(0.0, 1.0)
    return (mean * (1.0 - mean)).sqrt() + EPSILON


def beta_density(rewards: Rewards) -> Sequences:
    """Density of a Beta distribution at the group's mean reward (BNPO, arXiv:2506.02864). For rewards in [0, 1].

    The groups' means are taken as draws of Beta(a, b), fitted by moments; dividing by Beta(1 + a/3, 1 + b/3)'s density
    makes the variance of the gradient smallest (theorem 1 there).
    """
    total, count = _group_sums(rewards, rewards.values)
    means = (total / count.clamp(min=1)).clamp(EPSILON, 1 - EPSILON)
    seen = means[count > 0]
    centre = seen.mean() if seen.numel() else means.new_tensor(0.5)
    spread = seen.var() if seen.numel() > 1 else centre.new_zeros(())
    # All means alike, or further apart than any Beta can be: there is nothing to fit, and (1, 1) divides by one.
    strength = (centre * (1 - centre) / spread.clamp(min=EPSILON) - 1).clamp(min=0.0)
    if spread <= EPSILON:
        strength = torch.zeros_like(strength)
    a, b = 1 + centre * strength / 3, 1 + (1 - centre) * strength / 3
    log_normaliser = torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)
    log_density = (a - 1) * means.log() + (b - 1) * torch.log1p(-means) - log_normaliser
    return log_density.exp().clamp(min=EPSILON)[rewards.group_index]


Statistic = Callable[[Rewards], Sequences]

BASELINES: dict[str, Statistic] = {
    "none": no_baseline,
    "moving_average": moving_average,
    "group_mean": group_mean,
    "leave_one_out": leave_one_out,
    "length_weighted_mean": length_weighted_mean,
    "batch_mean": batch_mean,
    "greedy": greedy,
    # Values per token come from a second network: `returns.generalised_advantages` subtracts them.
    "critic": no_baseline,
}
declare_axis("baseline", BASELINES)
SCALES: dict[str, Statistic] = {
    "none": no_scale,
    "group_std": group_std,
    "batch_std": batch_std,
    "group_mean": mean_of_group,
    "bernoulli_std": bernoulli_std,
    "beta_density": beta_density,
}
declare_axis("scale", SCALES)


def compute_advantages(rewards: Rewards, *, baseline: str, scale: str) -> Sequences:
    """``(reward - baseline) / scale`` for each sequence; zero where not counted.

    Args:
        baseline, scale: a key of `BASELINES` and of `SCALES`.
    """
    advantages = (rewards.values - BASELINES[baseline](rewards)) / SCALES[scale](rewards)
    return torch.where(rewards.counted, advantages, torch.zeros_like(rewards.values))


def weigh_signs(advantages: Tokens, positive: float, negative: float) -> Tokens:
    """Advantages above and below 0, each side times its weight (W-REINFORCE, arXiv:2506.01347); of tokens or of sequences."""
    return advantages.clamp(min=0.0) * positive + advantages.clamp(max=0.0) * negative


def _group_sums(rewards: Rewards, values: Sequences) -> tuple[Groups, Groups]:
    """Sum of the counted values and their number, for each group."""
    index = rewards.group_index
    groups = int(index.max()) + 1 if index.numel() else 0
    weight = rewards.counted.to(values.dtype)
    zeros = values.new_zeros(groups)
    return zeros.index_add(0, index, values * weight), zeros.index_add(0, index, weight)
