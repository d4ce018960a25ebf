"""What every sink does with the numbers of a run, and what a run may do with a sink; a new one is met without a line here."""

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.observe.sinks import COLUMNS, SINKS, Forgiving, open_sinks, samples_of
from grpo_kit.report.curve import draw_learning_curve
from grpo_kit.types import Completion, Group, Message, Score, Task

AWKWARD = {"reward/mean": 0.5, "loss": float("nan"), "ratio/max": float("inf"), "verifier/my check/mean": 1.0}


@pytest.fixture(params=[*SINKS, "one that cannot be opened", "one that fails"])
def opened(request, tiny_recipe, tmp_path, monkeypatch):
    """Opens sinks of a kind, as a run does; and what was told of them."""
    for name, value in (("WANDB_MODE", "offline"), ("WANDB_SILENT", "true")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
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

    def log_samples(self, step, samples):
        raise OSError("no space left on device")

    def log_image(self, step, name, path):
        raise OSError("no space left on device")

    def close(self):
        raise OSError("no space left on device")


def cannot():
    raise ConnectionError("no network")


def a_group():
    """Three responses, one of them with what a page or a terminal would take for its own."""
    texts = ["right", "<script>alert(1)</script>\n# heading\x1b[31m", "middle"]
    task = Task("sums/1", (Message(role="user", content="1 + 1 ="),), 2)
    completions = [Completion(task.id, i, [5], [-1.0], text, "stop", 1) for i, text in enumerate(texts)]
    group = Group.of_texts(task, texts)
    group.completions = completions
    group.scores = [Score(1.0), Score(0.0), Score(0.5)]
    return group


def test_samples_are_the_best_and_the_worst():
    found = samples_of(7, [a_group()], [[1.0, -1.0, 0.0]])
    assert [tuple(one) for one in found] == [COLUMNS, COLUMNS]
    assert [(one["reward"], one["advantage"]) for one in found] == [(1.0, 1.0), (0.0, -1.0)]
    assert found[0] | {"response": ""} == {
        "step": 7, "task": "sums/1", "prompt": "1 + 1 =", "response": "", "answer": "2", "reward": 1.0, "advantage": 1.0,
        "finish": "stop",
    }  # fmt: skip


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


def test_it_takes_samples_and_a_picture(opened, tmp_path):
    kind, make, told = opened
    metrics = [{"step": step, "reward/mean": step / 10} for step in (1, 2)]
    picture = draw_learning_curve(metrics, tmp_path / "curve.png", "a run")
    sink = make()
    for step in (1, 2):
        sink.log(step, AWKWARD)
        sink.log_samples(step, samples_of(step, [a_group()], [[1.0, -1.0, 0.0]]))
    sink.log_samples(3, [])
    sink.log_image(2, "curve", picture)
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
