"""Ratios and aggregations: at what level policies are compared, and how much each token counts.

Everything is flat: tokens of all sequences of a micro-batch stand in one row, and ``sequence_index[t]`` says to which
sequence token t belongs. The loss of a step is ``sum_t weight[sequence_index[t]] * token_loss[t]``, where the weights
were computed from the lengths of *all* sequences of the step. So the sum over micro-batches, in any split, is the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from .rows import declare_axis
from .shapes import Sequences, Tokens

# --- importance ratio: at what level the new policy is compared with the old one ---------------------------------


def token_log_ratio(logprobs: Tokens, old_logprobs: Tokens, sequence_index: Tokens) -> Tokens:
    """log pi(token) - log pi_old(token)."""
    return logprobs - old_logprobs


def sequence_log_ratio(logprobs: Tokens, old_logprobs: Tokens, sequence_index: Tokens) -> Tokens:
    """Length-normalised log-ratio of the whole sequence, given to each of its tokens (GSPO, arXiv:2507.18071, eq. 7)."""
    return sequence_mean_of(logprobs - old_logprobs, sequence_index)


def sequence_token_log_ratio(logprobs: Tokens, old_logprobs: Tokens, sequence_index: Tokens) -> Tokens:
    """The sequence's ratio as value, the token's own gradient (GSPO-token, arXiv:2507.18071, eq. 14)."""
    whole = sequence_log_ratio(logprobs.detach(), old_logprobs, sequence_index)
    return whole + logprobs - logprobs.detach()


def sequence_product_log_ratio(logprobs: Tokens, old_logprobs: Tokens, sequence_index: Tokens) -> Tokens:
    """Log-ratio of the whole response, not divided by its length: the exact importance weight (RLOO, 2402.14740)."""
    return sequence_sum_of(logprobs - old_logprobs, sequence_index)


def sequence_sum_of(values: Tokens, sequence_index: Tokens) -> Tokens:
    """The sum of the values of a token's whole sequence, for each token."""
    return _sequence_sums(values, sequence_index)[0][sequence_index]


def sequence_mean_of(values: Tokens, sequence_index: Tokens) -> Tokens:
    """Their mean."""
    total, length = _sequence_sums(values, sequence_index)
    return (total / length.clamp(min=1))[sequence_index]


def _sequence_sums(values: Tokens, sequence_index: Tokens) -> tuple[Tokens, Tokens]:
    """Sum of the values of each sequence, and its length: as many of both as there are tokens, the last ones of nobody.

    Every sequence has a token, so there are not more of them; how many there are, a device would have to be waited for.
    """
    zeros = values.new_zeros(sequence_index.numel())
    length = zeros.index_add(0, sequence_index, torch.ones_like(values.detach()))
    return zeros.index_add(0, sequence_index, values), length


LogRatio = Callable[[Tokens, Tokens, Tokens], Tokens]
RATIO_LEVELS: dict[str, LogRatio] = {
    "token": token_log_ratio,
    "sequence": sequence_log_ratio,
    "sequence_token": sequence_token_log_ratio,
    "sequence_product": sequence_product_log_ratio,
}
declare_axis("ratio_level", RATIO_LEVELS)


# --- aggregation: how much each token counts ---------------------------------------------------------------------


def sequence_mean(lengths: Sequences, group_index: Sequences, max_tokens: int) -> Sequences:
    """Mean over tokens inside a sequence, then over sequences (GRPO, arXiv:2402.03300, eq. 3)."""
    return 1.0 / (lengths.clamp(min=1) * max(1, lengths.numel()))


def token_mean(lengths: Sequences, group_index: Sequences, max_tokens: int) -> Sequences:
    """Mean over all tokens of the batch: long sequences weigh more (DAPO, arXiv:2503.14476, eq. 8)."""
    return (1.0 / lengths.sum().clamp(min=1)).expand_as(lengths)


def constant_length(lengths: Sequences, group_index: Sequences, max_tokens: int) -> Sequences:
    """Sum over tokens divided by the generation limit, mean over sequences: no length bias (Dr. GRPO, 2503.20783)."""
    return torch.full_like(lengths, 1.0 / (max_tokens * max(1, lengths.numel())))


def sequence_sum(lengths: Sequences, group_index: Sequences, max_tokens: int) -> Sequences:
    """Sum over tokens, mean over sequences: the gradient of the expected reward as REINFORCE has it."""
    return torch.full_like(lengths, 1.0 / max(1, lengths.numel()))


def group_token_mean(lengths: Sequences, group_index: Sequences, max_tokens: int) -> Sequences:
    """Mean over the tokens of a group, then over groups: every prompt weighs the same, whatever its lengths."""
    if not lengths.numel():
        return lengths
    totals = lengths.new_zeros(int(group_index.max()) + 1).index_add(0, group_index, lengths)
    groups = int((totals > 0).sum())
    return 1.0 / (totals[group_index].clamp(min=1) * max(1, groups))


Aggregation = Callable[[Sequences, Sequences, int], Sequences]
AGGREGATIONS: dict[str, Aggregation] = {
    "sequence_mean": sequence_mean,
    "token_mean": token_mean,
    "constant_length": constant_length,
    "sequence_sum": sequence_sum,
    "group_token_mean": group_token_mean,
}
declare_axis("aggregation", AGGREGATIONS)


def sequence_weights(
    lengths: Sequences, *, aggregation: str, max_tokens: int, group_index: Sequences | None = None
) -> Sequences:
    """The weight of each token of each sequence in the loss of the step.

    Args:
        lengths: completion tokens of every sequence that counts, over the whole step.
        aggregation: a key of `AGGREGATIONS`.
        max_tokens: the generation limit.
        group_index: which prompt each answers; by default each its own.

    Returns:
        float64.
    """
    index = torch.arange(lengths.numel()) if group_index is None else group_index
    return AGGREGATIONS[aggregation](lengths.to(torch.float64), index, max_tokens)
