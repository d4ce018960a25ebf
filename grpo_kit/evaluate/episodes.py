"""What an evaluation knows of its answers where they are episodes: turns, calls, time, and why they ended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from grpo_kit.observe.episode_numbers import Counts, shares_by_ending

from .metrics import cluster_bootstrap
from .records import Record

Number = Callable[[Counts], float | None]


def episode_metrics(records: Sequence[Record]) -> dict[str, Any]:
    """Means over problems of the problem's mean, with errors clustered by problem; empty where nothing has turns.

    ``turns``, ``calls`` and ``seconds`` in the environment are of an episode, ``misread`` is the share of its turns that called
    nothing and were not understood, ``invalid`` and ``failed`` are shares of its calls; ``endings`` are shares of all episodes.
    """
    played = [record for record in records if record.turns]
    if not played:
        return {}
    found: dict[str, Any] = {name: cluster_bootstrap(_by_problem(played, number)) for name, number in NUMBERS.items()}
    return found | {"endings": dict(shares_by_ending(played))}


def _by_problem(records: Sequence[Record], number: Number) -> list[float]:
    problems: dict[str, list[float]] = defaultdict(list)
    for record in records:
        if (value := number(Counts.of(record))) is not None:
            problems[record.id].append(value)
    return [fmean(values) for values in problems.values()]


def _share(count: int, whole: int) -> float | None:
    return count / whole if whole else None


NUMBERS: dict[str, Number] = {
    "turns": lambda counts: counts.turns,
    "misread": lambda counts: _share(counts.misread, counts.turns),
    "calls": lambda counts: counts.calls,
    "invalid": lambda counts: _share(counts.invalid, counts.calls),
    "failed": lambda counts: _share(counts.failed, counts.calls),
    "seconds": lambda counts: counts.seconds,
}


def episode_notes(found: Mapping[str, Any]) -> list[str]:
    """A line on the episodes of a task. found: of `episode_metrics`, as a results file holds it; empty for none."""
    if not found:
        return []
    misread = found.get("misread", {}).get("value")  # results of an older kit have none
    unheard = f" ({_number(found['misread'], 100)} % of them not understood)" if misread else ""
    parts = [f"{_number(found['turns'])} turns{unheard}"]
    if found["calls"]["value"]:
        wrong = f"{_number(found['invalid'], 100)} % of them not understood, {_number(found['failed'], 100)} % failed"
        parts.append(f"{_number(found['calls'])} calls ({wrong})")
    parts.append(f"{_number(found['seconds'])} s in the environment")
    endings = ", ".join(f"{name} {100 * share:.0f} %" for name, share in found["endings"].items())
    return [f"an episode has {', '.join(parts)}; ended by: {endings}"]


def _number(estimate: Mapping[str, Any], factor: float = 1) -> str:
    error = f" ± {factor * estimate['error']:.2f}" if estimate["error"] is not None else ""
    return f"{factor * estimate['value']:.2f}{error}"
