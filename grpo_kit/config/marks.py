"""What is known of a key beside its type, said where it is declared: ``name: Annotated[int, MARK] = 1``."""

from __future__ import annotations

from typing import get_args

from pydantic import BaseModel


class _Mark:
    pass


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
