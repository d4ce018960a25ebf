"""Samplers that go by how many responses to a prompt were right so far: pools of them, and a posterior of each.

Prompts that are always or never answered right teach a group nothing (their advantages are all zero). Which they are is not
known beforehand and changes as the policy does, so what was found counts less with every step.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from grpo_kit.config import CurriculumConfig
from grpo_kit.types import Group, Prompt, Task

from .sampler import TaskSampler
from .source import TaskSource

Array = NDArray[np.float64]
PRIOR = 1.0  # right and wrong responses that a prompt begins with: Beta(1, 1) is uniform
FORGOTTEN = 0.5  # a prompt counts as unseen when less than so much of a response is left of what was found


class Evidence:
    """Right responses and judged ones of every prompt, which count ``decay`` times as much a step later. [prompts]"""

    def __init__(self, prompts: int, settings: CurriculumConfig) -> None:
        self.right: Array = np.zeros(prompts)
        self.seen: Array = np.zeros(prompts)
        self.settings = settings

    def fade(self) -> None:
        """A step has passed."""
        self.right *= self.settings.decay
        self.seen *= self.settings.decay

    def add(self, index: int, right: int, judged: int) -> None:
        self.right[index] += right
        self.seen[index] += judged

    def parameters(self) -> tuple[Array, Array]:
        """Of each prompt's posterior Beta(a, b) of success: prior plus right responses, prior plus wrong ones."""
        return PRIOR + self.right, PRIOR + (self.seen - self.right)

    def pools(self) -> dict[str, NDArray[np.bool_]]:
        """Which prompts are unseen, too hard, too easy, and none of these."""
        known = self.seen >= FORGOTTEN
        rate = np.divide(self.right, self.seen, out=np.zeros_like(self.right), where=known)
        hard, easy = known & (rate <= self.settings.hard), known & (rate >= self.settings.easy)
        return {"unseen": ~known, "hard": hard, "easy": easy, "between": known & ~hard & ~easy}

    def statistics(self) -> dict[str, float]:
        a, b = self.parameters()
        of_pools = {f"curriculum/{name}": float(pool.mean()) for name, pool in self.pools().items()}
        return of_pools | {"curriculum/mean_posterior": float((a / (a + b)).mean())}

    def state_dict(self) -> dict[str, Any]:
        return {"right": self.right.tolist(), "seen": self.seen.tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.right, self.seen = (np.array(state[name], dtype=np.float64) for name in ("right", "seen"))


class CurriculumSampler(TaskSampler):
    """What both have in common: the evidence, which ages with every step and is told what came of the prompts.

    *Right* is what the marks of a group say (`Group.marks`): full marks of who judges, not the reward.
    """

    def __init__(self, source: TaskSource, tokenizer: Any, settings: CurriculumConfig, **options: Any) -> None:
        super().__init__(source, tokenizer, **options)
        assert source.size is not None, "a source without end never gives a prompt twice"
        self.settings, self.evidence = settings, Evidence(source.size, settings)
        self.steps = 0
        self._drawn: dict[str, int] = {}  # index of each task of the step, by its id

    def next(self, count: int, drawn: Collection[str] = ()) -> list[tuple[Task, Prompt]]:
        if not drawn:
            self.steps += 1
            self._drawn = {}
            self.evidence.fade()
        return super().next(count, drawn)

    def _chose(self, index: int, task: Task) -> None:
        self._drawn[task.id] = index

    def observe(self, groups: Sequence[Group]) -> None:
        for group in groups:
            judged = [mark.right for mark in group.marks() if mark.counts]
            self.evidence.add(self._drawn[group.task.id], sum(judged), len(judged))

    def statistics(self) -> dict[str, float]:
        return self.evidence.statistics()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"steps": self.steps} | self.evidence.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """A state that was taken with another sampler has no evidence, and gives its position alone."""
        super().load_state_dict(state)
        self.steps = state.get("steps", 0)
        if "seen" in state:
            self.evidence.load_state_dict(state)


class PoolSampler(CurriculumSampler):
    """The order of `TaskSampler`, in which a prompt that is too easy or too hard has its turn in few epochs.

    Whether it has is drawn from (seed, epoch, prompt) alone. Unseen prompts and those between always have theirs. A step that a
    whole epoch leaves short is filled with the others: its prompts are all different, so no further epoch has more of these.
    """

    def _turns(self) -> Iterator[int]:
        pools = self.evidence.pools()
        left_out = pools["hard"] | pools["easy"]
        for passed, index in enumerate(super()._turns()):
            short = passed >= 2 * len(left_out)  # wherever in its order the step began, a whole epoch lies behind
            if short or not left_out[index] or self._revisits((self.position - 1) // len(left_out), index):
                yield index

    def _revisits(self, epoch: int, index: int) -> bool:
        return random.Random(f"{self.seed}/revisit/{epoch}/{index}").random() < self.settings.revisit


class ThompsonSampler(CurriculumSampler):
    """Draws a success of each prompt from its posterior, and takes the prompts whose draw is nearest to the target.

    A prompt is so taken with the probability that its success is nearest to the target, as far as is known: those that lie
    there, and now and then one of which little is known. "Can Prompt Difficulty be Online Predicted for Accelerating RL
    Finetuning of Reasoning Models?" (MoPPS, arXiv:2507.04632) has Beta(1, 1), adds right and wrong responses, and takes those of
    smallest (draw - 1/2)^2. There the evidence of a prompt fades when the prompt is drawn again; here it does with every
    step, or a prompt that once was too hard would be left out however much was learned since.
    """

    def _turns(self) -> Iterator[int]:
        self.position += 1
        # One draw for each call, so that what is drawn in a step's further rounds is new.
        drawn = np.random.default_rng([self.seed, self.position]).beta(*self.evidence.parameters())
        yield from np.argsort(np.abs(drawn - self.settings.target), kind="stable").tolist()
