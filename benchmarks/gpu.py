"""One GPU, real shapes, random weights: training rate, utilisation, memory, sampling rate and a whole step, TRL beside it.

python benchmarks/gpu.py [--shapes qwen2.5-0.5b qwen2.5-1.5b] [--tokens 16384]
python benchmarks/gpu.py --device cpu --shapes tiny --tokens 1024 --prompts 2 --group 4 --completion 16   # its code, anywhere

Needs neither vLLM nor a download: the shapes are those of the hub's models, the weights are random, in bfloat16 autocast over
float32 weights. Utilisation is the model's products and causal attention, per second, against a large bfloat16 product of the
same run. Responses have a fixed length. TRL (where it is installed) samples with transformers, we with the embedded engine.
Writes benchmarks/results/gpu.json on a CUDA device only.
"""

from __future__ import annotations

import argparse
import gc
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tiny import reward, sums, write_result

from grpo_kit.config import ModelConfig, OptimizerConfig
from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.objective.algorithms import resolve_objective
from grpo_kit.observe.clock import Clock, run_by
from grpo_kit.observe.measure import Measures
from grpo_kit.plan.shape import KNOWN, ModelShape
from grpo_kit.policy.flops import Work
from grpo_kit.policy.models import Policy, load_policy
from grpo_kit.policy.packing import TrainingSequence
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.train.update import PolicyUpdater
from grpo_kit.types import Prompt

TINY = ModelShape(64, 2, 4, 2, 16, 128, 512, tied=True, bias=True)
PROMPT = 128  # tokens
ROUNDS = 3


