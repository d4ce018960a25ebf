"""NaN in a reward, a log-probability or a gradient: skipped, counted, dumped, replayable; three in a row end the run."""

import gzip
import json

import pytest

from grpo_kit.observe.run_directory import read_json_lines

KEEP = (
    "evaluation=null",
    "train.save_every=1",
    "train.keep_last=9",
    "train.updates_per_batch=1",
    "train.epochs_per_batch=1",
)


def poisoned(zygote, straight, name, what, steps):
    recipe, _, _ = straight["procedural"]
    outcome = zygote.run("train", recipe, "--run-dir", name, *KEEP, faults=[("poison", {"what": what, "steps": steps})])
    return outcome, zygote.folder / name


@pytest.mark.parametrize("what", ["logprob", "gradient"])
def test_a_batch_is_skipped_counted_kept_and_replayable(zygote, straight, what):
    outcome, run = poisoned(zygote, straight, f"poisoned-{what}", what, [3, 5])
    assert outcome.code == 0, outcome.output
    rows = {row["step"]: row for row in read_json_lines(run / "metrics.jsonl")}
    skipped = {step: row["skipped_updates"] for step, row in rows.items() if "skipped_updates" in row}
    assert skipped == {3: 1.0, 5: 1.0}
    assert all("grad_norm" in row for step, row in rows.items() if step not in skipped)
    assert "step 3: an update was skipped" in outcome.output
    assert (run / "dumps" / "step-000003.jsonl.gz").is_file()
    replayed = zygote.run("replay", run, "--step", 3)
    assert replayed.code == 0, replayed.output
    if what == "logprob":
        assert "nothing can be learned from this batch: a log-probability of sample 0 of task" in replayed.output
    else:  # the batch itself was sound: its gradient is finite where nobody harms it
        assert "loss" in replayed.output


def test_three_in_a_row_stop_the_run_with_the_path(zygote, straight):
    outcome, run = poisoned(zygote, straight, "poisoned-thrice", "logprob", [2, 3, 4])
    assert outcome.code == 1, outcome.output
    assert "nothing could be learned in 3 steps in a row: a log-probability" in outcome.output
    assert str(run / "dumps" / "step-000004.jsonl.gz").split("/")[-1] in outcome.output
    # Steps without an update left the weights as they were: those of step 1 serve all three.
    assert zygote.run("replay", run, "--step", 4).code == 0


def test_a_reward_that_is_nan_is_an_error_and_counted(zygote, straight):
    recipe, _, _ = straight["procedural"]
    check = zygote.folder / "sometimes_nan.py"
    check.write_text(
        "def sometimes_nan(response):\n    total = sum(map(ord, response))\n"
        "    return float('nan') if total % 5 == 0 else float(total % 2)\n"
    )
    outcome = zygote.run("train", recipe, "--run-dir", "nan-reward", *KEEP, f"verifiers.0.name={check}:sometimes_nan")
    assert outcome.code == 0, outcome.output
    for row in read_json_lines(zygote.folder / "nan-reward" / "metrics.jsonl"):
        path = zygote.folder / "nan-reward" / "rollouts" / f"step-{row['step']:06d}.jsonl.gz"
        with gzip.open(path, "rt") as lines:
            texts = [json.loads(line) for line in lines]
        wanted = sum(sum(map(ord, t["response"])) % 5 == 0 for t in texts)
        assert row["verifier/sometimes_nan/error"] == wanted
        assert row.get("dropped/error", 0.0) == wanted
        assert sum(t["status"] == "error" for t in texts) == wanted
