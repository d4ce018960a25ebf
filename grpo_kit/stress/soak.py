"""Whether a long run stays as it is: memory and open files over its steps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from grpo_kit.observe.run_directory import read_json_lines

from .zygote import Zygote

SETTLED = 0.25  # of the steps; caches fill before


@dataclass(frozen=True)
class Soak:
    """growth: bytes per step, of a line through resident memory after it settled. rss: its mean, bytes."""

    steps: int
    growth: float
    rss: float
    files: tuple[int, int]
    threads: tuple[int, int]

    def problem(self) -> str | None:
        """What is not flat, or None. Over the whole run memory may move by a hundredth, which is what noise does."""
        if self.growth * self.steps > 0.01 * self.rss:
            return f"memory grew by {self.growth:.0f} bytes a step on {self.rss / 2**20:.0f} MB"
        if self.files[0] != self.files[1]:
            return f"open files went from {self.files[0]} to {self.files[1]}"
        return (
            None if self.threads[0] == self.threads[1] else f"threads went from {self.threads[0]} to {self.threads[1]}"
        )


def soak(zygote: Zygote, recipe: Path, steps: int, name: str = "soak") -> Soak:
    """Train ``steps`` steps and look every ten. Raises RuntimeError if the run does not end well."""
    path = zygote.folder / f"{name}.jsonl"
    outcome = zygote.run(
        "train", recipe, "--run-dir", name, f"train.steps={steps}", "train.save_every=50", "evaluation=null",
        "train.updates_per_batch=1", "train.epochs_per_batch=1", "scoring.workers=1",
        faults=[("measure", {"path": str(path), "every": max(1, steps // 100)})], timeout=900,
    )  # fmt: skip
    if outcome.code != 0:
        raise RuntimeError(outcome.output)
    seen = read_json_lines(path)
    settled = seen[int(SETTLED * len(seen)) :]
    x, y = [float(s["step"]) for s in settled], [float(s["rss"]) for s in settled]
    middle = fmean(x)
    growth = sum((a - middle) * b for a, b in zip(x, y, strict=True)) / sum((a - middle) ** 2 for a in x)
    return Soak(
        steps,
        growth,
        fmean(y),
        (settled[0]["files"], settled[-1]["files"]),
        (settled[0]["threads"], settled[-1]["threads"]),
    )
