"""Per-token estimators of KL(policy || reference) from tokens sampled by the policy.

With ``d = log(reference) - log(policy)``: k1 = -d, k2 = d^2 / 2, k3 = exp(d) - d - 1
(J. Schulman, "Approximating KL Divergence", 2020; GRPO uses k3, arXiv:2402.03300, eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor


def k1(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Unbiased, high variance, may be negative; its gradient through samples is not that of the KL. [tokens]"""
    return logprobs - reference_logprobs


def k2(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Biased, low variance; its gradient in expectation is the gradient of the KL. [tokens]"""
    return 0.5 * (reference_logprobs - logprobs).square()


def k3(logprobs: Tensor, reference_logprobs: Tensor) -> Tensor:
    """Unbiased, non-negative, low variance. [tokens]"""
    difference = reference_logprobs - logprobs
    return difference.exp() - difference - 1.0


KL_ESTIMATORS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
