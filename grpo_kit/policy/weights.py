"""The policy's weights as an engine wants them: the names of its Hugging Face checkpoint, adapters merged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self

import torch
from torch import Tensor

from .four_bit import FourBitLinear


@torch.no_grad()
def exported_weights(model: Any, adapters: bool = True) -> Iterator[tuple[str, Tensor]]:
    """Name and tensor of every weight, without copying what need not be computed.

    Tied weights appear under each of their names, other than in a saved checkpoint: on reload vLLM fills embedding and
    output head separately, and would go on with the old head if only the embedding were named.

    Args:
        model: a transformers model, or a PEFT model around one, whose LoRA adapters are added to their weights.
        adapters: False leaves them out: the frozen weights alone.
    """
    from transformers.core_model_loading import revert_weight_conversion

    base = model.get_base_model() if hasattr(model, "peft_config") else model
    # transformers fuses some layers (experts, for one) when it loads; engines read the checkpoint's own layout.
    yield from revert_weight_conversion(base, dict(_merged(base, adapters))).items()


def whole_of(tensor: Any) -> Tensor:
    """A tensor that may be spread over the ranks, whole; every rank must ask."""
    if not hasattr(tensor, "full_tensor"):
        return tensor.detach()
    # Shards may rest in the memory of the host, where NCCL does not reach.
    return tensor.detach().to(tensor.device_mesh.device_type).full_tensor()


def cut_like(parameter: Any, whole: Tensor) -> Tensor:
    """A whole tensor as ``parameter`` is: on its device, this rank's part of it where it is spread."""
    if not hasattr(parameter, "full_tensor"):
        return whole.to(parameter.device, parameter.dtype, copy=True)
    from torch.distributed.tensor import distribute_tensor

    placed = whole.to(parameter.device_mesh.device_type, parameter.dtype)
    return distribute_tensor(placed, parameter.device_mesh, parameter.placements, src_data_rank=None)


@torch.no_grad()
def fill(parameter: Any, weight: Any) -> None:
    """Copy a weight, whole or spread as ``parameter`` is, into it: where it is spread, this rank's part."""
    cut: Any = weight if hasattr(weight, "full_tensor") else cut_like(parameter, weight)
    if hasattr(parameter, "to_local"):
        parameter, cut = parameter.to_local(), cut.to_local()
    parameter.copy_(cut)


class Weighted:
    """Something whose network's weights are copied, put back, and moved towards those of another one of its shape."""

    model: Any

    @torch.no_grad()
    def follow(self, other: Self, rate: float = 1.0) -> None:
        """Take the other's weights, whole or spread over the ranks, or move by a share of the way to them."""
        for mine, theirs in zip(self.model.parameters(), other.model.parameters(), strict=True):
            if rate == 1.0:
                fill(mine, theirs)
            else:
                mine.lerp_(theirs, rate)

    def snapshot(self) -> dict[str, Tensor]:
        """A copy of all weights, in the memory of the host; every rank must ask."""
        return {name: whole_of(p).to("cpu", copy=True) for name, p in self.model.named_parameters()}

    def restore(self, weights: dict[str, Tensor]) -> None:
        """Put back what `snapshot` gave, at any number of ranks."""
        for name, parameter in self.model.named_parameters():
            fill(parameter, weights[name])


def _merged(base: Any, adapters: bool) -> Iterator[tuple[str, Tensor]]:
    """The state of the model with every LoRA layer replaced by the plain layer that it amounts to."""
    adapted = {name: module for name, module in base.named_modules() if hasattr(module, "base_layer")}
    for name, tensor in base.state_dict().items():
        owner = next((o for o in _parents(name) if o in adapted), None)
        if owner is None:
            yield name, tensor
        elif name.startswith(f"{owner}.base_layer."):
            leaf = name.removeprefix(f"{owner}.base_layer.")
            if leaf == "weight":
                yield f"{owner}.{leaf}", _whole(adapted[owner], adapters)
            else:
                yield f"{owner}.{leaf}", tensor


def _parents(name: str) -> Iterator[str]:
    while "." in name:
        name = name.rpartition(".")[0]
        yield name


def _whole(layer: Any, adapters: bool) -> Tensor:
    """The matrix of an adapted layer; in the host's memory where its own device was not to hold all of them whole."""
    small = isinstance(layer.base_layer, FourBitLinear)
    weight = layer.base_layer.whole() if small else layer.base_layer.weight.detach()
    weight = _with_adapters(layer, weight) if adapters else weight
    return weight.cpu() if small else weight


def _with_adapters(layer: Any, weight: Tensor) -> Tensor:
    if layer.merged:
        return weight
    for adapter in layer.active_adapters:
        if adapter in layer.lora_A:
            weight = weight + layer.get_delta_weight(adapter)  # float32 beside a frozen weight of bfloat16
    return weight
