"""What has been sampled of each completion so far, and how it goes on: an engine samples turns, the rest is said here.

Without anybody who answers, a completion is over with its first turn. With `Replies`, a turn that has ended is submitted, and
the reply either ends the episode or brings the ids that the next turn goes on from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.errors import RunFailed
from grpo_kit.types import Completion, FinishReason, Prompt

from .base import Replies, Reply, SampledTurn, SamplingParams


@dataclass(slots=True, eq=False)
class OpenEpisode:
    """One sample of one prompt that is not over.

    Attributes:
        turn: the number of the turn that is sampled now, or was last.
        token_ids, logprobs: of the turns that have ended.
        versions: (index of the first token, version) of each change of weights, the first token's included.
        inserted: as `Completion.inserted`.
        text, finish_reason: of the turn that ended last.
        kept: what an engine keeps of it from one turn to the next, to compute less.
    """

    prompt: Prompt
    sample_index: int
    sampling: SamplingParams
    turn: int = 0
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    versions: list[tuple[int, int]] = field(default_factory=list)
    inserted: list[tuple[int, list[int]]] = field(default_factory=list)
    text: str = ""
    finish_reason: FinishReason = "stop"
    kept: Any = None

    @property
    def name(self) -> tuple[str, int]:
        return self.prompt.task_id, self.sample_index

    @property
    def tokens_left(self) -> int:
        return self.sampling.max_tokens - len(self.token_ids)

    @property
    def turn_limit(self) -> int:
        """How many tokens the next turn may have."""
        return min(self.sampling.turn_limit, self.tokens_left)

    def context(self) -> list[int]:
        """All that stands before the next sampled token: the prompt, the turns, and what was inserted between them."""
        if self.sampling.fresh and self.inserted:
            start, prompt = self.inserted[-1]
            return prompt + self.token_ids[start:]
        ids, at = list(self.prompt.token_ids), 0
        for index, inserted in self.inserted:
            ids += self.token_ids[at:index] + inserted
            at = index
        return ids + self.token_ids[at:]

    def add(
        self,
        token_ids: Sequence[int],
        logprobs: Sequence[float],
        text: str,
        finish_reason: FinishReason,
        versions: Sequence[tuple[int, int]],
    ) -> SampledTurn:
        """A turn has ended. versions: (index in ``token_ids``, version) of each change of weights, that of the first included."""
        begin = len(self.token_ids)
        self.token_ids += token_ids
        self.logprobs += logprobs
        for start, version in versions:
            if not self.versions or self.versions[-1][1] != version:
                self.versions.append((begin + start, version))
        self.text, self.finish_reason = text, finish_reason
        return SampledTurn(*self.name, self.turn, list(token_ids), text, finish_reason, self.tokens_left)

    def go_on(self, inserted: list[int], context: int) -> None:
        """The next turn begins after these ids. Raises RunFailed where the model's context has no room for it."""
        task = f"task {self.prompt.task_id}, sample {self.sample_index}"
        if self.tokens_left < 1:
            raise RunFailed(f"{task}: a reply to turn {self.turn} goes on, and the episode may sample no more tokens")
        if inserted:
            self.inserted.append((len(self.token_ids), list(inserted)))
        self.turn += 1
        length = len(self.context())
        if length + self.turn_limit > context:
            raise RunFailed(
                f"{task}: {length} tokens stand before turn {self.turn}; with the {self.turn_limit} that it may have they "
                f"exceed the model's context of {context}. Lower environment.max_inserted, rollout.max_tokens or "
                "data.max_prompt_tokens."
            )

    def completion(self, reply: Reply | None = None) -> Completion:
        """The whole of it. reply: that ended it, where somebody answers."""
        completion = Completion(
            *self.name,
            self.token_ids,
            self.logprobs,
            self.text,
            self.finish_reason,
            self.versions[0][1],
            self.versions[1:],
            self.inserted,
            fresh=self.sampling.fresh,
        )
        if reply is not None:
            completion.turns, completion.ending, completion.outcome = list(reply.turns), reply.ending, reply.outcome
        return completion


class OpenEpisodes:
    """The episodes of one call of an engine: who is waited for, and which groups are whole.

    Args:
        replies: who answers; None: nobody, and a completion has one turn.
        context: how many tokens an episode may have in all.
    """

    def __init__(self, sampling: SamplingParams, replies: Replies | None, context: int) -> None:
        self.sampling, self.replies, self.context = sampling, replies, context
        self.away: dict[tuple[str, int], OpenEpisode] = {}
        self._finished: dict[str, list[Completion]] = {}
        self._whole: list[list[Completion]] = []

    def begin(self, prompt: Prompt) -> list[OpenEpisode]:
        """Every sample of a prompt, in order."""
        return [OpenEpisode(prompt, index, self.sampling) for index in range(self.sampling.n)]

    @property
    def finished(self) -> int:
        """How many completions are over whose groups are not whole."""
        return sum(map(len, self._finished.values()))

    def ended(
        self,
        episode: OpenEpisode,
        token_ids: Sequence[int],
        logprobs: Sequence[float],
        text: str,
        finish_reason: FinishReason,
        versions: Sequence[tuple[int, int]],
    ) -> None:
        """A turn has ended, see `OpenEpisode.add`: with nobody to answer it was the only one."""
        turn = episode.add(token_ids, logprobs, text, finish_reason, versions)
        if self.replies is None:
            self._finish(episode.completion())
        else:
            self.away[episode.name] = episode
            self.replies.submit(turn)

    def replied(self, wait: bool) -> list[OpenEpisode]:
        """Episodes whose next turn can be sampled, since the last call. wait: as `Replies.take` has it."""
        going_on: list[OpenEpisode] = []
        if self.replies is None or not self.away:
            return going_on
        for reply in self.replies.take(wait):
            episode = self.away.pop((reply.task_id, reply.sample_index), None)
            if episode is None:
                raise RuntimeError(
                    f"a reply to task {reply.task_id}, sample {reply.sample_index}, which waits for none"
                )
            if reply.inserted is None:
                self._finish(episode.completion(reply))
            else:
                episode.go_on(reply.inserted, self.context)
                going_on.append(episode)
        return going_on

    def _finish(self, completion: Completion) -> None:
        group = self._finished.setdefault(completion.task_id, [])
        group.append(completion)
        if len(group) == self.sampling.n:
            self._whole.append(sorted(self._finished.pop(completion.task_id), key=lambda c: c.sample_index))

    def groups(self) -> Iterator[list[Completion]]:
        """Those that have become whole since the last call."""
        whole, self._whole = self._whole, []
        return iter(whole)


def text_of(tokenizer: Any, token_ids: Sequence[int], stop: Sequence[str]) -> str:
    """Decoded without special tokens, and cut before the first stop string."""
    text = str(tokenizer.decode(list(token_ids), skip_special_tokens=True))
    return text[: stop_string_at(text, stop)]


def stop_string_at(text: str, stop: Sequence[str]) -> int | None:
    """Where the first stop string begins."""
    found = [at for s in stop if (at := text.find(s)) >= 0]
    return min(found) if found else None
