"""What is learned from again: groups of earlier steps beside those of the present one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from grpo_kit.runtime.strict import Fraction, NonNegative, Strict


class ReplayConfig(Strict):
    """A replay buffer: the last steps of the run's own record, from which a part of every batch is drawn."""

    steps: PositiveInt = Field(8, description="how many of the last steps groups are replayed from")
    share: Annotated[float, Field(gt=0.0, lt=1.0)] = Field(
        0.5, description="share of replayed groups in a batch, beside the rollout.prompts_per_step that are sampled"
    )
    max_age: PositiveInt | None = Field(
        None,
        description="policy versions that a replayed token may be behind the weights that learn from it; null: any",
    )
    priority_exponent: NonNegative = Field(
        0.0,
        description="a group is replayed in proportion to the mean size of its advantages to this power; 0 is uniform",
    )
    weight_exponent: Fraction = Field(
        1.0,
        description="how far a group that is replayed more often than uniformly counts less for it; 0 is not at all",
    )

    def groups(self, sampled: int) -> int:
        """Groups that are replayed beside those that are sampled, once there are as many."""
        return max(1, round(sampled * self.share / (1.0 - self.share)))
