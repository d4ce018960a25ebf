"""An episode as a person reads it: who wrote what, what was sampled, and why it ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from grpo_kit.types import Message, Turn

from .labels import ENDINGS

# Colours in a terminal: what the policy sampled, and what was put before it.
STYLES = {True: "cyan", False: "yellow"}

LEAST_SECONDS = 0.005  # that are worth a word


@dataclass(frozen=True)
class Said:
    """One message of a conversation.

    Attributes:
        who: its role; ``turn 1`` and so on for what the policy sampled.
        kind: what nobody sampled stood in the prompt, or was inserted between turns.
        note: what else is known of a turn: its tokens, calls and what it was paid.
    """

    who: str
    text: str
    kind: Literal["prompt", "sampled", "inserted"]
    note: str = ""

    @property
    def sampled(self) -> bool:
        return self.kind == "sampled"

    @property
    def title(self) -> str:
        return ", ".join(part for part in (self.who, self.kind, self.note) if part)


def conversation(opening: Sequence[Message], turns: Sequence[Turn], tokens: int = 0) -> list[Said]:
    """The messages of an episode in their order. tokens: sampled in all; 0 where that is not known."""
    said = [_message(m, "prompt") for m in opening]
    ends = [*(turn.start for turn in turns[1:]), tokens]
    for number, (turn, end) in enumerate(zip(turns, ends, strict=True), start=1):
        length = counted(end - turn.start, "token") if tokens else ""
        note = ", ".join(part for part in (length, *_facts(turn)) if part)
        said.append(Said(f"turn {number}", turn.text, "sampled", note))
        said += [_message(m, "inserted") for m in turn.replies]
    return said


def _message(message: Message, kind: Literal["prompt", "inserted"]) -> Said:
    return Said(str(message["role"]), str(message["content"]), kind)


def _facts(turn: Turn) -> list[str]:
    wrong = [f"{turn.invalid} not understood"] * bool(turn.invalid) + [f"{turn.failed} failed"] * bool(turn.failed)
    calls = counted(turn.calls, "call") if turn.calls else ""
    return [
        f"{calls} ({', '.join(wrong)})" if calls and wrong else calls or ", ".join(wrong),
        f"paid {turn.reward:g}" if turn.reward else "",
        f"{turn.seconds:.2f} s" if turn.seconds >= LEAST_SECONDS else "",
    ]


def ended(turns: Sequence[Turn], ending: str | None) -> str:
    """Why an episode ended, in words, after how many turns and calls."""
    calls = sum(turn.calls for turn in turns)
    parts = [counted(len(turns), "turn"), counted(calls, "call") if calls else ""]
    why = ENDINGS.get(ending or "", "why it ended is not known")
    return f"ended: {why}, after {', '.join(part for part in parts if part)}"


def counted(count: int, what: str) -> str:
    """1 token, 2 tokens."""
    return f"{count} {what}{'s' * (count != 1)}"
