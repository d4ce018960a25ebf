"""What `grpo-kit plan` comes to, as data."""

from __future__ import annotations

from dataclasses import dataclass

from .advice import Change
from .memory import Memory


@dataclass(frozen=True)
class Outlook:
    """What one device has to hold for a recipe, and how long it takes.

    Attributes:
        device: its name; ``devices`` of them work together.
        memory: of each device by part, in bytes: ``kept``, ``generate``, ``update``, and ``peak``.
        device_bytes: what a device has.
        fits: whether the peak fits, with what fragmentation takes.
        changes: what to change where it does not, the nearest first; empty where it fits, or nothing helps.
        step_seconds: of a (synchronous) step; None where the recipe samples nothing and runs on GPUs.
        run_seconds: of the whole run; None on GPUs.
    """

    device: str
    devices: int
    memory: Memory
    device_bytes: int
    fits: bool
    changes: list[Change]
    step_seconds: float | None = None
    run_seconds: float | None = None
