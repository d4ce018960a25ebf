"""What passing a prompt once for all of its completions saves of an update (law 14: it changes nothing else).

    python benchmarks/share.py [--model FOLDER] [--precision bfloat16]

Forward and backward of a group's log-probabilities, prompts shared and not, by turns in one process; CPU seconds of one
thread. Without a model: random weights in the shape of SmolLM2-135M.
"""

from __future__ import annotations

import argparse
import random
from typing import Any

import torch
from tiny import Stopwatch, machine, median, write_result

from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches

SHAPES = [
    (100, 8, 48),
    (100, 16, 48),
    (250, 8, 100),
    (100, 8, 256),
    (60, 8, 512),
    (100, 2, 48),
]  # prompt, group, longest


def policy_of(options: argparse.Namespace) -> Policy:
    from transformers import AutoModelForCausalLM, LlamaConfig

    if options.model is not None:
        model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    else:
        torch.manual_seed(0)
        shape: dict[str, Any] = {"hidden_size": 576, "intermediate_size": 1536, "num_hidden_layers": 30}
        shape |= {"num_attention_heads": 9, "num_key_value_heads": 3, "vocab_size": 49152, "tie_word_embeddings": True}
        model = AutoModelForCausalLM.from_config(LlamaConfig(**shape))
    autocast = torch.bfloat16 if options.precision == "bfloat16" else None
    policy = Policy(model.train(), None, torch.device("cpu"), autocast)
    if autocast:
        use_float32_attention(model)
    assert policy.share_prompts() is None
    return policy


def groups(prompt: int, size: int, longest: int, count: int, rng: random.Random) -> list[TrainingSequence]:
    """Prompts of about ``prompt`` tokens, completions of between half and all of ``longest``."""
    made = []
    for _ in range(count):
        ids = [rng.randrange(5, 40_000) for _ in range(prompt + rng.randrange(-prompt // 5, prompt // 5))]
        for _ in range(size):
            answer = [rng.randrange(5, 40_000) for _ in range(rng.randrange(longest // 2, longest + 1))]
            made.append(TrainingSequence(ids, answer, rng.gauss(0, 1), 1 / len(answer) / size / count))
    return made


def one_pass(policy: Policy, sequences: list[TrainingSequence], share: bool) -> tuple[float, torch.Tensor, int]:
    """CPU seconds, the gradient of the head's input weights, and tokens that went through the model."""
    policy.model.zero_grad(set_to_none=True)
    watch, tokens = Stopwatch(), 0
    for batch in micro_batches(sequences, 4096, share=share):
        logprobs, _ = policy.logprobs(batch, 1.0)
        (logprobs * batch.advantages * batch.weights).sum().backward()
        tokens += batch.input_ids.numel()
    spent = watch.read()["cpu"]
    return spent, torch.cat([p.grad.flatten() for p in policy.model.parameters() if p.grad is not None]), tokens


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dry", action="store_true", help="write no result")
    options = parser.parse_args()
    torch.set_num_threads(1)
    policy = policy_of(options)
    found = []
    for prompt, size, longest in SHAPES:
        count = max(1, 1200 // (prompt + size * longest))
        sequences = groups(prompt, size, longest, count, random.Random(0))
        ratios = []
        for _ in range(options.rounds):
            shared, gradient, tokens = one_pass(policy, sequences, share=True)
            apart, other, padded = one_pass(policy, sequences, share=False)
            ratios.append(shared / apart)
        case = {
            "prompt": prompt,
            "group": size,
            "longest": longest,
            "ratio": round(median(ratios), 3),
            "tokens_ratio": round(tokens / padded, 3),
            "seconds": round(shared, 2),
            "gradient_difference": float((gradient - other).norm() / other.norm()),
        }
        print(case, flush=True)
        found.append(case)
    if not options.dry:
        suffix = "" if options.precision == "float32" else "_bf16"
        write_result(f"share{suffix}", {"machine": machine(), "model": "SmolLM2-135M's shape", "cases": found})


if __name__ == "__main__":
    main()
