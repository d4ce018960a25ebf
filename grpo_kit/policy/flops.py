"""Floating-point operations of a model, counted from its weights: what utilisation is measured in.

Counted are the matrix products and causal attention. Three passes' worth for training: one forward, two backward
(J. Kaplan et al., arXiv:2001.08361, section 2.1; utilisation as in arXiv:2204.02311, appendix B).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def product_weights(model: Any) -> int:
    """Weights that every token is multiplied with: those of linear layers, the output head included."""
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, nn.Linear))


def forward_flops(model: Any, lengths: Sequence[int]) -> float:
    """Of one forward pass over whole sequences of these lengths."""
    config = model.config
    heads = config.num_attention_heads
    width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
    # Scores and weighted values are two products of length^2 * width multiply-adds; the causal half of each is needed.
    attention = sum(2.0 * config.num_hidden_layers * width * length * length for length in lengths)
    return 2.0 * product_weights(model) * sum(lengths) + attention


def training_flops(model: Any, lengths: Sequence[int]) -> float:
    """Of a forward and a backward pass over whole sequences of these lengths."""
    return 3.0 * forward_flops(model, lengths)
