"""From scored groups to weighted training sequences: advantages, the gate, the denominators."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import fmean

import torch
from torch import Tensor

from grpo_kit.objective.advantages import BASELINES, SCALES, Rewards, compute_advantages, weigh_signs
from grpo_kit.objective.kl import KL_ESTIMATORS
from grpo_kit.objective.losses import sequence_weights
from grpo_kit.objective.returns import generalised_advantages, reward_to_go, token_rewards, whiten
from grpo_kit.objective.rewards import COMBINES, SHAPES
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.measure import read
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.types import Completion, Group

from .adaptive import Adaptive
from .conversations import conversation_metrics
from .filters import agrees
from .teacher import teach

ZERO_ADVANTAGE = 1e-9


@dataclass
class TrainingBatch:
    """What one rollout gives to the optimizer.

    Attributes:
        updates: the sequences of each optimizer step.
        advantages: [groups][samples], for the rollout log; the mean over tokens where each has its own.
        dropped: sequences that take no part in the loss, counted by reason.
    """

    updates: list[list[TrainingSequence]]
    advantages: list[list[float]]
    dropped: Counter[str]

    @property
    def sequences(self) -> list[TrainingSequence]:
        return [sequence for update in self.updates for sequence in update]


@dataclass(slots=True)
class Sample:
    """One completion on its way from the group to the update: ``reward`` is what it is compared by, if it counts.

    ``turns``: what of the reward was paid at the end of a turn, for returns per token. ``left_out``: why it does not count
    although it was scored.
    """

    sequence: TrainingSequence
    reward: float
    counts: bool
    turns: list[tuple[int, float]] = field(default_factory=list)
    left_out: str | None = None

    def leave_out(self, reason: str) -> None:
        if self.counts:
            self.counts, self.left_out = False, reason


def build_batch(
    groups: list[Group],
    objective: Algorithm,
    *,
    max_tokens: int,
    updates: int = 1,
    adaptive: Adaptive | None = None,
    samples: list[list[Sample]] | None = None,
) -> TrainingBatch:
    """Compare each completion with its group, and give every token its weight in the loss of its optimizer step.

    A completion whose verifier abstained or failed is left out of the baseline, the loss and the denominators. One whose
    advantage is zero counts in the denominators but is not sent through the model when nothing in the objective could
    give it a gradient: the loss is the same, the work is not.

    Args:
        adaptive: the numbers carried between batches; by default those of a first batch.
        samples: of `samples_of`, with the log-probabilities and values that the objective's advantages are made of.
    """
    adaptive = adaptive or Adaptive.of(objective)
    dropped: Counter[str] = Counter()
    samples = samples_of(groups) if samples is None else samples
    _filter_and_shape(groups, samples, objective)
    counted = any(s.counts for group in samples for s in group)
    if objective.kl_in_reward and not objective.per_token:
        compared = [s for group in samples for s in group if s.counts and len(s.sequence.completion_ids)]
        divergences = read([_kl_to_reference(s.sequence, objective).sum() for s in compared])
        for sample, divergence in zip(compared, divergences, strict=True):
            sample.reward -= adaptive.beta * divergence
    _fill_advantages(groups, samples, objective, adaptive)
    if objective.teaches_tokens:
        teach((s.sequence for g in samples for s in g if s.counts and len(s.sequence.completion_ids)), objective)
    elif objective.needs_teacher:
        _weigh_rewards(samples, objective.reward_weight)
    parts, size = [], -(-len(groups) // updates)
    for start in range(0, len(groups), size):
        parts.append(
            _weighted(groups, samples, range(start, min(start + size, len(groups))), objective, max_tokens, dropped)
        )
    if counted:
        adaptive.see_reward(fmean(s.reward for g in samples for s in g if s.counts), objective.average_decay)
    return TrainingBatch(parts, [[_shown(s) for s in group] for group in samples], dropped)


def samples_of(groups: Sequence[Group]) -> list[list[Sample]]:
    """The completions of each group as sequences to train on, without advantage or weight yet."""
    return [
        [
            Sample(
                TrainingSequence.of(group.prompt, completion, index),
                score.value,
                score.counts,
                _turn_rewards(completion, group.outcome_weight),
            )
            for completion, score in zip(group.completions, group.scores, strict=True)
        ]
        for index, group in enumerate(groups)
    ]


def _filter_and_shape(groups: list[Group], samples: list[list[Sample]], objective: Algorithm) -> None:
    """Leave out what the row does not compare, and make of each reward what it does compare."""
    for group, members in zip(groups, samples, strict=True):
        if objective.drop_agreeing and agrees(group):
            for sample in members:
                sample.leave_out("agreeing")
        if objective.reads_marks:
            for sample, mark in zip(members, group.marks(), strict=True):
                if not mark.counts:
                    sample.leave_out("no_mark")
    if not (objective.reads_marks or objective.reads_parts):
        return
    flat = [s for group in samples for s in group]
    rewards = _rewards(flat)
    if objective.reads_marks:
        right = torch.tensor([float(m.right) for g in groups for m in g.marks()], dtype=torch.float64)
        values = SHAPES[objective.shape](rewards, right, objective.set_size)
    else:
        values = COMBINES[objective.combine](rewards, *_parts(groups))
    for sample, value in zip(flat, values.tolist(), strict=True):
        sample.reward = value


def _rewards(samples: list[Sample], groups: list[Group] | None = None, average: float | None = None) -> Rewards:
    return Rewards(
        torch.tensor([s.reward for s in samples], dtype=torch.float64),
        torch.tensor([s.sequence.group for s in samples], dtype=torch.long),
        torch.tensor([s.counts for s in samples], dtype=torch.bool),
        None if groups is None else _greedy_rewards(groups),
        average,
        torch.tensor([len(s.sequence.completion_ids) for s in samples], dtype=torch.long),
    )


def _parts(groups: list[Group]) -> tuple[Tensor, Tensor, Tensor]:
    """Scores of the verifiers that the reward is of, where each counts, and their weights, all [sequences, parts].

    Groups of different data sets may have different verifiers, and the same ones with different weights. Where a group says
    no weights its reward is its one part.
    """
    of_groups = [group.weights or {"reward": 1.0} for group in groups]
    names = list(dict.fromkeys(name for weights in of_groups for name in weights))
    rows = [
        [group.parts[i].get(name) if group.weights else score for name in names]
        for group in groups
        for i, score in enumerate(group.scores)
    ]
    weights = [
        [weights.get(name, 0.0) for name in names]
        for group, weights in zip(groups, of_groups, strict=True)
        for _ in group.scores
    ]
    counts = [[part is not None and part.counts for part in row] for row in rows]
    values = [[part.value if part is not None and part.counts else 0.0 for part in row] for row in rows]
    return (
        torch.tensor(values, dtype=torch.float64),
        torch.tensor(counts, dtype=torch.bool),
        torch.tensor(weights, dtype=torch.float64),
    )


def _turn_rewards(completion: Completion, weight: float | None) -> list[tuple[int, float]]:
    """(index of its last sampled token, its part of the total reward) of each turn that the environment paid for itself."""
    earned = completion.earned()
    if weight is None or earned is None or not earned.counts or not completion.turns:
        return []
    ends = [*(turn.start for turn in completion.turns[1:]), len(completion.token_ids)]
    return [(end - 1, weight * turn.reward) for turn, end in zip(completion.turns, ends, strict=True) if turn.reward]


def _kl_to_reference(sequence: TrainingSequence, objective: Algorithm) -> Tensor:
    """KL of the policy that sampled to the reference at each token. [tokens]"""
    if sequence.old_logprobs is None or sequence.reference_logprobs is None:
        raise ValueError("a KL in the reward needs the log-probabilities of policy and reference")
    return KL_ESTIMATORS[objective.kl_estimator](sequence.old_logprobs, sequence.reference_logprobs)


def _fill_advantages(
    groups: list[Group], samples: list[list[Sample]], objective: Algorithm, adaptive: Adaptive
) -> None:
    """Set the advantage, or the advantages per token, of every sample's sequence."""
    flat = [s for group in samples for s in group]
    if objective.needs_greedy:
        _leave_out_uncompared(groups, samples)
    if objective.per_token:
        _fill_token_advantages(flat, objective, adaptive)
        return
    rewards = _rewards(flat, groups if objective.needs_greedy else None, adaptive.average)
    values = compute_advantages(rewards, baseline=objective.baseline, scale=objective.scale)
    for sample, value in zip(flat, weigh_signs(values, *_sign_weights(objective)).tolist(), strict=True):
        sample.sequence.advantage = value


