"""AdamW in less memory: moments in a byte a number, weights in bfloat16, or both."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from .eight_bit import BLOCK, codebook, quantised, restored
from .narrow import rounded

WHOLE = 4096  # smaller weights keep moments of float32: biases and norms, which are few and sensitive
CHUNK = 2**20  # numbers that are worked on at once; what is in float32 meanwhile takes some 40 MB


class CompactAdamW(torch.optim.Optimizer):
    """AdamW (arXiv:1711.05101), computed in float32 whatever its weights and moments are kept in.

    Of the second moment the root is kept: it is what a step divides by, and it spans half as many decades. In a byte it moves by
    less than the distance of two codes in a step, so it is rounded at random, or it would stand still; so are weights of
    bfloat16. The random numbers depend on step and weight alone: a resumed run draws the same ones, and nobody else's are
    touched.

    Args:
        moments: float32 or 8bit.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, betas: tuple[float, float], eps: float, moments: str = "8bit"
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": 0.0})
        self.eight_bit = moments == "8bit"

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]  # nobody here gives one
        index = 0
        for group in self.param_groups:
            for parameter in group["params"]:
                index += 1
                if parameter.grad is not None:
                    self._move(parameter, group, index)

    def _move(self, parameter: Tensor, group: dict[str, Any], index: int) -> None:
        state = self.state[parameter] or self._begun(parameter)
        state["step"] += 1
        weights, gradients = parameter.view(-1), parameter.grad.reshape(-1)  # type: ignore[union-attr]
        random = torch.Generator(parameter.device).manual_seed(state["step"] * 100_003 + index)
        for start in range(0, len(weights), CHUNK):
            part = slice(start, start + CHUNK)
            weight, gradient = weights[part].float(), gradients[part].float()
            if "mean" in state:
                _adamw(weight, gradient, state["mean"][part], state["root"][part], group, state["step"])
            else:
                self._move_coded(weight, gradient, state, start, group, random)
            if weights.dtype is torch.bfloat16:
                weights[part] = rounded(weight, random)

    def _move_coded(
        self,
        weight: Tensor,
        gradient: Tensor,
        state: dict[str, Any],
        start: int,
        group: dict[str, Any],
        random: torch.Generator,
    ) -> None:
        """One step of the numbers from ``start`` on, whose moments are codes."""
        part = slice(start, start + CHUNK)
        blocks = slice(start // BLOCK, -(-(start + CHUNK) // BLOCK))
        signed, unsigned = (codebook(sign).to(weight.device) for sign in (True, False))
        mean = restored(state["mean_codes"][part], state["mean_scales"][blocks], signed)
        root = restored(state["root_codes"][part], state["root_scales"][blocks], unsigned)
        size = len(gradient)
        _adamw(weight, gradient, mean[:size], root[:size], group, state["step"])
        noise = torch.rand(len(root), generator=random, device=weight.device)
        state["mean_codes"][part], state["mean_scales"][blocks] = quantised(mean, signed)
        state["root_codes"][part], state["root_scales"][blocks] = quantised(root, unsigned, noise)

    def _begun(self, parameter: Tensor) -> dict[str, Any]:
        """Moments of zero."""
        state = self.state[parameter]
        state["step"] = 0
        if not self.eight_bit or parameter.numel() < WHOLE:
            state["mean"], state["root"] = (torch.zeros(parameter.numel(), device=parameter.device) for _ in range(2))
            return state
        blocks = -(-parameter.numel() // BLOCK)
        for name, signed in (("mean", True), ("root", False)):
            zero = int((codebook(signed) == 0.0).nonzero()[0])
            codes = torch.full((blocks * BLOCK,), zero, dtype=torch.uint8, device=parameter.device)
            state |= {f"{name}_codes": codes, f"{name}_scales": torch.zeros(blocks, device=parameter.device)}
        return state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """As torch's, which would make all of it what the weights are."""
        super().load_state_dict({"state": {}, "param_groups": state_dict["param_groups"]})
        parameters = [p for group in self.param_groups for p in group["params"]]
        for index, values in state_dict["state"].items():
            device = parameters[index].device
            copied = {name: v.to(device, copy=True) if torch.is_tensor(v) else v for name, v in values.items()}
            self.state[parameters[index]] = copied


def _adamw(weight: Tensor, gradient: Tensor, mean: Tensor, root: Tensor, group: dict[str, Any], step: int) -> None:
    """One step in place. All tensors [n]; root: of the mean square of gradients."""
    first, second = group["betas"]
    mean.lerp_(gradient, 1.0 - first)
    root.square_().mul_(second).addcmul_(gradient, gradient, value=1.0 - second).sqrt_()
    weight.mul_(1.0 - group["lr"] * group["weight_decay"])
    size = group["lr"] / (1.0 - first**step)
    weight.addcdiv_(mean, root / (1.0 - second**step) ** 0.5 + group["eps"], value=-size)
