"""Where metrics go besides metrics.jsonl: TensorBoard, Weights & Biases, trackio. Each is an extra of the package."""

from __future__ import annotations

import functools
import importlib.util
import secrets
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeVar

from grpo_kit.config import Config
from grpo_kit.errors import UserError

T = TypeVar("T")


class Sink(Protocol):
    """Takes the numbers of a step; evaluation and training may each send some for the same step."""

    def log(self, step: int, metrics: dict[str, float]) -> None: ...

    def close(self) -> None: ...


class TensorBoardSink:
    """Event files in ``RUN/tensorboard``."""

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Events after the checkpoint that a run goes on from would otherwise be shown twice.
        self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def log(self, step: int, metrics: dict[str, float]) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WandbSink:
    """A Weights & Biases run with its files in ``RUN/wandb``; WANDB_MODE=offline needs no account and no network."""

    def __init__(self, config: Config, folder: Path, step: int) -> None:
        import wandb

        known = folder / "wandb_id.txt"
        if not known.is_file():
            known.write_text(secrets.token_hex(4), encoding="utf-8")
        self._run = wandb.init(
            project=config.logging.project,
            name=folder.resolve().name,
            id=known.read_text(encoding="utf-8"),
            resume="allow",
            dir=str(folder),
            config=config.model_dump(mode="json"),
        )

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._run.log(metrics, step=step)

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
            config=config.model_dump(mode="json"),
        )
        self._finish = trackio.finish

    def log(self, step: int, metrics: dict[str, float]) -> None:
        self._run.log(metrics, step=step)

    def close(self) -> None:
        self._finish()


SINKS: dict[str, Callable[[Config, Path, int], Sink]] = {
    "tensorboard": TensorBoardSink,
    "wandb": WandbSink,
    "trackio": TrackioSink,
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
