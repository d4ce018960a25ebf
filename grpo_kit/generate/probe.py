"""Is the engine sampling from the weights that the trainer holds? Asked after every sync, on a fixed prompt."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

import torch

from grpo_kit.errors import RunFailed
from grpo_kit.policy.models import Policy
from grpo_kit.policy.packing import TrainingSequence, micro_batches
from grpo_kit.types import Completion, Prompt

from .base import SamplingParams

# Mean |difference| per token that rounding explains; wrong weights are off by a whole nat or more.
TOLERANCES = {torch.float32: 1e-4, torch.bfloat16: 0.1}
TEXT = (
    "A fixed text, long enough to fill a block of the key-value cache, so that a cache kept from older weights shows. "
)
PROMPT_TOKENS = 160  # a block is 16 tokens on a GPU and 128 on a CPU
SAMPLES, TOKENS = 4, 4  # few steps of the engine, enough tokens for a mean


class Probe:
    """A prompt, how to sample from it, and the comparison with the trainer.

    The engine samples and reports as it does in training, temperature included: so this also finds engines that report
    the log-probabilities of another distribution than the one they sample.
    """

    def __init__(self, policy: Policy, temperature: float, tolerance: float | None) -> None:
        self.policy, self.temperature = policy, temperature
        self.tolerance = tolerance or TOLERANCES[policy.autocast or torch.float32]
        ids: list[int] = []
        while len(ids) < PROMPT_TOKENS:
            ids += policy.tokenizer.encode(TEXT, add_special_tokens=False)
        self.prompt = Prompt("probe", tuple(ids[: min(PROMPT_TOKENS, policy.context_length - TOKENS)]))
        self.sampling = SamplingParams(n=SAMPLES, temperature=temperature, max_tokens=TOKENS)

    @property
    def length(self) -> int:
        """Tokens that the engine must have room for."""
        return len(self.prompt.token_ids) + TOKENS

    def check(self, completions: Sequence[Completion], version: int, engine: str) -> float:
        """Mean |logprob difference| between engine and trainer over the sampled tokens.

        Raises:
            RunFailed: it is above the tolerance, or the engine says that other weights sampled.
        """
        versions = {c.policy_version for c in completions}
        if versions != {version}:
            raise RunFailed(f"{engine} answered with policy version {sorted(versions)} after the update to {version}")
        sampled = [p for c in completions for p in c.logprobs]
        difference = fmean(abs(a - b) for a, b in zip(sampled, self._trainer_logprobs(completions), strict=True))
        if not difference <= self.tolerance:  # not a number is a failure too
            raise RunFailed(
                f"after the update to policy version {version}, the log-probabilities that {engine} gives to its own samples "
                f"differ from the trainer's by {difference:.2g} on average (tolerance {self.tolerance:g}). It works with "
                "stale or half-loaded weights, kept a cache of older ones, or reports another distribution than "
                "softmax(logits / temperature). If only its precision differs, raise rollout.vllm.probe_tolerance; "
                "rollout.engine=torch needs no sync."
            )
        return difference

    @torch.no_grad()
    def _trainer_logprobs(self, completions: Sequence[Completion]) -> list[float]:
        model = self.policy.model
        sequences = [TrainingSequence.of(self.prompt, c) for c in completions]
        training = model.training
        model.eval()
        try:
            # All rows have one length, so they form one micro-batch in the given order.
            (batch,) = micro_batches(sequences, self.length * len(sequences), self.policy.device)
            logprobs, _ = self.policy.logprobs(batch, self.temperature)
        finally:
            model.train(training)
        return [float(p) for p in logprobs]
