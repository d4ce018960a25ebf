"""TRL's step beside ours, of the same prompts, group and lengths: TRL samples with transformers, we with the embedded engine."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from typing import Any

import torch
from gpu_models import GROUP, SHAPES, forget, network, peaks, policy_of, random_groups, updater_of, wait
from gpu_parts import Report
from tiny import reward, sums

from grpo_kit.generate.base import SamplingParams
from grpo_kit.generate.torch_engine import TorchEngine
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.scratch import build_tokenizer
from grpo_kit.types import Prompt


@dataclass(frozen=True)
class Step:
    """Prompts of a step, and tokens of a prompt, of a response and of a micro-batch."""

    prompts: int
    prompt: int
    completion: int
    micro_batch: int

    @property
    def rows(self) -> int:
        return self.prompts * GROUP

    @property
    def rows_together(self) -> int:
        """Rows of TRL's micro-batch: as many as fit, and a divisor of all."""
        fitting = max(1, self.micro_batch // (self.prompt + self.completion))
        return next(m for m in range(min(fitting, self.rows), 0, -1) if self.rows % m == 0)


def beside_trl(report: Report) -> None:
    step = Step(2, 16, 8, 256) if report.tiny else Step(16, 128, 512, report.options.tokens)
    for name in report.options.shapes:
        found: dict[str, float] = {}
        for side, measured in (("ours", _ours), ("trl", _theirs)):
            with report.case(f"{name}, {side}", 40.0) as put:
                if put is not None:
                    seconds = measured(report, name, step)
                    found[side] = min(seconds[1:])
                    put({"step_seconds": found[side], "all": seconds, **peaks(report.device)})
            forget(report.device)
        if len(found) == 2:
            report.put(f"{name}, trl by ours", found["trl"] / found["ours"])


def _ours(report: Report, name: str, step: Step) -> list[float]:
    """Seconds of each of three steps: sampled and learned from, the random advantages of a step included."""
    policy = policy_of(SHAPES[name], report.device)
    policy.share_prompts()
    engine, updater = TorchEngine(policy, max_rows=max(256, step.rows)), updater_of(policy, step.micro_batch)
    prompts = [Prompt(str(i), tuple([65 + i % 26] * step.prompt)) for i in range(step.prompts)]
    sequences = random_groups(step.prompts, step.prompt, step.completion, 256)
    found = []
    for number in range(3):
        wait(report.device)
        begun = time.perf_counter()
        sampling = SamplingParams(n=GROUP, max_tokens=step.completion, stop_token_ids=(), seed=number)
        groups = list(engine.generate(prompts, sampling))
        completions = [c for group in sorted(groups, key=lambda g: int(g[0].task_id)) for c in group]
        for sequence, completion in zip(sequences, completions, strict=True):
            sequence.prompt_ids = prompts[int(completion.task_id)].token_ids
            sequence.completion_ids = list(completion.token_ids)
            sequence.behaviour_logprobs = torch.tensor(completion.logprobs, dtype=torch.float64)
        policy.model.train()
        updater.optimizer_step(sequences, Measures())
        engine.sync(policy.model, number + 1)
        wait(report.device)
        found.append(time.perf_counter() - begun)
    return found


def _theirs(report: Report, name: str, step: Step) -> list[float]:
    from datasets import Dataset
    from transformers import TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    device, seconds = report.device, []

    class Steps(TrainerCallback):
        begun = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait(device)
            self.begun = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            wait(device)
            seconds.append(time.perf_counter() - self.begun)

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            per_device_train_batch_size=step.rows_together,
            gradient_accumulation_steps=step.rows // step.rows_together,
            num_generations=GROUP,
            beta=0.0,
            loss_type="grpo",
            max_completion_length=step.completion,
            max_steps=3,
            learning_rate=1e-6,
            bf16=True,
            gradient_checkpointing=False,
            use_cpu=device.type == "cpu",
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
            generation_kwargs={"min_new_tokens": step.completion},
        )
        rows = [{**r, "prompt": r["prompt"].ljust(step.prompt, "x")} for r in sums(4 * step.rows)]
        model = network(SHAPES[name], device)
        model.config._name_or_path = model.name_or_path = folder
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_list(rows),
            processing_class=build_tokenizer(),
            callbacks=[Steps()],
        )
        trainer.train()
    return seconds
