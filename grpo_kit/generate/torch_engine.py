"""The embedded engine: samples from the trainer's own model, in the trainer's own process.

Each prompt goes through the model once and its cache is copied to its G samples. All running sequences advance together
by one token; a finished one leaves the batch at once and waiting prompts take the free slots.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from grpo_kit.errors import UserError
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.types import Completion, FinishReason, Prompt

from .base import SamplingParams, UnderWay, check_prompts
from .decoder import Decoder, can_decode
from .sampling import draw, processed_logprobs, uniforms
from .slots import SlotCache


@dataclass(slots=True)
class _Sequence:
    """One running sample of one prompt."""

    prompt: Prompt
    sample_index: int


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
        self._decodes: bool | None = None  # whether `Decoder` serves this model: found out at the first call

    @property
    def policy_version(self) -> int:
        return self._version

    def sync(self, model: Network, version: int) -> None:
        self._version = version

    def weights_stable(self, stable: bool) -> None:
        """See `Generator.weights_stable`. It samples from them, and only when it is asked to."""

    def statistics(self) -> Measures:
        return Measures()

    def close(self) -> None:
        return None

    def generate(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, under_way: UnderWay | None = None
    ) -> Iterator[list[Completion]]:
        """See `Generator.generate`. Raises UserError if a prompt and ``max_tokens`` exceed the model's context."""
        check_prompts(prompts, sampling, self.policy.context_length)
        return self._run(prompts, sampling, under_way)

    def _run(
        self, prompts: Sequence[Prompt], sampling: SamplingParams, under_way: UnderWay | None
    ) -> Iterator[list[Completion]]:
        training = self.policy.model.training
        self.policy.model.eval()
        try:
            if self._decodes is None:
                self._decodes = can_decode(self.policy)
            decoder = Decoder(self.policy) if self._decodes else None
            slots = max(min(self.max_rows, len(prompts) * sampling.n), sampling.n)
            batch = _Batch(self.policy, decoder, slots, sampling, self._version)
            waiting = deque(prompts)
            while waiting or batch.running:
                free = (batch.slots - len(batch.running)) // sampling.n
                if free and waiting:
                    yield from batch.admit([waiting.popleft() for _ in range(min(free, len(waiting)))])
                if batch.running:
                    yield from batch.advance(more=bool(waiting))
                    if under_way is not None:
                        under_way(batch.under_way())
        finally:
            self.policy.model.train(training)


