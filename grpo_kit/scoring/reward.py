"""The reward of a completion, of what verifiers and the environment of its episode say of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from grpo_kit.types import Completion, Score


def total(parts: Mapping[str, Score], weights: Mapping[str, float]) -> Score:
    """The weighted sum of the parts.

    A part that failed makes the total fail; parts that abstain are left out; if all abstain the total does.
    """
    for status in ("error", "timeout"):
        for name, score in parts.items():
            if score.status == status:
                return Score(status=score.status, reason=f"{name}: {score.reason}")
    counted = {name: score for name, score in parts.items() if score.counts}
    if not counted:
        return Score.abstain("; ".join(f"{name}: {score.reason}" for name, score in parts.items()))
    value = sum(weights[name] * score.value for name, score in counted.items())
    if len(counted) == 1:
        ((name, score),) = counted.items()
        return score if value == score.value else dataclasses.replace(score, value=value)
    extracted = next((score.extracted for score in counted.values() if score.extracted is not None), None)
    reason = ", ".join(f"{name} {score.value:g}" for name, score in counted.items())
    metrics = {f"{name}/{key}": v for name, score in counted.items() for key, v in score.metrics.items()}
    return Score(value, extracted=extracted, reason=reason, metrics=metrics)


def earned(completion: Completion) -> tuple[Score, float]:
    """The environment's part, and the seconds that its calls took."""
    seconds = sum(turn.seconds for turn in completion.turns)
    return completion.earned() or Score.abstain("the environment paid nothing"), seconds
