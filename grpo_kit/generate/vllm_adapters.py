"""Adapters as vLLM's own: an engine is given the frozen weights once, when it starts, and then adapters alone."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch

from grpo_kit.errors import UserError
from grpo_kit.policy.lora import LoraPolicy
from grpo_kit.policy.models import Policy
from grpo_kit.policy.weights import exported_weights

from .vllm_options import save_architecture

ADAPTERS = "policy"  # what servers call them
RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # that vLLM makes room for


def adapter_options(policy: Policy) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``, or of a server, for the adapters of a policy.

    Raises:
        UserError: it has none, or they are too wide.
    """
    if not isinstance(policy, LoraPolicy):
        raise UserError("rollout.vllm.adapters: there are none; set model.lora, or leave it out")
    model: Any = policy.model
    rank = max(config.r for config in model.peft_config.values())
    check_rank(rank)
    return {"enable_lora": True, "max_loras": 1, "max_lora_rank": next(r for r in RANKS if r >= rank)}


def check_rank(rank: int) -> None:
    """Raises UserError for adapters that are too wide."""
    if rank > RANKS[-1]:
        raise UserError(
            f"rollout.vllm.adapters: vLLM takes adapters of rank {RANKS[-1]} at most, model.lora.rank is {rank}"
        )


def save_base(policy: Policy, folder: Path) -> None:
    """The model without its adapters as vLLM loads it, in the engine's precision."""
    from safetensors.torch import save_file

    save_architecture(policy, folder)
    dtype = policy.autocast or torch.float32
    named = exported_weights(policy.model, adapters=False)
    # Tied weights stand under both names; the file format wants each to have memory of its own.
    tensors = {name: t.to("cpu", dtype, copy=True).contiguous() for name, t in named}
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def save_adapters(model: Any, folder: Path) -> int:
    """Write the adapters alone as vLLM loads them; returns their bytes. model: the network with peft's adapters."""
    model.save_pretrained(folder, save_embedding_layers=False)
    return (folder / "adapter_model.safetensors").stat().st_size


class Adapters:
    """The adapters that an engine in this process has: one version at a time, which every request names.

    Attributes:
        request: vLLM's name for them; None before the first `give`.
    """

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="grpo-kit-adapters-")
        self.request: Any = None

    def give(self, engine: Any, model: Any, version: int) -> int:
        """Replace the engine's adapters by those of now; returns their bytes.

        Args:
            engine: a ``vllm.LLMEngine``.
            model: the network with peft's adapters.
        """
        from vllm.lora.request import LoRARequest

        if self.request is not None:
            engine.remove_lora(self.request.lora_int_id)
            shutil.rmtree(self.request.lora_path)
        target = Path(self._folder.name) / str(version)
        size = save_adapters(model, target)
        self.request = LoRARequest(f"policy-{version}", version + 1, str(target))
        engine.add_lora(self.request)
        return size

    def close(self) -> None:
        self._folder.cleanup()
