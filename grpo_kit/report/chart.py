"""A chart of a page as plain data, and the table of metrics that it is filled from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .labels import label_of

Metrics = Sequence[Mapping[str, Any]]
Values = list[float | None]
Z = 1.96


@dataclass
class Series:
    """One line; ``low`` and ``high`` are its error band."""

    name: str
    values: Values
    low: Values | None = None
    high: Values | None = None


@dataclass
class Panel:
    """One chart.

    Attributes:
        kind: ``lines``, ``stack`` (areas on top of each other) or ``bars``.
        x_label, y_label: what the axes count, with the unit.
        shown_as: ``number`` or ``percent`` (of a share between 0 and 1).
        idle: a value and a tolerance: a chart that never leaves them says nothing, and is left out of the page.
    """

    section: str
    title: str
    x: list[float]
    series: list[Series]
    kind: str = "lines"
    x_label: str = "step"
    y_label: str = ""
    shown_as: str = "number"
    note: str = ""
    warning: bool = False
    idle: tuple[float, float] | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def empty(self) -> bool:
        return not any(v is not None for s in self.series for v in s.values)

    @property
    def says_nothing(self) -> bool:
        if self.idle is None or self.empty:
            return False
        value, tolerance = self.idle
        return all(abs(v - value) <= tolerance for s in self.series for v in s.values if v is not None)


def series_shown(panels: Iterable[Panel]) -> list[Panel]:
    """The panels without the series that have no value, and without those that then have no series."""
    found = []
    for panel in panels:
        panel.series = [s for s in panel.series if any(v is not None for v in s.values)]
        if panel.series:
            found.append(panel)
    return found


@dataclass
class Table:
    """Metrics by step, several lines of one step merged."""

    steps: list[int]
    rows: dict[int, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def of(cls, metrics: Metrics) -> Table:
        rows: dict[int, dict[str, Any]] = {}
        for line in metrics:
            step = line.get("step")
            if isinstance(step, int):  # a page is better without a damaged line than not at all
                rows.setdefault(step, {}).update(line)
        return cls(sorted(rows), rows)

    @property
    def x(self) -> list[float]:
        return [float(step) for step in self.steps]

    def column(self, name: str) -> Values:
        return [number(self.rows[step].get(name)) for step in self.steps]

    def values(self, name: str) -> list[float]:
        """The values that are there, in the order of the steps."""
        return [v for v in self.column(name) if v is not None]

    def has(self, name: str) -> bool:
        return any(name in row for row in self.rows.values())

    def names(self, prefix: str) -> list[str]:
        return sorted({name for row in self.rows.values() for name in row if name.startswith(prefix)})

    def text(self, name: str) -> str | None:
        """The last value of a metric that is a word."""
        found = [row[name] for row in self.rows.values() if isinstance(row.get(name), str)]
        return found[-1] if found else None

    def series(self, names: Iterable[str]) -> list[Series]:
        return [Series(label_of(name), self.column(name)) for name in names if self.has(name)]


def band(name: str, values: Values, errors: Values) -> Series:
    """A line with its 95 % band."""
    pairs = list(zip(values, errors, strict=True))
    low = [None if v is None else v - Z * (e or 0.0) for v, e in pairs]
    return Series(name, values, low, [None if v is None else v + Z * (e or 0.0) for v, e in pairs])


def number(value: Any) -> float | None:
    if not isinstance(value, (int, float)):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None
