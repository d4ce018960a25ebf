"""Case: a scripted episode, by which an environment says what it promises."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.types import Message, Task

from .formats import Call

_KINDS = {
    "turns": "a list of texts, Calls and lists of Calls",
    "replies": "a list of texts",
    "reward": "a finite number or None",
    "prompt": "text",
    "meta": "a mapping",
    "options": "a mapping",
    "label": "text",
    "seed": "a whole number",
}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _is_turn(turn: Any) -> bool:
    return isinstance(turn, (str, Call)) or (_is_list(turn) and all(isinstance(one, Call) for one in turn))


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

    def __post_init__(self) -> None:
        """Raises TypeError for what nobody could play or compare."""
        wrong = [name for name, fits in self._fits().items() if not fits]
        if wrong:
            shown = f"Case({wrong[0]}={getattr(self, wrong[0])!r:.80})"
            raise TypeError(f"{shown}: {wrong[0]} must be {_KINDS[wrong[0]]}")

    def _fits(self) -> dict[str, bool]:
        number = isinstance(self.reward, (int, float)) and math.isfinite(self.reward)
        return {
            "turns": _is_list(self.turns) and all(_is_turn(turn) for turn in self.turns),
            "replies": _is_list(self.replies) and all(isinstance(words, str) for words in self.replies),
            "reward": self.reward is None or number,
            "prompt": isinstance(self.prompt, str),
            "meta": isinstance(self.meta, Mapping),
            "options": isinstance(self.options, Mapping),
            "label": isinstance(self.label, str),
            "seed": isinstance(self.seed, int),
        }

    def task(self) -> Task:
        return Task(self.label or "case", (Message(role="user", content=self.prompt),), self.answer, dict(self.meta))
