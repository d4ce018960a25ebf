"""Learners of preferences: pairs (DPO, IPO), labelled responses (KTO), and reward models (Bradley-Terry)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from grpo_kit.objective.preference import PAIR_LOSSES, bradley_terry, kto, kto_baseline
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.measure import Measure, Measures
from grpo_kit.policy.dealing import computed, rank_batches, rank_unit_batches
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch, TrainingSequence
from grpo_kit.policy.value_model import ValueModel
from grpo_kit.runtime import ranks
from grpo_kit.types import Group

from .learner import Learned, LearnerSettings, Trained
from .pairs import Labelled, Pair, mine_labels, mine_pairs
from .steps import GradientStep


def ranked_right(chosen: Tensor, rejected: Tensor) -> Tensor:
    """1 where the chosen response is above the rejected one, a half where they are equal: no opinion is chance. [pairs]"""
    return torch.heaviside(chosen - rejected, torch.full_like(chosen, 0.5)).detach()


class PreferenceLearner:
    """What the three kinds share: examples from groups, steps over them, one optimizer.

    Args:
        trained: the network that learns and is saved.
    """

    def __init__(self, trained: Trained, objective: Algorithm, settings: LearnerSettings) -> None:
        self.trained, self.objective, self.settings = trained, objective, settings
        self.step = GradientStep(trained.model, settings.optimizer, settings.total_updates)

    def learn(self, groups: list[Group]) -> Learned:
        dropped: Counter[str] = Counter()
        examples = self.examples(groups, dropped)
        metrics = Measures({"examples": Measure.last(len(examples))})
        self.prepare(examples)
        size = max(1, -(-len(examples) // self.settings.updates_per_batch))
        for _ in range(self.settings.epochs_per_batch):
            for start in range(0, len(examples), size):
                self.update(examples[start : start + size], metrics)
        none = [[0.0] * len(g.completions) for g in groups]
        return Learned(none, dropped, dict(metrics.over_ranks("adding up the metrics of an update")))

    def examples(self, groups: list[Group], dropped: Counter[str]) -> list[Any]:
        raise NotImplementedError

    def prepare(self, examples: list[Any]) -> None:
        """Fill what must be known of the policy before it moves."""

    def update(self, examples: list[Any], metrics: Measures) -> None:
        raise NotImplementedError

    def units(self, units: Sequence[Sequence[TrainingSequence]]) -> Iterator[MicroBatch]:
        return rank_unit_batches(units, self.settings.token_budget, self.trained.device, self.trained.model)

    def forget(self) -> None:
        self.step.forget()

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step.load_state_dict(state["step"])


class _AgainstReference(PreferenceLearner):
    """Learners whose implicit reward is a log-ratio to a reference. Preferences are about text, so temperature is 1."""

    def __init__(self, policy: Policy, objective: Algorithm, settings: LearnerSettings, reference: Policy) -> None:
        super().__init__(policy, objective, settings)
        self.policy, self.reference = policy, reference

    @torch.no_grad()
    def remember_reference(self, sequences: list[TrainingSequence]) -> None:
        batches = rank_batches(sequences, self.settings.token_budget, self.reference.device, self.reference.model)
        purpose = "exchanging reference_logprobs"
        with self.reference.standing():
            found = computed(sequences, batches, lambda b: self.reference.logprobs(b, 1.0), purpose)
        for sequence, (logprobs, _) in found:
            sequence.reference_logprobs = logprobs

    def margins(self, batch: MicroBatch) -> tuple[Tensor, Tensor]:
        """log pi - log reference of each response [rows], and log pi of each token [tokens]."""
        logprobs, _ = self.policy.logprobs(batch, 1.0)
        if not batch.sequences:
            return logprobs, logprobs
        reference = batch.reference_logprobs
        assert reference is not None
        return batch.sum_sequences(logprobs - reference), logprobs


class PairLearner(_AgainstReference):
    """DPO and IPO: the margin of the chosen response over the rejected one."""

    def examples(self, groups: list[Group], dropped: Counter[str]) -> list[Pair]:
        return mine_pairs(groups, self.objective.per_prompt, dropped)

    def prepare(self, examples: list[Pair]) -> None:
        self.remember_reference([s for pair in examples for s in (pair.chosen, pair.rejected)])

    def update(self, examples: list[Pair], metrics: Measures) -> None:
        units = [(pair.chosen, pair.rejected) for pair in examples]
        self.step(self.units(units), partial(self.loss, pairs=len(units)), metrics)

    def loss(self, batch: MicroBatch, metrics: Measures, pairs: int) -> Tensor:
        """This micro-batch's part of the mean loss over the step's ``pairs``; chosen and rejected rows alternate."""
        margins, logprobs = self.margins(batch)
        if not batch.sequences:
            return logprobs.sum()
        chosen, rejected, lengths = margins[0::2], margins[1::2], batch.lengths
        loss = PAIR_LOSSES[self.objective.pair_loss]
        values = loss(chosen, rejected, lengths[0::2], lengths[1::2], self.objective.beta)
        of_rows = batch.sum_sequences(logprobs)
        metrics.means(
            {
                "pairs/accuracy": ranked_right(chosen, rejected),
                "pairs/margin": self.objective.beta * (chosen - rejected),
                "pairs/chosen_logprob": of_rows[0::2],
                "pairs/rejected_logprob": of_rows[1::2],
            }
        )
        return values.sum() / pairs


def mismatched_pairs(sequences: Sequence[TrainingSequence]) -> list[TrainingSequence]:
    """Each response with the prompt of the next sequence that answers another one (KTO, arXiv:2402.01306, section 4.1).

    Paired with their own prompts, responses would measure their own margin in place of the policy's drift. Empty where all
    answer one prompt.
    """
    count = len(sequences)
    prompts = [tuple(s.prompt_ids) for s in sequences]
    pairs, other = [], 0
    for index, sequence in enumerate(sequences):
        other = max(other, index + 1)
        while other < index + count and prompts[other % count] == prompts[index]:
            other += 1
        if other == index + count:
            return []
        prompt, inserted, fresh = prompts[other % count], sequence.inserted, sequence.fresh
        pairs.append(TrainingSequence(prompt, sequence.completion_ids, 0.0, 0.0, inserted=inserted, fresh=fresh))
    return pairs


class LabelLearner(_AgainstReference):
    """KTO: good responses above the policy's own average drift from the reference, bad ones below."""

    def examples(self, groups: list[Group], dropped: Counter[str]) -> list[Labelled]:
        return mine_labels(groups, dropped)

    def prepare(self, examples: list[Labelled]) -> None:
        self.remember_reference([e.sequence for e in examples])

    def update(self, examples: list[Labelled], metrics: Measures) -> None:
        pairs = mismatched_pairs([e.sequence for e in examples])
        self.baseline = self._baseline(pairs)
        metrics.add("kto/baseline", Measure.mean(self.baseline))
        metrics.add("kto/mismatched_pairs", Measure.mean(len(pairs)))
        self.good = {id(e.sequence): e.good for e in examples}
        self._weigh(examples, metrics)
        units = [(e.sequence,) for e in examples]
        self.step(self.units(units), partial(self.loss, responses=len(units)), metrics)

    def _weigh(self, examples: list[Labelled], metrics: Measures) -> None:
        """The share of the weight of all responses that good ones have; a half is even (arXiv:2402.01306, section 4.2)."""
        good = self.objective.good_weight * sum(e.good for e in examples)
        bad = self.objective.bad_weight * sum(not e.good for e in examples)
        if good + bad > 0.0:
            metrics.add("kto/good_share_of_weight", Measure.mean(good / (good + bad)))

    def _baseline(self, mismatched: list[TrainingSequence]) -> Tensor:
        """The drift from the reference, measured on responses to other prompts; 0 where there is no other prompt."""
        self.remember_reference(mismatched)
        with torch.no_grad():
            mine = [self.margins(batch)[0].cpu() for batch in self.units([(s,) for s in mismatched])]
        margins = [m.to(self.policy.device) for part in ranks.all_gather(mine, "the drift of KTO") for m in part]
        return kto_baseline(torch.cat(margins)) if margins else torch.zeros((), device=self.policy.device)

    def loss(self, batch: MicroBatch, metrics: Measures, responses: int) -> Tensor:
        """This micro-batch's part of the mean loss over the step's ``responses``."""
        margins, logprobs = self.margins(batch)
        if not batch.sequences:
            return margins.sum()
        marks = [self.good[id(s)] for s in batch.sequences]
        good = torch.tensor(marks, device=margins.device)
        weight = torch.full_like(margins, self.objective.good_weight).masked_fill(~good, self.objective.bad_weight)
        for name, values in (("margin", margins), ("logprob", batch.sum_sequences(logprobs.detach()))):
            for mark, chosen, count in (("good", good, sum(marks)), ("bad", ~good, len(marks) - sum(marks))):
                if count:  # known on the host: to pick by a mask on the device is to wait for it
                    metrics.add(f"kto/{mark}_{name}", Measure.mean((values.detach() * chosen).sum(), count))
        return (weight * kto(margins, good, self.baseline, self.objective.beta)).sum() / responses


