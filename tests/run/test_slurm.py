"""The batch script of docs/scaling.md, on a SLURM of two nodes: trains, restarts, stops saved and goes on from the queue."""

import re

import pytest
import torch

from tests.kit.launches import newest, steps
from tests.kit.optional import needs_clusters
from tests.kit.places import ROOT
from tests.kit.restarts import ON_RANK_1, recipe
from tests.kit.runs import weights
from tests.kit.slurm import open_slurm
from tests.kit.torchrun import torchrun

pytestmark = [pytest.mark.slow, needs_clusters]
QUIET = {"FAIL_AT": "0", "FAIL_HOW": "kill", "FAIL_MARK": "", "OMP_NUM_THREADS": "1"}
TEN = ("train.steps=10", "threads=1")


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    yield from open_slurm(tmp_path_factory.mktemp("slurm"))


@pytest.fixture(scope="module")
def plain(slurm, tmp_path_factory):
    """The run by torchrun on one machine that all others have to equal."""
    folder = tmp_path_factory.mktemp("plain")
    path = recipe.__wrapped__(folder)
    done = torchrun(2, "grpo_kit", "train", path, "--run-dir", folder / "run", *TEN, **QUIET)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder / "run"


@pytest.fixture
def script(tmp_path):
    """As it stands in the docs."""
    text = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"^```\n(#!/bin/bash\n#SBATCH.*?)^```", text, re.DOTALL | re.MULTILINE)
    path = tmp_path / "train.sh"
    path.write_text(found)
    return path


def submit(slurm, script, recipe, run, **environment):
    return slurm.submit(script, recipe, "--run-dir", run, *TEN, **QUIET | environment)


def interrupt(slurm, run, *command):
    """Run a command on the first node in the middle of a run."""
    slurm.wait_for(lambda: len(steps(run)) >= 3, "third step")
    slurm(*command)
    assert len(steps(run)) < 10, "the run had ended before it was disturbed"


def succeeded(slurm, number, script, run, plain):
    output = script.with_suffix(".out")
    assert slurm.ended(number) == "COMPLETED", output.read_text()[-4000:]
    assert steps(run) == list(range(1, 11))
    expected = weights(plain)
    assert all(torch.equal(weight, expected[name]) for name, weight in weights(run).items())
    return output.read_text()


def test_two_nodes_train_what_torchrun_trains(slurm, script, recipe, plain, tmp_path):
    run = tmp_path / "run"
    output = succeeded(slurm, submit(slurm, script, recipe, run), script, run, plain)
    assert "2 processes, this one on cpu" in output


def test_a_rank_killed_on_one_node_restarts_both(slurm, script, recipe, plain, tmp_path):
    run, mark = tmp_path / "run", tmp_path / "failed"
    number = submit(slurm, script, recipe, run, FAIL_AT=str(5 * ON_RANK_1 + 2), FAIL_MARK=str(mark))
    output = succeeded(slurm, number, script, run, plain)
    assert mark.exists()
    assert "restart 1: going on with" in output.replace("\n", " ")
    assert slurm.job(number)["Restarts"] == "0"


def test_when_its_time_is_nearly_up_it_saves_and_goes_on_from_the_queue(slurm, script, recipe, plain, tmp_path):
    """With the signal that SLURM would send then, to the same process."""
    run = tmp_path / "run"
    number = submit(slurm, script, recipe, run)
    interrupt(slurm, run, "scancel", "--batch", "--signal=USR1", number)
    slurm.start_queued_again(number)
    saved = newest(run)
    assert saved == steps(run)[-1]
    assert f"resumed after step {saved}" in succeeded(slurm, number, script, run, plain)


def test_a_lost_node_puts_it_into_the_queue_and_it_goes_on(slurm, script, recipe, plain, tmp_path):
    run = tmp_path / "run"
    number = submit(slurm, script, recipe, run)
    interrupt(slurm, run, "scontrol", "update", "NodeName=second", "State=DOWN", "Reason=test")
    slurm.start_queued_again(number)
    assert "resumed after step" in succeeded(slurm, number, script, run, plain)


def test_cancelled_it_is_saved_and_the_same_command_goes_on(slurm, script, recipe, plain, tmp_path):
    run = tmp_path / "run"
    number = submit(slurm, script, recipe, run)
    interrupt(slurm, run, "scancel", number)
    assert slurm.ended(number) == "CANCELLED"
    slurm.wait_for(lambda: slurm("squeue", "-h") == "", "empty queue")
    saved = newest(run)
    assert saved == steps(run)[-1]
    again = submit(slurm, script, recipe, run)
    assert f"resumed after step {saved}" in succeeded(slurm, again, script, run, plain)
    finished = submit(slurm, script, recipe, run)
    assert slurm.ended(finished) == "COMPLETED"
    assert "is finished: nothing to do" in script.with_suffix(".out").read_text()
