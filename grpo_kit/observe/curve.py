"""The learning curve of a run as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def draw_learning_curve(metrics: list[dict[str, Any]], target: Path, title: str) -> Path:
    """Draw reward and held-out accuracy against steps into an SVG file."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"  # the same run draws the same bytes
    from matplotlib import pyplot as plt

    trained = [m for m in metrics if "reward/mean" in m]
    evaluated = [m for m in metrics if "eval/sampled" in m]
    figure, axes = plt.subplots(figsize=(7, 3.6), layout="constrained")
    steps = [m["step"] for m in trained]
    if trained:
        axes.plot(steps, [m["reward/mean"] for m in trained], color="#9bb7d4", linewidth=1.2, label="training reward")
    if evaluated:
        at = [m["step"] for m in evaluated]
        sampled = [m["eval/sampled"] for m in evaluated]
        error = [1.96 * m["eval/sampled_error"] for m in evaluated]
        axes.errorbar(
            at, sampled, error, color="#1f4e79", marker="o", markersize=4, capsize=3, label="held-out, sampled"
        )
        axes.plot(
            at, [m["eval/greedy"] for m in evaluated], "s--", color="#c55a11", markersize=4, label="held-out, greedy"
        )
    axes.set(xlabel="GRPO step", ylabel="accuracy / reward", title=title)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)
    return target
