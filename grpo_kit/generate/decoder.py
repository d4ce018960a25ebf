"""One decoding step of a Llama-like model, written out, for one token or a few.

A decoding step is small: at a hundred rows transformers' own forward spends as long in Python and in separate small
products as in arithmetic. Here a step is a dozen operations per layer on weights that are read once per call of the
engine: joined (query, key and value; gate and up), adapters merged, and in the dtype of generation. The prompt still goes
through the model itself, and a model of another build, or whose numbers differ from these, is decoded by its own forward.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import DynamicCache

from grpo_kit.policy.models import Policy

from .slots import SlotCache

MODEL_TYPES = ("llama", "qwen2", "qwen3", "mistral")
PROBE_TOKENS = 8
PROBE_TOLERANCE = {torch.float64: 1e-5, torch.float32: 1e-4}  # transformers norms in float32 in any case
PROBE_TOLERANCE_16_BIT = 0.1


@dataclass(frozen=True, slots=True)
class _Layer:
    """Weights of one layer; biases and the norms of queries and keys where the model has them."""

    norm: Tensor
    qkv: Tensor
    qkv_bias: Tensor | None
    query_norm: Tensor | None
    key_norm: Tensor | None
    out: Tensor
    out_bias: Tensor | None
    mlp_norm: Tensor
    gate_up: Tensor
    down: Tensor


class Decoder:
    """The weights of a policy as they are now, ready to decode with.

    Args:
        policy: one for which `can_decode` holds.
    """

    def __init__(self, policy: Policy) -> None:
        backbone: Any = policy.backbone
        config = backbone.config
        self.dtype = policy.autocast or backbone.embed_tokens.weight.dtype
        self.heads, self.key_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_dim = getattr(config, "head_dim", None) or config.hidden_size // self.heads
        self.epsilon = config.rms_norm_eps
        self.embedding, self.norm, self.rotary = backbone.embed_tokens.weight, backbone.norm.weight, backbone.rotary_emb
        with torch.no_grad():
            self.layers = [self._read(layer) for layer in backbone.layers]
            head = policy.head
            self.head = head if head.full else replace(head, weight=head.weight.to(self.dtype))

    def _read(self, layer: Any) -> _Layer:
        attention, mlp = layer.self_attn, layer.mlp
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        biases = [_bias(p) for p in projections]
        known = [b for b in biases if b is not None]
        out_bias = _bias(attention.o_proj)
        return _Layer(
            layer.input_layernorm.weight,
            torch.cat([_weight(p) for p in projections]).to(self.dtype),
            torch.cat(known).to(self.dtype) if known else None,
            attention.q_norm.weight if hasattr(attention, "q_norm") else None,
            attention.k_norm.weight if hasattr(attention, "k_norm") else None,
            _weight(attention.o_proj).to(self.dtype),
            None if out_bias is None else out_bias.to(self.dtype),
            layer.post_attention_layernorm.weight,
            torch.cat([_weight(mlp.gate_proj), _weight(mlp.up_proj)]).to(self.dtype),
            _weight(mlp.down_proj).to(self.dtype),
        )

    def step(self, tokens: Tensor, positions: Tensor, cache: SlotCache, last: Tensor | None = None) -> Tensor:
        """Logits [rows, vocabulary] after one or several more tokens per row, float32.

        Args:
            tokens, positions: [rows, tokens] long.
            cache: told by `SlotCache.step` or `SlotCache.extend` where they go.
            last: [rows] long: the token whose logits are wanted, where rows are padded on the right.
        """
        rows, count = tokens.shape
        hidden = F.embedding(tokens.flatten(), self.embedding)
        cos, sin = (
            part[:, 0, None] for part in self.rotary(hidden[:, None], positions.reshape(-1, 1))
        )  # [rows * tokens, 1, head_dim]
        mask = cache.additive_mask(self.dtype)
        if count > 1:
            mask = mask.repeat(1, 1, self.heads // self.key_heads, 1)
        for index, layer in enumerate(self.layers):
            attended = self._attend(self._normed(hidden, layer.norm), layer, cos, sin, cache, index, mask)
            hidden = hidden + F.linear(attended, layer.out, layer.out_bias)
            gate, up = F.linear(self._normed(hidden, layer.mlp_norm), layer.gate_up).chunk(2, -1)
            hidden = hidden + F.linear(F.silu(gate).mul_(up), layer.down)
        if last is not None:
            hidden = hidden.view(rows, count, -1)[torch.arange(rows, device=hidden.device), last]
        normed = F.rms_norm(hidden, self.norm.shape, self.norm, self.epsilon)
        return self.head.logits(normed if self.head.full else normed.to(self.dtype))

    def _normed(self, hidden: Tensor, weight: Tensor) -> Tensor:
        return F.rms_norm(hidden, weight.shape, weight, self.epsilon).to(self.dtype)

    def _attend(
        self, normed: Tensor, layer: _Layer, cos: Tensor, sin: Tensor, cache: SlotCache, index: int, mask: Tensor
    ) -> Tensor:
        tokens, split = normed.shape[0], self.heads + self.key_heads
        heads = F.linear(normed, layer.qkv, layer.qkv_bias).view(tokens, split + self.key_heads, self.head_dim)
        turned = heads[:, :split]
        if layer.query_norm is not None and layer.key_norm is not None:
            shape = layer.query_norm.shape
            query = F.rms_norm(turned[:, : self.heads], shape, layer.query_norm, self.epsilon)
            key = F.rms_norm(turned[:, self.heads :], shape, layer.key_norm, self.epsilon)
            turned = torch.cat([query, key], 1)
        turned = _rotate(turned, cos, sin).to(self.dtype)
        by_row = (mask.shape[0], -1)
        keys, values = cache.slot_layers[index].write(
            turned[:, self.heads :].unflatten(0, by_row), heads[:, split:].unflatten(0, by_row)
        )
        # The queries that share a key head are rows of one small product: [rows, key heads, queries of each, head_dim].
        query = turned[:, : self.heads].reshape(
            mask.shape[0], -1, self.key_heads, self.heads // self.key_heads, self.head_dim
        )
        query = query.permute(0, 2, 3, 1, 4).flatten(2, 3)
        attended = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask)
        attended = attended.unflatten(2, (self.heads // self.key_heads, -1)).permute(0, 3, 1, 2, 4)
        return attended.reshape(tokens, -1)


def _rotate(heads: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    half = heads.shape[-1] // 2
    turned = heads * cos
    turned[..., :half].addcmul_(heads[..., half:], sin[..., :half], value=-1.0)
    turned[..., half:].addcmul_(heads[..., :half], sin[..., half:])
    return turned


def _weight(module: Any) -> Tensor:
    """[out, in] of a linear layer, with the adapters that are switched on merged into it."""
    if type(module) is nn.Linear:
        return module.weight
    weight: Tensor = module.base_layer.weight
    if module.disable_adapters:
        return weight
    for name in module.active_adapters:
        weight = weight + module.get_delta_weight(name)  # float32 beside a frozen weight of bfloat16
    return weight


def _bias(module: Any) -> Tensor | None:
    return module.bias if type(module) is nn.Linear else module.base_layer.bias


def can_decode(policy: Policy) -> bool:
    """Whether `Decoder` knows the build of this model, and computes what the model itself computes."""
    backbone: Any = policy.backbone
    config = getattr(backbone, "config", None)
    if getattr(config, "model_type", None) not in MODEL_TYPES or getattr(config, "hidden_act", None) != "silu":
        return False
    # Sharded weights are whole only inside the model's own forward, and a hook expects to be called.
    if any(type(p.data) is not Tensor for p in backbone.parameters()) or _hooked(backbone):
        return False
    plain = all(_readable(getattr(layer, part)) for layer in backbone.layers for part in ("self_attn", "mlp"))
    return plain and _agrees(policy)


def _readable(block: nn.Module) -> bool:
    projections = [m for name, m in block.named_children() if name.endswith("_proj")]
    return all(type(m) is nn.Linear or _adapted(m) for m in projections) and all(
        m.bias is None for name, m in block.named_children() if name in ("gate_proj", "up_proj", "down_proj")
    )


def _adapted(module: Any) -> bool:
    """Adapters over a matrix that may be copied: one of four bits is kept so because whole ones have no place."""
    return hasattr(module, "get_delta_weight") and not module.merged and type(module.base_layer) is nn.Linear


def _hooked(module: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks for m in module.modules())


@torch.no_grad()
def _agrees(policy: Policy) -> bool:
    """A few tokens decoded one by one, and a few at once, give the logits that the model's forward gives."""
    vocabulary = int(policy.model.config.vocab_size)
    ids = (torch.arange(PROBE_TOKENS, device=policy.device) * 37 + 5) % vocabulary
    decoder = Decoder(policy)
    cache = SlotCache(len(decoder.layers), 1, decoder.dtype)
    prefilled = DynamicCache()
    with policy.precision():
        wanted = policy.head.logits(policy.hidden(ids[None])[0])
        policy.backbone(input_ids=ids[None, :1], past_key_values=prefilled, use_cache=True)
    cache.insert(0, prefilled, torch.zeros(1, dtype=torch.long, device=policy.device))
    found = []
    for place in range(1, PROBE_TOKENS // 2):
        position = torch.tensor([place], device=policy.device)
        cache.step(position)
        found.append(decoder.step(ids[None, place : place + 1], position[:, None], cache))
    at_once = torch.arange(PROBE_TOKENS // 2, PROBE_TOKENS, device=policy.device)[None]
    cache.extend(0, at_once)
    found.append(decoder.step(ids[at_once], at_once, cache, torch.tensor([at_once.shape[1] - 1], device=policy.device)))
    wanted = wanted[[*range(1, PROBE_TOKENS // 2), PROBE_TOKENS - 1]]
    scale = wanted.float().abs().max().clamp(min=1.0)
    difference = (torch.cat(found).float() - wanted.float()).abs().max() / scale
    return bool(difference < PROBE_TOLERANCE.get(decoder.dtype, PROBE_TOLERANCE_16_BIT))
