"""The embedded engine: samples from the trainer's own model, in the trainer's own process.

All running sequences advance together by one token; a finished one leaves the batch at once and waiting prompts take the free
slots. An episode leaves it when its turn has ended, and comes back when there is a reply to it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from grpo_kit.errors import UserError
from grpo_kit.observe.measure import Measures
from grpo_kit.policy.models import Policy
from grpo_kit.policy.network import Network
from grpo_kit.types import Completion, Prompt

from .base import Replies, SamplingParams, UnderWay, check_prompts
from .decoder import Decoder, can_decode
from .episode import OpenEpisodes
from .rows import Rows


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
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        under_way: UnderWay | None = None,
        replies: Replies | None = None,
    ) -> Iterator[list[Completion]]:
        """See `Generator.generate`.

        Raises:
            UserError: a prompt and ``max_tokens`` exceed the model's context.
            RunFailed: an episode exceeds it with what was inserted.
        """
        check_prompts(prompts, sampling, self.policy.context_length)
        return self._run(prompts, sampling, under_way, replies)

    def _run(
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        under_way: UnderWay | None,
        replies: Replies | None,
    ) -> Iterator[list[Completion]]:
        training = self.policy.model.training
        self.policy.model.eval()
        try:
            if self._decodes is None:
                self._decodes = can_decode(self.policy)
            decoder = Decoder(self.policy) if self._decodes else None
            slots = max(min(self.max_rows, len(prompts) * sampling.n), sampling.n)
            episodes = OpenEpisodes(sampling, replies, self.policy.context_length)
            rows = Rows(self.policy, decoder, slots, episodes, self._version)
            waiting = deque(prompts)
            while waiting or rows.busy:
                rows.replied(wait=not waiting)
                yield from episodes.groups()
                rows.come_back()
                if free := 0 if rows.returning else rows.free // sampling.n:
                    rows.admit([waiting.popleft() for _ in range(min(free, len(waiting)))])
                yield from episodes.groups()
                rows.advance(more=bool(waiting))
                yield from episodes.groups()
                if under_way is not None:
                    under_way(rows.under_way())
        finally:
            self.policy.model.train(training)


def _refuse_unsupported(config: Any) -> None:
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    if kinds != {"full_attention"}:
        raise UserError(
            f"rollout.engine torch: {config.model_type} has {', '.join(sorted(kinds - {'full_attention'}))} layers, whose "
            "state the embedded engine does not keep; use rollout.engine: vllm"
        )
