"""`grpo-kit import`: what was written for another framework, as a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpo_kit.cli.help_texts import examples, expanded

app = typer.Typer(help="Recipes out of other frameworks' scripts.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Recipes out of other frameworks' scripts."""


@app.command(
    epilog=examples(
        "grpo-kit import trl train_grpo.py",
        "grpo-kit import trl train_grpo.py train.steps=500 --out mine.yaml",
        "grpo-kit import trl dpo_config.yaml --method dpo",
    )
)
def trl(
    file: Annotated[
        Path,
        typer.Argument(parser=expanded, metavar="FILE", help="a script (.py), or a config (.yaml) of TRL's commands"),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="key.sub=value of the recipe: what the script does not say in so many words"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(parser=expanded, metavar="PATH", help="Where the recipe is written [FILE's name.yaml]."),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Of a config: grpo, dpo, sft, kto or reward [told by its fields]."),
    ] = None,
) -> None:
    """Write the recipe of a training script or a config of TRL 1.16, and say what became of each setting.

    A script is read, never executed."""
    from grpo_kit.compat.trl.importing import import_trl
    from grpo_kit.compat.trl.text import parts_of
    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import command, line, open_console

    name = f"{file.stem}.yaml" if file.suffix == ".py" else f"{file.stem}_recipe.yaml"
    made, written = import_trl(file, out or Path(name), overrides or [], method)
    console = open_console()
    for heading, said, _ in parts_of(made):
        if said:
            line(console, heading)
            rows = list(dict.fromkeys(said))
            show_table(
                console, [Column("TRL", words=True), Column("here", words=True)], rows, framed=False, heading=False
            )
            line(console, "")
    line(console, f"wrote {' and '.join(map(str, written))}; next:")
    command(console, ["grpo-kit", "train", written[0], "--dry-run"])
