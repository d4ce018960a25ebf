"""Held-out accuracy of a reward model: the share of unseen pairs in which the better response has the higher score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from statistics import fmean
from typing import Any

from .metrics import proportion

PREFIX = "eval/pairs_"


@dataclass(frozen=True)
class PairResult:
    """Pair accuracy over held-out prompts; a tie counts a half, because no opinion is chance.

    Attributes:
        prompts, count: prompts, and the pairs of their responses.
        accuracy, error: share ranked right and its standard error, clustered by prompt.
        low, high: 95 % interval (Wilson, clustered by prompt); has a width at 0 % and 100 % too.
        margin: mean score of the better response minus that of the worse one, in units of the score.
    """

    prompts: int
    count: int
    accuracy: float
    error: float
    low: float
    high: float
    margin: float

    measure = "Held-out pair accuracy"
    judge = ""  # the pairs say themselves which response is better

    @classmethod
    def of(cls, ranked: Mapping[Any, Sequence[tuple[float, float]]]) -> PairResult:
        """ranked: by prompt, for each of its pairs 1, 0 or a half, and the margin."""
        groups = list(ranked.values())
        estimate = proportion([fmean(right for right, _ in group) for group in groups], sum(map(len, groups)))
        margin = fmean(margin for group in groups for _, margin in group)
        found = (estimate.value, estimate.error, estimate.low, estimate.high, margin)
        return cls(len(groups), sum(map(len, groups)), *found)

    def as_metrics(self) -> dict[str, float | str]:
        return {f"{PREFIX}{name}": float(value) for name, value in asdict(self).items()}

    @classmethod
    def of_metrics(cls, metrics: Mapping[str, Any]) -> PairResult | None:
        """Read back what `as_metrics` gave; None if it is not there."""
        names = [f.name for f in fields(cls)]
        if any(PREFIX + name not in metrics for name in names):
            return None
        found = {name: metrics[PREFIX + name] for name in names}
        return cls(**found | {name: int(found[name]) for name in ("prompts", "count")})

    @property
    def interval(self) -> str:
        return "[no interval]" if math.isnan(self.low) else f"[{self.low:.1%}, {self.high:.1%}]"

    def __str__(self) -> str:
        return (
            f"held-out pair accuracy {self.accuracy:.1%} (95 % {self.interval}), margin {self.margin:.3g}, on {self.count} "
            f"pairs of {self.prompts} prompts"
        )

    def cells(self) -> dict[str, str]:
        """A row of a table, by column."""
        accuracy = f"{self.accuracy:.1%} {self.interval}"
        return {"pairs ranked right": accuracy, "margin": f"{self.margin:.3g}", "pairs": str(self.count)}
