"""How the pictures of docs/course.md are drawn: lines and bars in the colours of the other pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

COLOURS = ("#1f4e79", "#c55a11", "#6aa84f", "#7f6fb0", "#999999", "#b8860b")
Draw = Callable[[Any, dict[str, Any]], None]  # of a figure, from a chapter's results


def picture(draw: Draw, result: dict[str, Any], target: Path) -> None:
    """Let a chapter draw its figure, and write it: the same results draw the same bytes."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"
    from matplotlib import pyplot as plt

    figure = plt.figure(figsize=(8, 3), layout="constrained")
    draw(figure, result)
    for axis in figure.axes:
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    target.parent.mkdir(exist_ok=True)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def lines(axis: Any, x: Sequence[float], curves: Mapping[str, Sequence[float]], style: str = "-", **said: Any) -> None:
    """A line for each curve, with a legend; ``said`` is what ``axis.set`` takes."""
    for (name, values), colour in zip(curves.items(), COLOURS, strict=False):
        axis.plot(x, values, style, color=colour, linewidth=1.4, markersize=3.5, label=name)
    axis.set(**said)
    if len(curves) > 1:
        axis.legend(frameon=False, fontsize=8)


def bars(axis: Any, values: Mapping[str, float], **said: Any) -> None:
    """Horizontal bars, the first on top, with their numbers."""
    names = list(values)[::-1]
    for row, name in enumerate(names):
        axis.barh(row, values[name], color=COLOURS[0], height=0.6)
        axis.text(max(0.0, values[name]), row, f" {values[name]:.3g}", va="center", fontsize=8)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.margins(x=0.15)
    axis.set(**said)


def table(header: list[str], *rows: list[Any]) -> str:
    """Markdown, numbers to the right."""
    lines = [header, ["---", *["--:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
