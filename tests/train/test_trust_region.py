"""TRPO: conjugate gradient, Fisher-vector products against the explicit Fisher matrix, and a step that keeps its promise."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from grpo_kit.config import LoraConfig, OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.layers import checkpoint_layers
from grpo_kit.policy.lora import attach_lora
from grpo_kit.train.batch import build_batch
from grpo_kit.train.trust_region import conjugate_gradient
from grpo_kit.train.update import PolicyUpdater
from tests.kit.groups import groups
from tests.kit.tiny import make_policy


def test_conjugate_gradient_solves_in_as_many_steps_as_dimensions():
    root = torch.randn(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    matrix, wanted = root @ root.T + torch.eye(6), torch.arange(6.0, dtype=torch.float64)
    found = conjugate_gradient(lambda v: matrix @ v, matrix @ wanted, iterations=6)
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-8)


def prepared(limit=0.01, token_budget=16):
    policy = make_policy(dtype=torch.float64, hidden_size=8, intermediate_size=8, layers=1, heads=2)
    objective = resolve_objective("trpo", {"trust_region": limit})
    updater = PolicyUpdater(
        policy, objective, OptimizerConfig(), total_updates=1, token_budget=token_budget, temperature=0.8
    )
    (sequences,) = build_batch(groups(), objective, max_tokens=8).updates
    updater.annotate(sequences)
    return policy, updater, sequences


def test_fisher_product_is_the_covariance_of_the_score():
    """F v = E_y[score (score . v)], the score being the gradient of log pi(y): summed over the whole vocabulary."""
    _, updater, sequences = prepared()
    step = updater.step
    whole = next(updater._batches(sequences))
    batch = replace(whole, rows=whole.rows[:1], columns=whole.columns[:1], targets=whole.targets[:1])
    count = sum(p.numel() for p in step.parameters)
    vector = torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (logs,) = step._log_distribution(batch)
    wanted = torch.zeros_like(vector)
    for log in logs:
        score = torch.autograd.grad(log, step.parameters, retain_graph=True)
        flat = torch.cat([g.flatten() for g in score])
        wanted += log.exp().detach() * flat * (flat @ vector)
    found = step._fisher_product([batch], vector, tokens=1)
    assert wanted.norm() > 0
    # The norms of the model are computed in float32 whatever its weights are.
    assert (found - wanted).norm() / wanted.norm() < 1e-4


def second_derivative(step, batches, vector, tokens):
    """The same product by differentiating the mean KL(now || theta) twice at theta = now."""
    wanted = torch.zeros_like(vector)
    with sdpa_kernel(SDPBackend.MATH):
        for batch in batches:
            now = step._log_distribution(batch)
            divergence = (now.detach().exp() * (now.detach() - now)).sum() / tokens
            first = torch.autograd.grad(divergence, step.parameters, create_graph=True)
            along = sum((g * v).sum() for g, v in zip(first, step._like(vector), strict=True))
            second = torch.autograd.grad(along, step.parameters, allow_unused=True, materialize_grads=True)
            wanted += torch.cat([g.flatten() for g in second])
    return wanted


@pytest.mark.parametrize("kind", ["plain", "checkpointing", "lora", "bfloat16"])
def test_fisher_product_is_the_second_derivative_of_the_divergence(kind):
    policy = make_policy(hidden_size=8, intermediate_size=8, layers=2, heads=2)
    if kind == "checkpointing":
        checkpoint_layers(policy.model)
        policy.model.train()
    if kind == "lora":
        policy = attach_lora(policy, LoraConfig(rank=2))
    if kind == "bfloat16":
        policy.autocast = torch.bfloat16
    objective = resolve_objective("trpo", {})
    updater = PolicyUpdater(policy, objective, OptimizerConfig(), total_updates=1, token_budget=16, temperature=0.8)
    (sequences,) = build_batch(groups(), objective, max_tokens=8).updates
    step, random = updater.step, torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in step.parameters:  # fresh adapters are a zero change, and half of their products are zero
            p += 0.1 * torch.randn(p.shape, generator=random)
    vector = torch.randn(sum(p.numel() for p in step.parameters), generator=random)

    batches = list(updater._batches(sequences))
    assert len(batches) > 1
    found, wanted = step._fisher_product(batches, vector, 7), second_derivative(step, batches, vector, 7)
    assert wanted.norm() > 0
    assert (found - wanted).norm() / wanted.norm() < (0.05 if kind == "bfloat16" else 1e-5)


def test_a_fisher_product_keeps_no_more_than_an_ordinary_backward_pass():
    _, updater, sequences = prepared()
    step, kept = updater.step, []

    def pack(tensor):
        kept.append(tensor.numel())
        return tensor

    def saved(compute):
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            compute()
        return sum(kept)

    ordinary = saved(lambda: [step._log_distribution(batch).sum() for batch in updater._batches(sequences)])
    vector = torch.ones(sum(p.numel() for p in step.parameters), dtype=torch.float64)
    product = saved(lambda: step._fisher_product(list(updater._batches(sequences)), vector, 1))
    assert 0 < product <= ordinary


@pytest.mark.parametrize("limit", [1e-4, 1e-2])
def test_the_step_improves_the_surrogate_and_keeps_the_limit(limit):
    _, updater, sequences = prepared(limit)
    with torch.no_grad():
        old = [updater.step._log_distribution(batch) for batch in updater._batches(sequences)]
        before = sum(float(updater.loss(b, Measures())) for b in updater._batches(sequences))
    metrics = Measures()
    updater.optimizer_step(sequences, metrics)
    with torch.no_grad():
        moved = updater.step._divergence(list(updater._batches(sequences)), old)
        after = sum(float(updater.loss(b, Measures())) for b in updater._batches(sequences))
    assert limit / 10 < moved <= limit
    assert after < before
    assert metrics["trust_region/kl"] == pytest.approx(moved, rel=1e-6)
    assert metrics["trust_region/improvement"] == pytest.approx(before - after, rel=1e-6)


def test_the_step_does_not_depend_on_the_split():
    results = []
    for budget in (10, 10**6):
        policy, updater, sequences = prepared(token_budget=budget)
        updater.optimizer_step(sequences, Measures())
        results.append(torch.cat([p.detach().flatten() for p in policy.model.parameters()]))
    torch.testing.assert_close(*results, rtol=1e-7, atol=1e-9)


def test_a_step_that_cannot_improve_leaves_the_weights(monkeypatch):
    policy, updater, sequences = prepared()
    before = [p.detach().clone() for p in policy.model.parameters()]
    monkeypatch.setattr(updater.step, "_divergence", lambda batches, old: 1.0)
    metrics = Measures()
    updater.optimizer_step(sequences, metrics)
    assert metrics["trust_region/share"] == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))
