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
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.types import Group

from .learner import Learned, Learner
from .steps import MAX_SKIPPED_IN_A_ROW, NotFinite

RATIO_LIMIT = 10.0
MISMATCH_LIMIT = 0.1  # nats per token; seen two steps before a run that sampled ahead unlearned what it knew
NEAR_ZERO = 1e-2
MOST_DUMPS = 20
FULL_BOUND = 0.2  # of the tokens clipped before a policy has moved: a bound that noise fills
UNEVEN = 2.0  # times the weight of the other label; KTO's authors keep within 4/3 (arXiv:2402.01306, section 4.2)
LABELS_SEEN = 32  # responses before an uneven share of them is more than chance


class Guard:
    """Stands before and after every update of a run."""

    def __init__(self, run: RunDirectory, warn: Callable[[str], None], say: Callable[[str], None]) -> None:
        self.run, self.warn, self.say = run, warn, say
        self.skipped_in_a_row = 0
        self.bound_looked_at = False
        self.labels, self.good_weight = (
            0.0,
            0.0,
        )  # responses with a label so far, and the good ones' share of the weight
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
        sampled = not objective.recorded
        about_zero = sampled and objective.cancels_in_groups
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
                "If it samples ahead or replays, lower rollout.max_staleness, replay.max_age or the learning rate, or set "
                "objective.correction: in_ratio, which clips what came since. If not, the engine does not compute this policy: "
                "see mismatch/probe.",
            )

        self._look_at_the_bound(step, metrics)
        if objective.learns_from_labels:
            self._look_at_labels(step, metrics, objective)

    def _look_at_the_bound(self, step: int, metrics: dict[str, Any]) -> None:
        """At the first update of a run no policy has moved: what is clipped there is rounding, or samples of another one."""
        if self.bound_looked_at or "clip/high" not in metrics:
            return
        self.bound_looked_at = True
        clipped = metrics.get("clip/unmoved", metrics["clip/high"] + metrics.get("clip/low", 0.0))
        if clipped > FULL_BOUND:
            self._once(
                "bound",
                f"step {step}: {clipped:.0%} of the tokens are clipped at the first update, before the policy has moved: the "
                "difference between the engine and the trainer (mismatch/*) fills the bound of the ratio, and these tokens "
                "teach nothing. Set objective.correction to truncated, which keeps the ratio to the trainer's own "
                "policy, or widen objective.clip_low and clip_high.",
            )

    def _look_at_labels(self, step: int, metrics: dict[str, Any], objective: Algorithm) -> None:
        if metrics.get("kto/mismatched_pairs") == 0.0 and metrics.get("examples", 0.0):
            self._once(
                "one_prompt",
                f"step {step}: every response of this step answers one prompt, so KTO's reference point, which is measured on "
                "responses to other prompts, is 0. Raise rollout.prompts_per_step, or lower train.updates_per_batch.",
            )
        share, count = metrics.get("kto/good_share_of_weight"), metrics.get("examples", 0.0)
        if share is None or not count:
            return
        self.labels += count
        self.good_weight += (share - self.good_weight) * count / self.labels
        good, bad = self.good_weight, 1.0 - self.good_weight
        if self.labels >= LABELS_SEEN and max(good, bad) > UNEVEN * min(good, bad):
            self._once(
                "uneven",
                f"step {step}: good responses have {good:.0%} of the weight and bad ones {bad:.0%}, over {self.labels:.0f} "
                "responses: the fewer are hardly heard. Set objective.good_weight and objective.bad_weight (now "
                f"{objective.good_weight:g} and {objective.bad_weight:g}) so that weight times number is about equal.",
            )

    def _once(self, kind: str, text: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            self.warn(text)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """state: of a checkpoint; one from before a run's labels were counted begins to count."""
        for name in _STATE:
            setattr(self, name, state.get(name, getattr(self, name)))


_STATE = ("skipped_in_a_row", "bound_looked_at", "labels", "good_weight")


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
