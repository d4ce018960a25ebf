"""What an import has made: a recipe, and what is said of each part of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Imported:
    """A recipe, and what is said of it.

    Attributes:
        recipe: as YAML has it; overrides are laid over it.
        functions: the text of a file of functions that the recipe names; empty where it names none.
        carried: (TRL's, the recipe's) of what was given.
        defaults: (TRL's, the recipe's) where TRL's default is not this kit's.
        lost: (TRL's, why) of what was given and has no place here.
    """

    method: str
    recipe: dict[str, Any] = field(default_factory=dict)
    functions: str = ""
    carried: list[tuple[str, str]] = field(default_factory=list)
    defaults: list[tuple[str, str]] = field(default_factory=list)
    lost: list[tuple[str, str]] = field(default_factory=list)

    def set(self, key: str, value: Any) -> None:
        *sections, last = key.split(".")
        here = self.recipe
        for section in sections:
            here = here.setdefault(section, {})
        here[last] = value

    def has(self, key: str) -> bool:
        """Whether the recipe says something of a key, an entry of a list being numbered."""
        here: Any = self.recipe
        for part in key.split("."):
            if isinstance(here, list):
                here = here[int(part)] if int(part) < len(here) else {}
            elif isinstance(here, dict) and part in here:
                here = here[part]
            else:
                return False
        return True
