"""An imported recipe as a file: what became of each part as comments, then the recipe."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import yaml

from .fields import FIELDS, METHODS, Field
from .imported import Imported

WIDTH = 110
ORDER = ("seed", "device", "algorithm", "model", "data", "chat", "examples", "environment", "verifiers", "rollout", "objective",
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


def mapping_table() -> str:
    """The mapping as tables for docs/from_trl.md: what has a key, and what is not carried over."""
    carried = ["| TRL | default there | here | how |", "|---|---|---|---|"]
    lost = ["| TRL | why |", "|---|---|"]
    for one in FIELDS:
        of = "" if one.methods == METHODS else f" ({', '.join(one.methods)})"
        name = f"`{one.name}`{of}{', older versions' if one.older else ''}"
        if one.keys:
            keys = ", ".join(f"`{key}`" for key in one.keys)
            carried.append(f"| {name} | {'' if one.older else _default(one)} | {keys} | {one.why} |")
        elif not one.needless:
            lost.append(f"| {name} | {one.why} |")
    needless = ", ".join(f"`{one.name}`" for one in FIELDS if one.needless)
    return "\n\n".join(
        [
            "\n".join(carried),
            "Said to be not carried over, where a script gives them another value than TRL's default:",
            "\n".join(lost),
            f"Passed over, since nothing is lost without them: {needless}.",
        ]
    )


def _default(one: Field) -> str:
    if not isinstance(one.default, dict):
        return f"`{one.default}`"
    values = {method: value for method, value in one.default.items() if method in one.methods}
    return ", ".join(
        f"{method} `{value[0] if isinstance(value, tuple) else value}`" for method, value in values.items()
    )
