"""A run gives its trackers numbers, samples and, in the end, its learning curve."""

from pathlib import Path

import pytest

from grpo_kit.observe import sinks
from tests.kit.runs import ODD, recipe, run


class Tracker:
    def __init__(self, *_):
        self.steps, self.samples, self.images = [], [], []

    def log(self, step, metrics):
        self.steps.append(step)

    def log_samples(self, step, samples):
        self.samples += samples

    def log_image(self, step, name, path):
        self.images.append((step, name, Path(path).read_bytes()[:4]))

    def close(self):
        pass


@pytest.mark.parametrize("algorithm", ["grpo", "dpo"])
def test_a_tracker_is_given(algorithm, tmp_path, monkeypatch):
    given = Tracker()
    monkeypatch.setitem(sinks.SINKS, "wandb", lambda *_: given)
    config = recipe(algorithm, ODD, "scoring.max_rejected_gold=1", "logging.sinks=[wandb]", "train.steps=2")
    run(config, tmp_path / "run", drawn=True)
    assert given.steps == [1, 2]
    assert given.images == [(2, "curve", b"\x89PNG")]
    if algorithm == "dpo":  # it samples nothing
        assert given.samples == []
        return
    assert {sample["step"] for sample in given.samples} == {1, 2}
    assert {sample["reward"] for sample in given.samples} == {0.0, 1.0}
    assert all(sample["advantage"] * (sample["reward"] - 0.5) >= 0.0 for sample in given.samples)
