"""What episodes came to: turns, calls of tools, the time of their environment, and why they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from grpo_kit.types import Ending, Turn


class Played(Protocol):
    """A completion, or the record of one."""

    @property
    def turns(self) -> Sequence[Turn]: ...

    @property
    def ending(self) -> Ending | None: ...


class Counts(NamedTuple):
    """What is counted of one episode, or of several together.

    Attributes:
        misread: turns that called nothing and were not understood.
        calls: of tools. invalid, failed: of them, that were not understood, and that failed in the tool.
        seconds: that the environment took.
    """

    turns: int
    misread: int
    calls: int
    invalid: int
    failed: int
    seconds: float

    @classmethod
    def of(cls, *episodes: Played) -> Counts:
        turns = [turn for episode in episodes for turn in episode.turns]
        calling = [turn for turn in turns if turn.calls]
        return cls(
            turns=len(turns),
            misread=sum(turn.invalid > 0 for turn in turns if not turn.calls),
            calls=sum(turn.calls for turn in calling),
            invalid=sum(turn.invalid for turn in calling),
            failed=sum(turn.failed for turn in calling),
            seconds=sum(turn.seconds for turn in turns),
        )


def shares_by_ending(episodes: Sequence[Played]) -> Mapping[str, float]:
    """Shares of episodes by what ended them, the largest first; no entry for what ended none."""
    counts = Counter(episode.ending or "unknown" for episode in episodes)
    return {ending: count / len(episodes) for ending, count in counts.most_common()}


@dataclass(frozen=True, slots=True)
class EpisodeNumbers:
    """Of the completions that are episodes.

    Attributes:
        turns, calls, seconds: of an episode, the mean; seconds are those that its environment took.
        most_turns: of any.
        misread: share of the turns that called nothing and were not understood.
        invalid, failed: shares of the calls that were not understood, and that failed in the tool; 0 where there were none.
        endings: shares of the episodes by what ended them; no entry for what ended none.
    """

    episodes: int
    turns: float
    most_turns: int
    misread: float
    calls: float
    invalid: float
    failed: float
    seconds: float
    endings: Mapping[str, float]

    @classmethod
    def of(cls, completions: Sequence[Played]) -> EpisodeNumbers | None:
        """None where no environment answered any of them."""
        episodes = [completion for completion in completions if completion.turns]
        if not episodes:
            return None
        counts = Counts.of(*episodes)
        return cls(
            episodes=len(episodes),
            turns=counts.turns / len(episodes),
            most_turns=max(len(episode.turns) for episode in episodes),
            misread=counts.misread / counts.turns,
            calls=counts.calls / len(episodes),
            invalid=counts.invalid / max(1, counts.calls),
            failed=counts.failed / max(1, counts.calls),
            seconds=counts.seconds / len(episodes),
            endings=shares_by_ending(episodes),
        )
