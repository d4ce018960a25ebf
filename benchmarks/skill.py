"""How long to a skill: GRPO on a real model by this trainer and by TRL's, to the same held-out accuracy.

    make fetch-model
    python benchmarks/skill.py [--threads 1] [--until 0.5] [--keep FOLDER]

Both train SmolLM2-135M-Instruct as it comes on additions told in words (templates of training), with the words, temperature,
lengths, learning rate and clipping of quickstart/word_problems, 8 prompts x 8 responses a step, in bfloat16 (TRL: autocast over
float32 weights), the same verifier as the reward, no KL term. Each side is a process of its own, one after the other. Weights are
saved after every second step, and `grpo-kit eval` measures the held-out accuracy of these folders afterwards, the same for both,
from step --first on until the first that is as accurate as --until. Compared is what the steps up to it took, in CPU seconds of
the process: ours scores in another one, 0.1 s a step, TRL in its own. The problems are other ones of the same templates.
Writes results/skill.json and the table of docs/real_model.md. Needs `pip install grpo-kit[parity,gguf]`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from pages import put
from tiny import Stopwatch, machine

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path(__file__).parent / "results" / "skill.json"
PAGE = ROOT / "docs" / "real_model.md"
RECIPE = "quickstart/word_problems"
PROMPTS, GROUP, EVERY = 8, 8, 2


def recipe() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "recipes" / f"{RECIPE}.yaml").read_text())
    return found


class Clock:
    """Wall and CPU seconds at the end of every step, since training began."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.begin()

    def begin(self) -> None:
        self.watch = Stopwatch()

    def tick(self, step: int) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps({"step": step, **self.watch.read()}) + "\n")


def our_side(folder: Path, steps: int) -> None:
    import grpo_kit

    clock = Clock(folder / "clock.jsonl")

    def hear(metrics: dict[str, Any]) -> None:
        if metrics["step"] == 0:
            clock.begin()  # what comes before is the evaluation of the start
        else:
            clock.tick(int(metrics["step"]))

    changed = ["model.dtype=bfloat16", f"rollout.prompts_per_step={PROMPTS}", f"rollout.group_size={GROUP}"]
    changed += [f"train.steps={steps}", f"train.save_every={EVERY}", f"train.keep_last={steps}"]
    changed += ["evaluation.tasks=1", "evaluation.samples=1"]
    grpo_kit.train(RECIPE, changed, run_dir=str(folder / "run"), progress=False, on_step=hear)


def trl_side(folder: Path, steps: int, start: str) -> None:
    import torch
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    from grpo_kit.data.word_problems import word_problems
    from grpo_kit.verifiers.math import verify

    said = recipe()
    rng = random.Random(said["seed"])
    rows = []
    for _ in range(PROMPTS * (steps + 1)):
        problem = word_problems(rng, level=said["data"]["level"])
        asked = said["data"]["prompt_template"].format(prompt=problem.prompt)
        rows.append({"prompt": [{"role": "user", "content": asked}], "answer": problem.answer})

    def right(prompts: list[Any], completions: list[Any], answer: list[str], **_: Any) -> list[float]:
        triples = zip(prompts, completions, answer, strict=True)
        return [float(verify(c[0]["content"], a, prompt=p[0]["content"]).value or 0.0) for p, c, a in triples]

    clock = Clock(folder / "clock.jsonl")

    class Steps(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            clock.begin()

        def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
            clock.tick(state.global_step)

    config = GRPOConfig(
        output_dir=str(folder / "run"),
        per_device_train_batch_size=PROMPTS * GROUP // 2,
        gradient_accumulation_steps=2,
        num_generations=GROUP,
        num_iterations=1,
        beta=0.0,
        loss_type="grpo",
        max_completion_length=said["rollout"]["max_tokens"],
        temperature=said["rollout"]["temperature"],
        max_steps=steps,
        learning_rate=said["optimizer"]["learning_rate"],
        lr_scheduler_type="constant_with_warmup",
        warmup_steps=said["optimizer"]["warmup_steps"],
        bf16=True,
        gradient_checkpointing=False,
        use_cpu=True,
        logging_steps=1,
        report_to="none",
        save_strategy="steps",
        save_steps=EVERY,
        save_only_model=True,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        seed=said["seed"],
    )
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32, attn_implementation="sdpa"),
        reward_funcs=right,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(start),
        callbacks=[Steps()],
    )
    trainer.train()


