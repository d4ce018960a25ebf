"""`grpo_kit.plan`: what `grpo-kit plan` does, returning the numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grpo_kit.observe.terminal import open_console
from grpo_kit.plan.outlook import Outlook
from grpo_kit.plan.show import plan as look_ahead
from grpo_kit.runtime.process import prepare_process

from .overrides import Overrides, override_texts
from .recipe import Recipe, named


def plan(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    overrides: Overrides = None,
    *,
    gpus: str | None = None,
    prompt_tokens: int | None = None,
    completion_tokens: int | None = None,
    lengths: str | Path | None = None,
    mfu: float = 0.40,
    picture: str | Path | None = None,
    progress: bool = True,
    **keys: Any,
) -> Outlook:
    """What a device has to hold for a recipe, how long it takes, and what to change if it does not fit.

    Args:
        recipe, overrides, keys: as `grpo_kit.train` has them.
        gpus: how many of which (``"8x80GB"``, ``"4xa100"``); default: this machine's CPU where the recipe runs on it.
        prompt_tokens, completion_tokens: mean lengths; default: what the recipe's limits and data say.
        lengths: a run whose recorded responses give the lengths.
        mfu: share of the peak rate that training reaches on a GPU.
        picture: where to draw the time of a step at 8 to 512 devices.
        progress: print what the command prints.

    Raises:
        UserError: the recipe or the devices cannot be.
    """
    prepare_process()
    return look_ahead(
        named(recipe),
        override_texts(overrides, keys),
        gpus,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        lengths=None if lengths is None else Path(lengths),
        mfu=mfu,
        picture=None if picture is None else Path(picture),
        console=open_console(quiet=not progress),
    )
