"""The two sides of benchmarks/step.py, each a process that makes one GRPO step per line it reads from its parent.

Both train the same weights with the same prompts, group size, lengths, reward and settings. Each prints one JSON line per
step: wall and CPU seconds, tokens, and the parts of the step.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
LEARNING_RATE = 1e-6  # so small that the lengths of both sides stay what they are at the start


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("side", choices=["trl", "ours"])
    parser.add_argument("--model", required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--beta", type=float, default=0.04)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--fixed", action="store_true")
    parser.add_argument("--real", action="store_true", help="word problems in a chat template, in place of bare sums")
    parser.add_argument("--prompts", type=int, default=16)
    parser.add_argument("--group", type=int, default=8)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--micro", type=int, default=128, help="rows (TRL) of a micro-batch")
    parser.add_argument("--token-budget", type=int, default=4096, help="padded tokens (ours) of a micro-batch")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--exchange", required=True, help="file in which TRL's batch, loss and gradient are left")
    return parser.parse_args()


def say(**found: Any) -> None:
    print("@" + json.dumps(found), flush=True)


def tasks(options: argparse.Namespace, tokenizer: Any) -> list[dict[str, str]]:
    from tiny import problems, sums

    count = options.prompts * (options.steps + 2)
    return problems(count, tokenizer) if options.real else sums(count)


def wait() -> None:
    if not sys.stdin.readline():
        os._exit(0)


class Parts:
    """Seconds of the methods it is put around."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, owner: Any, name: str, key: str) -> None:
        inner = getattr(owner, name)

        def timed(*args: Any, **kwargs: Any) -> Any:
            begun = time.process_time()
            try:
                return inner(*args, **kwargs)
            finally:
                self.seconds[key] = self.seconds.get(key, 0.0) + time.process_time() - begun

        setattr(owner, name, timed)

    def take(self) -> dict[str, float]:
        found, self.seconds = self.seconds, {}
        return found


def trl_side(options: argparse.Namespace) -> None:
    import torch
    from datasets import Dataset
    from tiny import Stopwatch, peak_megabytes, reward
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    torch.set_num_threads(options.threads)
    rows = options.prompts * options.group
    config = GRPOConfig(
        output_dir=options.exchange + ".trl",
        per_device_train_batch_size=options.micro,
        gradient_accumulation_steps=rows // options.micro,
        num_generations=options.group,
        num_iterations=1,
        beta=options.beta,
        loss_type="grpo",
        use_bias_correction_kl=False,  # GRPO as published: on by default, it adds a term to the gradient of the KL
        max_completion_length=options.tokens,
        max_steps=options.steps,
        learning_rate=LEARNING_RATE,
        lr_scheduler_type="constant",
        temperature=1.0,
        bf16=options.precision == "bfloat16",
        fp16=False,
        gradient_checkpointing=False,
        use_cpu=True,
        logging_steps=1,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
        generation_kwargs={"min_new_tokens": options.tokens} if options.fixed else None,
        dataloader_pin_memory=False,
    )
    parts, lengths = Parts(), []

    class Steps(TrainerCallback):
        watch = Stopwatch()

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            wait()
            self.watch = Stopwatch()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            taken = self.watch.read()
            say(**taken, parts=parts.take(), length=sum(lengths) / len(lengths), peak_mb=peak_megabytes())
            lengths.clear()

    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32, attn_implementation="sdpa")
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    trainer = GRPOTrainer(
        model=model,
        reward_funcs=reward,
        args=config,
        train_dataset=Dataset.from_list(tasks(options, tokenizer)),
        processing_class=tokenizer,
        callbacks=[Steps()],
    )
    if rows == options.micro:
        keep_first_batch(trainer, options.exchange, lengths)
    parts.around(trainer, "_generate_single_turn", "generate")
    parts.around(trainer, "_generate_and_score_completions", "rollout")
    parts.around(trainer, "_compute_loss", "forward")
    parts.around(trainer.accelerator, "backward", "backward")
    trainer.train()


