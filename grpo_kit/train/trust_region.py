"""TRPO's step: the natural gradient by conjugate gradient on Fisher-vector products, then a line search on the KL.

Made for small models or LoRA: every product goes through the model twice forwards and once backwards, and the distributions
of all tokens ([tokens, vocabulary]) are kept while the line search compares with them. Among several ranks every one
holds the whole network (derivatives along a vector do not go through FSDP2), works on its share of the batch and adds up.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from grpo_kit.observe.measure import Measure, Measures, read
from grpo_kit.policy.distributed import Root
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import MicroBatch
from grpo_kit.runtime import ranks

from .steps import Loss

ITERATIONS = 10  # of conjugate gradient (TRPO, arXiv:1502.05477, appendix C)
DAMPING = 0.01  # added to the Fisher matrix, which is singular where the batch says nothing
BACKTRACKS = 10
SHRINK = 0.5


def conjugate_gradient(product: Callable[[Tensor], Tensor], target: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """x with ``product(x)`` near ``target``, for a symmetric positive definite product. [n] -> [n]"""
    x, residual = torch.zeros_like(target), target.clone()
    direction, squared = residual.clone(), residual @ residual
    begun = squared.clone()
    for _ in range(iterations):
        if squared <= 1e-10 * begun:
            break
        moved = product(direction)
        size = squared / (direction @ moved)
        x, residual = x + size * direction, residual - size * moved
        following = residual @ residual
        direction, squared = residual + (following / squared) * direction, following
    return x


class TrustRegionStep:
    """The largest step along the natural gradient with mean KL(old || new) <= ``limit`` that lowers the loss."""

    def __init__(self, policy: Policy, limit: float, temperature: float) -> None:
        self.policy, self.limit, self.temperature = policy, limit, temperature
        self.root = Root(policy.model)
        self.parameters = [p for p in self.root.parameters() if p.requires_grad]

    def __call__(self, batches: Iterable[MicroBatch], loss: Loss, metrics: Measures) -> None:
        batches = list(batches)
        before, gradient = self._loss_and_gradient(batches, loss, metrics)
        metrics.add("loss", Measure.mean(before))
        length = None if gradient is None else float(gradient.norm())
        if gradient is None or length is None or not math.isfinite(length):
            if ranks.first():
                metrics.add("skipped_updates", Measure.sum(gradient is not None))
            return
        metrics.add("grad_norm", Measure.mean(length))
        if length == 0.0:
            return
        with torch.no_grad():
            old = [self._log_distribution(batch) for batch in batches]
        (count,) = ranks.all_reduce_sum([float(sum(part.shape[0] for part in old))], "counting tokens")
        tokens = int(count)

        def product(vector: Tensor) -> Tensor:
            return self._fisher_product(batches, vector, tokens) + DAMPING * vector

        direction = conjugate_gradient(product, -gradient)
        # The quadratic model of the KL reaches the limit at this length along the direction.
        curvature = float(direction @ product(direction))
        scale = (2.0 * self.limit / max(curvature, 1e-12)) ** 0.5
        self._search(batches, loss, old, scale * direction, before, metrics)

    def _search(
        self, batches: list[MicroBatch], loss: Loss, old: list[Tensor], full: Tensor, before: float, metrics: Measures
    ) -> None:
        """Shorten the step until it keeps the limit and lowers the loss; give up where none does."""
        start = torch.nn.utils.parameters_to_vector(self.parameters).detach().clone()
        share = 1.0
        for _ in range(BACKTRACKS):
            torch.nn.utils.vector_to_parameters(start + share * full, self.parameters)
            with torch.no_grad():
                divergence = self._divergence(batches, old)
                local = sum(read([loss(batch, Measures()) for batch in batches]))
                (after,) = ranks.all_reduce_sum([local], "adding up the loss of the line search")
            if divergence <= self.limit and after < before:
                metrics.add("trust_region/kl", Measure.mean(divergence))
                metrics.add("trust_region/improvement", Measure.mean(before - after))
                metrics.add("trust_region/share", Measure.mean(share))
                return
            share *= SHRINK
        torch.nn.utils.vector_to_parameters(start, self.parameters)
        metrics.add("trust_region/share", Measure.mean(0.0))

    def _loss_and_gradient(
        self, batches: list[MicroBatch], loss: Loss, metrics: Measures
    ) -> tuple[float, Tensor | None]:
        if not batches:
            return 0.0, None
        self.policy.model.zero_grad(set_to_none=True)
        parts: list[Tensor] = []
        for batch in batches:
            part = loss(batch, metrics)
            part.backward()
            parts.append(part.detach())
        gradient = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in self.parameters])
        self.policy.model.zero_grad(set_to_none=True)
        (total,) = ranks.all_reduce_sum([sum(read(parts))], "adding up the loss")
        return total, ranks.all_reduce(gradient)

    def _log_distribution(self, batch: MicroBatch) -> Tensor:
        """[tokens, vocabulary] log-probabilities at every completion token."""
        with self.policy.precision():
            hidden = self.policy.predicting(batch)
            return torch.log_softmax(self.policy.head.logits(hidden) / self.temperature, dim=-1)

    def _divergence(self, batches: list[MicroBatch], old: list[Tensor]) -> float:
        """Mean over tokens of KL(old || new), over the whole vocabulary."""
        parts: list[Tensor] = []
        for batch, before in zip(batches, old, strict=True):
            parts.append((before.exp() * (before - self._log_distribution(batch))).sum())
        tokens = sum(before.shape[0] for before in old)
        total, count = ranks.all_reduce_sum([sum(read(parts)), tokens], "measuring the KL of the line search")
        return total / max(1.0, count)

    def _fisher_product(self, batches: list[MicroBatch], vector: Tensor, tokens: int) -> Tensor:
        """The Hessian of the mean KL at the present weights, times a vector: the Fisher matrix's product.

        With J the Jacobian of a token's log-probabilities and p its distribution it is the mean of J^T diag(p) J v: J v
        forwards, then J^T backwards. Differentiating the KL twice gives the same numbers, and keeps the graph of the
        backward pass beside that of the forward pass, which together are three times the graph of an ordinary step.
        """
        result = torch.zeros_like(vector)
        for batch in batches:
            along = self._derivative_along(batch, vector)
            now = self._log_distribution(batch)
            weighted = now.detach().exp() * along / tokens
            del along
            products = torch.autograd.grad(now, self.parameters, weighted, allow_unused=True)
            result += torch.cat(
                [
                    (torch.zeros_like(p) if g is None else g).flatten()
                    for p, g in zip(self.parameters, products, strict=True)
                ]
            )
        return ranks.all_reduce(result)

    @torch.no_grad()
    def _derivative_along(self, batch: MicroBatch, vector: Tensor) -> Tensor:
        """How the log-probabilities [tokens, vocabulary] change along ``vector``; nothing is kept of the pass."""
        names = [name for name, p in self.root.named_parameters() if p.requires_grad]
        # The fused attention kernels have no forward derivative.
        with sdpa_kernel(SDPBackend.MATH), forward_ad.dual_level():
            pairs = zip(self.parameters, self._like(vector), strict=True)
            duals = [forward_ad.make_dual(p.detach(), v) for p, v in pairs]
            dual = functional_call(self.root, dict(zip(names, duals, strict=True)), (self._log_distribution, batch))
            return forward_ad.unpack_dual(dual).tangent

    def _like(self, vector: Tensor) -> list[Tensor]:
        parts = vector.split([p.numel() for p in self.parameters])
        return [part.view_as(p) for part, p in zip(parts, self.parameters, strict=True)]

    def forget(self) -> None:
        """Nothing is carried from one step to the next."""

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is carried from one step to the next."""
