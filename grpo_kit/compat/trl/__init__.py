"""TRL 1.16: its scripts and configurations as recipes, and its GRPO trainer's arguments as a run. TRL is not needed.

    from grpo_kit.compat.trl import GRPOConfig, GRPOTrainer

Reading a script executes nothing of it; `GRPOTrainer` is for a script that runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import GRPOConfig
    from .trainer import GRPOTrainer

__all__ = ["GRPOConfig", "GRPOTrainer"]


def __getattr__(name: str) -> Any:
    """The two classes, imported when they are first asked for: reading a script needs neither."""
    if name == "GRPOConfig":
        from .settings import GRPOConfig

        return GRPOConfig
    if name == "GRPOTrainer":
        from .trainer import GRPOTrainer

        return GRPOTrainer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
