"""One optimizer step: gradients of all micro-batches summed, clipped, applied; a step that is not finite is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import get_scheduler

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import RunFailed
from grpo_kit.policy.packing import MicroBatch

MAX_SKIPPED_IN_A_ROW = 3
Batches = Callable[[], Iterator[MicroBatch]]


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


Loss = Callable[[MicroBatch, UpdateMetrics], Tensor]


class GradientStep:
    """AdamW and its schedule over the parameters of one network.

    Args:
        prefix: of its metrics' names, where a run has several.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig, total: int, prefix: str = "") -> None:
        self.model, self.config, self.prefix = model, config, prefix
        self.optimizer, self.scheduler = build_optimizer(model, config, total)
        self.skipped_in_a_row = 0

    def __call__(self, batches: Batches, loss: Loss, metrics: UpdateMetrics) -> None:
        """Accumulate the gradient of the whole step over micro-batches, then move the weights once."""
        loss_sum, norm = self.backward(batches, loss, metrics)
        metrics.value(f"{self.prefix}loss", loss_sum)
        metrics.value(f"{self.prefix}learning_rate", self.scheduler.get_last_lr()[0])
        if norm is not None and not (math.isfinite(loss_sum) and math.isfinite(norm)):
            self._skip(metrics, loss_sum, norm)
        elif norm is not None:
            self.skipped_in_a_row = 0
            metrics.value(f"{self.prefix}grad_norm", norm)
            self.optimizer.step()
            # The schedule counts updates that moved the weights: a skipped one uses up no part of warm-up or decay.
            self.scheduler.step()

    def backward(self, batches: Batches, loss: Loss, metrics: UpdateMetrics) -> tuple[float, float | None]:
        """The loss of the step and its gradient's norm before clipping; None if there was nothing to learn from."""
        self.optimizer.zero_grad(set_to_none=True)
        loss_sum, empty = 0.0, True
        for batch in batches():
            part = loss(batch, metrics)
            part.backward()
            loss_sum += float(part.detach())
            empty = False
        if empty:
            return 0.0, None
        return loss_sum, float(nn.utils.clip_grad_norm_(self.model.parameters(), self.config.max_grad_norm))

    def _skip(self, metrics: UpdateMetrics, loss: float, norm: float) -> None:
        metrics.value(f"{self.prefix}skipped_updates", 1.0)
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise RunFailed(
                f"{self.skipped_in_a_row} updates in a row were not finite (loss {loss}, gradient norm {norm}). "
                f"The weights are still those of the last good update; lower {self.prefix.replace('/', '.')}optimizer."
                "learning_rate."
            )

    def state_dict(self) -> dict[str, Any]:
        return {"optimizer": self.optimizer.state_dict(), "scheduler": self.scheduler.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])


def build_optimizer(model: nn.Module, config: OptimizerConfig, total: int) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW (no decay on vectors: biases and norms) and its schedule over ``total`` steps."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=config.betas,
        eps=config.epsilon,
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )
    return optimizer, get_scheduler(config.schedule, optimizer, config.warmup_steps, total)
