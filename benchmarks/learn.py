"""Does every algorithm learn? All of them on the same tiny task, from the same start, with the same seed.

python benchmarks/learn.py [--only grpo dpo ...] [--workers 2] [--keep FOLDER]

A model is warm-started once, on worked solutions of which 60 % hold a mistake, and its rollouts are recorded once: every
algorithm starts from it, and the offline ones learn from that record (`sft` from worked solutions, `reward_model` from right
and wrong ones of sort_letters, as its recipe has it). A teacher is a model that imitated worked solutions without mistakes.
Each run is the shipped recipe with the start replaced. Writes benchmarks/results/learn.json, docs/learn.svg and the
table of docs/algorithms.md after every run.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Any

from pages import put

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "learn.json"
PICTURE = ROOT / "docs" / "learn.svg"
PAGE = ROOT / "docs" / "algorithms.md"
RECIPES = {
    "reinforce": "reinforce/reinforce", "rloo": "reinforce/rloo", "remax": "reinforce/remax",
    "reinforce++": "reinforce/reinforce_plus_plus", "grpo": "grpo/grpo", "dr_grpo": "grpo/dr_grpo", "bnpo": "grpo/bnpo",
    "dapo": "grpo/dapo", "gspo": "grpo/gspo", "gspo_token": "grpo/gspo_token", "cispo": "grpo/cispo",
    "sapo": "grpo/sapo", "dppo": "grpo/dppo", "ppo": "ppo/ppo", "ppo_penalty": "ppo/ppo_penalty", "trpo": "ppo/trpo",
    "rft": "imitation/rft", "online_dpo": "preference/online_dpo", "sft": "imitation/sft", "dpo": "preference/dpo",
    "ipo": "preference/ipo", "kto": "preference/kto", "reward_model": "preference/reward_model",
    "offline_pg": "imitation/offline_pg", "on_policy_distillation": "grpo/grpo",
    "lite_ppo": "grpo/lite_ppo", "opo": "grpo/opo", "maxrl": "grpo/maxrl",
    "gdpo": "grpo/gdpo", "pass_at_k": "grpo/pass_at_k", "scalerl": "grpo/scalerl",
    "clip_cov": "grpo/clip_cov", "kl_cov": "grpo/kl_cov", "luspo": "grpo/luspo", "gmpo": "grpo/gmpo",
    "dppo_kl": "grpo/dppo_kl", "vespo": "grpo/vespo", "aspo": "grpo/aspo",
    "sarsa": "values/sarsa", "q_learning": "values/q_learning", "dqn": "values/dqn", "soft_q": "values/soft_q",
    "a2c": "ppo/a2c", "iql": "values/iql", "sac": "values/sac",
}  # fmt: skip
TAUGHT = ("on_policy_distillation",)
MINED = ("dpo", "ipo", "kto", "offline_pg", "iql")
# Fewer steps than the recipes have, so that all of them fit into 25 minutes on two cores; the others run as shipped.
# vespo is slower than the rest: after 20 steps it stood at 49.0 % (2.7 standard errors). sac's policy follows
# its twins later.
STEPS = {"online": 20, "trpo": 8, "vespo": 40, "sac": 40}
EVALUATION = ("evaluation.tasks=192", "evaluation.samples=4", "evaluation.every=null")


def train(recipe: str, run: Path, *overrides: str) -> dict[str, Any]:
    """Run a recipe, unless it stands there finished, and return its wall and CPU seconds and its metrics."""
    cost = run / "cost.json"
    if cost.is_file():
        return json.loads(cost.read_text()) | {"rows": metrics(run)}
    script = Path(sys.executable).with_name("grpo-kit")
    begun = time.perf_counter()
    command = [str(script), "train", recipe, *overrides, "--run-dir", str(run)]
    process = subprocess.Popen(command, stdout=(run.parent / f"{run.name}.log").open("w"), stderr=subprocess.STDOUT)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{recipe} failed:\n{(run.parent / f'{run.name}.log').read_text()[-3000:]}")
    spent = {
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 1),
    }
    cost.write_text(json.dumps(spent))
    return spent | {"rows": metrics(run)}


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def result(name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Before, after and the curve of one run."""
    rows = found.pop("rows")
    steps = [r for r in rows if "reward/mean" in r]
    made = {"algorithm": name, **found, "steps": len(steps), "tokens": sum(r["tokens"] for r in steps)}
    if name == "reward_model":
        return made | pair_accuracy(steps)
    first, last = [r for r in rows if "eval/sampled" in r][:: max(1, sum("eval/sampled" in r for r in rows) - 1)][:2]
    error = math.hypot(first["eval/sampled_error"], last["eval/sampled_error"])
    made |= {
        "measure": "held-out accuracy, avg@4",
        "before": round(first["eval/sampled"], 4),
        "after": round(last["eval/sampled"], 4),
        "standard_errors": round((last["eval/sampled"] - first["eval/sampled"]) / error, 1),
        "greedy_before": round(first["eval/greedy"], 4),
        "greedy_after": round(last["eval/greedy"], 4),
    }
    return made | {"curve": [round(r["reward/mean"], 4) for r in steps] if "sampled" in kind(name) else []}


def kind(name: str) -> str:
    from grpo_kit.objective.algorithms import ALGORITHMS

    return ALGORITHMS[name].data


