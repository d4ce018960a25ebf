"""The real vLLM for tests: skipped with the reason where it is not usable, required where GRPO_KIT_REQUIRE_VLLM is set."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.generate.vllm_status import vllm_status
from grpo_kit.policy.models import Policy, pick_device
from tests.kit.tiny import make_policy

MAX_SEQUENCES = 12


def needs_vllm() -> None:
    status = vllm_status(pick_device().type)
    if status.usable:
        return
    reason = f"vLLM is not usable here: {status.detail}; {status.fix}"
    if os.environ.get("GRPO_KIT_REQUIRE_VLLM"):
        pytest.fail(f"GRPO_KIT_REQUIRE_VLLM is set, but {reason}")
    pytest.skip(reason)


def vllm_policy(seed: int = 0) -> Policy:
    """The smallest shape that vLLM's kernels for the CPU serve: heads of 32 dimensions."""
    policy = make_policy(seed, hidden_size=64)
    policy.model.to(pick_device())
    policy.device = pick_device()
    return policy


def rollout(**settings: Any) -> RolloutConfig:
    return RolloutConfig.model_validate(
        {"engine": "vllm", "vllm": {"max_sequences": MAX_SEQUENCES, "cache_gb": 0.1}} | settings
    )


def open_engine() -> Any:
    from grpo_kit.generate.vllm_engine import VllmEngine

    return VllmEngine(vllm_policy(), rollout(), longest=400)


def disturb(policy: Policy, seed: int = 0, scale: float = 0.05) -> None:
    """Move every weight, as an update would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in policy.model.parameters():
            parameter.add_(scale * torch.randn(parameter.shape, generator=generator).to(parameter.device))
