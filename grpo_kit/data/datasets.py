"""Tasks from data files and from the Hugging Face hub, with columns mapped by the recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from grpo_kit.config import Config, DataConfig, DataSetConfig
from grpo_kit.config.data import PASS_RATE
from grpo_kit.errors import UserError
from grpo_kit.runtime.suggest import did_you_mean
from grpo_kit.types import Message, Task
from grpo_kit.verifiers.code import TaskError

from .conversations import as_conversation, framed, read_conversation
from .mixture import DataSet, MixedProblems, MixedSource, NamedSource, named
from .rows import Row, Rows, read_rows
from .source import TaskSource
from .tasks import ProceduralSource, is_held_out

Part = Literal["all", "train", "held_out"]
EVALUATION_SEED_OFFSET = 1_000_003


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
        self.skipped = self._skip_unmatched()
        if part != "all":
            prompts = [self.task(i).prompt for i in range(len(self.rows))]
            wanted = [i for i, prompt in enumerate(prompts) if is_held_out(prompt) == (part == "held_out")]
            if not wanted:
                raise UserError(f"{where}.path: {config.path} has too few rows to hold some out for evaluation")
            self.rows = self.rows.select(wanted)
        if config.pass_rate is not None and part != "held_out":
            self.rows = self._of_pass_rate(*config.pass_rate)
        self.fingerprint = self._fingerprint()

    @property
    def size(self) -> int:
        return len(self.rows)

    def _check_columns(self) -> None:
        if self.config.format != "columns":
            return
        columns = self.rows.column_names
        if self.config.fields.answer in (self.config.prompt_columns or (self.config.fields.prompt,)):
            raise UserError(
                f"{self.where}.fields: prompt and answer are both {self.config.fields.answer!r}: every response would be "
                "judged by its own question"
            )
        fields = self.config.fields
        joined = [("prompt_columns", name) for name in self.config.prompt_columns]
        prompts = joined or [("fields.prompt", fields.prompt)]
        for key, column in (*prompts, ("fields.answer", fields.answer), ("fields.id", fields.id)):
            if column is not None and column not in columns:
                raise UserError(
                    f"{self.where}.{key}: {self.config.path} has no column {column!r}; it has: "
                    f"{', '.join(columns)}.{did_you_mean(column, columns)}"
                )

    def _of_pass_rate(self, low: float, high: float) -> Rows:
        """The rows that a model answered right so often; a row that nobody could judge is none of them."""
        where = f"{self.where}.{PASS_RATE}"
        if PASS_RATE not in self.rows.column_names:
            raise UserError(
                f"{where}: {self.config.path} has no column {PASS_RATE!r}; `grpo-kit data grade RECIPE` writes a file that has"
            )
        kept = []
        for index, row in enumerate(self.rows):
            rate = row.get(PASS_RATE)
            if rate is None:
                continue
            try:
                number = float(rate)
            except (TypeError, ValueError):
                raise UserError(
                    f"{where}: row {index} of {self.config.path} has {rate!r:.40}, which is no number"
                ) from None
            if low <= number <= high:
                kept.append(index)
        if not kept:
            raise UserError(
                f"{where}: no row of {self.config.path} has a {PASS_RATE} from {low:g} to {high:g}; widen it"
            )
        return self.rows.select(kept)

    def _fingerprint(self) -> str:
        # Keys that came later count where they are used: runs recorded before them go on with the data they had.
        later = {key for key in ("unmatched", "prompt_columns", PASS_RATE) if key not in self.config.model_fields_set}
        later |= DataSetConfig.model_fields.keys() - DataConfig.model_fields.keys()  # of the mixture, not of the rows
        digest = hashlib.sha256(f"{self.part} {self.config.model_dump_json(exclude={'path', *later})}".encode())
        for row in self.rows:
            digest.update(json.dumps(row, sort_keys=True, default=str).encode())
        return f"sha256:{digest.hexdigest()[:32]}:rows={len(self.rows)}"

    def task(self, index: int) -> Task:
        row, fields = self.rows[index], self.config.fields
        if self.config.format != "columns":
            return self._programming_task(row, index)
        task_id = str(self._cell(row, fields.id, index)) if fields.id else f"{Path(str(self.config.path)).stem}/{index}"
        meta = {k: v for k, v in row.items() if k not in (fields.prompt, fields.answer)}
        prompt, answer = self._question(row, index), self._cell(row, fields.answer, index)
        return Task(task_id, self._messages(prompt, index), self._answer(answer, index), meta)

    def _question(self, row: Row, index: int) -> Any:
        columns = self.config.prompt_columns
        if not columns:
            return self._cell(row, self.config.fields.prompt, index)
        return " ".join(str(self._cell(row, name, index)).strip() for name in columns)

    def _skip_unmatched(self) -> int:
        """Leave out the rows without an answer or tests, where the recipe says so; gives their number."""
        if self.config.unmatched == "refuse":
            return 0
        if self.config.format != "columns":
            return self._skip_untested()
        if self.pattern is None:
            return 0
        column, before = self.config.fields.answer, len(self.rows)
        matches = [self.pattern.search(str(row.get(column, ""))) for row in self.rows]
        self.rows = self.rows.select(i for i, match in enumerate(matches) if match and match.group(1) is not None)
        if not len(self.rows):
            raise UserError(
                f"{self.where}.answer_pattern: {self.pattern.pattern!r} finds nothing in any row of {self.config.path}"
            )
        return before - len(self.rows)

    def _skip_untested(self) -> int:
        before, kept, problem = len(self.rows), [], None
        for index, row in enumerate(self.rows):
            try:
                self._programming_task(row, index)
                kept.append(index)
            except UserError as error:
                problem = problem or error
        if not kept:
            raise UserError(f"{problem}; and no other row of {self.config.path} can be used")
        self.rows = self.rows.select(kept)
        return before - len(kept)

    def _cell(self, row: Row, column: str, index: int) -> Any:
        if column not in row:
            raise UserError(
                f"{self.where}.path: {self.config.path}, row {index} has no {column!r}; it has: {', '.join(row)}"
            )
        return row[column]

    def _programming_task(self, row: Mapping[str, Any], index: int) -> Task:
        from grpo_kit.verifiers import code_tasks

        try:
            made = getattr(code_tasks, f"from_{self.config.format}")(row)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            problem = f"no column {error}" if isinstance(error, KeyError) else str(error)
            if not isinstance(error, (KeyError, TaskError)):
                problem = f"a column does not hold what rows of {self.config.format} have there: {problem}"
            raise UserError(
                f"{self.where}.format {self.config.format}: row {index}: {problem}; mend it, or leave such rows out with "
                f"{self.where}.unmatched=skip"
            ) from error
        meta = {"reference": made["reference"]} if made["reference"] else {}
        name = f"{Path(str(self.config.path)).stem}/{index}" if made["id"] is None else str(made["id"])
        return Task(name, self._messages(made["prompt"], index), made["answer"], meta)

    def _messages(self, prompt: Any, index: int) -> tuple[Message, ...]:
        where = f"{self.where}: row {index}"
        conversation = as_conversation(prompt, where)
        if conversation is None:
            if not isinstance(prompt, str) or not prompt.strip():
                raise UserError(f"{where}: the prompt is empty or not text: {prompt!r:.80}")
            messages = [Message(role="user", content=prompt)]
        else:
            messages = read_conversation(conversation, where)
        return framed(messages, self.config.prompt_template, self.config.system_prompt or None, where)

    def _answer(self, answer: Any, index: int) -> Any:
        if self.pattern is None:
            return answer
        found = self.pattern.search(str(answer))
        if not found or found.group(1) is None:
            raise UserError(
                f"{self.where}.answer_pattern: {self.pattern.pattern!r} finds nothing in row {index}: {str(answer)[-80:]!r}; "
                f"mend it, or leave such rows out with {self.where}.unmatched=skip"
            )
        return found.group(1).strip()


def open_source(config: DataConfig, seed: int, part: Part = "all", where: str = "data") -> TaskSource:
    """The task source that a ``data`` section describes.

    ``part`` chooses a side of the split by a hash of the prompt: "train" and "held_out" never share one. Procedural
    tasks are always split; files only when a side is asked for.
    """
    if config.task is not None:
        # What is held out has no share in the limit: it is of the training problems.
        limit = None if part == "held_out" else config.limit
        return procedural_source(config, seed, held_out=part == "held_out", limit=limit)
    return DatasetSource(config, where, part)


def procedural_source(config: DataConfig, seed: int, *, held_out: bool, limit: int | None = None) -> ProceduralSource:
    """The procedural task that a ``data`` section names, in the frame that it gives every prompt."""
    assert config.task is not None
    return ProceduralSource(
        config.task,
        config.level,
        seed,
        held_out,
        template=config.prompt_template,
        system=config.system_prompt,
        limit=limit,
    )


def demonstrated_source(config: Config) -> ProceduralSource | MixedProblems:
    """The procedural tasks of a run without end, for those who learn from their worked solutions."""
    sources = [procedural_source(entry, config.seed, held_out=False) for entry in config.sets]
    return sources[0] if len(sources) == 1 else MixedProblems(sources)


def training_sets(config: Config) -> tuple[DataSet, ...]:
    """What a run trains on, set by set: without the rows that its own evaluation holds out."""
    shares_rows = config.evaluation is not None and config.evaluation.data is None
    part: Part = "train" if shares_rows else "all"
    if config.only_set is not None:
        return (DataSet("", "data", config.only_set, open_source(config.only_set, config.seed, part)),)
    found = []
    for index, entry in enumerate(config.mixture):
        source = open_source(entry, config.seed, part, f"data.{index}")
        found.append(DataSet(entry.called, f"data.{index}", entry, NamedSource(source, entry.called), entry.weight))
    return tuple(found)


def as_one(sets: tuple[DataSet, ...]) -> TaskSource:
    """One source of all data sets."""
    return sets[0].source if len(sets) == 1 else MixedSource(sets)


def training_source(config: Config) -> TaskSource:
    """What a run trains on as one source."""
    return as_one(training_sets(config))


def evaluation_source(config: Config) -> TaskSource:
    """What a run is evaluated on: its own data section, or held-out tasks of the training data."""
    assert config.evaluation is not None
    seed = config.seed + EVALUATION_SEED_OFFSET
    if config.evaluation.data is not None:
        return open_source(config.evaluation.data, seed, "all", "evaluation.data")
    assert config.only_set is not None, "of several data sets each has its own"
    return open_source(config.only_set, seed, "held_out")


def evaluation_tasks(config: Config) -> list[Task]:
    """The tasks that a run is evaluated on, no problem twice; of several data sets each has an equal part of them."""
    assert config.evaluation is not None
    settings = config.evaluation
    if config.mixture and settings.data is None:
        each, over = divmod(settings.tasks, len(config.mixture))
        found = []
        for number, entry in enumerate(config.mixture):
            alone = config.of_set(entry, {"tasks": max(1, each + (number < over))})
            found += [named(task, entry.called) for task in evaluation_tasks(alone)]
        return found
    source = evaluation_source(config)
    if isinstance(source, ProceduralSource):
        return source.unique_tasks(settings.tasks)
    return [source.task(i) for i in range(min(settings.tasks, source.size or 0))]


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


def load_rows(config: DataConfig, where: str) -> Rows:
    """The rows that a ``data`` section names. Raises UserError as `read_rows`."""
    return read_rows(str(config.path), where, subset=config.subset, split=config.split)
