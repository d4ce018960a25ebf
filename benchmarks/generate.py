"""Tokens per second of the embedded engine against `transformers.generate`, on fixed and on long-tailed lengths.

    python benchmarks/generate.py [--threads 2]

One process, one model, taking turns: 16 prompts, 8 samples of each, temperature 1. Compared by CPU seconds on one thread
and by wall seconds on more. Where vLLM can be imported (`.venv-vllm/bin/python benchmarks/generate.py`) it takes its turn too, in
this process, and the result is written beside the other: generate_vllm.json.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from typing import Any

import torch
from tiny import Stopwatch, build, machine, median, sums, write_result

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.policy.models import Policy
from grpo_kit.types import Prompt

CASES: dict[str, dict[str, Any]] = {
    "fixed": {"tokens": 128, "stops": False, "target": 1.2},
    "long_tailed": {"tokens": 256, "stops": True, "target": 2.0},
}


def ours(engine: Any, policy: Policy, prompts: list[Prompt], group: int, case: dict[str, Any]) -> Callable[[], int]:
    """One of the kit's engines: the embedded one, or vLLM."""
    stops = (policy.tokenizer.eos_token_id,) if case["stops"] else ()

    def run() -> int:
        sampling = SamplingParams(n=group, max_tokens=case["tokens"], stop_token_ids=stops)
        return sum(len(c.token_ids) for completions in engine.generate(prompts, sampling) for c in completions)

    return run


def theirs(policy: Policy, prompts: list[Prompt], group: int, case: dict[str, Any]) -> Callable[[], int]:
    """As TRL calls it: prompts repeated, padded on the left, tokens after the end not counted."""
    pad, end = policy.tokenizer.pad_token_id, policy.tokenizer.eos_token_id
    longest = max(len(p.token_ids) for p in prompts)
    rows = [[pad] * (longest - len(p.token_ids)) + list(p.token_ids) for p in prompts for _ in range(group)]
    mask = [[0] * (longest - len(p.token_ids)) + [1] * len(p.token_ids) for p in prompts for _ in range(group)]
    ids, attention = torch.tensor(rows), torch.tensor(mask)
    shortest = {} if case["stops"] else {"min_new_tokens": case["tokens"]}

    def run() -> int:
        with torch.no_grad():
            found = policy.model.generate(
                input_ids=ids,
                attention_mask=attention,
                max_new_tokens=case["tokens"],
                do_sample=True,
                top_k=0,
                eos_token_id=end,
                pad_token_id=pad,
                **shortest,
            )[:, longest:]
        ended = (found == end).int().cumsum(1)
        return int((ended - (found == end).int() == 0).sum())

    return run


def open_vllm(policy: Policy, group: int) -> Any:
    """vLLM with this policy's weights, in this process."""
    from grpo_kit.config import RolloutConfig
    from grpo_kit.generate.vllm_engine import VllmEngine

    engine = VllmEngine(policy, RolloutConfig(engine="vllm", group_size=group), longest=512)
    engine.sync(policy.model, 0)
    return engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--group", type=int, default=8)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model, tokenizer = build("3M")
    policy = Policy(model.eval(), tokenizer, torch.device("cpu"))
    prompts = [Prompt(str(i), tuple(tokenizer(row["prompt"])["input_ids"])) for i, row in enumerate(sums(16))]
    unit = "cpu" if options.threads == 1 else "wall"
    vllm = open_vllm(policy, options.group) if importlib.util.find_spec("vllm") else None
    found: dict[str, Any] = {}
    for name, case in CASES.items():
        sides = {
            "ours": ours(TorchEngine(policy), policy, prompts, options.group, case),
            "peer": theirs(policy, prompts, options.group, case),
        }
        if vllm is not None:
            sides["vllm"] = ours(vllm, policy, prompts, options.group, case)
        rates: dict[str, list[float]] = {side: [] for side in sides}
        for round_ in range(options.rounds + 1):
            for side, run in sides.items():
                watch = Stopwatch()
                tokens = run()
                if round_:
                    rates[side].append(tokens / watch.read()[unit])
        ratio = median([o / p for o, p in zip(rates["ours"], rates["peer"], strict=True)])
        found[name] = {
            "ratio": round(ratio, 3),
            "target": case["target"],
            "our_tokens_per_second": round(median(rates["ours"])),
            "transformers_tokens_per_second": round(median(rates["peer"])),
        }
        if vllm is not None:
            to_vllm = median([o / v for o, v in zip(rates["ours"], rates["vllm"], strict=True)])
            found[name] |= {
                "vllm_tokens_per_second": round(median(rates["vllm"])),
                "ratio_to_vllm": round(to_vllm, 3),
            }
        print(name, found[name], flush=True)
    if vllm is not None:
        vllm.close()
    suffix = ("_vllm" if vllm is not None else "") + ("" if options.threads == 1 else f"_{options.threads}_threads")
    write_result(f"generate{suffix}", {"machine": machine(), "unit": f"{unit} seconds", "cases": found})


if __name__ == "__main__":
    main()
