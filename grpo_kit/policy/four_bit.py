"""Frozen matrices in four bits each number (QLoRA, arXiv:2305.14314), by bitsandbytes: made whole again for each product.

NF4 of blocks of 64 numbers, whose scales are quantised as well (section 3 of the paper): 0.516 bytes a number.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from grpo_kit.errors import UserError

BLOCK = 64
BYTES = (
    0.5 + 1 / BLOCK + 4 / (BLOCK * 256)
)  # a number: its code, its shares of a scale in a byte and of that one's scale


def check_four_bit(device: torch.device) -> None:
    """Raises UserError where bitsandbytes is missing, or has no kernels."""
    where = "model.lora.base_dtype nf4"
    if find_spec("bitsandbytes") is None:
        raise UserError(f'{where} needs bitsandbytes: pip install "grpo-kit[qlora]"')
    if device.type not in ("cpu", "cuda"):
        raise UserError(
            f"{where} is for cpu and cuda, and the device is {device.type}; set model.lora.base_dtype=float32"
        )


class FourBitLinear(nn.Module):
    """A linear layer that is not trained, its matrix in NF4.

    Not bitsandbytes' own, which packs its codes anew, for inference, as soon as it is not in training mode.

    Args:
        layer: whose matrix is taken.
        precision: of the products; the rounded numbers are of it too.
    """

    def __init__(self, layer: nn.Linear, precision: torch.dtype) -> None:
        from bitsandbytes.functional import quantize_4bit

        super().__init__()
        self.in_features, self.out_features, self.precision = layer.in_features, layer.out_features, precision
        weight = layer.weight.data.to(precision)
        codes, self.scales = quantize_4bit(weight, blocksize=BLOCK, compress_statistics=True, quant_type="nf4")
        self.register_buffer("weight", codes)
        self.bias = layer.bias

    def whole(self) -> Tensor:
        """[out, in] the numbers that the codes stand for."""
        from bitsandbytes.functional import dequantize_4bit

        made: Tensor = dequantize_4bit(self.weight, self.scales)
        return made

    def forward(self, inputs: Tensor) -> Tensor:
        with torch.autocast(inputs.device.type, enabled=False):
            product: Tensor = _Product.apply(inputs.to(self.precision), self)
            return product if self.bias is None else product + self.bias.to(self.precision)


class _Product(torch.autograd.Function):
    """With a matrix that is made whole for either pass: kept for the backward one it would be there of every layer at once."""

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, layer: FourBitLinear) -> Tensor:
        ctx.layer = layer
        return nn.functional.linear(inputs, layer.whole())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient @ ctx.layer.whole().to(gradient.dtype), None
