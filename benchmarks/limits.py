"""How near forward and backward come to what this machine can do: model FLOPs utilisation against its own GEMM rate.

    python benchmarks/limits.py [--threads 2] [--compile]

Rates are of the same run and the same threads: a 2048^3 product in float32 and bfloat16, a copy that fits no cache, and
forward plus backward of a 30 M-parameter model with the loss of a GRPO step. Floating-point operations of the model are
those of its products (three times the forward pass) and of causal attention; nothing else counts as work.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from typing import Any

import torch
from tiny import Stopwatch, build, machine, write_result

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.flops import Work
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.train.update import PolicyUpdater

TARGETS = {"float32": 0.75, "bfloat16": 0.60}


def best(work: Callable[[], Any], unit: str, rounds: int = 5) -> float:
    """The shortest time, since whatever disturbs a run only makes it longer."""
    work()
    found = []
    for _ in range(rounds):
        watch = Stopwatch()
        work()
        found.append(watch.read()[unit])
    return min(found)


def gemm_rate(dtype: torch.dtype, unit: str, size: int = 2048) -> float:
    left, right = (torch.randn(size, size).to(dtype) for _ in range(2))
    return 2 * size**3 / best(lambda: left @ right, unit)


def copy_rate(unit: str) -> float:
    source = torch.ones(2**26)
    target = torch.empty_like(source)
    return 2 * source.nbytes / best(lambda: target.copy_(source), unit)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--shape", default="30M")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--dry", action="store_true", help="write no result")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unit = "cpu" if options.threads == 1 else "wall"
    rng = random.Random(0)
    sequences = [
        TrainingSequence([5, 6, 7, 8], [rng.randrange(2, 68) for _ in range(options.length - 4)], rng.gauss(0, 1), 0.01)
        for _ in range(options.rows)
    ]
    found: dict[str, Any] = {"copy_gb_per_second": round(copy_rate(unit) / 1e9, 1)}
    for name, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        model, tokenizer = build(options.shape)
        policy = Policy(model.train(), tokenizer, torch.device("cpu"), None if name == "float32" else dtype)
        if policy.autocast:
            use_float32_attention(model)
        if options.compile:
            policy.compiled = torch.compile(policy.backbone, dynamic=True)
        updater = PolicyUpdater(
            policy,
            resolve_objective("grpo", {"beta": 0.0}),
            OptimizerConfig(),
            total_updates=1,
            token_budget=options.rows * options.length,
            temperature=1.0,
        )

        def step(updater: PolicyUpdater = updater, model: Any = model) -> None:
            model.zero_grad()
            for batch in updater._batches(sequences):
                updater.loss(batch, Measures()).backward()

        gemm = gemm_rate(dtype, unit)
        seconds = best(step, unit, rounds=4)
        gemm = max(gemm, gemm_rate(dtype, unit))
        work = 3.0 * Work.of(model).forward(sum(s.length for s in sequences), sum(s.length**2 / 2 for s in sequences))
        found[name] = {
            "gemm_gflops": round(gemm / 1e9),
            "training_gflops": round(work / seconds / 1e9),
            "ratio": round(work / seconds / gemm, 3),
            "target": TARGETS[name],
        }
        print(name, found[name], flush=True)
    if not options.dry:
        suffix = ("" if options.threads == 1 else f"_{options.threads}_threads") + ("_compiled" * options.compile)
        write_result(f"limits{suffix}", {"machine": machine(), "unit": f"{unit} seconds", "cases": found})


if __name__ == "__main__":
    main()
