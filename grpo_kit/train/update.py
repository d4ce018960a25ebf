"""The policy-gradient update: logprobs -> ratio -> surrogate (+ KL, entropy) -> weighted sum -> one optimizer step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.correction import CORRECTIONS, LEVELS, REJECTIONS, Mismatch, spread, without_overflow
from grpo_kit.objective.kl import KL_ESTIMATORS, k3
from grpo_kit.objective.losses import RATIO_LEVELS
from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.surrogates import SURROGATES
from grpo_kit.objective.tokens import clip_cov, covariance, entropy_limit, kl_cov
from grpo_kit.observe.clock import phase
from grpo_kit.observe.measure import Measure, Measures, read
from grpo_kit.policy.dealing import computed, rank_batches
from grpo_kit.policy.flops import Work
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.runtime import ranks

from .adaptive import Adaptive
from .critic import CriticUpdater
from .steps import GradientStep
from .teacher import watch_teacher
from .trust_region import TrustRegionStep


class PolicyUpdater:
    """Turns weighted sequences into better weights. Knows no algorithm by name.

    Args:
        reference: the frozen policy of the KL term, or the teacher; needed only when ``objective.needs_reference``.
        critic: needed only when ``objective.needs_critic``; learns beside the policy.
        total_updates: optimizer steps that the policy takes in the whole run, for its schedule.
        critic_warmup: batches on which only the critic learns.
    """

    def __init__(
        self,
        policy: Policy,
        objective: Algorithm,
        config: OptimizerConfig,
        *,
        total_updates: int,
        token_budget: int,
        temperature: float,
        reference: Policy | None = None,
        critic: CriticUpdater | None = None,
        critic_warmup: int = 0,
    ) -> None:
        if objective.needs_reference and reference is None:
            raise ValueError("a KL term or a teacher needs a reference policy")
        if objective.needs_critic and critic is None:
            raise ValueError("the baseline critic needs a critic")
        self.policy, self.objective, self.reference, self.critic = policy, objective, reference, critic
        self.token_budget, self.temperature, self.critic_warmup = token_budget, temperature, critic_warmup
        self.step: GradientStep | TrustRegionStep
        if objective.natural_gradient:
            self.step = TrustRegionStep(policy, objective.trust_region, temperature)
        else:
            self.step = GradientStep(policy.model, config, total_updates)
        self.adaptive = Adaptive.of(objective)
        self.work, self.flops = Work.of(policy.model), 0.0
        self.reference_work = self.work if reference is None else Work.of(reference.model)
        self.unmoved = True  # no optimizer step of the present batch was taken yet

    def update(self, updates: list[list[TrainingSequence]], epochs: int = 1) -> Measures:
        """Train on a batch: each of ``updates`` is one optimizer step, the whole repeated ``epochs`` times.

        Returns:
            The metrics of all ranks.
        """
        metrics = Measures()
        sequences = [s for update in updates for s in update]
        # Later steps of this batch meet a policy that has moved, so the one that sampled must be remembered.
        with phase("update/logprob"):
            self.annotate(sequences, several_updates=len(updates) * epochs > 1)
        for number, update in enumerate(updates):
            self._choose_tokens(update, number, metrics)
        if self.critic is not None:
            self.critic.update(updates, epochs, metrics)
        warming = self.adaptive.batches < self.critic_warmup
        if self.critic is not None:
            metrics.add("critic/warmup", Measure.mean(float(warming)))
        if not warming:
            self.unmoved = True
            for _ in range(epochs):
                for update in updates:
                    self.optimizer_step(update, metrics)
                    self.unmoved = self.unmoved and not update
        metrics.add("update/flops", Measure.sum(self.flops))
        self.flops = 0.0
        metrics = metrics.over_ranks("adding up the metrics of an update")
        self._adapt(sequences, metrics)
        return metrics

    def annotate(self, sequences: list[TrainingSequence], several_updates: bool = False) -> None:
        """Fill what the objective reads of the policy that sampled, the reference and the critic, where it is missing."""
        objective = self.objective
        old = (
            several_updates
            or objective.kl_in_reward
            or objective.chooses_tokens
            or objective.teaches_tokens
            or objective.penalty_target is not None
            or objective.natural_gradient
        )
        if old:
            missing = [s for s in sequences if s.old_logprobs is None]
            for sequence, (logprobs, entropies) in self.passed(missing, self.policy, "exchanging old_logprobs"):
                sequence.old_logprobs, sequence.entropies = logprobs, entropies
        if self.reference is not None and objective.reads_reference:
            missing = [s for s in sequences if s.reference_logprobs is None]
            with self.reference.standing():
                found = self.passed(missing, self.reference, "exchanging reference_logprobs")
            for sequence, (logprobs, _) in found:
                sequence.reference_logprobs = logprobs
        if self.critic is not None:
            self.critic.annotate([s for s in sequences if s.values is None])

    def _batches(self, sequences: list[TrainingSequence]) -> Iterator[MicroBatch]:
        return rank_batches(sequences, self.token_budget, self.policy.device, self.policy.model)

    @torch.no_grad()
    def passed(
        self, sequences: list[TrainingSequence], policy: Policy, purpose: str
    ) -> list[tuple[TrainingSequence, tuple[Tensor, ...]]]:
        """Each sequence with the policy's log-probabilities [tokens] and entropies [tokens] of its completion."""
        work = self.reference_work if policy is self.reference else self.work

        def compute(batch: MicroBatch) -> tuple[Tensor, Tensor]:
            self.flops += work.forward(batch.passed, batch.attention_pairs)
            return policy.logprobs(batch, self.temperature)

        batches = rank_batches(sequences, self.token_budget, policy.device, policy.model)
        return computed(sequences, batches, compute, purpose)

    def _choose_tokens(self, sequences: list[TrainingSequence], number: int, metrics: Measures) -> None:
        """Tell the tokens of a step apart, over all its sequences, before it is taken.

        Only those of highest entropy carry its gradient (arXiv:2506.01939); those of high covariance do not, or pay for moving.
        """
        objective = self.objective
        sequences = [s for s in sequences if len(s.completion_ids)]  # what says nothing was passed through no policy
        if not objective.chooses_tokens or not sequences:
            return
        if objective.entropy_share < 1.0:
            entropies = [s.entropies for s in sequences if s.entropies is not None]
            limit = entropy_limit(torch.cat(entropies).float(), objective.entropy_share)
            for sequence, values in zip(sequences, entropies, strict=True):
                sequence.token_mask = values.float() >= limit
        if not objective.holds_back_tokens:
            return
        found = covariance(*self._old_and_advantages(sequences))
        share = objective.covariance_share
        if objective.penalises_tokens:
            chosen = kl_cov(found, share)
        else:
            seed = self.adaptive.batches * 1000 + number
            chosen = ~clip_cov(found, share, objective.covariance_low, objective.covariance_high, seed)
        metrics.add("tokens/held_back", Measure.mean(float(chosen.sum()), chosen.numel()))
        metrics.add("tokens/covariance", Measure.mean(float(found.sum()), found.numel()))
        for sequence, held in zip(sequences, chosen.split([len(s.completion_ids) for s in sequences]), strict=True):
            if objective.penalises_tokens:
                sequence.penalised = held
            else:
                sequence.token_mask = ~held if sequence.token_mask is None else sequence.token_mask & ~held

    def _old_and_advantages(self, sequences: list[TrainingSequence]) -> tuple[Tensor, Tensor]:
        """Log-probabilities at the start of the batch and advantages of all tokens of a step, float64 on the host."""
        old, advantages = [], []
        for s in sequences:
            assert s.old_logprobs is not None
            old.append(s.old_logprobs.double().cpu())
            own = (
                torch.full_like(old[-1], s.advantage)
                if s.token_advantages is None
                else s.token_advantages.double().cpu()
            )
            advantages.append(own)
        return torch.cat(old), torch.cat(advantages)

    def optimizer_step(self, sequences: list[TrainingSequence], metrics: Measures) -> None:
        self.step(self._batches(sequences), self.loss, metrics)

    def loss(self, batch: MicroBatch, metrics: Measures) -> Tensor:
        """This micro-batch's part of the loss of the step, a scalar."""
        objective = self.objective
        logprobs, entropies, divergences = self._passed_with_gradient(batch)
        if not batch.sequences:
            return logprobs.sum()  # nothing, with the gradient that the other ranks wait for
        remembered = batch.old_logprobs
        old_logprobs = logprobs.detach() if remembered is None else remembered
        weight, since = self._correction(batch, logprobs.detach(), old_logprobs, metrics)
        log_ratio = RATIO_LEVELS[objective.ratio_level](logprobs, since, batch.sequence_index)
        mask = batch.token_mask
        carried = weight if mask is None else weight * mask
        if objective.rejects or mask is not None:
            log_ratio = without_overflow(log_ratio, carried)
        adapted = objective.model_copy(update={"penalty": self.adaptive.penalty})
        surrogate = SURROGATES[objective.surrogate](
            logprobs, log_ratio, batch.advantages, batch.sequence_index, adapted
        )
        token_loss = surrogate.loss * carried
        token_loss = token_loss + self._penalties(batch, logprobs - since, metrics)
        token_loss = token_loss + self._reference_kl(batch, logprobs, since, weight, metrics)
        token_loss = token_loss + self._teacher(batch, old_logprobs, divergences, metrics)
        low, high = surrogate.clipped_low, surrogate.clipped_high
        metrics.means({"entropy": entropies, "clip/low": low.float(), "clip/high": high.float()})
        if self.unmoved:  # what its samples brought, not what the batch moved
            metrics.means({"clip/unmoved": (low | high).float()})
        ratio = log_ratio.detach().exp()
        metrics.add("ratio/max", Measure.max(ratio.max()))
        metrics.add("ratio/min", Measure.min(ratio.min()))
        loss = (token_loss * batch.weights).sum()
        if self.adaptive.bonus > 0.0:
            # The mean over the tokens of the step, whatever the aggregation: a coefficient means the same in every row.
            counted = entropies if mask is None else entropies * mask
            loss = loss - self.adaptive.bonus * (counted * batch.entropy_weights).sum()
        return loss

    def _penalties(self, batch: MicroBatch, log_ratio: Tensor, metrics: Measures) -> Tensor:
        """What moving a token from the old policy costs beside the surrogate. [tokens], as log_ratio is."""
        objective, found = self.objective, torch.zeros_like(log_ratio)
        if objective.ratio_penalty > 0.0:  # of prime-rl's default loss, as Kimi K2.5's
            squared = log_ratio.square()
            metrics.means({"ratio/squared_log": squared})
            found = objective.ratio_penalty * squared
        if (held := batch.penalised) is not None:
            found = found + objective.covariance_penalty * log_ratio.abs() * held
        return found

    def _passed_with_gradient(self, batch: MicroBatch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Log-probabilities, entropies, and the reverse KL to the teacher where it is in the loss: [tokens] each."""
        objective = self.objective
        self.flops += 3.0 * self.work.forward(batch.passed, batch.attention_pairs)
        if not objective.teaches_distributions:
            return *self.policy.logprobs(batch, self.temperature, self.adaptive.bonus > 0.0), None
        assert self.reference is not None
        self.flops += self.reference_work.forward(batch.passed, batch.attention_pairs)
        return self.policy.logprobs_against(batch, self.reference, self.temperature, self.adaptive.bonus > 0.0)

    def _teacher(
        self, batch: MicroBatch, old_logprobs: Tensor, divergences: Tensor | None, metrics: Measures
    ) -> Tensor | float:
        """The teacher's term of the loss [tokens]; 0 where it has given advantages, which is measured here."""
        if not self.objective.needs_teacher:
            return 0.0
        teacher = batch.reference_logprobs
        if divergences is not None:
            watch_teacher(metrics, divergences.detach(), teacher)
            return self.objective.teacher_weight * divergences
        assert teacher is not None
        watch_teacher(metrics, old_logprobs - teacher, teacher)
        return 0.0

    def _reference_kl(
        self, batch: MicroBatch, logprobs: Tensor, since: Tensor, weight: Tensor | float, metrics: Measures
    ) -> Tensor | float:
        """The KL term of the loss [tokens]; 0 where it stands in the reward, which only measures it here.

        Args:
            since, weight: as `_correction` gives them.
        """
        reference = batch.reference_logprobs
        if reference is None or self.adaptive.beta == 0.0:
            return 0.0
        kl = KL_ESTIMATORS[self.objective.kl_estimator](logprobs, reference)
        metrics.means({"kl/reference": kl})
        # DeepSeek-V3.2, arXiv:2512.02556, eq. 7: tokens of the old policy, a KL of the new
        if self.objective.kl_weighted:
            ratio = without_overflow(logprobs - since, weight).exp()
            # Of what is rejected the bounded ratio is no weight of the policy: it would be the whole of the update.
            kl = kl * (ratio if isinstance(weight, float) else torch.where(weight > 0.0, ratio, 0.0))
        return self.adaptive.beta * kl if self.objective.kl_in_loss else 0.0

    def _correction(
        self, batch: MicroBatch, logprobs: Tensor, old_logprobs: Tensor, metrics: Measures
    ) -> tuple[Tensor | float, Tensor]:
        """The weight of each token [tokens], 0 where it is rejected, and the log-probabilities that its ratio is taken to.

        Records how far the engine that sampled is from ``old_logprobs``, the trainer's own at the start of the batch:
        [tokens], without gradient, as ``logprobs``, which are those of now.
        """
        engine, objective = batch.behaviour_logprobs, self.objective
        if engine is None:
            return 1.0, old_logprobs  # demonstrations were sampled by nobody
        log_weight = old_logprobs - engine
        at_level = LEVELS[objective.correction_level](log_weight, batch.sequence_index)
        weight = CORRECTIONS[objective.correction](at_level, objective.correction_cap)
        capped = (at_level > math.log(objective.correction_cap)).float()
        metrics.means({"correction/weight": weight, "correction/capped": capped})
        metrics.means({"mismatch/mean_logprob_difference": log_weight.abs(), "mismatch/kl": k3(engine, old_logprobs)})
        metrics.means(
            {"mismatch/chi2": spread(log_weight), "mismatch/chi2_response": spread(batch.sum_sequences(log_weight))}
        )
        metrics.add("mismatch/max_logprob_difference", Measure.max(log_weight.abs().max()))
        if objective.rejects:
            seen = Mismatch(log_weight, engine - logprobs, batch.advantages, batch.sequence_index)
            kept = REJECTIONS[objective.rejection](seen, objective)
            touched = batch.sum_sequences((~kept).to(log_weight.dtype)) > 0
            metrics.means({"correction/rejected": (~kept).float(), "correction/rejected_responses": touched.float()})
            weight = weight * kept
        return weight, engine if objective.ratio_to_engine else old_logprobs

    def _adapt(self, sequences: list[TrainingSequence], metrics: Measures) -> None:
        objective, adaptive = self.objective, self.adaptive
        to_old = None
        if objective.penalty_target is not None and sequences:
            to_old = self._moved(sequences)
            metrics.add("kl/old", Measure.mean(to_old))
        if objective.uses_penalty:
            metrics.add("penalty", Measure.last(adaptive.penalty))
        if objective.kl_target is not None:
            metrics.add("beta", Measure.last(adaptive.beta))
        if objective.entropy_target is not None:
            metrics.add("entropy_bonus", Measure.last(adaptive.bonus))
        adaptive.see_kl(objective, metrics.get("kl/reference"), to_old)
        adaptive.see_entropy(objective, metrics.get("entropy"))
        adaptive.batches += 1

    @torch.no_grad()
    def _moved(self, sequences: list[TrainingSequence]) -> float:
        """Mean KL(old || new) per token after the update, from the tokens that the old policy sampled."""
        parts: list[Tensor] = []
        count = 0
        for batch in self._batches(sequences):
            logprobs, _ = self.policy.logprobs(batch, self.temperature)
            old = batch.old_logprobs
            if old is not None:
                parts.append(k3(old, logprobs).sum())
                count += logprobs.numel()
        total, all_tokens = ranks.all_reduce_sum([sum(read(parts)), count], "measuring how far the policy moved")
        return total / max(1.0, all_tokens)

    def state_dict(self) -> dict[str, Any]:
        state = {"step": self.step.state_dict(), "adaptive": self.adaptive.state_dict()}
        return state if self.critic is None else state | {"critic": self.critic.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step.load_state_dict(state["step"])
        self.adaptive.load_state_dict(state["adaptive"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
