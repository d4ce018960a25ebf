"""What the evaluation commands do, once the command line has been read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from grpo_kit.errors import UserError
from grpo_kit.scoring import VerifierSpec

from .files import Fields
from .protocol import Result
from .records import SAMPLES_FILE, write_records
from .score import rescore
from .show import markdown, show_disagreements, show_results

MAX_WORKERS = 16


def open_console() -> Console:
    """A console whose tables are not cut to 80 columns in a log file."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=200)


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
) -> None:
    """Re-score one file, once for each choice of fields, and show one table."""
    if out is not None:
        check_output(out)
    console = open_console()
    spec = VerifierSpec(verifier, options=options)
    found = [rescore(file, fields, spec, worker_count(workers), limit) for fields in chosen]
    results = [result for one in found for result in (one.result, one.by_labels()) if result is not None]
    show_results(console, results)
    for one in found:
        if one.labelled:
            console.print(f"{one.result.model['label']}:", markup=False)
            show_disagreements(console, one.disagreements, disagreements)
    for one in found:
        if out is not None:
            folder = out if len(found) == 1 else out / folder_name(str(one.result.model["label"]))
            folder.mkdir(parents=True)
            write_records(folder / SAMPLES_FILE, one.records)
            if one.labelled:
                write_records(folder / "disagreements.jsonl", one.disagreements)
            one.result.write(folder)
            console.print(f"written: {folder}", markup=False)
    write_markdown(markdown_path, results)


def check_output(out: Path) -> None:
    """Raises UserError where results stand already."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"--out: {out} exists and is not empty; results are never overwritten: choose another folder")


def folder_name(label: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in label).strip("._") or "model"


def write_markdown(path: Path | None, results: Sequence[Result]) -> None:
    if path is not None:
        path.write_text(markdown(results) + "\n", encoding="utf-8")
