"""One optimizer step: gradients of all micro-batches summed, clipped, applied; a step that is not finite is skipped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from grpo_kit.config import OptimizerConfig
from grpo_kit.errors import RunFailed, UserError
from grpo_kit.observe.clock import phase
from grpo_kit.observe.measure import Measure, Measures, read
from grpo_kit.policy.compact_adamw import CompactAdamW
from grpo_kit.policy.distributed import clip_gradients, gathered_state, load_gathered_state
from grpo_kit.policy.network import Network
from grpo_kit.policy.packing import MicroBatch
from grpo_kit.runtime import ranks

from .on_host import on_host

MAX_SKIPPED_IN_A_ROW = 3


class NotFinite(RunFailed):
    """Several updates in a row had a loss or a gradient that is not finite."""


# A micro-batch's part of the loss of its step, a scalar; what is worth logging of it goes to the measures.
Loss = Callable[[MicroBatch, Measures], Tensor]


class GradientStep:
    """AdamW and its schedule over the parameters of one network.

    Args:
        prefix: of its metrics' names, where a run has several.
    """

    def __init__(self, model: Network, config: OptimizerConfig, total: int, prefix: str = "") -> None:
        self.model, self.config, self.prefix = model, config, prefix
        self.optimizer, self.scheduler = build_optimizer(model, config, total)
        self.skipped_in_a_row = 0

    def __call__(self, batches: Iterable[MicroBatch], loss: Loss, metrics: Measures) -> None:
        """Accumulate the gradient of the whole step over micro-batches, then move the weights once."""
        loss_sum, norm = self.backward(batches, loss, metrics)
        metrics.add(f"{self.prefix}loss", Measure.mean(loss_sum))
        metrics.add(f"{self.prefix}learning_rate", Measure.mean(self.scheduler.get_last_lr()[0]))
        if norm is not None and not (math.isfinite(loss_sum) and math.isfinite(norm)):
            self._skip(metrics, loss_sum, norm)
        elif norm is not None:
            self.skipped_in_a_row = 0
            metrics.add(f"{self.prefix}grad_norm", Measure.mean(norm))
            with phase(f"update/{self.prefix}optimizer"):
                self.optimizer.step()
            # The schedule counts updates that moved the weights: a skipped one uses up no part of warm-up or decay.
            self.scheduler.step()
        self.model.zero_grad(set_to_none=True)  # or their memory would be missing while responses are sampled

    def backward(self, batches: Iterable[MicroBatch], loss: Loss, metrics: Measures) -> tuple[float, float | None]:
        """The loss of the step and its gradient's norm before clipping; None if there was nothing to learn from."""
        self.model.zero_grad(set_to_none=True)
        parts: list[Tensor] = []
        for batch in batches:
            with phase(f"update/{self.prefix}forward"):
                part = loss(batch, metrics)
            with phase(f"update/{self.prefix}backward"):
                part.backward()
            parts.append(part.detach())
        if not parts:
            return 0.0, None
        with phase(f"update/{self.prefix}backward"):
            norm = clip_gradients(self.model.parameters(), self.config.max_grad_norm)
            # The one time that a step waits for its device: whether the weights may move must be known.
            *losses, length = read([*parts, norm])
        (loss_sum,) = ranks.all_reduce_sum([sum(losses)], "adding up the loss")
        return loss_sum, length

    def _skip(self, metrics: Measures, loss: float, norm: float) -> None:
        if ranks.first():
            metrics.add(f"{self.prefix}skipped_updates", Measure.sum(1))
        self.skipped_in_a_row += 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise NotFinite(
                f"{self.skipped_in_a_row} updates in a row were not finite (loss {loss}, gradient norm {norm}). "
                f"The weights are still those of the last good update; lower {self.prefix.replace('/', '.')}optimizer."
                "learning_rate."
            )

    def forget(self) -> None:
        """As if no update had been taken: AdamW's moments are gone, and it counts from one. The schedule goes on."""
        self.optimizer.state.clear()

    def state_dict(self) -> dict[str, Any]:
        return {
            "optimizer": gathered_state(self.optimizer),
            "scheduler": self.scheduler.state_dict(),
            "skipped_in_a_row": self.skipped_in_a_row,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_gathered_state(self.optimizer, state["optimizer"])
        self.scheduler.load_state_dict(state["scheduler"])
        self.skipped_in_a_row = state["skipped_in_a_row"]
        self._apply_config()

    def _apply_config(self) -> None:
        """What a fork changed in the recipe counts, not what the checkpoint remembers; nothing moves otherwise."""
        config, rates = self.config, self.scheduler.lr_lambdas
        for group, decay, rate in zip(self.optimizer.param_groups, (config.weight_decay, 0.0), rates, strict=True):
            if group["initial_lr"] != config.learning_rate:
                group["initial_lr"] = config.learning_rate
                group["lr"] = config.learning_rate * rate(self.scheduler.last_epoch)
            group |= {"betas": config.betas, "eps": config.epsilon, "weight_decay": decay}
        self.scheduler.base_lrs = [group["initial_lr"] for group in self.optimizer.param_groups]
        self.scheduler._last_lr = [group["lr"] for group in self.optimizer.param_groups]


def build_optimizer(model: Network, config: OptimizerConfig, total: int) -> tuple[torch.optim.Optimizer, LambdaLR]:
    """AdamW (no decay on vectors: biases and norms) and its schedule over ``total`` steps.

    Raises:
        UserError: its moments cannot be kept as it is asked for.
    """
    check_optimizer(config)
    parameters = [p for p in model.parameters() if p.requires_grad]
    away = config.offload and parameters[0].device.type != "cpu"
    optimizer = on_host(parameters, partial(_adamw, config)) if away else _adamw(config, parameters)
    return optimizer, LambdaLR(optimizer, rate_of(config, total))


def _adamw(config: OptimizerConfig, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.moments == "8bit" or any(p.dtype is torch.bfloat16 for p in parameters):
        return CompactAdamW(
            groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, moments=config.moments
        )
    fused = parameters[0].device.type in ("cpu", "cuda")
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=config.betas, eps=config.epsilon, fused=fused)


def check_optimizer(config: OptimizerConfig, where: str = "optimizer") -> None:
    """Raises UserError where its moments cannot be kept as it is asked for."""
    if ranks.world_size() > 1 and config.moments == "8bit":
        raise UserError(
            f"{where}.moments 8bit: blocks of moments do not fit the shards of several processes, which spread AdamW's moments "
            "over all of them already; leave it out, or run one process"
        )
    if ranks.world_size() > 1 and config.offload:
        raise UserError(f"{where}.offload is for one process; with several set parallel.cpu_offload=true")


def rate_of(config: OptimizerConfig, total: int) -> Callable[[int], float]:
    """The share of the learning rate by the number of updates before.

    After the warm-up it is that of transformers, bit for bit. transformers' own would import peft, and what peft can use: more
    seconds than a short run takes. And its warm-up starts at 0, which throws away the first batch that was sampled and scored.
    """
    warmup, after = config.warmup_steps, SCHEDULES[config.schedule]

    def rate(update: int) -> float:
        if update < warmup:
            return (update + 1) / (warmup + 1)
        return max(0.0, after((update - warmup) / max(1, total - warmup), (total - update) / max(1, total - warmup)))

    return rate


# By the shares of the updates after the warm-up that are done and left.
SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "constant": lambda done, left: 1.0,
    "constant_with_warmup": lambda done, left: 1.0,
    "linear": lambda done, left: left,
    "cosine": lambda done, left: 0.5 * (1.0 + math.cos(math.pi * done)),
}
