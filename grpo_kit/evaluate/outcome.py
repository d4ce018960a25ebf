"""What an evaluation during a run comes to, whatever it measures: answers of a policy, or pairs that a reward model ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from .pairs import PairResult
from .run import EvalResult


class Outcome(Protocol):
    """Its words are a console line."""

    @property
    def measure(self) -> str: ...

    @property
    def accuracy(self) -> float: ...

    @property
    def judge(self) -> str: ...

    def as_metrics(self) -> dict[str, float | str]: ...

    def cells(self) -> dict[str, str]: ...


def outcome_of(metrics: Mapping[str, Any]) -> Outcome | None:
    """Read back what ``as_metrics`` of an outcome gave; None if there is none."""
    return EvalResult.of_metrics(metrics) or PairResult.of_metrics(metrics)
