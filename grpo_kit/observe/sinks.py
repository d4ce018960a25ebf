"""Where metrics go besides metrics.jsonl: TensorBoard, Weights & Biases, trackio, MLflow. Each is an extra of the package.

A tracker is given the recipe with its secrets masked, every number, some samples now and then, and the learning curve."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import secrets
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.runtime.secrets import mask
from grpo_kit.types import Group

T = TypeVar("T")
Sample = dict[str, Any]  # one response, by `COLUMNS`
COLUMNS = ("step", "task", "prompt", "response", "answer", "reward", "advantage", "finish")
GROUPS_SHOWN = 4  # of a step, each with its best and its worst response


class Sink(Protocol):
    """Takes the numbers of a step; evaluation and training may each send some for the same step."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None: ...

    def log_image(self, step: int, name: str, path: Path) -> None:
        """Show a PNG file."""

    def close(self) -> None: ...


class TensorBoardSink:
    """Event files in ``RUN/tensorboard``."""

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Events after the checkpoint that a run goes on from would otherwise be shown twice.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)
        if not step:
            self._writer.add_text("config", _fenced(json.dumps(mask(config.model_dump(mode="json")), indent=2)))

    def log(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None:
        for number, sample in enumerate(samples):  # as code: what a model wrote must not become markup
            text = "\n".join(f"{name}: {value}" for name, value in sample.items())
            self._writer.add_text(f"samples/{number}", _fenced(text), step)
        self._writer.flush()

    def log_image(self, step: int, name: str, path: Path) -> None:
        from matplotlib.image import imread

        self._writer.add_image(name, imread(path), step, dataformats="HWC")

    def close(self) -> None:
        self._writer.close()


class WandbSink:
    """A Weights & Biases run with its files in ``RUN/wandb``; WANDB_MODE=offline needs no account and no network."""

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        import wandb

        known = folder / "wandb_id.txt"
        if not known.is_file():
            known.write_text(secrets.token_hex(4), encoding="utf-8")
        self._table, self._image = wandb.Table, wandb.Image
        self._run = wandb.init(
            project=config.logging.project,
            name=folder.resolve().name,
            id=known.read_text(encoding="utf-8"),
            resume="allow",
            dir=str(folder),
            config=mask(config.model_dump(mode="json")),
        )

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._run.log(metrics, step=step)

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None:
        self._run.log({"samples": self._table(list(COLUMNS), [list(one.values()) for one in samples])}, step=step)

    def log_image(self, step: int, name: str, path: Path) -> None:
        self._run.log({name: self._image(str(path))}, step=step)

    def close(self) -> None:
        self._run.finish()


class TrackioSink:
    """A trackio run in its local database (``TRACKIO_DIR``)."""

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        import trackio

        self._run = trackio.init(
            project=config.logging.project,
            name=folder.resolve().name,
            resume="allow",
            embed=False,
            config=mask(config.model_dump(mode="json")),
        )
        self._trackio = trackio

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._run.log(metrics, step=step)

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None:
        import pandas

        self._run.log({"samples": self._trackio.Table(dataframe=pandas.DataFrame(list(samples)))}, step=step)

    def log_image(self, step: int, name: str, path: Path) -> None:
        self._run.log({name: self._trackio.Image(str(path))}, step=step)

    def close(self) -> None:
        self._trackio.finish()


class MlflowSink:
    """A run of MLflow, where MLFLOW_TRACKING_URI says or where MLflow keeps its runs by itself; the project is its experiment."""

    MOST = 100  # parameters, or numbers, of one request

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        from mlflow import MlflowClient

        self._client = MlflowClient()
        known = folder / "mlflow_id.txt"
        if known.is_file():
            self._run = known.read_text(encoding="utf-8")
            self._client.update_run(self._run, status="RUNNING")
            return
        project = config.logging.project
        experiment = self._client.get_experiment_by_name(project)
        where = experiment.experiment_id if experiment else self._client.create_experiment(project)
        self._run = str(self._client.create_run(where, run_name=folder.resolve().name).info.run_id)
        known.write_text(self._run, encoding="utf-8")
        self._say_config(mask(config.model_dump(mode="json")))

    def _say_config(self, values: dict[str, Any]) -> None:
        from mlflow.entities import Param

        self._client.log_dict(self._run, values, "config.yaml")
        params = [Param(_named(key), str(value)[:500]) for key, value in _leaves("", values)]
        for start in range(0, len(params), self.MOST):
            self._client.log_batch(self._run, params=params[start : start + self.MOST])

    def log(self, step: int, metrics: dict[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(1000 * time.time())
        found = [Metric(_named(name), value, now, step) for name, value in metrics.items()]
        for start in range(0, len(found), self.MOST):
            self._client.log_batch(self._run, metrics=found[start : start + self.MOST])

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None:
        columns = {name: [sample[name] for sample in samples] for name in COLUMNS}
        self._client.log_table(self._run, columns, "samples.json")  # it adds to what stands there

    def log_image(self, step: int, name: str, path: Path) -> None:
        self._client.log_artifact(self._run, str(path))

    def close(self) -> None:
        self._client.set_terminated(self._run)


def _fenced(text: str) -> str:
    """Markdown that shows a text as it is: an indented block, which nothing inside can end."""
    return "\n".join(f"    {line}" for line in text.splitlines())


def _named(name: str) -> str:
    """A name with the characters that MLflow allows."""
    return re.sub(r"[^\w\-. /:]", "_", name)[:250]


def _leaves(inside: str, values: Any) -> Iterator[tuple[str, Any]]:
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    for key, value in pairs:
        if isinstance(value, (Mapping, list)) and value:
            yield from _leaves(f"{inside}{key}.", value)
        else:
            yield f"{inside}{key}", value


SINKS: dict[str, Callable[[Config, Path, int], Sink]] = {
    "tensorboard": TensorBoardSink,
    "wandb": WandbSink,
    "trackio": TrackioSink,
    "mlflow": MlflowSink,
}


def check_sinks(config: Config) -> None:
    """Raises UserError where a sink's package is not installed. Imports nothing."""
    for name in config.logging.sinks:
        if importlib.util.find_spec(name) is None:
            raise UserError(f'logging.sinks: {name} is not installed; pip install "grpo-kit[{name}]"')


class Forgiving:
    """A sink whose failures are told once and then end it: what a run has learned does not depend on who draws it.

    Args:
        open: makes the sink.
        warn: tells a person.
    """

    def __init__(self, name: str, open: Callable[[], Sink], warn: Callable[[str], None]) -> None:
        self.name, self.warn = name, warn
        self._sink: Sink | None = None
        self._sink = self._tried("open", open)

    def _tried(self, act: str, call: Callable[[], T]) -> T | None:
        try:
            return call()
        except Exception as error:  # a sink is somebody else's code, and may raise anything
            self._sink = None
            reason = (str(error).splitlines() or [""])[0]
            self.warn(
                f"logging.sinks: {self.name} failed to {act} ({type(error).__name__}: {reason:.200}); the run goes on without "
                "it, and metrics.jsonl has everything"
            )
            return None

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if (sink := self._sink) is not None:
            self._tried("take the metrics of a step", lambda: sink.log(step, metrics))

    def log_samples(self, step: int, samples: Sequence[Sample]) -> None:
        if (sink := self._sink) is not None:
            self._tried("take samples", lambda: sink.log_samples(step, samples))

    def log_image(self, step: int, name: str, path: Path) -> None:
        if (sink := self._sink) is not None:
            self._tried("take a picture", lambda: sink.log_image(step, name, path))

    def close(self) -> None:
        if (sink := self._sink) is not None:
            self._tried("close", sink.close)
        self._sink = None


def open_sinks(config: Config, folder: Path, step: int = 0, warn: Callable[[str], None] = warnings.warn) -> list[Sink]:
    """The sinks of a recipe, none of which can fail the run. step: the last one that a resumed run keeps."""
    return [
        Forgiving(name, functools.partial(SINKS[name], config, folder, step), warn) for name in config.logging.sinks
    ]


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """What a sink can draw."""
    return {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float)) and k != "step"}


def samples_of(step: int, groups: Sequence[Group], advantages: Sequence[Sequence[float]]) -> list[Sample]:
    """What a tracker is shown of a step: the best and the worst response of its first groups."""
    found = []
    for group, row in list(zip(groups, advantages, strict=True))[:GROUPS_SHOWN]:
        order = sorted(range(len(group.completions)), key=lambda index: group.scores[index].value)
        for index in dict.fromkeys((order[-1], order[0])):
            one, score = group.completions[index], group.scores[index]
            values = (
                step, group.task.id, group.task.prompt, one.text, str(group.task.answer), score.value, row[index],
                one.finish_reason,
            )  # fmt: skip
            found.append(dict(zip(COLUMNS, values, strict=True)))
    return found
