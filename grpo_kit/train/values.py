"""The learner of action values, which the policy's logits are (`grpo_kit.objective.values`): SARSA, Q-learning, DQN, soft ones.

Each optimizer step looks at its responses first: what the network that is bootstrapped from says of every state, hence what every
sampled token's value is to become. Then the policy and the critic take one step each, from the same point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.losses import sequence_weights
from grpo_kit.objective.returns import token_rewards
from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.values import (
    BOOTSTRAPS,
    Bootstrapped,
    StateValues,
    error_loss,
    expectile_weights,
    stepped_returns,
    traced_returns,
)
from grpo_kit.observe.clock import phase
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.types import Group

from .batch import Sample, samples_of
from .learner import Learned, LearnerSettings, Trained
from .steps import GradientStep


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


class ValueNetworks:
    """A policy whose logits are action values, and the critic of its states where it has one.

    Args:
        temperature: what a nat of log-probability is worth.
        critic: None where the logits hold the values of states themselves.
    """

    def __init__(self, policy: Policy, critic: ValueModel | None, temperature: float, token_budget: int) -> None:
        self.policy, self.critic = policy, critic
        self.temperature, self.token_budget = temperature, token_budget

    @torch.no_grad()
    def look(
        self, sequences: list[TrainingSequence], chosen: dict[int, Tensor] | None = None
    ) -> dict[int, tuple[Tensor, ...]]:
        """What is known before each token, by the id of its sequence: [tokens] each, float64 on the host.

        Args:
            chosen: tokens to look up in each state, by the id of the sequence.

        Returns:
            soft values of the states, then `ActionLogprobs` without its totals.
        """

        def compute(batch: MicroBatch) -> tuple[Tensor, ...]:
            asked = None
            if chosen is not None and batch.sequences:
                asked = torch.cat([chosen[id(s)] for s in batch.sequences]).to(batch.targets.device)
            found = self.policy.actions(batch, asked)
            return (
                self.temperature * found.totals,
                found.taken,
                found.best,
                found.best_ids,
                found.chosen,
                found.entropies,
            )

        with self.policy.standing():
            known = computed(sequences, self.batches(sequences), compute, "exchanging action values")
        found = {id(s): tuple(_host(part) for part in parts) for s, parts in known}
        if self.critic is not None:
            critic = self.critic
            batches = rank_batches(sequences, self.token_budget, critic.device, critic.model)
            states = computed(sequences, batches, lambda b: (critic.values(b),), "exchanging the critic's values")
            found |= {id(s): (_host(values), *found[id(s)][1:]) for s, (values,) in states}
        return found

    def batches(self, sequences: list[TrainingSequence]) -> Iterator[MicroBatch]:
        return rank_batches(sequences, self.token_budget, self.policy.device, self.policy.model)


def _host(values: Tensor) -> Tensor:
    return values.cpu() if values.dtype == torch.long else values.to("cpu", torch.float64)


class TargetNetwork:
    """The networks of some optimizer steps ago, or an average of the past, which change more slowly than those that learn.

    A value that is moved towards itself one token later runs after its own tail; towards a network that stands still it
    arrives (arXiv:1312.5602; averaged, arXiv:1509.02971).
    """

    def __init__(self, networks: ValueNetworks, still: ValueNetworks, rate: float, every: int) -> None:
        self.networks, self.still, self.rate, self.every = networks, still, rate, every
        self.age, self.moved = 0, False

    def follow(self) -> None:
        """Count an optimizer step, and move where it is time."""
        self.age += 1
        if self.age < self.every:
            return
        self.age, self.moved = 0, True
        self.still.policy.follow(self.networks.policy, self.rate)
        if self.still.critic is not None and self.networks.critic is not None:
            self.still.critic.follow(self.networks.critic, self.rate)

    def state_dict(self) -> dict[str, Any]:
        critic = self.still.critic
        return {
            "age": self.age,
            "moved": self.moved,
            "policy": self.still.policy.snapshot() if self.moved else None,
            "critic": None if critic is None else critic.snapshot(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.age, self.moved = state["age"], state["moved"]
        if self.moved:
            self.still.policy.restore(state["policy"])
        if self.still.critic is not None:
            self.still.critic.restore(state["critic"])


class ValueLearner:
    """Moves each sampled token's value towards what followed it.

    Args:
        critic_config: of the critic's optimizer. warmup: batches on which only the critic learns.
        target: what is bootstrapped from; None for the networks that learn, as they are before each step.
    """

    def __init__(
        self,
        networks: ValueNetworks,
        objective: Algorithm,
        settings: LearnerSettings,
        *,
        critic_config: OptimizerConfig,
        warmup: int = 0,
        target: TargetNetwork | None = None,
    ) -> None:
        self.networks, self.objective, self.settings = networks, objective, settings
        self.trained: Trained = networks.policy
        self.warmup, self.target = (warmup if networks.critic is not None else 0), target
        self.batches = 0  # learned from so far
        total = max(1, settings.total_updates - self.warmup * settings.updates_per_step)
        self.step = GradientStep(networks.policy.model, settings.optimizer, total)
        self.critic_step: GradientStep | None = None
        if networks.critic is not None:
            self.critic_step = GradientStep(networks.critic.model, critic_config, settings.total_updates, "critic/")

    def learn(self, groups: list[Group]) -> Learned:
        dropped: Counter[str] = Counter()
        samples = samples_of(groups)
        updates = self._updates(groups, samples, dropped)
        metrics = Measures()
        for epoch in range(self.settings.epochs_per_batch):
            for responses in updates:
                self._targets(responses)
                if epoch == 0:
                    watch_values(responses, self.objective.discount, metrics)
                self._take_steps([r.sequence for r in responses], metrics)
        self.batches += 1
        known = {id(r.sequence): r for update in updates for r in update}
        advantages = [[_advantage(known.get(id(s.sequence))) for s in group] for group in samples]
        values = [[_values(known.get(id(s.sequence))) for s in group] for group in samples]
        return Learned(advantages, dropped, dict(metrics.over_ranks("adding up the metrics of an update")), values)

    def _updates(self, groups: list[Group], samples: list[list[Sample]], dropped: Counter[str]) -> list[list[Response]]:
        """The responses that count, of each optimizer step, weighted within it."""
        found, size = [], -(-len(groups) // self.settings.updates_per_batch)
        for start in range(0, len(groups), size):
            chosen = []
            for group, members in zip(groups[start : start + size], samples[start : start + size], strict=True):
                for completion, score, sample in zip(group.completions, group.scores, members, strict=True):
                    if not sample.counts:
                        dropped[score.status] += 1
                    elif self.objective.mask_truncated and completion.truncated:
                        dropped["truncated"] += 1
                    elif completion.token_ids:
                        chosen.append(Response.of(sample))
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

    def _targets(self, responses: list[Response]) -> None:
        """What is to be learned of each response, at the weights of now."""
        objective, scale = self.objective, self.objective.value_temperature
        sequences = [r.sequence for r in responses]
        with phase("update/values"):
            now = self.networks.look(sequences)
            then = now
            if self.target is not None:
                then = self.target.still.look(sequences, {key: parts[3] for key, parts in now.items()})
        for response in responses:
            key = id(response.sequence)
            response.state_values, taken = now[key][:2]
            response.action_values = response.state_values + scale * taken
            soft, said, best, _, chosen, _ = then[key]
            seen = StateValues(soft, soft + scale * said, soft + scale * best, soft + scale * chosen, -scale * said)
            bootstrapped = BOOTSTRAPS[objective.bootstrap](seen)
            response.bonus = bootstrapped.bonus
            response.goals = returns_of(response.rewards, bootstrapped, objective)
            response.own = 1.0 - shares_of_states(bootstrapped, objective)
            response.sequence.old_logprobs = taken
        level = 0.0 if self.networks.critic is None else level_of(responses)
        for response in responses:
            response.sequence.values = response.state_values + level * response.own
            response.sequence.returns = response.goals

    def _take_steps(self, sequences: list[TrainingSequence], metrics: Measures) -> None:
        """One step of the policy and one of the critic: together the gradient of one loss at one point."""
        warming = self.batches < self.warmup
        if not warming:
            self.step(self.networks.batches(sequences), self.loss, metrics)
        critic = self.networks.critic
        if self.critic_step is not None and critic is not None:
            metrics.add("critic/warmup", Measure.mean(float(warming)))
            batches = rank_batches(sequences, self.settings.token_budget, critic.device, critic.model)
            self.critic_step(batches, self.critic_loss, metrics)
        if self.target is not None:
            self.target.follow()

    def loss(self, batch: MicroBatch, metrics: Measures) -> Tensor:
        """This micro-batch's part of the loss of the step, a scalar: of the logits, the critic's values being given."""
        objective, policy = self.objective, self.networks.policy
        if not objective.learns_states:
            found = policy.actions(batch)
            values, entropies = objective.value_temperature * (found.totals + found.taken), found.entropies
        else:
            logprobs, entropies = policy.logprobs(batch, 1.0)
            values = objective.value_temperature * logprobs
            if batch.sequences:
                assert batch.values is not None
                values = values + batch.values
        if not batch.sequences:
            return values.sum()
        assert batch.returns is not None
        errors = values - batch.returns
        metrics.means({"entropy": entropies, "values/td_error": errors.abs()})
        return (error_loss(errors, objective.huber) * batch.weights).sum()

    def critic_loss(self, batch: MicroBatch, metrics: Measures) -> Tensor:
        """The same of the critic, the log-probabilities being given: of an expectile, only its own values count."""
        objective = self.objective
        assert self.networks.critic is not None
        values = self.networks.critic.values(batch)
        if not batch.sequences:
            return values.sum()
        old, returns = batch.old_logprobs, batch.returns
        assert old is not None
        assert returns is not None
        if objective.learns_expectile:
            errors = values - returns
            losses = error_loss(errors, objective.huber) * expectile_weights(errors.detach(), objective.expectile)
        else:
            losses = error_loss(values + objective.value_temperature * old - returns, objective.huber)
        return (losses * batch.weights).sum()

    def forget(self) -> None:
        self.step.forget()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {"step": self.step.state_dict(), "batches": self.batches}
        if self.critic_step is not None and self.networks.critic is not None:
            network = self.networks.critic.whole().model.state_dict()
            state["critic"] = {"step": self.critic_step.state_dict(), "model": network}
        return state if self.target is None else state | {"target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step.load_state_dict(state["step"])
        self.batches = state["batches"]
        critic = self.networks.critic
        if self.critic_step is not None and critic is not None:
            critic.whole().model.load_state_dict(state["critic"]["model"])
            critic.take_whole()
            self.critic_step.load_state_dict(state["critic"]["step"])
        if self.target is not None:
            self.target.load_state_dict(state["target"])


def returns_of(rewards: Tensor, seen: Bootstrapped, objective: Algorithm) -> Tensor:
    """What the values of a response's tokens are to become. [tokens]"""
    if objective.bootstrap_steps is not None:
        return stepped_returns(rewards, seen.values, seen.bonus, objective.discount, objective.bootstrap_steps)
    return traced_returns(rewards, *seen, objective.discount, objective.trace)


def shares_of_states(seen: Bootstrapped, objective: Algorithm) -> Tensor:
    """By how much each return grows where all states that it is bootstrapped from are worth one more. [tokens]"""
    none, one = torch.zeros_like(seen.values), torch.ones_like(seen.values)
    return returns_of(none, Bootstrapped(one, seen.follows, none), objective)


def level_of(responses: list[Response]) -> float:
    """The number that, added to the values of all states of a step, leaves the least squared error.

    A critic is always a little late. What all states are worth too much says nothing about any token, and would make the last
    tokens, whose goals hold no state, less likely in every response. So on the policy's side of the loss it is solved for, and
    only what differs between tokens is left. The critic learns the level from its own errors.
    """
    of_tokens = [(r.sequence.weight, r.own, r.goals - r.action_values) for r in responses]
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
