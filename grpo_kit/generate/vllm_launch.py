"""vLLM servers that the run starts for itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import UserError
from grpo_kit.policy.models import Policy
from grpo_kit.runtime import ranks

from .vllm_http import ServerProcess, VllmServer, host_and_port
from .vllm_request import CPU_PREFILL_TOKENS
from .vllm_status import require_vllm

LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
EVERY_ADDRESS = ("0.0.0.0", "::", "[::]")


def launch_servers(
    servers: Sequence[VllmServer], policy: Policy, rollout: RolloutConfig, longest: int, folder: Path
) -> None:
    """Give every server a process on this machine, and start it.

    Args:
        longest: tokens of the longest prompt and response that will be asked for.
        folder: for the weights that they start with (``start``) and their logs.

    Raises:
        UserError: vLLM cannot be used here, or an address is not one that a server of ours may have.
    """
    require_vllm(policy.device.type)
    if ranks.machines() > 1:
        raise UserError(
            "rollout.vllm.launch starts servers on the machine of rank 0, where the ranks of other machines do not reach "
            "them; start servers yourself (docs/vllm.md) and name them by addresses that every machine reaches"
        )
    start = folder / "start"
    policy.save(start)
    for index, server in enumerate(servers):
        host, port = host_and_port(server.url)
        if host in EVERY_ADDRESS:
            raise UserError(
                f"rollout.vllm.launch: {server.url} would open the server's development endpoints, by which anybody can "
                "replace its weights, on every address of this machine; write http://127.0.0.1:PORT"
            )
        if host not in LOCAL_HOSTS:
            raise UserError(f"rollout.vllm.launch: {server.url} is not on this machine; start that server there")
        if server.healthy():
            raise UserError(f"rollout.vllm.launch: a server answers at {server.url} already; choose another port")
        devices = rollout.vllm.devices[index] if rollout.vllm.devices else None
        arguments = server_arguments(policy, rollout, longest, start, host, port)
        server.process = ServerProcess(arguments, devices, folder / f"server-{port}.log")
        server.process.start()


def server_arguments(
    policy: Policy, rollout: RolloutConfig, longest: int, model: Path, host: str, port: int
) -> list[str]:
    """What a server that fits this run is started with."""
    settings = rollout.vllm
    arguments: dict[str, Any] = {
        "model": model,
        "host": host,
        "port": port,
        "dtype": str(policy.autocast or torch.float32).removeprefix("torch."),
        "logprobs-mode": "processed_logprobs",
        "generation-config": "vllm",
        "max-model-len": longest,
        # A server refuses requests of more samples than it decodes side by side.
        "max-num-seqs": max(settings.max_sequences, rollout.group_size),
        "gpu-memory-utilization": settings.memory_fraction,
        "tensor-parallel-size": settings.tensor_parallel,
    }
    if policy.device.type == "cuda":
        arguments["weight-transfer-config"] = json.dumps({"backend": "nccl"})
    flags = ["--enable-scale-out", "--enable-prefix-caching", "--disable-uvicorn-access-log"]
    if policy.device.type == "cpu":
        arguments["kv-cache-memory-bytes"] = int(settings.cache_gb * 2**30)
        arguments["max-num-batched-tokens"] = max(CPU_PREFILL_TOKENS, longest)
        flags += ["--enforce-eager", "--no-enable-chunked-prefill"]
    return [text for name, value in arguments.items() for text in (f"--{name}", str(value))] + flags
