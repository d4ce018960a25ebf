"""What a scheduler does to a run: starts the same command again, signals every process at once, kills the one above."""

import os
import signal
import subprocess
import sys

import pytest

from tests.kit.launches import newest, processes_of, steps
from tests.kit.patience import HANGS, wait_until
from tests.kit.places import ROOT


@pytest.fixture
def launched(recipe, tmp_path):
    """torchrun and its two ranks, in the middle of a long run."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "grpo_kit"]
    arguments = ["train", recipe, "--run-dir", run, "train.steps=5000", "train.save_every=5000"]
    process = subprocess.Popen(
        [*command, *map(str, arguments)], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        wait_until(lambda: len(steps(run)) >= 2 or process.poll() is not None, "second step")
        yield process, run
    finally:
        for pid in processes_of(run):
            os.kill(pid, signal.SIGKILL)
        process.communicate()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_scheduler_that_signals_the_ranks_as_well_as_torchrun_gets_a_saved_run(launched):
    process, run = launched
    pids = processes_of(run)
    assert len(pids) == 3
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=HANGS)
    assert output.count("it is saved; continue with --resume") == 2, output[-4000:]
    assert newest(run) == steps(run)[-1] >= 2


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent has died")
def test_ranks_whose_torchrun_is_killed_save_and_end(launched):
    process, run = launched
    process.kill()
    wait_until(lambda: not processes_of(run), "end of the ranks")
    assert newest(run) == steps(run)[-1] >= 2


def test_resume_auto_begins_goes_on_and_has_nothing_to_do(grpo_kit, recipe, tmp_path):
    command = ("train", recipe, "--run-dir", tmp_path / "run", "--resume", "auto")
    begun = grpo_kit(*command, "train.steps=2")
    assert begun.returncode == 0, begun.stderr
    assert "resumed" not in begun.stdout
    further = grpo_kit(*command)
    assert further.returncode == 0, further.stderr
    assert "resumed after step 2" in further.stdout
    assert steps(tmp_path / "run") == [1, 2, 3]
    finished = grpo_kit(*command)
    assert (finished.returncode, "is finished: nothing to do" in finished.stdout) == (0, True)
    assert grpo_kit(*command[:-1]).returncode == 2


def test_resume_auto_takes_nothing_for_a_run_that_is_none(grpo_kit, recipe, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    refused = grpo_kit("train", recipe, "--run-dir", tmp_path / "other", "--resume", "auto")
    assert (refused.returncode, "exists and is not empty" in refused.stderr) == (2, True)
    nowhere = grpo_kit("train", recipe, "--resume", "auto")
    assert (nowhere.returncode, "--resume needs --run-dir" in nowhere.stderr) == (2, True)


@pytest.mark.parametrize("wrong", ["train.stepz=5", "model.compile=true", "model.path=/nowhere"])
def test_what_is_wrong_is_said_before_any_process_is_started(grpo_kit, recipe, tmp_path, wrong):
    refused = grpo_kit("train", recipe, "--run-dir", tmp_path / "run", "--nproc", 2, wrong)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ")
    assert wrong.partition("=")[0].rpartition(".")[2] in refused.stderr
    assert "rank" not in refused.stderr
    assert not (tmp_path / "run").exists()
