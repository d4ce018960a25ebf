"""Do episodes learn? The shipped recipes with an environment, from their own warm start, each with several seeds.

python benchmarks/learn_environments.py [--seeds 0 1 2] [--only guess_number] [--vllm] [--keep FOLDER]

For every run: held-out success before and after (avg@4, standard error clustered by problem), the turns of an episode and its
calls of tools in the first and in the last five steps, wall and CPU seconds of the whole run, warm start included.
Adds to benchmarks/results/learn_environments.json after every run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import fmean
from typing import Any

RESULTS = Path(__file__).parent / "results" / "learn_environments.json"
RECIPES = ("guess_number", "calculator")
EDGE = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="*", choices=RECIPES, default=RECIPES)
    parser.add_argument("--vllm", action="store_true", help="sample with vLLM in the trainer's process")
    parser.add_argument("--keep", type=Path, help="folder for the runs; default: a temporary one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for name in options.only:
            for seed in options.seeds:
                found = train(name, seed, folder, options.vllm)
                write(found)
                print(json.dumps(found))


def train(name: str, seed: int, folder: Path, vllm: bool) -> dict[str, Any]:
    run = folder / f"{name}-{seed}{'-vllm' if vllm else ''}"
    script = Path(sys.executable).with_name("grpo-kit")
    engine = ["rollout.engine=vllm"] if vllm else []
    command = [str(script), "train", f"environments/{name}", f"seed={seed}", *engine, "--run-dir", str(run)]
    begun = time.perf_counter()
    with (folder / f"{run.name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed; see {folder / f'{run.name}.log'}")
    spent = {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {"recipe": name, "engine": "vllm" if vllm else "torch", "seed": seed, **came_to(rows), **spent, **machine()}


def came_to(rows: list[dict[str, Any]]) -> dict[str, Any]:
    evaluated = [row for row in rows if "eval/sampled" in row]
    steps = [row for row in rows if "reward/mean" in row]
    found: dict[str, Any] = {"steps": len(steps)}
    for when, row in (("before", evaluated[0]), ("after", evaluated[-1])):
        found[when] = {k: round(row[f"eval/{k}"], 4) for k in ("sampled", "sampled_error", "greedy")}
    for key in ("turns/mean", "calls/mean", "calls/invalid"):
        found[key] = [round(fmean(row[key] for row in part), 3) for part in (steps[:EDGE], steps[-EDGE:])]
    return found


def machine() -> dict[str, Any]:
    cpu = next(
        (x.split(":")[1].strip() for x in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in x), ""
    )
    return {"machine": f"{cpu or platform.processor()}, {os.cpu_count()} cores", "load": round(os.getloadavg()[0], 1)}


def write(found: dict[str, Any]) -> None:
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else []
    key = ("recipe", "engine", "seed")
    kept = [row for row in known if [row[k] for k in key] != [found[k] for k in key]]
    RESULTS.write_text(json.dumps(sorted([*kept, found], key=lambda row: [str(row[k]) for k in key]), indent=1) + "\n")


if __name__ == "__main__":
    main()
