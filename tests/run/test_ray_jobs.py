"""`ray job submit -- grpo-kit launch --ray` on a cluster of two nodes: its log, its exit code, its end by `ray job stop`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.launches import newest, processes_of, same, steps
from tests.kit.optional import needs_clusters
from tests.kit.patience import HANGS, wait_until
from tests.kit.ray_cluster import open_cluster
from tests.kit.torchrun import torchrun

pytestmark = [pytest.mark.slow, needs_clusters]
SCRIPT = Path(sys.executable).with_name("grpo-kit")
PATIENT = ("--runtime-env-json", '{"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": "60"}}')


@pytest.fixture(scope="module")
def cluster():
    yield from open_cluster(cpus=2, dashboard=True)


def job(cluster, *arguments):
    """`ray job ...`, as the user types it."""
    return subprocess.run(
        [sys.executable, "-m", "ray.scripts.scripts", "job", *map(str, arguments)], capture_output=True, text=True,
        timeout=HANGS, check=False, env={**os.environ, "RAY_ADDRESS": f"http://{cluster.head_node.webui_url}"},
    )  # fmt: skip


def submit(cluster, *arguments, options=()):
    return job(cluster, "submit", *options, "--", SCRIPT, "launch", "--ray", "--no-gpus", "--nodes", 2, *arguments)


def test_a_job_streams_its_log_and_trains_what_torchrun_trains(cluster, recipe, tmp_path):
    done = submit(cluster, recipe, "--run-dir", tmp_path / "job")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "2 processes, this one on cpu" in done.stdout
    assert "grpo 3/3" in done.stdout
    alike = torchrun(2, "grpo_kit", "train", recipe, "--run-dir", tmp_path / "torchrun")
    assert alike.returncode == 0, alike.stderr[-4000:]
    same(tmp_path / "job", tmp_path / "torchrun")


def test_a_job_that_fails_is_failed_and_says_why(cluster, recipe, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = submit(cluster, recipe, "--run-dir", tmp_path / "taken")
    assert done.returncode == 1
    assert "exists and is not empty" in done.stdout


def test_a_job_that_is_stopped_is_saved_and_another_goes_on(cluster, recipe, tmp_path):
    run = tmp_path / "run"
    command = (recipe, "--run-dir", run, "--resume", "auto")
    name = ("--submission-id", "stopped")
    submit(cluster, *command, "train.steps=5000", options=("--no-wait", *name, *PATIENT))
    wait_until(lambda: len(steps(run)) >= 2, "second step")
    stopped = job(cluster, "stop", "stopped")
    assert "was stopped" in stopped.stdout + stopped.stderr
    assert not processes_of(run)
    last = newest(run)
    assert last == steps(run)[-1] >= 2
    log = job(cluster, "logs", "stopped").stdout
    assert "it is saved; continue with --resume" in log
    assert "Go on with this command and --resume" in log
    done = submit(cluster, *command, f"train.steps={last + 1}")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert f"resumed after step {last}" in done.stdout
    assert steps(run) == list(range(1, last + 2))
    settings = ("--run-dir", tmp_path / "torchrun", f"train.steps={last + 1}")
    alike = torchrun(2, "grpo_kit", "train", recipe, *settings)
    assert alike.returncode == 0, alike.stderr[-4000:]
    same(run, tmp_path / "torchrun")
