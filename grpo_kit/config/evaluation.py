"""What is measured on tasks that training never meets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, PositiveInt

from grpo_kit.runtime.strict import Strict

from .data import DataConfig
from .marks import SAFE_ON_RESUME
from .scoring import JudgeConfig


class EvaluationConfig(Strict):
    """Held-out accuracy before, during and after training; of a reward model, that of ranking pairs."""

    data: DataConfig | None = Field(None, description="default: tasks held out of data, which training never meets")
    verifier: JudgeConfig | None = Field(
        None,
        description="who judges what is right, as a name or {name, options}; default: the first of `verifiers` that tells "
        "right from wrong, else a shipped one that fits the data",
    )
    tasks: PositiveInt = Field(
        256, description="held-out problems that are asked; for a reward model, groups that hold a pair"
    )
    samples: PositiveInt = Field(4, description="sampled answers to each problem, beside one greedy answer")
    every: Annotated[PositiveInt | None, SAFE_ON_RESUME] = Field(
        None, description="steps between evaluations; null: before the first step and after the last one alone"
    )
