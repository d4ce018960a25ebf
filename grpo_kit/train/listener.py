"""Whom a run tells of every step and evaluation while it goes on, and who may end it: the program that started it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from grpo_kit.runtime import ranks
from grpo_kit.runtime.interrupt import StopRequest

Hear = Callable[[dict[str, Any]], object]


@dataclass
class Listener:
    """Functions that are given a line of metrics each; one that returns True, or raises, has the run saved and ended.

    Only the first rank calls them; every rank ends where it does, and all of them have to be given the functions.

    Attributes:
        asked_to_stop: whether a function wanted the run to end.
        raised: what a function raised; whoever started the run raises it once the run is saved.
    """

    on_step: Hear | None = None
    on_evaluation: Hear | None = None
    asked_to_stop: bool = False
    raised: Exception | None = None

    def after_step(self, metrics: Mapping[str, Any], stop: StopRequest) -> None:
        self._tell(self.on_step, metrics, stop)

    def after_evaluation(self, metrics: Mapping[str, Any], stop: StopRequest) -> None:
        self._tell(self.on_evaluation, metrics, stop)

    def _tell(self, hear: Hear | None, metrics: Mapping[str, Any], stop: StopRequest) -> None:
        if hear is None or self.asked_to_stop:
            return
        answer: object = None
        if ranks.first():
            try:
                answer = hear(dict(metrics))
            except Exception as error:  # it is the caller's, who is given it once nothing can be lost any more
                self.raised, answer = error, True
        if ranks.any_rank(_is_true(answer), "asking the callbacks"):
            self.asked_to_stop = stop.requested = True


def _is_true(answer: object) -> bool:
    """True itself, also numpy's and torch's, which a comparison of theirs gives; not what merely counts as true."""
    one = getattr(answer, "ndim", None) == 0 and str(getattr(answer, "dtype", "")) in ("bool", "torch.bool")
    return answer is True or (one and bool(answer))
