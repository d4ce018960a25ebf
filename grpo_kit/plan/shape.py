"""The numbers of a transformer that decide its memory and its time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ModelShape:
    """A decoder with grouped-query attention and a gated feed-forward network (Llama, Qwen, Mistral and their kin).

    Attributes:
        heads, kv_heads: query heads, and the heads of keys and values that they share.
        gate: whether the feed-forward network has a gate (three matrices a layer, otherwise two).
        tied: whether the output head is the embedding.
        softcap: whether logits are bounded by a tanh.
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied: bool
    bias: bool = False
    gate: bool = True
    softcap: bool = False

    @classmethod
    def of(cls, config: Any) -> ModelShape:
        """Read a transformers configuration."""
        heads = config.num_attention_heads
        return cls(
            hidden=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=heads,
            kv_heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            intermediate=getattr(config, "intermediate_size", None) or 4 * config.hidden_size,
            vocabulary=config.vocab_size,
            tied=bool(getattr(config, "tie_word_embeddings", False)),
            bias=config.model_type == "qwen2" or bool(getattr(config, "attention_bias", False)),
            gate=config.model_type not in ("gpt2", "gpt_neox", "opt", "phi"),
            softcap=bool(getattr(config, "final_logit_softcapping", None)),
        )

    @property
    def query(self) -> int:
        return self.heads * self.head_dim

    @property
    def key(self) -> int:
        return self.kv_heads * self.head_dim

    @property
    def linears(self) -> list[tuple[int, int]]:
        """(inputs, outputs) of every matrix of one layer."""
        h, q, k, f = self.hidden, self.query, self.key, self.intermediate
        return [(h, q), (h, k), (h, k), (q, h), (h, f), *([(h, f)] if self.gate else []), (f, h)]

    @property
    def layer_parameters(self) -> int:
        bias = self.query + 2 * self.key if self.bias else 0
        return sum(i * o for i, o in self.linears) + 2 * self.hidden + bias

    @property
    def embedding(self) -> int:
        return self.vocabulary * self.hidden

    @property
    def parameters(self) -> int:
        return self.layers * self.layer_parameters + self.embedding * (1 if self.tied else 2) + self.hidden

    def adapters(self, rank: int) -> int:
        """Parameters of LoRA adapters of this rank on every matrix."""
        return self.layers * sum(rank * (i + o) for i, o in self.linears)


# As their configurations on the hub say: so that a plan needs no download.
KNOWN: dict[str, ModelShape] = {
    "qwen2.5-0.5b": ModelShape(896, 24, 14, 2, 64, 4864, 151936, True, True),
    "qwen2.5-1.5b": ModelShape(1536, 28, 12, 2, 128, 8960, 151936, True, True),
    "qwen2.5-3b": ModelShape(2048, 36, 16, 2, 128, 11008, 151936, True, True),
    "qwen2.5-7b": ModelShape(3584, 28, 28, 4, 128, 18944, 152064, False, True),
    "qwen2.5-14b": ModelShape(5120, 48, 40, 8, 128, 13824, 152064, False, True),
    "qwen2.5-32b": ModelShape(5120, 64, 40, 8, 128, 27648, 152064, False, True),
    "qwen2.5-72b": ModelShape(8192, 80, 64, 8, 128, 29568, 152064, False, True),
    "llama-3.2-1b": ModelShape(2048, 16, 32, 8, 64, 8192, 128256, True),
    "llama-3.2-3b": ModelShape(3072, 28, 24, 8, 128, 8192, 128256, True),
    "llama-3.1-8b": ModelShape(4096, 32, 32, 8, 128, 14336, 128256, False),
}


def known_shape(path: str) -> ModelShape | None:
    """The shape of a hub name such as ``Qwen/Qwen2.5-1.5B-Instruct``, if it stands in the table."""
    name = path.rsplit("/", 1)[-1].lower().removesuffix("-instruct").removesuffix("-math")
    return KNOWN.get(re.sub("-(math|coder)-", "-", name))
