"""A run on disk, in the hands of a program: its metrics, its completions, its weights, its page."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from grpo_kit.config import Config
from grpo_kit.config.extends import STAGES
from grpo_kit.config.read import load_recipe
from grpo_kit.errors import UserError
from grpo_kit.observe.rollout_file import rollout_lines, rollout_steps
from grpo_kit.observe.run_directory import RunDirectory
from grpo_kit.report.build import write_report

PAGE_COMPLETIONS = 500  # in the page that a notebook holds
ACCURACIES = ("eval/sampled", "eval/greedy", "eval/pairs_accuracy")


@dataclass(frozen=True)
class Checkpoint:
    """A saved state of a run: ``step``, its folder, and the folder of its model in Hugging Face format."""

    step: int
    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model"


@dataclass(frozen=True)
class Report:
    """The page of a run: a file that needs nothing else. In a notebook it is shown where it stands."""

    path: Path

    def _repr_html_(self) -> str:
        # What it holds was written by a model: it runs the page's own scripts, apart from the notebook.
        page = html.escape(self.path.read_text(encoding="utf-8"), quote=True)
        return f'<iframe sandbox="allow-scripts" width="100%" height="700" srcdoc="{page}"></iframe>'


class Run:
    """What a run has written so far; it may still be going on, and every look reads what is there then.

    Attributes:
        path: its folder.
        stopped: whether a callback ended it before its last step.
    """

    def __init__(self, path: str | Path, *, stopped: bool = False) -> None:
        """Raises UserError where there is no run."""
        self.path, self.stopped = Path(path), stopped
        self._directory = RunDirectory.open(self.path)

    @cached_property
    def config(self) -> Config:
        """Its recipe with every key, typed. What was secret is masked."""
        return load_recipe(self.path / "config.yaml", complete=False)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """A mapping for each line of metrics.jsonl: one for each step, and one for each evaluation (``eval/...``).

        `pandas.DataFrame(run.metrics)` takes them as they are.
        """
        return self._directory.read_metrics()

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The lines of steps alone."""
        return [line for line in self.metrics if not _is_evaluation(line)]

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The lines of evaluations alone, with the step that each stands behind."""
        return [line for line in self.metrics if _is_evaluation(line)]

    @property
    def accuracy(self) -> float | None:
        """Held-out accuracy of the last evaluation, sampled answers before greedy ones; None where there was none."""
        last = (self.evaluations or [{}])[-1]
        return next((float(last[name]) for name in ACCURACIES if name in last), None)

    @property
    def step(self) -> int:
        """The last step that was taken."""
        return max((int(line["step"]) for line in self.metrics), default=0)

    @property
    def finished(self) -> bool:
        """Whether it came to its end."""
        return self.model is not None

    @property
    def model(self) -> Path | None:
        """The folder of the trained model, in Hugging Face format; None before the end of the run."""
        path = self.path / "model"
        return path if path.is_dir() else None

    @property
    def checkpoints(self) -> list[Checkpoint]:
        """Those that are kept, the oldest first."""
        found = {path.name.removeprefix("step-"): path for path in self._directory.checkpoints.glob("step-*")}
        numbered = {int(step): path for step, path in found.items() if step.isdecimal()}
        return [Checkpoint(step, path) for step, path in sorted(numbered.items())]

    def rollouts(self, step: int | None = None) -> Iterator[dict[str, Any]]:
        """Every recorded completion with its scores, one at a time; of one step, or of all of them in order.

        Raises:
            UserError: nothing was recorded of that step, or its file is damaged.
        """
        files = rollout_steps(self.path)
        if step is not None and step not in files:
            known = f"{min(files)} to {max(files)}" if files else "none"
            raise UserError(f"{self.path} has no rollouts of step {step}; recorded: {known}")
        return (line for at, path in files.items() if step in (None, at) for line in rollout_lines(path))

    def report(self, limit: int = PAGE_COMPLETIONS) -> Report:
        """Write report.html anew, with at most so many completions. In a notebook the page is shown."""
        return Report(write_report(self.path, limit=limit))

    def __repr__(self) -> str:
        state = "finished" if self.finished else "stopped" if self.stopped else "unfinished"
        return f"Run({str(self.path)!r}, {state} after step {self.step} of {self.config.train.steps})"

    def _repr_html_(self) -> str:
        rows = {
            "run": self.path,
            "algorithm": self.config.algorithm,
            "step": f"{self.step} of {self.config.train.steps}",
            "held-out accuracy": " → ".join(f"{value:.1%}" for value in _ends(self.evaluations)) or "not measured",
            "model": self.model or "not yet: the run is not finished",
        }
        cells = "".join(f"<tr><th>{html.escape(k)}</th><td>{html.escape(str(v))}</td></tr>" for k, v in rows.items())
        curve = self.path / "curve.svg"
        picture = curve.read_text(encoding="utf-8") if curve.is_file() else ""
        return f"<table>{cells}</table>{picture[max(0, picture.find('<svg')) :]}"


def load_run(path: str | Path) -> Run:
    """A run by its folder, finished or going on.

    Raises:
        UserError: there is no run; where a recipe of several stages was trained, the message names the runs of its stages.
    """
    if not isinstance(path, (str, Path)):
        raise UserError(f"load_run: {path!r:.80} is no folder; give the path of a run")
    folder = Path(path)
    stages = sorted(file.stem for file in folder.glob("*.yaml") if (folder / file.stem / "config.yaml").is_file())
    if stages and not (folder / "config.yaml").is_file():
        named = ", ".join(str(folder / stage) for stage in stages)
        raise UserError(f"{folder} holds the runs of several {STAGES}; load one of them: {named}")
    return Run(folder)


def _is_evaluation(line: dict[str, Any]) -> bool:
    return any(name in line for name in ACCURACIES)


def _ends(evaluations: list[dict[str, Any]]) -> list[float]:
    found = [float(line[name]) for line in evaluations for name in ACCURACIES[:1] + ACCURACIES[2:] if name in line]
    return found if len(found) < 2 else [found[0], found[-1]]