def keep_first_batch(trainer: Any, path: str, lengths: list[float]) -> None:
    """Leave the weights, batch, loss and gradient of TRL's third step for the other side to reproduce."""
    import torch

    inner, calls = trainer._compute_loss, []
    start = {k: v.clone() for k, v in trainer.model.state_dict().items()}

    def compute_loss(model: Any, inputs: Any) -> Any:
        lengths.append(float(inputs["completion_mask"].sum(1).float().mean()))
        calls.append(1)
        if len(calls) != 3:
            return inner(model, inputs)
        weights = {k: v.clone() for k, v in trainer.model.state_dict().items()}
        loss = inner(model, inputs)
        named = list(trainer.model.named_parameters())
        gradients = torch.autograd.grad(loss, [p for _, p in named], retain_graph=True)
        batch = {k: v.detach().clone() for k, v in inputs.items() if isinstance(v, torch.Tensor)}
        found = {n: g for (n, _), g in zip(named, gradients, strict=True)}
        torch.save({"weights": weights, "start": start, "batch": batch, "loss": loss.item(), "gradient": found}, path)
        return loss

    trainer._compute_loss = compute_loss


def our_side(options: argparse.Namespace) -> None:
    import torch
    from tiny import Stopwatch, peak_megabytes

    torch.set_num_threads(options.threads)
    trainer = OurTrainer(options)
    for step in range(options.steps):
        wait()
        watch = Stopwatch()
        length = trainer.step(step)
        say(**watch.read(), parts=trainer.parts.take(), length=length, peak_mb=peak_megabytes())
    wait()
    say(**trainer.reproduce(options.exchange))


