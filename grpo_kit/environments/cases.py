"""Case: a scripted episode, by which an environment says what it promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.types import Message, Task

from .formats import Call


@dataclass(frozen=True)
class Case:
    """What a policy writes, turn by turn, and what must come of it.

    Attributes:
        turns: text, or `Call`s, which are written in the format that is tested.
        replies: a text that the answer to each turn must contain; fewer than turns where the last ones say nothing.
        reward: of the whole episode, rewards of turns included; None where the environment has no opinion.
        done: whether the episode must be over after the last turn.
        prompt, answer, meta: of the task.
        options: keywords of the environment's class.
    """

    turns: Sequence[str | Call | Sequence[Call]]
    replies: Sequence[str] = ()
    reward: float | None = None
    done: bool = True
    prompt: str = "Begin."
    answer: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    seed: int = 0

    def task(self) -> Task:
        return Task(self.label or "case", (Message(role="user", content=self.prompt),), self.answer, dict(self.meta))
