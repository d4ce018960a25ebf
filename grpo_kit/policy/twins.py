"""Two networks that say what every token of the vocabulary is worth, and what a policy is worth by the smaller of them."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from grpo_kit.objective.values import policy_state_values

from .logprobs import CHUNK_ELEMENTS, in_chunks
from .models import Policy
from .packing import MicroBatch
from .weights import Weighted

# Of the values that twins begin with, about: what they differ by at first, as a share of a reward of 1.
FIRST_VALUES = 0.1


@dataclass
class ActionValueModel(Weighted):
    """Values of all tokens by one network, a language model with one more layer for V:

        Q(s, a) = V(s) + scale * (log q(a | s) - E_pi[log q(. | s)])

    The dueling form (arXiv:1511.06581, eq. 9), centred by the policy pi: V is what pi is worth. Uncentred, V's error in a
    state would be taken from the tokens there, and drive q away from the pi that follows it.

    A copy of the policy begins with that policy's order of tokens, which is its own soft optimum at temperature ``scale``: it has
    nothing to unlearn.

    Attributes:
        network: the copy; ``network.model.score`` turns a hidden state into V.
        scale: what a nat of log-probability is worth in reward.
    """

    network: Policy
    scale: float

    def __post_init__(self) -> None:
        self.model = self.network.model

    @classmethod
    def from_policy(cls, policy: Policy, scale: float, seed: int) -> ActionValueModel:
        """A copy of the policy that learns. seed: of V's first weights, by which twins differ."""
        model = copy.deepcopy(policy.model)
        width = policy.head.weight.shape[1]
        score = nn.Linear(width, 1, bias=False)
        drawn = torch.randn(score.weight.shape, generator=torch.Generator().manual_seed(seed))
        score.weight.data = drawn * (FIRST_VALUES / math.sqrt(width))
        model.score = score.to(policy.device, next(policy.model.parameters()).dtype)  # type: ignore[attr-defined]
        return cls(Policy(model, policy.tokenizer, policy.device, policy.autocast, full_head=policy.full_head), scale)

    def copy(self) -> ActionValueModel:
        """This network as it is now, which takes no gradients."""
        return ActionValueModel(self.network.copied(copy.deepcopy(self.model)), self.scale)

    def states(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """Hidden states before the completion tokens of a micro-batch, [tokens, hidden], and their V, [tokens].

        V is read from them and moves none of them: where it is late its error is of one sign in every token, and would take the
        order of tokens along through the layers below.
        """
        with self.network.precision():
            hidden = self.network.predicting(batch)
            values = self.model.score(hidden.detach()).squeeze(-1)
        return hidden, values.float() if self.network.autocast is not None else values

    def preferences(self, hidden: Tensor, probabilities: Tensor) -> Tensor:
        """Q - V of every token: [tokens, vocabulary]. probabilities: the policy's, [tokens, vocabulary]."""
        logprobs = self.network.head.logits(hidden).log_softmax(-1)
        return self.scale * (logprobs - (probabilities * logprobs).sum(-1, keepdim=True))

    def taken(self, policy: Policy, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """V of the states, and Q - V of the completion tokens, of the policy as it is. [tokens] each"""
        with torch.no_grad(), policy.precision():
            of_policy = policy.predicting(batch)
        hidden, values = self.states(batch)

        def compute(part: Tensor, policy_part: Tensor, targets: Tensor) -> tuple[Tensor]:
            with torch.no_grad():
                probabilities = policy.head.logits(policy_part).softmax(-1)
            return (self.preferences(part, probabilities).gather(-1, targets[:, None]).squeeze(-1),)

        with self.network.precision():
            (found,) = in_chunks(compute, (hidden, of_policy, batch.targets), _rows(policy, 2))
        return values, found


class Twins(NamedTuple):
    """Two of them, which differ by how their V began."""

    first: ActionValueModel
    second: ActionValueModel

    @classmethod
    def from_policy(cls, policy: Policy, scale: float, seed: int) -> Twins:
        return cls(*(ActionValueModel.from_policy(policy, scale, 2 * seed + number) for number in (0, 1)))

    def copy(self) -> Twins:
        return Twins(self.first.copy(), self.second.copy())

    def parts(self) -> dict[str, Weighted]:
        return {"first": self.first, "second": self.second}


class PolicyValues(NamedTuple):
    """What a policy is worth before some tokens, by the smaller of two values of each token. [tokens] each.

    Attributes:
        states: V(s) of `policy_state_values`, differentiable in the policy. The others have no gradient.
        first, second: Q(s, a) of the completion token by either network. logprobs: its log pi(a | s).
        entropies: of pi, in nats.
    """

    states: Tensor
    first: Tensor
    second: Tensor
    logprobs: Tensor
    entropies: Tensor


def policy_values(policy: Policy, twins: Twins, batch: MicroBatch, temperature: float) -> PolicyValues:
    """Values of a policy over the whole vocabulary, in chunks: no matrix of [tokens, vocabulary] is held.

    Args:
        temperature: what the policy is paid for a nat of entropy.
    """
    with torch.no_grad():
        known = [part for twin in twins for part in twin.states(batch)]

    def compute(part: Tensor, targets: Tensor, *of_twins: Tensor) -> tuple[Tensor, ...]:
        logprobs = policy.head.logits(part).log_softmax(-1)
        with torch.no_grad():
            pairs = zip(twins, of_twins[::2], of_twins[1::2], strict=True)
            first, second = (v[:, None] + twin.preferences(h, logprobs.exp()) for twin, h, v in pairs)
            taken = (values.gather(-1, targets[:, None]).squeeze(-1) for values in (first, second, logprobs))
            entropies = -(logprobs.exp() * logprobs).sum(-1)
            smaller = torch.minimum(first, second)
        return policy_state_values(smaller, logprobs, temperature), *taken, entropies

    with policy.precision():
        hidden = policy.predicting(batch)
        return PolicyValues(*in_chunks(compute, (hidden, batch.targets, *known), _rows(policy, 3)))


def _rows(policy: Policy, heads: int) -> int:
    """Tokens whose logits of so many heads are held at once."""
    return max(1, CHUNK_ELEMENTS // (heads * policy.head.weight.shape[0]))
