"""Floating-point operations of a model, counted from its weights: what utilisation is measured in.

Counted are the matrix products and the causal half of attention; a backward pass is twice a forward one
(J. Kaplan et al., arXiv:2001.08361, section 2.1; utilisation as in arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import nn

from .four_bit import FourBitLinear
from .network import Network


@dataclass(frozen=True)
class Work:
    """What one token costs.

    Attributes:
        weights: those that every token is multiplied with, in linear layers, the output head included.
        attention: width of all heads, over all layers.
    """

    weights: int
    attention: int

    @classmethod
    def of(cls, model: Network) -> Work:
        config = getattr(model, "config", None)
        heads = getattr(config, "num_attention_heads", 0)
        width = heads * (getattr(config, "head_dim", None) or getattr(config, "hidden_size", 0) // max(1, heads))
        products = (m for m in model.modules() if isinstance(m, nn.Linear | FourBitLinear))
        weights = sum(m.in_features * m.out_features for m in products)  # not of what is kept: its codes are fewer
        return cls(weights, width * getattr(config, "num_hidden_layers", 0))

    def forward(self, tokens: int, attention_pairs: float) -> float:
        """Operations of one forward pass of so many tokens, of which so many pairs attend to each other."""
        # Scores and weighted values: two products, a multiplication and an addition each.
        return 2.0 * self.weights * tokens + 4.0 * self.attention * attention_pairs


def product_rate(device: torch.device, dtype: torch.dtype | None = None, size: int = 1024, rounds: int = 3) -> float:
    """Operations per second of a large matrix product on this device, with the threads that torch has now."""
    size = size if device.type == "cpu" else 8192
    left, right = (torch.randn(size, size, device=device).to(dtype or torch.float32) for _ in range(2))
    best = float("inf")
    for _ in range(rounds):
        begun = time.perf_counter()
        product = left @ right
        float(product[0, 0])  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2.0 * size**3 / best
