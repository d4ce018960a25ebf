"""How near forward and backward come to what this machine can do: model FLOPs utilisation against its own GEMM rate.

    python benchmarks/limits.py [--threads 2]
    python benchmarks/limits.py --model FOLDER      a real one (`make fetch-model`), and where the rest of the time is
                                [--only float32]    on a processor without products of bfloat16

Rates are of the same run and the same threads: a 2048^3 product in float32 and bfloat16, a copy that fits no cache, and
forward plus backward of a 30 M-parameter model with the loss of a GRPO step. Floating-point operations of the model are
those of its products (three times the forward pass) and of causal attention; nothing else counts as work.

With --model: four groups of eight answers to prompts of 85 tokens, prompts shared as in training; each processor that it is run
on has its own columns. Beside the whole pass stand the time of its products alone, in the model's own shapes, and the shares of
CPU time by kind of operation (torch's profiler, self time).
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pages import put
from tiny import RESULTS, Stopwatch, build, machine, write_result
from torch import nn

from grpo_kit.config import ModelConfig, OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.flops import Work
from grpo_kit.policy.models import Policy, load_policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.train.update import PolicyUpdater

TARGETS = {"float32": 0.75, "bfloat16": 0.60}
REAL_TARGETS = {"float32": 0.75, "bfloat16": 0.45}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "real_model.md"
# What is not named here: norms, activations, rotations, log-probabilities, and what Python does between.
KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm"),
    "attention": ("aten::_scaled_dot_product", "aten::_fused_sdp"),
    "copies and casts": ("aten::copy_", "aten::cat", "aten::index_select", "aten::fill_", "aten::zero_"),
    "sums of gradients": ("aten::add_", "aten::sum", "aten::embedding_dense_backward"),
}


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


def a_step(
    policy: Policy, sequences: list[TrainingSequence], token_budget: int, temperature: float
) -> Callable[[], None]:
    """Forward and backward pass of one update."""
    updater = PolicyUpdater(
        policy,
        resolve_objective("grpo", {"beta": 0.0}),
        OptimizerConfig(),
        total_updates=1,
        token_budget=token_budget,
        temperature=temperature,
    )

    def step() -> None:
        policy.model.zero_grad()
        for batch in updater._batches(sequences):
            updater.loss(batch, Measures()).backward()

    return step


def beside_products(step: Callable[[], None], dtype: torch.dtype, unit: str) -> tuple[float, float]:
    """Operations per second of a square product, and seconds of a step between two looks at it."""
    before = gemm_rate(dtype, unit)
    seconds = best(step, unit, rounds=4)
    return max(before, gemm_rate(dtype, unit)), seconds


def real(options: argparse.Namespace, unit: str) -> None:
    rng = random.Random(0)
    prompts = [[rng.randrange(2, 40_000) for _ in range(85)] for _ in range(4)]
    lengths = [[rng.randrange(30, 48) for _ in range(8)] for _ in prompts]
    sequences = [
        TrainingSequence(prompt, [rng.randrange(2, 40_000) for _ in range(length)], rng.gauss(0, 1), 0.01)
        for prompt, group in zip(prompts, lengths, strict=True)
        for length in group
    ]
    answered = sum(map(sum, lengths))
    tokens = answered + sum(map(len, prompts))
    pairs = sum(len(p) ** 2 / 2 + sum(n * (len(p) + n / 2) for n in g) for p, g in zip(prompts, lengths, strict=True))
    there = {"processor": processor(), "machine": machine(), "copy_gb_per_second": round(copy_rate(unit) / 1e9, 1)}
    found: dict[str, Any] = {}
    for name in options.only:
        dtype = getattr(torch, name)
        policy = load_policy(ModelConfig(path=options.model, dtype=name), torch.device("cpu"))
        assert policy.share_prompts() is None  # as `train` does
        policy.model.train()
        step = a_step(policy, sequences, token_budget=4096, temperature=0.8)
        gemm, seconds = beside_products(step, dtype, unit)
        layers = [(m.out_features, m.in_features) for m in policy.backbone.modules() if isinstance(m, nn.Linear)]
        head = policy.head.weight.shape[0] * policy.head.weight.shape[1]
        forward = Work(sum(o * i for o, i in layers), Work.of(policy.model).attention).forward(tokens, pairs)
        work = 3.0 * (forward + 2.0 * head * answered)
        alone = sum(of_shape(o, i, tokens, dtype, unit) * layers.count((o, i)) for o, i in sorted(set(layers)))
        alone += of_shape(*policy.head.weight.shape, answered, dtype, unit)
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as seen:
            step()
        case = found[f"{name}, {there['processor']}"] = {
            **there,
            "tokens": [tokens, answered],
            "gemm_gflops": round(gemm / 1e9),
            "training_gflops": round(work / seconds / 1e9),
            "ratio": round(work / seconds / gemm, 3),
            "target": REAL_TARGETS[name],
            "seconds": round(seconds, 2),
            "seconds_of_products_alone": round(alone, 2),
            "share": shares(seen),
        }
        print(name, case, flush=True)
    if not options.dry:
        name = "limits_real" if options.threads == 1 else f"limits_real_{options.threads}_threads"
        path = RESULTS / f"{name}.json"
        cases = (json.loads(path.read_text())["cases"] if path.exists() else {}) | found
        write_result(name, {"unit": f"{unit} seconds", "cases": cases})
        if options.threads == 1:
            put(PAGE, "real_model limits", table(cases))


def processor() -> str:
    """By the widest products that torch has for it."""
    if "amx_bf16" in Path("/proc/cpuinfo").read_text():
        return "AMX"
    return str(torch.backends.cpu.get_cpu_capability())


def of_shape(outputs: int, inputs: int, rows: int, dtype: torch.dtype, unit: str) -> float:
    """Seconds of the three products of a linear layer: of the output, of the input's gradient and of the weight's."""
    weight, states, gradient = (torch.randn(*s).to(dtype) for s in ((outputs, inputs), (rows, inputs), (rows, outputs)))

    def products() -> None:
        torch.nn.functional.linear(states, weight)
        gradient @ weight
        gradient.T @ states

    return best(products, unit)


def shares(seen: Any) -> dict[str, float]:
    events = seen.key_averages()
    whole = sum(e.self_cpu_time_total for e in events)
    found = {k: sum(e.self_cpu_time_total for e in events if e.key.startswith(names)) for k, names in KINDS.items()}
    return {k: round(v / whole, 3) for k, v in {**found, "the rest": whole - sum(found.values())}.items()}


def table(cases: dict[str, Any]) -> str:
    rows = ["| | " + " | ".join(cases) + " |", "|---|" + "--:|" * len(cases)]
    for text, show in (
        ("a product of 2048 x 2048, GFLOP/s", lambda case: f"{case['gemm_gflops']:,}"),
        ("forward and backward, GFLOP/s", lambda case: f"{case['training_gflops']:,}"),
        ("share of the former", lambda case: f"**{case['ratio']:.3f}**"),
        ("wanted", lambda case: f"{case['target']:.2f}"),
        ("seconds", lambda case: f"{case['seconds']:.2f}"),
        ("its products alone, each many times over, seconds", lambda case: f"{case['seconds_of_products_alone']:.2f}"),
        *(
            (f"time in {kind}", lambda case, kind=kind: f"{100 * case['share'][kind]:.0f} %")
            for kind in [*KINDS, "the rest"]
        ),
        ("load of the machine's two cores", lambda case: f"{case['machine']['load']:.1f}"),
    ):
        rows.append(f"| {text} | " + " | ".join(map(show, cases.values())) + " |")
    return "\n".join(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shape", default="30M")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--length", type=int, default=256)
    parser.add_argument("--model", help="folder of a real model")
    parser.add_argument("--only", nargs="+", choices=[*REAL_TARGETS], default=[*REAL_TARGETS], help="with --model")
    parser.add_argument("--dry", action="store_true", help="write no result")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    unit = "cpu" if options.threads == 1 else "wall"
    if options.model:
        return real(options, unit)
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
        step = a_step(policy, sequences, token_budget=options.rows * options.length, temperature=1.0)
        gemm, seconds = beside_products(step, dtype, unit)
        work = 3.0 * Work.of(model).forward(sum(s.length for s in sequences), sum(s.length**2 / 2 for s in sequences))
        found[name] = {
            "gemm_gflops": round(gemm / 1e9),
            "training_gflops": round(work / seconds / 1e9),
            "ratio": round(work / seconds / gemm, 3),
            "target": TARGETS[name],
        }
        print(name, found[name], flush=True)
    if not options.dry:
        suffix = "" if options.threads == 1 else f"_{options.threads}_threads"
        write_result(f"limits{suffix}", {"machine": machine(), "unit": f"{unit} seconds", "cases": found})
    return None


if __name__ == "__main__":
    main()
