"""THE TABLE: each algorithm is a row of choices along the same axes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .advantages import BASELINES, SCALES
from .correction import CORRECTIONS
from .kl import KL_ESTIMATORS
from .losses import AGGREGATIONS, RATIO_LEVELS, SURROGATES


@dataclass(frozen=True, slots=True)
class Algorithm:
    """What distinguishes one online algorithm from another. Any field can be overridden by a recipe's ``objective``.

    Attributes:
        baseline, scale: how rewards become advantages (`objective.advantages`).
        ratio_level, surrogate, aggregation: how advantages become a loss (`objective.losses`).
        clip_low, clip_high: the ratio may move in [1 - clip_low, 1 + clip_high].
        correction, correction_cap: weight of a token against the engine's own log-probability (`objective.correction`).
        kl_estimator, beta: estimator and weight of the KL to the reference in the loss; 0 needs no reference.
    """

    paper: str
    baseline: str = "group_mean"
    scale: str = "group_std"
    ratio_level: str = "token"
    surrogate: str = "ppo_clip"
    aggregation: str = "sequence_mean"
    clip_low: float = 0.2
    clip_high: float = 0.2
    correction: str = "none"
    correction_cap: float = 2.0
    kl_estimator: str = "k3"
    beta: float = 0.0


ALGORITHMS: dict[str, Algorithm] = {
    "grpo": Algorithm(paper="arXiv:2402.03300", beta=0.04),
    "dr_grpo": Algorithm(paper="arXiv:2503.20783", scale="none", aggregation="constant_length"),
    "gspo": Algorithm(paper="arXiv:2507.18071", ratio_level="sequence", clip_low=3e-4, clip_high=4e-4),
}

AXES: dict[str, dict] = {
    "baseline": BASELINES,
    "scale": SCALES,
    "ratio_level": RATIO_LEVELS,
    "surrogate": SURROGATES,
    "aggregation": AGGREGATIONS,
    "correction": CORRECTIONS,
    "kl_estimator": KL_ESTIMATORS,
}


def resolve_objective(name: str, overrides: Mapping[str, Any]) -> Algorithm:
    """A row of the table with a recipe's overrides; None keeps the row's value."""
    return replace(ALGORITHMS[name], **{k: v for k, v in overrides.items() if v is not None})
