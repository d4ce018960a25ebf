"""`grpo-kit plan`: will it fit, and how long will it take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def plan(
    recipe: Annotated[str, typer.Argument(help="a recipe file, or the name of a shipped one")],
    overrides: Annotated[list[str] | None, typer.Argument(help="key.sub=value, as for train")] = None,
    gpus: Annotated[
        str | None,
        typer.Option(help="how many of which: 8x80GB, 4xa100, 16xh200 [where the recipe runs on a CPU: this one]"),
    ] = None,
    prompt_tokens: Annotated[
        int | None, typer.Option(help="mean length of prompts [on a CPU that of the data, else half of the limit]")
    ] = None,
    completion_tokens: Annotated[
        int | None,
        typer.Option(help="mean length of responses [on a CPU the limit, or that of a warm start; else a quarter]"),
    ] = None,
    lengths: Annotated[Path | None, typer.Option(help="a run whose recorded responses give the lengths")] = None,
    mfu: Annotated[float, typer.Option(help="share of the peak rate that training reaches", min=0.01, max=1)] = 0.40,
    picture: Annotated[Path | None, typer.Option(help="write step time at 8 to 512 devices as a picture")] = None,
) -> None:
    """Memory of each device by part, time of a step, and the nearest change that fits if the recipe does not.

    On this machine's CPU: the time of each stage and of the whole run, by timing pieces of the model for two seconds."""
    from grpo_kit.plan.show import plan as show

    show(
        recipe,
        overrides or [],
        gpus,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        lengths=lengths,
        mfu=mfu,
        picture=picture,
    )
