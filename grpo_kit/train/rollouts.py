"""Where a step's groups come from: sampled from the policy and scored, or read from a record."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from grpo_kit.data.sampler import TaskSampler
from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import Generator, SamplingParams, sample_seed
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.clock import Clock
from grpo_kit.runtime import ranks
from grpo_kit.scoring import Scorer
from grpo_kit.types import Completion, Group, Prompt, Score, Task

AGREEMENT = 1e-9
Generate = Callable[[Sequence[Prompt], SamplingParams], Iterator[list[Completion]]]


class GroupSource(Protocol):
    """Scored groups, a step at a time; the groups of a step depend on the step and the policy alone.

    ``recorded`` says that they stand in a file already and need not be logged again.
    """

    recorded: bool

    def next(self, step: int, count: int) -> list[Group]: ...

    def statistics(self) -> dict[str, float]:
        """What is worth logging of the last step."""


@dataclass
class Round:
    """Tasks that were drawn for a step, and this rank's part of their completions as it comes."""

    tasks: dict[str, tuple[Task, Prompt]]
    sampling: SamplingParams
    stream: Iterator[list[Completion]]


class SampledGroups:
    """Samples a group for each of the next prompts and scores it; scoring overlaps with generation.

    Attributes:
        generate: gives the completions of prompts; the generator's own, unless somebody samples ahead.
        before_gathering: called when this rank has sampled and scored its part of a round.
    """

    recorded = False

    def __init__(
        self,
        sampler: TaskSampler,
        generator: Generator,
        scorer: Scorer,
        sampling: SamplingParams,
        objective: Algorithm,
        clock: Clock,
        max_refills: int,
    ) -> None:
        self.sampler, self.generator, self.scorer, self.sampling = sampler, generator, scorer, sampling
        self.objective, self.clock, self.max_refills = objective, clock, max_refills
        self.generate: Generate = lambda prompts, sampling: self.generator.generate(prompts, sampling)
        self.before_gathering: Callable[[], None] = lambda: None
        self.may_mix_versions = False  # a step's groups then need not be of one policy version
        self._statistics: dict[str, float] = {}

    def next(self, step: int, count: int) -> list[Group]:
        """``count`` groups, all freshly sampled.

        With dynamic sampling, groups whose marks agree are replaced by those of further prompts, for at most
        ``max_refills`` further rounds (DAPO, arXiv:2503.14476, eq. 11); what is missing then is made up for by groups
        that agree, so that a step never shrinks unseen. No task comes twice in a step.
        """
        with self.clock.phase("data"):
            begun = self.begin(step, count)
        return self.finish(step, count, begun)

    def begin(self, step: int, count: int, refill: int = 0, drawn: Collection[str] = ()) -> Round:
        """Draw the next ``count`` tasks; fewer where too few are left beside those that are ``drawn``."""
        tasks = {task.id: (task, prompt) for task, prompt in self.sampler.next(count, drawn)}
        # A task met again in a later step must not be answered with the same random numbers.
        name = f"step/{refill}" if refill else "step"
        sampling = replace(self.sampling, seed=sample_seed(self.sampling.seed, name, step))
        return Round(tasks, sampling, self._stream(tasks, sampling))

    def finish(self, step: int, count: int, begun: Round) -> list[Group]:
        """The groups of a step from the first round of it. See `next`."""
        kept = self._groups(begun)
        if not self.objective.dynamic_sampling:
            return kept
        spare = [g for g in kept if _agrees(g)]
        kept = [g for g in kept if not _agrees(g)]
        rounds, discarded, drawn = 0, len(spare), set(begun.tasks)
        while len(kept) < count and rounds < self.max_refills:
            rounds += 1
            with self.clock.phase("data"):
                begun = self.begin(step, count - len(kept), rounds, drawn)
            if not begun.tasks:
                break
            drawn |= set(begun.tasks)
            fresh = self._groups(begun)
            agreeing = [g for g in fresh if _agrees(g)]
            discarded += len(agreeing)
            spare += agreeing
            kept += [g for g in fresh if not _agrees(g)]
        filled = spare[: count - len(kept)]
        thrown = sum(len(c.token_ids) for g in spare[len(filled) :] for c in g.completions)
        self._statistics = {
            "refill/rounds": float(rounds),
            "refill/discarded_groups": float(discarded - len(filled)),
            "refill/agreeing_groups_used": float(len(filled)),
            "refill/discarded_tokens": float(thrown),
        }
        return interleaved(kept, filled)

    def _groups(self, begun: Round) -> list[Group]:
        scored = self._scored(begun.tasks, begun.stream)
        groups = [scored[task] for task in begun.tasks]
        if self.objective.needs_greedy:
            sampling = replace(begun.sampling, n=1, temperature=0.0)
            greedy = self._scored(begun.tasks, self._stream(begun.tasks, sampling))
            for group in groups:
                group.greedy = greedy[group.task.id].scores[0]
        self._check_versions(groups)
        return groups

    def _stream(self, tasks: dict[str, tuple[Task, Prompt]], sampling: SamplingParams) -> Iterator[list[Completion]]:
        # Groups stay whole on the rank that samples and scores them; then every rank gets to know all of them.
        return self.generate(ranks.share([prompt for _, prompt in tasks.values()]), sampling)

    def _scored(
        self, tasks: dict[str, tuple[Task, Prompt]], completions: Iterator[list[Completion]]
    ) -> dict[str, Group]:
        stream = self.clock.iterate("generate", completions)
        groups = (Group(*tasks[samples[0].task_id], samples) for samples in stream)
        scored = {g.task.id: g for g in self.clock.iterate("score", self.scorer.score_groups(groups))}
        with self.clock.phase("gather"):
            self.before_gathering()
            return ranks.merged(scored, "gathering the groups of a step")

    def _check_versions(self, groups: list[Group]) -> None:
        if self.may_mix_versions:
            return
        current = self.generator.policy_version
        stale = {c.policy_version for g in groups for c in g.completions} - {current}
        if stale:
            raise RunFailed(f"completions of policy versions {sorted(stale)} reached the update of {current}")

    def statistics(self) -> dict[str, float]:
        found, self._statistics = self._statistics, {}
        local = self.scorer.statistics() | self.generator.statistics()
        return found | dict(local.over_ranks("gathering statistics"))


def interleaved(groups: list[Group], fillers: list[Group]) -> list[Group]:
    """All groups, the fillers at even distances, so that each update of a batch gets its share of what teaches nothing."""
    total = len(groups) + len(fillers)
    places = {(2 * i + 1) * total // (2 * len(fillers)) for i in range(len(fillers))}
    learned, filling = iter(groups), iter(fillers)
    return [next(filling if place in places else learned) for place in range(total)]


def _agrees(group: Group) -> bool:
    """Whether the judge marks all responses alike (DAPO, eq. 11: all of them right, or none).

    The reward is not what is compared: a punishment for length would keep groups that differ in nothing else. It decides
    only where a group has no marks to compare.
    """
    values = list(_counted(group.marks()))
    if len(values) < 2:
        values = list(_counted(group.scores))
    return len(values) < 2 or max(values) - min(values) < AGREEMENT


def _counted(scores: list[Score]) -> Iterator[float]:
    return (s.value for s in scores if s.counts)