def saved(side: str, folder: Path, step: int) -> Path:
    if side == "trl":
        return folder / "run" / f"checkpoint-{step}"
    return folder / "run" / "checkpoints" / f"step-{step:06d}"


def accuracy(model: Path, out: Path, problems: int) -> dict[str, float]:
    """Of sampled answers to held-out problems, with its standard error."""
    results = out / "results.json"
    if not results.exists():
        said = recipe()
        task = out.with_suffix(".yaml")
        data = {key: said["data"][key] for key in ("task", "level", "prompt_template")}
        judged = {"verifier": {"name": "math"}, "max_tokens": said["rollout"]["max_tokens"]}
        task.write_text(yaml.safe_dump({"data": data, "problems": problems, **judged}, sort_keys=False))
        command = [sys.executable, "-m", "grpo_kit", "eval", str(model), "--tasks", str(task), "-n", "2"]
        command += ["--temperature", str(said["rollout"]["temperature"]), "--no-greedy"]
        subprocess.run([*command, "--dtype", "bfloat16", "--out", str(out)], check=True)
    (found,) = json.loads(results.read_text())["tasks"].values()
    sampled = found["metrics"]["avg"]
    return {"sampled": round(sampled["value"], 4), "error": round(sampled["error"], 4)}


def train(side: str, folder: Path, options: argparse.Namespace, start: str) -> dict[int, dict[str, float]]:
    """The clock at the end of every step; a side that has been trained in this folder is only read."""
    steps = options.trl_steps if side == "trl" else options.steps
    clock = folder / "clock.jsonl"
    if not saved(side, folder, steps).exists():
        folder.mkdir(parents=True, exist_ok=True)
        clock.unlink(missing_ok=True)
        command = [sys.executable, __file__, "--side", side, "--keep", str(folder), "--start", start]
        environment = os.environ | {"OMP_NUM_THREADS": str(options.threads), "HF_HUB_OFFLINE": "1"}
        subprocess.run([*command, "--steps", str(steps)], check=True, env=environment)
    return {tick["step"]: tick for tick in map(json.loads, clock.read_text().splitlines())}


def compare(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    from grpo_kit.policy.gguf import model_folder

    start = str(model_folder(str(ROOT / recipe()["model"]["path"])))
    sides = {}
    for side in ("ours", "trl"):
        folder = work / f"{side}-{options.threads}"
        clock = train(side, folder, options, start)
        curve = []
        for step in range(options.first, max(clock) + 1, EVERY):
            found = accuracy(saved(side, folder, step), folder / f"eval-{step}-of-{options.problems}", options.problems)
            curve.append({**{k: round(v, 1) for k, v in clock[step].items()}, **found})
            print(side, json.dumps(curve[-1]), flush=True)
            if found["sampled"] >= options.until:
                break
        sides[side] = curve
    return {
        "until": options.until,
        "problems": options.problems,
        "threads": options.threads,
        "machine": machine(),
        "trl_version": version("trl"),
        **sides,
    }


def table(found: dict[str, Any]) -> str:
    rows = ["| | steps | held out, sampled | CPU seconds |", "|---|--:|--:|--:|"]
    for side, name in (("ours", "grpo-kit"), ("trl", f"TRL {found['trl_version']}")):
        for point in found[side]:
            rows.append(
                f"| {name} | {point['step']} | {100 * point['sampled']:.1f} ± {100 * point['error']:.1f} "
                f"| {point['cpu']:,.0f} |"
            )
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--until", type=float, default=0.5, help="held-out accuracy of sampled answers")
    parser.add_argument("--first", type=int, default=6, help="the first step that is evaluated")
    parser.add_argument("--problems", type=int, default=256)
    parser.add_argument("--steps", type=int, default=12, help="of our side; --trl-steps of the other")
    parser.add_argument("--trl-steps", type=int, default=12)
    parser.add_argument("--keep", type=Path, help="folder for the runs; what is finished there is not run again")
    parser.add_argument("--side", choices=["ours", "trl"], help=argparse.SUPPRESS)
    parser.add_argument("--start", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side == "ours":
        return our_side(options.keep, options.steps)
    if options.side == "trl":
        return trl_side(options.keep, options.steps, options.start)
    with tempfile.TemporaryDirectory() as scratch:
        found = compare(options, (options.keep or Path(scratch)).resolve())
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    put(PAGE, "real_model skill", table(found))
    print(table(found))
    return None


if __name__ == "__main__":
    main()
