"""What a learner is: scored groups in, better weights out. The loop knows no more of an algorithm than this."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch

from grpo_kit.config import Config, OptimizerConfig
from grpo_kit.policy.network import Network
from grpo_kit.types import Group


@dataclass
class Learned:
    """What a batch of groups came to.

    Attributes:
        advantages: [groups][samples], for the rollout log.
        dropped: completions that took no part in the loss, counted by reason.
        values: [groups][samples][tokens], what each token was thought to be worth before it was learned from; None where nothing
            says so.
    """

    advantages: list[list[float]]
    dropped: Counter[str]
    metrics: dict[str, float]
    values: list[list[list[float]]] | None = None


class Trained(Protocol):
    """A network that is trained and saved: a policy, or a reward model."""

    @property
    def model(self) -> Network: ...

    device: torch.device

    def whole(self) -> Trained: ...

    def save(self, folder: Path, shard_gb: float | None = None) -> None: ...

    def load_weights(self, folder: Path) -> None: ...


class Learner(Protocol):
    """Turns groups into better weights of ``trained``; its state is part of every checkpoint."""

    trained: Trained

    def learn(self, groups: list[Group]) -> Learned: ...

    def forget(self) -> None:
        """Begin anew with the optimizer's moments; its schedule goes on."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class LearnerSettings:
    """What every learner reads of a recipe."""

    optimizer: OptimizerConfig
    total_updates: int
    updates_per_batch: int
    epochs_per_batch: int
    token_budget: int
    temperature: float
    max_tokens: int

    @property
    def updates_per_step(self) -> int:
        """Optimizer steps made from one batch."""
        return self.updates_per_batch * self.epochs_per_batch

    @classmethod
    def of(cls, config: Config) -> LearnerSettings:
        train, rollout = config.train, config.rollout
        total = train.steps * train.updates_per_batch * train.epochs_per_batch
        return cls(
            config.optimizer,
            total,
            train.updates_per_batch,
            train.epochs_per_batch,
            train.token_budget,
            rollout.temperature,
            rollout.max_tokens,
        )
