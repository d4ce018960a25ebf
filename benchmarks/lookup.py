"""What rows of a large vocabulary cost: log-probabilities with their gradient, and the next token, block by block and whole.

    python benchmarks/lookup.py [--vocabulary 49152] [--threads 1]

Whole are the formulas as torch has them, on the matrix at once. Both ways take turns in one run; the shortest of some rounds
each, in CPU seconds (in wall seconds with more threads). Writes results/lookup.json and its table into docs/performance.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pages import put
from tiny import Stopwatch, machine, write_result
from torch import Tensor

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.sampling import draw, next_tokens, processed_logprobs
from grpo_kit.policy.lookup import look_up

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"
TRAINED, DRAWN, ROUNDS = 682, 128, 5  # rows: a chunk of a pass, and a step of sampling
SAMPLING = SamplingParams(temperature=0.8)


def whole(logits: Tensor, targets: Tensor, factor: float) -> tuple[Tensor, Tensor]:
    found = torch.log_softmax(logits.float() * factor, dim=-1)
    seen = found.detach()
    return found.gather(-1, targets[:, None]).squeeze(-1), -(seen.exp() * seen).sum(-1)


def passed(way: Callable[..., tuple[Tensor, Tensor]], logits: Tensor, targets: Tensor) -> None:
    leaf = logits.detach().requires_grad_()
    way(leaf, targets, 1.25)[0].sum().backward()


def by_turns(ways: dict[str, Callable[[], Any]], unit: str) -> dict[str, float]:
    seconds = {name: [] for name in ways}
    for _ in range(ROUNDS + 1):
        for name, work in ways.items():
            watch = Stopwatch()
            work()
            seconds[name].append(watch.read()[unit])
    return {name: round(min(found[1:]), 4) for name, found in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=49_152)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    unit = "cpu" if options.threads == 1 else "wall"
    targets = torch.randint(options.vocabulary, (TRAINED,))
    uniform = torch.rand(DRAWN, dtype=torch.float64)
    found = {}
    for dtype in (torch.float32, torch.bfloat16):
        logits = (3 * torch.randn(TRAINED, options.vocabulary)).to(dtype)
        ways = {"whole": whole, "blocks": look_up}
        name = f"log-probabilities and gradient of {TRAINED} rows, {str(dtype).removeprefix('torch.')}"
        found[name] = by_turns({k: lambda w=w, x=logits: passed(w, x, targets) for k, w in ways.items()}, unit)
    sampled = 3 * torch.randn(DRAWN, options.vocabulary)
    found[f"next token of {DRAWN} rows"] = by_turns(
        {
            "whole": lambda: draw(processed_logprobs(sampled, SAMPLING), uniform, False),
            "blocks": lambda: next_tokens(sampled, SAMPLING, uniform),
        },
        unit,
    )
    rows = ["| | whole, seconds | block by block | of it |", "|---|--:|--:|--:|"]
    for name, case in found.items():
        case["ratio"] = round(case["blocks"] / case["whole"], 3)
        rows.append(f"| {name} | {case['whole']:.3f} | {case['blocks']:.3f} | **{case['ratio']:.2f}** |")
    print("\n".join(rows))
    settings = {"vocabulary": options.vocabulary, "threads": options.threads, "unit": f"{unit} seconds"}
    write_result("lookup", {"machine": machine(), **settings, "cases": found})
    put(PAGE, "lookup", "\n".join(rows))


if __name__ == "__main__":
    main()
