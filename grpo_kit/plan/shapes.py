"""The shapes of the networks that a recipe names."""

from __future__ import annotations

from grpo_kit.config import Config, ModelConfig
from grpo_kit.errors import UserError
from grpo_kit.objective.rows import Algorithm
from grpo_kit.policy.models import model_skeleton

from .shape import KNOWN, ModelShape, known_shape


def shape_of(model: ModelConfig) -> ModelShape:
    """The model's shape: from the table for names that it knows, else from the model's own configuration."""
    if model.path is not None and (known := known_shape(model.path)) is not None:
        return known
    try:
        return ModelShape.of(model_skeleton(model)[0].config)
    except UserError as error:
        raise UserError(f"{str(error).rstrip('.')}. Shapes that need no download: {', '.join(KNOWN)}.") from error


def reference_shape(config: Config, objective: Algorithm) -> ModelShape | None:
    """The shape of the model of ``reference.path``; None where the reference is a policy of the run itself, or there is none."""
    path = config.reference.path
    return None if path is None or not objective.needs_reference else shape_of(ModelConfig(path=path))
