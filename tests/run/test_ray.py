"""`grpo-kit launch --ray` on a cluster of two nodes: the same run as by torchrun, and what it says when it cannot."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.kit.launches import newest, processes_of, same, steps
from tests.kit.optional import needs_clusters
from tests.kit.patience import HANGS, wait_until
from tests.kit.ray_cluster import add_node, kill_node, open_cluster
from tests.kit.torchrun import torchrun

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster():
    yield from open_cluster(cpus=2)


def begin(cluster, *arguments):
    script = Path(sys.executable).with_name("grpo-kit")
    return subprocess.Popen(
        [script, "launch", "--ray", "--no-gpus", "--address", cluster.address, *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def launch(cluster, *arguments):
    process = begin(cluster, *arguments)
    output, errors = process.communicate(timeout=HANGS)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def test_two_nodes_train_what_torchrun_trains(cluster, recipe, tmp_path):
    done = launch(cluster, recipe, "--nodes", 2, "--run-dir", tmp_path / "ray")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "2 processes" in done.stdout
    alike = torchrun(2, "grpo_kit", "train", recipe, "--run-dir", tmp_path / "torchrun")
    assert alike.returncode == 0, alike.stderr[-4000:]
    assert steps(tmp_path / "ray") == [1, 2, 3]
    same(tmp_path / "ray", tmp_path / "torchrun")


def test_a_run_that_fails_gives_its_code_and_its_reason(cluster, recipe, tmp_path):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    done = launch(cluster, recipe, "--nodes", 2, "--run-dir", tmp_path / "taken")
    assert done.returncode == 1
    assert "exists and is not empty" in done.stdout + done.stderr


def test_mistakes_are_told_before_anything_is_placed(cluster, recipe, tmp_path):
    bad = launch(cluster, recipe, "rollout.group=4", "--run-dir", tmp_path / "run")
    assert (bad.returncode, "rollout.group" in bad.stderr) == (2, True)
    script = Path(sys.executable).with_name("grpo-kit")
    without = subprocess.run(
        [script, "launch", recipe, "--run-dir", tmp_path / "run"], capture_output=True, text=True, check=False
    )
    assert (without.returncode, "train --nproc" in without.stderr) == (2, True)
    assert not (tmp_path / "run").exists()
    in_job = subprocess.run(
        [script, "launch", recipe, "--ray", "--run-dir", "run"], capture_output=True, text=True, check=False,
        env={**os.environ, "RAY_JOB_CONFIG_JSON_ENV_VAR": "{}"}, cwd=tmp_path,
    )  # fmt: skip
    assert (in_job.returncode, "give an absolute path" in in_job.stderr) == (2, True)


LONG = ("train.steps=5000", "train.save_every=5000")


@needs_clusters
def test_ctrl_c_stops_all_of_them_saved(cluster, recipe, tmp_path):
    run = tmp_path / "run"
    process = begin(cluster, recipe, "--nodes", 2, "--run-dir", run, *LONG)
    wait_until(lambda: len(steps(run)) >= 2 or process.poll() is not None, "second step")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=HANGS)
    assert process.returncode == 75, (output + errors)[-4000:]
    assert "Go on with this command and --resume" in errors
    assert not processes_of(run)
    assert newest(run) == steps(run)[-1] >= 2


@needs_clusters
def test_a_launcher_that_is_killed_leaves_a_saved_run_and_no_process(cluster, recipe, tmp_path):
    run = tmp_path / "run"
    process = begin(cluster, recipe, "--nodes", 2, "--run-dir", run, *LONG)
    wait_until(lambda: len(steps(run)) >= 2 or process.poll() is not None, "second step")
    process.kill()
    process.communicate()
    wait_until(lambda: not processes_of(run), "end of the ranks")
    assert newest(run) == steps(run)[-1] >= 2


@needs_clusters
def test_a_lost_node_costs_the_steps_since_the_last_checkpoint(cluster, recipe, tmp_path):
    """One loss more than --max-restarts: the first needs nobody, the second ends with a command that goes on."""
    run, settings = tmp_path / "run", ("train.steps=24", "train.save_every=2")
    command = (recipe, "--nodes", 2, "--max-restarts", 1, "--run-dir", run, *settings)
    process = begin(cluster, *command)
    said = []
    reader = threading.Thread(target=lambda: said.extend(process.stdout))
    reader.start()
    for loss in range(2):
        after = newest(run)
        wait_until(lambda after=after: newest(run) > after or process.poll() is not None, "checkpoint")
        kill_node(cluster)
        add_node(cluster, cpus=2)
        if loss == 0:
            wait_until(lambda: "restart 1: going on with" in "".join(said), "restart")
    errors = process.stderr.read()
    assert process.wait(HANGS) == 1
    reader.join()
    assert "Placing all processes again (1 of 1)" in errors
    assert "error: a node was lost" in errors
    assert "Go on with this command and --resume" in errors
    assert not processes_of(run)
    assert 0 < newest(run) < 24
    done = launch(cluster, *command, "--resume")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    alike = torchrun(2, "grpo_kit", "train", recipe, "--run-dir", tmp_path / "torchrun", *settings)
    assert alike.returncode == 0, alike.stderr[-4000:]
    assert steps(run) == list(range(1, 25))
    same(run, tmp_path / "torchrun")
