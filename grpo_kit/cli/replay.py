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
    from transformers.utils import logging as transformers_logging

    from grpo_kit.observe.tables import Column, show_table
    from grpo_kit.observe.terminal import line, open_console
    from grpo_kit.train.replay import replay_step

    transformers_logging.disable_progress_bar()
    found = replay_step(run, step)
    console = open_console()
    line(console, f"step {step}: {found.source}\nfrom {found.weights}")
    columns = [Column("number"), *(Column(name, right=True) for name in ("recorded", "replayed", "difference"))]
    rows = [
        (n.name, "-" if n.recorded is None else repr(n.recorded), repr(n.again), f"{n.difference:.1e}")
        for n in found.numbers
    ]
    if rows:
        show_table(console, columns, rows, framed=False)
    if found.problem is not None:
        line(console, f"nothing can be learned from this batch: {found.problem}")
    elif not found.numbers:
        raise UserError(f"--step {step}: there is nothing to learn from in that step: no group took part in its loss")
    elif found.difference > tolerance:
        raise RunFailed(
            f"the record and its replay differ by {found.difference:.1e} (tolerance {tolerance:g}): the rollouts, the "
            "checkpoint or the code are not those that the metrics were made with"
        )
    else:
        line(console, "the recorded loss is the loss of what was recorded")
