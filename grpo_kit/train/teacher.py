"""A teacher's opinion of the samples of a batch: their advantages per token, and how near the policy is to it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from grpo_kit.objective.rows import Algorithm
from grpo_kit.objective.teacher import beside_rewards
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import TrainingSequence


def teach(sequences: Iterable[TrainingSequence], objective: Algorithm) -> None:
    """Give every token its advantage: the rewards' times their weight, and the teacher's times its own.

    Args:
        sequences: with the advantages that the rewards gave, and the log-probabilities of policy and teacher.
    """
    for sequence in sequences:
        old, teacher = sequence.old_logprobs, sequence.reference_logprobs
        if old is None or teacher is None:
            raise ValueError("a teacher's advantages need the log-probabilities of policy and teacher")
        rewarded = sequence.token_advantages
        if rewarded is None:
            rewarded = torch.full((len(sequence.completion_ids),), sequence.advantage, dtype=torch.float64)
        sequence.token_advantages = beside_rewards(
            rewarded,
            teacher.to("cpu", torch.float64),
            old.to("cpu", torch.float64),
            objective.reward_weight,
            objective.teacher_weight,
        )


def watch_teacher(metrics: Measures, reverse_kl: Tensor, teacher_logprobs: Tensor | None) -> None:
    """Record how far the policy is from the teacher. [tokens] each, without gradient.

    ``teacher/agreement`` is the chance that both, asked for the next token, draw the same one: the mean probability that the
    teacher gives to what the policy sampled.
    """
    found = {"teacher/reverse_kl": reverse_kl}
    if teacher_logprobs is not None:
        found["teacher/agreement"] = teacher_logprobs.exp()
    metrics.means(found)
