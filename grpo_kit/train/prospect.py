"""What the answers of a start policy say of the training that would begin with it. Pure numbers; `probe` samples them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from grpo_kit.evaluate.metrics import Estimate, proportion
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.episode_numbers import EpisodeNumbers
from grpo_kit.plan.cpu import Forecast
from grpo_kit.types import RIGHT_UNMARKED, Completion, Group, Score, Task

from .sources.rounds import agrees

TOLERANCE = 1e-9


@dataclass(frozen=True)
class LongestBatch:
    """The longest micro-batch, forwards and backwards.

    Attributes:
        tokens, sequences: what was in it.
        seconds: None where it was not run, ``why`` says so.
        peak: bytes of the device, or of this process on a CPU, with weights and gradients.
        beside: bytes that a run holds besides: the optimizer's moments, a reference.
    """

    tokens: int
    sequences: int
    seconds: float | None = None
    peak: int = 0
    beside: int = 0
    why: str = ""


@dataclass(frozen=True)
class Probed:
    """What the start policy's answers look like.

    Attributes:
        groups: with their scores; of ``asked`` prompts those that there was time for.
        hurried: whether the time was over before all of them had ended, so that the longest are missing.
        group_size: of the recipe; a group here may have fewer samples.
        limit, context: tokens that a response may have, and a prompt with its response.
        teaching: how many groups would move the policy.
        seconds: that sampling and judging took.
        forecast: of the run at these lengths; None on a GPU. ``step_seconds``: of a step, by it or by what was measured.
        warmed: whether the policy went through the recipe's warm start first.
        compares: whether a group teaches by the differences of its rewards.
        least_wrong: how many responses of a group have to be wrong for it to teach.
    """

    groups: list[Group]
    asked: int
    hurried: bool
    group_size: int
    limit: int
    context: int
    teaching: int
    seconds: float
    batch: LongestBatch
    forecast: Forecast | None
    step_seconds: float
    warmed: bool
    compares: bool
    least_wrong: int = 1

    @property
    def samples(self) -> int:
        return len(self.groups[0].completions)

    @property
    def completions(self) -> list[Completion]:
        return [completion for group in self.groups for completion in group.completions]

    @property
    def verdicts(self) -> list[Score]:
        return [verdict for group in self.groups for verdict in group.verdicts()]

    def right(self, groups: Sequence[Group] | None = None) -> Estimate:
        """The pass rate over prompts, an error of the mean with it."""
        shares = [fmean(v) for g in groups or self.groups if (v := [s.right for s in g.verdicts() if s.counts])]
        return proportion(shares)

    @property
    def judged(self) -> float:
        """Share of the responses that have a verdict."""
        return fmean(v.counts for v in self.verdicts)

    @property
    def solved(self) -> float:
        """Share of the prompts with at least one right response."""
        return fmean(any(v.right for v in group.verdicts()) for group in self.groups)

    @property
    def truncated(self) -> float:
        return fmean(c.truncated for c in self.completions)

    @property
    def finished(self) -> int:
        """How many responses ended by themselves and were judged."""
        return sum(v.counts and not c.truncated for c, v in zip(self.completions, self.verdicts, strict=True))

    @property
    def right_of_finished(self) -> float:
        found = [v.right for c, v in zip(self.completions, self.verdicts, strict=True) if v.counts and not c.truncated]
        return fmean(found) if found else math.nan

    @property
    def parts(self) -> list[dict[str, Score]]:
        return [part for group in self.groups for part in group.parts]

    @property
    def unmarked(self) -> float:
        """Share of the responses that mark no answer, though what they say last is right; NaN where no verifier looks."""
        looked = [score.metrics[RIGHT_UNMARKED] for part in self.parts for score in part.values() if _looked(score)]
        return sum(looked) / len(self.completions) if looked else math.nan

    @property
    def unmarked_sets(self) -> set[str]:
        """The data sets that these are of."""
        return {
            data_set_of(group.task)
            for group in self.groups
            for part in group.parts
            for score in part.values()
            if score.metrics.get(RIGHT_UNMARKED)
        }

    @property
    def without_answer(self) -> float:
        """Share of the responses in which the judge found no answer; NaN for one that extracts none."""
        found = [v for v in self.verdicts if v.counts]
        if not any(v.extracted is not None for v in found) and not any(map(_looked, found)):
            return math.nan
        return fmean(v.extracted is None for v in found)

    def reasons(self, most: int = 2) -> list[tuple[str, float]]:
        """Why no answer was found, the most frequent first, each with its share of the responses."""
        said = Counter(
            v.reason.rpartition("; ")[2] for v in self.verdicts if v.counts and v.extracted is None and not v.right
        )
        return [(reason, count / len(self.verdicts)) for reason, count in said.most_common(most) if reason]

    @property
    def lengths(self) -> list[int]:
        return [len(c.token_ids) for c in self.completions]

    @property
    def episodes(self) -> EpisodeNumbers | None:
        return EpisodeNumbers.of(self.completions)

    def likely_to_differ(self, size: int) -> float:
        """Share of the groups of ``size`` expected to hold a right response and as many wrong ones as it takes.

        Each prompt's pass rate is what its samples say with a Beta prior of the weight of one sample around the mean.
        """
        rate = min(1 - 1e-3, max(1e-3, self.right().value))
        found = []
        for group in self.groups:
            marks = [v.right for v in group.verdicts() if v.counts]
            a, b = rate + sum(marks), 1 - rate + len(marks) - sum(marks)
            few = sum(_wrong(a, b, size, wrong) for wrong in range(self.least_wrong))
            found.append(max(0.0, 1.0 - few - _wrong(a, b, size, size)))
        return fmean(found)

    def teaching_share(self, size: int) -> float:
        """Share of the groups of ``size`` expected to teach something.

        A reward may tell apart what the judge calls right or wrong alike: what was seen to differ does so in a larger group too.
        """
        seen = self.teaching / len(self.groups)
        if self.least_wrong > 1 and self.samples < size:  # what a smaller group says of it is something else
            return self.likely_to_differ(size)
        return max(seen, self.likely_to_differ(size)) if self.compares else seen

    def by_data_set(self) -> dict[str, list[Group]]:
        """The groups of each data set, by its name."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault(data_set_of(group.task), []).append(group)
        return found


