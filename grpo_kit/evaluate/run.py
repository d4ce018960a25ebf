"""Held-out accuracy: sampled (avg@n, with errors clustered by problem) and greedy."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from statistics import fmean
from typing import Any

from grpo_kit.environments.episodes import Episodes
from grpo_kit.generate.base import Generator, SamplingParams
from grpo_kit.runtime import ranks
from grpo_kit.scoring import Scorer
from grpo_kit.types import Group, Prompt, Task

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
        right_unmarked: share of sampled responses that would be right, but mark no answer as one; NaN where nobody looks.
        sets: the same of each data set, where a run has several.
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
    right_unmarked: float = math.nan
    sets: Mapping[str, EvalResult] = field(default_factory=dict)

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
            right_unmarked=found.right_unmarked,
        )

    @property
    def accuracy(self) -> float:
        return self.sampled

    def as_metrics(self) -> dict[str, float | str]:
        numbers = self._numbers("eval/")
        for name, result in self.sets.items():
            numbers |= result._numbers(f"eval/{name}/")
        return numbers | {"evaluation/judge": self.judge}

    def _numbers(self, prefix: str) -> dict[str, float | str]:
        named = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("judge", "sets")}
        if math.isnan(self.right_unmarked):
            del named["right_unmarked"]
        return {f"{prefix}{name}": float(value) for name, value in named.items()}

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
            f"{self._unmarked}{self._of_sets}"
        )

    @property
    def _of_sets(self) -> str:
        parts = [f"{name} {one.sampled:.1%} {one.interval} of {one.problems}" for name, one in self.sets.items()]
        return f"; {', '.join(parts)}" if parts else ""

    @property
    def _unmarked(self) -> str:
        return (
            f"; a further {self.right_unmarked:.1%} would be right, but mark no answer"
            if self.right_unmarked > 0
            else ""
        )

    def cells(self) -> dict[str, str]:
        """A row of a table, by column."""
        of_sets = {name: f"{one.sampled:.1%} {one.interval}" for name, one in self.sets.items()}
        return {
            f"sampled (avg@{self.samples})": f"{self.sampled:.1%} {self.interval}",
            **of_sets,
            "greedy": f"{self.greedy:.1%}",
            "truncated": f"{self.truncated:.1%}",
            "mean length": f"{self.mean_length:.1f}",
        }

    @classmethod
    def of_metrics(cls, metrics: Mapping[str, Any]) -> EvalResult | None:
        """Read back what `as_metrics` gave; None if it is not there."""
        whole = cls._of_numbers(metrics, "eval/")
        if whole is None:
            return None
        names = [m[1] for key in metrics if (m := re.fullmatch(r"eval/([^/]+)/problems", key))]
        parts = {name: part for name in names if (part := cls._of_numbers(metrics, f"eval/{name}/")) is not None}
        return replace(whole, judge=str(metrics.get("evaluation/judge", "")), sets=parts)

    @classmethod
    def _of_numbers(cls, metrics: Mapping[str, Any], prefix: str) -> EvalResult | None:
        known = [f for f in fields(cls) if f.name not in ("judge", "sets")]
        found = {f.name: metrics[f"{prefix}{f.name}"] for f in known if f"{prefix}{f.name}" in metrics}
        if any(f.default is MISSING and f.name not in found for f in known):
            return None
        return cls(**found | {name: int(found[name]) for name in ("problems", "samples")})


def evaluate(
    generator: Generator,
    scorer: Scorer,
    tasks: Sequence[tuple[Task, Prompt]],
    sampling: SamplingParams,
    judge: str = "",
    told: Callable[[float], None] | None = None,
    episodes: Episodes | None = None,
) -> tuple[EvalResult, list[Record]]:
    """Answer every task ``sampling.n`` times and once greedily; return accuracies and the greedy answers.

    Args:
        scorer: its judge says what is right.
        judge: the name of that, for the result.
        told: is told how many completions of ``completions_of`` are there, tokens of those under way included.
        episodes: what answers the policy, turn after turn; None where a response is one turn.
    """
    mine = ranks.shard(list(tasks))
    answering = _Answering(generator, scorer, mine if episodes is None else episodes.prepare(mine), episodes, told)
    order = [task.id for task, _ in tasks]
    sampled = answering.records(order, sampling)
    greedy = answering.records(order, replace(sampling, n=1, temperature=0.0), greedy=True)
    found = EvalResult.of([*sampled, *greedy], judge)
    of_set: dict[str, set[str]] = {}
    for task, _ in tasks:
        of_set.setdefault(task.data_set, set()).add(task.id)
    if set(of_set) == {""}:
        return found, greedy
    parts = {name: [r for r in (*sampled, *greedy) if r.id in ids] for name, ids in of_set.items()}
    return replace(found, sets={name: EvalResult.of(part) for name, part in parts.items()}), greedy


def completions_of(tasks: int, sampling: SamplingParams) -> int:
    """How many completions an evaluation of so many tasks asks of this rank."""
    return len(ranks.shard(list(range(tasks)))) * (sampling.n + 1)


@dataclass
class _Answering:
    """This rank's share of the tasks, answered once for each way of sampling; counts what is finished."""

    generator: Generator
    scorer: Scorer
    tasks: Sequence[tuple[Task, Prompt]]
    episodes: Episodes | None
    told: Callable[[float], None] | None
    finished: int = 0

    def records(self, order: Sequence[str], sampling: SamplingParams, *, greedy: bool = False) -> list[Record]:
        """Of all ranks, in the order of the tasks' ids."""

        def under_way(prompts: float) -> None:
            if self.told is not None:
                self.told(self.finished + prompts * sampling.n)

        def counted(groups: Iterator[Group]) -> Iterator[Group]:
            for group in groups:
                self.finished += len(group.completions)
                under_way(0.0)
                yield group

        groups = answered(self.generator, self.tasks, sampling, under_way, self.episodes)
        mine = {records[0].id: records for records in judged(counted(groups), self.scorer, greedy=greedy)}
        found = ranks.all_gather_dict(mine, "gathering an evaluation")
        return [record for name in order for record in found[name]]
