"""Rates of one device at the shapes of real models with random weights: training tokens and sampled tokens per second."""

from __future__ import annotations

import copy
import time
from argparse import Namespace
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from gpu_models import (
    GROUP,
    SHAPES,
    forget,
    nominal_rate,
    peaks,
    policy_of,
    product_rate,
    random_groups,
    seconds_of,
    updater_of,
    wait,
)
from gpu_parts import Report

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.observe.clock import Clock, run_by
from grpo_kit.observe.measure import Measures
from grpo_kit.plan.memory import RUNTIME, Setting, memory_of
from grpo_kit.plan.shape import ModelShape
from grpo_kit.policy.models import Policy
from grpo_kit.types import Prompt

GIB = 2**30


@dataclass(frozen=True)
class Lengths:
    """Tokens of a prompt, of a response and of a micro-batch, and groups of a step."""

    prompt: int
    completion: int
    micro_batch: int
    groups: int

    @classmethod
    def of(cls, options: Namespace) -> Lengths:
        return cls(16, 24, 256, 2) if options.shapes == ["tiny"] else cls(512, 1024, options.tokens, 4)


class Training:
    """Optimizer steps of one shape, timed."""

    def __init__(self, report: Report, shape: ModelShape, *, compiled: bool = False) -> None:
        self.report, self.shape, self.lengths = report, shape, Lengths.of(report.options)
        self.policy = policy_of(shape, report.device, compiled=compiled)
        self.policy.model.train()
        self.updater = updater_of(self.policy, self.lengths.micro_batch)
        lengths = self.lengths
        self.sequences = random_groups(lengths.groups, lengths.prompt, lengths.completion, shape.vocabulary)

    def step(self) -> None:
        self.updater.optimizer_step(self.sequences, Measures())

    def rate(self, products: float) -> dict[str, Any]:
        """Tokens per second, utilisation and peak memory of a step. products: of this device, per second."""
        device = self.report.device
        self.step()  # the moments are there from here on
        forget(device)
        self.updater.flops = 0.0
        self.step()
        work, peak = self.updater.flops, peaks(device)
        seconds = seconds_of(self.step, device, rounds=1 if self.report.tiny else 3, warm=0)
        nominal = nominal_rate(device)
        return {
            "tokens_per_second": sum(s.length for s in self.sequences) / seconds,
            "utilisation": work / seconds / products,
            "nominal_utilisation": None if nominal is None else work / seconds / nominal,
            "seconds": seconds,
            **peak,
        }

    def phases(self) -> dict[str, float]:
        """Seconds of a step's phases; each waits for the device, so their sum is more than a step takes."""
        clock = run_by(Clock())
        clock.region = lambda _: _waiting(self.report.device)
        self.step()
        found = {k.removeprefix("seconds/"): v for k, v in clock.finish().items()}
        clock.region = None
        return found

    def kernels(self, count: int = 15) -> dict[str, Any]:
        """What a step's time on the device goes to, in milliseconds by operation."""
        activities = [torch.profiler.ProfilerActivity.CPU]
        if self.report.cuda:
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        with torch.profiler.profile(activities=activities) as profile:
            self.step()
            wait(self.report.device)
        rows = [
            (event.key, (event.self_device_time_total if self.report.cuda else event.self_cpu_time_total) / 1e3)
            for event in profile.key_averages()
        ]
        rows.sort(key=lambda row: -row[1])
        return {"milliseconds": {key[:90]: round(value, 2) for key, value in rows[:count]}}

    def planned(self) -> dict[str, float]:
        """GB that `grpo-kit plan` says an update takes; without the runtime, which no allocator counts."""
        lengths, sequences = self.lengths, len(self.sequences)
        setting = Setting(
            shape=self.shape,
            devices=1,
            device=self.report.device.type,
            half=True,
            micro_batch=lengths.micro_batch,
            rows=1,
            length=lengths.prompt + lengths.completion,
            step_sequences=sequences,
            step_tokens=sequences * lengths.completion,
            engine="none",
        )
        return {"planned_gb": (memory_of(setting).peak - RUNTIME[setting.device] * GIB) / 1e9}


@contextmanager
def _waiting(device: torch.device) -> Any:
    yield
    wait(device)


def against_plan(found: dict[str, Any], planned: dict[str, float]) -> dict[str, Any]:
    ratio = planned["planned_gb"] / found["peak_allocated_gb"] if "peak_allocated_gb" in found else None
    return found | planned | {"planned_by_measured": ratio}


