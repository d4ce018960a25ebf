"""SmolLM2-135M-Instruct on word problems: what it learns, what each setting costs, whether its memory stays flat.

    make fetch-model
    python benchmarks/real_model.py learn --seeds 0 1 2     the recipe quickstart/word_problems in full, with every seed
    python benchmarks/real_model.py settings                three steps with each setting, one after the other
                                             --dtype float32   where the processor has no products of bfloat16
    python benchmarks/real_model.py settings --vllm .venv-vllm/bin/python
    python benchmarks/real_model.py memory                  twenty steps of the same shape
    python benchmarks/real_model.py transfer RUN --data FOLDER   before and after on real sets: svamp, asdiv and gsm8k_test.jsonl
    python benchmarks/real_model.py mixed RUN    what a run of quickstart/one_step_problems holds out, before and after

Each part writes its own entry of results/real_model.json and its table into docs/real_model.md. With settings
every response is trained on: its reward is a number made of its text.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from pages import put
from tiny import machine

RESULTS = Path(__file__).parent / "results" / "real_model.json"
ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "real_model.md"
RECIPE = "quickstart/word_problems"
CURVE = ("sampled", "sampled_error", "greedy")
STEPS = 3
# Of a step of 32 responses, whatever the recipe says.
SHAPE = [
    "rollout.prompts_per_step=4",
    "rollout.group_size=8",
    "rollout.max_tokens=48",
    "rollout.temperature=1.0",
    "evaluation.tasks=1",
    "evaluation.samples=1",
    "evaluation.every=null",
    "optimizer.learning_rate=1.0e-7",
    "optimizer.warmup_steps=0",
]
DENSE = '''
import zlib

from grpo_kit.verifiers import verifier


@verifier(name="dense", timeout=5.0, version="1")
def dense(response: str) -> float:
    """A number of its own for every text, so that every response has a gradient."""
    return zlib.crc32(response.encode()) / 2**32
'''
LORA = "model.lora={rank: 16}"
SETTINGS: dict[str, list[str]] = {
    "as the recipe has it": [],
    "head in float32": ["model.head_dtype=float32"],
    "compiled": ["model.compile=true"],
    "checkpointing": ["parallel.gradient_checkpointing=true"],
    "prompts not shared": ["train.share_prompts=false"],
    "LoRA of rank 16": [LORA],
    "KL to a reference": ["objective.beta=0.04"],
}
WITH_VLLM: dict[str, list[str]] = {
    "vLLM": ["rollout.engine=vllm"],
    "LoRA of rank 16, vLLM": ["rollout.engine=vllm", LORA],
}


def train(python: str, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """A run in a process of its own: its lines of metrics and its peak memory."""
    command = [python, "-m", "grpo_kit", "train", RECIPE, *overrides, "--run-dir", str(folder)]
    process = subprocess.Popen(command)
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"ended with status {status}: {' '.join(command)}")
    return {"lines": _lines(folder), "peak_mb": used.ru_maxrss // 1024}


def _lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def learn(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    runs = []
    for seed in options.seeds:
        folder = (options.keep or work) / f"seed-{seed}"
        if not (folder / "report.html").exists():
            train(sys.executable, folder, [f"seed={seed}", *options.set])
        lines = _lines(folder)
        asked = [line for line in lines if "eval/sampled" in line]
        within = sum(line.get("seconds/evaluate", 0.0) for line in lines)
        curve = [{"step": a["step"], **{n: round(a[f"eval/{n}"], 4) for n in CURVE}} for a in asked]
        trained = sum(line.get("seconds/total", 0.0) for line in lines) - within
        rewards = [round(line["reward/mean"], 4) for line in lines if "reward/mean" in line]
        runs.append({"seed": seed, "seconds_of_training": round(trained, 1), "curve": curve, "rewards": rewards})
        print(json.dumps(runs[-1]), flush=True)
    draw(runs)
    return {"changed": options.set, "machine": machine(), "threads": os.environ.get("OMP_NUM_THREADS"), "runs": runs}


def draw(runs: list[dict[str, Any]]) -> None:
    """The share of a step's samples that were right, and what was held out before and after."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams["svg.hashsalt"] = "grpo-kit"
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for run, colour in zip(runs, ("#1f4e79", "#c55a11", "#6aa84f"), strict=False):
        steps = range(1, len(run["rewards"]) + 1)
        axis.plot(steps, run["rewards"], color=colour, linewidth=1.2, label=f"samples of the step, seed {run['seed']}")
        held = [(p["step"], p["sampled"], p["sampled_error"]) for p in run["curve"]]
        axis.errorbar(*zip(*held, strict=True), fmt="o", color=colour, markersize=5, elinewidth=1.0, capsize=3)
    axis.errorbar([], [], [], fmt="o", color="gray", label="held-out templates, avg@4")
    axis.set(xlabel="GRPO step", ylabel="right", ylim=(0, 1))
    axis.legend(frameon=False, loc="lower right", fontsize=8)
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(PAGE.with_suffix(".svg"), metadata={"Date": None})
    plt.close(figure)


