"""`grpo-kit launch --ray` on a cluster of two nodes: the same run as by torchrun, and what it says when it cannot."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.conftest import TINY_RECIPE
from tests.ray_cluster import open_cluster
from tests.train.test_every_algorithm_runs import weights
from tests.train.test_world import torchrun

pytestmark = pytest.mark.slow
ODD = Path(__file__).parent / "train" / "odd.py"


@pytest.fixture(scope="module")
def cluster():
    yield from open_cluster(cpus=2)


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "recipe.yaml"
    text = TINY_RECIPE.replace("name: math", f'name: "{ODD}:odd"')
    path.write_text(text.replace("{workers: 0}", "{workers: 0, max_rejected_gold: 1.0}") + "device: cpu\nthreads: 1\n")
    return path


def launch(cluster, *arguments):
    script = Path(sys.executable).with_name("grpo-kit")
    return subprocess.run(
        [script, "launch", "--ray", "--no-gpus", "--address", cluster.address, *map(str, arguments)],
        capture_output=True, text=True, timeout=300, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def test_two_nodes_train_what_torchrun_trains(cluster, recipe, tmp_path):
    done = launch(cluster, recipe, "--nodes", 2, "--run-dir", tmp_path / "ray")
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert "2 processes" in done.stdout
    alike = torchrun(2, "grpo_kit", "train", recipe, "--run-dir", tmp_path / "torchrun")
    assert alike.returncode == 0, alike.stderr[-4000:]
    lines = (tmp_path / "ray" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3]
    expected = weights(tmp_path / "torchrun")
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(tmp_path / "ray").items())


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
