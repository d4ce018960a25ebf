"""Who gives servers their weights and brings lost ones back: of the training processes that share them, the first."""

from __future__ import annotations

import shutil
import time
import warnings
from pathlib import Path
from typing import Protocol

from grpo_kit.config import RolloutConfig
from grpo_kit.errors import RunFailed
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.runtime import ranks

from .transfer import open_transfer
from .vllm_fleet import SECONDS_BETWEEN_LOOKS, Fleet
from .vllm_http import VllmServer
from .vllm_launch import launch_servers


class Upkeep(Protocol):
    """What one training process does to keep a fleet at work."""

    def renew(self, model: Network, version: int) -> None:
        """Bring a fleet that was retired to these weights; every rank calls this together.

        Raises:
            RunFailed: no server is left for this rank, or one does not compute what the trainer computes.
        """

    def bring_up(self) -> None:
        """Make every missing server ready that can be. Raises RunFailed if one computes something else."""

    def find_lost(self) -> None:
        """Notice servers that ended while this rank asks nothing of them."""

    def close(self) -> None:
        """Leave nothing behind."""


class Owner:
    """Of rank 0: starts the servers, gives them weights, and starts those of ours again that end.

    Args:
        longest: tokens of the longest prompt and response that will be asked for.
        folder: for weights and the logs of the servers that we start.

    Raises:
        UserError: the servers cannot be started.
    """

    def __init__(self, fleet: Fleet, policy: Policy, rollout: RolloutConfig, longest: int, folder: Path) -> None:
        self.fleet, self.timeout, self.folder = fleet, rollout.vllm.timeout, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.transfer = open_transfer(policy, rollout.vllm.transfer, folder, warnings.warn, rollout.vllm.adapters)
        if rollout.vllm.launch:
            launch_servers(fleet.servers, policy, rollout, longest, folder)

    def renew(self, model: Network, version: int) -> None:
        fleet = self.fleet
        fleet.brought(self.transfer.prepare(model, version))
        first, fleet.version = fleet.version is None, version
        deadline = time.monotonic() + self.timeout
        while fleet.missing if first else not fleet.ready:
            self.bring_up()
            if time.monotonic() > deadline:
                raise RunFailed(f"no weights could be given to {fleet.complaints()}")
            if first and fleet.missing:
                time.sleep(SECONDS_BETWEEN_LOOKS)
        self.bring_up()
        self.transfer.forget_older()
        ranks.barrier("new weights on the servers")

    def bring_up(self) -> None:
        answering = self.fleet.answering()
        for server in self.fleet.missing:
            if server.process is not None and not server.process.running:
                server.last_error = f"it ended; the end of {server.process.log}: {server.process.last_words()}"
                server.process.start()
        self.fleet.admit(answering, self.transfer.give)

    def find_lost(self) -> None:
        """A server that only other ranks ask is lost to them, and comes back through this one alone."""
        for server in self.fleet.ready:
            if not server.healthy():
                server.lost(server.last_error)

    def close(self) -> None:
        for server in self.fleet.servers:
            if server.process is not None:
                server.process.stop()
        shutil.rmtree(self.folder / "start", ignore_errors=True)
        self.transfer.close()


class Follower:
    """Of every other rank: a server that it lost is taken back once it answers with the weights that rank 0 gives it."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet = fleet

    def renew(self, model: Network, version: int) -> None:
        ranks.barrier("new weights on the servers")
        first, self.fleet.version = self.fleet.version is None, version
        self.bring_up()
        # Later on a server may be lost in between: whoever samples waits for rank 0 to bring it back.
        if first and not self.fleet.ready:
            raise RunFailed(f"rank {ranks.rank()} reaches no server with weights {version}: {self.fleet.complaints()}")

    def bring_up(self) -> None:
        self.fleet.admit(self.fleet.answering(), _has_them)

    def find_lost(self) -> None:
        pass

    def close(self) -> None:
        pass


def _has_them(server: VllmServer) -> None:
    """Rank 0 gave it its weights; the probe finds out."""
