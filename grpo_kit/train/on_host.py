"""An optimizer whose moments are in the memory of the host, while weights and gradients are on the device."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def on_host(
    parameters: Sequence[nn.Parameter], make: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
) -> torch.optim.Optimizer:
    """An optimizer of copies on the host, which are brought what a step needs and give back what it made.

    Args:
        make: the optimizer of a list of weights.
    """
    pinned = torch.cuda.is_available()
    copies = [nn.Parameter(_host(p, pinned)) for p in parameters]
    for copy in copies:
        copy.requires_grad_()
    optimizer = make(copies)

    @torch.no_grad()
    def fetch(*_: object) -> None:
        for copy, parameter in zip(copies, parameters, strict=True):
            copy.copy_(parameter, non_blocking=True)  # also what was loaded or put back since
            if parameter.grad is not None:
                copy.grad = _host(parameter.grad, pinned).copy_(parameter.grad, non_blocking=True)
        _wait(parameters)

    @torch.no_grad()
    def give(*_: object) -> None:
        for copy, parameter in zip(copies, parameters, strict=True):
            parameter.copy_(copy, non_blocking=True)
        _wait(parameters)  # before the gradients' memory is given back
        for copy in copies:
            copy.grad = None

    optimizer.register_step_pre_hook(fetch)
    optimizer.register_step_post_hook(give)
    return optimizer


def _host(tensor: Tensor, pinned: bool) -> Tensor:
    return torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=pinned)


def _wait(parameters: Sequence[Tensor]) -> None:
    if parameters and parameters[0].is_cuda:
        torch.cuda.current_stream(parameters[0].device).synchronize()