def save_model(shape: ModelShape, folder: Path) -> None:
    """A Qwen2 of that shape with random weights, and a tokenizer of bytes."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    tokenizer = build_tokenizer()
    config = Qwen2Config(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=32768,
        tie_word_embeddings=shape.tied,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_gb(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else None


def best(work: Callable[[], Any], device: torch.device, rounds: int = ROUNDS) -> float:
    """The shortest of several times, in seconds, after one to warm up."""
    found = []
    for _ in range(rounds + 1):
        wait(device)
        begun = time.perf_counter()
        work()
        wait(device)
        found.append(time.perf_counter() - begun)
    return min(found[1:])


def product_rate(device: torch.device) -> float:
    """Floating-point operations per second of a large bfloat16 product."""
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2.0 * size**3 / best(lambda: left @ right, device, rounds=10)


def random_sequences(count: int, prompt: int, completion: int) -> list[TrainingSequence]:
    rng = random.Random(0)

    def ids(length: int) -> list[int]:
        return [rng.randrange(256) for _ in range(length)]

    return [TrainingSequence(ids(prompt), ids(completion), rng.gauss(0, 1), 1e-5) for _ in range(count)]


class Ours:
    """Policy, engine and updater, as the loop has them."""

    def __init__(self, folder: Path, options: argparse.Namespace, device: torch.device) -> None:
        self.options, self.device = options, device
        self.policy: Policy = load_policy(ModelConfig(path=str(folder), dtype="bfloat16"), device)
        self.clock = run_by(Clock())
        self.clock.region = self._region
        self.engine = TorchEngine(self.policy)
        self.updater = PolicyUpdater(
            self.policy,
            resolve_objective("grpo", {"beta": 0.0}),
            OptimizerConfig(learning_rate=1e-6),
            total_updates=1000,
            token_budget=options.tokens,
            temperature=1.0,
        )

    def _region(self, _: str) -> Any:
        """Every phase waits for the device, so that its seconds are its own."""
        from contextlib import contextmanager

        @contextmanager
        def waiting() -> Any:
            yield
            wait(self.device)

        return waiting()

    def update(self, sequences: list[TrainingSequence]) -> None:
        self.policy.model.train()
        self.updater.optimizer_step(sequences, Measures())

    def sample(self, seed: int = 0) -> int:
        """Tokens that were sampled."""
        options = self.options
        prompts = [Prompt(str(i), tuple([65 + i % 26] * PROMPT)) for i in range(options.prompts)]
        sampling = SamplingParams(n=options.group, max_tokens=options.completion, stop_token_ids=(), seed=seed)
        return sum(len(c.token_ids) for group in self.engine.generate(prompts, sampling) for c in group)

    def step(self) -> None:
        rows = self.options.prompts * self.options.group
        with self.clock.phase("generate"):
            self.sample()
        with self.clock.phase("update"):
            self.update(random_sequences(rows, PROMPT, self.options.completion))
        with self.clock.phase("sync"):
            self.engine.sync(self.policy.model, 1)


def measure(shape: ModelShape, folder: Path, options: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    gemm = product_rate(device)
    ours = Ours(folder, options, device)
    length = 1024 if options.tokens >= 4096 else 128
    sequences = random_sequences(2 * options.tokens // length, length // 4, length - length // 4)
    seconds = best(lambda: ours.update(sequences), device)
    work = 3.0 * Work.of(ours.policy.model).forward(
        sum(s.length for s in sequences), sum(s.length**2 / 2 for s in sequences)
    )
    found: dict[str, Any] = {
        "parameters": sum(p.numel() for p in ours.policy.model.parameters()),
        "training_tokens_per_second": sum(s.length for s in sequences) / seconds,
        "utilisation": work / seconds / gemm,
        "product_tflops": gemm / 1e12,
        "update_peak_gb": peak_gb(device),
    }
    begun = time.perf_counter()
    found["sampled_tokens_per_second"] = ours.sample() / (time.perf_counter() - begun)
    ours.step()
    ours.clock.finish()
    ours.step()
    found["step"] = {k.removeprefix("seconds/"): v for k, v in ours.clock.finish().items()}
    found["step_peak_gb"] = peak_gb(device)
    return found


def measure_trl(folder: Path, options: argparse.Namespace, device: torch.device) -> dict[str, float] | None:
    """Seconds of TRL's step of the same prompts, group and lengths; None where it is not installed."""
    try:
        from datasets import Dataset
        from trl import GRPOConfig, GRPOTrainer
    except ImportError:
        return None
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback

    rows, micro = options.prompts * options.group, max(1, options.tokens // (PROMPT + options.completion))
    micro = next(m for m in range(min(micro, rows), 0, -1) if rows % m == 0)
    seconds: list[float] = []

    class Steps(TrainerCallback):
        begun = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait(device)
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait(device)
            seconds.append(time.perf_counter() - self.begun)

    config = GRPOConfig(
        output_dir=str(folder / "trl"), per_device_train_batch_size=micro, gradient_accumulation_steps=rows // micro,
        num_generations=options.group, beta=0.0, loss_type="grpo", max_completion_length=options.completion, max_steps=3,
        learning_rate=1e-6, bf16=True, gradient_checkpointing=False, use_cpu=device.type == "cpu", report_to="none",
        save_strategy="no", disable_tqdm=True, generation_kwargs={"min_new_tokens": options.completion},
    )  # fmt: skip
    prompts = [
        {"prompt": r["prompt"] + "x" * (PROMPT - len(r["prompt"])), "answer": r["answer"]} for r in sums(4 * rows)
    ]
    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32),
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(prompts),
        processing_class=AutoTokenizer.from_pretrained(folder),
        callbacks=[Steps()],
    )
    trainer.train()
    return {"step_seconds": min(seconds[1:]), "peak_gb": peak_gb(device) or 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--shapes", nargs="+", default=["qwen2.5-0.5b", "qwen2.5-1.5b"], choices=[*KNOWN, "tiny"])
    parser.add_argument("--tokens", type=int, default=16384, help="of a micro-batch")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--completion", type=int, default=512, help="tokens of a response")
    parser.add_argument("--no-trl", action="store_true")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("no CUDA device here; --device cpu --shapes tiny runs the code without one")
    found: dict[str, Any] = {}
    for name in options.shapes:
        with tempfile.TemporaryDirectory() as temporary:
            shape = KNOWN.get(name, TINY)
            save_model(shape, Path(temporary))
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            case = measure(shape, Path(temporary), options, device)
            gc.collect()
            if device.type == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats(device)
            peer = None if options.no_trl else measure_trl(Path(temporary), options, device)
            if peer is not None:
                case |= {"trl": peer, "step_ratio": case["step"]["total"] / peer["step_seconds"]}
            found[name] = case
            print(name, case, flush=True)
    if device.type == "cuda":
        settings = {k: v for k, v in vars(options).items() if k != "shapes"}
        machine = {"gpu": torch.cuda.get_device_name(device), "torch": torch.__version__}
        write_result("gpu", {"machine": machine, "settings": settings, "cases": found})


if __name__ == "__main__":
    main()
