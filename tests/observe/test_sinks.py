"""Sinks receive what metrics.jsonl receives; each is skipped where its extra is not installed."""

import sqlite3
import sys
import types

import pytest

from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.observe import sinks
from grpo_kit.observe.run_directory import RunDirectory


@pytest.fixture
def config(tiny_recipe):
    return lambda *names: load_recipe(tiny_recipe, [f"logging.sinks=[{','.join(names)}]"])


def write_some(config, path, name):
    run = RunDirectory.create(path, config(name))
    run.sinks = sinks.open_sinks(config(name), run.path)
    for step in (1, 2, 3):
        run.log_metrics({"step": step, "reward/mean": step / 10, "words": "not a number"})
    for sink in run.sinks:
        sink.close()
    assert [m["reward/mean"] for m in run.read_metrics()] == [0.1, 0.2, 0.3]
    return run


def test_a_missing_package_is_named_with_its_extra(config, monkeypatch):
    monkeypatch.setattr(sinks.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r'trackio is not installed; pip install "grpo-kit\[trackio\]"'):
        sinks.check_sinks(config("trackio"))


def test_an_unknown_sink_is_refused(tiny_recipe):
    with pytest.raises(UserError, match="wandb"):
        load_recipe(tiny_recipe, ["logging.sinks=[wandbb]"])


def test_tensorboard(config, tmp_path):
    pytest.importorskip("tensorboard", reason="the tensorboard extra is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = write_some(config, tmp_path / "run", "tensorboard")
    events = EventAccumulator(str(run.path / "tensorboard")).Reload().Scalars("reward/mean")
    assert [(e.step, round(e.value, 5)) for e in events] == [(1, 0.1), (2, 0.2), (3, 0.3)]


def test_wandb_offline(config, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the wandb extra is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = write_some(config, tmp_path / "run", "wandb")
    (log,) = run.path.glob("wandb/offline-run-*/run-*.wandb")
    assert log.stat().st_size > 0
    assert (run.path / "wandb_id.txt").read_text() in log.name
    assert b"reward/mean" in log.read_bytes()
    assert wandb.run is None


def test_trackio(config, tmp_path, monkeypatch):
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip("trackio", reason="the trackio extra is not installed")
    from trackio import utils

    folder = utils.TRACKIO_DIR
    write_some(config, tmp_path / "run", "trackio")
    found = [f for f in folder.rglob("*.db") if f.stat().st_mtime >= (tmp_path / "run" / "config.yaml").stat().st_mtime]
    assert found
    with sqlite3.connect(found[0]) as database:
        assert database.execute("select count(*) from metrics where run_name = 'run'").fetchone()[0] >= 3


def test_mlflow(config, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the mlflow extra is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow import MlflowClient

    run = write_some(config, tmp_path / "run", "mlflow")
    name = (run.path / "mlflow_id.txt").read_text()
    found, client = MlflowClient().get_run(name), MlflowClient()
    assert [(m.step, m.value) for m in client.get_metric_history(name, "reward/mean")] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert (found.info.status, found.info.run_name) == ("FINISHED", "run")
    assert found.data.params["rollout.group_size"] == "4"
    (sink,) = sinks.open_sinks(config("mlflow"), run.path, 2)
    sink.log(3, {"reward/mean": 0.4})
    sink.close()
    assert client.get_metric_history(name, "reward/mean")[-1].value == 0.4


@pytest.mark.parametrize("name", sinks.SINKS)
def test_no_secret_reaches_a_tracker(name, tiny_recipe, tmp_path, monkeypatch):
    """A recipe may hold the key of a judge; what a tracker is given may be seen by others."""
    given = []

    class Tracker(types.ModuleType):
        def __getattr__(self, attribute):
            if attribute.startswith("__"):
                raise AttributeError(attribute)
            return Tracker(attribute)

        def __call__(self, *args, **keys):
            given.append((args, keys))
            return Tracker("made")

    for module in ("wandb", "trackio", "mlflow", "mlflow.entities", "torch.utils.tensorboard"):
        monkeypatch.setitem(sys.modules, module, Tracker(module))
    secret = "sk-1234567890abcdefghijkl"
    verifier = f"verifiers=[{{name: judge, options: {{model: m, api_key: {secret}}}}}]"
    sinks.SINKS[name](load_recipe(tiny_recipe, [verifier]), tmp_path, 0)
    assert "judge" in repr(given)
    assert secret not in repr(given)


class Broken:
    """Fails where it is told to; counts what it was given."""

    given = 0

    def __init__(self, at):
        self.at = at
        if at == "open":
            raise ValueError("no api key\nand more")

    def log(self, step, metrics):
        Broken.given += 1
        if self.at == "log" and step > 1:
            raise ConnectionError("refused")

    def log_samples(self, step, samples):
        pass

    def log_image(self, step, name, path):
        pass

    def close(self):
        if self.at == "close":
            raise SystemError("gone")


@pytest.mark.parametrize(("at", "given"), [("open", 0), ("log", 2), ("close", 3)])
def test_a_sink_that_fails_is_told_once_and_ends_alone(config, tmp_path, monkeypatch, at, given):
    monkeypatch.setitem(sinks.SINKS, "wandb", lambda *_: Broken(at))
    monkeypatch.setattr(Broken, "given", 0)
    run, told = RunDirectory.create(tmp_path / "run", config("wandb")), []
    run.sinks = sinks.open_sinks(config("wandb"), run.path, 0, told.append)
    for step in (1, 2, 3):
        run.log_metrics({"step": step, "reward/mean": 0.5})
    for sink in run.sinks:
        sink.close()
    assert len(run.read_metrics()) == 3
    assert Broken.given == given
    (line,) = told
    assert "wandb failed to" in line
    assert "the run goes on without it" in line
    assert "\n" not in line