def data_set_of(task: Task) -> str:
    """The data set that a task is of."""
    return task.data_set or "all"


def _looked(score: Score) -> bool:
    return RIGHT_UNMARKED in score.metrics


def _wrong(a: float, b: float, size: int, wrong: int) -> float:
    """Chance that so many of ``size`` responses are wrong, where the chance to be right has the distribution Beta(a, b)."""
    if wrong > size:
        return 0.0
    right = size - wrong
    beta = math.lgamma(a + right) + math.lgamma(b + wrong) - math.lgamma(a + b + size)
    prior = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.comb(size, wrong) * math.exp(beta - prior)


def least_wrong(objective: Algorithm) -> int:
    """How many wrong responses a group needs: with fewer than a set has, every set of responses succeeds."""
    return objective.set_size if objective.compares_sets else 1


def teaching(groups: Sequence[Group], objective: Algorithm) -> int:
    """How many groups would move the policy; none where all have one reward that is compared with itself."""
    rewards = {round(s.value, 9) for group in groups for s in group.scores if s.counts}
    if objective.compares_over_batch and len(rewards) < 2:
        return 0
    return sum(teaches(group, objective) for group in groups)


def teaches(group: Group, objective: Algorithm) -> bool:
    """Whether a group would move the policy: by differences of its rewards, by what is right in it, or whatever it holds."""
    counted = [s.value for s in group.scores if s.counts]
    if objective.selects:
        return any(mark.right for mark in group.marks())
    if (objective.dynamic_sampling or objective.drop_agreeing) and agrees(group):
        return False
    if objective.compares_sets:
        counted = [float(mark.right) for mark in group.marks() if mark.counts]
        fewest = objective.set_size if len(counted) > objective.set_size else 1
        return 1.0 in counted and counted.count(0.0) >= fewest
    if objective.needs_teacher or not (objective.needs_comparison or objective.learns_from_pairs):
        return bool(counted)
    return len(counted) > 1 and max(counted) - min(counted) > TOLERANCE
