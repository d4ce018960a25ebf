"""Advantages per token: discounted rewards-to-go, generalised advantages with a critic, and the critic's own loss.

One sequence at a time: ``rewards[t]`` is what token t earned (the verifier's score at the last token, what a turn of an
episode was paid at the last token of that turn, minus a KL penalty at each one when the KL stands in the reward).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .shapes import Tokens


def token_rewards(
    reward: float, length: int, kl: Tokens | None = None, beta: float = 0.0, turns: Sequence[tuple[int, float]] = ()
) -> Tokens:
    """The response's reward at its last token, minus ``beta * kl`` at each (arXiv:1909.08593, eq. 2). float64

    Args:
        reward: of the whole response.
        turns: (index of its last token, reward) of each turn that was paid for itself; parts of ``reward``.
    """
    rewards = torch.zeros(length, dtype=torch.float64)
    rewards[-1] = reward - sum(paid for _, paid in turns)
    for last, paid in turns:
        rewards[last] += paid
    return rewards if kl is None else rewards - beta * kl.to(torch.float64).cpu()


def reward_to_go(rewards: Tokens, discount: float) -> Tokens:
    """G_t = sum over k >= t of discount^(k - t) * rewards[k]."""
    result = torch.empty_like(rewards)
    running = 0.0
    for t in range(len(rewards) - 1, -1, -1):
        running = float(rewards[t]) + discount * running
        result[t] = running
    return result


def generalised_advantages(rewards: Tokens, values: Tokens, discount: float, trace: float) -> tuple[Tokens, Tokens]:
    """Generalised advantage estimation (arXiv:1506.02438, eq. 16); the value after the last token is 0.

    Args:
        values: the critic's estimate *before* each token.
        trace: lambda; 1 gives reward-to-go minus value, 0 the one-step error.

    Returns:
        advantages, and returns = advantages + values, what the critic is to learn.
    """
    values = values.to(rewards.dtype).cpu()
    advantages = torch.empty_like(rewards)
    running, following = 0.0, 0.0
    for t in range(len(rewards) - 1, -1, -1):
        error = float(rewards[t]) + discount * following - float(values[t])
        running = error + discount * trace * running
        advantages[t] = running
        following = float(values[t])
    return advantages, advantages + values


def whiten(values: Tokens) -> Tokens:
    """(x - mean) / standard deviation (n - 1) over all tokens of a batch."""
    if values.numel() < 2:
        return torch.zeros_like(values)
    return (values - values.mean()) / (values.std() + 1e-6)


def value_loss(values: Tokens, old_values: Tokens, returns: Tokens, clip: float | None) -> Tokens:
    """Half the squared error; with ``clip`` the worse of it and that of a value kept near the old one.

    PPO's reference implementation does so (baselines `ppo2`; named in "Implementation matters", arXiv:2005.12729).
    """
    error = (values - returns).square()
    if clip is not None:
        near = old_values + (values - old_values).clamp(-clip, clip)
        error = torch.maximum(error, (near - returns).square())
    return 0.5 * error
