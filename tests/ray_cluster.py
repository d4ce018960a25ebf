"""A Ray cluster of two nodes on this machine, for tests; skipped without Ray, required where extras are."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock


def open_cluster(cpus: int = 1) -> Iterator[Any]:
    """For a fixture. Two nodes, each a raylet of its own, joined to as the trainer does."""
    try:
        import ray
        from ray.cluster_utils import Cluster
    except ImportError:
        if os.environ.get("GRPO_KIT_REQUIRE_EXTRAS"):
            pytest.fail("GRPO_KIT_REQUIRE_EXTRAS is set, but Ray is not installed")
        pytest.skip('Ray is not installed: pip install "grpo-kit[ray]"')
    # One at a time, also among processes that share the tests: a driver finds the cluster by its place in /tmp.
    with FileLock(Path(tempfile.gettempdir()) / "grpo-kit-tests-ray.lock"):
        yield from _cluster(ray, Cluster, cpus)


def _cluster(ray: Any, Cluster: Any, cpus: int) -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    settings = {"num_cpus": cpus, "object_store_memory": 80 * 2**20, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=settings)
    try:
        cluster.add_node(**{k: v for k, v in settings.items() if k != "include_dashboard"})
        cluster.wait_for_nodes(60)
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()


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
