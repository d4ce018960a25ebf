"""A Ray cluster of two nodes on this machine, for tests; skipped without Ray, required where extras are."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

MEMORY = 80 * 2**20


def open_cluster(cpus: int = 1, dashboard: bool = False) -> Iterator[Any]:
    """For a fixture. Two nodes, each a raylet of its own, joined to as the trainer does; a dashboard for Ray jobs."""
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError:
        if os.environ.get("GRPO_KIT_REQUIRE_EXTRAS"):
            pytest.fail("GRPO_KIT_REQUIRE_EXTRAS is set, but Ray is not installed")
        pytest.skip('Ray is not installed: pip install "grpo-kit[ray]"')
    if dashboard:
        pytest.importorskip("ray.dashboard.optional_deps", reason='pip install "ray[default]"', exc_type=ImportError)
    # One at a time, also among processes that share the tests: a driver finds the cluster by its place in /tmp.
    with FileLock(Path(tempfile.gettempdir()) / "grpo-kit-tests-ray.lock"):
        yield from _cluster(ray, Cluster, cpus, dashboard)


def _cluster(ray: Any, Cluster: Any, cpus: int, dashboard: bool) -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": cpus, "object_store_memory": MEMORY, "include_dashboard": dashboard}
    with socket.socket() as probe:
        probe.bind(("", 0))
        head |= {"dashboard_port": probe.getsockname()[1]} if dashboard else {}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        add_node(cluster, cpus)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


def add_node(cluster: Any, cpus: int = 1) -> None:
    cluster.add_node(num_cpus=cpus, object_store_memory=MEMORY)
    cluster.wait_for_nodes(60)


def kill_node(cluster: Any) -> None:
    """`kill -9` to everything of the node that is not the head, as when its machine goes."""
    (other,) = (node for node in cluster.list_all_nodes() if node != cluster.head_node)
    (raylet,) = other.all_processes["raylet"]
    for pid in _tree(raylet.process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    cluster.remove_node(other, allow_graceful=False)


def _tree(pid: int) -> list[int]:
    found = [pid]
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [p for child in path.read_text().split() for p in _tree(int(child))]
    return found
