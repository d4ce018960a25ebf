"""The critic's side of PPO: its values before the update, its own loss and its own optimizer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.returns import value_loss
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.policy.value_model import ValueModel

from .steps import GradientStep


class CriticUpdater:
    """Learns the returns of a batch.

    Args:
        clip: how far a value may move from the old one within a batch; None for no limit.
        total_updates: optimizer steps of the whole run, for the schedule.
    """

    def __init__(
        self, critic: ValueModel, config: OptimizerConfig, *, clip: float | None, total_updates: int, token_budget: int
    ) -> None:
        self.critic, self.clip, self.token_budget = critic, clip, token_budget
        self.step = GradientStep(critic.model, config, total_updates, prefix="critic/")

    def _batches(self, sequences: list[TrainingSequence]) -> Iterator[MicroBatch]:
        return rank_batches(sequences, self.token_budget, self.critic.device, self.critic.model)

    @torch.no_grad()
    def annotate(self, sequences: list[TrainingSequence]) -> None:
        """Remember the critic's value before each token."""
        found = computed(
            sequences, self._batches(sequences), lambda b: (self.critic.values(b),), "exchanging the critic's values"
        )
        for sequence, (values,) in found:
            sequence.values = values

    def update(self, updates: list[list[TrainingSequence]], epochs: int, metrics: Measures) -> None:
        returns = [s.returns for update in updates for s in update if s.returns is not None]
        old = [s.values for update in updates for s in update if s.values is not None]
        if not returns:
            return
        target, guess = torch.cat(returns), torch.cat(old).cpu().to(torch.float64)
        # How much of the returns' spread the critic foresaw: 1 is all of it, below 0 worse than a constant.
        spread = float(target.var(unbiased=False))
        if spread > 0.0:
            missed = float((target - guess).var(unbiased=False))
            metrics.add("critic/explained_variance", Measure.mean(1.0 - missed / spread))
        for _ in range(epochs):
            for update in updates:
                count = sum(len(s.completion_ids) for s in update)
                self.step(self._batches(update), partial(self.loss, tokens=count), metrics)

    def loss(self, batch: MicroBatch, metrics: Measures, tokens: int) -> Tensor:
        """This micro-batch's part of the mean value loss over the step's ``tokens``, a scalar."""
        if not batch.sequences:
            return self.critic.values(batch).sum()
        old, returns = batch.values, batch.returns
        assert old is not None
        assert returns is not None
        return value_loss(self.critic.values(batch), old, returns, self.clip).sum() / tokens

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step.state_dict(), "model": self.critic.whole().model.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.critic.whole().model.load_state_dict(state["model"])
        self.critic.take_whole()
        self.step.load_state_dict(state["step"])