def kernels_of_attention() -> dict[str, Callable[[], AbstractContextManager[Any]]]:
    from torch.nn.attention import SDPBackend, sdpa_kernel

    chosen = {"flash": SDPBackend.FLASH_ATTENTION, "cudnn": SDPBackend.CUDNN_ATTENTION}
    return {name: (lambda backend=backend: sdpa_kernel([backend])) for name, backend in chosen.items()}


def training(report: Report) -> None:
    products = product_rate(report.device)
    report.put("product_tflops", products / 1e12)
    for name in report.options.shapes:
        _train_shape(report, name, products)
        forget(report.device)


def compiled(report: Report) -> None:
    """Apart from the rest, and late: compiling alone can use up the time of a part."""
    products = product_rate(report.device)
    for name in report.options.shapes:
        with report.case(f"{name}, compiled", 90.0) as put:
            if put is not None:
                begun = time.perf_counter()
                made = Training(report, SHAPES[name], compiled=True)
                made.step()
                compiling = time.perf_counter() - begun
                put(made.rate(products) | {"first_step_seconds": compiling})
        forget(report.device)


def _train_shape(report: Report, name: str, products: float) -> None:
    made: Training | None = None
    with report.case(f"{name}, a row each", 20.0) as put:
        if put is not None:
            made = Training(report, SHAPES[name])
            put(against_plan(made.rate(products), made.planned()))
    if made is None:
        return
    with report.case(f"{name}, phases", 5.0) as put:
        if put is not None:
            put(made.phases())
    with report.case(f"{name}, operations", 10.0) as put:
        if put is not None:
            put(made.kernels())
    with report.case(f"{name}, prompts shared", 10.0) as put:
        if put is not None:
            reason = made.policy.share_prompts()
            put({"apart_because": reason} if reason else made.rate(products))
    with report.case(f"{name}, operations with prompts shared", 10.0) as put:
        if put is not None:
            put(made.kernels())
    if not report.cuda:
        return
    del made
    forget(report.device)
    for backend, choose in kernels_of_attention().items():
        with report.case(f"{name}, a row each, {backend} attention alone", 15.0) as put:
            if put is not None:
                made = Training(report, SHAPES[name])
                with choose():
                    put(made.rate(products))
        made = None
        forget(report.device)


ROWS = (256, 1024, 64, 512, 128)  # sequences side by side, the most telling first


def sampling(report: Report) -> None:
    rows, prompt, tokens = ((8, 16), 16, 8) if report.tiny else (ROWS, 512, 128)
    for name in report.options.shapes:
        policy = policy_of(SHAPES[name], report.device)
        policy.model.eval()
        halved: Any = None
        for count in rows:
            with report.case(f"{name}, {count} rows, ours", 15.0) as put:
                if put is not None:
                    put(_sampled(_ours(policy, count, prompt, tokens), report))
            with report.case(f"{name}, {count} rows, transformers", 20.0) as put:
                if put is not None:
                    halved = halved or copy.deepcopy(policy.model).to(torch.bfloat16)
                    put(_sampled(_theirs(policy, halved, count, prompt, tokens), report))
        del policy, halved
        forget(report.device)


def _sampled(run: Callable[[], int], report: Report) -> dict[str, Any]:
    """Of the second run of two: the first one makes what is made once."""
    run()
    forget(report.device)
    wait(report.device)
    begun = time.perf_counter()
    tokens = run()
    wait(report.device)
    return {"tokens_per_second": tokens / (time.perf_counter() - begun), "tokens": tokens, **peaks(report.device)}


def _ours(policy: Policy, rows: int, prompt: int, tokens: int) -> Callable[[], int]:
    engine = TorchEngine(policy, max_rows=rows)
    prompts = [Prompt(str(i), tuple([65 + i % 26] * prompt)) for i in range(rows // GROUP)]
    sampling_of = SamplingParams(n=GROUP, max_tokens=tokens, stop_token_ids=())
    return lambda: sum(len(c.token_ids) for group in engine.generate(prompts, sampling_of) for c in group)


def _theirs(policy: Policy, halved: Any, rows: int, prompt: int, tokens: int) -> Callable[[], int]:
    """transformers.generate with bfloat16 weights, every sample a row with its own prompt."""
    ids = torch.tensor([[65 + i // GROUP % 26] * prompt for i in range(rows)], device=policy.device)
    mask = torch.ones_like(ids)

    def run() -> int:
        with torch.no_grad():
            found = halved.generate(
                input_ids=ids,
                attention_mask=mask,
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=True,
                top_k=0,
                pad_token_id=policy.tokenizer.pad_token_id,
            )
        return int(found[:, prompt:].numel())

    return run
