"""What a run leaves at its end."""

import sys

from tests.kit.runs import ODD, recipe, run


def test_a_curve_that_cannot_be_drawn_does_not_end_a_run(tmp_path, monkeypatch):
    """As where torch is there, and nothing was installed for the kit."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    config = recipe("grpo", ODD, "train.steps=1", "scoring.max_rejected_gold=1.0", "rollout.max_tokens=8")
    trainer = run(config, tmp_path / "run", drawn=True)
    assert trainer.progress.step == 1
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()
    assert (tmp_path / "run" / "report.html").is_file()
    assert not (tmp_path / "run" / "curve.svg").exists()
