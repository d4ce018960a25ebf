"""How good a run's weights are, measured while it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from grpo_kit.config import Config
from grpo_kit.environments.episodes import Episodes
from grpo_kit.evaluate.judge import Judge
from grpo_kit.evaluate.outcome import Outcome, outcome_of
from grpo_kit.evaluate.records import Record
from grpo_kit.evaluate.run import completions_of, evaluate
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.observe.console import Stage
from grpo_kit.runtime import ranks
from grpo_kit.scoring import Scorer
from grpo_kit.types import Prompt, Task

from .learner import Learner


class Evaluation(Protocol):
    """What a run is evaluated on, made once."""

    @property
    def size(self) -> int:
        """How much there is to do on this rank, in the unit that ``told`` counts in."""

    def measure(
        self, learner: Learner, generator: Generator, scorer: Scorer, judge: str, told: Callable[[float], None]
    ) -> tuple[Outcome, list[Record]]:
        """How good the present weights are, and the greedy answers that tell it, where there are any.

        Args:
            told: is told how much of ``size`` is done, while it goes on.
        """
        ...


@dataclass
class AnswersEvaluation:
    """Held-out tasks that the policy answers."""

    tasks: list[tuple[Task, Prompt]]
    sampling: SamplingParams
    episodes: Episodes | None = None

    @property
    def size(self) -> int:
        return completions_of(len(self.tasks), self.sampling)

    def measure(
        self, learner: Learner, generator: Generator, scorer: Scorer, judge: str, told: Callable[[float], None]
    ) -> tuple[Outcome, list[Record]]:
        return evaluate(generator, scorer, self.tasks, self.sampling, judge, told, self.episodes)


class Evaluator:
    """Measures before the first step, after every so many and after the last one.

    Args:
        evaluation: None for a run that is never evaluated.

    Attributes:
        outcomes: what was measured, and after which step; those of a resumed run's earlier processes as well.
        answers: the greedy ones of the last time.
    """

    def __init__(self, config: Config, evaluation: Evaluation | None, scorer: Scorer, judge: Judge) -> None:
        self.evaluation, self.scorer, self.judge = evaluation, scorer, str(judge)
        self.every = config.evaluation.every if config.evaluation else None
        self.last_step = config.train.steps
        self.outcomes: list[tuple[int, Outcome]] = []
        self.answers: list[Record] = []

    def is_due(self, step: int) -> bool:
        if self.evaluation is None or (self.outcomes and self.outcomes[-1][0] == step):
            return False
        return step in (0, self.last_step) or (self.every is not None and step % self.every == 0)

    def measure(self, learner: Learner, generator: Generator, bar: Stage) -> Outcome:
        """How good the present weights are. It may be abandoned: what it comes to counts once it is in ``outcomes``."""
        assert self.evaluation is not None
        with bar.aside("evaluation", self.evaluation.size) as told:
            outcome, self.answers = self.evaluation.measure(learner, generator, self.scorer, self.judge, told)
        self.scorer.statistics()  # those of a step are of its own responses
        return outcome

    def accuracy(self, step: int) -> float | None:
        """Held-out accuracy after the present step, where it was measured."""
        return next((outcome.accuracy for at, outcome in self.outcomes[-1:] if at == step), None)

    def recall(self, metrics: Sequence[dict[str, Any]]) -> None:
        """Take over what earlier processes of the run measured, from its metrics."""
        outcomes = [(m["step"], outcome) for m in metrics if (outcome := outcome_of(m))]
        self.outcomes = ranks.broadcast(outcomes, "reading what was evaluated")
