"""Evaluation tasks: small YAML files (``recipes/eval``) that say where the problems are and who judges."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic import Field, PositiveInt, ValidationError, model_validator

from grpo_kit.config import ChatConfig, Config, DataConfig, FieldMap, VerifierConfig
from grpo_kit.config.environment import EnvironmentConfig
from grpo_kit.config.extends import read_whole
from grpo_kit.config.read import load_recipe, validate
from grpo_kit.config.source import TASKS, parse_yaml, read_recipe, recipes_root, shipped_recipes
from grpo_kit.data.datasets import DatasetSource, procedural_source
from grpo_kit.data.rows import file_suffix, read_file
from grpo_kit.errors import UserError
from grpo_kit.runtime.strict import Strict
from grpo_kit.types import Task

from .files import LOOKED_AT, USUAL
from .protocol import short_hash
from .recipe_task import held_out, is_recipe, recipe_judge

# The held-out problems of a procedural task are the same for every evaluation, whatever its sampling seed.
PROCEDURAL_SEED = 20_240_229
RECIPE = "config.yaml"  # of a run
BOXED = "{prompt}\nPlease reason step by step, and put your final answer within \\boxed{}."


class EvalTask(Strict):
    """One evaluation task."""

    data: DataConfig
    verifier: VerifierConfig | None = Field(None, description="who judges; default: the environment, by what it pays")
    environment: EnvironmentConfig | None = Field(None, description="what answers the policy, as recipes have it")
    chat: ChatConfig = ChatConfig()
    max_tokens: PositiveInt = Field(2048, description="of a response; of an episode, those that are sampled in all")
    stop: tuple[str, ...] = Field((), description="texts that end a response, or a turn")
    problems: PositiveInt | None = Field(None, description="how many problems of a procedural task")

    @model_validator(mode="before")
    @classmethod
    def _columns_are_of_the_data(cls, values: Any) -> Any:
        """Task files used to say ``prompt_columns`` beside ``data``; it is a key of the data."""
        if isinstance(values, dict) and "prompt_columns" in values and isinstance(values.get("data"), dict):
            columns = {"prompt_columns": values["prompt_columns"]}
            rest = {key: value for key, value in values.items() if key != "prompt_columns"}
            return rest | {"data": columns | values["data"]}
        return values

    @model_validator(mode="after")
    def _somebody_judges(self) -> EvalTask:
        if self.verifier is None and (self.environment is None or self.environment.name is None):
            raise ValueError("verifier: name who judges; only an environment by name says itself what is right")
        return self

    @model_validator(mode="after")
    def _procedural_has_an_end(self) -> EvalTask:
        if self.data.task is not None and self.problems is None:
            raise ValueError(f"problems: say how many of {self.data.task} to ask, as in `problems: 256`; it has no end")
        if self.data.task is None and self.problems is not None:
            raise ValueError("problems is for procedural tasks; of a file, --limit takes the first ones")
        return self


@dataclass(frozen=True)
class OpenTask:
    """A task with its problems read.

    Attributes:
        fingerprint: of the data, so that two results of the same name can be told apart.
        available: how many problems the task has; more than there are here where ``--limit`` cut it.
    """

    name: str
    spec: EvalTask
    problems: tuple[Task, ...]
    fingerprint: str
    available: int = 0

    def protocol(self) -> dict[str, Any]:
        told: dict[str, Any] = {"chat_arguments": self.spec.chat.arguments} if self.spec.chat.arguments else {}
        told |= {"stop": list(self.spec.stop)} if self.spec.stop else {}
        limited = {"of": self.available} if self.available > len(self.problems) else {}
        return {
            "problems": len(self.problems),
            **limited,
            **told,
            "data": self.fingerprint,
            "template": short_hash(f"{self.spec.data.system_prompt}\x1f{self.spec.data.prompt_template}"),
        }


def shipped_tasks() -> list[str]:
    return sorted(path.stem for path in (recipes_root() / TASKS).glob("*.yaml"))


@dataclass(frozen=True)
class Changes:
    """What the command line says about every task, instead of its file."""

    verifier: VerifierConfig | None = None
    prompt_field: str | None = None
    gold_field: str | None = None
    chat: Mapping[str, Any] = field(default_factory=dict)  # arguments of the chat template, beside those of the task

    @property
    def fields(self) -> dict[str, str]:
        named = {"prompt": self.prompt_field, "answer": self.gold_field}
        return {role: name for role, name in named.items() if name is not None}


def open_tasks(reference: str, limit: int | None = None, changes: Changes = Changes()) -> list[OpenTask]:
    """`open_task`; of a recipe that trains on several data sets, one task for each: it has its own judge."""
    recipe = _recipe(reference)
    if recipe is None or not recipe.mixture or (recipe.evaluation and recipe.evaluation.data):
        return [open_task(reference, limit, changes)]
    found = []
    for entry in recipe.mixture:
        opened = _open_recipe(reference, recipe.of_set(entry), limit, changes)
        found.append(replace(opened, name=f"{opened.name}/{entry.called}"))
    return found


def open_task(reference: str, limit: int | None = None, changes: Changes = Changes()) -> OpenTask:
    """Read a task's problems.

    Args:
        reference: a shipped name, ``name=path`` (its data from a local file), a task file (.yaml), or a data file
            (.jsonl, .json, .parquet, .csv) whose columns have usual names, judged by ``math``; or a recipe, by name or
            file, or the folder of a run: its held-out data, its environment and its judge.
        limit: only the first problems.

    Raises:
        UserError: there is no such task, or its data cannot be read.
    """
    recipe = _recipe(reference)
    if recipe is not None:
        return _open_recipe(reference, recipe, limit, changes)
    name, spec = _find(reference, changes)
    spec = _changed(name, spec, changes)
    where = f"task {name}: data"
    if spec.data.task is not None:
        assert spec.problems is not None
        endless = procedural_source(spec.data, PROCEDURAL_SEED, held_out=True)
        problems = endless.unique_tasks(min(spec.problems, limit or spec.problems))
        return OpenTask(name, spec, tuple(problems), endless.fingerprint, spec.problems)
    source = DatasetSource(spec.data, where)
    problems = [source.task(i) for i in range(min(source.size, limit or source.size))]
    _check_ids(problems, where)
    return OpenTask(name, spec, tuple(problems), source.fingerprint, source.size)


def _check_ids(problems: Sequence[Task], where: str) -> None:
    repeated = len(problems) - len({task.id for task in problems})
    if repeated:
        raise UserError(f"{where}.fields.id: {repeated} problems share an id with another one; leave it out or mend it")


def _recipe(reference: str) -> Config | None:
    """The recipe that a task's name or file is, or None: it is a task then, or nothing."""
    path = Path(reference)
    if (path / RECIPE).is_file():
        return load_recipe(path / RECIPE)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        source = read_whole(reference)
        return validate(source) if is_recipe(source) else None
    return load_recipe(reference) if reference in shipped_recipes() else None


