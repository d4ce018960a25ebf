"""The state of every random number generator of a process, as part of a checkpoint."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


def random_state() -> dict[str, Any]:
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "python": random.getstate()}


def set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    random.setstate(state["python"])


@contextmanager
def unless_abandoned(reason: type[BaseException]) -> Iterator[None]:
    """Leaving it by ``reason``, every generator is as it was on entering."""
    before = random_state()
    try:
        yield
    except reason:
        set_random_state(before)
        raise
