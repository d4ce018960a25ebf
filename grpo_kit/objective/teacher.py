"""What a teacher says of the policy's own samples: an advantage for each token, or the divergence of whole distributions.

Both are the reverse KL, KL(policy || teacher), at the states that the policy itself reaches (on-policy distillation: K. Lu and
Thinking Machines Lab, "On-Policy Distillation", 2025; MiniLLM, arXiv:2306.08543; GKD, arXiv:2306.13649, with the reverse KL
as its divergence). What a token does to later states is left out: a token answers for itself alone.
"""

from __future__ import annotations

from .shapes import Tokens


def teacher_advantages(teacher_logprobs: Tokens, old_logprobs: Tokens) -> Tokens:
    """log teacher - log policy of each sampled token: minus a sample of the reverse KL, so nothing is subtracted from it.

    Its policy gradient is, in expectation over the policy's tokens, that of minus KL(policy || teacher).
    """
    return teacher_logprobs - old_logprobs


def beside_rewards(
    rewarded: Tokens, teacher_logprobs: Tokens, old_logprobs: Tokens, reward_weight: float, teacher_weight: float
) -> Tokens:
    """The advantages that rewards give, and the teacher's, each times its weight.

    Args:
        rewarded: of each token, as baseline and scale make them of the rewards.
    """
    return reward_weight * rewarded + teacher_weight * teacher_advantages(teacher_logprobs, old_logprobs)
