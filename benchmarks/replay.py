"""Does a replay buffer pay? grpo with and without one at equal sampled tokens, on the tiny task of benchmarks/learn.py.

python benchmarks/replay.py [--only once epochs ...] [--seeds 0 1] [--keep FOLDER]

Every run starts from one warm start (worked solutions of which 60 % hold a mistake) and samples the same number of prompts.
`once` learns from each group once; all others take two updates a step: `epochs` learns twice from the groups of the step,
`fresh` splits them, and the rest splits them together with as many groups of the 8 steps before. Writes
benchmarks/results/replay.json and the table of docs/algorithms.md after every run; rows of earlier calls stay unless they are
measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

from learn import EVALUATION, RECIPES, train
from pages import put

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "replay.json"
PAGE = ROOT / "docs" / "algorithms.md"
STEPS = 20
ARMS: dict[str, tuple[str, ...]] = {
    "once": (),
    "epochs": ("train.epochs_per_batch=2",),
    "fresh": ("train.updates_per_batch=2",),
    "uniform": ("train.updates_per_batch=2", "replay={steps: 8, share: 0.5}"),
    "prioritised": ("train.updates_per_batch=2", "replay={steps: 8, share: 0.5, priority_exponent: 0.6}"),
    "truncated": ("train.updates_per_batch=2", "replay={steps: 8, share: 0.5}", "objective.correction=truncated"),
}


def start(folder: Path) -> Path:
    """The model that every run begins with, as benchmarks/learn.py makes it."""
    settings = ("train.steps=400", "examples.mistakes=0.6", "rollout.prompts_per_step=64", "warm_start=null")
    optimizer = ("optimizer.learning_rate=2e-3", "optimizer.schedule=cosine", "optimizer.warmup_steps=20")
    train("imitation/sft", folder / "start", *settings, *optimizer, *EVALUATION)
    return folder / "start" / "model"


def measure(arm: str, seed: int, folder: Path) -> dict[str, Any]:
    model = start(folder)
    settings = ("warm_start=null", "model.scratch=null", f"model.path={model}", *EVALUATION)
    run = folder / f"{arm}-{seed}"
    found = train(RECIPES["grpo"], run, *settings, f"seed={seed}", f"train.steps={STEPS}", *ARMS[arm])
    rows = found.pop("rows")
    steps = [row for row in rows if "reward/mean" in row]
    first, *_, last = [row for row in rows if "eval/sampled" in row]
    again = [row["replay/age_mean"] for row in steps if "replay/age_mean" in row]
    return {
        "arm": arm,
        "seed": seed,
        **found,
        "steps": len(steps),
        "sampled_tokens": sum(row["tokens"] for row in steps),
        "replayed_tokens": sum(row.get("replay/tokens", 0.0) for row in steps),
        "mean_age": round(fmean(again), 2) if again else None,
        "before": round(first["eval/sampled"], 4),
        "after": round(last["eval/sampled"], 4),
        "error": round(last["eval/sampled_error"], 4),
        "greedy_after": round(last["eval/greedy"], 4),
        "clipped": round(fmean(row["clip/low"] + row["clip/high"] for row in steps), 4),
        "mismatch_kl": round(fmean(row["mismatch/kl"] for row in steps), 5),
        "curve": [round(row["reward/mean"], 4) for row in steps],
    }


def table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| run | seed | sampled tokens | replayed tokens | mean age | before | after | greedy after | clipped | CPU s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in runs:
        age = "" if r["mean_age"] is None else f"{r['mean_age']:.1f}"
        lines.append(
            f"| `{r['arm']}` | {r['seed']} | {r['sampled_tokens']:,} | {r['replayed_tokens']:,.0f} | {age} | {r['before']:.1%} "
            f"| {r['after']:.1%} ± {r['error']:.1%} | {r['greedy_after']:.1%} | {r['clipped']:.1%} | {r['cpu_seconds']:.0f} |"
        )
    return "\n".join(lines)


def write(runs: list[dict[str, Any]]) -> None:
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "runs": runs}, indent=1) + "\n")
    put(PAGE, "replay", table(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(ARMS), default=list(ARMS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--keep", type=Path, help="a folder for the runs; what is finished there is not run again")
    arguments = parser.parse_args()
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    merged = {(r["arm"], r["seed"]): r for r in kept}
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for seed, arm in product(arguments.seeds, arguments.only):
            merged[arm, seed] = measure(arm, seed, folder)
            ordered = [merged[a, s] for a in ARMS for s in sorted({s for _, s in merged}) if (a, s) in merged]
            write(ordered)
            print(table([merged[arm, seed]]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
