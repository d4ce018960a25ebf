"""Models of known shapes with random weights, made where they are used, and how their work is timed."""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from grpo_kit.config import OptimizerConfig
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.plan.shape import KNOWN, ModelShape
from grpo_kit.policy.attention import use_float32_attention
from grpo_kit.policy.layers import compile_layers
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.update import PolicyUpdater

TINY = "tiny"
SMOLLM2 = "smollm2-135m"
SHAPES = KNOWN | {
    SMOLLM2: ModelShape(576, 30, 9, 3, 64, 1536, 49152, tied=True),
    TINY: ModelShape(64, 2, 4, 2, 16, 128, 512, tied=True, bias=True),
}
GROUP = 8
# Dense bfloat16 products per second that the makers give for their boards.
NOMINAL = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "A10": 125e12}


def network(shape: ModelShape, device: torch.device) -> Any:
    """A Qwen2 of that shape with random weights (float32), or a Llama where the shape has no bias."""
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer()
    sizes: dict[str, Any] = {
        "vocab_size": shape.vocabulary,
        "hidden_size": shape.hidden,
        "intermediate_size": shape.intermediate,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.kv_heads,
        "max_position_embeddings": 32768,
        "tie_word_embeddings": shape.tied,
        "bos_token_id": None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    torch.manual_seed(0)
    with torch.device(device):
        if shape.bias:
            return Qwen2ForCausalLM(Qwen2Config(**sizes))
        return LlamaForCausalLM(LlamaConfig(**sizes))


def policy_of(shape: ModelShape, device: torch.device, *, compiled: bool = False) -> Policy:
    """As `load_policy` with ``model.dtype: bfloat16`` makes one, without a folder between."""
    policy = Policy(network(shape, device), build_tokenizer(), device, torch.bfloat16)
    if device.type == "cpu":
        use_float32_attention(policy.model)
    if compiled:
        # On a CPU only the tracing is tried: a C++ compiler takes minutes for what nobody asks of it here.
        backend = "inductor" if device.type == "cuda" else "eager"
        compile_layers(policy.model, backend=backend)
    return policy


def save_random(shape: ModelShape, folder: Path) -> None:
    network(shape, torch.device("cpu")).save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)


def updater_of(policy: Policy, tokens: int) -> PolicyUpdater:
    """GRPO's, without a reference; ``tokens`` of a micro-batch."""
    return PolicyUpdater(
        policy,
        resolve_objective("grpo", {"beta": 0.0}),
        OptimizerConfig(learning_rate=1e-6),
        total_updates=1000,
        token_budget=tokens,
        temperature=1.0,
    )


def random_groups(groups: int, prompt: int, completion: int, vocabulary: int) -> list[TrainingSequence]:
    """Groups of `GROUP` answers of fixed length to a prompt of their own."""
    rng = random.Random(0)
    made = []
    for group in range(groups):
        asked = [rng.randrange(vocabulary) for _ in range(prompt)]
        for _ in range(GROUP):
            answer = [rng.randrange(vocabulary) for _ in range(completion)]
            weight = 1.0 / (groups * GROUP * completion)
            made.append(TrainingSequence(asked, answer, rng.gauss(0, 1), weight, group=group))
    return made


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peaks(device: torch.device) -> dict[str, float]:
    """GB that tensors took at most, and that the allocator held for them; nothing on a CPU."""
    if device.type != "cuda":
        return {}
    return {
        "peak_allocated_gb": torch.cuda.max_memory_allocated(device) / 1e9,
        "peak_reserved_gb": torch.cuda.max_memory_reserved(device) / 1e9,
    }


def forget(device: torch.device) -> None:
    """Give memory back, and count peaks from here."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def seconds_of(work: Callable[[], Any], device: torch.device, rounds: int = 3, warm: int = 1) -> float:
    """The shortest of several times, after ``warm`` that do not count."""
    found = []
    for _ in range(rounds + warm):
        wait(device)
        begun = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - begun)
    return min(found[warm:])


def product_rate(device: torch.device) -> float:
    """Floating-point operations per second of a large bfloat16 product."""
    size = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2.0 * size**3 / seconds_of(lambda: left @ right, device, rounds=10)


def nominal_rate(device: torch.device) -> float | None:
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((rate for board, rate in NOMINAL.items() if board in name), None)