def _sign_weights(objective: Algorithm) -> tuple[float, float]:
    return objective.positive_weight, objective.negative_weight


def _weigh_rewards(samples: list[list[Sample]], weight: float) -> None:
    for sample in (s for group in samples for s in group):
        sample.sequence.advantage *= weight
        if sample.sequence.token_advantages is not None:
            sample.sequence.token_advantages = weight * sample.sequence.token_advantages


def _leave_out_uncompared(groups: list[Group], samples: list[list[Sample]]) -> None:
    """Without a score of the greedy response there is nothing to compare the group with."""
    for group, members in zip(groups, samples, strict=True):
        if group.greedy is None or not group.greedy.counts:
            for sample in members:
                sample.leave_out("no_greedy_score")


def _greedy_rewards(groups: list[Group]) -> Tensor:
    return torch.tensor([g.greedy.value if g.greedy else 0.0 for g in groups], dtype=torch.float64)


def _fill_token_advantages(samples: list[Sample], objective: Algorithm, adaptive: Adaptive) -> None:
    """Rewards-to-go minus a baseline, or generalised advantages, for each token; scaled over the batch where asked.

    A baseline of the batch is the mean over tokens, because tokens are what carries an advantage here; one of the group
    or of the past is a mean of whole responses.
    """
    chosen = [s for s in samples if s.counts and len(s.sequence.completion_ids)]
    for sample in chosen:
        sequence, length = sample.sequence, len(sample.sequence.completion_ids)
        kl = _kl_to_reference(sequence, objective) if objective.kl_in_reward else None
        rewards = token_rewards(sample.reward, length, kl, adaptive.beta, sample.turns)
        if objective.generalised_advantages:
            if sequence.values is None:
                raise ValueError("generalised advantages need the critic's values")
            sequence.token_advantages, sequence.returns = generalised_advantages(
                rewards, sequence.values, objective.discount, objective.trace
            )
        else:
            sequence.token_advantages = reward_to_go(rewards, objective.discount)
            sample.reward = float(rewards.sum())
    if not chosen:
        return
    _centre_and_scale(chosen, objective, adaptive)


