"""Resuming at a step, with harmless changes, into a fork; which checkpoints are kept; and that nothing trained is a failure."""

import json

import pytest

from grpo_kit.observe.run_directory import read_json_lines
from grpo_kit.stress.subjects import trace
from grpo_kit.train import checkpoint as checkpoints
from grpo_kit.train.keeper import Keeper
from tests.kit.same import assert_equal

ALL = ("train.save_every=1", "train.keep_last=20")


def train(zygote, recipe, name, *more, code=0):
    outcome = zygote.run("train", recipe, "--run-dir", name, *more)
    assert outcome.code == code, outcome.output
    return zygote.folder / name, outcome.output


def steps_of(run):
    return [checkpoints.step_of(path) for path in checkpoints.checkpoints(run / "checkpoints")]


def test_resuming_at_a_step_trains_the_rest_again(zygote, straight):
    recipe, expected, _ = straight["from_file"]
    run, _ = train(zygote, recipe, "again", *ALL)
    assert steps_of(run) == list(range(1, 9))
    _, said = train(zygote, recipe, "again", "--resume", "3", *ALL)
    assert "resumed after step 3" in said
    assert "is of a later step and was set aside" in said
    assert_equal(run, expected)
    assert steps_of(run) == list(range(1, 9))
    notes = read_json_lines(run / "resumes.jsonl")
    assert [note["step"] for note in notes] == [3]


def test_a_finished_run_can_be_given_more_steps_where_no_schedule_forbids_it(zygote, straight):
    recipe, _, _ = straight["from_file"]
    plain = ("optimizer.schedule=constant", "critic.optimizer.schedule=constant")
    whole, _ = train(zygote, recipe, "eleven", *plain, "train.steps=11", "evaluation=null")
    run, _ = train(zygote, recipe, "eight", *plain, "evaluation=null")
    _, said = train(
        zygote, recipe, "eight", "--resume", *plain, "train.steps=11", "evaluation=null", "train.save_every=2"
    )
    assert "changed: train.steps: 8 -> 11, train.save_every: 1 -> 2" in said
    assert_equal(run, whole)
    _, said = train(zygote, straight["procedural"][0], "straight-procedural", "--resume", "train.steps=11", code=2)
    assert "train.steps: 8 -> 11" in said  # a cosine over 8 steps is not the beginning of one over 11


def test_a_fork_goes_on_elsewhere_and_leaves_the_old_run_alone(zygote, straight):
    recipe, expected, _ = straight["from_file"]
    origin, _ = train(zygote, recipe, "origin", *ALL)
    before = {p: p.read_bytes() for p in origin.rglob("*") if p.is_file()}
    same, _ = train(zygote, recipe, "same", "--fork", "origin@5")
    assert (same / "model" / "model.safetensors").read_bytes() == (
        expected / "model" / "model.safetensors"
    ).read_bytes()
    assert trace(same) == [row for row in trace(expected) if row["step"] > 5]
    other, said = train(zygote, recipe, "other", "--fork", "origin@5", "optimizer.learning_rate=0.002", "seed=3")
    assert "forked after step 5 of origin; changed: seed: 0 -> 3, optimizer.learning_rate: 0.001 -> 0.002" in said
    rates = {m["step"]: m["learning_rate"] for m in read_json_lines(other / "metrics.jsonl") if "learning_rate" in m}
    old = {m["step"]: m["learning_rate"] for m in read_json_lines(expected / "metrics.jsonl") if "learning_rate" in m}
    assert rates == {step: pytest.approx(2 * old[step]) for step in (6, 7, 8)}
    note = json.loads((other / "fork.json").read_text())
    assert (note["step"], note["changes"][0]) == (5, "seed: 0 -> 3")
    assert {p: p.read_bytes() for p in origin.rglob("*") if p.is_file()} == before


