"""The running sequences of the embedded engine: one row of the batch and one slot of the cache each.

Each prompt goes through the model once and its cache is copied to its G samples. Where an episode leaves for a reply its keys
and values are kept, and when it comes back only what was inserted goes through the model.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from transformers import DynamicCache

from grpo_kit.policy.models import Policy
from grpo_kit.types import FinishReason, Prompt

from .decoder import Decoder
from .episode import OpenEpisode, OpenEpisodes, stop_string_at, text_of
from .sampling import next_tokens, uniforms
from .slots import SlotCache


class Rows:
    """Row i of the cache and of every tensor here belongs to ``running[i]``; rows beyond the running ones are free.

    Args:
        decoder: what decodes, or None for the model's own forward.
        slots: how many rows there are at most; as many episodes that are away are kept in memory.
        version: of the weights.

    Attributes:
        returning: episodes whose next turn can be sampled, as soon as there is a free row.
        positions: [slots] of the next token of each row.
        lengths, limits: [slots] tokens that the turn has, and may have at most.
        tokens, logprobs: [slots, turn limit] of the turn.
    """

    def __init__(
        self, policy: Policy, decoder: Decoder | None, slots: int, episodes: OpenEpisodes, version: int
    ) -> None:
        self.policy, self.decoder, self.slots = policy, decoder, slots
        self.episodes, self.sampling, self.version = episodes, episodes.sampling, version
        self.backbone, self.head, self.device = policy.backbone, policy.head, policy.device
        layers = policy.model.config.num_hidden_layers
        self.cache = SlotCache(layers, slots, None if decoder is None else decoder.dtype)
        self.running: list[OpenEpisode] = []
        self.returning: list[OpenEpisode] = []
        longest = self.sampling.turn_limit
        self.positions = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.lengths = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.limits = torch.zeros(slots, dtype=torch.long, device=self.device)
        self.tokens = torch.zeros(slots, longest, dtype=torch.long, device=self.device)
        self.logprobs = torch.zeros(slots, longest, device=self.device)
        self.noise = torch.zeros(slots, 0 if self.sampling.greedy else longest, dtype=torch.float64, device=self.device)
        self.stop_ids = torch.tensor(sorted(self.sampling.stop_token_ids), dtype=torch.long, device=self.device)

    @property
    def free(self) -> int:
        return self.slots - len(self.running)

    @property
    def busy(self) -> bool:
        return bool(self.running or self.returning or self.episodes.away)

    def under_way(self) -> float:
        """How many groups the tokens of those that are not finished amount to, at the length they may have at most."""
        open_ones = (*self.running, *self.returning, *self.episodes.away.values())
        sampled = int(self.lengths[: len(self.running)].sum()) + sum(len(e.token_ids) for e in open_ones)
        return (sampled / self.sampling.max_tokens + self.episodes.finished) / self.sampling.n

    # --- who comes ---------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def admit(self, prompts: list[Prompt]) -> None:
        """Prefill prompts once each, give every sample of each a slot, and sample its first token."""
        if not prompts:
            return
        lengths = torch.tensor([len(p.token_ids) for p in prompts], device=self.device)
        input_ids = _padded([p.token_ids for p in prompts], self.device)
        prefilled = DynamicCache()
        with self.policy.precision():
            hidden = self.backbone(input_ids=input_ids, past_key_values=prefilled, use_cache=True).last_hidden_state
            logits = self.head.logits(hidden[torch.arange(len(prompts), device=self.device), lengths - 1])
        first = len(self.running)
        source = torch.arange(len(prompts), device=self.device).repeat_interleave(self.sampling.n)
        self.cache.insert(first, prefilled, source)
        self._begin_turn([e for p in prompts for e in self.episodes.begin(p)], lengths[source])
        self._sample(logits, first, source)

    def replied(self, wait: bool) -> None:
        """Ask for replies. wait: until there is one, where nothing else is to be done."""
        self.returning += self.episodes.replied(wait and not self.running and not self.returning)

    @torch.no_grad()
    def come_back(self) -> None:
        """Give free rows to episodes that go on, feed them what they have not seen, and sample the first token of the turn."""
        coming, self.returning = self.returning[: self.free], self.returning[self.free :]
        # Padding to the longest would cost more than a forward for each order of magnitude.
        by_size: dict[int, list[tuple[OpenEpisode, list[int]]]] = {}
        for episode in coming:
            unseen = episode.context()[_columns(episode) :]
            by_size.setdefault(len(unseen).bit_length(), []).append((episode, unseen))
        for _, alike in sorted(by_size.items()):
            self._extend([episode for episode, _ in alike], [unseen for _, unseen in alike])

    def _extend(self, episodes: list[OpenEpisode], unseen: list[list[int]]) -> None:
        first = len(self.running)
        past = torch.tensor([_columns(e) for e in episodes], device=self.device)
        lengths = torch.tensor([len(ids) for ids in unseen], device=self.device)
        input_ids = _padded(unseen, self.device)
        for row, episode in enumerate(episodes, first):
            if episode.kept is not None:
                self.cache.put_back(row, episode.kept)
                episode.kept = None
        # The columns that padding writes are written again before anybody looks at them.
        self.cache.extend(first, past[:, None] + torch.arange(input_ids.shape[1], device=self.device))
        logits = self._forward(input_ids, self.cache.positions, lengths - 1)
        self._begin_turn(episodes, past + lengths)
        self._sample(logits, first)

    def _begin_turn(self, episodes: list[OpenEpisode], positions: Tensor) -> None:
        """Rows behind the running ones for episodes whose context is in the cache. positions: [episodes]."""
        rows = torch.arange(len(self.running), len(self.running) + len(episodes), device=self.device)
        self.running.extend(episodes)
        self.positions[rows] = positions
        self.lengths[rows] = 0
        self.limits[rows] = torch.tensor([e.turn_limit for e in episodes], device=self.device)
        if not self.sampling.greedy:
            fresh = [torch.from_numpy(uniforms(self.sampling, *e.name, e.turn)) for e in episodes]
            self.noise[rows] = torch.stack(fresh).to(self.device)

    # --- one more token ----------------------------------------------------------------------------------------------

    @torch.no_grad()
    def advance(self, more: bool) -> None:
        """One more token for every running sequence; ``more`` says whether further prompts wait for slots."""
        if not self.running:
            return
        count = len(self.running)
        positions = self.positions[:count]
        last = self.tokens[:count].gather(1, (self.lengths[:count] - 1)[:, None])
        more = more or bool(self.returning or self.episodes.away)
        self.cache.step(positions, None if more else count)
        logits = self._forward(last, positions[:, None])
        positions += 1
        self._sample(logits, 0)

    def _forward(self, input_ids: Tensor, positions: Tensor, last: Tensor | None = None) -> Tensor:
        """Logits [rows, vocabulary] after more tokens of the rows that the cache was told of.

        input_ids, positions: [rows, tokens]; last: [rows], the token whose logits are wanted, default the last one.
        """
        if self.decoder is not None:
            return self.decoder.step(input_ids, positions, self.cache, last)
        if last is not None:  # a model may know no positions beyond its context, and padding has some
            positions = torch.minimum(positions, positions.gather(1, last[:, None]))
        with self.policy.precision():
            hidden = self.backbone(
                input_ids=input_ids,
                position_ids=positions,
                attention_mask=self.cache.mask(),
                past_key_values=self.cache,
                use_cache=True,
            ).last_hidden_state
            if last is None:
                return self.head.logits(hidden[:, -1])
            return self.head.logits(hidden[torch.arange(last.shape[0], device=self.device), last])

    def _sample(self, logits: Tensor, first: int, source: Tensor | None = None) -> None:
        """Draw a token for each row from ``first`` on (from the row of the logits that ``source`` says); rows whose turn it ends
        leave."""
        rows = torch.arange(first, len(self.running), device=self.device)
        drawn = self.lengths[first : len(self.running)]
        uniform = self.noise[rows, drawn] if not self.sampling.greedy else drawn
        tokens, chosen = next_tokens(logits, self.sampling, uniform, source)
        self.tokens[rows, drawn] = tokens
        self.logprobs[rows, drawn] = chosen
        drawn += 1
        stopped = torch.isin(tokens, self.stop_ids)
        ended: dict[int, FinishReason] = {}
        for row in (stopped | (drawn == self.limits[rows])).nonzero()[:, 0].tolist():
            ended[first + row] = "stop" if stopped[row] else "length"
        if self.sampling.stop:
            for row in range(first, len(self.running)):
                text = str(self.policy.tokenizer.decode(self._turn(row), skip_special_tokens=True))
                if stop_string_at(text, self.sampling.stop) is not None:
                    ended[row] = "stop"
        if ended:
            self._leave(ended)

    def _turn(self, row: int) -> list[int]:
        return self.tokens[row, : int(self.lengths[row])].tolist()

    # --- who goes ----------------------------------------------------------------------------------------------------

    def _leave(self, ended: dict[int, FinishReason]) -> None:
        # What stands before a turn with a prompt of its own is nothing that went through the model.
        room = 0 if self.sampling.fresh else self.slots - sum(e.kept is not None for e in self._elsewhere())
        for row, reason in ended.items():
            episode, token_ids = self.running[row], self._turn(row)
            if self.episodes.replies is not None and len(token_ids) < episode.tokens_left and room > 0:
                # The last token was sampled and has not been through the model.
                episode.kept = self.cache.take_out(row, int(self.positions[row]))
                room -= 1
            text = text_of(self.policy.tokenizer, token_ids, self.sampling.stop)
            logprobs = self.logprobs[row, : len(token_ids)].tolist()
            self.episodes.ended(episode, token_ids, logprobs, text, reason, [(0, self.version)])
        self._compact(set(ended))

    def _elsewhere(self) -> Iterator[OpenEpisode]:
        """Episodes that have no row."""
        yield from self.returning
        yield from self.episodes.away.values()

    def _compact(self, ended: set[int]) -> None:
        """Move the last running rows into the holes, so that the batch stays dense."""
        left = len(self.running) - len(ended)
        holes = [row for row in sorted(ended) if row < left]
        movers = [row for row in range(left, len(self.running)) if row not in ended]
        if holes:
            destination = torch.tensor(holes, device=self.device)
            origin = torch.tensor(movers, device=self.device)
            self.cache.move(destination, origin)
            for state in (self.positions, self.lengths, self.limits, self.tokens, self.logprobs, self.noise):
                state[destination] = state[origin]
            for hole, mover in zip(holes, movers, strict=True):
                self.running[hole] = self.running[mover]
        del self.running[left:]


def _columns(episode: OpenEpisode) -> int:
    """How many tokens of its context are in what is kept of it."""
    return 0 if episode.kept is None else int(episode.kept.shape[3])


def _padded(rows: list[tuple[int, ...]] | list[list[int]], device: torch.device) -> Tensor:
    """[rows, longest] long, zeros on the right."""
    padded = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, ids in zip(padded, rows, strict=True):
        row[: len(ids)] = torch.tensor(ids)
    return padded.to(device)