def table_of_learning(found: dict[str, Any]) -> str:
    steps = [point["step"] for point in found["runs"][0]["curve"]]
    rows = [
        f"| seed | {' | '.join(f'step {s}' for s in steps)} | greedy, first and last | minutes of training |",
        "|---" * (len(steps) + 3) + "|",
    ]
    for run in found["runs"]:
        points = [f"{100 * p['sampled']:.1f} ± {100 * p['sampled_error']:.1f}" for p in run["curve"]]
        greedy = f"{100 * run['curve'][0]['greedy']:.1f}, {100 * run['curve'][-1]['greedy']:.1f}"
        rows.append(f"| {run['seed']} | {' | '.join(points)} | {greedy} | {run['seconds_of_training'] / 60:.1f} |")
    return "\n".join(rows)


def settings(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    dense = work / "dense.py"
    dense.write_text(DENSE)
    judged = [f"verifiers=[{{name: '{dense}:dense'}}]", f"train.steps={STEPS}", *SHAPE]
    cases = [(name, sys.executable, changed) for name, changed in SETTINGS.items()]
    if options.vllm:
        cases += [(name, options.vllm, changed) for name, changed in WITH_VLLM.items()]
    found = {}
    for name, python, changed in cases:
        if (options.only and name not in options.only) or (name == "head in float32" and options.dtype == "float32"):
            continue
        ran = train(python, work / f"run-{len(found)}", [*judged, f"model.dtype={options.dtype}", *changed])
        steps = [line for line in ran["lines"] if line["step"] and "seconds/generate" in line][1:]
        tokens = 32 * statistics.mean(s["length/mean"] for s in steps)
        part = {
            "sampling": statistics.mean(s["seconds/generate"] for s in steps),
            "update": statistics.mean(_seconds(s, "seconds/update") for s in steps),
            "weights to the engine": statistics.mean(s["seconds/sync"] for s in steps),
        }
        found[name] = {
            "seconds": {n: round(v, 2) for n, v in part.items()},
            "tokens": round(tokens),
            "peak_mb": ran["peak_mb"],
            "mismatch": statistics.mean(s["mismatch/mean_logprob_difference"] for s in steps),
        }
        print(name, json.dumps(found[name]), flush=True)
    there = {"threads": os.environ.get("OMP_NUM_THREADS"), "machine": machine(), "dtype": options.dtype}
    return there | {"cases": found}


def _seconds(line: dict[str, Any], name: str) -> float:
    return sum(v for k, v in line.items() if k == name or k.startswith(f"{name}/"))


def table_of_settings(found: dict[str, Any]) -> str:
    rows = [
        f"| {found['dtype']} | sampling | update | weights to the engine | peak memory | engine against trainer |",
        "|---|---|---|---|---|---|",
    ]
    for name, case in found["cases"].items():
        times = " | ".join(f"{v:.1f} s" for v in case["seconds"].values())
        rows.append(f"| {name} | {times} | {case['peak_mb'] / 1024:.1f} GB | {case['mismatch']:.1g} |")
    return "\n".join(rows)


LOOK = """
import ctypes, json, os, re, sys
import grpo_kit

libc = ctypes.CDLL(None)
libc.fopen.restype = ctypes.c_void_p
libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
seen = []


def heap():
    file = libc.fopen(sys.argv[4].encode(), b"w")
    libc.malloc_info(0, file)
    libc.fclose(file)
    told = open(sys.argv[4]).read().rsplit("</heap>", 1)[1]

    def size(kind):
        return int(re.search(kind + r'.*?size="(\\d+)"', told)[1])

    free = size('type="fast"') + size('type="rest"')
    return size('system type="current"') + size('type="mmap"') - free, free


def look(metrics):
    used, free = heap()
    pages = int(open("/proc/self/statm").read().split()[1])
    seen.append([metrics["step"], pages * os.sysconf("SC_PAGE_SIZE"), used, free])


grpo_kit.train(sys.argv[1], json.loads(sys.argv[2]), run_dir=sys.argv[3], progress=False, on_step=look)
print(json.dumps(seen))
"""


def memory(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Bytes of the process after every step: resident, as the kernel counts it; in use and free in glibc's heap."""
    dense = work / "dense.py"
    dense.write_text(DENSE)
    changed = dict(entry.split("=", 1) for entry in SHAPE)
    changed |= {"train.steps": "20", "verifiers": f"[{{name: '{dense}:dense'}}]", "model.dtype": "bfloat16"}
    changes = json.dumps([*(f"{k}={v}" for k, v in changed.items()), *options.set])
    ran = subprocess.run(
        [sys.executable, "-c", LOOK, RECIPE, changes, str(work / "run"), str(work / "heap.xml")],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    rows = [row for row in json.loads(ran.stdout.splitlines()[-1]) if row[0]]  # without the evaluation of the start
    names = ("resident_mb", "in_use_mb", "free_mb")
    return {"machine": machine(), **{n: [round(row[i] / 2**20) for row in rows] for i, n in enumerate(names, 1)}}


def table_of_memory(found: dict[str, Any]) -> str:
    shown = [1, 2, 5, 10, 15, 20]
    rows = [f"| MB after step | {' | '.join(str(s) for s in shown)} |", f"|---{'|---' * len(shown)}|"]
    names = {"resident_mb": "resident", "in_use_mb": "in use in the heap", "free_mb": "free in the heap"}
    rows += [f"| {name} | {' | '.join(f'{found[key][s - 1]:,}' for s in shown)} |" for key, name in names.items()]
    return "\n".join(rows)


TRANSFER = {
    "SVAMP": ("svamp.jsonl", "fields: {answer: Answer}\n  prompt_columns: [Body, Question]\n  answer_pattern: '(.+)'"),
    "ASDiv": (
        "asdiv.jsonl",
        "fields: {answer: answer}\n  prompt_columns: [body, question]\n"
        "  answer_pattern: '^\\s*(.+?)\\s*(?:\\([^()]*\\)\\s*)?$'",
    ),
    "GSM8K": ("gsm8k_test.jsonl", "fields: {prompt: question, answer: answer}\n  answer_pattern: '####\\s*(.+)'"),
}


def transfer(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """Sets of problems that people wrote, asked as the recipe asks: of the model that was trained, and of the one it was."""
    asked = yaml.safe_load((ROOT / "recipes" / f"{RECIPE}.yaml").read_text())["data"]["prompt_template"]
    tasks = []
    for name, (file, columns) in TRANSFER.items():
        path = work / f"{name}.yaml"
        path.write_text(
            f"data:\n  path: {options.data.resolve() / file}\n  {columns}\n  prompt_template: {json.dumps(asked)}\n"
            "verifier: {name: math}\nmax_tokens: 96\n"
        )
        tasks.append(str(path))
    found = ask(options, work, tasks, ["-n", "2", "--temperature", "0.8", "--limit", str(options.problems)])
    return {"machine": machine(), "problems": options.problems, "dtype": options.dtype, **found}


def ask(options: argparse.Namespace, work: Path, tasks: list[str], how: list[str]) -> dict[str, Any]:
    """Of the model that a run began with and of the one that it has made: the shares of right answers to each task."""
    before = _config(options.run)["model"]["path"]
    found: dict[str, Any] = {}
    for name, model in (("before", before), ("after", str(options.run))):
        command = [sys.executable, "-m", "grpo_kit", "eval", model, "--tasks", ",".join(tasks), *how]
        command += ["--dtype", options.dtype, "--out", str(work / name)]
        subprocess.run(command, check=True)
        results = json.loads((work / name / "results.json").read_text())["tasks"]
        found[name] = {
            task: {
                part: {k: round(result["metrics"][part][k], 4) for k in ("value", "error")}
                for part in ("avg", "greedy")
            }
            for task, result in results.items()
        }
    return found


def _config(run: Path) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((run / "config.yaml").read_text())
    return config


def mixed(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    """What a run holds out, four samples of each problem; and how long its cold start and its steps took."""
    temperature = str(_config(options.run)["rollout"]["temperature"])
    how = ["-n", "4", "--temperature", temperature, "--limit", str(options.problems)]
    found = {k: next(iter(v.values())) for k, v in ask(options, work, [str(options.run)], how).items()}
    lines = _lines(options.run)
    steps = [line for line in lines if "reward/mean" in line]
    asked = [line for line in lines if "eval/sampled" in line]
    return {
        "machine": machine(),
        "problems": min(options.problems, _config(options.run)["evaluation"]["tasks"]),  # the run holds out no more
        "dtype": options.dtype,
        "steps": steps[-1]["step"],
        "seconds_of_steps": round(sum(s["seconds/total"] - s.get("seconds/evaluate", 0.0) for s in steps)),
        "curve": [{"step": a["step"], **{n: round(a[f"eval/{n}"], 4) for n in CURVE}} for a in asked],
        "rewards": [round(s["reward/mean"], 4) for s in steps],
        **found,
    }


def table_of_mixed(found: dict[str, Any]) -> str:
    rows = ["| | sampled | greedy |", "|---|---|---|", f"| the model as it comes | {_both(found['before'])} |"]
    for point in found["curve"]:
        name = "after the cold start" if not point["step"] else f"after {point['step']} steps"
        greedy = f"{100 * point['greedy']:.1f}"
        sampled = f"{100 * point['sampled']:.1f} ± {100 * point['sampled_error']:.1f}"
        rows.append(f"| {name}, as the run asked | {sampled} | {greedy} |")
    return "\n".join([*rows, f"| after {found['steps']} steps | {_both(found['after'])} |"])


def _both(found: dict[str, Any]) -> str:
    return f"{_percent(found['avg'])} | {_percent(found['greedy'])}"


def table_of_transfer(found: dict[str, Any]) -> str:
    rows = ["| | sampled, before | after | greedy, before | after |", "|---|---|---|---|---|"]
    for name in TRANSFER:
        cells = [found[when][name][part] for part in ("avg", "greedy") for when in ("before", "after")]
        rows.append(f"| {name} | {' | '.join(_percent(c) for c in cells)} |")
    return "\n".join(rows)


def _percent(cell: dict[str, float]) -> str:
    return f"{100 * cell['value']:.1f} ± {100 * cell['error']:.1f}"


PARTS = {
    "learn": (learn, table_of_learning),
    "settings": (settings, table_of_settings),
    "memory": (memory, table_of_memory),
    "transfer": (transfer, table_of_transfer),
    "mixed": (mixed, table_of_mixed),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("run", type=Path, nargs="?", help="transfer and mixed: of a run that is over")
    parser.add_argument("--data", type=Path, help="transfer: the folder with the sets")
    parser.add_argument("--problems", type=int, default=256, help="transfer and mixed: of each set, the first so many")
    parser.add_argument(
        "--dtype", choices=("bfloat16", "float32"), default="bfloat16", help="settings, transfer and mixed: model.dtype"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument(
        "--keep", type=Path, help="learn: where runs are left, and those that are there already are read"
    )
    parser.add_argument("--set", nargs="*", default=[], help="keys of the recipe to change, for learn")
    parser.add_argument("--vllm", help="python of an environment with vLLM: its settings too")
    parser.add_argument("--only", nargs="*", choices=[*SETTINGS, *WITH_VLLM])
    parser.add_argument("--name", help="entry of the results; default: the part")
    options = parser.parse_args()
    measure, table = PARTS[options.part]
    name = options.name or options.part
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    known = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    RESULTS.write_text(json.dumps(known | {name: found}, indent=1) + "\n")
    put(PAGE, f"real_model {name}", table(found))


if __name__ == "__main__":
    main()
