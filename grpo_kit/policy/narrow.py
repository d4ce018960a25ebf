"""Weights in bfloat16 without a copy of float32: what an update adds is rounded at random, so that none is lost on average.

A bfloat16 has eight bits of precision, and an update at the learning rates of reinforcement learning is mostly smaller than half
the distance of two: rounded to the nearest, the weight would never move. Rounded up or down with probabilities that make the mean
right, it moves by as much on average ("Revisiting BFloat16 Training", arXiv:2010.06192).
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from grpo_kit.errors import UserError
from grpo_kit.runtime import ranks

from .layers import blocks_of
from .network import Network

LOST = 2**16  # float32 numbers between two of bfloat16


def layer_matrices(model: Network) -> Iterator[nn.Linear]:
    """What is kept in bfloat16: the products of the layers.

    Norms and biases are few, and stay; so do embedding and head: the stream between layers has the embedding's precision, and a
    token or a chunk of logits adds to their gradients so often that sums of bfloat16 would lose it.
    """
    for block in blocks_of(model):
        yield from (module for module in block.modules() if isinstance(module, nn.Linear))


def narrow(model: Network) -> None:
    """Keep the matrices of the layers in bfloat16, in place."""
    for layer in layer_matrices(model):
        layer.weight.data = layer.weight.data.to(torch.bfloat16)


def is_narrow(model: Network) -> bool:
    """Whether it trains weights that have no copy of float32."""
    return any(layer.weight.dtype is torch.bfloat16 and layer.weight.requires_grad for layer in layer_matrices(model))


def rounded(values: Tensor, random: torch.Generator) -> Tensor:
    """The bfloat16 below or above each number, with the probabilities whose mean is the number.

    Args:
        values: float32, finite.
        random: of their device.
    """
    # The bits of a float32 are those of the bfloat16 nearer to zero and 16 more, which say how far it is to the next one.
    noise = torch.randint(LOST, values.shape, generator=random, device=values.device, dtype=torch.int32)
    bits = values.contiguous().view(torch.int32)
    return ((bits + noise) & -LOST).view(torch.float32).to(torch.bfloat16)


def check_narrow(precision: torch.dtype | None, *, adapters: bool, natural_gradient: bool, averages: bool) -> None:
    """Raises UserError where ``model.weight_dtype`` bfloat16 does not go with the rest of a recipe.

    Args:
        precision: of matrix products; None: float32.
        averages: a target network moves towards the weights by a share of the way.
    """
    where = "model.weight_dtype bfloat16"
    if precision is not torch.bfloat16:
        raise UserError(f"{where} needs products in bfloat16; set model.dtype=bfloat16")
    if adapters:
        raise UserError(
            f"{where} is for weights that are trained, and model.lora trains none; set model.lora.base_dtype=bfloat16, "
            "which keeps the frozen ones so"
        )
    if natural_gradient:
        raise UserError(f"{where}: objective.step natural_gradient solves for its step in float32; leave it out")
    if averages:
        raise UserError(
            f"{where} with objective.target_rate: an average that moves by a small share is rounded away; use target_rate 1 with "
            "target_every, which copies the weights"
        )
    if ranks.world_size() > 1:
        raise UserError(
            f"{where} is for one process: FSDP2 wants one dtype for what it gathers together, and several processes spread "
            "float32 weights over them already; leave it out, or run one process"
        )
