"""The generator protocol: what every engine offers, so that the trainer need not know which one it has."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from grpo_kit.errors import UserError
from grpo_kit.observe.measure import Measures
from grpo_kit.types import Completion, Ending, FinishReason, Prompt, Score, Turn

if TYPE_CHECKING:
    from grpo_kit.policy.network import Network


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How to sample. ``temperature == 0`` is greedy; ``n`` samples are drawn per prompt.

    ``max_tokens`` limits the sampled tokens of a completion; of an episode, those of all its turns together, and
    ``turn_tokens`` those of each. ``fresh``: the ids of a reply are the whole prompt of the next turn, in place of everything
    that stood before it.

    ``epsilon`` is the share of tokens that are drawn from the whole vocabulary, all alike; log-probabilities are
    those of the mixture.

    ``stop_token_ids`` end a completion and are kept as its last token; ``stop`` strings end it after the token that
    completed the string (the tokens are kept, the text is cut before it).
    """

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    epsilon: float = 0.0
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    seed: int = 0
    turn_tokens: int | None = None
    fresh: bool = False

    @property
    def greedy(self) -> bool:
        return self.temperature == 0.0

    @property
    def turn_limit(self) -> int:
        """How many tokens a turn may have at most, a completion's only one included."""
        return min(self.turn_tokens or self.max_tokens, self.max_tokens)


# Told how many prompts the tokens of those that are not finished amount to: a completion that has half of the tokens that it
# may have is half of its part of one.
UnderWay = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class SampledTurn:
    """A turn that has just ended: what an engine asks a reply to.

    Attributes:
        turn: its number in the episode, from 0.
        token_ids: its own sampled ids, the stop token included.
        text: decoded without special tokens, cut before a stop string.
        tokens_left: how many tokens the episode may still sample.
    """

    task_id: str
    sample_index: int
    turn: int
    token_ids: list[int]
    text: str
    finish_reason: FinishReason
    tokens_left: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What comes after a turn: ids to go on from, or the end of the episode.

    Attributes:
        inserted: ids to stand between the turn and the next one, the opening of the next turn included; None: it is over.
        turns, ending, outcome: of an episode that is over, for its `Completion`.
    """

    task_id: str
    sample_index: int
    inserted: list[int] | None
    turns: tuple[Turn, ...] = ()
    ending: Ending | None = None
    outcome: Score | None = None


class Replies(Protocol):
    """Who answers the turns of episodes. There is no barrier between turns: each episode goes on when its reply is there.

    One object serves one call of `Generator.generate`, which asks it from one thread. Where that call is given up, replies stay
    untaken: whoever made the object ends it.
    """

    def submit(self, turn: SampledTurn) -> None:
        """Ask for a reply; returns at once. Every turn gets exactly one, also one that was cut by its limit."""

    def watch(self, told: Callable[[], None]) -> None:
        """Have ``told`` called, in any thread, whenever a reply has come that was not there when its turn was submitted: for
        an engine that waits for other things as well."""

    def take(self, wait: bool) -> list[Reply]:
        """The replies that have come since the last call. ``wait``: at least one, where any is under way.

        Raises RunFailed where replies can no longer come.
        """


class Generator(Protocol):
    """An engine that samples completions from the current policy."""

    @property
    def policy_version(self) -> int:
        """Version of the weights that the next completion will be sampled from."""

    def generate(
        self,
        prompts: Sequence[Prompt],
        sampling: SamplingParams,
        under_way: UnderWay | None = None,
        replies: Replies | None = None,
    ) -> Iterator[list[Completion]]:
        """Yield each prompt's ``sampling.n`` completions as soon as all of them are finished (any prompt order).

        Within a list, completions are ordered by ``sample_index``. A completion's randomness depends on
        ``(sampling.seed, task_id, sample_index)`` only; that of a later turn of an episode on the turn's number as well.

        Args:
            replies: who answers each turn; a completion is then an episode of one or several turns.
            under_way: what an engine that decodes in this process tells after every step, since on a CPU the first prompt may
                take minutes; vLLM tells nothing between its completions.
        """

    def sync(self, model: Network, version: int) -> None:
        """Take the trainer's weights as policy ``version`` and forget everything computed with older ones."""

    def weights_stable(self, stable: bool) -> None:
        """Whether the trainer leaves the weights of the last `sync` alone until it says otherwise.

        An engine that works beside the trainer may read them, to compare or to hand them on, only while they are stable.
        """

    def statistics(self) -> Measures:
        """What is worth logging since the last call."""

    def close(self) -> None:
        """Free the engine's memory and processes."""


def check_prompts(prompts: Sequence[Prompt], sampling: SamplingParams, context: int) -> None:
    """Raises UserError if a prompt and ``max_tokens`` exceed the context, ValueError if two prompts share a task id."""
    if len({prompt.task_id for prompt in prompts}) != len(prompts):
        raise ValueError("every prompt of one call needs a task id of its own: completions are grouped by it")
    for prompt in prompts:
        if len(prompt.token_ids) + sampling.max_tokens > context:
            raise UserError(
                f"prompt {prompt.task_id} has {len(prompt.token_ids)} tokens; with rollout.max_tokens "
                f"{sampling.max_tokens} it exceeds the model's context of {context}. Lower data.max_prompt_tokens or "
                "rollout.max_tokens."
            )


def sample_seed(seed: int, task_id: str, sample_index: int, turn: int = 0) -> int:
    """A 63-bit seed for one completion, independent of batch composition and of Python's hash randomisation.

    The first turn of an episode has the seed of a completion without turns.
    """
    name = f"{seed}\x1f{task_id}\x1f{sample_index}" + (f"\x1f{turn}" if turn else "")
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1
