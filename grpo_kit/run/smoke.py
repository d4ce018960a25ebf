"""`train --smoke`: a recipe made so short that every stage of it is tried within seconds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from grpo_kit.config.extends import STAGES, read_whole
from grpo_kit.objective.algorithms import ALGORITHMS
from grpo_kit.run.chain import stages_of

PROMPTS = 8
SHORT = {"train.steps": 2, "warm_start.steps": 20, "evaluation.tasks": 16}
# After so few steps nothing is right, and groups that agree teach nothing: a reward by chance is added to the recipe's own.
CHANCE = {"name": "grpo_kit.run.smoke_reward:by_chance"}


def smoke_overrides(recipe: str | Mapping[str, Any]) -> list[str]:
    """Overrides for what the recipe has, and in a chain for what each stage has."""
    source = read_whole(recipe)
    if STAGES not in source.data:
        return _short(source.data)
    return [
        f"{STAGES}.{name}.{override}" for name, stage in stages_of(source).items() for override in _short(stage.data)
    ]


def _short(data: Mapping[str, Any]) -> list[str]:
    found = [f"{key}={value}" for key, value in SHORT.items() if isinstance(data.get(key.partition(".")[0]), dict)]
    prompts, updates = (_number(data, *at) for at in (("rollout", "prompts_per_step"), ("train", "updates_per_batch")))
    if prompts is not None:  # a multiple of the updates that share them
        found.append(f"rollout.prompts_per_step={min(prompts, -(-PROMPTS // (updates or 1)) * (updates or 1))}")
    found += _of_data_sets(data.get("data"))
    own = data.get("verifiers")
    if own is None and isinstance(data.get("environment"), dict):  # it pays for its episodes itself
        return [*found, f"verifiers={json.dumps([CHANCE])}", "scoring.max_rejected_gold=1"]
    if not isinstance(own, list):
        return found
    # What selects by the judge's verdict is not moved by a reward: there chance is the verdict that it learns from.
    if _selects(data):  # chance does not know a gold answer when it sees one
        return [*found, f"verifiers={json.dumps([CHANCE])}", "scoring.max_rejected_gold=1"]
    return [*found, f"verifiers={json.dumps([*own, CHANCE])}"]


def _of_data_sets(sets: Any) -> list[str]:
    """Chance beside the verifiers that a data set of several has of its own."""
    entries = enumerate(sets) if isinstance(sets, list) else ()
    own = [(index, entry.get("verifiers")) for index, entry in entries if isinstance(entry, dict)]
    return [f"data.{index}.verifiers={json.dumps([*named, CHANCE])}" for index, named in own if isinstance(named, list)]


def _selects(data: Mapping[str, Any]) -> bool:
    """Whether the algorithm learns from the responses that it samples and a judge calls right."""
    row = ALGORITHMS.get(str(data.get("algorithm")))
    return row is not None and row.selects and not row.recorded


def _number(data: Mapping[str, Any], section: str, key: str) -> int | None:
    inside = data.get(section)
    value = inside.get(key) if isinstance(inside, dict) else None
    return value if isinstance(value, int) else None
