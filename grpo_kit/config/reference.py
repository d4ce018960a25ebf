"""The frozen policy that is compared with, or learned from."""

from __future__ import annotations

from pydantic import Field, PositiveInt, model_validator

from grpo_kit.runtime.strict import PathText, Strict


class ReferenceConfig(Strict):
    """The reference of every KL term and of preference losses, and the teacher of distillation."""

    path: PathText | None = Field(
        None,
        description="a model of the same tokenizer: a teacher, or another reference than what training starts from",
    )
    refresh: PositiveInt | None = Field(
        None, description="steps after which the policy of then becomes the reference, again and again"
    )
    reset_optimizer: bool = Field(
        False, description="forget the optimizer's moments whenever the reference is refreshed"
    )

    offload: bool = Field(
        False, description="keep it in the host's memory except while it computes: for a GPU that is full (one process)"
    )

    @model_validator(mode="after")
    def _one_source(self) -> ReferenceConfig:
        if self.path is not None and self.refresh is not None:
            raise ValueError(
                "refresh puts the policy in the place of the reference, and path names another model; use one"
            )
        if self.reset_optimizer and self.refresh is None:
            raise ValueError("reset_optimizer goes with refresh, which is not set")
        return self
