"""Tasks from data files and from the Hugging Face hub, with columns mapped by the recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

from grpo_kit.config import Config, DataConfig
from grpo_kit.errors import UserError
from grpo_kit.suggest import did_you_mean
from grpo_kit.types import Message, Task
from grpo_kit.verifiers.code import TaskError

from .tasks import ProceduralSource, is_held_out

Part = Literal["all", "train", "held_out"]
EVALUATION_SEED_OFFSET = 1_000_003
READERS = {".jsonl": "json", ".json": "json", ".parquet": "parquet", ".csv": "csv"}


class TaskSource(Protocol):
    """Random access to tasks; ``size`` is None for an endless source."""

    @property
    def size(self) -> int | None: ...

    @property
    def fingerprint(self) -> str: ...

    def task(self, index: int) -> Task: ...


class DatasetSource:
    """Rows of a dataset as tasks; the columns that are not mapped travel in ``Task.meta``."""

    def __init__(self, config: DataConfig, where: str = "data", part: Part = "all") -> None:
        self.config, self.where, self.part = config, where, part
        self.pattern = _compile(config.answer_pattern, where)
        self.rows = load_rows(config, where)
        if config.limit is not None:
            self.rows = self.rows.select(range(min(config.limit, len(self.rows))))
        if not len(self.rows):
            raise UserError(f"{where}.path: {config.path} holds no rows")
        self._check_columns()
        if part != "all":
            prompts = [self.task(i).prompt for i in range(len(self.rows))]
            wanted = [i for i, prompt in enumerate(prompts) if is_held_out(prompt) == (part == "held_out")]
            if not wanted:
                raise UserError(f"{where}.path: {config.path} has too few rows to hold some out for evaluation")
            self.rows = self.rows.select(wanted)
        self.fingerprint = self._fingerprint()

    @property
    def size(self) -> int:
        return len(self.rows)

    def _check_columns(self) -> None:
        if self.config.format != "columns":
            return
        columns = self.rows.column_names
        for key, column in self.config.fields.model_dump().items():
            if column is not None and column not in columns:
                raise UserError(
                    f"{self.where}.fields.{key}: {self.config.path} has no column {column!r}; it has: "
                    f"{', '.join(columns)}.{did_you_mean(column, columns)}"
                )

    def _fingerprint(self) -> str:
        digest = hashlib.sha256(f"{self.part} {self.config.model_dump_json(exclude={'path'})}".encode())
        for row in self.rows:
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
        return f"sha256:{digest.hexdigest()[:32]}:rows={len(self.rows)}"

    def task(self, index: int) -> Task:
        row, fields = self.rows[index], self.config.fields
        if self.config.format != "columns":
            return self._programming_task(row, index)
        task_id = str(row[fields.id]) if fields.id else f"{Path(str(self.config.path)).stem}/{index}"
        meta = {k: v for k, v in row.items() if k not in (fields.prompt, fields.answer)}
        return Task(task_id, self._messages(row[fields.prompt], index), self._answer(row[fields.answer], index), meta)

    def _programming_task(self, row: Mapping[str, Any], index: int) -> Task:
        from grpo_kit.verifiers import code_tasks

        try:
            made = getattr(code_tasks, f"from_{self.config.format}")(row)
        except (KeyError, TaskError) as error:
            problem = f"no column {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(f"{self.where}.format {self.config.format}: row {index}: {problem}") from error
        meta = {"reference": made["reference"]} if made["reference"] else {}
        return Task(str(made["id"]), self._messages(made["prompt"], index), made["answer"], meta)

    def _messages(self, prompt: Any, index: int) -> tuple[Message, ...]:
        system: list[Message] = (
            [{"role": "system", "content": self.config.system_prompt}] if self.config.system_prompt else []
        )
        if isinstance(prompt, list):  # already a conversation
            if not prompt or not all(isinstance(m, Mapping) and {"role", "content"} <= set(m) for m in prompt):
                raise UserError(f"{self.where}: row {index}: a conversation is a list of role and content")
            return (*system, *(Message(role=m["role"], content=m["content"]) for m in prompt))
        if not isinstance(prompt, str) or not prompt.strip():
            raise UserError(f"{self.where}: row {index}: the prompt is empty or not text: {prompt!r:.80}")
        return (*system, {"role": "user", "content": self.config.prompt_template.replace("{prompt}", prompt)})

    def _answer(self, answer: Any, index: int) -> Any:
        if self.pattern is None:
            return answer
        found = self.pattern.search(str(answer))
        if not found:
            raise UserError(
                f"{self.where}.answer_pattern: {self.pattern.pattern!r} finds nothing in row {index}: {str(answer)[-80:]!r}"
            )
        return found.group(1).strip()


def open_source(config: DataConfig, seed: int, part: Part = "all", where: str = "data") -> TaskSource:
    """The task source that a ``data`` section describes.

    ``part`` chooses a side of the split by a hash of the prompt: "train" and "held_out" never share one. Procedural
    tasks are always split; files only when a side is asked for.
    """
    if config.task is not None:
        return ProceduralSource(config.task, config.level, seed, part == "held_out")
    return DatasetSource(config, where, part)


def training_source(config: Config) -> TaskSource:
    """What a run trains on: without the rows that its own evaluation holds out."""
    shares_rows = config.evaluation is not None and config.evaluation.data is None
    return open_source(config.data, config.seed, "train" if shares_rows else "all")


def evaluation_source(config: Config) -> TaskSource:
    """What a run is evaluated on: its own data section, or held-out tasks of the training data."""
    assert config.evaluation is not None
    seed = config.seed + EVALUATION_SEED_OFFSET
    if config.evaluation.data is not None:
        return open_source(config.evaluation.data, seed, "all", "evaluation.data")
    return open_source(config.data, seed, "held_out")


def evaluation_tasks(config: Config) -> list[Task]:
    """The tasks that a run is evaluated on, no problem twice."""
    assert config.evaluation is not None
    source = evaluation_source(config)
    if isinstance(source, ProceduralSource):
        return source.unique_tasks(config.evaluation.tasks)
    return [source.task(i) for i in range(min(config.evaluation.tasks, source.size or 0))]


def _compile(pattern: str | None, where: str) -> re.Pattern[str] | None:
    if pattern is None:
        return None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise UserError(f"{where}.answer_pattern: {pattern!r} is not a regular expression: {error}") from error
    if compiled.groups < 1:
        raise UserError(f"{where}.answer_pattern: {pattern!r} needs a group (...) around the answer")
    return compiled


def load_rows(config: DataConfig, where: str) -> Any:
    import datasets

    datasets.disable_progress_bars()
    path = Path(str(config.path)).expanduser()
    reader = READERS.get(path.suffix)
    if reader is None and not path.exists() and not _is_hub_name(str(config.path)):
        raise UserError(
            f"{where}.path: {config.path} does not exist here, and is not a hub name; files end in {', '.join(READERS)}"
        )
    if reader is not None and not path.is_file():
        raise UserError(f"{where}.path: no such file: {path} (looked in {Path.cwd()})")
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{where}.path: {path} is empty")
    try:
        if reader is not None:
            # In memory and from the bytes as they are: a cache keyed by name would show yesterday's file.
            return _read_file(datasets, reader, path)
        if (path / "dataset_info.json").is_file():
            return datasets.load_from_disk(str(path))
        return datasets.load_dataset(str(config.path), config.subset, split=config.split)
    except UserError:
        raise
    except Exception as error:  # datasets raises its own kinds for every reader and for the hub
        raise UserError(f"{where}.path: {config.path} could not be read: {str(error).splitlines()[0][:300]}") from error


def _read_file(datasets: Any, reader: str, path: Path) -> Any:
    if path.suffix == ".jsonl":
        rows = []
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    rows.append(json.loads(line))
                except json.JSONDecodeError as error:
                    raise UserError(f"{path}:{number}: not valid JSON: {error.msg} at column {error.colno}") from error
                if not isinstance(rows[-1], dict):
                    raise UserError(f"{path}:{number}: every line must be a JSON object, found {line.strip()[:40]!r}")
        return datasets.Dataset.from_list(rows)
    return datasets.load_dataset(reader, data_files=str(path), split="train", keep_in_memory=True)


def _is_hub_name(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None and not name.startswith(".")
