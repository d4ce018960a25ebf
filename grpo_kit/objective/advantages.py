"""From rewards to advantages: a baseline is subtracted, a scale divides. Pure functions on tensors.

Everything is flat: ``rewards[i]`` belongs to sequence i, and ``group_index[i]`` says which prompt it answers. Sequences
with ``counted[i] == False`` (a verifier abstained, crashed or timed out) take no part in any mean or deviation and get
an advantage of zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# Keeps the division finite where every reward of a group is the same; such groups have advantage 0 anyway.
EPSILON = 1e-6


def group_mean(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    """Mean reward of each sequence's own group (GRPO, arXiv:2402.03300, section 4.1.2). Shapes: [sequences]."""
    total, count = _group_sums(rewards, group_index, counted)
    return (total / count.clamp(min=1))[group_index]


def leave_one_out(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    """Mean reward of the *other* sequences of the group (RLOO, arXiv:2402.14740, eq. 8). Shapes: [sequences].

    A sequence that has no counted sibling keeps its own reward as baseline, so that its advantage is zero.
    """
    total, count = _group_sums(rewards, group_index, counted)
    others = count[group_index] - 1
    return torch.where(others > 0, (total[group_index] - rewards) / others.clamp(min=1), rewards)


def batch_mean(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    """Mean reward of the whole batch. Shapes: [sequences]."""
    weight = counted.to(rewards.dtype)
    return ((rewards * weight).sum() / weight.sum().clamp(min=1)).expand_as(rewards)


def no_baseline(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    return torch.zeros_like(rewards)


def group_std(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    """Sample standard deviation (n - 1) of each sequence's own group, plus `EPSILON`. Shapes: [sequences]."""
    centred = rewards - group_mean(rewards, group_index, counted)
    squares, count = _group_sums(centred.square(), group_index, counted)
    return (squares / (count - 1).clamp(min=1)).sqrt()[group_index] + EPSILON


def batch_std(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    """Sample standard deviation (n - 1) of the whole batch, plus `EPSILON`. Shapes: [sequences]."""
    chosen = rewards[counted]
    deviation = chosen.std() if chosen.numel() > 1 else rewards.new_zeros(())
    return (deviation + EPSILON).expand_as(rewards)


def no_scale(rewards: Tensor, group_index: Tensor, counted: Tensor) -> Tensor:
    return torch.ones_like(rewards)


GroupStatistic = Callable[[Tensor, Tensor, Tensor], Tensor]

BASELINES: dict[str, GroupStatistic] = {
    "none": no_baseline,
    "group_mean": group_mean,
    "leave_one_out": leave_one_out,
    "batch_mean": batch_mean,
}
SCALES: dict[str, GroupStatistic] = {"none": no_scale, "group_std": group_std, "batch_std": batch_std}


def compute_advantages(rewards: Tensor, group_index: Tensor, counted: Tensor, *, baseline: str, scale: str) -> Tensor:
    """``(reward - baseline) / scale`` for each sequence; zero where not counted.

    Args:
        rewards: [sequences] float.
        group_index: [sequences] long, 0 .. groups - 1.
        counted: [sequences] bool.
        baseline, scale: a key of `BASELINES` and of `SCALES`.
    """
    shift = BASELINES[baseline](rewards, group_index, counted)
    divisor = SCALES[scale](rewards, group_index, counted)
    return torch.where(counted, (rewards - shift) / divisor, torch.zeros_like(rewards))


def _group_sums(values: Tensor, group_index: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Sum of the counted values and their number, for each group: two tensors of shape [groups]."""
    groups = int(group_index.max()) + 1 if group_index.numel() else 0
    weight = counted.to(values.dtype)
    zeros = values.new_zeros(groups)
    return zeros.index_add(0, group_index, values * weight), zeros.index_add(0, group_index, weight)
