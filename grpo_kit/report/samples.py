"""The charts of an evaluation: how hard its problems are, and how long right and wrong answers are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grpo_kit.evaluate.records import Record

from .chart import Panel, Series

BINS = 30


def evaluation_panels(records: Sequence[Record], checkpoint: str = "") -> list[Panel]:
    """Charts of each task; ``checkpoint`` names whose they are, where a page has several."""
    section = f"Samples of {checkpoint}" if checkpoint else "Samples"
    panels = []
    for task in dict.fromkeys(record.task for record in records):
        mine = [r for r in records if r.task == task and r.counts]
        panels += [p for p in (_difficulty(section, task, mine), _lengths(section, task, mine)) if p is not None]
    return panels


def _difficulty(section: str, task: str, records: Sequence[Record]) -> Panel | None:
    by_problem: dict[str, list[bool]] = {}
    for record in records:
        if record.sample >= 0:
            by_problem.setdefault(record.id, []).append(record.right)
    most = max(map(len, by_problem.values()), default=0)
    if most < 2:
        return None
    counts = [0.0] * (most + 1)
    for rights in by_problem.values():
        counts[round(sum(rights) / len(rights) * most)] += 1
    x = [float(i) for i in range(most + 1)]
    series = [Series("problems", list(counts))]
    title, x_label = f"{task}: how hard the problems are", f"right samples of {most}"
    return Panel(section, title, x, series, kind="bars", x_label=x_label, y_label="problems")


def _lengths(section: str, task: str, records: Sequence[Record]) -> Panel | None:
    lengths = {
        right: [len(r.token_ids) or len(r.response) for r in records if r.right == right] for right in (True, False)
    }
    every = [*lengths[True], *lengths[False]]
    if not every:
        return None
    edges = np.histogram_bin_edges(every, bins=min(BINS, max(1, max(every) - min(every))))
    x = [float(v) for v in (edges[:-1] + edges[1:]) / 2]
    series = [
        Series(name, [float(c) for c in np.histogram(lengths[right], bins=edges)[0]])
        for right, name in ((True, "right"), (False, "wrong"))
    ]
    unit = "tokens" if records[0].token_ids else "characters"
    title = f"{task}: length of right and wrong answers"
    return Panel(section, title, x, series, kind="bars", x_label=f"length, {unit}", y_label="completions")
