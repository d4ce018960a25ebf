"""The attention of the networks that are trained: transformers' own, with two things it has not.

**Trees.** The answers to a prompt may share its pass (prefix.py); a micro-batch that does so comes with its tree.

**float32 beside bfloat16 products, for CPUs.** The backward pass of the fused attention of a CPU takes three times as long
in bfloat16 as in float32 (torch 2.13, sequences of 136 tokens: 105 against 38 ms), which is a third of a whole step under
autocast.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .network import Backbone
from .prefix import PrefixTree

FLOAT32, TREES = "grpo_kit_float32", "grpo_kit_trees"


def use_float32_attention(model: Any) -> None:
    """Have a transformers model that uses SDPA call it with float32 queries, keys and values under autocast."""
    _use(model, FLOAT32)


def share_prompts(model: Any, backbone: Backbone) -> str | None:
    """Let a network attend to trees from here on, if it gives the same numbers then; else why it cannot.

    Args:
        model: the transformers model whose config says how its backbone attends.
    """
    config = model.config
    if config._attn_implementation not in ("sdpa", FLOAT32):
        return f"its attention is {config._attn_implementation!r}, not 'sdpa'"
    kinds = set(getattr(config, "layer_types", None) or ())
    if kinds - {"full_attention"} or (not kinds and getattr(config, "sliding_window", None)):
        return f"its layers are not of full attention alone ({', '.join(sorted(kinds)) or 'a sliding window'})"
    before = config._attn_implementation
    _use(model, TREES)
    try:
        reason = _differs(config, backbone)
    except (RuntimeError, TypeError, ValueError) as error:
        reason = f"its code does not take a tree: {str(error).splitlines()[0]}"
    if reason is not None:
        model.set_attn_implementation(before)
    return reason


def attends_to_trees(model: Any) -> bool:
    """Whether micro-batches of trees may be given to this network."""
    return bool(model.config._attn_implementation == TREES)


def last_hidden(backbone: Backbone, input_ids: Tensor, tree: PrefixTree | None = None) -> Tensor:
    """[rows, length] token ids, padded on the right, or one row with its tree -> [rows, length, hidden]."""
    if tree is None:
        return backbone(input_ids=input_ids, use_cache=False).last_hidden_state
    # A mask of four dimensions is what transformers hands on as it is; the tree says what it would.
    handed_on = tree.visible[:1, :, :1, :1]
    branched: Any = {"position_ids": tree.position_ids, "attention_mask": handed_on, "tree": tree}
    return backbone(input_ids=input_ids, use_cache=False, **branched).last_hidden_state


@torch.no_grad()
def _differs(config: Any, backbone: Backbone) -> str | None:
    """What is wrong with the hidden states of a small tree; None where they are those of a row per sequence."""
    trunk, branches = [1, 2, 3], [[4, 5, 6, 7], [8, 9], [10]]
    device = next(backbone.parameters()).device  # type: ignore[attr-defined]
    row = torch.tensor([trunk + [t for branch in branches for t in branch]], device=device) % config.vocab_size
    ours = last_hidden(backbone, row, PrefixTree.of([(len(trunk), [len(b) for b in branches])], device))[0]
    begin = len(trunk)
    for branch in branches:
        alone = torch.tensor([trunk + branch], device=device) % config.vocab_size
        theirs = last_hidden(backbone, alone)[0]
        shared = torch.cat([ours[: len(trunk)], ours[begin : begin + len(branch)]])
        if not torch.allclose(shared, theirs, rtol=1e-3, atol=1e-3 * float(theirs.abs().max())):
            return f"its hidden states differ by {float((shared - theirs).abs().max()):.3g} then"
        begin += len(branch)
    return None


def _use(model: Any, name: str) -> None:
    from transformers import AttentionInterface
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

    if model.config._attn_implementation not in ("sdpa", FLOAT32):
        return
    AttentionInterface.register(name, _attend)
    AttentionMaskInterface.register(name, sdpa_mask)
    model.set_attn_implementation(name)


def _attend(
    module: Any,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    tree: PrefixTree | None = None,
    **options: Any,
) -> tuple[Tensor, None]:
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> tuple[Tensor, None]:
        if tree is not None:
            return tree.attend(query, key, value, scaling), None
        return sdpa_attention_forward(module, query, key, value, mask, scaling=scaling, **options)

    if query.device.type != "cpu" or not torch.is_autocast_enabled("cpu"):
        return attend(query, key, value, attention_mask)
    if attention_mask is not None and attention_mask.is_floating_point():
        attention_mask = attention_mask.float()
    with torch.autocast("cpu", enabled=False):
        return attend(query.float(), key.float(), value.float(), attention_mask)
