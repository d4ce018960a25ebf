"""Log-probability of one token, and entropy, of every row of a matrix of logits; and the gradient of the former.

Every number of the matrix is exponentiated forward and backward, and what stands between takes a few operations more. Made of
whole matrices, these are half a dozen of the matrix's size, each written to memory and read again; of 682 tokens and a vocabulary
of 49,152, a new one is 134 MB of pages that the kernel clears first. Here they are done for as many rows as a processor's cache
holds, one block after the other.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Of float32, 512 KB: with what is read and written beside it, in the second level of a core's cache.
BLOCK_ELEMENTS = 2**17


def row_blocks(count: int, width: int, device: torch.device) -> list[slice]:
    """Rows of a matrix that are done together: on a GPU all of them, since each operation there is a launch."""
    rows = max(1, torch.get_num_threads() * BLOCK_ELEMENTS // width if device.type == "cpu" else count)
    return [slice(start, start + rows) for start in range(0, count, rows)]


def look_up(logits: Tensor, targets: Tensor, factor: float = 1.0) -> tuple[Tensor, Tensor]:
    """Of ``softmax(factor * logits)``: the log-probability of each row's target, and the entropy of each row.

    Args:
        logits: [rows, vocabulary] of any floating type; computed with is float32, or its own type where that is wider.
        targets: [rows] long.

    Returns:
        logprobs [rows], differentiable once, and entropies [rows] in nats, without gradient.
    """
    logprobs, entropies = _LookUp.apply(logits, targets, factor)
    return logprobs, entropies


class _LookUp(Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, targets: Tensor, factor: float) -> tuple[Tensor, Tensor]:
        wide = torch.promote_types(logits.dtype, torch.float32)
        logprobs, entropies, totals = (logits.new_empty(len(logits), dtype=wide) for _ in range(3))
        for rows in row_blocks(len(logits), logits.shape[1], logits.device):
            above = _scaled(logits[rows], factor, wide)
            top = above.amax(-1, keepdim=True)
            above.sub_(top)
            weights = above.exp()
            total = weights.sum(-1)
            log_total = total.log()
            logprobs[rows] = above.gather(-1, targets[rows, None]).squeeze(-1) - log_total
            entropies[rows] = log_total - weights.mul_(above).sum(-1) / total
            totals[rows] = top.squeeze(-1) + log_total
        ctx.save_for_backward(logits, targets, totals)
        ctx.factor = factor
        ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        logits, targets, totals = ctx.saved_tensors
        found = torch.empty_like(logits)
        slope = (gradient * ctx.factor)[:, None]
        for rows in row_blocks(len(logits), logits.shape[1], logits.device):
            part = _scaled(logits[rows], ctx.factor, totals.dtype)
            part.sub_(totals[rows, None]).exp_().mul_(-slope[rows])
            found[rows] = part.scatter_add_(-1, targets[rows, None], slope[rows])
        return found, None, None


def _scaled(logits: Tensor, factor: float, dtype: torch.dtype) -> Tensor:
    """A copy, to be computed in."""
    return logits.to(dtype).mul_(factor) if logits.dtype is not dtype else logits * factor
