"""What the charts of a page show: plain data, drawn by the page itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from grpo_kit.evaluate.records import Record
from grpo_kit.observe.signs import Sign
from grpo_kit.observe.watch import verdicts

Metrics = Sequence[dict[str, Any]]
Values = list[float | None]
Z = 1.96
BINS = 30


@dataclass
class Series:
    """One line; ``low`` and ``high`` are its error band."""

    name: str
    values: Values
    low: Values | None = None
    high: Values | None = None


@dataclass
class Panel:
    """One chart. kind: ``lines``, ``stack`` (areas on top of each other) or ``bars``."""

    section: str
    title: str
    x: list[float]
    series: list[Series]
    kind: str = "lines"
    x_label: str = "step"
    note: str = ""
    warning: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class _Table:
    """Metrics by step, several lines of one step merged."""

    steps: list[int]
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Metrics) -> _Table:
        rows: dict[int, dict[str, Any]] = {}
        for line in metrics:
            rows.setdefault(int(line["step"]), {}).update(line)
        return cls(sorted(rows), rows)

    def column(self, name: str) -> Values:
        return [_number(self.rows[step].get(name)) for step in self.steps]

    def has(self, name: str) -> bool:
        return any(name in row for row in self.rows.values())

    def names(self, prefix: str) -> list[str]:
        return sorted({name for row in self.rows.values() for name in row if name.startswith(prefix)})


def run_panels(metrics: Metrics, prompts_per_step: int) -> list[Panel]:
    """The charts of a training run; those without data are left out."""
    table = _Table.of(metrics)
    x = [float(step) for step in table.steps]
    panels = [
        _learning(table, x, prompts_per_step),
        _hacking(table, x, verdicts(metrics)),
        _groups(table, x),
        _lines(table, x, "Lengths", "Response length, tokens", ["length/mean", "length/right", "length/wrong"]),
        _lines(table, x, "Lengths", "Share cut by the limit", ["length/truncated"]),
        _lines(table, x, "Policy", "Entropy", ["entropy"]),
        _lines(table, x, "Policy", "KL to the reference", table.names("kl/")),
        _lines(table, x, "Policy", "Share of clipped tokens", table.names("clip/")),
        _lines(table, x, "Policy", "Difference between engine and trainer", table.names("mismatch/")),
        _lines(table, x, "Policy", "Largest and smallest ratio", table.names("ratio/")),
        _loss(table, x),
        _lines(table, x, "Policy", "Gradient norm", ["grad_norm"]),
        _lines(table, x, "Policy", "Advantage, mean absolute", ["advantage/mean_abs"]),
        *_verifiers(table, x),
        _time(table, x),
        _lines(table, x, "Time", "Tokens per second", ["tokens_per_second"]),
        _lines(table, x, "Time", "Completions left out of the loss", table.names("dropped/")),
    ]
    return [panel for panel in panels if panel is not None and panel.series]


def _loss(table: _Table, x: list[float]) -> Panel | None:
    panel = _lines(table, x, "Policy", "Loss", ["loss"])
    if panel is not None:
        panel.note = (
            "With group advantages it is about 0 at the first update of a batch, by construction: watch the reward."
        )
    return panel


def _learning(table: _Table, x: list[float], prompts: int) -> Panel:
    series = []
    if table.has("reward/mean"):
        spread = table.column("reward/group_mean_std")
        errors = [None if s is None else s / math.sqrt(max(1, prompts)) for s in spread]
        series.append(_band("training reward", table.column("reward/mean"), errors))
    if table.has("eval/sampled"):
        series.append(_band("held-out, sampled", table.column("eval/sampled"), table.column("eval/sampled_error")))
        series.append(Series("held-out, greedy", table.column("eval/greedy")))
    return Panel("Learning", "Reward and held-out accuracy", x, series, note="Bands are 95 %, clustered by problem.")


def _hacking(table: _Table, x: list[float], signs: Sequence[Sign]) -> Panel | None:
    """What the watch says, over the gap between training reward and held-out accuracy."""
    held_out = [(i, v) for i, v in enumerate(table.column("eval/sampled")) if v is not None]
    reward = table.column("reward/mean")
    spoken = [sign for sign in signs if sign.severity != "note"]
    if not table.has("reward/mean") or (len(held_out) < 2 and not spoken):
        return None
    gap: Values = [None] * len(x)
    for i, value in held_out:
        near = [r for r in reward[max(0, i - 5) : i + 6] if r is not None]
        gap[i] = float(np.mean(near)) - value if near else None
    series = [Series("training reward minus held-out accuracy", gap)]
    return Panel("Learning", "Reward-hacking watch", x, series, note=_said(signs, held_out, x), warning=bool(spoken))


def _said(signs: Sequence[Sign], held_out: Sequence[tuple[int, float]], x: list[float]) -> str:
    spoken = [f"Step {s.step}: {s.sentence}" for s in signs if s.severity != "note"]
    spoken += [f"{s.sentence[0].upper()}{s.sentence[1:]}" for s in signs if s.severity == "note"]
    if spoken:
        return " ".join(spoken)
    best, last = max(held_out, key=lambda item: item[1]), held_out[-1]
    return f"No sign of it: held-out accuracy is {last[1]:.1%}, at best {best[1]:.1%} (step {x[best[0]]:.0f})."


def _groups(table: _Table, x: list[float]) -> Panel:
    right, wrong = table.column("groups/all_right"), table.column("groups/all_wrong")
    mixed = [None if r is None or w is None else max(0.0, 1.0 - r - w) for r, w in zip(right, wrong, strict=True)]
    series = [Series("all right", right), Series("mixed", mixed), Series("all wrong", wrong)]
    note = "Only mixed groups teach: in the others every advantage is 0."
    return Panel("Learning", "Groups", x, series if table.has("groups/all_right") else [], kind="stack", note=note)


def _time(table: _Table, x: list[float]) -> Panel:
    """Phases from the longest to the shortest; one that a step did not have took no time in it."""
    total = table.column("seconds/total")
    columns = {n: table.column(n) for n in table.names("seconds/") if n != "seconds/total"}
    spent = {n: sum(v for v in values if v is not None) for n, values in columns.items()}
    series = [
        Series(
            n.removeprefix("seconds/"),
            [None if t is None else v or 0.0 for v, t in zip(columns[n], total, strict=True)],
        )
        for n in sorted(columns, key=lambda n: -spent[n])
    ]
    return Panel("Time", "Seconds per step by phase", x, series, kind="stack")


def _verifiers(table: _Table, x: list[float]) -> list[Panel]:
    found: dict[str, list[str]] = {}
    for name in table.names("verifier/"):
        verifier, _, kind = name.removeprefix("verifier/").rpartition("/")
        found.setdefault(verifier, []).append(kind)
    panels = []
    for verifier, kinds in found.items():
        shown = {"mean": "mean score", "abstain": "abstained", "error": "errors", "timeout": "timeouts"}
        series = [Series(word, table.column(f"verifier/{verifier}/{k}")) for k, word in shown.items() if k in kinds]
        panels.append(Panel("Verifiers", f"{verifier}", x, series))
    return panels


def _lines(table: _Table, x: list[float], section: str, title: str, names: Sequence[str]) -> Panel:
    present = [name for name in names if table.has(name)]
    short = [name.rpartition("/")[2] for name in present]
    return Panel(section, title, x, [Series(s, table.column(n)) for s, n in zip(short, present, strict=True)])


def _band(name: str, values: Values, errors: Values) -> Series:
    pairs = list(zip(values, errors, strict=True))
    low = [None if v is None else v - Z * (e or 0.0) for v, e in pairs]
    return Series(name, values, low, [None if v is None else v + Z * (e or 0.0) for v, e in pairs])


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) and math.isfinite(value) else None


def evaluation_panels(records: Sequence[Record]) -> list[Panel]:
    """The charts of an evaluation: how hard its problems are, and how long right and wrong answers are."""
    panels = []
    for task in dict.fromkeys(record.task for record in records):
        mine = [r for r in records if r.task == task and r.counts]
        panels += [p for p in (_difficulty(task, mine), _length_histogram(task, mine)) if p is not None]
    return panels


def _difficulty(task: str, records: Sequence[Record]) -> Panel | None:
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
    title = f"{task}: problems by right samples of {most}"
    series: list[Series] = [Series("problems", list(counts))]
    return Panel("Samples", title, x, series, kind="bars", x_label="right samples")


def _length_histogram(task: str, records: Sequence[Record]) -> Panel | None:
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
    return Panel("Samples", f"{task}: length of right and wrong answers", x, series, kind="bars", x_label=unit)
