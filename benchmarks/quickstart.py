"""Does the quickstart really learn, from three seeds? Trains it in full and writes before, after and seconds.

python benchmarks/quickstart.py [--seeds 0 1 2]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results" / "quickstart.json"


def train(seed: int, folder: Path) -> dict:
    run = folder / f"seed-{seed}"
    script = Path(sys.executable).with_name("grpo-kit")
    command = [str(script), "train", "quickstart/addition", f"seed={seed}", "--run-dir", str(run)]
    begun, cpu = time.perf_counter(), os.times()
    subprocess.run(command, check=True)
    seconds, after = time.perf_counter() - begun, os.times()
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    evaluations = [r for r in rows if "eval/sampled" in r]
    return {
        "seed": seed,
        "seconds": round(seconds, 1),
        "cpu_seconds": round(sum(after[2:4]) - sum(cpu[2:4]), 1),
        "curve": [
            {"step": r["step"], **{k: round(r[f"eval/{k}"], 4) for k in ("sampled", "sampled_error", "greedy")}}
            for r in evaluations
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    seeds = parser.parse_args().seeds
    with tempfile.TemporaryDirectory() as folder:
        results = [train(seed, Path(folder)) for seed in seeds]
    print(
        f"{'seed':>4} {'sampled before':>15} {'after':>7} {'greedy before':>14} {'after':>7} {'seconds':>8} {'CPU s':>7}"
    )
    for r in results:
        first, last = r["curve"][0], r["curve"][-1]
        print(
            f"{r['seed']:>4} {first['sampled']:>15.1%} {last['sampled']:>7.1%} {first['greedy']:>14.1%} "
            f"{last['greedy']:>7.1%} {r['seconds']:>8.0f} {r['cpu_seconds']:>7.0f}"
        )
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps({"cores": os.cpu_count(), "runs": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
