"""What of a run's data can be known to be wrong, or worth a word, before its first step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.types import Task

from .source import TaskSource

MOST_SHARED = 0.5  # of the evaluation's prompts that may be trained on before its accuracy means nothing


def prompts_of(source: TaskSource) -> set[str]:
    """The prompts of a source with an end; empty for one without."""
    return {source.task(i).prompt for i in range(source.size or 0)}


def check_evaluation(tasks: Sequence[Task], trained: set[str], where: str) -> list[str]:
    """Hold the tasks of an evaluation against what is trained on.

    Args:
        trained: prompts.
        where: the evaluation's section.

    Returns:
        What a person should know: how many prompts are met in training as well.

    Raises:
        UserError: ids are repeated, or most prompts are trained on.
    """
    repeated = [name for name, count in Counter(task.id for task in tasks).items() if count > 1]
    if repeated:
        raise UserError(
            f"{where}.fields.id: {len(repeated)} ids stand in several rows, the first being {repeated[0]!r:.80}; leave fields.id "
            "out (rows are numbered then), or mend the column"
        )
    shared = sum(task.prompt in trained for task in tasks)
    if shared > MOST_SHARED * len(tasks):
        raise UserError(
            f"{where}: {shared} of {len(tasks)} prompts are trained on, so its accuracy would be that of training. Leave "
            "evaluation.data out, and a tenth of the data is held out for it; or give data that is not trained on"
        )
    return [f"{where}: {shared} of {len(tasks)} prompts are trained on as well"] if shared else []


def few(wanted: int, found: int, fit: int, kind: str, where: str) -> list[str]:
    """What a person should know of an evaluation that is smaller than the recipe says.

    Args:
        wanted: ``evaluation.tasks``; 0 where any number will do.
        found: those that there are; ``fit``: whose prompt is short enough.
        where: ``evaluation``, for what is held out of the training data, or ``evaluation.data``.

    Raises:
        UserError: none is left.
    """
    longest = f"{'data' if where == 'evaluation' else where}.max_prompt_tokens"
    if not fit:
        raise UserError(f"{where}: none of the {found} {kind} is short enough for {longest}; raise it")
    notes = []
    if found < wanted:
        are = "are held out" if where == "evaluation" else f"are in {where}"
        more = " (a tenth of the data is); give more data, or evaluation.data" if where == "evaluation" else ""
        half = 0.98 / math.sqrt(found)  # 1.96 standard errors of one answer each that is right half of the time
        wide = f"the 95 % interval of an accuracy reaches up to {100 * min(half, 0.5):.0f} points to either side"
        notes.append(f"evaluation.tasks {wanted}: only {found} {kind} {are}{more}; {wide}")
    if fit < found:
        notes.append(f"{where}: {found - fit} of {found} {kind} are left out: their prompt is longer than {longest}")
    return notes


def contradictions(source: TaskSource, where: str = "data") -> list[str]:
    """What a person should know of rows with one question and several answers."""
    answers: dict[str, set[str]] = {}
    for index in range(source.size or 0):
        task = source.task(index)
        answers.setdefault(repr(task.messages), set()).add(repr(task.answer))
    several = [found for found in answers.values() if len(found) > 1]
    if not several:
        return []
    example = ", ".join(sorted(several[0])[:3])
    return [f"{where}: {len(several)} prompts stand in several rows with different answers ({example:.80}, ...)"]


def repeated_ids(source: TaskSource, where: str = "data") -> list[str]:
    """What a person should know of ids that stand in several rows: such rows are one task where results are looked up."""
    names = Counter(source.task(index).id for index in range(source.size or 0))
    found = [name for name, count in names.items() if count > 1]
    if not found:
        return []
    return [
        f"{where}.fields.id: {len(found)} ids stand in several rows, the first being {found[0]!r:.60}: a step takes one row "
        "of each"
    ]


def check_answers(tasks: Iterable[Task], column: str, where: str) -> list[str]:
    """What a person should know of rows without an answer. Raises UserError where no task has one."""
    found = list(tasks)
    empty = [task.id for task in found if is_empty(task.answer)]
    if found and len(empty) == len(found):
        raise UserError(
            f"{where}.fields.answer: the column {column!r} is empty in all {len(found)} rows that were looked at, and there is "
            "nothing to judge responses by"
        )
    if not empty:
        return []
    return [f"{where}.fields.answer: {len(empty)} of {len(found)} rows have no answer, the first being {empty[0]}"]


def is_empty(answer: Any) -> bool:
    """Whether an answer says nothing: null, blank, an empty list or object, or the NaN that tables have for null."""
    if isinstance(answer, str):
        return not answer.strip()
    return answer is None or answer == [] or answer == {} or answer != answer
