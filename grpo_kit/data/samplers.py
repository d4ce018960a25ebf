"""The sampler that a recipe describes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from grpo_kit.config import Config
from grpo_kit.types import Task

from .curriculum import PoolSampler, ThompsonSampler
from .mixed_sampler import MixedSampler
from .mixture import DataSet, largest_shares
from .sampler import Sampler, TaskSampler


def open_sampler(
    config: Config, sets: Sequence[DataSet], tokenizer: Any, longer: Callable[[Task], int] | None = None
) -> Sampler:
    """What chooses the prompts of a step, with a sampler for each of several data sets.

    Args:
        longer: tokens that the prompt of a task is going to be longer by than what is rendered of it.
    """
    made = [_of_set(config, part, tokenizer, longer) for part in sets]
    return made[0] if len(made) == 1 else MixedSampler(sets, made)


def check_shares(
    config: Config,
    sets: Sequence[DataSet],
    tokenizer: Any,
    longer: Callable[[Task], int] | None = None,
    refills: int = 0,
) -> None:
    """Raises UserError where one of several data sets has fewer different prompts than some step of the run asks of it.

    Args:
        longer: see `open_sampler`. refills: see `largest_shares`.
    """
    if len(sets) < 2:
        return
    weights = [part.weight for part in sets]
    asked = largest_shares(weights, config.rollout.prompts_per_step, config.train.steps, refills)
    for part, most in zip(sets, asked, strict=True):
        _of_set(config, part, tokenizer, longer).next(most)


def _of_set(config: Config, part: DataSet, tokenizer: Any, longer: Callable[[Task], int] | None) -> TaskSampler:
    options: dict[str, Any] = {
        "seed": config.seed,
        "max_prompt_tokens": part.config.max_prompt_tokens,
        "told": 0 if longer is None else longer(part.source.task(0)),
        "where": part.where,
    }
    if config.curriculum.sampler == "order":
        return TaskSampler(part.source, tokenizer, **options)
    kind = {"pools": PoolSampler, "thompson": ThompsonSampler}[config.curriculum.sampler]
    return kind(part.source, tokenizer, config.curriculum, **options)
