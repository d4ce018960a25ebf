"""Tables of results: for the console and for a README."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console

from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, line

from .episodes import episode_notes
from .protocol import Result, protocol_lines
from .records import Record

NONE = "-"
CLIPPED = 60
# The highest goes first.
SPARE = {"length right / wrong": 7, "no answer": 6, "cut": 5, "maj@n": 4, "95 %": 3, "calls": 2, "turns": 1}


def table_rows(results: Sequence[Result]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the table, one row per model and task."""
    header = ["model", "task", "problems", "n", "accuracy ± s.e.", "95 %", "pass@k", "maj@n", "greedy", "cut", "no answer",
              "turns", "calls", "length right / wrong", "unscored"]  # fmt: skip
    rows = [
        [str(result.model["label"]), task, *_cells(found.metrics, found.protocol)]
        for result in results
        for task, found in result.tasks.items()
    ]
    dull = {
        i for i, name in enumerate(header) if name not in ("model", "task") and all(r[i] in (NONE, "") for r in rows)
    }
    return (
        [name for i, name in enumerate(header) if i not in dull],
        [[cell for i, cell in enumerate(row) if i not in dull] for row in rows],
    )


def _cells(metrics: Mapping[str, Any], protocol: Mapping[str, Any]) -> list[str]:
    n, avg = metrics["samples"], metrics["avg"]
    primary = avg if n else metrics["greedy"]
    passes = {int(k): e for k, e in metrics["pass_at"].items() if int(k) > 1}
    majority = {int(k): e for k, e in metrics["majority_at"].items()}
    unscored = ", ".join(f"{count} {status}" for status, count in metrics["unscored"].items())
    interval = NONE if primary["low"] is None else f"{percent(primary['low'])} to {percent(primary['high'])}"
    fewest, episodes = fewest_samples(metrics), metrics.get("episodes")
    return [
        _problems(metrics, protocol),
        (f"{fewest} to {n}" if fewest < n else str(n)) if n else "greedy",
        estimate(primary),
        interval,
        "  ".join(f"@{k} {percent(e['value'])}" for k, e in passes.items()) or NONE,
        percent(majority[n]["value"]) if n > 1 and n in majority else NONE,
        estimate(metrics["greedy"]) if n and metrics["greedy"]["problems"] else NONE,
        percent(metrics["truncated"]),
        percent(metrics["no_answer"]),
        f"{episodes['turns']['value']:.1f}" if episodes else NONE,
        f"{episodes['calls']['value']:.1f}" if episodes and episodes["calls"]["value"] else NONE,
        f"{_count(metrics['length_right'])} / {_count(metrics['length_wrong'])}"
        + ("" if metrics["length_unit"] == "tokens" else " chars"),
        unscored,
    ]


def fewest_samples(metrics: Mapping[str, Any]) -> int:
    return int(metrics.get("fewest_samples", metrics["samples"]))  # results of before do not hold it


def _problems(metrics: Mapping[str, Any], protocol: Mapping[str, Any]) -> str:
    """A part of a benchmark must not be taken for the whole: ``48 of 1319``."""
    count = str(metrics["problems"])
    if "of" in protocol:
        return f"{count} of {protocol['of']}"
    return f"{count} (first {protocol['limit']} rows)" if "limit" in protocol else count


def percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.1f}"


def estimate(found: Mapping[str, Any]) -> str:
    if found["value"] is None:
        return NONE
    error = "" if found["error"] is None else f" ± {100 * found['error']:.2f}"
    return f"{100 * found['value']:.2f}{error}"


def _count(value: float | None) -> str:
    return NONE if value is None else f"{value:.0f}"


def show_results(console: Console, results: Sequence[Result]) -> None:
    """The table, what to know about its errors, and the protocol."""
    header, rows = table_rows(results)
    columns = [
        Column(name, right=name not in ("model", "task"), spare=SPARE.get(name, 0), words=name == "unscored")
        for name in header
    ]
    show_table(
        console, columns, rows, title="Accuracy in percent; errors are clustered by problem", hint="--out keeps all"
    )
    for note in notes(results):
        line(console, note)
    for said in protocol_lines(results):
        line(console, said, "dim")


