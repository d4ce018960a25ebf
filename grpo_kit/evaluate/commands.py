"""What the evaluation commands do, once the command line has been read."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from grpo_kit.errors import RunFailed, UserError
from grpo_kit.observe.terminal import line, open_console, warn
from grpo_kit.runtime.interrupt import Interrupted
from grpo_kit.scoring import VerifierSpec

from .files import Fields
from .protocol import Result
from .records import RESULTS_FILE, SAMPLES_FILE, write_records
from .score import Rescored, rescore
from .show import markdown, show_disagreements, show_results

if TYPE_CHECKING:
    from .checkpoints import Settings
    from .compare import Comparison
    from .tasks import Changes, OpenTask

MAX_WORKERS = 16


def worker_count(workers: int | None) -> int:
    return min(MAX_WORKERS, os.cpu_count() or 1) if workers is None else workers


def score_file(
    file: Path,
    chosen: Sequence[Fields],
    verifier: str,
    options: dict[str, Any],
    *,
    limit: int | None,
    disagreements: int,
    workers: int | None,
    out: Path | None,
    markdown_path: Path | None,
    step: str | None = None,
    threshold: float | None = None,
    console: Console | None = None,
) -> list[Rescored]:
    """Re-score a file, a run or an evaluation, once for each choice of fields, and show one table."""
    if out is not None:
        check_output(out)
    console = console or open_console()
    spec = VerifierSpec(verifier, options=options)
    found = [
        rescore(file, fields, spec, worker_count(workers), limit, step=step, threshold=threshold) for fields in chosen
    ]
    for one in found:
        for said in one.said:
            line(console, said)
    results = [result for one in found for result in (one.result, one.by_labels()) if result is not None]
    show_results(console, results)
    for one in found:
        if one.labelled:
            line(console, f"{one.result.model['label']}:")
            show_disagreements(console, one.disagreements, one.compared, disagreements)
    for one in found:
        if out is not None:
            folder = out if len(found) == 1 else out / folder_name(str(one.result.model["label"]))
            folder.mkdir(parents=True)
            write_records(folder / SAMPLES_FILE, one.records)
            if one.labelled:
                write_records(folder / "disagreements.jsonl", one.disagreements)
            one.result.write(folder)
            line(console, f"written: {folder}")
    write_markdown(markdown_path, results)
    return found


def check_output(out: Path) -> None:
    """Raises UserError where results stand already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} exists and is not empty; results are never overwritten: choose another folder")


def folder_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label).strip("._") or "model"


def write_markdown(path: Path | None, results: Sequence[Result]) -> None:
    if path is not None:
        path.write_text(markdown(results) + "\n", encoding="utf-8")


def evaluate_checkpoints(
    checkpoints: Sequence[str],
    tasks: Sequence[str],
    values: dict[str, Any],
    *,
    limit: int | None,
    out: Path | None,
    resume: bool,
    markdown_path: Path | None,
    changes: Changes | None = None,
    dry_run: bool = False,
    console: Console | None = None,
) -> list[Path]:
    """Evaluate each checkpoint on every task; each has its own folder where there are several. Returns the folders."""
    from transformers.utils import logging as transformers_logging

    from grpo_kit.observe.console import RunConsole

    from .checkpoints import CheckpointEvaluation, find_model, settings_from
    from .preflight import check_verifiers, plan_evaluation, show_plan
    from .tasks import Changes, open_tasks

    transformers_logging.disable_progress_bar()  # ours is the one that is drawn

    settings = settings_from(values | {"workers": worker_count(values["workers"])})
    if resume and out is None:
        raise UserError("--resume needs --out: the folder to continue")
    folder = out or default_output(checkpoints)
    if not resume:
        check_output(folder)
    elif not folder.is_dir():
        raise UserError(f"--resume: there is no folder {folder}")
    for path in checkpoints:
        find_model(path)
    opened = [task for name in tasks for task in open_tasks(name, limit, changes or Changes())]
    twice = {task.name for task in opened if sum(other.name == task.name for other in opened) > 1}
    if twice:
        raise UserError(f"--tasks: {', '.join(sorted(twice))} is given twice")
    labels = labels_of(checkpoints)
    console = console or open_console()
    check_verifiers(opened)
    made = [
        CheckpointEvaluation(label, path, opened, settings, folder, RunConsole(console))
        for label, path in zip(labels, checkpoints, strict=True)
    ]
    plans = [plan_evaluation(evaluation) for evaluation in made]
    for plan in plans:
        for part in plan.tasks:
            if part.dropped:
                warn(
                    console,
                    f"{plan.label}, {part.task.name}: the chat template leaves out {', '.join(part.dropped[:3])}",
                )
    if dry_run:
        show_plan(console, plans, settings, str(folder))
        return []
    results, places = [], []
    alone = len(checkpoints) > 1 and settings.engine == "vllm"
    for label, path in zip(labels, checkpoints, strict=True):
        place = folder if len(checkpoints) == 1 else folder / folder_name(label)
        places.append(place)
        try:
            if alone:
                results.append(in_own_process(label, path, opened, settings, place))
            else:
                results.append(evaluate_one(label, path, opened, settings, place, console))
        except KeyboardInterrupt:
            raise EvaluationInterrupted(folder) from None
    show_results(console, results)
    line(console, f"written: {folder}")
    write_markdown(markdown_path, results)
    return places


