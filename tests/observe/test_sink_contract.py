"""What every sink does with the numbers of a run, and what a run may do with a sink; a new one is met without a line here."""

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.observe.sinks import SINKS, Forgiving, open_sinks

AWKWARD = {"reward/mean": 0.5, "loss": float("nan"), "ratio/max": float("inf"), "verifier/my check/mean": 1.0}


@pytest.fixture(params=[*SINKS, "one that cannot be opened", "one that fails"])
def opened(request, tiny_recipe, tmp_path, monkeypatch):
    """Opens sinks of a kind, as a run does; and what was told of them."""
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    told = []

    def make(step=0):
        if request.param not in SINKS:
            return Forgiving("mine", Broken if request.param == "one that fails" else cannot, told.append)
        pytest.importorskip(request.param, reason=f"the {request.param} extra is not installed")
        config = load_recipe(tiny_recipe, [f"logging.sinks=[{request.param}]"])
        (sink,) = open_sinks(config, tmp_path, step, told.append)
        return sink

    return request.param, make, told


class Broken:
    def log(self, step, metrics):
        raise OSError("no space left on device")

    def close(self):
        raise OSError("no space left on device")


def cannot():
    raise ConnectionError("no network")


def silent_where_it_works(kind, told):
    assert len(told) == (0 if kind in SINKS else 1), told


def test_it_takes_steps_evaluations_of_the_same_step_and_numbers_that_are_none(opened, tmp_path):
    kind, make, told = opened
    sink = make()
    for step in (0, 1, 1, 2):
        sink.log(step, AWKWARD)
    sink.log(3, {})
    sink.close()
    silent_where_it_works(kind, told)


def test_it_goes_on_after_a_run_was_resumed(opened):
    kind, make, told = opened
    first = make()
    first.log(1, AWKWARD)
    first.log(2, AWKWARD)
    first.close()
    told.clear()
    second = make(step=1)
    second.log(2, AWKWARD)
    second.close()
    silent_where_it_works(kind, told)


def test_it_closes_unused_and_more_than_once(opened):
    kind, make, told = opened
    sink = make()
    sink.close()
    sink.close()
    silent_where_it_works(kind, told)
    sink.log(1, AWKWARD)  # after its end nothing is taken, and nothing is raised
    silent_where_it_works(kind, told)