def notes(results: Sequence[Result]) -> list[str]:
    """What a reader of the table must be told: naive errors, unjudged completions, truncation."""
    lines = []
    for result in results:
        for task, found in result.tasks.items():
            lines += [f"{result.model['label']}, {task}: {note}" for note in _notes(found.metrics)]
    return lines


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    error, naive = metrics["avg"]["error"], metrics["naive_error"]
    if metrics["samples"] > 1 and error and naive:
        sampling = metrics["sampling_error"]
        left = (
            ""
            if sampling is None
            else f"; with endless samples of these problems {100 * math.sqrt(max(0.0, error**2 - sampling**2)):.2f}"
        )
        lines.append(
            f"clustered error {100 * error:.2f} (bootstrap {100 * metrics['avg_bootstrap']['error']:.2f}), "
            f"{100 * naive:.2f} if samples were independent{left}"
        )
    fewest, most = fewest_samples(metrics), metrics["samples"]
    if fewest < most:
        lines.append(
            f"warning: problems have {fewest} to {most} samples; each counts the same in the accuracy, and pass@k and maj@k are "
            f"shown up to k = {fewest}, which every problem has"
        )
    for k, found in metrics["pass_at"].items():
        if 0 < found["problems"] < metrics["problems"] and int(k) > 1:
            lines.append(
                f"pass@{k} is of the {found['problems']} of {metrics['problems']} problems with {k} judged samples"
            )
    lines += episode_notes(metrics.get("episodes", {}))
    unscored = sum(metrics["unscored"].values())
    if unscored:
        lines.append(
            f"warning: {unscored} of {metrics['completions']} completions were not judged and count as neither right nor "
            f"wrong; if all were wrong, accuracy would be {percent(metrics['avg_worst'])}"
        )
    if (unmarked := metrics.get("right_unmarked") or 0) >= 0.01:  # results of before do not hold it
        lines.append(
            f"{percent(unmarked)} % would be right, but mark no answer as theirs (a box, 'the answer is'): the task's "
            "verifier with last_expression would count them; a reward had better ask for the mark"
        )
    if (metrics["truncated"] or 0) > 0.05:
        lines.append(f"warning: {percent(metrics['truncated'])} % of the completions were cut; raise --max-tokens")
    return lines


def markdown(results: Sequence[Result]) -> str:
    """The table and its protocol for a README."""
    header, rows = table_rows(results)
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    said = [*notes(results), *protocol_lines(results)]
    return "\n".join(
        [*lines, "", "Errors are standard errors clustered by problem.", "", *(f"- {line}" for line in said)]
    )


def show_disagreements(console: Console, records: Sequence[Record], compared: int, count: int) -> None:
    """Responses whose verdict differs from the label that they came with, of ``compared`` that have both."""
    if not records:
        line(console, f"every verdict agrees with the label ({compared} compared)")
        return
    claimed = sum(bool(record.label) for record in records)
    line(
        console,
        f"{len(records)} of {compared} verdicts differ from the label: {claimed} right by the label and wrong by the "
        f"verifier, {len(records) - claimed} the other way",
    )
    prose = ("extracted", "gold", "reason")
    columns = [Column(name, words=name in prose) for name in ("task", "id", "sample", "label", "verdict", *prose)]
    words = {True: "right", False: "wrong", None: NONE}
    cells = [
        (
            clip(record.task, CLIPPED),
            clip(record.id, CLIPPED),
            "greedy" if record.sample < 0 else str(record.sample),
            words[record.label],
            words[record.right],
            *(clip(text, CLIPPED) for text in (record.extracted or NONE, str(record.answer), record.reason)),
        )
        for record in records[:count]
    ]
    if count:
        show_table(console, columns, cells, title=f"{len(records)} verdicts differ from the label")
    if len(records) > count:
        line(console, f"and {len(records) - count} more; --out keeps all of them, --disagreements N shows N")
