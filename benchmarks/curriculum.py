"""Which prompts to draw when most are too easy or too hard: an order, refilled groups, pools and Thompson sampling.

    python benchmarks/curriculum.py --work /tmp/curriculum          # writes results/curriculum.json and docs/data.md

A tiny model imitates worked solutions of two-digit additions. How many of them hold a mistake depends on the first number:
few below 50, most from 50 on, nearly all from 70 on. So it begins with prompts that are always right, some that are right now
and then, and many that never are; every one of them can be learned. From there GRPO trains on a file of them, once with each way
to draw prompts and with three seeds. What is compared is held-out accuracy after the same number of *sampled* tokens, those of
groups that dynamic sampling threw away included.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from pages import put

RESULTS = Path(__file__).parent / "results" / "curriculum.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "data.md"
# First number below; share of its demonstrations that hold a mistake; rows to train on, rows held out.
# Few rows: what a prompt has shown says something only when it comes again, here four or five times.
LEVELS = {"easy": (0, 50, 0.02, 120, 64), "between": (50, 70, 0.6, 48, 64), "hard": (70, 100, 0.98, 120, 64)}
WAYS = {
    "order": [],
    # Its steps sample more: fewer of them come to the same number of tokens.
    "refill": ["objective.dynamic_sampling=true", "rollout.max_refills=4", "train.steps=24", "evaluation.every=8"],
    "pools": ["curriculum.sampler=pools"],
    "thompson": ["curriculum.sampler=thompson"],
}
SHAPE = "{hidden_size: 128, intermediate_size: 384, layers: 3, heads: 4}"
START = f"""
algorithm: sft
seed: 0
threads: 1
model: {{scratch: {SHAPE}}}
data: {{task: addition, max_prompt_tokens: 32}}
verifiers: [{{name: math}}]
examples: {{path: demonstrations.jsonl}}
rollout: {{prompts_per_step: 64, max_tokens: 40}}
optimizer: {{learning_rate: 2.0e-3, schedule: cosine, warmup_steps: 20}}
train: {{steps: 450, token_budget: 4096, log_rollouts_every: 1000}}
"""
RUN = """
algorithm: dr_grpo
threads: 1
model: {path: start/model}
data: {path: train.jsonl, max_prompt_tokens: 32}
verifiers: [{name: math}]
rollout: {prompts_per_step: 32, group_size: 4, max_tokens: 40}
optimizer: {learning_rate: 2.0e-4, schedule: constant_with_warmup, warmup_steps: 5}
train: {steps: 40, token_budget: 4096, save_every: 1000}
evaluation: {data: {path: held_out.jsonl, max_prompt_tokens: 32}, samples: 1, every: 20}
"""


def level_of(first: int) -> str:
    return next(name for name, (low, high, *_) in LEVELS.items() if low <= first < high)


def write_data(work: Path) -> None:
    """Demonstrations to start from, and two files of problems of which none is in both."""
    from grpo_kit.data.tasks import addition

    draw = random.Random("curriculum")
    problems: dict[str, list[tuple[str, str]]] = {name: [] for name in LEVELS}
    for first, second in draw.sample([(a, b) for a in range(100) for b in range(100)], 10_000):
        problems[level_of(first)].append((f"{first}+{second}=", str(first + second)))
    files: dict[str, list[dict[str, str]]] = {"train": [], "held_out": [], "demonstrations": []}
    for name, (_, _, _, rows, held_out) in LEVELS.items():
        found = [{"prompt": prompt, "answer": answer} for prompt, answer in problems[name]]
        files["held_out"] += found[:held_out]
        files["train"] += found[held_out : held_out + rows]
    held = {row["prompt"] for row in files["held_out"]}
    for index in range(30_000):
        seed = f"demonstration/{index}"
        plain = addition(random.Random(seed), 1)
        mistakes = LEVELS[level_of(int(plain.prompt.partition("+")[0]))][2]
        if plain.prompt not in held:
            told = addition(random.Random(seed), 1, slip=draw.random() < mistakes)
            files["demonstrations"].append({"prompt": told.prompt, "response": told.demonstration})
    for name, rows in files.items():
        draw.shuffle(rows)
        (work / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def train(work: Path, recipe: str, name: str, overrides: list[str]) -> None:
    """A run in the folder ``name``; one that is there is left as it is."""
    if (work / name / "model").is_dir():
        return
    path = work / f"{name}.yaml"
    path.write_text(recipe, encoding="utf-8")
    command = [sys.executable, "-m", "grpo_kit", "train", path.name, "--run-dir", name, *overrides]
    subprocess.run(command, cwd=work, check=True, stdout=subprocess.DEVNULL)


def read(work: Path, name: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in (work / name / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]


def summary(work: Path, name: str) -> dict[str, Any]:
    """Accuracy by sampled tokens, and what the groups of the run were."""
    sampled, curve, steps = 0.0, [], []
    for line in read(work, name):
        if "eval/sampled" in line:
            curve.append((sampled, line["eval/sampled"]))
        if "tokens" in line:
            sampled += line["tokens"] + line.get("refill/discarded_tokens", 0.0)
            steps.append(line)
    return {
        "curve": curve,
        "sampled_tokens": sampled,
        "groups_without_gradient": statistics.fmean(line["groups/tied"] for line in steps),
        "prompts": drawn(work, name),
    }


def drawn(work: Path, name: str) -> dict[str, float]:
    """Shares of the levels among the groups that were learned from."""
    from grpo_kit.data.records import read_rollouts

    levels = [level_of(int(group.task.prompt.partition("+")[0])) for group in read_rollouts(work / name)]
    return {level: levels.count(level) / len(levels) for level in LEVELS}


def at(curve: list[tuple[float, float]], tokens: float) -> float:
    """Accuracy after so many sampled tokens, between the evaluations around it."""
    for (before, low), (after, high) in pairwise(curve):
        if before <= tokens <= after:
            return low + (high - low) * (tokens - before) / (after - before)
    return curve[-1][1]


def mean_and_error(values: list[float]) -> list[float]:
    """Mean, and its standard error over seeds."""
    return [
        statistics.fmean(values),
        statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan"),
    ]


def compared(work: Path, seeds: range) -> dict[str, Any]:
    """Every way after the same number of sampled tokens: what the run that sampled least came to."""
    runs = {way: [summary(work, f"{way}-{seed}") for seed in seeds] for way in WAYS}
    budget = min(run["sampled_tokens"] for found in runs.values() for run in found)
    ways = {
        way: {
            "accuracy_at_half": mean_and_error([at(run["curve"], budget / 2) for run in found]),
            "accuracy": mean_and_error([at(run["curve"], budget) for run in found]),
            "groups_without_gradient": mean_and_error([run["groups_without_gradient"] for run in found]),
            "prompts": {name: statistics.fmean(run["prompts"][name] for run in found) for name in LEVELS},
        }
        for way, found in runs.items()
    }
    start = statistics.fmean(run["curve"][0][1] for found in runs.values() for run in found)
    return {"sampled_tokens": budget, "seeds": len(seeds), "start": start, "ways": ways, "runs": runs}


def table(found: dict[str, Any]) -> str:
    tokens = found["sampled_tokens"]
    lines = [
        f"| from {found['start']:.1%} | after {tokens / 2000:.0f}k sampled tokens | after {tokens / 1000:.0f}k | learned from: "
        "groups without a gradient | easy / between / hard prompts |",
        "|---|---|---|---|---|",
    ]
    for way, said in found["ways"].items():
        cells = [f"{100 * said[key][0]:.1f} ± {100 * said[key][1]:.1f} %" for key in ("accuracy_at_half", "accuracy")]
        prompts = " / ".join(f"{100 * said['prompts'][level]:.0f} %" for level in LEVELS)
        lines.append(f"| `{way}` | {cells[0]} | {cells[1]} | {said['groups_without_gradient'][0]:.0%} | {prompts} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--work", type=Path, required=True, help="keeps the runs; those that are there are not run again"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1, help="runs at a time")
    work = (arguments := parser.parse_args()).work
    work.mkdir(parents=True, exist_ok=True)
    write_data(work)
    train(work, START, "start", [])
    seeds = range(arguments.seeds)
    wanted = [(f"{way}-{seed}", [f"seed={seed}", *overrides]) for seed in seeds for way, overrides in WAYS.items()]
    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(lambda run: train(work, RUN, *run), wanted))
    found = compared(work, seeds)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    put(PAGE, "curriculum", table(found))
    print(table(found))


if __name__ == "__main__":
    main()
