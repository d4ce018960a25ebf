"""guess_number: find a number by being told whether it is higher or lower."""

from __future__ import annotations

import re
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Task

from ..base import Done, ToolError
from ..cases import Case
from ..register import environment

_NUMBER = re.compile(r"(?<![\d.])-?\d{1,18}(?![\d.]*\d)", re.ASCII)


def _cases() -> list[Case]:
    told: dict[str, Any] = {"answer": 37, "meta": {"low": 1, "high": 100}, "prompt": "Guess my number from 1 to 100."}
    return [
        Case(("50", "25", "I say 37."), ("lower", "higher"), reward=1.0, label="by halves", **told),
        Case(("no idea", "500", "37"), ("from 1 to 100", "from 1 to 100"), reward=1.0, label="not a number", **told),
        Case(("37", ), reward=1.0, label="a lucky guess", **told),
    ]  # fmt: skip


@environment(name="guess_number", timeout=2.0, turns=10, cases=_cases)
class GuessNumber:
    """Guess a whole number. Each guess, the last number of a turn, is answered by "higher" or "lower"; the right one pays 1.

    The number is the task's answer; ``low`` and ``high`` of its columns bound it. `data.task: guess_number` makes such tasks.
    Without an answer it is drawn between the options ``low`` and ``high``.
    """

    def __init__(self, low: int = 1, high: int = 100) -> None:
        self.low, self.high = low, high

    @staticmethod
    def check(low: int = 1, high: int = 100) -> None:
        for name, value in (("low", low), ("high", high)):
            if isinstance(value, bool) or not isinstance(value, int):
                raise UserError(f"environment guess_number: the option {name} is a whole number, found {value!r:.80}")
        if low > high:
            raise UserError(f"environment guess_number: there is no number from low {low} to high {high}")

    def begin(self, task: Task, random: Any) -> None:
        self.low, self.high = int(task.meta.get("low", self.low)), int(task.meta.get("high", self.high))
        self.secret = random.randint(self.low, self.high) if task.answer is None else int(task.answer)

    def reply(self, response: str) -> Any:
        guess = last_number(response)
        if guess is None or not self.low <= guess <= self.high:
            raise ToolError(f"Say a number from {self.low} to {self.high}.")
        if guess == self.secret:
            return Done(1.0)
        return "higher" if guess < self.secret else "lower"


def last_number(text: str) -> int | None:
    found = _NUMBER.findall(text[-1000:])
    return int(found[-1]) if found else None
