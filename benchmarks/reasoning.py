"""The recipe to begin with, against GRPO and DAPO as published: three seeds, as many sampled tokens.

python benchmarks/reasoning.py [--seeds 0 1 2] [--workers 2] [--keep FOLDER]
python benchmarks/reasoning.py --real-model [--dtype bfloat16]    SmolLM2-135M on additions told in words (make fetch-model)

All start from one model: made as that of benchmarks/learn.py (two-digit addition, 60 % of the worked solutions with a mistake),
or SmolLM2 as it comes, with what quickstart/word_problems says of it and the objective of each recipe. Groups that dynamic
sampling throws away cost as much to sample as others: GRPO gets as many steps as its competitors' sampled tokens pay for.
Writes benchmarks/results/reasoning.json and the tables of docs/algorithms.md.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from learn import EVALUATION, PAGE, train
from pages import put

RESULTS = Path(__file__).parent / "results" / "reasoning.json"
STEPS = 20
PER_STEP = 6_475  # tokens that 256 responses have at the start, of benchmarks/learn.py
RECIPES = ("grpo/reasoning", "grpo/dapo", "grpo/grpo")
REAL = "quickstart/word_problems"
# A step with refills samples up to three times as many groups as one without.
REAL_STEPS = 8
REAL_PER_STEP = 1_980  # tokens that 64 responses of SmolLM2 have on average over some ten steps
# What each recipe says of the objective, in the frame of the real model's.
OBJECTIVES = {
    "grpo/reasoning": (
        "algorithm=dr_grpo",
        "objective={clip_high: 0.28, dynamic_sampling: true, correction_level: sequence}",
        "rollout.max_refills=2",
    ),
    "grpo/dapo": (
        "algorithm=dapo",
        "objective={}",
        "verifiers=[{name: math}, {name: overlong, options: {maximum: 48, buffer: 10}}]",
        "rollout.max_refills=2",
    ),
    "grpo/grpo": ("algorithm=grpo", "objective={}"),
}


def start_model(folder: Path) -> Path:
    start = folder / "start"
    settings = ("train.steps=400", "examples.mistakes=0.6", "rollout.prompts_per_step=64", "warm_start=null")
    optimizer = ("optimizer.learning_rate=2e-3", "optimizer.schedule=cosine", "optimizer.warmup_steps=20")
    train("imitation/sft", start, *settings, *optimizer, *EVALUATION)
    return start / "model"


def measure(recipe: str, seed: int, steps: int, start: Path, folder: Path) -> dict[str, Any]:
    common = ("warm_start=null", "model.scratch=null", f"model.path={start}", *EVALUATION)
    run = folder / f"{recipe.replace('/', '-')}-seed{seed}-steps{steps}"
    return told(recipe, seed, train(recipe, run, *common, f"seed={seed}", f"train.steps={steps}"))


def measure_real(recipe: str, seed: int, steps: int, dtype: str, folder: Path) -> dict[str, Any]:
    common = (f"model.dtype={dtype}", "rollout.prompts_per_step=8", "evaluation.tasks=128", "evaluation.samples=2")
    run = folder / f"{recipe.replace('/', '-')}-real-{dtype}-seed{seed}-steps{steps}"
    found = train(REAL, run, *common, *OBJECTIVES[recipe], f"seed={seed}", f"train.steps={steps}")
    return told(recipe, seed, found)


def told(recipe: str, seed: int, found: dict[str, Any]) -> dict[str, Any]:
    trained = [r for r in found["rows"] if "reward/mean" in r]
    first, *_, last = [r for r in found["rows"] if "eval/sampled" in r]
    return {
        "recipe": recipe,
        "seed": seed,
        "steps": len(trained),
        "sampled_tokens": int(sum(r["tokens"] + r.get("refill/discarded_tokens", 0.0) for r in trained)),
        "before": round(first["eval/sampled"], 4),
        "after": round(last["eval/sampled"], 4),
        "after_error": round(last["eval/sampled_error"], 4),
        "greedy_after": round(last["eval/greedy"], 4),
        "entropy_first": round(trained[0]["entropy"], 4),
        "entropy_last": round(trained[-1]["entropy"], 4),
        "cpu_seconds": found["cpu_seconds"],
    }


def write(runs: list[dict[str, Any]], real: bool) -> None:
    found = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(found | {"real_model" if real else "runs": runs}, indent=1) + "\n")
    put(PAGE, "reasoning real_model" if real else "reasoning", table(runs))


def table(runs: list[dict[str, Any]]) -> str:
    lines = [
        "| recipe | seeds | steps | sampled tokens | before | after | greedy after | entropy first → last |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for recipe in RECIPES:
        of = [r for r in runs if r["recipe"] == recipe]
        if of:
            steps = "–".join(str(n) for n in sorted({min(r["steps"] for r in of), max(r["steps"] for r in of)}))
            lines.append(
                f"| `{recipe}` | {len(of)} | {steps} | {fmean(r['sampled_tokens'] for r in of):,.0f} "
                f"| {fmean(r['before'] for r in of):.1%} | {spread([r['after'] for r in of])} "
                f"| {spread([r['greedy_after'] for r in of])} "
                f"| {fmean(r['entropy_first'] for r in of):.2f} → {fmean(r['entropy_last'] for r in of):.2f} |"
            )
    return "\n".join(lines)


def spread(values: list[float]) -> str:
    """The mean and its standard error over seeds."""
    if len(values) < 2:
        return f"{fmean(values):.1%}"
    return f"{fmean(values):.1%} ± {100 * stdev(values) / math.sqrt(len(values)):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--real-model", action="store_true", help="SmolLM2-135M in place of a tiny model; one run at a time"
    )
    parser.add_argument("--dtype", default="float32", help="of the real model")
    parser.add_argument("--keep", type=Path, help="a folder for the runs; what is finished there is not run again")
    arguments = parser.parse_args()
    real: bool = arguments.real_model
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        start = folder if real else start_model(folder)

        def run(recipe: str, seed: int, steps: int) -> dict[str, Any]:
            if real:
                return measure_real(recipe, seed, steps, arguments.dtype, folder)
            return measure(recipe, seed, steps, start, folder)

        def one(seed: int) -> list[dict[str, Any]]:
            made = [run(recipe, seed, REAL_STEPS if real else STEPS) for recipe in RECIPES[:2]]
            paid = round(fmean(r["sampled_tokens"] for r in made) / (REAL_PER_STEP if real else PER_STEP))
            return [*made, run(RECIPES[2], seed, paid)]

        runs: list[dict[str, Any]] = []
        with ThreadPoolExecutor(1 if real else arguments.workers) as pool:
            for made in pool.map(one, arguments.seeds):
                runs += made
                write(runs, real)
                print(table(runs), flush=True)


if __name__ == "__main__":
    main()
