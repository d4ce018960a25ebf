"""Which engine a recipe asks for."""

from __future__ import annotations

from pathlib import Path

from grpo_kit.config import RolloutConfig
from grpo_kit.policy.models import Policy

from .base import Generator
from .torch_engine import TorchEngine


def open_generator(rollout: RolloutConfig, longest: int, policy: Policy, folder: Path) -> Generator:
    """Open the engine that a rollout section asks for.

    Args:
        longest: tokens of the longest prompt and response that it will be asked for.
        folder: where it may keep files of this run.

    Raises:
        UserError: the engine is not usable here, with the reason.
    """
    if rollout.engine == "vllm":
        from .vllm_engine import VllmEngine

        return VllmEngine(policy, rollout, longest)
    if rollout.engine == "vllm_server":
        from .vllm_server import VllmServers

        return VllmServers(policy, rollout, longest, folder)
    return TorchEngine(policy, rollout.max_rows)


def check_engine(rollout: RolloutConfig, device: str) -> None:
    """Raises UserError if the engine cannot work on this machine. Takes no time: nothing is loaded."""
    ours = rollout.engine == "vllm_server" and rollout.vllm.launch
    if rollout.engine == "vllm" or ours:
        from .vllm_status import require_vllm

        require_vllm(device)
