"""Evaluation tasks: small YAML files (``recipes/eval``) that say where the problems are and who judges."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, model_validator

from grpo_kit.config import DataConfig, FieldMap, Strict, VerifierConfig
from grpo_kit.data.datasets import READERS, DatasetSource
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.recipe_file import parse_yaml, recipes_root, validate
from grpo_kit.types import Message, Task

from .files import USUAL
from .protocol import short_hash
from .readers import read_rows

# The held-out problems of a procedural task are the same for every evaluation, whatever its sampling seed.
PROCEDURAL_SEED = 20_240_229
BOXED = "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."


class EvalTask(Strict):
    """One evaluation task."""

    data: DataConfig
    verifier: VerifierConfig
    max_tokens: PositiveInt = 2048
    problems: PositiveInt | None = Field(None, description="how many problems of a procedural task")
    prompt_columns: tuple[str, ...] = Field((), description="columns that make up the question, joined by a blank")

    @model_validator(mode="after")
    def _procedural_has_an_end(self) -> EvalTask:
        if (self.data.task is None) != (self.problems is None):
            raise ValueError("problems is for procedural tasks, which have no end, and they need it")
        return self


@dataclass(frozen=True)
class OpenTask:
    """A task with its problems read.

    Attributes:
        fingerprint: of the data, so that two results of the same name can be told apart.
    """

    name: str
    spec: EvalTask
    problems: tuple[Task, ...]
    fingerprint: str

    def protocol(self) -> dict[str, Any]:
        return {
            "problems": len(self.problems),
            "data": self.fingerprint,
            "template": short_hash(f"{self.spec.data.system_prompt}\x1f{self.spec.data.prompt_template}"),
        }


def shipped_tasks() -> list[str]:
    return sorted(path.stem for path in (recipes_root() / "eval").glob("*.yaml"))


def open_task(reference: str, limit: int | None = None) -> OpenTask:
    """Read a task's problems.

    Args:
        reference: a shipped name, ``name=path`` (its data from a local file), a task file (.yaml), or a data file
            (.jsonl, .json, .parquet, .csv) whose columns have usual names, judged by ``math``.
        limit: only the first problems.

    Raises:
        UserError: there is no such task, or its data cannot be read.
    """
    name, spec = _find(reference)
    where = f"task {name}: data"
    if spec.data.task is not None:
        assert spec.problems is not None
        endless = ProceduralSource(spec.data.task, spec.data.level, PROCEDURAL_SEED, held_out=True)
        problems = endless.unique_tasks(min(spec.problems, limit or spec.problems))
        return OpenTask(name, spec, tuple(problems), endless.fingerprint)
    source = (
        _JoinedSource(spec.data, where, spec.prompt_columns) if spec.prompt_columns else DatasetSource(spec.data, where)
    )
    problems = [source.task(i) for i in range(min(source.size, limit or source.size))]
    repeated = len(problems) - len({task.id for task in problems})
    if repeated:
        raise UserError(f"{where}.fields.id: {repeated} problems share an id with another one; leave it out or mend it")
    return OpenTask(name, spec, tuple(problems), source.fingerprint)


def _find(reference: str) -> tuple[str, EvalTask]:
    name, separator, path = reference.partition("=")
    if separator:
        spec = _shipped(name)
        if spec.data.path is None:
            raise UserError(f"--tasks {reference}: {name} is a procedural task and has no data file")
        return name, spec.model_copy(update={"data": spec.data.model_copy(update={"path": path})})
    suffix = Path(reference).suffix
    if suffix in (".yaml", ".yml"):
        if not Path(reference).is_file():
            raise UserError(f"--tasks: no such file: {reference}")
        return Path(reference).stem, _read(Path(reference))
    if suffix in READERS:
        return Path(reference).stem, _from_file(Path(reference))
    return reference, _shipped(reference)


def _shipped(name: str) -> EvalTask:
    if name not in shipped_tasks():
        close = difflib.get_close_matches(name, shipped_tasks(), 1, 0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(
            f"--tasks: there is no task {name!r}; there are {', '.join(shipped_tasks())}, name=path for a local copy of "
            f"one, your own .yaml task file, or a data file.{hint}"
        )
    return _read(recipes_root() / "eval" / f"{name}.yaml")


def _read(path: Path) -> EvalTask:
    return validate(parse_yaml(path.read_text(encoding="utf-8"), str(path)), EvalTask)


def _from_file(path: Path) -> EvalTask:
    """A task for a data file: its columns are found by their usual names."""
    if path.suffix == ".csv":
        raise UserError(f"--tasks {path}: a .csv needs a task file (.yaml) that says which columns hold what")
    columns = read_rows(path)[0]
    found = {}
    for role in ("prompt", "gold"):
        found[role] = next((name for name in USUAL[role] if name in columns), None)
        if found[role] is None:
            raise UserError(
                f"--tasks {path}: no column is named {', '.join(USUAL[role])}; it has: {', '.join(columns)}. Write a "
                "task file (.yaml) with data.path and data.fields"
            )
    fields = FieldMap(prompt=str(found["prompt"]), answer=str(found["gold"]))
    data = DataConfig(path=str(path), fields=fields, prompt_template=BOXED)
    return EvalTask(data=data, verifier=VerifierConfig(name="math"))


class _JoinedSource(DatasetSource):
    """Rows whose question is spread over several columns."""

    def __init__(self, config: DataConfig, where: str, columns: tuple[str, ...]) -> None:
        super().__init__(config, where)
        missing = [name for name in columns if name not in self.rows.column_names]
        if missing:
            raise UserError(f"{where}: prompt_columns: {config.path} has no column {missing[0]!r}")
        self.columns = columns

    def _messages(self, prompt: Any, index: int) -> tuple[Message, ...]:
        row = self.rows[index]
        return super()._messages(" ".join(str(row[name]).strip() for name in self.columns), index)
