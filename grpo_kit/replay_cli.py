"""`grpo-kit replay`: is the recorded loss the loss of what was recorded?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grpo_kit.errors import RunFailed, UserError


def replay(
    run: Annotated[Path, typer.Argument(help="a run's directory")],
    step: Annotated[int, typer.Option("--step", min=1, help="the step to learn from again")],
    tolerance: Annotated[
        float, typer.Option(min=0.0, help="largest relative difference; other machines round differently")
    ] = 1e-4,
) -> None:
    """Recompute the loss of a recorded step (or of a batch that was skipped) offline, and compare."""
    from rich.console import Console
    from rich.table import Table
    from transformers.utils import logging as transformers_logging

    from grpo_kit.train.replay import replay_step

    transformers_logging.disable_progress_bar()
    found = replay_step(run, step)
    console = Console(highlight=False)
    console.print(f"step {step}: {found.source}\nfrom {found.weights}", markup=False, soft_wrap=True)
    table = Table(box=None)
    for column in ("", "recorded", "replayed", "difference"):
        table.add_column(column, justify="right" if column else "left")
    for number in found.numbers:
        recorded = "-" if number.recorded is None else repr(number.recorded)
        table.add_row(number.name, recorded, repr(number.again), f"{number.difference:.1e}")
    if found.numbers:
        console.print(table)
    if found.problem is not None:
        console.print(f"nothing can be learned from this batch: {found.problem}", markup=False, soft_wrap=True)
    elif not found.numbers:
        raise UserError(f"--step {step}: there is nothing to learn from in that step: no group took part in its loss")
    elif found.difference > tolerance:
        raise RunFailed(
            f"the record and its replay differ by {found.difference:.1e} (tolerance {tolerance:g}): the rollouts, the "
            "checkpoint or the code are not those that the metrics were made with"
        )
    else:
        console.print("the recorded loss is the loss of what was recorded")
