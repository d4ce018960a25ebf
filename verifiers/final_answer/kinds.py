"""What a verifier looks for: any text, a number, a letter, mathematics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

MAX_LINE = 200


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """The final answer of a response.

    Attributes:
        text: the answer, or None: there is none, or it was denied, hedged, or one of several guesses.
        source: where it stood: tag, box, statement, whole, last or none.
        reason: where it was found, or why there is none.
    """

    text: str | None
    source: str
    reason: str


@dataclass(frozen=True)
class Kind:
    """The kind of answer that a verifier can judge.

    Attributes:
        reads: whether a text is an answer of this kind.
        alone: whether a text that is the whole response is one.
    """

    name: str
    reads: Callable[[str], bool]
    alone: Callable[[str], bool]


def _is_text(text: str) -> bool:
    return bool(text)


def _is_line(text: str) -> bool:
    return 0 < len(text) <= MAX_LINE and "\n" not in text


TEXT = Kind("text", _is_text, _is_line)
