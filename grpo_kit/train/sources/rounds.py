"""Rounds of sampling: tasks are drawn, answered and scored; with dynamic sampling it takes several to fill a step."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from grpo_kit.data.sampler import Sampler
from grpo_kit.environments.episodes import Episodes
from grpo_kit.errors import RunFailed
from grpo_kit.generate.base import Generator, SamplingParams, sample_seed
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.clock import Clock
from grpo_kit.observe.measure import Measures
from grpo_kit.runtime import ranks
from grpo_kit.scoring import Scorer
from grpo_kit.train.filters import agrees
from grpo_kit.types import Completion, Group, Prompt, Task


@dataclass(frozen=True)
class SamplingSetup:
    """What groups are sampled with.

    Attributes:
        max_refills: rounds beyond the first that dynamic sampling may add to a step.
        episodes: what answers the policy; None where a response is one turn.
    """

    sampler: Sampler
    generator: Generator
    scorer: Scorer
    sampling: SamplingParams
    objective: Algorithm
    max_refills: int
    episodes: Episodes | None = None


class Requests(Protocol):
    """How the completions of a round are asked for.

    Attributes:
        mixes_versions: whether a step's groups may be of several policy versions.
    """

    @property
    def mixes_versions(self) -> bool: ...

    def completions(self, tasks: Sequence[tuple[Task, Prompt]], sampling: SamplingParams) -> Iterator[list[Completion]]:
        """See `Generator.generate`. tasks: prepared, where there are episodes."""

    def before_gathering(self, put_aside: Callable[[], None]) -> None:
        """This rank has sampled and scored its part of a round, and is about to exchange it with the others.

        Args:
            put_aside: to be called before somebody else uses the scorer, who would take what it has counted.
        """


@dataclass
class Round:
    """Tasks that were drawn for a step, and this rank's part of their completions as it comes."""

    tasks: dict[str, tuple[Task, Prompt]]
    sampling: SamplingParams
    stream: Iterator[list[Completion]]


class Rounds:
    """Samples a group for each of the next prompts and scores it; scoring overlaps with generation."""

    def __init__(self, setup: SamplingSetup, requests: Requests, clock: Clock) -> None:
        self.setup, self.requests, self.clock = setup, requests, clock
        self._statistics: dict[str, float] = {}
        self._aside = Measures()  # what the scorer had counted when it was lent

    def begin(self, step: int, count: int, refill: int = 0, drawn: Collection[str] = ()) -> Round:
        """Draw the next ``count`` tasks; fewer where too few are left beside those that are ``drawn``."""
        tasks = {task.id: (task, prompt) for task, prompt in self._draw(count, drawn)}
        # A task met again in a later step must not be answered with the same random numbers.
        name = f"step/{refill}" if refill else "step"
        sampling = replace(self.setup.sampling, seed=sample_seed(self.setup.sampling.seed, name, step))
        return Round(tasks, sampling, self._stream(tasks, sampling))

    def _draw(self, count: int, drawn: Collection[str]) -> list[tuple[Task, Prompt]]:
        """Each rank prepares the episodes that it plays; the others' tasks come back with their groups."""
        pairs = self.setup.sampler.next(count, drawn)
        if self.setup.episodes is None:
            return pairs
        prepared = {task.id: (task, prompt) for task, prompt in self.setup.episodes.prepare(ranks.shard(pairs))}
        return [prepared.get(task.id, (task, prompt)) for task, prompt in pairs]

    def finish(self, step: int, count: int, begun: Round) -> list[Group]:
        """The groups of a step from the first round of it.

        With dynamic sampling, groups whose marks agree are replaced by those of further prompts, for at most
        ``max_refills`` further rounds (DAPO, arXiv:2503.14476, eq. 11); what is missing then is made up for by groups
        that agree, so that a step never shrinks unseen. No task comes twice in a step.
        """
        kept = self._groups(begun)
        if not self.setup.objective.dynamic_sampling:
            return kept
        spare = [g for g in kept if agrees(g)]
        kept = [g for g in kept if not agrees(g)]
        rounds, discarded, drawn = 0, len(spare), set(begun.tasks)
        while len(kept) < count and rounds < self.setup.max_refills:
            rounds += 1
            with self.clock.phase("data"):
                begun = self.begin(step, count - len(kept), rounds, drawn)
            if not begun.tasks:
                break
            drawn |= set(begun.tasks)
            fresh = self._groups(begun)
            agreeing = [g for g in fresh if agrees(g)]
            discarded += len(agreeing)
            spare += agreeing
            kept += [g for g in fresh if not agrees(g)]
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
        if self.setup.objective.needs_greedy:
            sampling = replace(begun.sampling, n=1, temperature=0.0)
            greedy = self._scored(begun.tasks, self._stream(begun.tasks, sampling))
            for group in groups:
                group.greedy = greedy[group.task.id].scores[0]
        self._check_versions(groups)
        self.setup.sampler.observe(groups)
        return groups

    def _stream(self, tasks: dict[str, tuple[Task, Prompt]], sampling: SamplingParams) -> Iterator[list[Completion]]:
        # Groups stay whole on the rank that samples and scores them; then every rank gets to know all of them.
        return self.requests.completions(ranks.shard(list(tasks.values())), sampling)

    def _scored(
        self, tasks: dict[str, tuple[Task, Prompt]], completions: Iterator[list[Completion]]
    ) -> dict[str, Group]:
        stream = self.clock.iterate("generate", completions)
        groups = (Group(*tasks[samples[0].task_id], samples) for samples in stream)
        scored = {g.task.id: g for g in self.clock.iterate("score", self.setup.scorer.score_groups(groups))}
        with self.clock.phase("gather"):
            self.requests.before_gathering(self._put_aside)
            return ranks.all_gather_dict(scored, "gathering the groups of a step")

    def _put_aside(self) -> None:
        self._aside |= self.setup.scorer.statistics()

    def _check_versions(self, groups: list[Group]) -> None:
        if self.requests.mixes_versions:
            return
        current = self.setup.generator.policy_version
        stale = {c.policy_version for g in groups for c in g.completions} - {current}
        if stale:
            raise RunFailed(f"completions of policy versions {sorted(stale)} reached the update of {current}")

    def statistics(self) -> dict[str, float]:
        """Of the steps that were finished since the last call, over all ranks."""
        refills, self._statistics = self._statistics, {}
        aside, self._aside = self._aside, Measures()
        local = aside | self.setup.scorer.statistics() | self.setup.generator.statistics()
        if self.setup.episodes is not None:
            local |= self.setup.episodes.statistics()
        return refills | dict(local.over_ranks("gathering statistics")) | self.setup.sampler.statistics()


def interleaved(groups: list[Group], fillers: list[Group]) -> list[Group]:
    """All groups, the fillers at even distances, so that each update of a batch gets its share of what teaches nothing."""
    total = len(groups) + len(fillers)
    places = {(2 * i + 1) * total // (2 * len(fillers)) for i in range(len(fillers))}
    learned, filling = iter(groups), iter(fillers)
    return [next(filling if place in places else learned) for place in range(total)]
