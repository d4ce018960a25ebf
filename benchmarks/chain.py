"""Does the classical chain make a better policy? The shipped recipe, demonstrations -> reward model -> PPO, with several seeds.

python benchmarks/chain.py [--seeds 0 1 2] [--keep FOLDER]

Some seven minutes of one thread for each seed. Writes benchmarks/results/chain.json: held-out accuracy (math, which the reward
of the last stage does not hold) before and after PPO, and what the reward model said of the same policy.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from learn import metrics

RESULTS = Path(__file__).parent / "results" / "chain.json"


def train(run: Path, seed: int) -> float:
    """Train the chain; returns CPU seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    script = Path(sys.executable).with_name("grpo-kit")
    with run.with_suffix(".log").open("w") as log:
        command = [script, "train", "ppo/chain", "--run-dir", run, f"seed={seed}"]
        subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def judged(run: Path, seconds: float) -> dict[str, Any]:
    """The last stage of a chain, from its metrics."""
    rows = metrics(run / "ppo")
    before, after = (row for row in rows if "eval/sampled" in row)
    rewards = [row["reward/mean"] for row in rows if "reward/mean" in row]
    error = math.hypot(before["eval/sampled_error"], after["eval/sampled_error"])
    return {
        "before": before["eval/sampled"],
        "after": after["eval/sampled"],
        "standard_errors": (after["eval/sampled"] - before["eval/sampled"]) / error,
        "greedy_before": before["eval/greedy"],
        "greedy_after": after["eval/greedy"],
        "reward_before": rewards[0],
        "reward_after": rewards[-1],
        "cpu_seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--keep", type=Path, help="where the runs go [a temporary folder]")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = chosen.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        found = []
        for seed in chosen.seeds:
            run = folder / f"chain-{seed}"
            found.append({"seed": seed, **judged(run, train(run, seed))})
            print(found[-1], flush=True)
            RESULTS.write_text(json.dumps({"recipe": "ppo/chain", "runs": found}, indent=2) + "\n")


if __name__ == "__main__":
    main()
