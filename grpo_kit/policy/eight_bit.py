"""AdamW whose two moments take a byte a number each: blockwise dynamic quantisation (arXiv:2110.02861, sections 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import torch
from torch import Tensor

BLOCK = 256  # numbers that share a scale, a float32: 1 + 4 / 256 bytes a number
WHOLE = 4096  # smaller weights keep moments of float32: biases and norms, which are few and sensitive
CHUNK = 2**20  # numbers that are worked on at once; what is in float32 meanwhile takes some 40 MB


@cache
def codebook(signed: bool) -> Tensor:
    """[256] ascending numbers within [-1, 1] or [0, 1]: seven decades, each finer by a bit than the one below it.

    The largest is 1, so that the largest number of a block is kept exactly and quantising again changes nothing.
    """
    found = []
    for decade in range(7):
        edges = torch.linspace(0.1, 1.0, 2 ** (decade if signed else decade + 1) + 1, dtype=torch.float64)
        found.append((edges[1:] + edges[:-1]) / 2 * 10.0 ** (decade - 6))
    numbers = torch.cat(found)
    numbers[-1] = 1.0
    zero = torch.zeros(1, dtype=torch.float64)
    table = torch.cat([-numbers.flip(0), zero, numbers] if signed else [zero, numbers])
    return torch.cat([table, table[-1:].expand(256 - len(table))]).float()


def quantised(values: Tensor, table: Tensor, noise: Tensor | float = 0.5) -> tuple[Tensor, Tensor]:
    """Codes of numbers, and the scales of their blocks.

    Args:
        values: [blocks * BLOCK] float32.
        table: a codebook on the device of the values.
        noise: [blocks * BLOCK] uniform numbers round at random, without bias; a half rounds to the nearest.

    Returns:
        uint8 [blocks * BLOCK] and float32 [blocks].
    """
    blocks = values.view(-1, BLOCK)
    scales = blocks.abs().amax(1)
    shares = (blocks / scales.clamp(min=torch.finfo(torch.float32).tiny)[:, None]).flatten()
    if table[0] == 0.0:  # what is divided by is never rounded to nothing
        shares = torch.where(shares > 0.0, shares.clamp(min=float(table[1])), shares)
    lower = (torch.bucketize(shares, table, right=True, out_int32=True) - 1).clamp(0, 254)
    low, high = table[lower], table[lower + 1]
    above = shares - low > noise * (high - low)
    return (lower + above).to(torch.uint8), scales


def restored(codes: Tensor, scales: Tensor, table: Tensor) -> Tensor:
    """The numbers that `quantised` made codes of. float32 [blocks * BLOCK]"""
    return (table[codes.int()].view(-1, BLOCK) * scales[:, None]).flatten()


class AdamW8bit(torch.optim.Optimizer):
    """AdamW (arXiv:1711.05101) with quantised moments.

    Of the second moment the root is kept: it is what a step divides by, and it spans half as many decades. It moves by less
    than the distance of two codes in a step, so it is rounded at random, or it would stand still. The random numbers depend
    on step and weight alone: a resumed run draws the same ones, and nobody else's are touched.
    """

    def __init__(self, params: Iterable[Any], lr: float, betas: tuple[float, float], eps: float) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # nobody here gives one
        index = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                index += 1
                if parameter.grad is not None:
                    self._move(parameter, group, index)

    def _move(self, parameter: Tensor, group: dict[str, Any], index: int) -> None:
        state = self.state[parameter] or _begun(self.state[parameter], parameter)
        state["step"] += 1
        weights, gradients = parameter.view(-1), parameter.grad.reshape(-1)  # type: ignore[union-attr]
        random = torch.Generator(parameter.device).manual_seed(state["step"] * 100_003 + index)
        for start in range(0, len(weights), CHUNK):
            part = slice(start, start + CHUNK)
            gradient = gradients[part].float()
            if "mean" in state:
                mean, root = state["mean"][part], state["root"][part]
                _adamw(weights[part], gradient, mean, root, group, state["step"])
                continue
            blocks = slice(start // BLOCK, -(-(start + CHUNK) // BLOCK))
            signed, unsigned = (codebook(sign).to(weights.device) for sign in (True, False))
            mean = restored(state["mean_codes"][part], state["mean_scales"][blocks], signed)
            root = restored(state["root_codes"][part], state["root_scales"][blocks], unsigned)
            size = len(gradient)
            _adamw(weights[part], gradient, mean[:size], root[:size], group, state["step"])
            noise = torch.rand(len(root), generator=random, device=weights.device)
            state["mean_codes"][part], state["mean_scales"][blocks] = quantised(mean, signed)
            state["root_codes"][part], state["root_scales"][blocks] = quantised(root, unsigned, noise)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which would make floats of the codes."""
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        parameters = [p for group in self.param_groups for p in group["params"]]
        for index, values in state_dict["state"].items():
            device = parameters[index].device
            copied = {name: v.to(device, copy=True) if torch.is_tensor(v) else v for name, v in values.items()}
            self.state[parameters[index]] = copied


def _begun(state: dict[str, Any], parameter: Tensor) -> dict[str, Any]:
    """Moments of zero."""
    state["step"] = 0
    if parameter.numel() < WHOLE:
        state["mean"], state["root"] = (torch.zeros(parameter.numel(), device=parameter.device) for _ in range(2))
        return state
    blocks = -(-parameter.numel() // BLOCK)
    for name, signed in (("mean", True), ("root", False)):
        zero = int((codebook(signed) == 0.0).nonzero()[0])
        codes = torch.full((blocks * BLOCK,), zero, dtype=torch.uint8, device=parameter.device)
        state |= {f"{name}_codes": codes, f"{name}_scales": torch.zeros(blocks, device=parameter.device)}
    return state


def _adamw(weight: Tensor, gradient: Tensor, mean: Tensor, root: Tensor, group: dict[str, Any], step: int) -> None:
    """One step in place. All tensors [n]; root: of the mean square of gradients."""
    first, second = group["betas"]
    mean.lerp_(gradient, 1.0 - first)
    root.square_().mul_(second).addcmul_(gradient, gradient, value=1.0 - second).sqrt_()
    weight.mul_(1.0 - group["lr"] * group["weight_decay"])
    size = group["lr"] / (1.0 - first**step)
    weight.addcdiv_(mean, root / (1.0 - second**step) ** 0.5 + group["eps"], value=-size)
