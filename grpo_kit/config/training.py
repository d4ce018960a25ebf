"""Steps, optimizers, limits, and how a network lives on its devices."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, field_validator

from grpo_kit.runtime.strict import Fraction, NonNegative, PathText, Strict
from grpo_kit.runtime.suggest import did_you_mean

from .marks import SAFE_ON_RESUME
from .signs import SIGNS, Sign


class OptimizerConfig(Strict):
    learning_rate: NonNegative = Field(
        1e-6, description="0 leaves the weights as they are: a run that only records rollouts"
    )
    schedule: Literal["constant", "constant_with_warmup", "linear", "cosine"] = Field(
        "constant",
        description="how the learning rate goes over the run: constant, or falling to 0 at its end (linear, cosine)",
    )
    warmup_steps: Annotated[int, Field(ge=0)] = Field(
        0, description="updates in which the learning rate rises to its full value"
    )
    weight_decay: NonNegative = Field(0.0, description="AdamW's, of matrices alone; biases and norms have none")
    betas: tuple[Fraction, Fraction] = Field(
        (0.9, 0.999), description="AdamW's decay of the gradient's mean and of its square"
    )
    epsilon: PositiveFloat = Field(1e-8, description="AdamW's; a larger one keeps weights with tiny gradients still")
    max_grad_norm: PositiveFloat = Field(
        1.0, description="a longer gradient is scaled down to this norm; watch grad_norm"
    )
    moments: Literal["float32", "8bit"] = Field(
        "float32",
        description="how AdamW keeps the gradient's mean and square: 8bit is a quarter of the memory, rounded (one process)",
    )
    offload: bool = Field(
        False,
        description="keep the moments in the host's memory and step there: slower, for a GPU that is full (one process)",
    )


class WarmStartConfig(Strict):
    """Supervised fine-tuning on a procedural task's demonstrations before reinforcement learning begins."""

    steps: PositiveInt = Field(200, description="updates on demonstrations")
    batch_size: PositiveInt = Field(64, description="demonstrations of one update")
    mistakes: Fraction = Field(
        0.0, description="share of demonstrations with a mistake that carries through to the answer"
    )
    optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=2e-3, schedule="cosine", warmup_steps=20),
        description="AdamW of these updates; its state is not taken over",
    )


class CriticConfig(Strict):
    """The second network of algorithms with baseline critic."""

    path: PathText | None = Field(None, description="a reward model to start from; default: the policy's own weights")
    optimizer: OptimizerConfig = Field(
        OptimizerConfig(learning_rate=1e-5), description="how the critic's weights are moved"
    )
    warmup: Annotated[int, Field(ge=0)] = Field(0, description="batches on which only the critic learns")


class TrainConfig(Strict):
    steps: Annotated[PositiveInt, SAFE_ON_RESUME] = Field(
        description="of the run: each samples, scores and learns once"
    )  # but where a schedule depends on it
    token_budget: PositiveInt = Field(16384, description="padded tokens of one micro-batch")
    share_prompts: bool = Field(
        True,
        description="pass a prompt once for all of its completions, where the model can: the same gradient, in less time",
    )
    updates_per_batch: PositiveInt = Field(
        1, description="the batch's prompts are split into this many optimizer steps"
    )
    epochs_per_batch: PositiveInt = Field(1, description="how often each step's responses are learned from")
    save_every: Annotated[PositiveInt | None, SAFE_ON_RESUME] = Field(
        None, description="steps between checkpoints; one is always left at the end"
    )
    save_minutes: Annotated[PositiveFloat | None, SAFE_ON_RESUME] = Field(
        None, description="also save when this long has passed since the last one"
    )
    keep_last: Annotated[PositiveInt, SAFE_ON_RESUME] = Field(
        2, description="newest checkpoints that are kept; older ones are removed"
    )
    keep_best: Annotated[int, Field(ge=0), SAFE_ON_RESUME] = Field(
        0, description="checkpoints of the highest held-out accuracy that are saved and kept besides the last ones"
    )
    shard_gb: Annotated[PositiveFloat | None, SAFE_ON_RESUME] = Field(
        None, description="largest file of weights in a checkpoint"
    )
    stop_seconds: Annotated[PositiveFloat, SAFE_ON_RESUME] = Field(
        60.0, description="time to save and end in, once a signal asks for it"
    )
    log_rollouts_every: Annotated[PositiveInt, SAFE_ON_RESUME] = Field(
        1, description="steps between those whose completions are recorded in rollouts/"
    )
    profile_steps: Annotated[int, Field(ge=0), SAFE_ON_RESUME] = Field(
        0, description="trace so many steps after the first one, into profile/ of the run directory"
    )


class LimitsConfig(Strict):
    """Minutes that one wait of a phase may last before the run is ended, with the stacks of all threads; and what of the
    watch's signs ends it."""

    start: PositiveFloat = Field(
        120.0, description="minutes that one wait in loading the model, opening the engine or the warm start may last"
    )
    generate: PositiveFloat = Field(60.0, description="minutes that one wait for sampled responses may last")
    score: PositiveFloat = Field(60.0, description="minutes that one wait for verifiers may last")
    update: PositiveFloat = Field(60.0, description="minutes that one wait within a batch's optimizer steps may last")
    sync: PositiveFloat = Field(60.0, description="minutes that giving new weights to the engine may last")
    evaluate: PositiveFloat = Field(240.0, description="minutes that one wait within an evaluation may last")
    save: PositiveFloat = Field(60.0, description="minutes that a checkpoint may take")
    other: PositiveFloat = Field(
        60.0, description="minutes that one wait within any other phase, or in a callback, may last"
    )
    hacking: bool | tuple[str, ...] = Field(
        False,
        description="stop, saved, at these signs of the watch; true: at every failure (docs/evaluation.md, The watch)",
    )

    @field_validator("hacking", mode="before")
    @classmethod
    def _signs_are_known(cls, wanted: Any) -> Any:
        names = [wanted] if isinstance(wanted, str) and wanted.lower() not in ("true", "false") else wanted
        unknown = [n for n in names if n not in SIGNS] if isinstance(names, (list, tuple)) else []
        if unknown:
            hint = did_you_mean(str(unknown[0]), list(SIGNS))
            raise ValueError(f"found {unknown[0]!r}, allowed: true, false, or some of {', '.join(SIGNS)}.{hint}")
        return names

    def minutes(self) -> dict[str, float]:
        """The limits of the phases, by name."""
        return {name: float(value) for name, value in self.model_dump(exclude={"hacking"}).items()}

    def stops_at(self, sign: Sign) -> bool:
        if isinstance(self.hacking, bool):
            return self.hacking and sign.severity == "failure"
        return sign.name in self.hacking


class ParallelConfig(Strict):
    """How a network lives on its devices; how many there are is torchrun's to say. See docs/scaling.md."""

    cpu_offload: bool = Field(
        False, description="keep shards, gradients and optimizer state in the host's memory (CUDA, several processes)"
    )
    gradient_checkpointing: bool = Field(
        False, description="keep one activation per layer and compute the rest again in the backward pass"
    )


class LoggingConfig(Strict):
    """Where metrics go besides metrics.jsonl in the run's folder."""

    sinks: tuple[Literal["tensorboard", "wandb", "trackio", "mlflow"], ...] = Field(
        (), description="trackers that are given every number, samples and the learning curve; each needs its package"
    )
    project: str = Field("grpo-kit", description="the project's name in wandb and trackio, the experiment's in MLflow")
