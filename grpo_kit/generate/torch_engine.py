"""The embedded engine: samples from the trainer's own model, in the trainer's own process.

Each prompt goes through the model once and its cache is copied to its G samples. All running sequences advance together
by one token; a finished one leaves the batch at once and waiting prompts take the free slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache

from grpo_kit.errors import UserError
from grpo_kit.policy.models import Policy
from grpo_kit.types import Completion, FinishReason, Prompt

from .base import SamplingParams, check_prompts
from .sampling import draw, processed_logprobs, uniforms
from .slots import SlotCache


@dataclass(slots=True)
class _Sequence:
    """One running sample of one prompt."""

    prompt: Prompt
    sample_index: int
    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    text: str = ""


class TorchEngine:
    """Samples from a transformers model that it shares with the trainer (see `generate.base.Generator`).

    Args:
        policy: the policy; its weights are read as they are at every call, so `sync` copies nothing.
        max_rows: how many sequences are decoded side by side (raised to the group size where that is larger).
    """

    def __init__(self, policy: Policy, max_rows: int = 256) -> None:
        _refuse_unsupported(policy.model.config)
        self.policy, self.max_rows = policy, max_rows
        self._version = 0

    @property
    def policy_version(self) -> int:
        return self._version

    def sync(self, model: nn.Module, version: int) -> None:
        self._version = version

    def statistics(self) -> dict[str, float]:
        return {}

    def close(self) -> None:
        return None

    def generate(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[list[Completion]]:
        """See `Generator.generate`. Raises UserError if a prompt and ``max_tokens`` exceed the model's context."""
        check_prompts(prompts, sampling, self.policy.context_length)
        return self._run(prompts, sampling)

    def _run(self, prompts: Sequence[Prompt], sampling: SamplingParams) -> Iterator[list[Completion]]:
        training = self.policy.model.training
        self.policy.model.eval()
        try:
            batch = _Batch(self.policy, max(self.max_rows, sampling.n), sampling, self._version)
            waiting = deque(prompts)
            while waiting or batch.running:
                free = (batch.slots - len(batch.running)) // sampling.n
                if free and waiting:
                    yield from batch.admit([waiting.popleft() for _ in range(min(free, len(waiting)))])
                if batch.running:
                    yield from batch.advance()
        finally:
            self.policy.model.train(training)


