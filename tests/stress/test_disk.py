"""A disk that is full, for a while or for good: training goes on or ends cleanly, and what was saved stays whole."""

import shutil
import signal

import pytest

from grpo_kit.train import checkpoint as checkpoints
from tests.kit.same import assert_equal

HALF = 200_000  # bytes: the weights of the tiny model fit, its optimizer state does not
NOTHING = 60_000


def full(call, until=None, largest=HALF):
    """From the call-th save on, and before the until-th."""
    return (
        "limit_file_size",
        {"largest": largest, "function": "grpo_kit.train.checkpoint:bytes_needed", "call": call, "until": until},
    )


def steps_of(run):
    found = checkpoints.checkpoints(run / "checkpoints")
    assert all(checkpoints.find_damage(path) is None for path in found)
    return [checkpoints.step_of(path) for path in found]


def test_a_disk_that_is_full_for_a_while(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    run = zygote.folder / "full-a-while"
    outcome = zygote.run("train", recipe, "--run-dir", run, faults=[full(2, until=3)])
    assert outcome.code == 0, outcome.output
    plain = " ".join(outcome.output.split())
    assert "step-000003 needs " in plain or "step-000004 needs " in plain
    assert "bytes, " in plain
    assert "writing it failed" in plain
    assert "Training goes on and will try again after step" in plain
    assert_equal(run, expected)
    assert steps_of(run)[-1] == 8


def test_a_disk_that_stays_full(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    run = zygote.folder / "full-for-good"
    outcome = zygote.run("train", recipe, "--run-dir", run, "evaluation=null", faults=[full(2)])
    assert outcome.code == 0, outcome.output
    assert steps_of(run) == [2]
    assert (run / "model" / "model.safetensors").read_bytes() == (expected / "model" / "model.safetensors").read_bytes()
    assert not list(run.rglob(".writing*"))


def test_no_room_for_the_final_model_fails_and_can_be_finished(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    run = zygote.folder / "no-room"
    outcome = zygote.run("train", recipe, "--run-dir", run, faults=[full(2, largest=NOTHING)])
    assert outcome.code == 1, outcome.output
    assert "bytes" in outcome.output
    assert "--resume goes on from the newest checkpoint" in " ".join(outcome.output.split())
    assert steps_of(run) == [2]
    assert zygote.run("train", recipe, "--run-dir", run, "--resume").code == 0
    assert_equal(run, expected)


def test_a_signal_while_the_disk_is_full(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    run = zygote.folder / "full-and-stopped"
    fault = {"phase": "update", "entry": 6, "delay": 0.0, "number": signal.SIGTERM}
    outcome = zygote.run("train", recipe, "--run-dir", run, faults=[full(2), ("signal_in_phase", fault)])
    assert outcome.code == 75, outcome.output
    assert "the newest checkpoint is that of step 2" in outcome.output
    assert zygote.run("train", recipe, "--run-dir", run, "--resume").code == 0
    assert_equal(run, expected)


def test_space_is_looked_at_before_anything_is_written(tmp_path, policy, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    with pytest.raises(checkpoints.SaveRefused, match=r"needs 1,\d{3},\d{3} bytes and 1,000 are free"):
        checkpoints.save_checkpoint(tmp_path, 1, policy, {"step": 1})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", [3, 6])
def test_damage_to_the_newest_checkpoint_is_told_and_the_one_before_used(zygote, straight, step):
    """A flipped byte after one kill, a truncated file after another."""
    recipe, expected, _ = straight["from_file"]
    run = zygote.folder / f"damaged-{step}"
    fault = ("kill_in_phase", {"phase": "update", "entry": step + 1})
    assert zygote.run("train", recipe, "--run-dir", run, faults=[fault]).code == -9
    newest = run / "checkpoints" / f"step-{step:06d}"
    file = newest / "state" / "trainer.pt" if step == 3 else newest / "model" / "model.safetensors"
    data = bytearray(file.read_bytes())
    if step == 3:
        data[len(data) // 2] ^= 1
    file.write_bytes(bytes(data if step == 3 else data[:-100]))
    outcome = zygote.run("train", recipe, "--run-dir", run, "--resume")
    assert outcome.code == 0, outcome.output
    assert f"{newest} is damaged" in outcome.output
    assert ("does not hold what was written" if step == 3 else "bytes, ") in outcome.output
    assert f"resumed after step {step - 1}" in outcome.output
    assert_equal(run, expected)
