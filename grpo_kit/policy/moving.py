"""How what was made on the host comes to its device."""

from __future__ import annotations

import torch
from torch import Tensor


def moved(tensor: Tensor, device: torch.device | str) -> Tensor:
    """The tensor on that device. To a GPU it is copied from pinned memory, beside what either side works on meanwhile.

    From pageable memory the host would wait until the copy is made, and so for all that was queued before it.
    """
    if torch.device(device).type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)