class _Batch:
    """The running sequences, row i of the cache belonging to ``running[i]``."""

    def __init__(self, policy: Policy, slots: int, sampling: SamplingParams, version: int) -> None:
        self.policy, self.slots, self.sampling, self.version = policy, slots, sampling, version
        self.backbone, self.head, self.device = policy.backbone, policy.head, policy.device
        self.cache = SlotCache(policy.model.config.num_hidden_layers, slots)
        self.running: list[_Sequence] = []
        self.positions = torch.empty(0, dtype=torch.long, device=self.device)
        self.last_tokens = torch.empty(0, dtype=torch.long, device=self.device)
        self.noise = torch.empty(0, sampling.max_tokens, dtype=torch.float64, device=self.device)
        self.lengths = torch.empty(0, dtype=torch.long, device=self.device)
        self.finished: dict[str, list[Completion]] = {}
        stops = sorted(sampling.stop_token_ids)
        self.stop_ids = torch.tensor(stops, dtype=torch.long, device=self.device)
        self.stop_set = frozenset(stops)

    @torch.no_grad()
    def admit(self, prompts: list[Prompt]) -> Iterator[list[Completion]]:
        """Prefill prompts once each, give every sample of each a slot, and sample its first token."""
        lengths = torch.tensor([len(p.token_ids) for p in prompts], device=self.device)
        input_ids = torch.zeros(len(prompts), int(lengths.max()), dtype=torch.long)
        for row, prompt in enumerate(prompts):
            input_ids[row, : len(prompt.token_ids)] = torch.tensor(prompt.token_ids)
        prefilled = DynamicCache()
        with self.policy.precision():
            hidden = self.backbone(
                input_ids=input_ids.to(self.device), past_key_values=prefilled, use_cache=True
            ).last_hidden_state
            logits = self.head.logits(hidden[torch.arange(len(prompts), device=self.device), lengths - 1])
        n, first = self.sampling.n, len(self.running)
        source = torch.arange(len(prompts), device=self.device).repeat_interleave(n)
        self.cache.insert(first, prefilled, source)
        new = [_Sequence(prompt, index) for prompt in prompts for index in range(n)]
        self.running.extend(new)
        self.positions = torch.cat([self.positions, lengths[source]])
        self.lengths = torch.cat([self.lengths, torch.zeros(len(new), dtype=torch.long, device=self.device)])
        self.last_tokens = torch.cat([self.last_tokens, torch.zeros_like(source)])
        if not self.sampling.greedy:
            fresh = [torch.from_numpy(uniforms(self.sampling, s.prompt.task_id, s.sample_index)) for s in new]
            self.noise = torch.cat([self.noise, torch.stack(fresh).to(self.device)])
        rows = torch.arange(first, first + len(new), device=self.device)
        return self._sample(processed_logprobs(logits, self.sampling)[source], rows)

    @torch.no_grad()
    def advance(self) -> Iterator[list[Completion]]:
        """One more token for every running sequence."""
        self.cache.step(self.positions)
        visible = torch.arange(int(self.positions.max()) + 1, device=self.device)
        mask = (visible[None] <= self.positions[:, None])[:, None, None]  # [rows, 1, 1, columns]
        with self.policy.precision():
            hidden = self.backbone(
                input_ids=self.last_tokens[:, None],
                position_ids=self.positions[:, None],
                attention_mask=mask,
                past_key_values=self.cache,
                use_cache=True,
            ).last_hidden_state
            logits = self.head.logits(hidden[:, -1])
        self.positions = self.positions + 1
        rows = torch.arange(len(self.running), device=self.device)
        return self._sample(processed_logprobs(logits, self.sampling), rows)

    def _sample(self, logprobs: Tensor, rows: Tensor) -> Iterator[list[Completion]]:
        """Draw a token for each of ``rows``; yield the groups that this completes and free their slots."""
        drawn = self.lengths[rows]
        uniform = self.noise[rows, drawn] if not self.sampling.greedy else drawn
        tokens, chosen = draw(logprobs, uniform, self.sampling.greedy)
        self.last_tokens[rows] = tokens
        self.lengths[rows] = drawn + 1
        first = len(self.running) - len(rows)
        for row, (token, logprob) in enumerate(zip(tokens.tolist(), chosen.tolist(), strict=True), start=first):
            self.running[row].tokens.append(token)
            self.running[row].logprobs.append(logprob)
        ended: dict[int, FinishReason] = {}
        for row in range(first, len(self.running)):
            reason = self._finish_reason(self.running[row])
            if reason:
                ended[row] = reason
        return self._retire(ended) if ended else iter(())

    def _finish_reason(self, sequence: _Sequence) -> FinishReason | None:
        if sequence.tokens[-1] in self.stop_set:
            return "stop"
        if self.sampling.stop and self._stop_string_at(sequence) is not None:
            return "stop"
        return "length" if len(sequence.tokens) == self.sampling.max_tokens else None

    def _stop_string_at(self, sequence: _Sequence) -> int | None:
        """Where the first stop string begins in the text so far; sets ``sequence.text``."""
        sequence.text = self._decode(sequence.tokens)
        found = [at for stop in self.sampling.stop if (at := sequence.text.find(stop)) >= 0]
        return min(found) if found else None

    def _decode(self, tokens: list[int]) -> str:
        return str(self.policy.tokenizer.decode(tokens, skip_special_tokens=True))

    def _retire(self, ended: dict[int, FinishReason]) -> Iterator[list[Completion]]:
        complete = []
        for row, reason in ended.items():
            sequence = self.running[row]
            group = self.finished.setdefault(sequence.prompt.task_id, [])
            group.append(self._completion(sequence, reason))
            if len(group) == self.sampling.n:
                complete.append(sorted(self.finished.pop(sequence.prompt.task_id), key=lambda c: c.sample_index))
        self._compact(set(ended))
        return iter(complete)

    def _completion(self, sequence: _Sequence, reason: FinishReason) -> Completion:
        cut = self._stop_string_at(sequence) if self.sampling.stop else None
        text = sequence.text if self.sampling.stop else self._decode(sequence.tokens)
        return Completion(
            sequence.prompt.task_id,
            sequence.sample_index,
            sequence.tokens,
            sequence.logprobs,
            text if cut is None else text[:cut],
            reason,
            self.version,
        )

    def _compact(self, ended: set[int]) -> None:
        """Move the last running rows into the holes, so that the batch stays dense."""
        left = len(self.running) - len(ended)
        holes = [row for row in sorted(ended) if row < left]
        movers = [row for row in range(left, len(self.running)) if row not in ended]
        if holes:
            destination = torch.tensor(holes, device=self.device)
            origin = torch.tensor(movers, device=self.device)
            self.cache.move(destination, origin)
            for state in (self.positions, self.last_tokens, self.lengths):
                state[destination] = state[origin]
            if not self.sampling.greedy:
                self.noise[destination] = self.noise[origin]
            for hole, mover in zip(holes, movers, strict=True):
                self.running[hole] = self.running[mover]
        del self.running[left:]
        self.positions, self.last_tokens = self.positions[:left], self.last_tokens[:left]
        self.lengths, self.noise = self.lengths[:left], self.noise[:left]


def _refuse_unsupported(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UserError(
            f"rollout.engine torch: {config.model_type} has {', '.join(sorted(kinds - {'full_attention'}))} layers, whose "
            "state the embedded engine does not keep; use rollout.engine: vllm"
        )
