"""`grpo-kit launch --ray`: the processes that torchrun would start, placed on the nodes of a Ray cluster."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from grpo_kit.errors import EXIT_FAILED, UserError
from grpo_kit.recipe_file import load_recipe

SECONDS_TO_PLACE = 120.0


class Agent:
    """What runs on each node: one torchrun, which ends with us."""

    def where(self) -> tuple[str, int]:
        """This node's address, and a port that is free here."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def run(self, arguments: Sequence[str], environment: dict[str, str]) -> int:
        """Its exit code. What it prints is printed here, and Ray brings it to the one who launched."""
        process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
            preexec_fn=_end_with_parent,
        )
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
        return process.wait()


def launch_on_ray(
    recipe: str,
    overrides: Sequence[str],
    *,
    run_dir: Path,
    nodes: int,
    processes: int,
    gpus: bool,
    restarts: int,
    address: str | None,
) -> None:
    """Place ``nodes`` agents on as many nodes, each with the CPUs (and GPUs) of its processes, and wait for all of them.

    Raises:
        UserError: the recipe is wrong, Ray is missing, or the cluster has no room for this.
        SystemExit: with the code of the torchrun that failed.
    """
    from grpo_kit.scoring.cluster import join_cluster, require_ray

    load_recipe(recipe, overrides)
    ray = require_ray()
    join_cluster(ray, address, "--address", log_to_driver=True)
    agents: list[Any] = []
    try:
        agents = _placed(ray, nodes, processes, gpus)
        host, port = ray.get(agents[0].where.remote())
        train = ["-m", "grpo_kit", "train", recipe, *overrides, "--run-dir", str(run_dir.absolute())]
        places = [a for a, _ in ray.get([agent.where.remote() for agent in agents])]
        codes = ray.get(
            [
                agent.run.remote(
                    [*_rendezvous(nodes, processes, restarts, f"{host}:{port}", number == 0, place), *train],
                    {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"},
                )
                for number, (agent, place) in enumerate(zip(agents, places, strict=True))
            ]
        )
    except ray.exceptions.RayActorError as error:
        raise SystemExit(
            f"error: a node was lost: {str(error).splitlines()[0]}. Launch again with the same run: --resume"
        ) from error
    finally:
        for agent in agents:
            ray.kill(agent)  # torchrun is told to stop by the kernel, and saves
        ray.shutdown()
    if any(codes):
        raise SystemExit(next((c for c in codes if c), EXIT_FAILED))


def _rendezvous(nodes: int, processes: int, restarts: int, endpoint: str, is_host: bool, place: str) -> list[str]:
    return [
        "--nnodes", str(nodes), "--nproc-per-node", str(processes), "--max-restarts", str(restarts),
        "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", endpoint,
        "--rdzv-conf", f"is_host={int(is_host)}", "--local-addr", place,
    ]  # fmt: skip


def _placed(ray: Any, nodes: int, processes: int, gpus: bool) -> list[Any]:
    """An agent on each of so many different nodes. Raises UserError if they cannot be had within two minutes."""
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    bundle = {"CPU": float(processes)} | ({"GPU": float(processes)} if gpus else {})
    group = placement_group([bundle] * nodes, strategy="STRICT_SPREAD")
    if not group.wait(SECONDS_TO_PLACE):
        free = ray.available_resources()
        raise UserError(
            f"--nodes {nodes} --nproc {processes}: the cluster could not give {bundle} on {nodes} nodes at once within "
            f"{SECONDS_TO_PLACE:.0f} s. Free in all: CPU {free.get('CPU', 0):g}, GPU {free.get('GPU', 0):g}"
        )
    actor = ray.remote(Agent)
    return [
        actor.options(
            num_cpus=processes,
            num_gpus=processes if gpus else 0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index),
        ).remote()
        for index in range(nodes)
    ]


def _end_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
