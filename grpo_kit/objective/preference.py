"""Losses on whole responses: preferred against rejected, or good and bad ones alone. Pure functions on tensors.

``margin`` is log pi(y) - log reference(y) of a response, summed over its tokens: the implicit reward divided by beta.
"""

from __future__ import annotations

from collections.abc import Callable

from torch.nn.functional import logsigmoid

from .rows import declare_axis
from .shapes import Pairs, Responses, Scalar


def sigmoid(chosen: Pairs, rejected: Pairs, chosen_length: Pairs, rejected_length: Pairs, beta: float) -> Pairs:
    """-log sigmoid(beta (chosen - rejected)) (DPO, arXiv:2305.18290, eq. 7).

    Args:
        chosen, rejected: margins of the two responses.
        chosen_length, rejected_length: tokens, for losses that normalise by them.
    """
    return -logsigmoid(beta * (chosen - rejected))


def ipo(chosen: Pairs, rejected: Pairs, chosen_length: Pairs, rejected_length: Pairs, beta: float) -> Pairs:
    """(h - 1 / (2 beta))^2 (IPO, arXiv:2310.12036, eq. 17), h the difference of the margins per token.

    Summed margins would grow with length while the target stays; TRL's notes say that the paper's results use means.
    """
    difference = chosen / chosen_length.clamp(min=1) - rejected / rejected_length.clamp(min=1)
    return (difference - 1.0 / (2.0 * beta)).square()


PairLoss = Callable[[Pairs, Pairs, Pairs, Pairs, float], Pairs]
PAIR_LOSSES: dict[str, PairLoss] = {"sigmoid": sigmoid, "ipo": ipo}
declare_axis("pair_loss", PAIR_LOSSES)


def kto(margins: Responses, desirable: Responses, baseline: Scalar, beta: float) -> Responses:
    """1 - sigmoid(beta (m - z)) for good responses, 1 - sigmoid(beta (z - m)) for bad ones (KTO, arXiv:2402.01306, eq. 8).

    Args:
        desirable: bool.
        baseline: z >= 0, without gradient: KL(policy || reference), estimated by `kto_baseline`.
    """
    sign = desirable.to(margins.dtype) * 2.0 - 1.0
    return 1.0 - (beta * sign * (margins - baseline)).sigmoid()


def kto_baseline(mismatched: Responses) -> Scalar:
    """max(0, mean) of the margins of responses given to *other* prompts (arXiv:2402.01306, section 4.1)."""
    return mismatched.detach().mean().clamp(min=0.0)


def bradley_terry(chosen: Pairs, rejected: Pairs, margin: Pairs | float = 0.0) -> Pairs:
    """-log sigmoid(r_chosen - r_rejected - margin) (InstructGPT, arXiv:2203.02155, eq. 1; margin: arXiv:2307.09288)."""
    return -logsigmoid(chosen - rejected - margin)
