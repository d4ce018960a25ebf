"""Two hosts for real: network namespaces with addresses of their own, joined by a cable that can be pulled out."""

import os
import shutil
import subprocess
import sys
import time

import pytest
import torch

from tests.train.test_every_algorithm_runs import weights
from tests.train.test_restart import ON_RANK_1, logged, recipe  # noqa: F401

ADDRESSES = ("10.77.0.1", "10.77.0.2")
DEADLINE = 240


def ip(*arguments):
    subprocess.run(["ip", *map(str, arguments)], check=True, capture_output=True, text=True)


class Hosts:
    """Two namespaces and the pair of interfaces that joins them."""

    def __init__(self):
        self.names = tuple(f"grpo-kit-{os.getpid()}-{i}" for i in range(2))
        self.cards = tuple(f"gk{os.getpid() % 100_000}n{i}" for i in range(2))

    def __enter__(self):
        for name in self.names:
            ip("netns", "add", name)
        ends = [(card, "netns", name) for card, name in zip(self.cards, self.names, strict=True)]
        ip("link", "add", *ends[0], "type", "veth", "peer", *ends[1])
        for name, card, address in zip(self.names, self.cards, ADDRESSES, strict=True):
            ip("-n", name, "address", "add", f"{address}/24", "dev", card)
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "link", "set", card, "up")
        return self

    def __exit__(self, *_):
        for name in self.names:
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def cable(self, state):
        ip("-n", self.names[0], "link", "set", self.cards[0], state)

    def torchrun(self, host, *arguments, **environment):
        """One host's part of a launch of two, as docs/scaling.md has it."""
        command = [
            "ip", "netns", "exec", self.names[host], sys.executable, "-m", "torch.distributed.run", "--nnodes", "2",
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


@pytest.fixture(scope="module")
def hosts():
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


def train(hosts, recipe, folder, disturb=lambda: None, **environment):
    """Both hosts' output, once both have ended."""
    arguments = ("train", recipe, "--run-dir", folder, "train.steps=10")
    processes = [hosts.torchrun(host, *arguments, **environment) for host in range(2)]
    try:
        disturb()
        outputs = [process.communicate(timeout=DEADLINE)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [p.returncode for p in processes] == [0, 0], "\n=====\n".join(o[-4000:] for o in outputs)
    return outputs


@pytest.fixture(scope="module")
def straight(hosts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hosts")
    path = recipe.__wrapped__(folder)
    train(hosts, path, folder / "run", FAIL_AT="0", FAIL_HOW="kill", FAIL_MARK=str(folder / "failed"))
    return folder / "run"


def same(folder, other):
    assert logged(folder) == logged(other)
    assert [step for step, *_ in logged(folder)] == list(range(1, 11))
    for name, weight in weights(other).items():
        assert torch.equal(weight, weights(folder)[name])


@pytest.mark.slow
def test_a_rank_killed_on_one_host_restarts_both(hosts, recipe, straight, tmp_path):
    mark = tmp_path / "failed"
    outputs = train(
        hosts, recipe, tmp_path / "run", FAIL_AT=str(5 * ON_RANK_1 + 2), FAIL_HOW="kill", FAIL_MARK=str(mark)
    )
    assert mark.exists()
    assert "restart 1: going on with" in "".join(outputs).replace("\n", " ")
    same(tmp_path / "run", straight)


@pytest.mark.slow
def test_a_cable_that_is_pulled_for_five_seconds(hosts, recipe, straight, tmp_path):
    """Connections outlive it or both hosts start again from the last checkpoint: either way the run is the same one."""
    metrics = tmp_path / "run" / "metrics.jsonl"

    def disturb():
        end = time.monotonic() + DEADLINE
        while not metrics.exists() or len(metrics.read_text().splitlines()) < 3:
            assert time.monotonic() < end
            time.sleep(0.02)
        hosts.cable("down")
        time.sleep(5)
        before = len(metrics.read_text().splitlines())
        assert before < 10, "the run had ended before the cable was pulled"
        hosts.cable("up")

    train(hosts, recipe, tmp_path / "run", disturb, FAIL_AT="0", FAIL_HOW="kill", FAIL_MARK=str(tmp_path / "failed"))
    same(tmp_path / "run", straight)
