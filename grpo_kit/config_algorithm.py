"""The sections of a recipe that belong to the algorithm: its choices, what it learns from, its optimizers."""

from __future__ import annotations

import os
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PositiveFloat,
    PositiveInt,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from grpo_kit.errors import UserError
from grpo_kit.objective.names import (
    AGGREGATIONS,
    BASELINES,
    CORRECTIONS,
    DATA,
    FAMILIES,
    KL_ESTIMATORS,
    KL_PLACES,
    NULLABLE,
    PAIR_LOSSES,
    RATIO_LEVELS,
    RETURNS,
    SCALES,
    SELECTIONS,
    STEPS,
    SURROGATES,
)

# A path, ~ being the home folder.
PathText = Annotated[str, AfterValidator(os.path.expanduser)]
Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
NEWER_KEYS = ("ratio_cap",)  # than the runs that wrote down every key


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class ObjectiveConfig(Strict):
    """Overrides of the algorithm's row in the table; a key that is left out keeps the row's value, and null switches off what
    can be off: dual_clip, penalty_target, kl_target, value_clip. What each means: docs/algorithms.md."""

    family: FAMILIES | None = None
    data: DATA | None = None
    selection: SELECTIONS | None = None
    baseline: BASELINES | None = None
    scale: SCALES | None = None
    returns: RETURNS | None = None
    discount: Fraction | None = None
    trace: Fraction | None = Field(None, description="lambda of generalised advantage estimation")
    average_decay: Fraction | None = None
    ratio_level: RATIO_LEVELS | None = None
    surrogate: SURROGATES | None = None
    aggregation: AGGREGATIONS | None = None
    clip_low: PositiveFloat | None = None
    clip_high: PositiveFloat | None = None
    dual_clip: Annotated[float, Field(gt=1.0)] | None = None
    gate_positive: PositiveFloat | None = None
    gate_negative: PositiveFloat | None = None
    divergence_limit: PositiveFloat | None = None
    ratio_cap: Annotated[float, Field(ge=1.0)] | None = None
    penalty: NonNegative | None = None
    penalty_target: PositiveFloat | None = None
    correction: CORRECTIONS | None = Field(
        None,
        description="default: the row's; where that is none, truncated with a vLLM engine, or in_ratio with "
        "rollout.max_staleness and a ratio of single tokens",
    )
    correction_cap: Annotated[float, Field(ge=1.0)] | None = None
    kl_place: KL_PLACES | None = None
    kl_estimator: KL_ESTIMATORS | None = None
    beta: NonNegative | None = None
    kl_target: PositiveFloat | None = None
    entropy_bonus: NonNegative | None = None
    entropy_share: Annotated[float, Field(gt=0.0, le=1.0)] | None = None
    dynamic_sampling: bool | None = None
    mask_truncated: bool | None = None
    value_clip: PositiveFloat | None = None
    step: STEPS | None = None
    trust_region: PositiveFloat | None = None
    pair_loss: PAIR_LOSSES | None = None
    good_weight: NonNegative | None = None
    bad_weight: NonNegative | None = None
    per_prompt: PositiveInt | None = None

    @model_validator(mode="before")
    @classmethod
    def _null_is_unset_where_nothing_can_be_off(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        # Runs made before null meant anything wrote down every key, null for those of the row.
        complete = len(cls.model_fields.keys() & values.keys()) >= len(cls.model_fields) - len(NEWER_KEYS)
        return {k: v for k, v in values.items() if v is not None or (k in NULLABLE and not complete)}

    @model_serializer(mode="wrap")
    def _as_it_was_set(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {k: v for k, v in handler(self).items() if k in self.model_fields_set}


def check_row(name: str, row: Any) -> None:
    """Hold a row of somebody's own file to what a recipe may set.

    Args:
        row: an `Algorithm`.

    Raises:
        UserError: with every field out of its range.
    """
    values = {field: getattr(row, field) for field in ObjectiveConfig.model_fields}
    try:
        ObjectiveConfig.model_validate({field: value for field, value in values.items() if value is not None})
    except ValidationError as error:
        # A file may add values to the axes, which the table itself looks at.
        wrong = [e for e in error.errors() if e["type"] != "literal_error"]
        if wrong:
            listed = "; ".join(f"{e['loc'][0]} is {e['input']!r}: {e['msg']}" for e in wrong)
            raise UserError(f"algorithm: {name}: {listed}") from error


class OptimizerConfig(Strict):
    learning_rate: NonNegative = Field(
        1e-6, description="0 leaves the weights as they are: a run that only records rollouts"
    )
    schedule: Literal["constant", "constant_with_warmup", "linear", "cosine"] = "constant"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    weight_decay: NonNegative = 0.0
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    epsilon: PositiveFloat = Field(1e-8, description="AdamW's; a larger one keeps weights with tiny gradients still")
    max_grad_norm: PositiveFloat = 1.0


class ExamplesConfig(Strict):
    """What an offline algorithm learns from: exactly one of a file, recorded rollouts, or worked solutions.

    A row of the file has ``prompt`` and either ``chosen`` and ``rejected`` (and perhaps ``margin``), or ``response`` (and
    perhaps ``label``: whether it is good). Recorded rollouts are grouped by prompt as they were sampled.
    """

    path: PathText | None = Field(None, description="a .jsonl, .parquet or .csv file, or a hub name")
    rollouts: PathText | None = Field(None, description="the run directory whose recorded rollouts are learned from")
    demonstrations: bool = Field(
        False, description="worked solutions of data.task; for pairs, each against one with a mistake"
    )
    mistakes: Fraction = Field(0.0, description="share of single demonstrations that contain a mistake")

    @model_validator(mode="after")
    def _one_source(self) -> ExamplesConfig:
        if (self.path is not None) + (self.rollouts is not None) + self.demonstrations != 1:
            raise ValueError("needs exactly one of path (a file), rollouts (a run directory) and demonstrations: true")
        return self


class CriticConfig(Strict):
    """The second network of algorithms with baseline critic."""

    path: PathText | None = Field(None, description="a reward model to start from; default: the policy's own weights")
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=1e-5)
    warmup: Annotated[int, Field(ge=0)] = Field(0, description="batches on which only the critic learns")


class LoraConfig(Strict):
    """Low-rank adapters (arXiv:2106.09685): the base stays frozen, and with adapters off it is the reference."""

    rank: PositiveInt = 16
    alpha: PositiveFloat = 32.0
    targets: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="names of the layers that get adapters"
    )
