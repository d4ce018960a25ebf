"""The gradient of a step of every row, for the laws that say what it does not depend on."""

from __future__ import annotations

from collections.abc import Sequence
from types import MethodType
from typing import Any

import torch
from torch import Tensor

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import ALGORITHMS, resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.train.update import PolicyUpdater


def gradient(
    policy: Policy, sequences: Sequence[TrainingSequence], algorithm: str, token_budget: int
) -> tuple[float, Tensor]:
    """Loss and flat gradient of one step, with every term that a row may have."""
    objective = resolve_objective(algorithm, {"beta": 0.04, "kl_place": "loss", "entropy_bonus": 0.01})
    # Advantages are given here, so that no critic is needed.
    objective = objective.model_copy(update={"baseline": "none"})
    reference = policy.reference()
    with torch.no_grad():
        for parameter in reference.model.parameters():
            parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    updater = PolicyUpdater(
        policy,
        objective,
        OptimizerConfig(),
        total_updates=1,
        token_budget=token_budget,
        temperature=0.9,
        reference=reference,
    )
    for sequence in sequences:
        sequence.reference_logprobs = None  # of another precision
    updater.annotate(sequences)
    for sequence in sequences:  # an old policy that differs, so that clipping is active in places
        sequence.old_logprobs = sequence.reference_logprobs + 0.3 * sequence.behaviour_logprobs
    if all(s.token_mask is None and s.penalised is None for s in sequences):  # chosen for the step, before it is split
        updater._choose_tokens(list(sequences), 0, Measures())
    policy.model.zero_grad()
    total = 0.0
    for batch in updater._batches(sequences):
        loss = updater.loss(batch, Measures())
        loss.backward()
        total += loss.item()
    return total, torch.cat([p.grad.flatten() for p in policy.model.parameters()])


GRADIENT_ROWS = [n for n, row in ALGORITHMS.items() if row.family == "policy_gradient" and row.step == "gradient"]


def in_full_precision(model: Any) -> Any:
    """transformers' RMSNorm goes through float32 whatever the weights are, which hides what float64 would show."""
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = MethodType(_exact, module)  # bound, so that a copy of the network gets its own
    return model


def _exact(norm: Any, states: Tensor) -> Tensor:
    return norm.weight * states * torch.rsqrt(states.pow(2).mean(-1, keepdim=True) + norm.variance_epsilon)