def pair_accuracy(steps: list[dict[str, Any]]) -> dict[str, Any]:
    """Of a reward model: the share of pairs it ranks right, each batch of new pairs judged before it is learned from."""
    values = [r["pairs/accuracy"] for r in steps]
    pairs = steps[0]["examples"]
    first, last = values[0], sum(values[-5:]) / 5
    error = math.sqrt(last * (1 - last) / (5 * pairs) + 0.25 / pairs)
    return {
        "measure": "accuracy on new pairs",
        "before": round(first, 4),
        "after": round(last, 4),
        "standard_errors": round((last - 0.5) / error, 1),
        "curve": [round(v, 4) for v in values],
    }


def run_all(names: list[str], folder: Path, workers: int, keep: Callable[[dict[str, Any]], None]) -> None:
    start = folder / "start"
    settings = ("train.steps=400", "examples.mistakes=0.6", "rollout.prompts_per_step=64", "warm_start=null")
    optimizer = ("optimizer.learning_rate=2e-3", "optimizer.schedule=cosine", "optimizer.warmup_steps=20")
    warm = train("imitation/sft", start, *settings, *optimizer, *EVALUATION)
    teacher = folder / "teacher"
    if set(names) & set(TAUGHT):
        train("imitation/sft", teacher, *settings, "examples.mistakes=0", *optimizer, *EVALUATION)
    print(f"start: {warm['seconds']:.0f} s, {warm['cpu_seconds']:.0f} CPU s", flush=True)
    common = ("warm_start=null", "model.scratch=null", f"model.path={start / 'model'}", *EVALUATION)
    record = folder / "record"
    # A learning rate of (almost) nothing: what is recorded was sampled by the start, and by no better policy.
    still = ("optimizer.learning_rate=1e-12", "train.steps=20", "objective.beta=0", "evaluation=null")
    if set(names) & set(MINED):
        train("grpo/grpo", record, *common, *still)

    def one(name: str) -> None:
        settings = [*common, *([f"examples={{rollouts: {record}}}"] if name in MINED else [])]
        if name in TAUGHT:
            settings += [f"algorithm={name}", f"reference.path={teacher / 'model'}"]
        if kind(name) == "sampled":
            settings.append(f"train.steps={STEPS.get(name, STEPS['online'])}")
        if name == "reward_model":
            settings.append("evaluation=null")  # it writes nothing; its accuracy on new pairs is its measure
        found = result(name, train(RECIPES[name], folder / name.replace("+", "_plus"), *settings))
        gain = f"{found['before']:>7.1%} -> {found['after']:.1%}  ({found['standard_errors']:.1f} standard errors)"
        print(f"{name:<14} {gain}", flush=True)
        keep(found)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, names))


def draw(results: list[dict[str, Any]], target: Path) -> None:
    """One small curve per algorithm that samples, a bar from before to after for each that does not."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"
    from matplotlib import pyplot as plt

    columns = 6
    figure, axes = plt.subplots(
        -(-len(results) // columns),
        columns,
        figsize=(12, 1.9 * -(-len(results) // columns)),
        sharex=True,
        sharey=True,
        layout="constrained",
    )
    for axis in axes.flat[len(results) :]:
        axis.set_visible(False)
    for axis, r in zip(axes.flat, results, strict=False):
        curve = r["curve"]
        if curve:
            axis.plot([i / max(1, len(curve) - 1) for i in range(len(curve))], curve, color="#9bb7d4", linewidth=1.2)
        axis.plot([0, 1], [r["before"], r["after"]], "o--" if not curve else "o", color="#1f4e79", markersize=4)
        axis.set_title(f"{r['algorithm']}  {r['before']:.0%} → {r['after']:.0%}", fontsize=9)
        axis.set(ylim=(0, 1.05))
        axis.grid(alpha=0.3)
        axis.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("share of the run")
    figure.supylabel("reward while training (line), held-out accuracy (dots)")
    figure.savefig(target, metadata={"Date": None})
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=list(RECIPES), default=list(RECIPES))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder for the runs; what is finished there is not run again")
    arguments = parser.parse_args()
    kept = json.loads(RESULTS.read_text())["runs"] if RESULTS.is_file() else []
    merged = {r["algorithm"]: r for r in kept}
    lock = Lock()

    def keep(found: dict[str, Any]) -> None:
        """Results are written as they come: a benchmark that is stopped keeps what it has."""
        with lock:
            merged[found["algorithm"]] = found
            write([merged[name] for name in RECIPES if name in merged], arguments.workers)

    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        run_all(arguments.only, folder, arguments.workers, keep)


def write(runs: list[dict[str, Any]], workers: int) -> None:
    """The results as JSON, as the picture, and as the table of docs/algorithms.md."""
    summary = {
        "cores": os.cpu_count(),
        "workers": workers,
        "cpu_seconds": round(sum(r["cpu_seconds"] or 0.0 for r in runs)),
        "runs": runs,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(summary, indent=1) + "\n")
    draw(runs, PICTURE)
    put(PAGE, "learn", table(runs))


def table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| algorithm | steps | before | after | gain in standard errors | greedy after | tokens | CPU s |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for r in runs:
        greedy = f"{r['greedy_after']:.1%}" if "greedy_after" in r else ""
        cost = "" if r["cpu_seconds"] is None else f"{r['cpu_seconds']:.0f}"
        name = f"{r['algorithm']} (accuracy on new pairs)" if r["algorithm"] == "reward_model" else r["algorithm"]
        lines.append(
            f"| {name} | {r['steps']} | {r['before']:.1%} | {r['after']:.1%} | {r['standard_errors']:.1f} "
            f"| {greedy} | {r['tokens']:,} | {cost} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
