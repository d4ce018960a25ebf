"""What a recipe may change of its algorithm's row."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
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

from .base import Fraction, NonNegative, Strict

NEWER_KEYS = ("ratio_cap",)  # than the runs that wrote down every key


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
