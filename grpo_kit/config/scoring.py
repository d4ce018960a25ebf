"""The sections of a recipe that say how responses are scored."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from grpo_kit.runtime.strict import Fraction, Strict

from .marks import SAFE_ON_RESUME


class VerifierConfig(Strict):
    """One verifier of the reward. Who judges what is right: `evaluation.verifier`."""

    name: str = Field(description="registered name, package.module:function or path/file.py:function")
    weight: float = Field(1.0, description="factor of this verifier's value in the total reward")
    timeout: PositiveFloat | None = Field(None, description="seconds for a response; null: what the verifier says")
    options: dict[str, Any] = Field(default_factory=dict, description="the verifier's own options, by name")


class JudgeConfig(Strict):
    """The verifier that says what is right; a name alone stands for one without options."""

    name: str = Field(description="registered name, package.module:function or path/file.py:function")
    timeout: PositiveFloat | None = Field(None, description="seconds for a response; null: what the verifier says")
    options: dict[str, Any] = Field(default_factory=dict, description="the verifier's own options, by name")

    @model_validator(mode="before")
    @classmethod
    def _a_name_is_enough(cls, values: Any) -> Any:
        if isinstance(values, dict) and "weight" in values:
            raise ValueError("a judge has no weight: it is no part of the reward. Leave weight out")
        return {"name": values} if isinstance(values, str) else values


class ScoringConfig(Strict):
    workers: Annotated[int, Field(ge=0), SAFE_ON_RESUME] = Field(
        1, description="processes that verifiers run in; 0 runs them in the trainer's own, which no hang survives"
    )
    executor: Annotated[Literal["local", "ray"], SAFE_ON_RESUME] = Field(
        "local", description="ray: so many workers on every node of a Ray cluster"
    )
    ray_address: Annotated[str | None, SAFE_ON_RESUME] = Field(
        None, description="of the cluster; default: RAY_ADDRESS, or the one running here"
    )
    memory_mb: Annotated[int, Field(ge=0)] = Field(
        4096, description="MiB that a worker may take on top of its imports; 0 sets no limit"
    )
    environment: tuple[str, ...] = Field(
        (),
        description="names of environment variables, such as API keys, that verifiers get; without it they see no secrets",
    )
    max_error_rate: Annotated[Fraction, SAFE_ON_RESUME] = Field(
        0.5, description="share of errors and timeouts from which on a verifier counts as broken in a step"
    )
    error_patience: Annotated[PositiveInt, SAFE_ON_RESUME] = Field(
        3, description="steps in a row with a broken verifier that end the run"
    )
    max_rejected_gold: Annotated[Fraction, SAFE_ON_RESUME] = Field(
        0.02, description="before training, refuse data of whose gold answers the first verifier rejects more than this"
    )

    @model_validator(mode="after")
    def _executor_fits(self) -> ScoringConfig:
        if self.executor == "ray" and self.workers == 0:
            raise ValueError("executor ray needs workers: how many on each node; 0 scores in the trainer's own thread")
        return self
