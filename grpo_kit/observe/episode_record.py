"""The turns of an episode as the line of a record holds them: written here, and read without trusting who wrote them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_args

from grpo_kit.types import Completion, Ending, Message, Score, Turn

OF_A_TURN = tuple(field.name for field in dataclasses.fields(Turn))


def episode_fields(completion: Completion) -> dict[str, Any]:
    """What a line says of an episode beside its sampled tokens; empty where there was no environment."""
    if not completion.turns and not completion.inserted:
        return {}
    outcome = completion.outcome
    return {
        **({"fresh": True} if completion.fresh else {}),
        "inserted": completion.inserted,
        # dataclasses.asdict copies what it finds to the bottom: that was a third of what a turn without an answer cost in all
        "turns": [{name: getattr(turn, name) for name in OF_A_TURN} for turn in completion.turns],
        "ending": completion.ending,
        "outcome": outcome and {"value": outcome.value, "status": outcome.status, "reason": outcome.reason},
    }


def read_inserted(row: Mapping[str, Any]) -> list[tuple[int, list[int]]]:
    """Raises TypeError or ValueError where ids stand before no sampled token of the line, or out of order."""
    found, start = [], 0
    for index, ids in row.get("inserted") or ():
        if not start <= index < len(row["token_ids"]) or not all(isinstance(i, int) and i >= 0 for i in ids):
            raise ValueError(
                f"inserted: {index!r:.40} is the place of no sampled token, or what stands there are no ids"
            )
        found.append((int(index), list(ids)))
        start = index
    return found


def read_turns(row: Mapping[str, Any]) -> list[Turn]:
    """The turns of a line; none where there was no environment. Raises TypeError, ValueError or KeyError where it has no such."""
    found: list[Turn] = []
    for turn in row.get("turns") or ():
        start = int(turn["start"])
        if not (found[-1].start if found else 0) <= start <= len(row.get("token_ids", range(start))):
            raise ValueError(f"turns: one starts at {start}, before the turn that it follows or beyond the last token")
        replies = tuple(map(_message, turn.get("replies") or ()))
        reward, seconds = (float(turn.get(name, 0.0)) for name in ("reward", "seconds"))
        calls, invalid, failed = (int(turn.get(name, 0)) for name in ("calls", "invalid", "failed"))
        found.append(Turn(start, str(turn["text"]), replies, reward, calls, invalid, failed, seconds))
    return found


def read_messages(row: Mapping[str, Any]) -> tuple[Message, ...]:
    """What stood before the first turn; the prompt alone where a line says no more."""
    return tuple(map(_message, row.get("messages") or ({"role": "user", "content": row["prompt"]},)))


def read_ending(row: Mapping[str, Any]) -> Ending | None:
    ending: Ending | None = row.get("ending")
    if ending is not None and ending not in get_args(Ending):
        raise ValueError(f"ending: {ending!r:.40} is none of {', '.join(get_args(Ending))}")
    return ending


def read_outcome(row: Mapping[str, Any]) -> Score | None:
    """What the environment said of the episode. Raises TypeError, ValueError or KeyError where that is no score."""
    outcome = row.get("outcome")
    return None if outcome is None else Score(outcome["value"], outcome["status"], reason=str(outcome["reason"]))


def _message(message: Mapping[str, Any]) -> Message:
    if not isinstance(message["role"], str) or not isinstance(message["content"], str):
        raise TypeError("messages have a role and a content that are text")
    made: Message = {**message}  # type: ignore[typeddict-item]  # and whatever else a template reads: names, calls
    return made
