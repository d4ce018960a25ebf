"""What learners of action values share: responses and what the values of their tokens are to become, step by step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grpo_kit.objective.losses import sequence_weights
from grpo_kit.objective.returns import token_rewards
from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.values import Bootstrapped, stepped_returns, traced_returns
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.types import Group

from .batch import Sample, samples_of
from .learner import Learned, LearnerSettings, Trained


@dataclass(slots=True)
class Response:
    """A scored response on its way to the update; [tokens] float64 on the host, as things are before the step.

    Attributes:
        sequence: what goes through the networks. It is given the values of its states as ``values``, the log-probabilities of its
            tokens as ``old_logprobs``, and the goals as ``returns``.
        bonus: what soft values pay for a token beside its reward.
        state_values, action_values: of the networks that learn. goals: what the latter are to become.
        own: by how much a token's error grows where all states are worth one more; its goal grows by the rest.
    """

    sequence: TrainingSequence
    rewards: Tensor
    bonus: Tensor
    state_values: Tensor
    action_values: Tensor
    goals: Tensor
    own: Tensor

    @classmethod
    def of(cls, sample: Sample) -> Response:
        """One that nobody has looked at yet."""
        count = len(sample.sequence.completion_ids)
        rewards = token_rewards(sample.reward, count, turns=sample.turns)
        return cls(sample.sequence, rewards, *(torch.zeros_like(rewards) for _ in range(5)))


class ResponseLearner(ABC):
    """Looks at the responses of each optimizer step, sets their goals, and steps towards them.

    Attributes:
        batches: learned from so far.
    """

    def __init__(self, trained: Trained, objective: Algorithm, settings: LearnerSettings) -> None:
        self.trained, self.objective, self.settings = trained, objective, settings
        self.batches = 0

    def learn(self, groups: list[Group]) -> Learned:
        dropped: Counter[str] = Counter()
        samples = samples_of(groups)
        updates = self._updates(groups, samples, dropped)
        metrics = Measures()
        for epoch in range(self.settings.epochs_per_batch):
            for responses in updates:
                self.set_goals(responses)
                if epoch == 0:
                    watch_values(responses, self.objective.discount, metrics)
                self.take_steps(responses, metrics)
        self.batches += 1
        known = {id(r.sequence): r for update in updates for r in update}
        advantages = [[_advantage(known.get(id(s.sequence))) for s in group] for group in samples]
        values = [[_values(known.get(id(s.sequence))) for s in group] for group in samples]
        return Learned(advantages, dropped, dict(metrics.over_ranks("adding up the metrics of an update")), values)

    @abstractmethod
    def set_goals(self, responses: list[Response]) -> None:
        """What is to be learned of each response, at the weights of now."""

    @abstractmethod
    def take_steps(self, responses: list[Response], metrics: Measures) -> None:
        """The optimizer step of every network."""

    @abstractmethod
    def forget(self) -> None: ...

    @abstractmethod
    def state_dict(self) -> dict[str, Any]: ...

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None: ...

    def _updates(self, groups: list[Group], samples: list[list[Sample]], dropped: Counter[str]) -> list[list[Response]]:
        """The responses that count, of each optimizer step, weighted within it."""
        found, size = [], -(-len(groups) // self.settings.updates_per_batch)
        for start in range(0, len(groups), size):
            chosen = []
            for group, members in zip(groups[start : start + size], samples[start : start + size], strict=True):
                for completion, score, sample in zip(group.completions, group.scores, members, strict=True):
                    reason: str | None = None if sample.counts else score.status
                    if sample.counts and self.objective.mask_truncated and completion.truncated:
                        reason = "truncated"
                    if reason is None and completion.token_ids:
                        chosen.append(Response.of(sample))
                    elif reason is not None and group.replayed is None:  # or it would be counted whenever it comes
                        dropped[reason] += 1
            self._weigh([r.sequence for r in chosen], groups)
            found.append(chosen)
        return found

    def _weigh(self, sequences: list[TrainingSequence], groups: list[Group]) -> None:
        if not sequences:
            return
        weights = sequence_weights(
            torch.tensor([len(s.completion_ids) for s in sequences], dtype=torch.float64),
            aggregation=self.objective.aggregation,
            max_tokens=self.settings.max_tokens,
            group_index=torch.tensor([s.group for s in sequences]),
        )
        for sequence, weight in zip(sequences, weights.tolist(), strict=True):
            sequence.weight = weight * groups[sequence.group].replay_weight


def returns_of(rewards: Tensor, seen: Bootstrapped, objective: Algorithm) -> Tensor:
    """What the values of a response's tokens are to become. [tokens]"""
    if objective.bootstrap_steps is not None:
        return stepped_returns(rewards, seen.values, seen.bonus, objective.discount, objective.bootstrap_steps)
    return traced_returns(rewards, *seen, objective.discount, objective.trace)


def shares_of_states(seen: Bootstrapped, objective: Algorithm) -> Tensor:
    """By how much each return grows where all states that it is bootstrapped from are worth one more. [tokens]"""
    none, one = torch.zeros_like(seen.values), torch.ones_like(seen.values)
    return returns_of(none, Bootstrapped(one, seen.follows, none), objective)


def level_of(responses: list[Response], action_values: list[Tensor]) -> float:
    """The number that, added to the values of all states of a step, leaves the least squared error.

    action_values: of each response, by the network that learns. [tokens] each

    A critic is always a little late. What all states are worth too much says nothing about any token, and would make the last
    tokens, whose goals hold no state, less likely in every response. So on the policy's side of the loss it is solved for, and
    only what differs between tokens is left. The critic learns the level from its own errors.
    """
    pairs = zip(responses, action_values, strict=True)
    of_tokens = [(r.sequence.weight, r.own, r.goals - values) for r, values in pairs]
    squares = sum(weight * float(own.square().sum()) for weight, own, _ in of_tokens)
    missing = sum(weight * float((own * errors).sum()) for weight, own, errors in of_tokens)
    return missing / squares if squares > 0.0 else 0.0


def watch_values(responses: list[Response], discount: float, metrics: Measures) -> None:
    """How large the values are, and by how much they promise more than the responses then brought."""
    if not responses:
        return
    promised = torch.cat([r.action_values for r in responses])
    realised = [
        traced_returns(r.rewards, r.rewards, torch.ones_like(r.rewards), r.bonus, discount, 1.0) for r in responses
    ]
    metrics.means(
        {
            "values/mean": promised,
            "values/promised": torch.stack([r.action_values[0] for r in responses]),
            "values/realised": torch.stack([r[0] for r in realised]),
            "values/overestimation": promised - torch.cat(realised),
        }
    )


def _advantage(response: Response | None) -> float:
    """The mean over tokens of what they are to be worth beyond their states; 0 of what takes no part."""
    return 0.0 if response is None else float((response.goals - response.state_values).mean())


def _values(response: Response | None) -> list[float]:
    return [] if response is None else [round(v, 5) for v in response.action_values.tolist()]
