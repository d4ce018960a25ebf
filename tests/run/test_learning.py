"""The main job, end to end: a tiny model gets better at held-out problems."""

import json

import pytest


@pytest.mark.slow
def test_quickstart_learns(grpo_kit, tmp_path):
    """The first part of the quickstart: clearly above its start, by more than three standard errors."""
    result = grpo_kit("train", "quickstart/addition", "train.steps=30", "--run-dir", "run")
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    evaluations = [r for r in rows if "eval/sampled" in r]
    first, last = evaluations[0], evaluations[-1]
    assert first["eval/sampled"] < 0.6
    error = (first["eval/sampled_error"] ** 2 + last["eval/sampled_error"] ** 2) ** 0.5
    assert last["eval/sampled"] - first["eval/sampled"] > 3 * error
    assert last["eval/greedy"] > 0.9
