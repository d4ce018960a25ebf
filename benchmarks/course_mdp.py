"""The token MDP of docs/course.md: so small that every response can be listed, so every expectation is exact.

A state is a prompt and the tokens so far, an action the next token, and a response has ``length`` tokens. Prefixes are
numbered as a heap is: the empty one is 0, and token ``a`` leads from prefix ``s`` to ``vocabulary * s + 1 + a``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch
from torch import Tensor

DTYPE = torch.float64


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@dataclass(frozen=True)
class TokenMDP:
    """rewards: [prompts, states, vocabulary], what a token earns where it is written; the next state is certain."""

    rewards: Tensor
    length: int

    @property
    def prompts(self) -> int:
        return self.rewards.shape[0]

    @property
    def vocabulary(self) -> int:
        return self.rewards.shape[2]

    @cached_property
    def responses(self) -> Tensor:
        """[responses, length] every sequence of tokens."""
        return torch.tensor(list(product(range(self.vocabulary), repeat=self.length)))

    @cached_property
    def states(self) -> Tensor:
        """[responses, length] the prefix before each token of each response."""
        states = torch.zeros_like(self.responses)
        for t in range(1, self.length):
            states[:, t] = self.vocabulary * states[:, t - 1] + 1 + self.responses[:, t - 1]
        return states

    @cached_property
    def earned(self) -> Tensor:
        """[prompts, responses, length] what each token of each response earns."""
        return self.rewards[:, self.states, self.responses]

    @cached_property
    def returns(self) -> Tensor:
        """[prompts, responses]"""
        return self.earned.sum(-1)

    def start(self, seed: int, spread: float = 0.5) -> Tensor:
        """[prompts, states, vocabulary] logits of a policy that is not quite uniform."""
        return spread * torch.randn(self.rewards.shape, generator=generator(seed), dtype=DTYPE)

    def by_place(self, places: Tensor) -> Tensor:
        """Logits of a policy that knows how many tokens there were and not which: [prompts, length, vocabulary] to those
        of `start`. States share its parameters, as they share a network's."""
        depth = torch.cat([torch.full((self.vocabulary**t,), t) for t in range(self.length)])
        return places[:, depth]

    def logprobs(self, logits: Tensor) -> Tensor:
        """[prompts, responses, length] of each token."""
        return logits.log_softmax(-1)[:, self.states, self.responses]

    def probabilities(self, logits: Tensor) -> Tensor:
        """[prompts, responses]"""
        return self.logprobs(logits).sum(-1).exp()

    def value(self, logits: Tensor) -> Tensor:
        """J, the expected return, a mean over prompts; it has a gradient."""
        return (self.probabilities(logits) * self.returns).sum() / self.prompts

    def gradient(self, logits: Tensor) -> Tensor:
        """The exact gradient of `value`. [prompts, states, vocabulary], as ``logits``"""
        moving = logits.detach().clone().requires_grad_()
        (found,) = torch.autograd.grad(self.value(moving), moving)
        return found

    def sample(self, logits: Tensor, prompts: Tensor, random: torch.Generator) -> Tensor:
        """[n] a response to each of the prompts [n]."""
        return torch.multinomial(self.probabilities(logits)[prompts], 1, generator=random)[:, 0]

    def children(self) -> Tensor:
        """[states, vocabulary] the state after each token; one past the last state where the response ends."""
        states = torch.arange(self.rewards.shape[1])[:, None]
        following = self.vocabulary * states + 1 + torch.arange(self.vocabulary)
        return following.clamp(max=self.rewards.shape[1])

    def action_values(self, values: Tensor, discount: float = 1.0) -> Tensor:
        """Q(s, a) = r + discount V(next), of any V [prompts, states]. [prompts, states, vocabulary]"""
        ended = torch.cat([values, torch.zeros(self.prompts, 1, dtype=DTYPE)], 1)
        return self.rewards + discount * ended[:, self.children()]

    def values(self, logits: Tensor) -> Tensor:
        """V of the policy, [prompts, states]: as many sweeps of Bellman's equation as a response has tokens."""
        policy, values = logits.softmax(-1), torch.zeros(self.rewards.shape[:2], dtype=DTYPE)
        for _ in range(self.length):
            values = (policy * self.action_values(values)).sum(-1)
        return values

    def visits(self, logits: Tensor) -> Tensor:
        """[prompts, states] how likely a response passes a prefix."""
        found = torch.zeros(self.rewards.shape[:2], dtype=DTYPE)
        reached = self.logprobs(logits).cumsum(-1).exp()
        found[:, 0] = 1.0
        for t in range(1, self.length):
            step = self.vocabulary ** (self.length - t)  # responses that share a prefix stand together
            found[:, self.states[::step, t]] = reached[:, ::step, t - 1]
        return found

    def moments(self, logits: Tensor, probability: Tensor, advantages: Tensor) -> tuple[float, float]:
        """|E g - exact|^2 and E |g - E g|^2 of one response's policy gradient, in squared lengths of the exact one.

        Args:
            probability: [prompts, responses] of whoever samples, 1 in all. advantages: [prompts, responses, length].
        """
        one_hot = torch.nn.functional.one_hot(self.responses, self.vocabulary).to(DTYPE)
        score = one_hot - logits.softmax(-1)[:, self.states]  # of the logits of its state, which no other token shares
        weighted = probability[..., None, None] * advantages[..., None] * score
        mean, exact = torch.zeros_like(logits), self.gradient(logits)
        for prompt in range(self.prompts):
            mean[prompt].index_add_(0, self.states.flatten(), weighted[prompt].flatten(0, 1))
        second = (probability * (advantages.square() * score.square().sum(-1)).sum(-1)).sum()
        norm = exact.square().sum()
        return float((mean - exact).square().sum() / norm), float((second - mean.square().sum()) / norm)

    def divergence(self, old: Tensor, new: Tensor) -> float:
        """Mean over prompts and tokens of KL(old || new), at the states that the old policy visits."""
        of_states = (old.softmax(-1) * (old.log_softmax(-1) - new.log_softmax(-1))).sum(-1)
        return float((self.visits(old) * of_states).sum() / (self.prompts * self.length))


