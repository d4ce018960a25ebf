"""Small token Markov decision processes, solved exactly: what the formulas of action values are held against.

States are numbered, and so are actions. The next state is certain; -1 ends the episode. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor


@dataclass(frozen=True)
class TokenMdp:
    """following: [states, actions] long. rewards: [states, actions] mean reward. noise: its deviation, [states, actions]."""

    following: Tensor
    rewards: Tensor
    noise: Tensor
    discount: float = 1.0

    @property
    def states(self) -> int:
        return len(self.following)

    def after(self, values: Tensor) -> Tensor:
        """[states] values -> [states, actions] values of the next states, 0 behind the end."""
        return torch.where(self.following < 0, 0.0, values[self.following.clamp(min=0)])

    def backup(self, values: Tensor) -> Tensor:
        return self.rewards + self.discount * self.after(values)

    def solve(self, state_values) -> Tensor:
        """Value iteration: the Q of which ``state_values(Q)`` ([states, actions] -> [states]) are the values of states."""
        table = torch.zeros_like(self.rewards)
        for _ in range(1000):
            new = self.backup(state_values(table))
            if torch.equal(new, table):
                return table
            table = new
        assert (self.backup(state_values(table)) - table).abs().max() < 1e-12
        return table

    def sample(
        self, policy: Tensor, episodes: int, generator: torch.Generator, anywhere: bool = False, longest: int = 60
    ) -> tuple[Tensor, ...]:
        """Episodes from state 0, or from any: states, actions [episodes, tokens] long, rewards, and which tokens exist."""
        state = torch.zeros(episodes, dtype=torch.long)
        if anywhere:
            state = torch.randint(self.states, (episodes,), generator=generator)
        alive = torch.ones(episodes, dtype=torch.bool)
        made: list[tuple[Tensor, ...]] = []
        for _ in range(longest):
            action = torch.multinomial(policy[state], 1, generator=generator)[:, 0]
            drawn = torch.randn(episodes, generator=generator, dtype=torch.float64)
            reward = self.rewards[state, action] + self.noise[state, action] * drawn
            made.append((state, action, torch.where(alive, reward, 0.0), alive))
            following = self.following[state, action]
            alive = alive & (following >= 0)
            state = torch.where(alive, following, state)
            if not alive.any():
                break
        return tuple(torch.stack(part, 1) for part in zip(*made, strict=True))


def brackets(longest: int = 6) -> TokenMdp:
    """Sentences of ``( ) x .``: every prefix of at most ``longest`` - 1 tokens is a state, ``.`` or the limit ends.

    A balanced sentence with an x in it earns 1, and 0.1 for each pair of brackets; any other earns nothing. (364 states at 6.)
    """
    tokens, number, numbers = "()x.", count(1), {"": 0}
    following: list[list[int]] = []
    rewards: list[list[float]] = []
    for prefix in (queue := [""]):
        following.append([])
        rewards.append([])
        for token in tokens:
            text = prefix + token
            goes_on = token != "." and len(text) < longest
            if goes_on:
                numbers[text] = next(number)
                queue.append(text)
            following[-1].append(numbers[text] if goes_on else -1)
            rewards[-1].append(_worth(prefix) if token == "." else 0.0)
    table = torch.tensor(rewards, dtype=torch.float64)
    return TokenMdp(torch.tensor(following), table, torch.zeros_like(table), 0.95)


def _worth(sentence: str) -> float:
    depth = 0
    for token in sentence:
        depth += {"(": 1, ")": -1}.get(token, 0)
        if depth < 0:
            return 0.0
    return 1.0 + 0.1 * sentence.count("(") if depth == 0 and "x" in sentence else 0.0


def lottery(tickets: int) -> TokenMdp:
    """Stop for nothing, or go on to ``tickets`` that all cost 0.1 in the mean, and a lot or little each time."""
    width = max(2, tickets)
    following = torch.full((2, width), -1)
    following[0, 0] = 1
    rewards = torch.zeros(2, width, dtype=torch.float64)
    rewards[1] = -0.1
    noise = torch.zeros(2, width, dtype=torch.float64)
    noise[1] = 1.0
    return TokenMdp(following, rewards, noise)


def cliff(length: int = 6) -> TokenMdp:
    """A walk of ``length`` columns and two rows, ``on``, ``up`` and ``down``; below the lower row is the cliff (-2, the end).

    Each step costs 0.05, so that the shortest way is along the edge, from the lower left to the lower right, where it ends.
    """
    following = torch.full((2 * length, 3), -1)
    rewards = torch.full((2 * length, 3), -0.05, dtype=torch.float64)
    for column in range(length):
        low, high = 2 * column, 2 * column + 1
        following[low, 0] = low + 2 if column + 1 < length else -1
        following[high, 0] = high + 2 if column + 1 < length else high
        following[low, 1], following[high, 1] = high, high
        following[high, 2] = low
        rewards[low, 2] = -2.0
    following[2 * length - 2] = -1  # the goal: whatever is said there ends it
    rewards[2 * length - 2] = 1.0
    return TokenMdp(following, rewards, torch.zeros_like(rewards))
