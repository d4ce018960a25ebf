"""What sampling ahead costs and gains: the same run with rollout.max_staleness 0, 1, 2 and 4, on one real vLLM server.

python benchmarks/staleness.py [--seeds 0 1] [--rates 5e-4 2e-4] [--bounds 0 1 2 4] [--steps 30] [--keep FOLDER]

Every run starts from one warm start (worked solutions of which 60 % hold a mistake) and has a server of its own, which the
kit starts. One thread for the trainer and one for the server. The times are those of the machine as it was: the load at
the start of each run is written beside them. Needs an environment with vLLM (docs/vllm.md). Writes
benchmarks/results/staleness.json and the table of docs/scaling.md after every run; rows of earlier calls stay unless they are
measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

from pages import put

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "staleness.json"
PAGE = ROOT / "docs" / "scaling.md"
BOUNDS = (0, 1, 2, 4)
EVALUATION = ("evaluation.tasks=192", "evaluation.samples=4", "evaluation.every=null")
# What happens between steps and is no part of one.
BESIDE = ("seconds/evaluate", "seconds/report", "seconds/save")


def train(recipe: str, run: Path, *overrides: str) -> list[dict[str, Any]]:
    """Run a recipe, unless it stands there finished; returns its metrics."""
    if not (run / "model").is_dir():
        command = [sys.executable, "-m", "grpo_kit", "train", recipe, *overrides, "--run-dir", str(run)]
        log = run.parent / f"{run.name}.log"
        with log.open("w") as output:
            done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False)
        if done.returncode:
            raise SystemExit(f"{run.name} failed:\n{log.read_text()[-4000:]}")
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def measure(
    correction: str, bound: int, seed: int, rate: float, start: Path, folder: Path, steps: int
) -> dict[str, Any]:
    run = folder / f"rate{rate:g}-{correction}-k{bound}-seed{seed}"
    note = folder / f"{run.name}.load"
    if not note.exists():
        note.write_text(json.dumps(round(os.getloadavg()[0], 2)))
    rows = train(
        "grpo/grpo",
        run,
        "warm_start=null",
        "model.scratch=null",
        f"model.path={start / 'model'}",
        "device=cpu",
        f"seed={seed}",
        f"train.steps={steps}",
        "objective.beta=0",
        f"optimizer.learning_rate={rate}",
        "rollout.engine=vllm_server",
        f"rollout.vllm.servers=[http://127.0.0.1:{free_port()}]",
        "rollout.vllm.launch=true",
        "rollout.vllm.cache_gb=0.5",
        f"rollout.max_staleness={bound}",
        f"objective.correction={correction}",
        *EVALUATION,
    )
    trained = [r for r in rows if "reward/mean" in r]
    first, *_, last = [r for r in rows if "eval/sampled" in r]
    # The first step has nothing to overlap with, and pays for what every process pays once.
    seconds = [r["seconds/total"] - sum(r.get(name, 0.0) for name in BESIDE) for r in trained[1:]]
    return {
        "correction": correction,
        "max_staleness": bound,
        "seed": seed,
        "learning_rate": rate,
        "steps": len(trained),
        "before": first["eval/sampled"],
        "before_error": first["eval/sampled_error"],
        "after": last["eval/sampled"],
        "after_error": last["eval/sampled_error"],
        "greedy_after": last["eval/greedy"],
        "seconds_per_step": fmean(seconds),
        "seconds_per_step_median": median(seconds),
        "seconds_update": fmean([sum(v for n, v in r.items() if n.startswith("seconds/update")) for r in trained[1:]]),
        "seconds_waiting_for_groups": fmean([r.get("seconds/generate", 0.0) for r in trained[1:]]),
        "seconds_sync": fmean([r["seconds/sync"] for r in trained[1:]]),
        "mean_staleness": fmean([r.get("staleness/mean", 0.0) for r in trained]),
        "largest_staleness": max(r.get("staleness/max", 0.0) for r in trained),
        "dropped_groups": int(sum(r.get("staleness/dropped_groups", 0.0) for r in trained)),
        "correction_weight": fmean([r["correction/weight"] for r in trained]),
        "correction_capped": fmean([r["correction/capped"] for r in trained]),
        "mismatch_kl": fmean([r["mismatch/kl"] for r in trained]),
        "mismatch_kl_largest": max(r["mismatch/kl"] for r in trained),
        "reward_curve": [round(r["reward/mean"], 4) for r in trained],
        "load_at_start": json.loads(note.read_text()),
    }


def table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| learning rate | `correction` | `max_staleness` | seed | accuracy before | after | seconds per step (median) "
        "| waiting for groups | sync | mean staleness | dropped groups | load |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in runs:
        lines.append(
            f"| {r['learning_rate']:g} | `{r['correction']}` "
            f"| {r['max_staleness']} | {r['seed']} | {r['before']:.1%} ± {r['before_error']:.1%} "
            f"| {r['after']:.1%} ± {r['after_error']:.1%} "
            f"| {r['seconds_per_step']:.2f} ({r['seconds_per_step_median']:.2f}) "
            f"| {r['seconds_waiting_for_groups']:.2f} | {r['seconds_sync']:.2f} "
            f"| {r['mean_staleness']:.2f} | {r['dropped_groups']} | {r['load_at_start']:.1f} |"
        )
    return "\n".join(lines)


def key(run: dict[str, Any]) -> tuple[float, str, int, int]:
    """In the order of the table."""
    return -run["learning_rate"], run["correction"], run["seed"], run["max_staleness"]


def write(runs: list[dict[str, Any]]) -> None:
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "runs": runs}, indent=1) + "\n")
    put(PAGE, "staleness", table(runs))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[5e-4, 2e-4], help="peak learning rates")
    parser.add_argument("--bounds", type=int, nargs="+", default=BOUNDS, help="values of rollout.max_staleness")
    parser.add_argument("--corrections", nargs="+", default=["in_ratio", "truncated"], help="of objective.correction")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="a folder for the runs; what is finished there is not run again")
    arguments = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    merged = {key(r): r for r in kept}
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        start = folder / "start"
        settings = ("train.steps=400", "examples.mistakes=0.6", "rollout.prompts_per_step=64", "warm_start=null")
        optimizer = ("optimizer.learning_rate=2e-3", "optimizer.schedule=cosine", "optimizer.warmup_steps=20")
        train("imitation/sft", start, *settings, *optimizer, *EVALUATION, "device=cpu")
        for rate, correction, seed, bound in product(
            arguments.rates, arguments.corrections, arguments.seeds, arguments.bounds
        ):
            found = measure(correction, bound, seed, rate, start, folder, arguments.steps)
            merged[key(found)] = found
            write([merged[k] for k in sorted(merged)])
            print(table([found]).splitlines()[-1], flush=True)


if __name__ == "__main__":
    main()
