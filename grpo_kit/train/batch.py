"""From scored groups to weighted training sequences: advantages, the gate, the denominators."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import fmean

import torch

from grpo_kit.objective.advantages import compute_advantages
from grpo_kit.objective.algorithms import Algorithm
from grpo_kit.objective.losses import sequence_weights
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.types import Group

ZERO_ADVANTAGE = 1e-9


@dataclass
class TrainingBatch:
    """What one rollout gives to the optimizer.

    Attributes:
        updates: the sequences of each optimizer step.
        advantages: [groups][samples], for the rollout log.
        dropped: sequences that take no part in the loss, counted by reason.
    """

    updates: list[list[TrainingSequence]]
    advantages: list[list[float]]
    dropped: Counter[str]

    @property
    def sequences(self) -> list[TrainingSequence]:
        return [sequence for update in self.updates for sequence in update]


def build_batch(groups: list[Group], objective: Algorithm, *, max_tokens: int, updates: int = 1) -> TrainingBatch:
    """Compare each completion with its group, and give every token its weight in the loss of its optimizer step.

    A completion whose verifier abstained or failed is left out of the baseline, the loss and the denominators. One whose
    advantage is zero counts in the denominators but is not sent through the model when nothing in the objective could
    give it a gradient: the loss is the same, the work is not.
    """
    advantages = _advantages(groups, objective)
    dropped: Counter[str] = Counter()
    parts = []
    size = -(-len(groups) // updates)
    for start in range(0, len(groups), size):
        chosen = range(start, min(start + size, len(groups)))
        parts.append(_weighted(groups, advantages, chosen, objective, max_tokens, dropped))
    return TrainingBatch(parts, advantages, dropped)


def _advantages(groups: list[Group], objective: Algorithm) -> list[list[float]]:
    rewards = torch.tensor([s.value for g in groups for s in g.scores], dtype=torch.float64)
    counted = torch.tensor([s.counts for g in groups for s in g.scores], dtype=torch.bool)
    group_index = torch.tensor([i for i, g in enumerate(groups) for _ in g.scores], dtype=torch.long)
    flat = compute_advantages(rewards, group_index, counted, baseline=objective.baseline, scale=objective.scale)
    values = iter(flat.tolist())
    return [[next(values) for _ in group.scores] for group in groups]


def _weighted(
    groups: list[Group],
    advantages: list[list[float]],
    chosen: range,
    objective: Algorithm,
    max_tokens: int,
    dropped: Counter[str],
) -> list[TrainingSequence]:
    sequences = []
    for g in chosen:
        for completion, score, advantage in zip(groups[g].completions, groups[g].scores, advantages[g], strict=True):
            if not score.counts:
                dropped[score.status] += 1
                continue
            sequences.append(
                TrainingSequence(groups[g].prompt.token_ids, completion.token_ids, advantage, 0.0, completion.logprobs)
            )
    lengths = torch.tensor([len(s.completion_ids) for s in sequences], dtype=torch.float64)
    if not sequences:
        return []
    weights = sequence_weights(lengths, aggregation=objective.aggregation, max_tokens=max_tokens)
    for sequence, weight in zip(sequences, weights.tolist(), strict=True):
        sequence.weight = weight
    if objective.beta > 0.0:
        return sequences
    kept = [s for s in sequences if abs(s.advantage) > ZERO_ADVANTAGE]
    dropped["zero_advantage"] += len(sequences) - len(kept)
    return kept


def rollout_metrics(groups: list[Group], batch: TrainingBatch) -> dict[str, float]:
    """What the scored groups look like, before anything is learned from them."""
    counted = [(c, s.value) for g in groups for c, s in zip(g.completions, g.scores, strict=True) if s.counts]
    rewards = [value for _, value in counted]
    best = max(rewards, default=0.0)
    lengths = [len(c.token_ids) for g in groups for c in g.completions]
    within = [[s.value for s in g.scores if s.counts] for g in groups]
    flat = [r for r in within if len(r) > 1 and max(r) - min(r) < ZERO_ADVANTAGE]
    means = [fmean(r) for r in within if r]
    sizes = [abs(a) for group in batch.advantages for a in group]
    metrics = {
        "reward/mean": fmean(rewards) if rewards else 0.0,
        "reward/std": float(torch.tensor(rewards).std()) if len(rewards) > 1 else 0.0,
        "reward/group_mean_std": float(torch.tensor(means).std()) if len(means) > 1 else 0.0,
        # A group that agrees teaches nothing; whether it agrees because the task is too easy or too hard matters.
        "groups/all_right": sum(r[0] >= best - ZERO_ADVANTAGE and best > 0 for r in flat) / max(1, len(groups)),
        "groups/all_wrong": sum(r[0] < best - ZERO_ADVANTAGE or best <= 0 for r in flat) / max(1, len(groups)),
        "advantage/mean_abs": fmean(sizes) if sizes else 0.0,
        "length/mean": fmean(lengths),
        "length/max": float(max(lengths)),
        "length/truncated": fmean(float(c.truncated) for g in groups for c in g.completions),
    }
    middle = (min(rewards, default=0.0) + best) / 2
    for name, chosen in (
        ("right", [len(c.token_ids) for c, v in counted if v > middle]),
        ("wrong", [len(c.token_ids) for c, v in counted if v <= middle]),
    ):
        if chosen:
            metrics[f"length/{name}"] = fmean(chosen)
    for reason, count in batch.dropped.items():
        metrics[f"dropped/{reason}"] = float(count)
    return metrics
