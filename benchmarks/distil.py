"""How many tokens does a student need that a teacher teaches, against one that only hears whether it is right?

python benchmarks/distil.py [--seeds 0 1 2] [--keep FOLDER]

The shipped recipe's teacher and student's start are trained once. From there every seed is trained by on-policy distillation
(the recipe, and with the teacher's log-ratio of each sampled token in place of its whole distribution) and by GRPO as its own
recipe has it, and is judged as it goes. Some ten minutes of one thread for the first seed, six for each further one.
Writes benchmarks/results/distil.json and docs/distil.svg after every run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import yaml
from learn import ROOT, metrics, train

RESULTS = Path(__file__).parent / "results" / "distil.json"
PICTURE = ROOT / "docs" / "distil.svg"
RECIPE = ROOT / "recipes" / "distillation" / "addition.yaml"
SHARE = 0.9  # of the teacher's accuracy
JUDGED = ("evaluation.tasks=128", "evaluation.samples=4")
KINDS = {
    "distillation": ("student", ()),
    "distillation, sampled tokens": ("student", ("objective.teacher=sampled", "train.steps=64", "evaluation.every=16")),
    "GRPO": ("grpo/grpo", ("train.steps=80", "evaluation.every=8", "warm_start=null", "model.scratch=null")),
}


def stage(name: str, folder: Path) -> Path:
    """One stage of the recipe as a recipe of its own, so that seeds share what comes before it."""
    whole = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    merged = {key: value for key, value in whole.items() if key != "stages"}
    for key, value in whole["stages"][name].items():
        merged[key] = merged[key] | value if isinstance(merged.get(key), dict) else value
    text = yaml.safe_dump(merged, sort_keys=False)
    for earlier in ("teacher", "start"):
        text = text.replace(f"{{{earlier}}}", str(folder / earlier))
    path = folder / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def curve(run: Path) -> list[dict[str, float]]:
    """Held-out accuracy of sampled answers over the tokens that were sampled for training until then."""
    rows = metrics(run)
    seen, found = 0, []
    tokens = {r["step"]: r["tokens"] for r in rows if "reward/mean" in r}
    for row in rows:
        if "eval/sampled" in row:
            seen = sum(count for step, count in tokens.items() if step <= row["step"])
            found.append(
                {
                    "step": row["step"],
                    "tokens": seen,
                    "accuracy": round(row["eval/sampled"], 4),
                    "error": round(row["eval/sampled_error"], 4),
                    "greedy": round(row["eval/greedy"], 4),
                }
            )
    return found


def reached(points: list[dict[str, float]], wanted: float) -> int | None:
    """Tokens until the accuracy was first there; None where it never was."""
    return next((int(p["tokens"]) for p in points if p["accuracy"] >= wanted), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--keep", type=Path, help="a folder for the runs; what is finished there is not run again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = (arguments.keep or Path(scratch)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        teacher = train(str(stage("teacher", folder)), folder / "teacher", *JUDGED)
        train(str(stage("start", folder)), folder / "start", *JUDGED)
        accuracy = curve(folder / "teacher")[-1]["accuracy"]
        print(f"teacher: {accuracy:.1%} of sampled answers, {teacher['cpu_seconds']:.0f} CPU s", flush=True)
        runs: list[dict[str, Any]] = []
        for seed in arguments.seeds:
            for kind in arguments.kinds:
                recipe, settings = KINDS[kind]
                source = str(stage(recipe, folder)) if recipe == "student" else recipe
                target = folder / f"{kind.replace(', ', '_')}-{seed}"
                start = f"model.path={folder / 'start' / 'model'}"
                found = train(source, target, f"seed={seed}", start, *settings, *JUDGED)
                points = curve(target)
                needed = reached(points, SHARE * accuracy)
                runs.append(
                    {
                        "kind": kind,
                        "seed": seed,
                        "cpu_seconds": found["cpu_seconds"],
                        "before": points[0]["accuracy"],
                        "after": points[-1]["accuracy"],
                        "tokens": int(points[-1]["tokens"]),
                        "tokens_to_share": needed,
                        "curve": points,
                    }
                )
                said = "not reached" if needed is None else f"after {needed:,} tokens"
                print(
                    f"{kind} {seed}: {points[0]['accuracy']:.1%} -> {points[-1]['accuracy']:.1%}; {SHARE:.0%} {said}",
                    flush=True,
                )
                write(accuracy, runs)


def write(teacher: float, runs: list[dict[str, Any]]) -> None:
    RESULTS.write_text(json.dumps({"teacher": teacher, "share": SHARE, "runs": runs}, indent=1) + "\n")
    draw(teacher, runs)


def draw(teacher: float, runs: list[dict[str, Any]]) -> None:
    """Accuracy over sampled tokens: a line for every seed."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"
    from matplotlib import pyplot as plt

    colours = {"distillation": "#1f4e79", "distillation, sampled tokens": "#6aa84f", "GRPO": "#c55a11"}
    figure, axis = plt.subplots(figsize=(7, 3.8), layout="constrained")
    said = set()
    for run in runs:
        tokens = [p["tokens"] / 1000 for p in run["curve"]]
        label = None if run["kind"] in said else run["kind"]
        said.add(run["kind"])
        errors = [p["error"] for p in run["curve"]]
        accuracy = [p["accuracy"] for p in run["curve"]]
        axis.errorbar(
            tokens, accuracy, errors, fmt="-o", markersize=3, linewidth=1.2, elinewidth=0.6,
            color=colours[run["kind"]], alpha=0.8, label=label,
        )  # fmt: skip
    axis.axhline(teacher, color="black", linewidth=0.8)
    axis.axhline(SHARE * teacher, color="black", linewidth=0.8, linestyle="--")
    axis.text(1.0, teacher, "teacher ", ha="right", va="bottom", fontsize=8, transform=axis.get_yaxis_transform())
    axis.text(
        1.0, SHARE * teacher, "90 % of it ", ha="right", va="bottom", fontsize=8, transform=axis.get_yaxis_transform()
    )
    axis.set(xlabel="thousand tokens sampled in training", ylabel="held-out accuracy, avg@4", ylim=(0, 1.05))
    axis.legend(frameon=False, loc="lower right")
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