class OurTrainer:
    """The pieces of the real loop: engine, batch, updater."""

    def __init__(self, options: argparse.Namespace) -> None:
        import torch

        from grpo_kit.config import ModelConfig, OptimizerConfig
        from grpo_kit.generate.torch_engine import TorchEngine
        from grpo_kit.objective.algorithms import resolve_objective
        from grpo_kit.policy.layers import compile_layers
        from grpo_kit.policy.models import load_policy
        from grpo_kit.train.learner import LearnerSettings
        from grpo_kit.train.learners import PolicyGradientLearner
        from grpo_kit.train.update import PolicyUpdater

        self.options, self.parts = options, Parts()
        self.policy = load_policy(ModelConfig(path=options.model, dtype=options.precision), torch.device("cpu"))
        assert self.policy.share_prompts() is None  # as `train` does
        if options.compile:
            compile_layers(self.policy.model)
        self.engine = TorchEngine(self.policy)
        self.objective = resolve_objective("grpo", {"beta": options.beta})
        optimizer = OptimizerConfig(learning_rate=LEARNING_RATE, warmup_steps=0, schedule="constant")
        reference = self.policy.reference() if options.beta else None
        self.updater = PolicyUpdater(
            self.policy,
            self.objective,
            optimizer,
            total_updates=options.steps,
            token_budget=options.token_budget,
            temperature=1.0,
            reference=reference,
        )
        settings = LearnerSettings(optimizer, options.steps, 1, 1, options.token_budget, 1.0, options.tokens)
        self.learner = PolicyGradientLearner(self.updater, settings)
        self.rows = tasks(options, self.policy.tokenizer)
        self.parts.around(self.updater, "annotate", "reference")
        self.parts.around(self.updater, "optimizer_step", "forward_backward")

    def step(self, number: int) -> float:
        from dataclasses import replace

        from tiny import reward

        from grpo_kit.generate.base import SamplingParams
        from grpo_kit.types import Group, Prompt, Score, Task

        options, tokenizer = self.options, self.policy.tokenizer
        rows = self.rows[number * options.prompts : (number + 1) * options.prompts]
        prompts = [
            Prompt(str(i), tuple(tokenizer(r["prompt"], add_special_tokens=False)["input_ids"]))
            for i, r in enumerate(rows)
        ]
        stops = () if options.fixed else (tokenizer.eos_token_id,)
        sampling = SamplingParams(n=options.group, max_tokens=options.tokens, stop_token_ids=stops, seed=number)
        begun = time.process_time()
        groups = []
        for completions in self.engine.generate(prompts, sampling):
            index = int(completions[0].task_id)
            task = Task(str(index), ({"role": "user", "content": rows[index]["prompt"]},), rows[index]["answer"])
            values = reward([c.text for c in completions], [rows[index]["answer"]] * len(completions))
            scores = [Score(v) for v in values]
            groups.append(Group(task, prompts[index], completions, scores))
        self.parts.seconds["generate"] = time.process_time() - begun
        self.policy.model.train()
        learned = self.learner.learn(groups)
        assert learned.metrics["grad_norm"] > 0
        self.engine.sync(self.policy.model, number + 1)
        lengths = [len(c.token_ids) for g in groups for c in replace(g).completions]
        return sum(lengths) / len(lengths)

    def reproduce(self, path: str) -> dict[str, float]:
        """Our loss and gradient on TRL's own batch and weights, as relative differences."""
        import torch

        from grpo_kit.objective.losses import sequence_weights
        from grpo_kit.observe.measure import Measures
        from grpo_kit.policy.packing import TrainingSequence

        kept = torch.load(path, weights_only=True)
        batch = kept["batch"]
        self.policy.model.load_state_dict(kept["weights"])
        if self.updater.reference is not None:
            self.updater.reference.model.load_state_dict(kept["start"])
        sequences = []
        for row in range(batch["completion_ids"].shape[0]):
            prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()].tolist()
            completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()].tolist()
            sequences.append(TrainingSequence(prompt, completion, float(batch["advantages"][row]), 0.0))
        lengths = torch.tensor([len(s.completion_ids) for s in sequences], dtype=torch.float64)
        weights = sequence_weights(
            lengths,
            aggregation=self.objective.aggregation,
            max_tokens=self.options.tokens,
            group_index=torch.arange(len(sequences)) // self.options.group,
        )
        for sequence, weight in zip(sequences, weights.tolist(), strict=True):
            sequence.weight = weight
        self.updater.annotate(sequences)
        self.policy.model.zero_grad()
        loss = 0.0
        for micro in self.updater._batches(sequences):
            part = self.updater.loss(micro, Measures())
            part.backward()
            loss += float(part.detach())
        ours = torch.cat([p.grad.flatten() for _, p in self.policy.model.named_parameters()])
        theirs = torch.cat([kept["gradient"][n].flatten() for n, _ in self.policy.model.named_parameters()])
        # The loss is a difference of terms the size of the advantages, which cancel: they are what it is relative to.
        scale = float(batch["advantages"].abs().mean())
        return {
            "loss": loss,
            "peer_loss": kept["loss"],
            "loss_difference": abs(loss - kept["loss"]) / scale,
            "gradient_difference": float((ours - theirs).norm() / theirs.norm()),
            **(self.errors(kept, ours, theirs) if self.options.real and not self.options.beta else {}),
        }

    def errors(self, kept: dict[str, Any], ours: Any, theirs: Any) -> dict[str, float]:
        """What of the difference is whose: both gradients against that of plain transformers in float64, row by row."""
        import torch
        from transformers import AutoModelForCausalLM

        model = AutoModelForCausalLM.from_pretrained(
            self.options.model, dtype=torch.float64, attn_implementation="sdpa"
        )
        model.load_state_dict(kept["weights"])
        batch = kept["batch"]
        rows = batch["completion_ids"].shape[0]
        for row in range(rows):
            prompt = batch["prompt_ids"][row][batch["prompt_mask"][row].bool()]
            completion = batch["completion_ids"][row][batch["completion_mask"][row].bool()]
            logits = model(torch.cat([prompt, completion])[None]).logits[0, len(prompt) - 1 : -1]
            found = logits.log_softmax(-1).gather(-1, completion[:, None]).mean()
            (-batch["advantages"][row].double() * found / rows).backward()
        exact = torch.cat([p.grad.flatten() for _, p in model.named_parameters()])
        return {
            "our_gradient_error": float((ours - exact).norm() / exact.norm()),
            "peer_gradient_error": float((theirs - exact).norm() / exact.norm()),
        }


if __name__ == "__main__":
    chosen = arguments()
    for name, value in (
        ("OMP_NUM_THREADS", str(chosen.threads)),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("HF_HUB_OFFLINE", "1"),
        ("TRL_EXPERIMENTAL_SILENCE", "1"),
    ):
        os.environ[name] = value
    (trl_side if chosen.side == "trl" else our_side)(chosen)
