"""`train --smoke`: a recipe made so short that every stage of it is tried within seconds."""

from __future__ import annotations

from typing import Any

from grpo_kit.chain import STAGES
from grpo_kit.recipe_file import find_recipe, parse_yaml, read_recipe

STEPS = 2
SHORT = {"train.steps": STEPS, "warm_start.steps": 20, "evaluation.tasks": 16}


def smoke_overrides(recipe: str) -> list[str]:
    """Overrides for what the recipe has, and in a chain for what each stage has."""
    data = parse_yaml(read_recipe(find_recipe(recipe)), recipe).data
    stages = data.get(STAGES)
    if not isinstance(stages, dict):
        return _short(data)
    common = [name for name in SHORT if _has(data, name.partition(".")[0])]
    found = []
    for stage, own in stages.items():
        for name, value in SHORT.items():
            section = name.partition(".")[0]
            removed = isinstance(own, dict) and section in own and own[section] is None
            if not removed and (name in common or _has(own, section)):
                found.append(f"{STAGES}.{stage}.{name}={value}")
    return found


def _short(data: Any) -> list[str]:
    return [f"{name}={value}" for name, value in SHORT.items() if _has(data, name.partition(".")[0])]


def _has(data: Any, section: str) -> bool:
    return isinstance(data, dict) and isinstance(data.get(section), dict)