def states_of(vocabulary: int, length: int) -> int:
    return (vocabulary**length - 1) // (vocabulary - 1)


def paid_by_token(prompts: int, vocabulary: int, length: int, seed: int) -> TokenMDP:
    """Each prompt has a word; each token that is the word's at its place earns 1, as turns of an episode are paid."""
    words = torch.randint(vocabulary, (prompts, length), generator=generator(seed))
    rewards = torch.zeros(prompts, states_of(vocabulary, length), vocabulary, dtype=DTYPE)
    for t in range(length):
        begin, end = states_of(vocabulary, t), states_of(vocabulary, t + 1)
        for prompt in range(prompts):
            rewards[prompt, begin:end, words[prompt, t]] = 1.0
    return TokenMDP(rewards, length)


def paid_by_the_whole(prompts: int, vocabulary: int, length: int, seed: int) -> TokenMDP:
    """Every response has a reward of its own, drawn from a normal distribution: tokens are good only with each other."""
    rewards = torch.zeros(prompts, states_of(vocabulary, length), vocabulary, dtype=DTYPE)
    last = states_of(vocabulary, length - 1)
    shape = (prompts, vocabulary ** (length - 1), vocabulary)
    rewards[:, last:] = torch.randn(shape, generator=generator(seed), dtype=DTYPE)
    return TokenMDP(rewards, length)


def paid_at_the_end(prompts: int, vocabulary: int, length: int, needed: list[int], seed: int) -> TokenMDP:
    """A verifier: 1 at the last token where at least ``needed`` of the prompt's tokens are right, 0 elsewhere."""
    marked = paid_by_token(prompts, vocabulary, length, seed)
    limits = torch.tensor([needed[p % len(needed)] for p in range(prompts)], dtype=DTYPE)
    right = (marked.returns >= limits[:, None]).to(DTYPE)
    rewards = torch.zeros_like(marked.rewards)
    rewards[:, marked.states[:, -1], marked.responses[:, -1]] = right
    return TokenMDP(rewards, length)
