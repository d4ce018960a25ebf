"""``grpo-kit data``: what can be known of a recipe's data before it is trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpo_kit.cli.evaluate import Dtype, Engine
from grpo_kit.cli.help_texts import examples
from grpo_kit.errors import UserError

app = typer.Typer(
    help="Grade the prompts of a recipe's data by how often a model answers them right.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _data() -> None:
    """A group of commands, be there but one."""


@app.command(
    "grade", epilog=examples("grpo-kit data grade recipe.yaml --model runs/NAME --samples 8 --out graded.jsonl")
)
def grade(
    recipe: str,
    overrides: Annotated[
        list[str] | None, typer.Argument(help="key.sub=value, each replacing one value of the recipe")
    ] = None,
    samples: Annotated[int, typer.Option("--samples", "-n", min=1, help="responses to each prompt")] = 8,
    out: Annotated[Path, typer.Option(help="the file to write, with a row and its pass_rate a line")] = Path(
        "graded.jsonl"
    ),
    model: Annotated[
        str | None,
        typer.Option(help="run, checkpoint or model folder, or a hub name; default: the recipe's model.path"),
    ] = None,
    engine: Annotated[Engine, typer.Option(help="what samples")] = Engine.torch,
    server: Annotated[list[str] | None, typer.Option(help="http://host:port of a vLLM server; repeat for more")] = None,
    dtype: Annotated[Dtype, typer.Option(help="of matrix products")] = Dtype.auto,
    workers: Annotated[
        int | None, typer.Option(min=0, help="scoring processes; 0 scores in this one [the cores]")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="continue the grading that was stopped")] = False,
) -> None:
    """Sample every prompt of the data, and write each row with the share of right responses (`data.pass_rate` filters by it)."""
    from transformers.utils import logging as transformers_logging

    from grpo_kit.config.read import load_recipe
    from grpo_kit.evaluate.checkpoints import settings_from
    from grpo_kit.evaluate.commands import EvaluationInterrupted, worker_count
    from grpo_kit.evaluate.grade import SAMPLES_BESIDE, grade
    from grpo_kit.observe.console import RunConsole
    from grpo_kit.observe.terminal import open_console

    transformers_logging.disable_progress_bar()  # ours is the one that is drawn
    if out.suffix != ".jsonl":
        raise UserError(f"--out: {out} is written as .jsonl; name it so")
    config = load_recipe(recipe, overrides or [])
    settings = settings_from(
        {
            "n": samples,
            "temperature": config.rollout.temperature,
            "greedy": False,
            "seed": config.seed,
            "engine": engine.value,
            "servers": tuple(server or ()),
            "device": config.device,
            "dtype": dtype.value,
            "workers": worker_count(workers),
        }
    )
    try:
        grade(config, model, settings, out, resume, RunConsole(open_console(), plain_lines=4))
    except KeyboardInterrupt:
        raise EvaluationInterrupted(Path(f"{out}{SAMPLES_BESIDE}")) from None