def _centre_and_scale(chosen: list[Sample], objective: Algorithm, adaptive: Adaptive) -> None:
    flat = torch.cat([s.sequence.token_advantages for s in chosen if s.sequence.token_advantages is not None])
    lengths = [len(s.sequence.completion_ids) for s in chosen]
    if objective.needs_critic:
        flat = whiten(flat) if objective.scales_over_batch else flat
    else:
        of_tokens = torch.repeat_interleave(torch.arange(len(chosen)), torch.tensor(lengths))
        over_batch = objective.centres_over_batch, objective.scales_over_batch
        flat = _standardised(flat, _rewards(chosen, None, adaptive.average), of_tokens, objective, over_batch)
    flat = weigh_signs(flat, *_sign_weights(objective))
    for sample, part in zip(chosen, flat.split(lengths), strict=True):
        sample.sequence.token_advantages = part


def _standardised(
    tokens: Tensor, by_sequence: Rewards, of_tokens: Tensor, objective: Algorithm, over_batch: tuple[bool, bool]
) -> Tensor:
    """(G_t - baseline) / scale. tokens: [tokens]; of_tokens: [tokens] sequence of each."""
    groups, average = by_sequence.group_index[of_tokens], by_sequence.average
    by_token = Rewards(tokens, groups, torch.ones_like(tokens, dtype=torch.bool), average=average)
    baseline, scale = BASELINES[objective.baseline], SCALES[objective.scale]
    shift = baseline(by_token) if over_batch[0] else baseline(by_sequence)[of_tokens]
    divisor = scale(by_token) if over_batch[1] else scale(by_sequence)[of_tokens]
    return (tokens - shift) / divisor


def _shown(sample: Sample) -> float:
    tokens = sample.sequence.token_advantages
    return sample.sequence.advantage if tokens is None else float(tokens.mean())


def _weighted(
    groups: list[Group],
    samples: list[list[Sample]],
    chosen: range,
    objective: Algorithm,
    max_tokens: int,
    dropped: Counter[str],
) -> list[TrainingSequence]:
    sequences = []
    for g in chosen:
        selected = SELECTIONS[objective.selection](groups[g], objective.per_prompt)
        for index, (completion, sample) in enumerate(zip(groups[g].completions, samples[g], strict=True)):
            reason: str | None = None
            if not sample.counts:
                reason = sample.left_out or groups[g].scores[index].status
            elif objective.mask_truncated and completion.truncated:
                reason = "truncated"
            elif selected is not None and index not in selected:
                reason = "not_selected"
            if reason is None:
                if selected is not None:
                    sample.sequence.advantage = 1.0  # selection is the judgement: what is kept is imitated
                sequences.append(sample.sequence)
            elif groups[g].replayed is None:  # or it would be counted again whenever it comes
                dropped[reason] += 1
    if not sequences:
        return []
    lengths = torch.tensor([len(s.completion_ids) for s in sequences], dtype=torch.float64)
    group_index = torch.tensor([s.group for s in sequences])
    weights = sequence_weights(
        lengths, aggregation=objective.aggregation, max_tokens=max_tokens, group_index=group_index
    )
    for sequence, weight in zip(sequences, weights.tolist(), strict=True):
        sequence.weight = weight * groups[sequence.group].replay_weight
        sequence.entropy_weight = 1.0 / max(1.0, float(lengths.sum()))
    if objective.learns_without_advantage:
        return sequences
    kept = [s for s in sequences if abs(s.advantage) > ZERO_ADVANTAGE]
    fresh = [s for s in sequences if groups[s.group].replayed is None]
    dropped["zero_advantage"] += sum(abs(s.advantage) <= ZERO_ADVANTAGE for s in fresh)
    return kept


