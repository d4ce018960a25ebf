"""Soft actor-critic on tokens: a policy, two networks of action values, and a temperature (arXiv:1801.01290, arXiv:1910.07207).

The policy is a network of its own, so that what it is worth is known over the whole vocabulary and whoever sampled; it follows
the smaller of the two values, and is paid for its entropy by a temperature that seeks a given entropy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.values import error_loss, retraced, temperature_loss
from grpo_kit.observe.clock import phase
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.policy.twins import ActionValueModel, Twins, policy_values

from .learner import LearnerSettings
from .steps import GradientStep
from .target import TargetNetwork
from .valued_responses import Response, ResponseLearner, level_of, returns_of, shares_of_states


class Temperature:
    """What a nat of entropy is paid; its logarithm is learned where there is a target.

    Args:
        start: in reward. target: nats per token; None keeps the start. rate: Adam's, of the logarithm.
    """

    def __init__(self, start: float, target: float | None, rate: float) -> None:
        self.target = target
        self.log = torch.tensor(math.log(start), dtype=torch.float64, requires_grad=True)
        self.optimizer = torch.optim.Adam([self.log], lr=rate)

    @property
    def value(self) -> float:
        return math.exp(self.log.item())

    def see(self, entropy: float) -> None:
        """One step towards the target. entropy: mean of the step, nats per token."""
        if self.target is None:
            return
        self.optimizer.zero_grad()
        temperature_loss(entropy, self.log, self.target).backward()
        self.optimizer.step()

    def state_dict(self) -> dict[str, Any]:
        return {"log": self.log.item(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.log.data.fill_(state["log"])
        rate = self.optimizer.param_groups[0]["lr"]
        self.optimizer.load_state_dict(state["optimizer"])
        self.optimizer.param_groups[0]["lr"] = rate  # what a fork changed counts


class SoftActorCritic(ResponseLearner):
    """Moves the twins towards what followed each token, then the policy towards the tokens that the twins like.

    Args:
        critic_config: of the optimizers of both twins. warmup: batches on which only they learn.
        target: twins that are bootstrapped from; None for those that learn, as they are before each step.
    """

    def __init__(
        self,
        policy: Policy,
        twins: Twins,
        objective: Algorithm,
        settings: LearnerSettings,
        *,
        critic_config: OptimizerConfig,
        warmup: int = 0,
        target: TargetNetwork[Twins] | None = None,
    ) -> None:
        super().__init__(policy, objective, settings)
        self.policy, self.twins, self.warmup, self.target = policy, twins, warmup, target
        total = max(1, settings.total_updates - warmup * settings.updates_per_step)
        self.step = GradientStep(policy.model, settings.optimizer, total * objective.policy_steps)
        self.twin_steps = [GradientStep(t.model, critic_config, settings.total_updates, "critic/") for t in twins]
        self.temperature = Temperature(objective.value_temperature, objective.entropy_target, objective.entropy_step)
        self.levels = [0.0 for _ in twins]

    def set_goals(self, responses: list[Response]) -> None:
        sequences, temperature = [r.sequence for r in responses], self.temperature.value
        still = self.twins if self.target is None else self.target.still
        with phase("update/values"):
            now = self._known(sequences, self.twins, temperature)
            seen = now if still is self.twins else self._known(sequences, still, temperature)
        for response in responses:
            sequence = response.sequence
            states, *both, logprobs, sequence.entropies = seen[id(sequence)]
            behaviour = logprobs if sequence.behaviour_logprobs is None else sequence.behaviour_logprobs
            bootstrapped = retraced(states, torch.minimum(*both), logprobs - behaviour)
            response.bonus = -temperature * logprobs
            response.state_values = states
            response.action_values = torch.minimum(*now[id(sequence)][1:3])
            response.goals = sequence.returns = returns_of(response.rewards, bootstrapped, self.objective)
            response.own = sequence.values = 1.0 - shares_of_states(bootstrapped, self.objective)
        self.levels = [level_of(responses, [now[id(s)][number] for s in sequences]) for number in (1, 2)]

    @torch.no_grad()
    def _known(self, sequences: list[TrainingSequence], twins: Twins, temperature: float) -> dict[int, list[Tensor]]:
        """`PolicyValues` before each token, by the id of its sequence: [tokens] float64 on the host."""

        def compute(batch: MicroBatch) -> tuple[Tensor, ...]:
            return policy_values(self.policy, twins, batch, temperature)

        found = computed(sequences, self._batches(sequences), compute, "exchanging action values")
        return {id(s): [part.to("cpu", torch.float64) for part in parts] for s, parts in found}

    def _batches(self, sequences: list[TrainingSequence]) -> Iterator[MicroBatch]:
        return rank_batches(sequences, self.settings.token_budget, self.policy.device, self.policy.model)

    def take_steps(self, responses: list[Response], metrics: Measures) -> None:
        sequences, warming = [r.sequence for r in responses], self.batches < self.warmup
        metrics.add("critic/warmup", Measure.mean(float(warming)))
        metrics.add("values/temperature", Measure.mean(self.temperature.value))
        for twin, level, step in zip(self.twins, self.levels, self.twin_steps, strict=True):
            loss = partial(self.twin_loss, twin=twin, level=level, warming=warming)
            step(self._batches(sequences), loss, metrics)
        if not warming:
            for part in _parts(sequences, self.objective.policy_steps):
                self.step(self._batches(part), self.loss, metrics)
            if sequences:
                self.temperature.see(_mean_entropy(sequences))
        if self.target is not None:
            self.target.follow()

    def twin_loss(
        self, batch: MicroBatch, metrics: Measures, *, twin: ActionValueModel, level: float, warming: bool
    ) -> Tensor:
        """This micro-batch's part of the loss of one twin, a scalar.

        V learns from its own error, and the order of tokens from what is left beside ``level`` (`level_of`). A nat is worth
        ``twin.scale``: after the division both gradients are of one size where they are clipped together.

        Args:
            warming: V is strange to the states, and its errors say nothing of tokens: their order rests as the policy does.
        """
        values, preferences = twin.taken(self.policy, batch)
        returns, own = batch.returns, batch.values
        assert returns is not None
        assert own is not None
        of_state = values + preferences.detach() - returns
        of_token = values.detach() + level * own + preferences - returns
        metrics.means({"values/td_error": of_state.abs()})
        huber = self.objective.huber
        losses = error_loss(of_state, huber) + (not warming) / twin.scale * error_loss(of_token, huber)
        return (losses * batch.weights).sum()

    def loss(self, batch: MicroBatch, metrics: Measures) -> Tensor:
        """This micro-batch's part of the policy's loss, a scalar, in nats: KL(pi || softmax(Q / temperature)) and a constant."""
        temperature = self.temperature.value
        found = policy_values(self.policy, self.twins, batch, temperature)
        metrics.means({"entropy": found.entropies})
        return -(found.states / temperature * batch.weights).sum()

    def forget(self) -> None:
        self.step.forget()

    def state_dict(self) -> dict[str, Any]:
        steps = zip(self.twins, self.twin_steps, strict=True)
        state = {
            "step": self.step.state_dict(),
            "batches": self.batches,
            "twins": [{"model": t.model.state_dict(), "step": step.state_dict()} for t, step in steps],
            "temperature": self.temperature.state_dict(),
        }
        return state if self.target is None else state | {"target": self.target.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step.load_state_dict(state["step"])
        self.batches = state["batches"]
        for twin, step, saved in zip(self.twins, self.twin_steps, state["twins"], strict=True):
            twin.model.load_state_dict(saved["model"])
            step.load_state_dict(saved["step"])
        self.temperature.load_state_dict(state["temperature"])
        if self.target is not None:
            self.target.load_state_dict(state["target"])


def _parts(sequences: list[TrainingSequence], count: int) -> list[list[TrainingSequence]]:
    """The sequences in ``count`` parts with something of every prompt, each weighing as much as all of them; in fewer where
    there are fewer sequences.

    What the policy follows has no noise of sampling, so that a part says about as much as the whole; and a policy that takes one
    step for each of the twins' is left behind, or steps past them where its rate is theirs.
    """
    count = min(count, len(sequences))
    return [[replace(s, weight=count * s.weight) for s in sequences[number::count]] for number in range(count)]


def _mean_entropy(sequences: list[TrainingSequence]) -> float:
    """Nats per token of the step, weighted as its loss is."""
    summed = sum(s.weight * float(_entropies(s).sum()) for s in sequences)
    return summed / max(1e-12, sum(s.weight * len(_entropies(s)) for s in sequences))


def _entropies(sequence: TrainingSequence) -> Tensor:
    assert sequence.entropies is not None  # `set_goals` gave them
    return sequence.entropies