class _Batch:
    """The running sequences, row i of the cache belonging to ``running[i]``."""

    def __init__(
        self, policy: Policy, decoder: Decoder | None, slots: int, sampling: SamplingParams, version: int
    ) -> None:
        self.policy, self.decoder, self.slots = policy, decoder, slots
        self.sampling, self.version = sampling, version
        self.backbone, self.head, self.device = policy.backbone, policy.head, policy.device
        layers = policy.model.config.num_hidden_layers
        self.cache = SlotCache(layers, slots, None if decoder is None else decoder.dtype)
        self.running: list[_Sequence] = []
        # What belongs to a row, each [slots, ...]; rows beyond the running ones are free.
        self.positions = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.lengths = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.tokens = torch.zeros(slots, sampling.max_tokens, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(slots, sampling.max_tokens, device=self.device)
        columns = 0 if sampling.greedy else sampling.max_tokens
        self.noise = torch.zeros(slots, columns, dtype=torch.float64, device=self.device)
        self.finished: dict[str, list[Completion]] = {}
        self.stop_ids = torch.tensor(sorted(sampling.stop_token_ids), dtype=torch.long, device=self.device)

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
        rows = torch.arange(first, first + len(new), device=self.device)
        self.positions[rows] = lengths[source]
        self.lengths[rows] = 0
        if not self.sampling.greedy:
            fresh = [torch.from_numpy(uniforms(self.sampling, s.prompt.task_id, s.sample_index)) for s in new]
            self.noise[rows] = torch.stack(fresh).to(self.device)
        return self._sample(processed_logprobs(logits, self.sampling)[source], first)

    def under_way(self) -> float:
        """How many groups the tokens of those that are not finished amount to, at the length they may have at most."""
        decoded = float(self.lengths[: len(self.running)].sum()) / self.sampling.max_tokens
        return (decoded + sum(map(len, self.finished.values()))) / self.sampling.n

    @torch.no_grad()
    def advance(self, more: bool) -> Iterator[list[Completion]]:
        """One more token for every running sequence; ``more`` says whether further prompts wait for slots."""
        count = len(self.running)
        positions = self.positions[:count]
        last = self.tokens[:count].gather(1, (self.lengths[:count] - 1)[:, None])
        self.cache.step(positions, None if more else count)
        if self.decoder is not None:
            logits = self.decoder.step(last[:, 0], positions, self.cache)
        else:
            logits = self._model_step(last, positions)
        positions += 1
        return self._sample(processed_logprobs(logits, self.sampling), 0)

    def _model_step(self, last: Tensor, positions: Tensor) -> Tensor:
        """Logits [rows, vocabulary] by the model's own forward. last: [rows, 1]; positions: [rows]."""
        with self.policy.precision():
            hidden = self.backbone(
                input_ids=last,
                position_ids=positions[:, None],
                attention_mask=self.cache.mask(),
                past_key_values=self.cache,
                use_cache=True,
            ).last_hidden_state
            return self.head.logits(hidden[:, -1])

    def _sample(self, logprobs: Tensor, first: int) -> Iterator[list[Completion]]:
        """Draw a token for each row from ``first`` on; yield the groups that this completes and free their slots."""
        rows = torch.arange(first, len(self.running), device=self.device)
        drawn = self.lengths[first : len(self.running)]
        uniform = self.noise[rows, drawn] if not self.sampling.greedy else drawn
        tokens, chosen = draw(logprobs, uniform, self.sampling.greedy)
        self.tokens[rows, drawn] = tokens
        self.logprobs[rows, drawn] = chosen
        drawn += 1
        stopped = torch.isin(tokens, self.stop_ids)
        ended: dict[int, FinishReason] = {}
        for row in (stopped | (drawn == self.sampling.max_tokens)).nonzero()[:, 0].tolist():
            ended[first + row] = "stop" if stopped[row] else "length"
        if self.sampling.stop:
            for row in range(first, len(self.running)):
                if self._stop_string_at(self._decode(self._tokens(row))) is not None:
                    ended[row] = "stop"
        return self._retire(ended) if ended else iter(())

    def _tokens(self, row: int) -> list[int]:
        return self.tokens[row, : int(self.lengths[row])].tolist()

    def _stop_string_at(self, text: str) -> int | None:
        """Where the first stop string begins."""
        found = [at for stop in self.sampling.stop if (at := text.find(stop)) >= 0]
        return min(found) if found else None

    def _decode(self, tokens: list[int]) -> str:
        return str(self.policy.tokenizer.decode(tokens, skip_special_tokens=True))

    def _retire(self, ended: dict[int, FinishReason]) -> Iterator[list[Completion]]:
        complete = []
        for row, reason in ended.items():
            sequence = self.running[row]
            group = self.finished.setdefault(sequence.prompt.task_id, [])
            group.append(self._completion(row, reason))
            if len(group) == self.sampling.n:
                complete.append(sorted(self.finished.pop(sequence.prompt.task_id), key=lambda c: c.sample_index))
        self._compact(set(ended))
        return iter(complete)

    def _completion(self, row: int, reason: FinishReason) -> Completion:
        sequence, tokens = self.running[row], self._tokens(row)
        text = self._decode(tokens)
        return Completion(
            sequence.prompt.task_id,
            sequence.sample_index,
            tokens,
            self.logprobs[row, : len(tokens)].tolist(),
            text[: self._stop_string_at(text)],
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
            for state in (self.positions, self.lengths, self.tokens, self.logprobs, self.noise):
                state[destination] = state[origin]
            for hole, mover in zip(holes, movers, strict=True):
                self.running[hole] = self.running[mover]
        del self.running[left:]


def _refuse_unsupported(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UserError(
            f"rollout.engine torch: {config.model_type} has {', '.join(sorted(kinds - {'full_attention'}))} layers, whose "
            "state the embedded engine does not keep; use rollout.engine: vllm"
        )