def _open_recipe(reference: str, config: Config, limit: int | None, changes: Changes) -> OpenTask:
    if changes.fields:
        raise UserError(
            f"--tasks {reference}: a recipe names its own columns; --prompt-field and --gold-field do not fit"
        )
    config, problems, fingerprint = held_out(config)
    assert config.evaluation is not None
    data = config.evaluation.data or config.only_set
    assert data is not None
    path = Path(reference)
    name = path.stem if path.is_file() else path.resolve().name if path.is_dir() else reference
    spec = EvalTask(
        data=data,
        verifier=changes.verifier or recipe_judge(config),
        environment=config.environment,
        chat=_told(config.chat, changes),
        max_tokens=config.rollout.max_tokens,
        stop=tuple(config.rollout.stop),
        problems=len(problems) if data.task is not None else None,
    )
    _check_ids(problems, f"recipe {name}: evaluation.data")
    return OpenTask(name, spec, tuple(problems[:limit]), fingerprint, len(problems))


def _changed(name: str, spec: EvalTask, changes: Changes) -> EvalTask:
    if changes.fields:
        if spec.data.task is not None or spec.data.format != "columns" or spec.data.prompt_columns:
            raise UserError(f"--tasks {name}: its columns are not for --prompt-field and --gold-field to choose")
        fields = spec.data.fields.model_copy(update=changes.fields)
        spec = spec.model_copy(update={"data": spec.data.model_copy(update={"fields": fields})})
    spec = spec.model_copy(update={"chat": _told(spec.chat, changes)})
    return spec if changes.verifier is None else spec.model_copy(update={"verifier": changes.verifier})


def _told(chat: ChatConfig, changes: Changes) -> ChatConfig:
    try:
        return ChatConfig(arguments={**chat.arguments, **changes.chat})
    except ValidationError as error:
        raise UserError(f"--chat: {error.errors()[0]['ctx']['error']}") from error


def _find(reference: str, changes: Changes) -> tuple[str, EvalTask]:
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
    if file_suffix(Path(reference)):
        return Path(reference).stem, _from_file(Path(reference), changes)
    return reference, _shipped(reference)


def _shipped(name: str) -> EvalTask:
    if name not in shipped_tasks():
        close = difflib.get_close_matches(name, shipped_tasks(), 1, 0.5)
        hint = f" Did you mean {close[0]}?" if close else ""
        raise UserError(
            f"--tasks: there is no task {name!r}; there are {', '.join(shipped_tasks())}, name=path for a local copy of "
            f"one, your own .yaml task file, a data file, or a recipe (`grpo-kit recipes ls`).{hint}"
        )
    return _read(recipes_root() / TASKS / f"{name}.yaml")


def _read(path: Path) -> EvalTask:
    return validate(parse_yaml(read_recipe(path), str(path)), EvalTask)


def _from_file(path: Path, changes: Changes) -> EvalTask:
    """A task for a data file: the columns that are not named are found by their usual names."""
    fields = {"prompt": changes.prompt_field, "gold": changes.gold_field}
    missing = [role for role, name in fields.items() if name is None]
    # Not the first row alone: it may be the one that lacks a value.
    columns = read_file(path, limit=LOOKED_AT).column_names if missing else []
    for role in missing:
        fields[role] = next((name for name in USUAL[role] if name in columns), None)
        if fields[role] is None:
            raise UserError(
                f"--tasks {path}: no column is named {', '.join(USUAL[role])}; it has: {', '.join(columns)}. Name it with "
                f"--{role}-field. Write a task file (.yaml) with data.path and data.fields where there is more to say"
            )
    mapped = FieldMap(prompt=str(fields["prompt"]), answer=str(fields["gold"]))
    data = DataConfig(path=str(path), fields=mapped, prompt_template=BOXED)
    return EvalTask(data=data, verifier=VerifierConfig(name="math"))
