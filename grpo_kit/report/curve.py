"""The learning curve of a run as a picture."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from grpo_kit.runtime.scratch_file import scratch_beside


def draw_learning_curve(metrics: list[dict[str, Any]], target: Path, title: str) -> Path:
    """Draw held-out accuracy and, on an axis of its own, the training reward against steps into a file: .svg or .png.

    A run that learns from records has no reward of its own: its loss stands there.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot, whose backend and figures are a notebook's own

    recorded = any(m.get("data/recorded") for m in metrics)
    key, label = ("loss", "training loss") if recorded else ("reward/mean", "training reward")
    evaluated = [m for m in metrics if "eval/sampled" in m or "eval/pairs_accuracy" in m]
    figure = Figure(figsize=(7, 4.6 if evaluated else 3), layout="constrained")
    axes = [row[0] for row in figure.subplots(1 + bool(evaluated), sharex=True, squeeze=False)]
    if evaluated:
        _draw_accuracy(axes[0], evaluated)
    trained = [m for m in metrics if key in m]
    axes[-1].plot([m["step"] for m in trained], [m[key] for m in trained], color="#1f4e79", linewidth=1.2)
    axes[-1].set(ylabel=label, xlabel="step")
    axes[0].set_title(title)
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    scratch = scratch_beside(target)
    with mpl.rc_context({"svg.hashsalt": "grpo-kit"}):  # the same run draws the same bytes
        kind = target.suffix[1:]
        figure.savefig(scratch, format=kind, metadata={"Date": None} if kind == "svg" else None)
    os.replace(scratch, target)
    return target


def _draw_accuracy(axes: Any, evaluated: list[dict[str, Any]]) -> None:
    at = [m["step"] for m in evaluated]
    if "eval/pairs_accuracy" in evaluated[0]:
        accuracy = [100 * m["eval/pairs_accuracy"] for m in evaluated]
        error = [196 * m["eval/pairs_error"] for m in evaluated]
        axes.errorbar(at, accuracy, error, color="#1f4e79", marker="o", markersize=4, capsize=3)
        axes.set_ylabel("held-out pairs ranked right, %")
        return
    sampled = [100 * m["eval/sampled"] for m in evaluated]
    error = [196 * m["eval/sampled_error"] for m in evaluated]
    axes.errorbar(at, sampled, error, color="#1f4e79", marker="o", markersize=4, capsize=3, label="sampled")
    greedy = [100 * m["eval/greedy"] for m in evaluated]
    axes.plot(at, greedy, "s--", color="#c55a11", markersize=4, label="greedy")
    judge = next((m["evaluation/judge"] for m in reversed(evaluated) if "evaluation/judge" in m), None)
    axes.set_ylabel("held-out accuracy, %" + (f"\njudged by {judge}" if judge else ""))
    axes.legend(frameon=False)