def test_the_best_checkpoint_is_kept_and_named(zygote, straight):
    recipe, _, _ = straight["procedural"]
    run, said = train(
        zygote,
        recipe,
        "best",
        "train.save_every=null",
        "train.keep_last=1",
        "evaluation.every=1",
        "evaluation.tasks=16",
    )
    accuracy = {m["step"]: m["eval/sampled"] for m in read_json_lines(run / "metrics.jsonl") if "eval/sampled" in m}
    del accuracy[0]  # before training there is nothing to save
    best = max(accuracy, key=lambda step: (accuracy[step], step))
    assert steps_of(run) == sorted({best, 8})
    assert f"highest held-out accuracy of a checkpoint: that of step {best}" in said


def test_minutes_between_checkpoints(zygote, straight):
    recipe, _, _ = straight["procedural"]
    more = ("train.save_every=null", "train.keep_best=0", "train.keep_last=20")
    run, _ = train(zygote, recipe, "minutes", *more, "train.save_minutes=0.00001", "evaluation=null")
    assert steps_of(run) == list(range(1, 9))
    run, _ = train(zygote, recipe, "hours", *more, "train.save_minutes=600", "evaluation=null")
    assert steps_of(run) == [8]


def test_weights_in_several_files(zygote, straight):
    recipe, expected, _ = straight["procedural"]
    run, _ = train(zygote, recipe, "shards", "train.shard_gb=0.00005", *ALL)
    assert len(list((run / "model").glob("model-*.safetensors"))) > 1
    from transformers import AutoModelForCausalLM

    one, many = (AutoModelForCausalLM.from_pretrained(r / "model").state_dict() for r in (expected, run))
    assert all((one[name] == many[name]).all() for name in one)
    train(zygote, recipe, "shards", "--resume", "6", "train.shard_gb=0.00005", *ALL)
    assert trace(run) == trace(expected)


def test_nothing_trained_is_a_failure(zygote, straight):
    recipe, _, _ = straight["procedural"]
    check = zygote.folder / "always.py"
    check.write_text("def always(response):\n    return 1.0\n")
    _, said = train(
        zygote, recipe, "nothing", f"verifiers.0.name={check}:always", "objective.beta=0", "evaluation=null", code=1
    )
    assert "0 of 8 steps trained" in said


def test_changed_verifiers_are_refused(zygote, straight):
    recipe, _, _ = straight["procedural"]
    check = zygote.folder / "versioned.py"
    text = "from grpo_kit.verifiers import verifier\n\n@verifier(name='versioned', version='{}')\ndef f(response):\n"
    text += "    return float(len(response) % 2)\n"
    check.write_text(text.format(1))
    name = f"verifiers.0.name={check}:f"
    fault = ("kill_in_phase", {"phase": "update", "entry": 4})
    assert zygote.run("train", recipe, "--run-dir", "versions", name, "evaluation=null", faults=[fault]).code == -9
    check.write_text(text.format(2))
    _, said = train(zygote, recipe, "versions", "--resume", name, "evaluation=null", code=2)
    assert "versioned: version 1 then, 2 now" in said
    assert "--fork versions@2" in said


def test_after_an_older_step_newer_checkpoints_are_not_fallen_back_on(tmp_path, policy):
    for step in (1, 2, 3):
        checkpoints.save_checkpoint(tmp_path, step, policy, {"step": step})
    moved = checkpoints.set_aside_after(tmp_path, 1)
    assert [path.name for path in moved] == ["aside-step-000002", "aside-step-000003"]
    assert checkpoints.latest_checkpoint(tmp_path, pytest.fail).name == "step-000001"


def test_the_keeper_waits_longer_between_tries(tmp_path, policy, monkeypatch, tiny_recipe):
    import shutil

    from grpo_kit.config.read import load_recipe

    said = []
    keeper = Keeper(tmp_path, load_recipe(tiny_recipe).train, said.append)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    tries = []
    for step in range(1, 80):
        if step == 1 or keeper.due(step, None):
            tries.append(step)
            assert not keeper.save(step, policy, {"step": step})
    assert tries == [1, 2, 4, 8, 16, 32, 64]
    assert "there is no checkpoint yet" in said[0]
    monkeypatch.undo()
    assert keeper.save(80, policy, {"step": 80})
    assert not keeper.due(81, None)
