"""What the typed sections of files have in common: unknown keys are errors, values do not change."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

# A path, ~ being the home folder.
PathText = Annotated[str, AfterValidator(os.path.expanduser)]


Fraction = Annotated[float, Field(ge=0.0, le=1.0)]


NonNegative = Annotated[float, Field(ge=0.0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)
