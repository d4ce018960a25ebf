"""A comparison on the console and as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from grpo_kit.observe.tables import Column, show_table
from grpo_kit.observe.terminal import clip, line, warn

from .compare import Comparison, Flip
from .records import Record

SHOWN = 300
SPARE = {"bootstrap": 3, "problems": 2, "McNemar p": 1}  # the highest goes first


def show_comparisons(console: Console, comparisons: Sequence[Comparison], flips: int) -> None:
    """The differences, how sure they are, what the protocols differ in, and the problems that flipped."""
    for warning in _warnings(comparisons):
        warn(console, warning)
    header, rows = _cells(comparisons)
    columns = [Column(name, right=name not in ("task", "first", "second"), spare=SPARE.get(name, 0)) for name in header]
    title = "Second minus first on the same problems, in points; 95 % intervals"
    show_table(console, columns, rows, title=title, hint="--out keeps all")
    for note in _notes(comparisons):
        line(console, note)
    for comparison in comparisons:
        _show_flips(console, comparison, flips)


def _cells(comparisons: Sequence[Comparison]) -> tuple[list[str], list[list[str]]]:
    header = ["task", "first", "second", "problems", "measure", "accuracy", "difference ± s.e.", "95 %", "bootstrap", "p",
              "gained / lost", "McNemar p"]  # fmt: skip
    several = len(comparisons) > 1
    if several:
        header.insert(10, "p, corrected")
    rows = []
    for c in comparisons:
        d = c.difference
        row = [
            c.task,
            c.first,
            c.second,
            str(d.problems),
            c.measure,
            f"{100 * c.first_value:.1f} -> {100 * c.second_value:.1f}",
            f"{100 * d.value:+.2f} ± {100 * d.error:.2f}",
            f"{100 * d.low:+.1f} to {100 * d.high:+.1f}",
            f"{100 * d.bootstrap_low:+.1f} to {100 * d.bootstrap_high:+.1f}",
            _p(d.p_value),
            f"{c.gained} / {c.lost}",
            _p(c.mcnemar_p),
        ]
        if several:
            row.insert(10, _p(c.p_corrected))
        rows.append(row)
    return header, rows


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def _warnings(comparisons: Sequence[Comparison]) -> list[str]:
    found = []
    for c in comparisons:
        if not c.same_judge:
            first, second = (judge or "an unnamed verifier" for judge in c.judges)
            found.append(
                f"{c.task}: {c.first} is judged by {first}, {c.second} by {second}. The difference is that of the judges as "
                "well: `grpo-kit score` judges both sides' answers by one"
            )
        if c.warnings:
            found.append(f"{c.task}, {c.first} and {c.second}: the protocols differ in {'; '.join(c.warnings)}")
        if c.only_one:
            found.append(
                f"{c.task}, {c.first} and {c.second}: {c.only_one} problems without a judged answer of both "
                f"({c.measure}) are left out"
            )
    return found


def _notes(comparisons: Sequence[Comparison]) -> list[str]:
    lines = []
    for c in comparisons:
        known = not math.isnan(c.difference.correlation)
        paired = f"; the problems' results correlate by {c.difference.correlation:.2f}" if known else ""
        judged = f", judged by {c.judges[0]}" if c.same_judge and c.judges[0] else ""
        lines.append(
            f"{c.task}, {c.second}: accuracy is {c.measure}{judged}, gained and lost are counted by {c.verdicts}{paired}; "
            f"without pairing the error would be {100 * c.unpaired_error:.2f}"
        )
    if len(comparisons) > 1:
        lines.append(f"p, corrected: Holm's correction for {len(comparisons)} comparisons")
    return lines


def _show_flips(console: Console, comparison: Comparison, count: int) -> None:
    for gained, title in ((True, "gained"), (False, "lost")):
        chosen = [flip for flip in comparison.flips if flip.gained == gained]
        if not chosen or not count:
            continue
        name = f"{comparison.task}: {title} by {comparison.second} ({len(chosen)})"
        prose = ("problem", "gold", comparison.first, comparison.second)
        columns = [Column("id"), *(Column(column, words=True) for column in prose)]
        show_table(console, columns, [_flip_cells(flip) for flip in chosen[:count]], title=name, rules=True)
        if len(chosen) > count:
            line(console, f"and {len(chosen) - count} more; --flips N shows N, --out keeps all")


def _flip_cells(flip: Flip) -> list[Text]:
    return [
        Text(flip.id),
        Text(clip(flip.first.prompt, SHOWN)),
        Text(clip(str(flip.first.answer), SHOWN)),
        _answer(flip.first),
        _answer(flip.second),
    ]


def _answer(record: Record) -> Text:
    given = clip(record.response, SHOWN, end=True) if record.extracted is None else clip(record.extracted, SHOWN)
    return Text(given, style="green" if record.right else "red")


def comparison_markdown(comparisons: Sequence[Comparison]) -> str:
    header, rows = _cells(comparisons)
    lines = [f"| {' | '.join(header)} |", f"|{'---|' * len(header)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    said = [*(f"warning: {w}" for w in _warnings(comparisons)), *_notes(comparisons)]
    return "\n".join([*lines, "", *(f"- {line}" for line in said)])
