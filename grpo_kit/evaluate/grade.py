"""Pass rates of a model for every prompt that a recipe trains on, written beside the rows that they are of."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from grpo_kit.config import Config, ModelConfig
from grpo_kit.config.data import PASS_RATE
from grpo_kit.data.datasets import DatasetSource, open_source
from grpo_kit.data.mixture import DataSet
from grpo_kit.data.tasks import ProceduralSource
from grpo_kit.errors import UserError
from grpo_kit.observe.console import RunConsole
from grpo_kit.observe.terminal import line
from grpo_kit.policy.models import model_skeleton
from grpo_kit.runtime.scratch_file import scratch_beside

from .asked import task_setting, told
from .checkpoints import CheckpointEvaluation, Settings, find_model
from .recipe_task import recipe_judge
from .records import SAMPLES_FILE, read_records
from .tasks import EvalTask, OpenTask

GRADED = "graded"  # the column of how many of the samples were judged
SAMPLES_BESIDE = ".samples"  # the folder of what was sampled, beside the file


def grade(config: Config, model: str | None, settings: Settings, out: Path, resume: bool, console: RunConsole) -> None:
    """Sample every prompt, and write a line for each: its row, the share of right responses, how many were judged.

    Args:
        model: instead of the recipe's.
        resume: go on with what stands beside ``out`` of a grading that was stopped. Files of data sets that it wrote stay.

    Raises:
        UserError: there is no model, the data have no end, or results stand there already.
    """
    path = model or config.model.path
    if path is None:
        raise UserError("model.path: the recipe makes its model from scratch; name one to grade with: --model FOLDER")
    entries = config.mixture
    targets = [out.with_name(f"{out.stem}-{entry.called}{out.suffix}") for entry in entries] if entries else [out]
    folder = out.with_name(out.name + SAMPLES_BESIDE)
    written = [target for target in targets if target.exists()]
    stopped_between = resume and folder.exists() and len(written) < len(targets)
    if written and not stopped_between:
        raise UserError(f"--out: {written[0]} exists and is never overwritten: choose another file")
    if folder.exists() and not resume:
        raise UserError(f"--out: {folder} holds the samples of an earlier grading: go on with --resume, or remove it")
    sets = _whole_sets(config)
    tasks = [_task_of(config, number, part) for number, part in enumerate(sets)]
    asked = _short_enough(sets, tasks, path)
    CheckpointEvaluation(Path(path).name, path, asked, settings, folder, console).run()
    rates = _rates(folder)
    for part, task, short, target in zip(sets, tasks, asked, targets, strict=True):
        if target in written:
            line(console.console, f"{target}: written before, and left as it is")
            continue
        found = [rates.get((task.name, problem.id), (None, 0)) for problem in task.problems]
        _write(target, _graded(part, found))
        _say(console, target, found, settings.n, len(task.problems) - len(short.problems))


def _whole_sets(config: Config) -> list[DataSet]:
    """The data sets with the rows that an evaluation would hold out: the same file may be split in another way."""
    entries = config.mixture or config.sets
    found = []
    for index, entry in enumerate(entries):
        where = f"data.{index}" if config.mixture else "data"
        source = open_source(entry, config.seed, "all", where)
        if source.size is None:
            raise UserError(
                f"{where}.task: {entry.task} has no end; set {where}.limit, the number of problems to grade"
            )
        name = config.mixture[index].called if config.mixture else ""
        found.append(DataSet(name, where, entry, source))
    return found


def _task_of(config: Config, number: int, part: DataSet) -> OpenTask:
    alone = config.of_set(config.mixture[number]) if config.mixture else config
    assert alone.only_set is not None
    size = part.source.size or 0
    spec = EvalTask(
        data=alone.only_set,
        verifier=recipe_judge(alone),
        environment=config.environment,
        chat=config.chat,
        max_tokens=config.rollout.max_tokens,
        stop=tuple(config.rollout.stop),
        problems=size if alone.only_set.task is not None else None,
    )
    problems = tuple(part.source.task(i) for i in range(size))
    if len({task.id for task in problems}) < size:
        raise UserError(
            f"{part.where}.fields.id: ids stand in several rows; leave it out (rows are numbered then) to grade them"
        )
    return OpenTask(part.name or "data", spec, problems, part.source.fingerprint, size)


def _short_enough(sets: Sequence[DataSet], tasks: Sequence[OpenTask], path: str) -> list[OpenTask]:
    """The tasks without the prompts that training passes over for their length, which would not fit beside an answer."""
    _, tokenizer = model_skeleton(ModelConfig(path=find_model(path)))
    found = []
    for part, task in zip(sets, tasks, strict=True):
        most = part.config.max_prompt_tokens
        asked = told(task.problems, tokenizer, task, task_setting(task, tokenizer))
        pairs = zip(task.problems, asked, strict=True)
        short = tuple(problem for problem, (_, prompt) in pairs if len(prompt.token_ids) <= most)
        if not short:
            raise UserError(
                f"{part.where}.max_prompt_tokens: no prompt has at most {most} tokens; raise it to grade some"
            )
        found.append(replace(task, problems=short))
    return found


def _rates(folder: Path) -> dict[tuple[str, str], tuple[float | None, int]]:
    """The share of right responses to each problem, None where none was judged, and how many were."""
    right: dict[tuple[str, str], list[bool]] = {}
    for record in read_records(folder / SAMPLES_FILE):
        judged = right.setdefault((record.task, record.id), [])
        if record.counts:
            judged.append(record.right)
    return {key: (sum(judged) / len(judged) if judged else None, len(judged)) for key, judged in right.items()}


def _graded(part: DataSet, found: Sequence[tuple[float | None, int]]) -> Iterator[dict[str, Any]]:
    for index, (rate, judged) in enumerate(found):
        yield {**_row(part, index), PASS_RATE: rate, GRADED: judged}


def _row(part: DataSet, index: int) -> dict[str, Any]:
    """The row as it was read; of a procedural task, the problem without what the recipe puts around it."""
    if isinstance(part.source, DatasetSource):
        return dict(part.source.rows[index])
    assert isinstance(part.source, ProceduralSource)
    problem = part.source.problem(index)
    return {**problem.meta, "prompt": problem.prompt, "answer": problem.answer}


def _write(target: Path, rows: Iterator[dict[str, Any]]) -> None:
    scratch = scratch_beside(target)
    with scratch.open("w", encoding="utf-8", errors="surrogatepass") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
    os.replace(scratch, target)


def _say(console: RunConsole, target: Path, found: Sequence[tuple[float | None, int]], samples: int, long: int) -> None:
    rates = [rate for rate, _ in found if rate is not None]
    never, always = sum(rate == 0.0 for rate in rates), sum(rate == 1.0 for rate in rates)
    mean = f"{sum(rates) / len(rates):.1%} right" if rates else "nothing was judged"
    line(
        console.console,
        f"{target}: {len(found)} prompts, {samples} samples each, {mean}; {never} prompts never right, {always} always, "
        f"{len(rates) - never - always} between, {len(found) - len(rates) - long} unjudged"
        + (f", {long} too long to be asked (max_prompt_tokens)" if long else ""),
    )
