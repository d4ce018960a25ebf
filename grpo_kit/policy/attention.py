"""Attention in float32 beside bfloat16 matrix products, for CPUs.

The backward pass of the fused attention of a CPU takes three times as long in bfloat16 as in float32 (torch 2.13, sequences
of 136 tokens: 105 against 38 ms), which is a third of a whole step under autocast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

NAME = "sdpa_float32"


def use_float32_attention(model: Any) -> None:
    """Have a transformers model that uses SDPA call it with float32 queries, keys and values under autocast."""
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    if model.config._attn_implementation != "sdpa":
        return
    AttentionInterface.register(NAME, _attend)
    AttentionMaskInterface.register(NAME, sdpa_mask)
    model.set_attn_implementation(NAME)


def _attend(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast(query.device.type, enabled=False):
        return sdpa_attention_forward(module, query.float(), key.float(), value.float(), attention_mask, **options)
