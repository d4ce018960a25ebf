"""One optimizer step: logprobs -> ratio -> surrogate (+ KL) -> weighted sum -> backward -> clip -> AdamW."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import get_scheduler

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import RunFailed
from grpo_kit.objective.algorithms import Algorithm
from grpo_kit.objective.correction import CORRECTIONS
from grpo_kit.objective.kl import KL_ESTIMATORS, k3
from grpo_kit.objective.losses import RATIO_LEVELS, SURROGATES, ClipRange
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence, micro_batches

MAX_SKIPPED_IN_A_ROW = 3


@dataclass
class UpdateMetrics:
    """Sums over the tokens of one or more optimizer steps; `summary` turns them into means."""

    tokens: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    extremes: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[float]] = field(default_factory=dict)

    def add_tokens(self, count: int, **per_token: Tensor) -> None:
        self.tokens += count
        for name, tensor in per_token.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(tensor.detach().sum())

    def extreme(self, name: str, value: float, pick: Callable[[float, float], float]) -> None:
        self.extremes[name] = pick(self.extremes[name], value) if name in self.extremes else value

    def value(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)

    def summary(self) -> dict[str, float]:
        means = {name: total / max(1, self.tokens) for name, total in self.sums.items()}
        return means | self.extremes | {name: sum(v) / len(v) for name, v in self.values.items()}


class PolicyUpdater:
    """Owns the optimizer and turns weighted sequences into better weights. Knows no algorithm by name.

    Args:
        reference: the frozen policy of the KL term; needed only when ``objective.beta > 0``.
        total_updates: optimizer steps of the whole run, for the schedule.
    """

    def __init__(
        self,
        policy: Policy,
        objective: Algorithm,
        config: OptimizerConfig,
        *,
        total_updates: int,
        token_budget: int,
        temperature: float,
        reference: Policy | None = None,
    ) -> None:
        if objective.beta > 0.0 and reference is None:
            raise ValueError("a KL term needs a reference policy")
        self.policy, self.objective, self.config, self.reference = policy, objective, config, reference
        self.token_budget, self.temperature = token_budget, temperature
        self.optimizer, self.scheduler = build_optimizer(policy, config, total_updates)
        self.skipped_in_a_row = 0

    def update(self, updates: list[list[TrainingSequence]], epochs: int = 1) -> UpdateMetrics:
        """Train on a batch: each of ``updates`` is one optimizer step, the whole repeated ``epochs`` times."""
        metrics = UpdateMetrics()
        sequences = [s for update in updates for s in update]
        if len(updates) * epochs > 1:
            # Later steps of this batch meet a policy that has moved, so the one that sampled must be remembered.
            self._annotate(sequences, self.policy, "old_logprobs")
        if self.reference is not None:
            self._annotate(sequences, self.reference, "reference_logprobs")
        for _ in range(epochs):
            for update in updates:
                self.optimizer_step(update, metrics)
        return metrics

    def _batches(self, sequences: list[TrainingSequence]) -> Any:
        dtype = next(self.policy.model.parameters()).dtype
        return micro_batches(sequences, self.token_budget, self.policy.device, dtype)

    @torch.no_grad()
    def _annotate(self, sequences: list[TrainingSequence], policy: Policy, name: str) -> None:
        for batch in self._batches(sequences):
            logprobs, _ = policy.logprobs(batch, self.temperature)
            for sequence, values in zip(batch.sequences, batch.split(logprobs), strict=True):
                setattr(sequence, name, values)

    def optimizer_step(self, sequences: list[TrainingSequence], metrics: UpdateMetrics) -> None:
        """Accumulate the gradient of the whole step over micro-batches, then move the weights once."""
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum = 0.0
        for batch in self._batches(sequences):
            loss = self.loss(batch, metrics)
            loss.backward()
            loss_sum += float(loss.detach())
        norm = float(torch.nn.utils.clip_grad_norm_(self.policy.model.parameters(), self.config.max_grad_norm))
        metrics.value("loss", loss_sum)
        metrics.value("learning_rate", self.scheduler.get_last_lr()[0])
        if sequences and not (math.isfinite(loss_sum) and math.isfinite(norm)):
            self._skip(metrics, loss_sum, norm)
        elif sequences:
            self.skipped_in_a_row = 0
            metrics.value("grad_norm", norm)
            self.optimizer.step()
        self.scheduler.step()

    def loss(self, batch: MicroBatch, metrics: UpdateMetrics) -> Tensor:
        """This micro-batch's part of the loss of the step, a scalar."""
        objective = self.objective
        logprobs, entropies = self.policy.logprobs(batch, self.temperature)
        old = [s.old_logprobs for s in batch.sequences]
        old_logprobs = logprobs.detach() if old[0] is None else torch.cat([o for o in old if o is not None])
        log_ratio = RATIO_LEVELS[objective.ratio_level](logprobs, old_logprobs, batch.sequence_index)
        clip = ClipRange(objective.clip_low, objective.clip_high)
        surrogate = SURROGATES[objective.surrogate](log_ratio, batch.advantages, clip)
        correction, mismatch = self._correction(batch, old_logprobs)
        token_loss = surrogate.loss * correction
        if self.reference is not None:
            reference = torch.cat([s.reference_logprobs for s in batch.sequences if s.reference_logprobs is not None])
            kl = KL_ESTIMATORS[objective.kl_estimator](logprobs, reference)
            token_loss = token_loss + objective.beta * kl
            metrics.sums["kl/reference"] = metrics.sums.get("kl/reference", 0.0) + float(kl.detach().sum())
        metrics.add_tokens(
            logprobs.numel(),
            entropy=entropies,
            **{"clip/low": surrogate.clipped_low.float(), "clip/high": surrogate.clipped_high.float()},
            **mismatch,
        )
        metrics.extreme(
            "mismatch/max_logprob_difference", float(mismatch["mismatch/mean_logprob_difference"].max()), max
        )
        ratio = log_ratio.detach().exp()
        metrics.extreme("ratio/max", float(ratio.max()), max)
        metrics.extreme("ratio/min", float(ratio.min()), min)
        return (token_loss * batch.weights).sum()

    def _correction(self, batch: MicroBatch, old_logprobs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The weight of each token against the engine that sampled it, and how far that engine is from the trainer.

        ``old_logprobs`` are the trainer's own, of the weights that sampled; all shapes [tokens], without gradient.
        """
        engine = torch.tensor([p for s in batch.sequences for p in s.behaviour_logprobs], dtype=old_logprobs.dtype)
        engine = engine.to(old_logprobs.device)
        log_weight = old_logprobs - engine
        weight = CORRECTIONS[self.objective.correction](log_weight, self.objective.correction_cap)
        return weight, {
            "mismatch/mean_logprob_difference": log_weight.abs(),
            "mismatch/kl": k3(engine, old_logprobs),
            "correction/weight": weight,
            "correction/capped": (log_weight > math.log(self.objective.correction_cap)).float(),
        }

    def _skip(self, metrics: UpdateMetrics, loss: float, norm: float) -> None:
        metrics.value("skipped_updates", 1.0)
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise RunFailed(
                f"{self.skipped_in_a_row} updates in a row were not finite (loss {loss}, gradient norm {norm}). "
                "The weights are still those of the last good update; lower optimizer.learning_rate."
            )

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


def build_optimizer(policy: Policy, config: OptimizerConfig, total_updates: int) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW (no decay on vectors: biases and norms) and its schedule."""
    parameters = [p for p in policy.model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=policy.device.type in ("cpu", "cuda"),
    )
    scheduler = get_scheduler(config.schedule, optimizer, config.warmup_steps, total_updates)
    return optimizer, scheduler
