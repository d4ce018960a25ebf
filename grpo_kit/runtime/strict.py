"""What the typed sections of files have in common: unknown keys are errors, values do not change."""

from __future__ import annotations

import os
from typing import Annotated, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# A path, ~ being the home folder.
PathText = Annotated[str, AfterValidator(os.path.expanduser)]


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


NonNegative = Annotated[float, Field(ge=0.0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class _Mark:
    """Something that is known of a key beside its type: ``name: Annotated[int, MARK] = 1``."""


# The key, or all of its section, decides when and where things are written or how they are computed, never what is learned:
# a run may go on with another value.
SAFE_ON_RESUME = _Mark()


def marked(model: type[BaseModel], mark: _Mark, prefix: str = "") -> list[str]:
    """The keys of a recipe that bear a mark, in the order of the schema; a marked section stands for its keys."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        if mark in field.metadata:
            keys.append(prefix + name)
            continue
        for section in (field.annotation, *get_args(field.annotation)):  # itself, or beside None
            if isinstance(section, type) and issubclass(section, BaseModel):
                keys += marked(section, mark, f"{prefix}{name}.")
    return keys
