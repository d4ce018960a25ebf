"""Planned against measured memory: `grpo-kit plan`'s model beside the peak of real runs of two steps.

Each run is a process of its own; its peak is the resident memory that the kernel recorded. Random models never end a
response, so every completion has the full length and the plan's worst case is what happens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

HERE = Path(__file__).parent
VERIFIER = '''"""Half of all texts are right, so that every group has something to learn from."""
from grpo_kit.verifiers import verifier


@verifier(name="odd", timeout=5.0)
def odd(response: str) -> float:
    return float(sum(map(ord, response)) % 2)
'''
COMMON = """
model: {scratch: {hidden_size: %d, intermediate_size: %d, layers: %d, heads: %d}, dtype: %s}
data: {task: addition, max_prompt_tokens: 16}
verifiers: [{name: %s}]
scoring: {workers: 0, max_rejected_gold: 1.0}
rollout: {prompts_per_step: %d, group_size: 8, max_tokens: 112, max_rows: 256}
train: {steps: 2, token_budget: %d}
threads: 1
"""
# name: (hidden, intermediate, layers, heads, dtype, prompts, token budget, algorithm lines)
RUNS = {
    "grpo, 25M parameters": (512, 1408, 8, 8, "float32", 16, 8192, "algorithm: grpo\nobjective: {beta: 0.0}"),
    "grpo with reference, 43M": (768, 2048, 6, 12, "float32", 8, 4096, "algorithm: grpo\nobjective: {beta: 0.04}"),
    "ppo with critic, 20M": (512, 1408, 6, 8, "float32", 8, 8192, "algorithm: ppo"),
    "grpo in bfloat16, 25M": (512, 1408, 8, 8, "bfloat16", 16, 8192, "algorithm: grpo\nobjective: {beta: 0.0}"),
    "trpo, 12M": (384, 1056, 6, 6, "float32", 8, 8192, "algorithm: trpo"),
}


def peak_of_child(command: list[str]) -> int:
    """Bytes. Measured in a process between, because the kernel keeps one maximum over all children that ended."""
    code = (
        "import resource, subprocess, sys; done = subprocess.run(sys.argv[1:], capture_output=True, text=True); "
        "sys.stderr.write(done.stderr) if done.returncode else None; "
        "print(done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    out = subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True, check=True)
    status, peak = out.stdout.split()
    if status != "0":
        sys.exit(f"{' '.join(command)} failed:\n{out.stderr}")
    return int(peak) * 1024


def planned(recipe: Path) -> tuple[int, dict[str, dict[str, int]]]:
    from grpo_kit.objective.algorithms import resolve_objective
    from grpo_kit.plan.memory import memory_of, setting_of
    from grpo_kit.plan.shape import ModelShape
    from grpo_kit.policy.models import model_skeleton
    from grpo_kit.recipe_file import load_recipe

    config = load_recipe(str(recipe))
    objective = resolve_objective(config.algorithm, config.objective_overrides())
    shape = ModelShape.of(model_skeleton(config.model)[0].config)
    setting = setting_of(config, objective, shape, devices=1, device="cpu", device_bytes=0)
    memory = memory_of(replace(setting, half=config.model.dtype == "bfloat16"))
    return memory.peak, {"kept": memory.kept, "generate": memory.generate, "update": memory.update}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", help="part of a run's name")
    chosen = arguments.parse_args().only
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "odd.py").write_text(VERIFIER)
        for name, (*numbers, dtype, prompts, budget, algorithm) in RUNS.items():
            if chosen and chosen not in name:
                continue
            recipe = folder / "recipe.yaml"
            recipe.write_text(algorithm + COMMON % (*numbers, dtype, f"{folder}/odd.py:odd", prompts, budget))
            plan, parts = planned(recipe)
            command = [sys.executable, "-m", "grpo_kit", "train", str(recipe), "--run-dir", str(folder / name)]
            peak = peak_of_child(command)
            results.append({"run": name, "planned": plan, "measured": peak, "ratio": plan / peak, "parts": parts})
            print(f"{name:<28} planned {plan / 2**30:6.2f} GiB   measured {peak / 2**30:6.2f} GiB   {plan / peak:.2f}")
    if not chosen:
        target = HERE / "results" / "plan_memory.json"
        target.write_text(json.dumps({"runs": results}, indent=1) + "\n")
        print(f"-> {target}")


if __name__ == "__main__":
    main()