class EvaluationInterrupted(Interrupted):
    """The evaluation was stopped; every finished completion is in its folder."""

    def __init__(self, folder: Path) -> None:
        Exception.__init__(self, f"interrupted; {folder} holds what is finished")


def evaluate_one(
    label: str,
    path: str,
    tasks: Sequence[OpenTask],
    settings: Settings,
    place: Path,
    console: Console | None = None,
) -> Result:
    """Evaluate one checkpoint, with its progress on the console."""
    from grpo_kit.observe.console import RunConsole

    from .checkpoints import CheckpointEvaluation

    shown = RunConsole(console or open_console(), plain_lines=4)
    return CheckpointEvaluation(label, path, tasks, settings, place, shown).run()


def in_own_process(label: str, path: str, tasks: Sequence[OpenTask], settings: Settings, place: Path) -> Result:
    """`evaluate_one` in a process of its own: vLLM cannot be started twice in one."""
    import multiprocessing

    from .protocol import read_result

    arguments = (label, path, tasks, settings, place)
    process = multiprocessing.get_context("spawn").Process(target=evaluate_one, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RunFailed(f"evaluating {label} failed with exit code {process.exitcode}; its error is above")
    return read_result(place)


def default_output(checkpoints: Sequence[str]) -> Path:
    return Path("evals") / f"{folder_name(labels_of(checkpoints)[0])}-{time.strftime('%Y%m%d-%H%M%S')}"


def labels_of(paths: Sequence[str]) -> list[str]:
    """The shortest ends of the paths that tell them apart."""
    parts = [Path(path).parts[::-1] for path in paths]
    if len(set(parts)) < len(parts):
        raise UserError("the same checkpoint is given twice")
    for depth in range(1, max(map(len, parts)) + 1):
        ends = ["/".join(reversed(p[:depth])) for p in parts]
        # "model" is what every run calls its model: the run's name says more.
        if len(set(ends)) == len(ends) and not {"model", "checkpoints"} & set(ends):
            return ends
    return list(paths)


def compare_evaluations(
    folders: Sequence[Path], *, flips: int, out: Path | None, markdown_path: Path | None, console: Console | None = None
) -> list[Comparison]:
    """Compare evaluations pairwise, each with the first."""
    from .compare import Evaluated, compare
    from .protocol import read_evaluation
    from .show_comparison import comparison_markdown, show_comparisons

    if out is not None and out.exists():
        raise UserError(f"--out: {out} exists; choose another file")
    places = [place for folder in folders for place in evaluations_in(folder)]
    if len(places) < 2:
        raise UserError("compare needs two evaluations or more")
    sides = [Evaluated(*read_evaluation(place)) for place in places]
    if len({side.label for side in sides}) < len(sides):
        for side, label in zip(sides, labels_of([str(p.resolve()) for p in places]), strict=True):
            side.result.model["label"] = label
    found = compare(sides)
    console = console or open_console()
    show_comparisons(console, found, flips)
    if out is not None:
        rows = [c.as_json() | {"flips": [[f.first.key, f.second.key] for f in c.flips]} for c in found]
        out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    if markdown_path is not None:
        markdown_path.write_text(comparison_markdown(found) + "\n", encoding="utf-8")
    return found


def evaluations_in(folder: Path) -> list[Path]:
    """The folder itself, or the evaluations of several checkpoints that were made into it."""
    if (folder / RESULTS_FILE).is_file():
        return [folder]
    inner = sorted(folder.glob(f"*/{RESULTS_FILE}"), key=lambda path: path.stat().st_mtime_ns)  # as they were evaluated
    return [path.parent for path in inner] or [folder]
