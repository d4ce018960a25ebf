"""What vLLM is told of a run, in our process and as a server of its own alike."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.policy.models import Policy

# vLLM 0.32 cannot sample with a seed on a CPU once a prompt's prefill was split over two steps ("CPU Generator does not use
# offset"), so there prompts are prefilled whole: this many tokens in one step, more where the longest sequence has more.
CPU_PREFILL_TOKENS = 4096


def engine_options(policy: Policy, rollout: RolloutConfig, longest: int) -> dict[str, Any]:
    """Arguments of ``vllm.LLM``, by the names of ``vllm.EngineArgs``.

    Args:
        longest: tokens of the longest prompt and response that will be asked for.
    """
    on_cpu = policy.device.type == "cpu"
    options: dict[str, Any] = {
        "dtype": str(policy.autocast or torch.float32).removeprefix("torch."),
        "logprobs_mode": "processed_logprobs",
        "generation_config": "vllm",
        "max_model_len": longest,
        "max_num_seqs": rollout.vllm.max_sequences,
        "gpu_memory_utilization": rollout.vllm.memory_fraction,
        "enable_prefix_caching": True,
        "enforce_eager": on_cpu,
        "enable_chunked_prefill": not on_cpu,
    }
    if on_cpu:
        options["kv_cache_memory_bytes"] = int(rollout.vllm.cache_gb * 2**30)
        options["max_num_batched_tokens"] = max(CPU_PREFILL_TOKENS, longest)
    return options


def save_architecture(policy: Policy, folder: Path) -> None:
    """Config and tokenizer of the model, without adapters."""
    model: Any = policy.model
    base = model.get_base_model() if hasattr(model, "peft_config") else model
    config = copy.deepcopy(base.config)
    config.architectures = [type(base).__name__]
    config.save_pretrained(folder)
    policy.tokenizer.save_pretrained(folder)


def flags(options: dict[str, Any]) -> list[str]:
    """Options as vLLM's command line has them; of a switch that is off, the flag that says no."""
    written: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            written.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            written += [f"--{flag}", str(value)]
    return written
