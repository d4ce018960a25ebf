"""The section of a recipe that says what answers the policy, turn after turn."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from grpo_kit.runtime.strict import Strict

from .marks import SAFE_ON_RESUME


class EnvironmentConfig(Strict):
    """An environment by its name, or tools that the policy may call."""

    name: str | None = Field(None, description="registered name, package.module:Name or path/file.py:Name")
    tools: tuple[str, ...] = Field((), description="tools by name, package.module:function or path/file.py:function")
    options: dict[str, Any] = Field(default_factory=dict, description="keyword options of the environment's class")
    turns: PositiveInt | None = Field(None, description="of an episode at most; default: what the environment says")
    turn_tokens: PositiveInt | None = Field(
        None, description="sampled tokens of a turn at most; rollout.max_tokens limits those of the whole episode"
    )
    max_inserted: PositiveInt = Field(
        1024, description="tokens that the environment may write into an episode in all; one that needs more ends there"
    )
    timeout: PositiveFloat | None = Field(None, description="seconds of a call; default: what the environment says")
    episode_seconds: PositiveFloat = Field(600.0, description="that the calls of an episode may take in all")
    max_invalid: PositiveInt = Field(3, description="so many invalid calls in a row end an episode")
    format: Literal["auto", "hermes", "llama", "mistral", "json"] = Field(
        "auto", description="how tools are called in a turn's text; auto: as the chat template writes calls"
    )
    history: Literal["append", "fresh"] = Field(
        "append", description="fresh: every turn is a prompt of its own, for templates that rewrite earlier turns"
    )
    weight: float = Field(1.0, description="factor of the environment's own reward in the total")
    workers: Annotated[PositiveInt, SAFE_ON_RESUME] = Field(1, description="processes that the calls run in")
    executor: Annotated[Literal["local", "ray"], SAFE_ON_RESUME] = Field(
        "local", description="ray: so many workers on every node of the Ray cluster of scoring.ray_address"
    )
    memory_mb: Annotated[int, Field(ge=0)] = Field(
        4096, description="MiB that a worker may take on top of its imports; 0 sets no limit"
    )

    @property
    def fresh(self) -> bool:
        """Whether every turn is a prompt of its own."""
        return self.history == "fresh"

    @model_validator(mode="after")
    def _one_of_both(self) -> EnvironmentConfig:
        if (self.name is None) == (not self.tools):
            raise ValueError("give either name, an environment, or tools, a list of them")
        if self.tools and self.options:
            raise ValueError("options are for an environment's class; tools take none")
        return self
