"""The same numbers for both sides: ragged responses as a flat micro-batch for us, as padded tensors for the peer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.losses import sequence_weights
from grpo_kit.objective.rows import Algorithm
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.packing import MicroBatch, TrainingSequence, micro_batches
from grpo_kit.train.update import PolicyUpdater
from tests.kit.tiny import make_policy

LENGTHS = [7, 2, 5, 7, 1, 4, 6, 3]
MAX_TOKENS = 9


@dataclass
class Case:
    """Log-probabilities and entropies as padded leaves [sequences, longest], and what goes with them."""

    logprobs: Tensor
    entropies: Tensor
    old: Tensor
    reference: Tensor
    mask: Tensor
    advantages: Tensor
    behaviour: Tensor | None = None

    def flat(self, padded: Tensor) -> Tensor:
        return padded[self.mask.bool()]


@pytest.fixture
def case() -> Case:
    generator = torch.Generator().manual_seed(11)
    shape = (len(LENGTHS), max(LENGTHS))
    mask = (torch.arange(shape[1])[None] < torch.tensor(LENGTHS)[:, None]).double()
    noise = [torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(4)]
    logprobs = (-3.0 * noise[0]).requires_grad_()
    old = (logprobs.detach() + 0.6 * (noise[1] - 0.5)) * mask
    reference = (logprobs.detach() + 0.8 * (noise[2] - 0.5)) * mask
    advantages = torch.randn(len(LENGTHS), generator=generator, dtype=torch.float64)
    return Case(logprobs, (2.0 * noise[3]).requires_grad_(), old, reference, mask, advantages)


class _GivenPolicy:
    """A policy whose log-probabilities are given: the loss, and nothing else, is compared."""

    def __init__(self, case: Case) -> None:
        self.case, self.device = case, torch.device("cpu")
        self.model = torch.nn.Linear(1, 1).double()

    def logprobs(self, batch: MicroBatch, temperature: float, entropy_gradient: bool = True) -> tuple[Tensor, Tensor]:
        order = [s.group for s in batch.sequences]
        rows = (
            [self.case.logprobs[i, : LENGTHS[i]] for i in order],
            [self.case.entropies[i, : LENGTHS[i]] for i in order],
        )
        return torch.cat(rows[0]), torch.cat(rows[1])


def our_loss(case: Case, row: Algorithm, token_budget: int = 10**6, prepare: Any = None) -> Tensor:
    """The loss of a step under a row of the table, through the trainer's own code."""
    updater = PolicyUpdater(
        make_policy(), row, OptimizerConfig(), total_updates=1, token_budget=token_budget, temperature=1.0,
        reference=make_policy() if row.needs_reference else None,
    )  # fmt: skip
    updater.policy = _GivenPolicy(case)
    weights = sequence_weights(torch.tensor(LENGTHS), aggregation=row.aggregation, max_tokens=MAX_TOKENS)
    sequences = []
    for i, length in enumerate(LENGTHS):
        sequence = TrainingSequence([1, 2], list(range(length)), float(case.advantages[i]), float(weights[i]), None, i)
        sequence.old_logprobs = case.old[i, :length]
        sequence.reference_logprobs = case.reference[i, :length]
        sequence.entropies = case.entropies[i, :length].detach()
        if case.behaviour is not None:
            sequence.behaviour_logprobs = case.behaviour[i, :length]
        sequences.append(sequence)
    metrics = Measures()
    updater._choose_tokens(sequences, 0, metrics)
    return sum(updater.loss(b, metrics) for b in micro_batches(sequences, token_budget, dtype=torch.float64))


def same(case: Case, ours: Tensor, theirs: Tensor, tolerance: float) -> None:
    """Values and gradients agree."""
    assert abs(ours.item() - theirs.item()) <= tolerance * abs(theirs.item())
    found = torch.autograd.grad(ours, [case.logprobs, case.entropies], retain_graph=True, allow_unused=True)
    wanted = torch.autograd.grad(theirs, [case.logprobs, case.entropies], allow_unused=True)
    for a, b in zip(found, wanted, strict=True):
        a, b = (torch.zeros_like(case.logprobs) if g is None else g * case.mask for g in (a, b))
        assert (a - b).norm() <= tolerance * b.norm().clamp(min=1e-12)
