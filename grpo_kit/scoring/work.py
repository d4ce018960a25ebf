"""What travels between the scorer, the pool and the workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.types import Score
from grpo_kit.verifiers.base import Verifier
from grpo_kit.verifiers.lookup import Address


class ScoringError(RunFailed):
    """Scoring cannot go on: a verifier fails too often, or no worker can be started."""


@dataclass(frozen=True)
class Loaded:
    """A verifier as a recipe uses it: found, with its options bound, and under the name it has in logs."""

    key: int
    label: str
    verifier: Verifier
    weight: float
    address: Address | None = None

    @property
    def request(self) -> tuple[Any, ...]:
        """What a worker needs to build the same verifier."""
        return self.key, self.address, dict(self.verifier.options)


@dataclass(eq=False)
class Work:
    """One verifier over one group's completions. ``results`` fills up; ``finished`` is called when it is full."""

    loaded: Loaded
    context: Mapping[str, Any]
    responses: list[str]
    completion_ids: list[list[int]] | None
    finished: Callable[[Work], None]
    results: list[Score | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)
    traceback: str = ""
    cancelled: bool = False
    remaining: int = 0

    def __post_init__(self) -> None:
        self.remaining = len(self.responses)
        self.results = [None] * self.remaining
        self.seconds = [0.0] * self.remaining

    def deliver(self, position: int, score: Score, seconds: float = 0.0, traceback: str = "") -> None:
        """Take one completion's score; a second score for the same completion is ignored."""
        if self.results[position] is not None:
            return
        self.results[position] = score
        self.seconds[position] = seconds
        self.traceback = self.traceback or traceback
        self.remaining -= 1
        if self.remaining == 0:
            self.finished(self)


def cases_of(context: Mapping[str, Any], responses: list[str], ids: list[list[int]] | None) -> list[dict[str, Any]]:
    """The keyword arguments of each completion's call."""
    if ids is None:
        return [{**context, "response": response} for response in responses]
    return [
        {**context, "response": response, "completion_ids": tokens}
        for response, tokens in zip(responses, ids, strict=True)
    ]
