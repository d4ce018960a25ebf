"""What travels between the scorer, the pool and the workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.types import Completion, Score, Task
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
    """One verifier over one group's completions. ``results`` fills up; ``finished`` is called when it is full.

    Attributes:
        context: what the verifier is told of the task.
        own: what it is told of each completion beside its text.
    """

    loaded: Loaded
    context: Mapping[str, Any]
    responses: list[str]
    own: Sequence[Mapping[str, Any]] | None
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


def context_of(verifier: Verifier, task: Task) -> dict[str, Any]:
    """What of the task the verifier asks for; the rest is not sent."""
    context: dict[str, Any] = {}
    for name in ("answer", "meta"):
        if verifier.wants(name):
            context[name] = getattr(task, name)
    if verifier.wants("messages"):
        context["messages"] = list(task.messages)
    if verifier.wants("prompt"):
        context["prompt"] = task.prompt
    return context


def own_of(verifier: Verifier, task: Task, completions: Sequence[Completion]) -> list[dict[str, Any]] | None:
    """What of each completion it asks for beside the response; None for nothing.

    An episode's response is its last turn, and the messages before it are those of its earlier turns as well. Who judges a
    group is told of the task once, so it gets the messages that all episodes of the group share.
    """
    told: list[dict[str, Any]] = [{} for _ in completions]
    for own, completion in zip(told, completions, strict=True):
        if verifier.wants("completion_ids"):
            own["completion_ids"] = completion.token_ids
        if completion.turns and verifier.wants("messages") and not verifier.group:
            own["messages"] = completion.before(task.messages)
    return told if any(told) else None


def cases_of(
    context: Mapping[str, Any], responses: list[str], own: Sequence[Mapping[str, Any]] | None
) -> list[dict[str, Any]]:
    """The keyword arguments of each completion's call."""
    if own is None:
        return [{**context, "response": response} for response in responses]
    return [{**context, **told, "response": response} for response, told in zip(responses, own, strict=True)]
