"""What the cost depends on: tokens, group size, model size and vocabulary.

    python benchmarks/scaling.py

Time per token of a step should not depend on how many tokens a step has, nor on how they fall into groups; memory should not
depend on the vocabulary. A step's time is told apart into sampling and the update. Each point is a process of its own. One
thread, CPU seconds, the faster of two steps after one to warm up.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from typing import Any

from tiny import Stopwatch, build, machine, peak_megabytes, reserve_threads, write_result

TOKENS = (2048, 8192, 32768, 65536)
GROUPS = (4, 16, 64)
VOCABULARIES = (1024, 16384, 65536, 151936)
LENGTH = 64


def step_seconds(folder: str, prompts: int, group: int) -> dict[str, float]:
    """CPU milliseconds per token of a whole step and of its parts."""
    from step_sides import OurTrainer

    options = argparse.Namespace(
        model=folder, threads=1, beta=0.0, tokens=LENGTH, fixed=True, prompts=prompts, group=group, steps=3,
        token_budget=4096, precision="float32", compile=False,
    )  # fmt: skip
    trainer = OurTrainer(options)
    found = []
    for number in range(3):
        watch = Stopwatch()
        trainer.parts.seconds.clear()
        trainer.step(number)
        parts = {"step": watch.read()["cpu"], **trainer.parts.seconds}
        found.append({name: 1000 * seconds / (prompts * group * LENGTH) for name, seconds in parts.items()})
    best = min(found[1:], key=lambda step: step["step"])
    return {name: round(best[name], 4) for name in ("step", "generate", "forward_backward")}


def spread(points: dict[str, dict[str, float]], part: str) -> float:
    """How far the costliest point lies above the cheapest one, as a ratio."""
    values = [point[part] for point in points.values()]
    return round(max(values) / min(values), 3)


def vocabulary_memory(vocabulary: int, full: bool) -> dict[str, float]:
    """Peak megabytes that a forward and backward pass over 4,096 tokens adds to a 2-layer model."""
    import torch

    from grpo_kit.policy.logprobs import head_of, select_logprobs

    torch.set_num_threads(1)
    model, _ = build("3M", vocabulary, layers=2)
    ids = torch.randint(0, vocabulary, (16, 257))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    before = peak_megabytes()
    hidden = model.model(input_ids=ids[:, :-1], use_cache=False).last_hidden_state.flatten(0, 1)
    targets = ids[:, 1:].flatten()
    if full:
        logprobs = torch.log_softmax(model.lm_head(hidden).float(), -1).gather(-1, targets[:, None])[:, 0]
    else:
        logprobs, _ = select_logprobs(hidden, head_of(model), targets, entropy_gradient=False)
    (-logprobs.mean()).backward()
    return {"peak_mb": peak_megabytes(), "added_mb": peak_megabytes() - before}


def in_process(*arguments: object) -> Any:
    done = subprocess.run([sys.executable, __file__, *map(str, arguments)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    found: dict[str, Any] = {"vocabulary": {}}
    with tempfile.TemporaryDirectory() as folder:
        model, tokenizer = build("3M")
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        tokens = {n: in_process("step", folder, n // LENGTH // 8, 8) for n in TOKENS}
        groups = {n: in_process("step", folder, 8192 // LENGTH // n, n) for n in GROUPS}
    for kind, points in (("tokens", tokens), ("group", groups)):
        found[f"milliseconds_per_token_by_{kind}"] = points
        found[f"spread_by_{kind}"] = {part: spread(points, part) for part in ("step", "generate", "forward_backward")}
        print(kind, points, found[f"spread_by_{kind}"], flush=True)
    for vocabulary in VOCABULARIES:
        ours, full = in_process("memory", vocabulary, 0), in_process("memory", vocabulary, 1)
        found["vocabulary"][vocabulary] = {
            "our_added_mb": round(ours["added_mb"]),
            "full_logits_added_mb": round(full["added_mb"]),
            "ratio": round(ours["peak_mb"] / full["peak_mb"], 3),
            "ratio_added": round(ours["added_mb"] / full["added_mb"], 3),
        }
        print(vocabulary, found["vocabulary"][vocabulary], flush=True)
    found["vocabulary_target_at_151936"] = 0.25
    write_result("scaling", {"machine": machine(), **found})


if __name__ == "__main__":
    reserve_threads(1)
    if len(sys.argv) > 1 and sys.argv[1] == "step":
        print(json.dumps(step_seconds(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))
    elif len(sys.argv) > 1 and sys.argv[1] == "memory":
        print(json.dumps(vocabulary_memory(int(sys.argv[2]), sys.argv[3] == "1")))
    else:
        main()