def _everything(group: Group, most: int) -> set[int] | None:
    return None


def _right(group: Group, most: int) -> set[int] | None:
    """Indices of the responses that are right (`Group.marks`)."""
    return {index for index, mark in enumerate(group.marks()) if mark.right}


def _verified(group: Group, most: int) -> set[int] | None:
    """Of the right responses each text once, at most ``most``."""
    first: dict[str, int] = {}
    for index in sorted(_right(group, most) or ()):
        completion = group.completions[index]
        first.setdefault(repr((completion.token_ids, completion.inserted)), index)
    return set(list(first.values())[:most])


# Indices of the responses of a group that are learned from; None where nothing is selected.
SELECTIONS: dict[str, Callable[[Group, int], set[int] | None]] = {
    "all": _everything,
    "right": _right,
    "verified": _verified,
}


def rollout_metrics(groups: list[Group], advantages: list[list[float]], dropped: Counter[str]) -> dict[str, float]:
    """What the scored groups look like, before anything is learned from them."""
    rewards = [s.value for g in groups for s in g.scores if s.counts]
    lengths = [len(c.token_ids) for g in groups for c in g.completions]
    means = [fmean(r) for g in groups if (r := [s.value for s in g.scores if s.counts])]
    sizes = [abs(a) for group in advantages for a in group]
    metrics = {
        "reward/mean": fmean(rewards) if rewards else 0.0,
        "reward/std": float(torch.tensor(rewards).std()) if len(rewards) > 1 else 0.0,
        "reward/group_mean_std": float(torch.tensor(means).std()) if len(means) > 1 else 0.0,
        **_judged(groups),
        **_tied(groups, max(rewards, default=0.0)),
        "completions/alike": _alike(groups),
        "advantage/mean_abs": fmean(sizes) if sizes else 0.0,
        "length/mean": fmean(lengths),
        "length/max": float(max(lengths)),
        "length/truncated": fmean(float(c.truncated) for g in groups for c in g.completions),
        **conversation_metrics(groups),
    }
    for reason, count in dropped.items():
        metrics[f"dropped/{reason}"] = float(count)
    return metrics


def _judged(groups: list[Group]) -> dict[str, float]:
    """Who is right, by the judge's verdict alone: shares of responses and of groups, and how long either kind is."""
    verdicts = [(c, v) for g in groups for c, v in zip(g.completions, g.verdicts(), strict=True)]
    counted = [(len(c.token_ids), v.right) for c, v in verdicts if v.counts]
    within = [r for g in groups if len(r := [v.right for v in g.verdicts() if v.counts]) > 1]
    found = {
        "judge/unjudged": 1.0 - len(counted) / max(1, len(verdicts)),
        "groups/all_right": sum(map(all, within)) / max(1, len(groups)),
        "groups/all_wrong": sum(not any(r) for r in within) / max(1, len(groups)),
    }
    if counted:
        found["judge/right"] = fmean(right for _, right in counted)
    for name, wanted in (("right", True), ("wrong", False)):
        chosen = [length for length, right in counted if right == wanted]
        if chosen:
            found[f"length/{name}"] = fmean(chosen)
    return found


def _tied(groups: list[Group], best: float) -> dict[str, float]:
    """Groups whose rewards agree teach nothing; whether they agree at the batch's highest reward or below it matters."""
    within = [r for g in groups if len(r := [s.value for s in g.scores if s.counts]) > 1]
    tied = [r for r in within if max(r) - min(r) < ZERO_ADVANTAGE]
    top = [r for r in tied if max(r) >= best - ZERO_ADVANTAGE]
    return {
        "groups/tied": len(tied) / max(1, len(groups)),
        "groups/tied_at_maximum": len(top) / max(1, len(groups)),
    }


def _alike(groups: list[Group]) -> float:
    """Share of the most frequent text among all responses; 0 where there is one prompt, whose answers may well agree."""
    if len({g.task.id for g in groups}) < 2:
        return 0.0
    texts = Counter(c.written for g in groups for c in g.completions)
    return max(texts.values()) / texts.total()
