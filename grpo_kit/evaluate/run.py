"""Held-out accuracy: sampled (avg@n, with errors clustered by problem) and greedy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, replace
from statistics import fmean
from typing import Any

from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.runtime import ranks
from grpo_kit.scoring import Scorer
from grpo_kit.types import Completion, Group, Prompt, Score, Task

from .metrics import proportion


@dataclass(frozen=True)
class EvalResult:
    """Accuracy over problems.

    Attributes:
        sampled, sampled_error: avg@n and its standard error, clustered by problem.
        greedy: accuracy of the greedy answer.
        truncated: share of sampled responses that were cut by the length limit.
        unscored: share of responses that no verifier would judge; they count as neither right nor wrong.
        sampled_low, sampled_high: 95 % interval of ``sampled``, clustered by problem; has a width at 0 % and 100 % too.
        judge: who said what is right.
    """

    problems: int
    samples: int
    sampled: float
    sampled_error: float
    greedy: float
    truncated: float
    unscored: float
    mean_length: float
    sampled_low: float = math.nan
    sampled_high: float = math.nan
    judge: str = ""

    measure = "Held-out accuracy"

    @property
    def accuracy(self) -> float:
        return self.sampled

    def as_metrics(self) -> dict[str, float | str]:
        numbers = asdict(self)
        judge = numbers.pop("judge")
        return {f"eval/{name}": float(value) for name, value in numbers.items()} | {"evaluation/judge": judge}

    @property
    def interval(self) -> str:
        """``[low, high]`` in per cent; one problem has none."""
        if math.isnan(self.sampled_low):
            return "[no interval]"
        return f"[{self.sampled_low:.1%}, {self.sampled_high:.1%}]"

    def __str__(self) -> str:
        return (
            f"held-out accuracy {self.sampled:.1%} sampled (avg@{self.samples}, 95 % {self.interval}), {self.greedy:.1%} "
            f"greedy, on {self.problems} problems, judged by {self.judge or 'an unnamed verifier'}"
        )

    def cells(self) -> dict[str, str]:
        """A row of a table, by column."""
        return {
            f"sampled (avg@{self.samples})": f"{self.sampled:.1%} {self.interval}",
            "greedy": f"{self.greedy:.1%}",
            "truncated": f"{self.truncated:.1%}",
            "mean length": f"{self.mean_length:.1f}",
        }

    @classmethod
    def of_metrics(cls, metrics: Mapping[str, Any]) -> EvalResult | None:
        """Read back what `as_metrics` gave; None if it is not there."""
        found = {name: metrics[f"eval/{name}"] for name in (f.name for f in fields(cls)) if f"eval/{name}" in metrics}
        if any(f.default is MISSING and f.name not in found for f in fields(cls)):
            return None
        counts = {name: int(found[name]) for name in ("problems", "samples")}
        return cls(**found | counts, judge=str(metrics.get("evaluation/judge", "")))


@dataclass(frozen=True)
class Judged:
    """One response with the judge's verdict."""

    task: Task
    completion: Completion
    score: Score

    @property
    def right(self) -> bool:
        return self.score.right


def evaluate(
    generator: Generator,
    scorer: Scorer,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    judge: str = "",
) -> tuple[EvalResult, list[Judged]]:
    """Answer every task ``sampling.n`` times and once greedily; return accuracies and the greedy answers.

    Args:
        scorer: its judge says what is right.
        judge: the name of that, for the result.
    """
    sampled = _judge(generator, scorer, tasks, sampling)
    greedy = _judge(generator, scorer, tasks, replace(sampling, n=1, temperature=0.0))
    counted = [[float(j.right) for j in group if j.score.counts] for group in sampled]
    means = [fmean(values) for values in counted if values]
    estimate = proportion(means, sum(map(len, counted)))
    every = [j for group in sampled for j in group]
    greedy_flat = [group[0] for group in greedy]
    greedy_counted = [float(j.right) for j in greedy_flat if j.score.counts]
    result = EvalResult(
        problems=len(tasks),
        samples=sampling.n,
        sampled=estimate.value,
        sampled_error=estimate.error,
        greedy=fmean(greedy_counted) if greedy_counted else math.nan,
        truncated=fmean(float(j.completion.truncated) for j in every),
        unscored=fmean(float(not j.score.counts) for j in every),
        mean_length=fmean(len(j.completion.token_ids) for j in every),
        sampled_low=estimate.low,
        sampled_high=estimate.high,
        judge=judge,
    )
    return result, greedy_flat


def _judge(
    generator: Generator, scorer: Scorer, tasks: Sequence[tuple[Task, Prompt]], sampling: SamplingParams
) -> list[list[Judged]]:
    by_id = {task.id: (task, prompt) for task, prompt in tasks}
    stream = generator.generate(ranks.share([prompt for _, prompt in tasks]), sampling)
    groups = (Group(*by_id[completions[0].task_id], completions) for completions in stream)
    mine = {group.task.id: group for group in scorer.score_groups(groups)}
    scored = ranks.merged(mine, "gathering an evaluation")
    ordered = [scored[task.id] for task, _ in tasks]
    return [
        [Judged(g.task, c, verdict) for c, verdict in zip(g.completions, g.verdicts(), strict=True)] for g in ordered
    ]
