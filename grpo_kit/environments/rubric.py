"""What a rubric of verifiers pays for an episode: reward functions by weight, each given by name what it asks for.

A function that raises is a failure of ours, and the episode abstains; a rubric of theirs pays 0 for it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, get_origin

from grpo_kit.errors import UserError

WHOLE_GROUP = {"states", "prompts", "completions", "answers", "tasks", "infos"}


@dataclass(frozen=True)
class RewardFunction:
    """objects: what it may ask for beside the episode, such as the rubric's parser."""

    function: Callable[..., Any]
    weight: float
    objects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(getattr(self.function, "__name__", type(self.function).__name__))


def reward_functions(rubric: Any) -> list[RewardFunction]:
    """Those of a rubric, or of a group of rubrics, that pay; metrics, whose weight is 0, do not.

    Raises:
        UserError: one cannot be asked of a single episode, or a function has no weight.
    """
    if parts := getattr(rubric, "rubrics", None):
        return [one for part in parts for one in reward_functions(part)]
    functions, weights = _listed(rubric, "funcs", "reward_funcs"), _listed(rubric, "weights", "reward_weights")
    weights = weights or [1.0] * len(functions)
    if len(weights) != len(functions):
        raise UserError(
            f"the environment's rubric has {len(functions)} reward functions and {len(weights)} weights; give each of them one"
        )
    objects = {"parser": getattr(rubric, "parser", None), **(getattr(rubric, "class_objects", None) or {})}
    found = [RewardFunction(f, float(w), objects) for f, w in zip(functions, weights, strict=True) if w]
    for one in found:
        _check(one)
    return found


def _listed(rubric: Any, *names: str) -> list[Any]:
    return list(next((value for name in names if (value := getattr(rubric, name, None))), ()))


def _check(one: RewardFunction) -> None:
    try:
        signature = inspect.signature(one.function, eval_str=True)
    except NameError:  # a type that is imported for checkers alone
        signature = inspect.signature(one.function)
    returned = get_origin(signature.return_annotation) or signature.return_annotation
    if WHOLE_GROUP & signature.parameters.keys() or returned is list:
        raise UserError(
            f"the environment's rubric has {one.name}, which judges the episodes of a group together; here each is judged by "
            "itself. Leave it out of the rubric"
        )
    if returned is dict:
        raise UserError(
            f"the environment's rubric has {one.name}, which pays several agents; there is one policy here. Leave it out of the "
            "rubric"
        )
