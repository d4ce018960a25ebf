"""A rank that dies ends all of them with its reason; with --max-restarts the run goes on by itself, exactly."""

import pytest
import torch

from tests.kit.restarts import ON_RANK_1, logged, recipe  # noqa: F401
from tests.kit.runs import weights
from tests.kit.torchrun import started_torchrun, torchrun

pytestmark = pytest.mark.slow


def train(recipe, folder, *options, fail_at=0, how="kill"):
    """Whose death torchrun tells first is a matter of how its ranks were started."""
    environment = {"FAIL_AT": str(fail_at), "FAIL_HOW": how, "FAIL_MARK": str(recipe.with_name("failed"))}
    start = started_torchrun if fail_at else torchrun
    return start(2, "grpo_kit", "train", recipe, "--run-dir", folder, options=options, **environment)


def test_a_killed_rank_is_restarted_from_the_last_checkpoint(recipe, tmp_path):
    straight = train(recipe, tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr[-4000:]
    assert not (tmp_path / "failed").exists()
    # Killed in the fourth step, when the checkpoint of the second is the last.
    cut = train(recipe, tmp_path / "cut", "--max-restarts=1", fail_at=3 * ON_RANK_1 + 2)
    assert (tmp_path / "failed").exists()
    assert cut.returncode == 0, cut.stderr[-4000:]
    assert "restart 1: going on with" in cut.stdout.replace("\n", " ")
    assert "resumed after step 2" in cut.stdout
    assert logged(tmp_path / "cut") == logged(tmp_path / "straight")
    for name, weight in weights(tmp_path / "straight").items():
        assert torch.equal(weight, weights(tmp_path / "cut")[name])


def test_killed_before_the_first_checkpoint_it_begins_again(recipe, tmp_path):
    cut = train(recipe, tmp_path / "cut", "--max-restarts=1", fail_at=2)
    assert (tmp_path / "failed").exists()
    assert cut.returncode == 0, cut.stderr[-4000:]
    assert "nothing was saved yet: the run begins again" in cut.stdout
    assert [step for step, *_ in logged(tmp_path / "cut")] == [1, 2, 3, 4, 5, 6]


def test_a_restart_does_not_touch_a_run_of_somebody_else(recipe, tmp_path):
    assert train(recipe, tmp_path / "run").returncode == 0
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")}
    again = train(recipe, tmp_path / "run", "--max-restarts=1")
    assert again.returncode == 1
    assert "exists and is not empty" in again.stderr
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "run").rglob("*")} == before


def test_a_signal_to_one_rank_stops_both_after_the_same_step(recipe, tmp_path):
    straight = train(recipe, tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr[-4000:]
    # Rank 1 alone is told in the middle of the third step, which no checkpoint is due after.
    cut = train(recipe, tmp_path / "cut", fail_at=2 * ON_RANK_1 + 2, how="term")
    assert (tmp_path / "failed").exists()
    assert "SIGTERM: saving and stopping within 60 s" in cut.stderr
    assert "stopped after step 3" in cut.stdout
    assert "waited for the others" not in cut.stderr
    assert [step for step, *_ in logged(tmp_path / "cut")] == [1, 2, 3]
    newest = max(p.name for p in (tmp_path / "cut" / "checkpoints").iterdir())
    assert newest.endswith("3")
    environment = {"FAIL_AT": "0", "FAIL_HOW": "term", "FAIL_MARK": str(tmp_path / "failed")}
    resumed = torchrun(2, "grpo_kit", "train", recipe, "--run-dir", tmp_path / "cut", "--resume", **environment)
    assert resumed.returncode == 0, resumed.stderr[-4000:]
    assert "resumed after step 3" in resumed.stdout
    assert logged(tmp_path / "cut") == logged(tmp_path / "straight")
    for name, weight in weights(tmp_path / "straight").items():
        assert torch.equal(weight, weights(tmp_path / "cut")[name])


def test_without_restarts_a_dead_rank_ends_the_others(recipe, tmp_path):
    cut = train(recipe, tmp_path / "cut", fail_at=ON_RANK_1 + 2)
    assert cut.returncode == 1
    assert "rank      : 1" in cut.stderr
    assert "Signal 9 (SIGKILL)" in cut.stderr
    assert "gathering the groups of a step" in cut.stderr  # what rank 0 was waiting for


def test_restarts_need_a_folder_to_come_back_to(recipe):
    ended = torchrun(1, "grpo_kit", "train", recipe, options=("--max-restarts=1",))
    assert ended.returncode == 1
    assert "torchrun --max-restarts needs --run-dir" in ended.stderr
