"""Which engine a recipe asks for."""

from __future__ import annotations

from grpo_kit.config import RolloutConfig
from grpo_kit.policy.models import Policy

from .base import Generator
from .torch_engine import TorchEngine


def open_generator(config: RolloutConfig, policy: Policy) -> Generator:
    return TorchEngine(policy, config.max_rows)
