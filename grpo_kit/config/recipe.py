"""The recipe as a typed object. Every field has one reader; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveInt, field_validator, model_validator

from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.objective.rows import Objective, can_be_off
from grpo_kit.runtime.strict import Strict
from grpo_kit.runtime.suggest import did_you_mean

from .data import ChatConfig, DataConfig, ExamplesConfig
from .environment import EnvironmentConfig
from .evaluation import EvaluationConfig
from .marks import SAFE_ON_RESUME
from .model import ModelConfig
from .rollout import RolloutConfig
from .scoring import ScoringConfig, VerifierConfig
from .training import (
    CriticConfig,
    LimitsConfig,
    LoggingConfig,
    OptimizerConfig,
    ParallelConfig,
    TrainConfig,
    WarmStartConfig,
)

KEYS_OF_0_1 = 35  # the fewest of an objective section that a run of that version wrote


class Config(Strict):
    """A whole recipe."""

    algorithm: str = Field(
        "grpo", description="a row of `grpo-kit algorithms`, or path/file.py:row for one of your own"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    device: str = "auto"
    threads: PositiveInt | None = Field(
        None, description="torch threads; default: what a trial at the start finds best"
    )
    model: ModelConfig
    warm_start: WarmStartConfig | None = None
    data: DataConfig
    chat: ChatConfig = ChatConfig()
    examples: ExamplesConfig | None = Field(None, description="for offline algorithms: what is learned from")
    environment: EnvironmentConfig | None = Field(
        None, description="what answers the policy; without it a response is one turn, and nobody answers"
    )
    verifiers: list[VerifierConfig] = Field(
        default_factory=list, description="one at least, but where an environment pays for its episodes"
    )
    scoring: ScoringConfig = ScoringConfig()
    rollout: RolloutConfig = RolloutConfig()
    objective: Objective = Objective()
    critic: CriticConfig = CriticConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig
    parallel: ParallelConfig = ParallelConfig()
    evaluation: EvaluationConfig | None = None
    logging: Annotated[LoggingConfig, SAFE_ON_RESUME] = LoggingConfig()
    limits: Annotated[LimitsConfig, SAFE_ON_RESUME] = LimitsConfig()

    @property
    def sampled_by(self) -> Literal["itself", "engine", "older_weights"]:
        """How far the distribution that samples may be from the one that learns."""
        if self.rollout.engine == "torch":
            return "itself"
        return "older_weights" if self.rollout.max_staleness else "engine"

    def longest_sequence(self) -> int:
        """Tokens of the longest prompt and episode that training or evaluation may ask of the engine."""
        evaluated = self.evaluation.data if self.evaluation else None
        prompt = max(d.max_prompt_tokens for d in (self.data, evaluated) if d is not None)
        return prompt + self.rollout.max_tokens + self.inserted

    @property
    def inserted(self) -> int:
        """Tokens that an environment may write into an episode, beside those that are sampled."""
        return self.environment.max_inserted if self.environment else 0

    @field_validator("algorithm")
    @classmethod
    def _algorithm_is_known(cls, name: str) -> str:
        if name in ALGORITHMS or ":" in name:
            return name
        raise ValueError(
            f"found {name!r}, allowed: {', '.join(ALGORITHMS)}, or path/file.py:row.{did_you_mean(name, ALGORITHMS)}"
        )

    @field_validator("objective", mode="before")
    @classmethod
    def _null_as_runs_of_0_1_meant_it(cls, section: Any) -> Any:
        """They wrote down every key of a run, null for the row's value, where null cannot be meant by anybody else."""
        if not isinstance(section, dict) or len(section) < KEYS_OF_0_1:
            return section
        given = {key: value for key, value in section.items() if value is not None}
        return section if all(map(can_be_off, section.keys() - given.keys())) else given

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        problems = []
        if not self.verifiers and (self.environment is None or self.environment.tools):
            problems.append("verifiers: give one at least; only an environment by name pays for its episodes itself")
        executors = {self.scoring.executor, self.environment.executor if self.environment else "local"}
        if self.scoring.ray_address and "ray" not in executors:
            problems.append("scoring.ray_address is for scoring.executor: ray, or environment.executor: ray")
        if self.warm_start and self.data.task is None:
            problems.append("warm_start needs a procedural data.task, whose demonstrations it learns from")
        if self.rollout.prompts_per_step % self.train.updates_per_batch:
            problems.append(
                f"train.updates_per_batch {self.train.updates_per_batch} must divide rollout.prompts_per_step "
                f"{self.rollout.prompts_per_step}"
            )
        own, row = self.objective, ALGORITHMS.get(self.algorithm)
        decides = own if "data" in own.model_fields_set else row  # a row of a file is asked when it is read
        if self.environment is not None and ((decides and decides.recorded) or self.examples is not None):
            problems.append(
                "environment answers a policy while it samples, and here all is sampled already "
                f"({'examples' if self.examples is not None else f'algorithm {self.algorithm}'}); leave the environment out, or "
                "use an algorithm that samples, such as grpo, without examples"
            )
        elif decides is not None and decides.recorded != (self.examples is not None):
            problems.append(
                f"algorithm {self.algorithm} "
                + (
                    "learns from recorded data and needs an examples section"
                    if self.examples is None
                    else "samples its own data and takes no examples section"
                )
            )
        if self.rollout.max_staleness and own.model_dump().get("correction") == "none":
            problems.append(
                "rollout.max_staleness lets older weights sample, so objective.correction must not be none: use "
                "in_ratio, truncated or masked"
            )
        # Whoever writes evaluation: null has decided; where it was forgotten, nothing would ever be the best.
        if self.train.keep_best and self.evaluation is None and "evaluation" not in self.model_fields_set:
            problems.append(
                "train.keep_best keeps the checkpoints of highest held-out accuracy, and there is no evaluation"
            )
        if self.examples and self.examples.demonstrations and self.data.task is None:
            problems.append("examples.demonstrations needs a procedural data.task")
        if problems:
            raise ValueError("; ".join(problems))
        return self
