"""An imported recipe as a file: what became of each part as comments, then the recipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import yaml

from .recipe import Imported

WIDTH = 110
ORDER = ("seed", "algorithm", "model", "data", "chat", "examples", "environment", "verifiers", "rollout", "objective",
         "reference", "optimizer", "train", "parallel", "logging")  # fmt: skip
HEADINGS = {
    "carried": "Carried over:",
    "defaults": "TRL's defaults, stated because this kit's are others:",
    "lost": "Not carried over:",
}


def parts_of(made: Imported) -> list[tuple[str, Sequence[tuple[str, str]], str]]:
    """Heading, lines and the sign between the two halves of a line, of what became of each part."""
    return [
        (HEADINGS["carried"], made.carried, "->"),
        (HEADINGS["defaults"], made.defaults, "->"),
        (HEADINGS["lost"], made.lost, ":"),
    ]


def recipe_text(made: Imported, source: Path) -> str:
    """The recipe's text."""
    lines = [f"# From {source.name}, a {made.method} script of TRL 1.16, by `grpo-kit import trl`."]
    for heading, said, sign in parts_of(made):
        if said:
            lines += ["#", f"# {heading}"]
        for theirs, ours in dict.fromkeys(said):
            joined = f"{theirs}{sign} {ours}" if sign == ":" else f"{theirs} {sign} {ours}"
            lines += textwrap.wrap(
                " ".join(joined.split()), WIDTH, initial_indent="#   ", subsequent_indent="#     ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
    keys = [*(key for key in ORDER if key in made.recipe), *(key for key in made.recipe if key not in ORDER)]
    blocks = [yaml.safe_dump({key: made.recipe[key]}, sort_keys=False, allow_unicode=True, width=WIDTH) for key in keys]
    return "\n".join([*lines, "", "\n".join(blocks)])
