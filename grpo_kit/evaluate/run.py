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
from grpo_kit.types import Prompt, Task

from .judging import answered, judged
from .records import GREEDY, Record
from .summary import summarise


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

    @classmethod
    def of(cls, records: Sequence[Record], judge: str = "") -> EvalResult:
        """Of sampled and greedy answers to each problem, the greedy ones having no part in what is said of samples."""
        found = summarise(records)
        return cls(
            problems=found.problems,
            samples=found.samples,
            sampled=found.avg.value,
            sampled_error=found.avg.error,
            greedy=found.greedy.value,
            truncated=found.truncated,
            unscored=sum(found.unscored.values()) / found.completions,
            mean_length=fmean(len(record.token_ids) for record in records if record.sample != GREEDY),
            sampled_low=found.avg.low,
            sampled_high=found.avg.high,
            judge=judge,
        )

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


def evaluate(
    generator: Generator,
    scorer: Scorer,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    judge: str = "",
) -> tuple[EvalResult, list[Record]]:
    """Answer every task ``sampling.n`` times and once greedily; return accuracies and the greedy answers.

    Args:
        scorer: its judge says what is right.
        judge: the name of that, for the result.
    """
    sampled = _records(generator, scorer, tasks, sampling)
    greedy = _records(generator, scorer, tasks, replace(sampling, n=1, temperature=0.0), greedy=True)
    return EvalResult.of([*sampled, *greedy], judge), greedy


def _records(
    generator: Generator,
    scorer: Scorer,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    *,
    greedy: bool = False,
) -> list[Record]:
    """In the order of the tasks; every rank answers its share, and has the records of all."""
    groups = answered(generator, ranks.shard(list(tasks)), sampling)
    mine = {records[0].id: records for records in judged(groups, scorer, greedy=greedy)}
    found = ranks.all_gather_dict(mine, "gathering an evaluation")
    return [record for task, _ in tasks for record in found[task.id]]
