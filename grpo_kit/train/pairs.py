"""From groups to preference pairs and labelled responses: the best against the worst, or each by its judge's mark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.types import Completion, Group, Score


@dataclass(slots=True)
class Pair:
    """Two responses to one prompt. ``margin``: by how much the chosen one is better, where the data says so."""

    chosen: TrainingSequence
    rejected: TrainingSequence
    margin: float = 0.0


@dataclass(slots=True)
class Labelled:
    """One response and whether it is good."""

    sequence: TrainingSequence
    good: bool


def mine_pairs(groups: Sequence[Group], per_prompt: int, dropped: Counter[str]) -> list[Pair]:
    """Of each group the best against the worst, the second best against the second worst, while rewards differ.

    Equal texts with different rewards (a verifier that is not deterministic) make no pair.
    """
    pairs = []
    for index, group in enumerate(groups):
        ranked = [(s.value, c) for c, s in _counted(group, group.scores, dropped)]
        ranked.sort(key=lambda item: item[0], reverse=True)
        made = 0
        for (high, best), (low, worst) in zip(ranked, reversed(ranked), strict=True):
            if made == per_prompt or not high > low:
                break
            if (best.token_ids, best.inserted) != (worst.token_ids, worst.inserted):
                chosen, rejected = (TrainingSequence.of(group.prompt, c, index) for c in (best, worst))
                pairs.append(Pair(chosen, rejected, _margin(group)))
                made += 1
        if not made:
            dropped["no_pair"] += 1
    return pairs


def mine_labels(groups: Sequence[Group], dropped: Counter[str]) -> list[Labelled]:
    """Every judged response; good are those that the judge calls right, whatever else their reward adds or takes off."""
    return [
        Labelled(TrainingSequence.of(group.prompt, completion, index), verdict.right)
        for index, group in enumerate(groups)
        for completion, verdict in _counted(group, group.marks(), dropped)
    ]


def _counted(group: Group, scores: Sequence[Score], dropped: Counter[str]) -> list[tuple[Completion, Score]]:
    found = []
    for completion, score in zip(group.completions, scores, strict=True):
        if score.counts and completion.token_ids:
            found.append((completion, score))
        else:
            dropped[score.status if not score.counts else "empty"] += 1
    return found


def _margin(group: Group) -> float:
    return float(group.task.meta.get("margin") or 0.0)
