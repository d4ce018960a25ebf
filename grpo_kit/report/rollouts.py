"""A run's completions in a terminal: a list to filter and sort, and one completion with its group."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from grpo_kit.errors import UserError
from grpo_kit.evaluate.commands import evaluations_in
from grpo_kit.evaluate.records import RESULTS_FILE
from grpo_kit.observe.rollout_file import rollout_steps
from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, line, shown
from grpo_kit.runtime.condition import condition

from .build import evaluated_rows, read_evaluations
from .conversation import STYLES, counted, ended
from .rows import Row, rollout_rows

SORTS: dict[str, Callable[[Row], float]] = {
    "score": lambda row: row.reward,
    "advantage": lambda row: row.advantage or 0.0,
    "length": lambda row: float(len(row.token_ids) or len(row.response)),
    "surprise": lambda row: -sum(row.token_values.get("logprob", ())) / max(1, len(row.token_ids)),
}


@dataclass(frozen=True)
class Choice:
    """Which completions to show; None and "" choose all."""

    step: str | None = None
    task: str | None = None
    score: str | None = None
    advantage: str | None = None
    stop: str | None = None
    search: str | None = None
    sort: str | None = None
    descending: bool = True


def read_rows(folder: Path, step: str | None) -> list[Row]:
    """The rows of a run (by default of its last step), of an evaluation, or of all evaluations of a folder.

    Raises:
        UserError: there are none.
    """
    files = rollout_steps(folder)
    if not files and not (folder / "config.yaml").is_file():
        sides = read_evaluations([p for p in evaluations_in(folder) if (p / RESULTS_FILE).is_file()])
        if sides:
            return evaluated_rows(sides, sum(len(side.records) for side in sides) * len(sides))[0]
    if not files:
        raise UserError(
            f"{folder} has no rollouts: it is no run, no step of it is finished, or it learned from recorded data"
        )
    wanted = condition(step, "--step") if step is not None else lambda value: value == max(files)
    rows = [row for number, path in files.items() if wanted(number) for row in rollout_rows(path)]
    if not rows:
        raise UserError(f"--step {step}: {folder} has rollouts of the steps {min(files)} to {max(files)}")
    return rows


def choose(rows: Iterable[Row], choice: Choice) -> list[Row]:
    """The rows that a choice leaves, in its order."""
    score, advantage = condition(choice.score, "--score"), condition(choice.advantage, "--advantage")
    words = (choice.search or "").lower()
    found = [
        row
        for row in rows
        if score(row.reward)
        and advantage(math.nan if row.advantage is None and choice.advantage else row.advantage or 0.0)
        and (not choice.stop or choice.stop in (row.finish, row.ending))
        and (not choice.task or choice.task.lower() in f"{row.task} {row.problem}".lower())
        and words in row.text.lower()
    ]
    if choice.sort:
        if choice.sort not in SORTS:
            raise UserError(f"--sort {choice.sort}: there is {', '.join(SORTS)}")
        found.sort(key=SORTS[choice.sort], reverse=choice.descending)
    return found


COLUMNS = (
    Column("#", right=True),
    Column("step", right=True, spare=3),
    Column("problem"),
    Column("sample", right=True, spare=4),
    Column("score", right=True),
    Column("advantage", right=True, spare=6),
    Column("tokens", right=True, spare=5),
    Column("turns", right=True, spare=5),
    Column("stop", spare=2),
    Column("extracted", words=True, spare=7),
    Column("gold", words=True, spare=1),
    Column("completion", words=True),
)


def show_list(console: Console, rows: list[Row], limit: int) -> None:
    cells = []
    for number, row in enumerate(rows[:limit]):
        extracted = next(iter(row.scores.values()), {}).get("extracted")
        cells.append(
            (
                str(number),
                "-" if row.step is None else str(row.step),
                clip(f"{row.task} {row.problem}", 30),
                "greedy" if row.sample < 0 else str(row.sample),
                _score(row),
                "-" if row.advantage is None else f"{row.advantage:+.2f}",
                str(len(row.token_ids) or "-"),
                str(len(row.turns) or "-"),
                row.ending or row.finish or "-",
                clip(extracted or "-", 24),
                clip(str(row.answer), 24),
                clip(" ".join(row.response.split()), 60, end=True),
            )
        )
    columns = COLUMNS
    if not any(row.turns for row in rows):
        at = [column.name for column in COLUMNS].index("turns")
        columns, cells = _without(columns, at), [_without(row_cells, at) for row_cells in cells]
    show_table(console, columns, cells, title=f"{len(rows):,} completions", hint="--show # shows all of one")
    if len(rows) > limit:
        line(console, f"and {len(rows) - limit:,} more; --limit N shows N, --show # one of them with its group")


def show_one(console: Console, row: Row, everything: list[Row]) -> None:
    """A completion, turn by turn where it has turns, with its verdict and its group."""
    if row.turns:
        for message in row.conversation:
            _panel(console, message.title, message.text, STYLES[message.sampled])
        line(console, f"sample {row.sample}, {ended(row.turns, row.ending)}", "bold")
    else:
        _panel(console, "prompt", row.prompt)
        title = f"sample {row.sample}, {row.finish or 'end unknown'}, {counted(len(row.token_ids), 'token')}"
        _panel(console, title, row.response)
    line(console, f"gold {row.answer}", "bold")
    for name, score in row.scores.items():
        value = f"{score['value']:g}" if score["status"] == "ok" else score["status"]
        found = "" if score["extracted"] is None else f"extracted {score['extracted']}"
        said = ", ".join(part for part in (f"{name}: {value}", found, score["reason"]) if part)
        line(console, " ".join(said.split()))  # one line each, so that no text looks like another verifier's
    columns = (
        Column("sample", right=True),
        Column("score", right=True),
        Column("advantage", right=True),
        Column("completion", words=True),
    )
    cells = [
        (
            str(other.sample),
            _score(other),
            "-" if other.advantage is None else f"{other.advantage:+.2f}",
            clip(other.response, 600, end=True),
        )
        for other in everything
        if other.group == row.group
    ]
    show_table(console, columns, cells, title="group", rules=True)


def _without(cells: Sequence[Any], at: int) -> tuple[Any, ...]:
    return (*cells[:at], *cells[at + 1 :])


def _panel(console: Console, title: str, text: str, style: str = "") -> None:
    name = Text(shown(console, " ".join(title.split())))
    console.print(Panel(Text(shown(console, text)), title=name, title_align="left", border_style=style or "none"))


def _score(row: Row) -> Text:
    if row.status != "ok":
        return Text(row.status, style="dim")
    return Text(f"{row.reward:g}", style="green" if row.reward >= 1 else "red" if row.reward <= 0 else "")
