"""Per-token estimators of KL(policy || reference) from tokens sampled by the policy.

With ``d = log(reference) - log(policy)``: k1 = -d, k2 = d^2 / 2, k3 = exp(d) - d - 1
(J. Schulman, "Approximating KL Divergence", 2020; GRPO uses k3, arXiv:2402.03300, eq. 4).
"""

from __future__ import annotations

from collections.abc import Callable

from .rows import declare_axis
from .shapes import Tokens


def k1(logprobs: Tokens, reference_logprobs: Tokens) -> Tokens:
    """Value: unbiased, high variance, may be negative. Gradient as a loss: zero in expectation, so it only adds noise there;
    as a part of the reward it gives the gradient of the KL."""
    return logprobs - reference_logprobs


def k2(logprobs: Tokens, reference_logprobs: Tokens) -> Tokens:
    """Value: biased, low variance. Gradient as a loss: that of KL(policy || reference), in expectation."""
    return 0.5 * (reference_logprobs - logprobs).square()


def k3(logprobs: Tokens, reference_logprobs: Tokens) -> Tokens:
    """Value: unbiased, non-negative, low variance. Gradient as a loss: that of KL(reference || policy), in expectation, which
    is what GRPO minimises."""
    difference = reference_logprobs - logprobs
    return difference.exp() - difference - 1.0


KL_ESTIMATORS: dict[str, Callable[[Tokens, Tokens], Tokens]] = {"k1": k1, "k2": k2, "k3": k3}
declare_axis("kl_estimator", KL_ESTIMATORS)


def double_or_halve(penalty: float, measured: float, target: float) -> float:
    """The next weight of a KL penalty (PPO, arXiv:1707.06347, section 4): doubled above 1.5 targets, halved below 2/3."""
    if measured > 1.5 * target:
        return penalty * 2.0
    return penalty / 2.0 if measured < target / 1.5 else penalty


def proportional(beta: float, measured: float, target: float, gain: float = 0.1) -> float:
    """The next weight of a KL to the reference (arXiv:1909.08593, section 2.2): moves with the relative error, within 20 %."""
    error = min(0.2, max(-0.2, measured / target - 1.0))
    return beta * (1.0 + gain * error)


def toward(bonus: float, measured: float, target: float, step: float) -> float:
    """The next weight of an entropy bonus (Skywork-OR1, arXiv:2505.22312): a step up at or below the target, a step down above.

    Never below 0. It is used only in batches that find the entropy at or below the target.
    """
    return bonus + step if measured <= target else max(0.0, bonus - step)
