"""The network that learns: where it comes from, and its adapters."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from grpo_kit.runtime.strict import PathText, Strict


class ScratchModelConfig(Strict):
    """A tiny Qwen2-architecture model over bytes, made from random weights."""

    hidden_size: PositiveInt = Field(
        128, description="width of the residual stream, in numbers; an even multiple of heads"
    )
    intermediate_size: PositiveInt = Field(384, description="width of each layer's feed-forward part, in numbers")
    layers: PositiveInt = Field(3, description="number of transformer layers")
    heads: PositiveInt = Field(4, description="attention heads of each layer")
    context_length: PositiveInt = Field(4096, description="tokens of the longest sequence that the model takes")

    @model_validator(mode="after")
    def _heads_divide(self) -> ScratchModelConfig:
        if self.hidden_size % (2 * self.heads):
            raise ValueError(f"hidden_size {self.hidden_size} must be an even multiple of heads {self.heads}")
        return self


class LoraConfig(Strict):
    """Low-rank adapters (arXiv:2106.09685): the base stays frozen, and with adapters off it is the reference."""

    rank: PositiveInt = Field(16, description="rank of each adapter: more is more that can be learned, and more memory")
    alpha: PositiveFloat = Field(32.0, description="the adapters' output is scaled by alpha / rank")
    targets: tuple[str, ...] | Literal["all-linear"] = Field(
        "all-linear", description="names of the layers that get adapters"
    )
    base_dtype: Literal["float32", "bfloat16", "nf4"] = Field(
        "float32",
        description="of the frozen matrices below the adapters. bfloat16 is half of their memory and, beside products in "
        "bfloat16, the same log-probabilities; nf4 (QLoRA) is an eighth, rounded to four bits (one process)",
    )


class ModelConfig(Strict):
    """Where the policy comes from: ``path`` (a Hugging Face folder, a .gguf file or a hub name) or ``scratch``."""

    path: PathText | None = Field(None, description="a Hugging Face folder, a .gguf file, or a name on the hub")
    scratch: ScratchModelConfig | None = Field(None, description="a tiny model from random weights instead of a path")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of matrix products; weights are weight_dtype. auto: bfloat16 on a GPU, float32 on a CPU"
    )
    weight_dtype: Literal["float32", "bfloat16"] = Field(
        "float32",
        description="of the layers' matrices, which are trained; bfloat16 keeps them and their gradients in half the memory, "
        "each update rounded at random (one process, beside products in bfloat16)",
    )
    head_dtype: Literal["same", "float32"] = Field(
        "same",
        description="of the product with the output head. float32 beside bfloat16: log-probabilities nearer the exact ones, "
        "for more time and memory there; vLLM samples with its own head in any case",
    )
    compile: bool = Field(
        False,
        description="torch.compile the layers for training: some seconds at the start, needs a C++ compiler on a CPU",
    )
    lora: LoraConfig | None = Field(
        None, description="train low-rank adapters and leave the weights as they are; null trains all weights"
    )

    @model_validator(mode="before")
    @classmethod
    def _path_replaces_scratch(cls, values: Any) -> Any:
        if isinstance(values, dict) and None not in (values.get("path"), values.get("scratch")):
            raise ValueError(
                "give either path or scratch, not both (an override of one can be paired with scratch=null)"
            )
        return values

    @model_validator(mode="after")
    def _one_source(self) -> ModelConfig:
        if self.path is None and self.scratch is None:
            raise ValueError("needs a path (a Hugging Face folder, a .gguf file or a hub name) or a scratch section")
        return self
