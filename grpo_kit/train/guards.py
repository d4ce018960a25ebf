"""What must not pass silently: numbers that are not finite are never learned from, nor samples of another policy.

Signs that something else is learned than was meant: `grpo_kit.observe.watch`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.objective.algorithms import Algorithm
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.types import Group

from .learners import Learned, Learner
from .steps import MAX_SKIPPED_IN_A_ROW, NotFinite

RATIO_LIMIT = 10.0
MISMATCH_LIMIT = 0.1  # nats per token; seen two steps before a run that sampled ahead unlearned what it knew
NEAR_ZERO = 1e-2
MOST_DUMPS = 20


class Guard:
    """Stands before and after every update of a run."""

    def __init__(self, run: RunDirectory, warn: Callable[[str], None], say: Callable[[str], None]) -> None:
        self.run, self.warn, self.say = run, warn, say
        self.skipped_in_a_row = 0
        self._said: set[str] = set()

    def learn(self, step: int, groups: list[Group], learner: Learner) -> Learned:
        """Have the learner learn, unless something in the batch is not finite; keep what was skipped.

        Raises:
            RunFailed: nothing finite came for several updates in a row; it names where the batch is kept.
        """
        reason = not_finite(groups)
        if reason is not None:
            none = [[0.0] * len(group.completions) for group in groups]
            learned = Learned(none, Counter({"not_finite": sum(len(a) for a in none)}), {"skipped_updates": 1.0})
        else:
            try:
                learned = learner.learn(groups)
            except NotFinite as error:
                raise RunFailed(f"{error} {self._keep(step, groups, str(error))}") from error
            if any(name.endswith("skipped_updates") and count for name, count in learned.metrics.items()):
                reason = "the loss or its gradient was not finite"
        if reason is None:
            self.skipped_in_a_row = 0
            return learned
        self.skipped_in_a_row = 0 if "grad_norm" in learned.metrics else self.skipped_in_a_row + 1
        kept = self._keep(step, groups, reason)
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise RunFailed(f"nothing could be learned in {self.skipped_in_a_row} steps in a row: {reason}. {kept}")
        self.warn(f"step {step}: an update was skipped: {reason}. {kept}")
        return learned

    def _keep(self, step: int, groups: list[Group], reason: str) -> str:
        if self.run.dumps.is_dir() and len(list(self.run.dumps.glob("*.gz"))) >= MOST_DUMPS:
            return f"{MOST_DUMPS} such batches are kept already, in {self.run.dumps}."
        path = self.run.dump(step, groups, reason)
        if path is None:
            return "The batch could not be written."
        return f"The batch is in {path}; look at it with `grpo-kit replay {self.run.path} --step {step}`."

    def look(self, step: int, metrics: dict[str, Any], objective: Algorithm) -> None:
        """Name signs of trouble, each once, and what to look at."""
        sampled = objective.data == "sampled"
        about_zero = sampled and objective.family == "policy_gradient" and objective.baseline.startswith("group")
        loss = metrics.get("loss")
        updated = "grad_norm" in metrics
        if step == 1 and about_zero and updated and loss is not None and abs(loss) < NEAR_ZERO:
            self.say(
                f"loss {loss:.2g} at the first update is right by construction: every ratio is 1 and advantages cancel "
                "out within a group. The gradient is not zero; reward/mean is what should rise."
            )
        ratio = metrics.get("ratio/max")
        if ratio is not None and (ratio > RATIO_LIMIT or not math.isfinite(ratio)):
            self._once(
                "ratio",
                f"step {step}: an importance ratio reached {ratio:.3g}. Look at mismatch/mean_logprob_difference (does the "
                "engine sample from these weights?), at grad_norm, and at train.updates_per_batch and the learning rate.",
            )
        behind = metrics.get("mismatch/kl")
        if sampled and behind is not None and behind > MISMATCH_LIMIT:
            self._once(
                "mismatch",
                f"step {step}: the policy that sampled is {behind:.2g} nats per token from the one that learns (mismatch/kl). "
                "If it samples ahead, lower rollout.max_staleness or the learning rate, or set objective.correction: "
                "in_ratio, which clips what came since. If not, the engine does not compute this policy: see mismatch/probe.",
            )

    def _once(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self.warn(text)

    def state_dict(self) -> dict[str, Any]:
        return {"skipped_in_a_row": self.skipped_in_a_row}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.skipped_in_a_row = state["skipped_in_a_row"]


def not_finite(groups: list[Group]) -> str | None:
    """What in a batch is not a finite number, or None."""
    for group in groups:
        for completion, score in zip(group.completions, group.scores, strict=True):
            where = f"of sample {completion.sample_index} of task {group.task.id}"
            if not all(map(math.isfinite, completion.logprobs)):
                return f"a log-probability {where} is not finite"
            if score.counts and not math.isfinite(score.value):
                return f"the score {where} is not finite"
    return None


def check_trained(steps: int, trained: int, metrics: Path) -> None:
    """Raises RunFailed where a run came to its end and no update ever moved its weights."""
    if not trained:
        raise RunFailed(
            f"0 of {steps} steps trained: no update ever moved the weights. dropped/* and groups/* in {metrics} say why: groups "
            "that agree teach nothing, and neither do those without scores."
        )
