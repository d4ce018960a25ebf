"""What an environment is: it opens an episode for a task, and an episode answers what the policy writes, turn after turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from grpo_kit.types import Message, Task


class ToolError(Exception):
    """What the policy got wrong in a call of a tool. Its text is told to the policy; any other exception is a failure of ours."""


@dataclass(frozen=True, slots=True)
class Done:
    """Returned by an environment's ``reply``: the episode is over.

    Attributes:
        reward: what the environment pays for the episode; None where it has no opinion and verifiers decide.
    """

    reward: float | None = None


@dataclass(frozen=True, slots=True)
class Say:
    """Returned by an environment's ``reply`` or by a tool: what it says, and what it pays for this turn.

    Attributes:
        said: text, or one or several messages.
        reward: of this turn alone; with `Done.reward` at the end, rewards of turns add up to that of the episode.
    """

    said: Any
    reward: float = 0.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What an episode says to one turn.

    Attributes:
        messages: what comes next in the conversation; empty where the episode is over.
        done: whether it is over.
        reward: of the whole episode, told with its end; None for no opinion.
        turn_reward: for this turn alone, where rewards come along the way.
        calls, invalid, failed: calls of tools in the turn; of them not understood; of them failed with `ToolError`. A turn
            without a call that was not understood has ``invalid`` 1 as well.
    """

    messages: tuple[Message, ...] = ()
    done: bool = False
    reward: float | None = None
    turn_reward: float = 0.0
    calls: int = 0
    invalid: int = 0
    failed: int = 0


class Episode(Protocol):
    """One episode: a function of its task, its seed and what was said to it so far, and of nothing else.

    So it can be made again in another process by telling it the same turns.
    """

    def begin(self) -> Sequence[Message]:
        """Messages that stand between the task's prompt and the first turn; called once, first."""

    def reply(self, text: str, raw: str) -> Answer:
        """Answer a turn.

        Args:
            text: the turn without special tokens.
            raw: with them, for formats of calls that are made of special tokens; without the token that ended the turn.
        """

    def close(self) -> None:
        """Free what the episode holds (a sandbox's session, files)."""


@dataclass(frozen=True)
class Environment:
    """An environment as it is found by its name.

    Attributes:
        open: (task, seed, options) -> episode.
        version: of its code and its tools' code, for the record.
        timeout: seconds of one call.
        turns: of an episode at most.
        tools: JSON schemas of the functions that the policy may call, as chat templates take them; empty for none.
        origin: where it was found, for messages.
        cases: scripted episodes that `grpo-kit environments test` plays.
        speaks_first: whether an episode can say something before the first turn; where it never does, none is opened to hear it.
        pays: whether it can say what an episode is worth; with tools alone it cannot, and verifiers judge the answer.
    """

    name: str
    open: Callable[[Task, int, Mapping[str, Any]], Episode]
    version: str
    timeout: float = 10.0
    turns: int = 8
    tools: tuple[dict[str, Any], ...] = ()
    origin: str = ""
    cases: tuple[Any, ...] = field(default=())
    speaks_first: bool = True
    pays: bool = True
