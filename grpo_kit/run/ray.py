"""`grpo-kit launch --ray`: the processes that torchrun would start, placed on the nodes of a Ray cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

from grpo_kit.config.read import load_recipe
from grpo_kit.errors import EXIT_FAILED, EXIT_INTERRUPTED, UserError
from grpo_kit.run.request import TrainRequest
from grpo_kit.run.torchrun import LAUNCHER
from grpo_kit.runtime.interrupt import end_with_parent

SECONDS_TO_PLACE = 120.0
SECONDS_TO_PLACE_AGAIN = 900.0  # a machine starts again, or a cluster that grows gets another
SECONDS_TO_STOP = 45.0  # torchrun kills after 30 s what has not stopped
SECONDS_BETWEEN_LOOKS = 1
JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"  # Ray sets it for the command of a Ray job


@dataclass(frozen=True)
class Layout:
    """What is asked of the cluster, and how often all may start again: for dead ranks, and as often for lost nodes."""

    nodes: int
    processes: int
    gpus: bool
    restarts: int

    def bundle(self) -> dict[str, float]:
        return {"CPU": float(self.processes)} | ({"GPU": float(self.processes)} if self.gpus else {})


class Agent:
    """What runs on each node: one torchrun."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False

    def where(self) -> tuple[str, int]:
        """This node's address, and a port that is free here."""
        import ray

        with socket.socket() as probe:
            probe.bind(("", 0))
            return ray.util.get_node_ip_address(), probe.getsockname()[1]

    def run(self, arguments: Sequence[str], environment: dict[str, str], folder: str) -> int:
        """Its exit code. What it prints is printed here, and Ray brings it to the one who launched.

        folder: of the one who launched; relative paths of a recipe begin there, where the node has it.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
            cwd=folder if os.path.isdir(folder) else None,
            preexec_fn=end_with_parent,
        )
        if self._stopped:
            self.stop()
        assert self._process.stdout is not None
        for line in self._process.stdout:
            print(line, end="", flush=True)
        return self._process.wait()

    def stop(self) -> None:
        """Have torchrun stop its processes, which save; `run` returns when they have."""
        self._stopped = True
        if self._process is not None:
            self._process.terminate()


class _NodeLost(Exception):
    pass


class _StopAsked:
    """A signal is noted, and looked for between calls of Ray: an exception that is raised within one can be lost."""

    def __init__(self) -> None:
        self._asked = False

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self._asked = True

    def check(self) -> None:
        """Raises KeyboardInterrupt."""
        if self._asked:
            raise KeyboardInterrupt


def launch_on_ray(request: TrainRequest, layout: Layout, address: str | None) -> None:
    """Place an agent on each of as many nodes, with the CPUs (and GPUs) of its processes, and wait for all of them.

    Once a node is lost the others are stopped, and all are placed again on what there is, or what comes back in time.

    Raises:
        UserError: the recipe is wrong, no folder is named, Ray is missing, or the cluster has no room for this.
        SystemExit: with the code of the torchrun that failed, 1 after too many lost nodes, 75 after a signal.
    """
    from grpo_kit.scoring.cluster import join_cluster, require_ray

    load_recipe(request.recipe, request.overrides)
    run_dir = request.run_dir
    if run_dir is None:
        raise UserError("launch needs --run-dir: where the run is written, a folder that every node sees")
    if JOB in os.environ and not run_dir.is_absolute():
        raise UserError(
            f"--run-dir {run_dir}: a Ray job runs in a folder that Ray removes; give an absolute path that every node sees"
        )
    ray = require_ray()
    join_cluster(ray, address, "--address", log_to_driver=True)
    train = ["-m", "grpo_kit", *replace(request, run_dir=run_dir.absolute()).arguments()]
    again = f"Go on with this command and --resume ({run_dir} has what was saved)."
    asked = _StopAsked()
    previous = {number: signal.signal(number, asked.handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        codes = _attempts(ray, layout, train, again, asked)
    except KeyboardInterrupt:
        raise SystemExit(_say(f"stopped. {again}", EXIT_INTERRUPTED)) from None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        ray.shutdown()
    if any(codes):
        raise SystemExit(next((c for c in codes if c), EXIT_FAILED))


def _attempts(ray: Any, layout: Layout, train: Sequence[str], again: str, asked: _StopAsked) -> list[int]:
    """The exit codes of the first attempt that lost no node. Raises SystemExit after too many, UserError without room."""
    launch = uuid.uuid4().hex
    for attempt in range(layout.restarts + 1):
        try:
            with _placed(ray, layout, SECONDS_TO_PLACE_AGAIN if attempt else SECONDS_TO_PLACE, asked) as agents:
                return _run(ray, agents, layout, train, launch, asked)
        except UserError as error:
            raise UserError(f"{error}. {again}" if attempt else str(error)) from error
        except _NodeLost as error:
            lost = f"a node was lost: {error}"
            if attempt == layout.restarts:
                raise SystemExit(_say(f"error: {lost}. {again}", EXIT_FAILED)) from error
            _say(f"{lost}. Placing all processes again ({attempt + 1} of {layout.restarts}): the run goes on by itself")
    raise AssertionError("the last attempt returns or raises")


def _run(
    ray: Any, agents: Sequence[Any], layout: Layout, train: Sequence[str], launch: str, asked: _StopAsked
) -> list[int]:
    """Their exit codes, once all have ended. Raises _NodeLost, the other agents having ended too."""
    environment = {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1", LAUNCHER: launch}
    runs: list[Any] = []
    places: list[tuple[str, int]] = []
    try:
        places = ray.get([agent.where.remote() for agent in agents])
        endpoint = "{}:{}".format(*places[0])
        for number, (agent, (place, _)) in enumerate(zip(agents, places, strict=True)):
            arguments = [*_rendezvous(layout, launch, endpoint, number == 0, place), *train]
            runs.append(agent.run.remote(arguments, environment, os.getcwd()))
        waiting = runs
        while waiting:  # one after the other, so that a loss is seen while others still wait for the lost one
            done, waiting = ray.wait(waiting, timeout=SECONDS_BETWEEN_LOOKS)
            ray.get(done)
            asked.check()
        return ray.get(runs)
    except ray.exceptions.RayActorError as error:
        lost = [place for (place, _), code in zip(places, _codes(ray, runs), strict=False) if code is None]
        _stop(ray, agents, runs)
        raise _NodeLost(f"{', '.join(lost) or 'at the start'} ({' '.join(str(error).split())})") from error
    except KeyboardInterrupt:
        _stop(ray, agents, runs)
        if runs and all(code == 0 for code in _codes(ray, runs)):
            return [0] * len(runs)  # they were done before the signal came
        raise


def _stop(ray: Any, agents: Sequence[Any], runs: Sequence[Any]) -> None:
    """Returns when no process of the run is left on the nodes that are, or after the time that torchrun takes to kill."""
    for agent in agents:
        agent.stop.remote()
    if runs:
        ray.wait(list(runs), num_returns=len(runs), timeout=SECONDS_TO_STOP)


def _codes(ray: Any, runs: Sequence[Any]) -> list[int | None]:
    """Exit codes of what has ended; 1 for what still runs, None for what was lost."""
    codes: list[int | None] = []
    for run in runs:
        try:
            codes.append(ray.get(run, timeout=0))
        except ray.exceptions.RayActorError:
            codes.append(None)
        except ray.exceptions.GetTimeoutError:
            codes.append(EXIT_FAILED)
    return codes


def _rendezvous(layout: Layout, launch: str, endpoint: str, is_host: bool, place: str) -> list[str]:
    return [
        "--nnodes", str(layout.nodes), "--nproc-per-node", str(layout.processes), "--max-restarts", str(layout.restarts),
        "--rdzv-backend", "c10d", "--rdzv-endpoint", endpoint, "--rdzv-id", launch,
        "--rdzv-conf", f"is_host={int(is_host)}", "--local-addr", place,
    ]  # fmt: skip


@contextmanager
def _placed(ray: Any, layout: Layout, seconds: float, asked: _StopAsked) -> Iterator[list[Any]]:
    """An agent on each of so many different nodes. Raises UserError if they cannot be had in that time."""
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    group = placement_group([layout.bundle()] * layout.nodes, strategy="STRICT_SPREAD")
    agents: list[Any] = []
    try:
        end = time.monotonic() + seconds
        while not (ready := group.wait(SECONDS_BETWEEN_LOOKS)) and time.monotonic() < end:
            asked.check()
        if not ready:
            free = ray.available_resources()
            raise UserError(
                f"--nodes {layout.nodes} --nproc {layout.processes}: the cluster could not give {layout.bundle()} on "
                f"{layout.nodes} nodes at once within {seconds:.0f} s. Free in all: CPU {free.get('CPU', 0):g}, "
                f"GPU {free.get('GPU', 0):g}"
            )
        actor = ray.remote(Agent)
        for index in range(layout.nodes):
            place = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=index)
            resources = {"num_cpus": layout.processes, "num_gpus": layout.processes if layout.gpus else 0}
            # Two threads: one runs, the other can stop it.
            agents.append(actor.options(**resources, max_concurrency=2, scheduling_strategy=place).remote())
        yield agents
    finally:
        for agent in agents:
            ray.kill(agent)  # the kernel tells what still runs there to stop: see end_with_parent
        remove_placement_group(group)


def _say(text: str, code: int = EXIT_FAILED) -> int:
    print(text, file=sys.stderr, flush=True)
    return code
