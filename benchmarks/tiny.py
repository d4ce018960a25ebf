"""The model, prompts and reward that both sides of a comparison are given."""

from __future__ import annotations

import json
import os
import random
import resource
import string
import time
from pathlib import Path
from typing import Any

import torch

RESULTS = Path(__file__).parent / "results"
SHAPES = {  # hidden, intermediate, layers, heads
    "3M": (256, 704, 4, 4),
    "30M": (512, 1408, 9, 8),
}
CHARACTERS = string.digits + string.ascii_lowercase + string.ascii_uppercase + "+-= "
PAD, END = "<pad>", "<end>"


def build(
    shape: str = "3M", vocabulary: int | None = None, seed: int = 0, layers: int | None = None
) -> tuple[Any, Any]:
    """A randomly initialised Qwen2 over characters and its tokenizer.

    With 68 tokens and near-uniform predictions a response ends with probability 1/68 at each token: lengths are geometric
    with a mean of about 64 below a limit of 256.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    symbols = [PAD, END, *CHARACTERS]
    inner = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(symbols)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    inner.add_special_tokens([PAD, END])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=END, pad_token=PAD)
    tokenizer.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    hidden, intermediate, depth, heads = SHAPES[shape]
    config = Qwen2Config(
        vocab_size=vocabulary or len(symbols),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=layers or depth,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        use_sliding_window=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    return Qwen2ForCausalLM(config), tokenizer


def sums(count: int, seed: int = 0) -> list[dict[str, str]]:
    """Additions and subtractions of at most six characters."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        x, y, sign = rng.randint(0, 99), rng.randint(0, 99), rng.choice("+-")
        rows.append({"prompt": f"{x}{sign}{y}=", "answer": str(x + y if sign == "+" else x - y)})
    return rows


def problems(count: int, tokenizer: Any, seed: int = 0) -> list[dict[str, str]]:
    """Word problems of one step, as the chat template of a real model shows them to it."""
    from grpo_kit.data.word_problems import word_problems

    rng = random.Random(seed)
    ask = "\nSolve it step by step in one or two lines, then end with 'The answer is' and the number."
    rows = []
    for _ in range(count):
        problem = word_problems(rng, level=1)
        message = {"role": "user", "content": problem.prompt + ask}
        text = tokenizer.apply_chat_template([message], add_generation_prompt=True, tokenize=False)
        rows.append({"prompt": text, "answer": problem.answer})
    return rows


def reward(completions: list[str], answer: list[str], **_: Any) -> list[float]:
    """The share of digits, and 1 for the right answer: untrained models differ in it, so that there is a gradient."""
    digits = [sum(c.isdigit() for c in text) / max(1, len(text)) for text in completions]
    return [float(t.strip() == a) + 0.1 * d for t, a, d in zip(completions, answer, digits, strict=True)]


def reserve_threads(count: int) -> None:
    """For the children of a benchmark: must run before torch starts its threads."""
    os.environ["OMP_NUM_THREADS"] = str(count)


def peak_megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class Stopwatch:
    """Wall seconds and CPU seconds of this process."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def read(self) -> dict[str, float]:
        return {"wall": time.perf_counter() - self.wall, "cpu": time.process_time() - self.cpu}


def median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return {"cpu": model, "cores": os.cpu_count(), "torch": torch.__version__, "load": os.getloadavg()[0]}


def write_result(name: str, result: dict[str, Any]) -> None:
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"wrote {path}")
