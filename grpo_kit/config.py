"""The recipe as a typed object. Every field has one reader; unknown keys are errors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from grpo_kit.objective.names import (
    AGGREGATIONS,
    ALGORITHMS,
    BASELINES,
    KL_ESTIMATORS,
    RATIO_LEVELS,
    SCALES,
    SURROGATES,
)

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


class ScratchModelConfig(Strict):
    """A tiny Qwen2-architecture model over bytes, made from random weights."""

    hidden_size: PositiveInt = 128
    intermediate_size: PositiveInt = 384
    layers: PositiveInt = 3
    heads: PositiveInt = 4
    context_length: PositiveInt = 4096

    @model_validator(mode="after")
    def _heads_divide(self) -> ScratchModelConfig:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}")
        return self


class ModelConfig(Strict):
    """Where the policy comes from: ``path`` (a Hugging Face folder or hub name) or ``scratch``."""

    path: str | None = None
    scratch: ScratchModelConfig | None = None
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"

    @model_validator(mode="before")
    @classmethod
    def _path_replaces_scratch(cls, values: Any) -> Any:
        if isinstance(values, dict) and None not in (values.get("path"), values.get("scratch")):
            raise ValueError(
                "give either path or scratch, not both (an override of one can be paired with scratch=null)"
            )
        return values

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if self.path is None and self.scratch is None:
            raise ValueError("needs a path (a Hugging Face folder or hub name) or a scratch section")
        return self


class FieldMap(Strict):
    """Which columns of a data file hold what."""

    prompt: str = "prompt"
    answer: str = "answer"
    id: str | None = None


class DataConfig(Strict):
    """Tasks: a procedural ``task``, or a dataset ``path`` (hub name, folder, .jsonl, .json, .parquet or .csv)."""

    task: str | None = None
    level: PositiveInt = 1
    path: str | None = None
    subset: str | None = None
    split: str = "train"
    fields: FieldMap = FieldMap()
    answer_pattern: str | None = Field(
        None, description="regex whose first group is the gold answer in the answer column"
    )
    system_prompt: str | None = None
    prompt_template: str = Field("{prompt}", description="must contain {prompt}")
    max_prompt_tokens: PositiveInt = 1024
    limit: PositiveInt | None = None

    @model_validator(mode="after")
    def _one_source(self) -> DataConfig:
        if (self.task is None) == (self.path is None):
            raise ValueError("needs exactly one of task (procedural) and path (a dataset)")
        if "{prompt}" not in self.prompt_template:
            raise ValueError(f"prompt_template must contain {{prompt}}, found {self.prompt_template!r}")
        return self


class VerifierConfig(Strict):
    """One verifier of the reward. The first one listed judges correctness in evaluations."""

    name: str = Field(description="registered name, package.module:function or path/file.py:function")
    weight: float = 1.0
    timeout: PositiveFloat | None = None
    options: dict[str, Any] = {}


class ScoringConfig(Strict):
    workers: Annotated[int, Field(ge=0)] = 1
    max_error_rate: Fraction = 0.5
    error_patience: PositiveInt = 3
    check_gold: bool = Field(True, description="before training, refuse gold answers that the first verifier rejects")


class RolloutConfig(Strict):
    """How responses are sampled. Batch sizes are in prompts and samples, never per device."""

    engine: Literal["torch"] = "torch"
    prompts_per_step: PositiveInt = 32
    group_size: PositiveInt = 8
    temperature: PositiveFloat = 1.0
    top_p: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    min_p: Fraction = 0.0
    max_tokens: PositiveInt = 512
    stop: tuple[str, ...] = ()
    max_rows: PositiveInt = Field(256, description="sequences decoded side by side by the embedded engine")

    @model_validator(mode="after")
    def _policy_is_what_was_sampled(self) -> RolloutConfig:
        cut = [k for k, off in (("top_p", 1.0), ("top_k", 0), ("min_p", 0.0)) if getattr(self, k) != off]
        if cut:
            raise ValueError(
                f"{', '.join(cut)} cuts the distribution that is sampled, so the recorded log-probabilities would not be "
                "the policy's and every importance ratio would be wrong; leave it at its default for training "
                "(evaluation has its own sampling settings)"
            )
        if self.group_size < 2:
            raise ValueError(
                "group_size 1 leaves nothing to compare a response with: every advantage would be 0; use at least 2"
            )
        return self


class ObjectiveConfig(Strict):
    """Overrides of the algorithm's row in the table; null keeps the row's value."""

    baseline: BASELINES | None = None
    scale: SCALES | None = None
    ratio_level: RATIO_LEVELS | None = None
    surrogate: SURROGATES | None = None
    aggregation: AGGREGATIONS | None = None
    clip_low: PositiveFloat | None = None
    clip_high: PositiveFloat | None = None
    kl_estimator: KL_ESTIMATORS | None = None
    beta: NonNegative | None = None


class OptimizerConfig(Strict):
    learning_rate: PositiveFloat = 1e-6
    schedule: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: NonNegative = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    epsilon: PositiveFloat = Field(1e-8, description="AdamW's; a larger one keeps weights with tiny gradients still")
    max_grad_norm: PositiveFloat = 1.0


class WarmStartConfig(Strict):
    """Supervised fine-tuning on a procedural task's demonstrations before reinforcement learning begins."""

    steps: PositiveInt = 200
    batch_size: PositiveInt = 64
    mistakes: Fraction = Field(
        0.0, description="share of demonstrations with a mistake that carries through to the answer"
    )
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=20)


class TrainConfig(Strict):
    steps: PositiveInt
    token_budget: PositiveInt = Field(16384, description="padded tokens of one micro-batch")
    updates_per_batch: PositiveInt = Field(
        1, description="the batch's prompts are split into this many optimizer steps"
    )
    epochs_per_batch: PositiveInt = 1
    save_every: PositiveInt | None = None
    keep_last: PositiveInt = 2
    log_rollouts_every: PositiveInt = 1


class EvaluationConfig(Strict):
    """Held-out accuracy before, during and after training."""

    data: DataConfig | None = Field(None, description="default: tasks held out of data, which training never meets")
    tasks: PositiveInt = 256
    samples: PositiveInt = 4
    every: PositiveInt | None = None


class Config(Strict):
    """A whole recipe."""

    algorithm: ALGORITHMS = "grpo"
    seed: int = 0
    device: str = "auto"
    threads: PositiveInt | None = Field(None, description="torch threads; default: the machine's cores")
    model: ModelConfig
    warm_start: WarmStartConfig | None = None
    data: DataConfig
    verifiers: Annotated[list[VerifierConfig], Field(min_length=1)]
    scoring: ScoringConfig = ScoringConfig()
    rollout: RolloutConfig = RolloutConfig()
    objective: ObjectiveConfig = ObjectiveConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    train: TrainConfig
    evaluation: EvaluationConfig | None = None

    @model_validator(mode="after")
    def _parts_fit(self) -> Config:
        problems = []
        if self.warm_start and self.data.task is None:
            problems.append("warm_start needs a procedural data.task, whose demonstrations it learns from")
        if self.rollout.prompts_per_step % self.train.updates_per_batch:
            problems.append(
                f"train.updates_per_batch {self.train.updates_per_batch} must divide rollout.prompts_per_step "
                f"{self.rollout.prompts_per_step}"
            )
        if problems:
            raise ValueError("; ".join(problems))
        return self
