"""What episodes came to: turns, calls of tools, the time of their environment, and why they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from grpo_kit.types import Ending, Turn


class Played(Protocol):
    """A completion, or the record of one."""

    @property
    def turns(self) -> Sequence[Turn]: ...

    @property
    def ending(self) -> Ending | None: ...


@dataclass(frozen=True, slots=True)
class EpisodeNumbers:
    """Of the completions that are episodes.

    Attributes:
        turns, calls, seconds: of an episode, the mean; seconds are those that its environment took.
        most_turns: of any.
        invalid, failed: shares of the calls that were not understood, and that failed in the tool; 0 where there were none.
        endings: shares of the episodes by what ended them; no entry for what ended none.
    """

    episodes: int
    turns: float
    most_turns: int
    calls: float
    invalid: float
    failed: float
    seconds: float
    endings: dict[str, float]

    @classmethod
    def of(cls, completions: Sequence[Played]) -> EpisodeNumbers | None:
        """None where no environment answered any of them."""
        episodes = [completion for completion in completions if completion.turns]
        if not episodes:
            return None
        turns = [turn for episode in episodes for turn in episode.turns]
        calls = sum(turn.calls for turn in turns)
        endings = Counter(str(episode.ending) for episode in episodes)
        return cls(
            episodes=len(episodes),
            turns=len(turns) / len(episodes),
            most_turns=max(len(episode.turns) for episode in episodes),
            calls=calls / len(episodes),
            invalid=sum(turn.invalid for turn in turns) / max(1, calls),
            failed=sum(turn.failed for turn in turns) / max(1, calls),
            seconds=sum(turn.seconds for turn in turns) / len(episodes),
            endings={ending: count / len(episodes) for ending, count in sorted(endings.items())},
        )
