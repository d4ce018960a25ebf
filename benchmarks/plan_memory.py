"""Planned against measured memory: `grpo-kit plan`'s model beside the peak of real runs of two steps.

Each run is a process of its own (or two, of which the larger counts); its peak is the resident memory that the kernel
recorded. Two of three responses of a random model have the full length, and the longest share the first micro-batch, so the
plan's worst case is what happens; demonstrations that are shorter than the limits need less. Runs that are not measured keep
what was measured before; all are planned anew.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
GIB = 2**30
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
device: cpu
"""
GRPO = "algorithm=grpo", "objective.beta=0"
CHECKPOINTING = (*GRPO, "parallel.gradient_checkpointing=true")
ADAPTERS = (*GRPO, "model.lora.rank=16")
NARROW, EIGHT_BIT = (*GRPO, "model.weight_dtype=bfloat16"), "optimizer.moments=8bit"
RECORDED, PREFERENCE = "grpo, 25M", "dpo, 25M"  # the second learns from the responses of the first
DEMONSTRATIONS = "algorithm=sft", "examples.demonstrations=true"
LIMITS = "data.max_prompt_tokens=8", "rollout.max_tokens=28"
REFERENCE = "algorithm=grpo", "objective.beta=0.04"
# name: (hidden, intermediate, layers, heads, dtype, prompts, token budget, processes, overrides)
RUNS: dict[str, tuple[int, int, int, int, str, int, int, int, tuple[str, ...]]] = {
    RECORDED: (512, 1408, 8, 8, "float32", 16, 8192, 1, GRPO),
    "grpo, 50M, half the budget": (512, 1408, 16, 8, "float32", 8, 4096, 1, GRPO),
    "grpo with reference, 43M": (768, 2048, 6, 12, "float32", 8, 4096, 1, REFERENCE),
    "ppo with critic, 20M": (512, 1408, 6, 8, "float32", 8, 8192, 1, ("algorithm=ppo",)),
    "grpo in bfloat16, 25M": (512, 1408, 8, 8, "bfloat16", 16, 8192, 1, GRPO),
    "grpo in bfloat16, 14M, twice the budget": (384, 1056, 8, 6, "bfloat16", 16, 16384, 1, GRPO),
    "trpo, 11M": (384, 1056, 6, 6, "float32", 8, 8192, 1, ("algorithm=trpo",)),
    "trpo, 10M, twice the layers": (256, 704, 12, 4, "float32", 4, 4096, 1, ("algorithm=trpo",)),
    "checkpointing, 25M": (512, 1408, 8, 8, "float32", 8, 8192, 1, CHECKPOINTING),
    "checkpointing, 50M, half the budget": (512, 1408, 16, 8, "float32", 8, 4096, 1, CHECKPOINTING),
    "lora, 25M": (512, 1408, 8, 8, "float32", 8, 8192, 1, ADAPTERS),
    PREFERENCE: (512, 1408, 8, 8, "float32", 16, 4096, 1, ("algorithm=dpo",)),
    "two processes, 50M": (512, 1408, 16, 8, "float32", 8, 4096, 2, GRPO),
    "two processes with reference, 50M": (512, 1408, 16, 8, "float32", 8, 2048, 2, REFERENCE),
    # Measured once, after the formulas were written.
    "lora in bfloat16, 22M": (384, 1056, 12, 6, "bfloat16", 8, 4096, 1, (*GRPO, "model.lora.rank=8")),
    "ppo with critic, 22M": (384, 1056, 12, 6, "float32", 4, 4096, 1, ("algorithm=ppo",)),
    "grpo, square feed-forward, 17M": (640, 640, 6, 10, "float32", 8, 8192, 1, GRPO),
    "checkpointing in bfloat16, 25M": (512, 1408, 8, 8, "bfloat16", 8, 8192, 1, CHECKPOINTING),
    "weights in bfloat16, 25M": (512, 1408, 8, 8, "bfloat16", 16, 8192, 1, NARROW),
    "weights in bfloat16, moments in a byte, 50M": (512, 1408, 16, 8, "bfloat16", 8, 4096, 1, (*NARROW, EIGHT_BIT)),
    "sft, limits far above its lengths, 25M": (512, 1408, 8, 8, "float32", 32, 4096, 1, DEMONSTRATIONS),
    "sft, limits at its lengths, 25M": (512, 1408, 8, 8, "float32", 32, 4096, 1, (*DEMONSTRATIONS, *LIMITS)),
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


def planned(recipe: Path, overrides: list[str], processes: int) -> dict[str, Any]:
    """The peak of one process in bytes, and its parts."""
    from grpo_kit.config.read import load_recipe
    from grpo_kit.objective.algorithms import resolve_objective
    from grpo_kit.plan.memory import memory_of, setting_of
    from grpo_kit.plan.shape import ModelShape
    from grpo_kit.policy.models import model_skeleton

    config = load_recipe(str(recipe), overrides)
    objective = resolve_objective(config.algorithm, config.objective, config.sampled_by)
    shape = ModelShape.of(model_skeleton(config.model)[0].config)
    memory = memory_of(setting_of(config, objective, shape, devices=processes, device="cpu", device_bytes=0))
    return {
        "planned": memory.peak,
        "parts": {"kept": memory.kept, "generate": memory.generate, "update": memory.update},
    }


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--only", help="measure runs with this in their names; the others keep what was measured")
    chosen = arguments.parse_args().only or ""
    target = HERE / "results" / "plan_memory.json"
    stored = {run["run"]: run for run in json.loads(target.read_text())["runs"]} if target.exists() else {}
    before = {name: run["measured"] for name, run in stored.items()}
    results: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "odd.py").write_text(VERIFIER)
        for name, (*numbers, dtype, prompts, budget, processes, lines) in RUNS.items():
            recipe, overrides = folder / "recipe.yaml", list(lines)
            recipe.write_text(COMMON % (*numbers, dtype, f"{folder}/odd.py:odd", prompts, budget))
            if name == PREFERENCE:
                overrides.append(f"examples.rollouts={folder / RECORDED}")
            command = [
                sys.executable,
                "-m",
                "grpo_kit",
                "train",
                str(recipe),
                *overrides,
                "--run-dir",
                str(folder / name),
            ]
            command += ["--nproc", str(processes)] if processes > 1 else []
            recorded = name == RECORDED and (chosen in PREFERENCE or PREFERENCE not in before)
            if chosen in name or recorded or name not in before:
                before[name] = peak_of_child(command)
            plan = planned(recipe, overrides, processes)
            ratio = plan["planned"] / before[name]
            results[name] = {"run": name, "measured": before[name], "ratio": ratio, **plan}
            sizes = f"planned {plan['planned'] / GIB:6.2f} GiB   measured {before[name] / GIB:6.2f} GiB"
            print(f"{name:<42} {sizes}   {ratio:.2f}", flush=True)
            # After each run, so that one that fails costs only itself.
            kept = [run for other, run in stored.items() if other in RUNS and other not in results]
            target.write_text(json.dumps({"runs": [*results.values(), *kept]}, indent=1) + "\n")
    print(f"-> {target}")


if __name__ == "__main__":
    main()
