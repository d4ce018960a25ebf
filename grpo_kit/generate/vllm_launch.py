"""vLLM servers that the run starts for itself."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import UserError
from grpo_kit.policy.models import Policy
from grpo_kit.runtime import ranks

from .vllm_adapters import adapter_options, save_base
from .vllm_http import ServerProcess, VllmServer, host_and_port
from .vllm_options import engine_options, flags
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
    for server in servers:
        host, _ = host_and_port(server.url)
        if host in EVERY_ADDRESS:
            raise UserError(
                f"rollout.vllm.launch: {server.url} would open the server's development endpoints, by which anybody can "
                "replace its weights, on every address of this machine; write http://127.0.0.1:PORT"
            )
        if host not in LOCAL_HOSTS:
            raise UserError(f"rollout.vllm.launch: {server.url} is not on this machine; start that server there")
        if server.healthy():
            raise UserError(f"rollout.vllm.launch: a server answers at {server.url} already; choose another port")
    start = folder / "start"
    if rollout.vllm.adapters:
        save_base(policy, start)
    else:
        policy.save(start)
    for index, server in enumerate(servers):
        host, port = host_and_port(server.url)
        devices = rollout.vllm.devices[index] if rollout.vllm.devices else None
        arguments = server_arguments(policy, rollout, longest, start, host, port)
        server.process = ServerProcess(arguments, devices, folder / f"server-{port}.log", rollout.vllm.adapters)
        server.process.start()


def server_arguments(
    policy: Policy, rollout: RolloutConfig, longest: int, model: Path, host: str, port: int
) -> list[str]:
    """What a server that fits this run is started with."""
    options = engine_options(policy, rollout, longest) | {
        "model": model,
        "host": host,
        "port": port,
        # A server refuses requests of more samples than it decodes side by side.
        "max_num_seqs": max(rollout.vllm.max_sequences, rollout.group_size),
        "tensor_parallel_size": rollout.vllm.tensor_parallel,
        "enable_scale_out": True,
        "disable_uvicorn_access_log": True,
    }
    if rollout.vllm.adapters:
        options |= adapter_options(policy)
    elif policy.device.type == "cuda":
        options["weight_transfer_config"] = json.dumps({"backend": "nccl"})
    return flags(options)
