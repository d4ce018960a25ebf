"""What a person asks for: a run of a recipe, where it is written, what it goes on from; and the run that it comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from grpo_kit.config import Config
from grpo_kit.errors import UserError
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.observe.terminal import open_console

if TYPE_CHECKING:
    from grpo_kit.train.listener import Listener


@dataclass(frozen=True)
class Latest:
    """Go on from the newest checkpoint."""

    def __str__(self) -> str:
        return "latest"


@dataclass(frozen=True)
class Auto:
    """Go on from the newest checkpoint if the run is there, and begin it otherwise."""

    def __str__(self) -> str:
        return "auto"


@dataclass(frozen=True)
class AtStep:
    """Go on from the checkpoint of a step."""

    step: int

    def __str__(self) -> str:
        return str(self.step)


Position = Latest | AtStep  # of a run that is there


def read_resume(text: str | None) -> Position | Auto | None:
    """``latest``, ``auto`` or a step, as `str` of a position gives it. Raises UserError for anything else."""
    if text is None:
        return None
    if text == "auto":
        return Auto()
    position = read_position(text)
    if position is None:
        raise UserError(f"--resume {text}: give a step, auto, or nothing for the newest checkpoint")
    return position


def read_position(text: str) -> Position | None:
    if text == "latest":
        return Latest()
    return AtStep(int(text)) if text.isdecimal() else None


@dataclass(frozen=True)
class TrainRequest:
    """One `grpo-kit train`.

    Attributes:
        recipe: a file, the name of a shipped one, or what such a file would say; of one run, or of several stages.
        overrides: ``key.sub=value``, each replacing one value of the recipe.
        run_dir: where the run is written; None for a new folder in runs/.
        resume: what the run in ``run_dir`` goes on from; None for a new run.
        fork: ``RUN@STEP`` to begin a new run from.
        dry_run: check everything and write nothing.
        probe: with ``dry_run``, prompts that the start policy is sampled on; None for none.
        processes: so many of them on this machine, through torchrun; None for this one.
    """

    recipe: str | Mapping[str, Any]
    overrides: tuple[str, ...] = ()
    run_dir: Path | None = None
    resume: Position | Auto | None = None
    fork: str | None = None
    dry_run: bool = False
    probe: int | None = None
    processes: int | None = None

    def arguments(self) -> list[str]:
        """What each process of this run is given: `grpo-kit` with these is this request, but for ``processes``."""
        if not isinstance(self.recipe, str):
            raise UserError("several processes read the recipe each: write it into a file, and give its name")
        options = {"--run-dir": self.run_dir, "--resume": self.resume, "--fork": self.fork}
        given = [f"{name}={value}" for name, value in options.items() if value is not None]
        return ["train", self.recipe, *self.overrides, *given]


@dataclass(frozen=True)
class Checked:
    """A run that may begin.

    Attributes:
        checkpoint: what it goes on from; None from the beginning.
        changed: what a resumed run changed in its recipe; None for a new run.
    """

    config: Config
    run: RunDirectory
    checkpoint: Path | None = None
    changed: list[str] | None = None


@dataclass(frozen=True)
class Told:
    """Who is told how a run goes on: a person at a console, and the program that started it.

    Attributes:
        listener: None where no program listens.
    """

    console: Console = field(default_factory=open_console)
    listener: Listener | None = None
