"""Numbers in a byte each: blockwise dynamic quantisation (arXiv:2110.02861, sections 2.1 and 2.2)."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

BLOCK = 256  # numbers that share a scale, a float32: 1 + 4 / 256 bytes a number


@cache
def codebook(signed: bool) -> Tensor:
    """[256] ascending numbers within [-1, 1] or [0, 1]: seven decades, each finer by a bit than the one below it.

    The largest is 1, so that the largest number of a block is kept exactly and quantising again changes nothing.
    """
    found = []
    for decade in range(7):
        edges = torch.linspace(0.1, 1.0, 2 ** (decade if signed else decade + 1) + 1, dtype=torch.float64)
        found.append((edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade - 6))
    numbers = torch.cat(found)
    numbers[-1] = 1.0
    zero = torch.zeros(1, dtype=torch.float64)
    table = torch.cat([-numbers.flip(0), zero, numbers] if signed else [zero, numbers])
    return torch.cat([table, table[-1:].expand(256 - len(table))]).float()


def quantised(values: Tensor, table: Tensor, noise: Tensor | float = 0.5) -> tuple[Tensor, Tensor]:
    """Codes of numbers, and the scales of their blocks.

    Args:
        values: [blocks * BLOCK] float32.
        table: a codebook on the device of the values.
        noise: [blocks * BLOCK] uniform numbers round at random, without bias; a half rounds to the nearest.

    Returns:
        uint8 [blocks * BLOCK] and float32 [blocks].
    """
    blocks = values.view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    shares = (blocks / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).flatten()
    if table[0] == 0.0:  # what is divided by is never rounded to nothing
        shares = torch.where(shares > 0.0, shares.clamp(min=float(table[1])), shares)
    lower = (torch.bucketize(shares, table, right=True, out_int32=True) - 1).clamp(0, 254)
    low, high = table[lower], table[lower + 1]
    above = shares - low > noise * (high - low)
    return (lower + above).to(torch.uint8), scales


def restored(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
    """The numbers that `quantised` made codes of. float32 [blocks * BLOCK]"""
    return (table[codes.int()].view(-1, BLOCK) * scales[:, None]).flatten()