class RewardModelLearner(PreferenceLearner):
    """Bradley-Terry: the score of the chosen response above that of the rejected one, by the margin where one is given.

    ``pairs/accuracy`` is taken before the step, so on data that is met once it is a held-out accuracy.
    """

    def __init__(self, model: ValueModel, objective: Algorithm, settings: LearnerSettings) -> None:
        super().__init__(model, objective, settings)
        self.reward_model = model

    def examples(self, groups: list[Group], dropped: Counter[str]) -> list[Pair]:
        return mine_pairs(groups, self.objective.per_prompt, dropped)

    def update(self, examples: list[Pair], metrics: Measures) -> None:
        units = [(pair.chosen, pair.rejected) for pair in examples]
        self.margin = {id(pair.chosen): pair.margin for pair in examples}
        self.step(self.units(units), partial(self.loss, pairs=len(units)), metrics)

    def loss(self, batch: MicroBatch, metrics: Measures, pairs: int) -> Tensor:
        """This micro-batch's part of the mean loss over the step's ``pairs``; chosen and rejected rows alternate."""
        scores = self.reward_model.rewards(batch)
        if not batch.sequences:
            return scores.sum()
        chosen, rejected = scores[0::2], scores[1::2]
        margin = torch.tensor([self.margin[id(s)] for s in batch.sequences[0::2]]).to(scores)
        metrics.means({"pairs/accuracy": ranked_right(chosen, rejected), "pairs/margin": chosen - rejected})
        return bradley_terry(chosen, rejected, margin).sum() / pairs
