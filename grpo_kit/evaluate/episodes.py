"""What an evaluation knows of its answers where they are episodes: turns, calls, time, and why they ended."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from .metrics import cluster_bootstrap
from .records import Record

Number = Callable[[Record], float | None]


def episode_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """Means over problems of the problem's mean, with errors clustered by problem; empty where nothing has turns.

    ``turns``, ``calls`` and ``seconds`` in the environment are of an episode, ``invalid`` and ``failed`` shares of its calls;
    ``endings`` are shares of all episodes.
    """
    played = [record for record in records if record.turns]
    if not played:
        return {}
    endings = Counter(record.ending or "unknown" for record in played)
    found: dict[str, Any] = {name: cluster_bootstrap(_by_problem(played, number)) for name, number in NUMBERS.items()}
    return found | {"endings": {name: count / len(played) for name, count in endings.most_common()}}


def _by_problem(records: Sequence[Record], number: Number) -> list[float]:
    problems: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if (value := number(record)) is not None:
            problems[record.id].append(value)
    return [fmean(values) for values in problems.values()]


def _calls(record: Record) -> int:
    return sum(turn.calls for turn in record.turns)


def _share(record: Record, count: int) -> float | None:
    return count / calls if (calls := _calls(record)) else None


NUMBERS: dict[str, Number] = {
    "turns": lambda record: len(record.turns),
    "calls": _calls,
    "invalid": lambda record: _share(record, sum(turn.invalid for turn in record.turns)),
    "failed": lambda record: _share(record, sum(turn.failed for turn in record.turns)),
    "seconds": lambda record: sum(turn.seconds for turn in record.turns),
}


def episode_notes(found: Mapping[str, Any]) -> list[str]:
    """A line on the episodes of a task. found: of `episode_metrics`, as a results file holds it; empty for none."""
    if not found:
        return []
    parts = [f"{_number(found['turns'])} turns"]
    if found["calls"]["value"]:
        wrong = f"{_number(found['invalid'], 100)} % of them not understood, {_number(found['failed'], 100)} % failed"
        parts.append(f"{_number(found['calls'])} calls ({wrong})")
    parts.append(f"{_number(found['seconds'])} s in the environment")
    endings = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found["endings"].items())
    return [f"an episode has {', '.join(parts)}; ended by: {endings}"]


def _number(estimate: Mapping[str, Any], factor: float = 1) -> str:
    error = f" ± {factor * estimate['error']:.2f}" if estimate["error"] is not None else ""
    return f"{factor * estimate['value']:.2f}{error}"
