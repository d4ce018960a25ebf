"""Two hosts on one machine: network namespaces with addresses of their own, joined by a cable that can be pulled out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

ADDRESSES = ("10.77.0.1", "10.77.0.2")


def ip(*arguments: object) -> None:
    subprocess.run(["ip", *map(str, arguments)], check=True, capture_output=True, text=True)


class Hosts:
    """Two namespaces and the pair of interfaces that joins them."""

    def __init__(self) -> None:
        self.names = tuple(f"grpo-kit-{os.getpid()}-{i}" for i in range(2))
        self.cards = tuple(f"gk{os.getpid() % 100_000}n{i}" for i in range(2))

    def __enter__(self) -> Hosts:
        for name in self.names:
            ip("netns", "add", name)
        ends = [(card, "netns", name) for card, name in zip(self.cards, self.names, strict=True)]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for name, card, address in zip(self.names, self.cards, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", card)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", card, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def cable(self, state: str) -> None:
        ip("-n", self.names[0], "link", "set", self.cards[0], state)

    def within(self, host: int) -> list[str]:
        """What makes a command run there."""
        return ["ip", "netns", "exec", self.names[host]]

    def torchrun(self, host: int, *arguments: object, **environment: str) -> subprocess.Popen[str]:
        """One host's part of a launch of two, as docs/scaling.md has it."""
        command = [
            *self.within(host), sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
            "--nproc-per-node", "1", "--max-restarts", "2", "--rdzv-backend", "c10d", "--rdzv-endpoint",
            f"{ADDRESSES[0]}:29400", "--rdzv-id", "two-hosts",
            "--rdzv-conf", f"is_host={int(host == 0)}", "--local-addr", ADDRESSES[host], "-m", "grpo_kit", *map(str, arguments),
        ]  # fmt: skip
        environment |= {
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
            "GLOO_SOCKET_IFNAME": self.cards[host],
            "OMP_NUM_THREADS": "1",
        }
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, **environment}
        )


def open_hosts() -> Iterator[Hosts]:
    """For a fixture. Skips where namespaces are not allowed."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("network namespaces need root and the command ip")
    made = Hosts()
    try:
        made.__enter__()
    except subprocess.CalledProcessError as error:
        made.__exit__()
        pytest.skip(f"network namespaces are not allowed here: {error.stderr.strip()}")
    yield made
    made.__exit__()
