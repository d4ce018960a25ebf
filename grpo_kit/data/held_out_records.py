"""Recorded groups that a run never learns from: what a reward model is evaluated on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from grpo_kit.config import Config
from grpo_kit.types import Group

from .datasets import EVALUATION_SEED_OFFSET, procedural_source
from .records import demonstrated_pair, fitting, held_out_of_record, read_pairs, read_recorded


def held_out_groups(config: Config, tokenizer: Any, context: int) -> tuple[str, Sequence[Group]]:
    """The section that they are from, and the groups: of ``evaluation.data``, or those of ``examples`` whose prompts are
    held out by their hash.

    Raises:
        UserError: a file cannot be read, or nothing is short enough.
    """
    settings, examples = config.evaluation, config.examples
    assert settings is not None
    assert examples is not None
    data = settings.data
    if data is not None and data.path is not None:
        groups = read_pairs(data, data.path, tokenizer, "evaluation.data", examples)
        return "evaluation.data", fitting(groups, data.max_prompt_tokens, context, "evaluation.data")[0]
    if data is not None or examples.demonstrations:
        return "evaluation", _demonstrated(config, tokenizer)
    recorded = read_recorded(config, examples, tokenizer)
    out = held_out_of_record(recorded)
    groups = [group for group in recorded if group.task.prompt in out]
    groups = fitting(groups, config.longest_prompt, context, "examples")[0] if groups else []
    # A record is in the order of its steps, and the first of them say little of what came later.
    random.Random(f"{config.seed}/held out").shuffle(groups)
    return "examples", groups


def _demonstrated(config: Config, tokenizer: Any) -> list[Group]:
    """A right and a wrong worked solution of each of ``evaluation.tasks`` problems, no problem twice."""
    assert config.evaluation is not None
    data = config.evaluation.data or config.only_set
    assert data is not None
    assert data.task is not None
    source = procedural_source(data, config.seed + EVALUATION_SEED_OFFSET, held_out=True)
    indices = source.unique_indices(config.evaluation.tasks)
    return [demonstrated_pair(source, index, tokenizer) for index in indices]
