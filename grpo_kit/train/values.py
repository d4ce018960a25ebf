"""The learner of action values, which the policy's logits are (`grpo_kit.objective.values`): SARSA, Q-learning, DQN, soft ones.

Each optimizer step looks at its responses first: what the network that is bootstrapped from says of every state, hence what every
sampled token's value is to become. Then the policy and the critic take one step each, from the same point.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.values import BOOTSTRAPS, StateValues, advantage_weights, error_loss, expectile_weights
from grpo_kit.observe.clock import phase
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.policy.weights import Weighted

from .learner import LearnerSettings
from .steps import GradientStep
from .target import TargetNetwork
from .valued_responses import Response, ResponseLearner, level_of, returns_of, shares_of_states


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

    def parts(self) -> dict[str, Weighted]:
        """Its networks, by name."""
        return {"policy": self.policy} | ({} if self.critic is None else {"critic": self.critic})

    def batches(self, sequences: list[TrainingSequence]) -> Iterator[MicroBatch]:
        return rank_batches(sequences, self.token_budget, self.policy.device, self.policy.model)


def _host(values: Tensor) -> Tensor:
    return values.cpu() if values.dtype == torch.long else values.to("cpu", torch.float64)


class ValueLearner(ResponseLearner):
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
        target: TargetNetwork[ValueNetworks] | None = None,
    ) -> None:
        super().__init__(networks.policy, objective, settings)
        self.networks = networks
        self.warmup, self.target = (warmup if networks.critic is not None else 0), target
        total = max(1, settings.total_updates - self.warmup * settings.updates_per_step)
        self.step = GradientStep(networks.policy.model, settings.optimizer, total)
        self.critic_step: GradientStep | None = None
        if networks.critic is not None:
            self.critic_step = GradientStep(networks.critic.model, critic_config, settings.total_updates, "critic/")

    def set_goals(self, responses: list[Response]) -> None:
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
            # A policy that imitates says nothing of values: what a token promises is its state's.
            response.action_values = response.state_values + (not objective.weighs_by_advantage) * scale * taken
            soft, said, best, _, chosen, _ = then[key]
            seen = StateValues(soft, soft + scale * said, soft + scale * best, soft + scale * chosen, -scale * said)
            bootstrapped = BOOTSTRAPS[objective.bootstrap](seen)
            response.bonus = bootstrapped.bonus
            response.goals = returns_of(response.rewards, bootstrapped, objective)
            response.own = 1.0 - shares_of_states(bootstrapped, objective)
            response.sequence.old_logprobs = taken
        leveled = self.networks.critic is not None and not objective.weighs_by_advantage
        level = level_of(responses, [r.action_values for r in responses]) if leveled else 0.0
        for response in responses:
            response.sequence.values = response.state_values + level * response.own
            response.sequence.returns = response.goals

    def take_steps(self, responses: list[Response], metrics: Measures) -> None:
        """One step of the policy and one of the critic: together the gradient of one loss at one point."""
        sequences = [r.sequence for r in responses]
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
        if objective.weighs_by_advantage:
            return self._imitation(batch, metrics)
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

    def _imitation(self, batch: MicroBatch, metrics: Measures) -> Tensor:
        """The same of a policy that imitates tokens by what each is worth beyond its state."""
        logprobs, entropies = self.networks.policy.logprobs(batch, 1.0)
        if not batch.sequences:
            return logprobs.sum()
        assert batch.values is not None
        assert batch.returns is not None
        advantages = batch.returns - batch.values
        weights = advantage_weights(advantages, self.objective.value_temperature)
        metrics.means({"entropy": entropies, "values/td_error": advantages.abs(), "values/weight": weights})
        return -(weights * logprobs * batch.weights).sum()

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
