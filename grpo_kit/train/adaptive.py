"""The few numbers that an algorithm carries from one batch to the next."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from grpo_kit.objective.kl import double_or_halve, proportional, toward
from grpo_kit.objective.rows import Algorithm


@dataclass
class Adaptive:
    """What adapts while training goes on; part of every checkpoint.

    Attributes:
        beta: weight of the KL to the reference.
        penalty: weight of KL(old || new) of the surrogate of that name.
        average: moving average of mean rewards; None before the first batch.
        batches: how many batches have been learned from.
        entropy_bonus: weight of the entropy. entropy_low: whether the last batch found it at or below its target.
    """

    beta: float
    penalty: float
    average: float | None = None
    batches: int = 0
    entropy_bonus: float = 0.0
    entropy_low: bool = True

    @classmethod
    def of(cls, objective: Algorithm) -> Adaptive:
        return cls(objective.beta, objective.penalty, entropy_bonus=objective.entropy_bonus)

    def see_reward(self, mean: float, decay: float) -> None:
        self.average = mean if self.average is None else decay * self.average + (1.0 - decay) * mean

    def see_kl(self, objective: Algorithm, to_reference: float | None, to_old: float | None) -> None:
        if objective.kl_target is not None and to_reference is not None:
            self.beta = proportional(self.beta, to_reference, objective.kl_target)
        if objective.penalty_target is not None and to_old is not None:
            self.penalty = double_or_halve(self.penalty, to_old, objective.penalty_target)

    def see_entropy(self, objective: Algorithm, measured: float | None) -> None:
        if objective.entropy_target is not None and measured is not None:
            self.entropy_bonus = toward(self.entropy_bonus, measured, objective.entropy_target, objective.entropy_step)
            self.entropy_low = measured <= objective.entropy_target

    @property
    def bonus(self) -> float:
        """The weight of the entropy in the loss of the present batch."""
        return self.entropy_bonus if self.entropy_low else 0.0

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.beta, self.penalty = state["beta"], state["penalty"]
        self.average, self.batches = state["average"], state["batches"]
        # Checkpoints of before knew no target: their bonus is the recipe's.
        self.entropy_bonus = state.get("entropy_bonus", self.entropy_bonus)
        self.entropy_low = state.get("entropy_low", self.entropy_low)
