"""What a verifier looks for (any text, a number, a letter, mathematics) and what it gets back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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


@dataclass(frozen=True, slots=True)
class Reading:
    """What a sentence states. Without a text it states nothing that may be paid, and ``reason`` says why."""

    text: str | None
    reason: str = ""


@dataclass(frozen=True)
class Kind:
    """The kind of answer that a verifier can judge.

    Attributes:
        read: the answer that a whole text is, or None when it is none of this kind.
        alone: the same for a text that is the whole response, where nothing says that it is an answer.
        stated: what follows "the answer is", up to where it ends; None: nothing of this kind is stated there.
        sentence: the same for a whole sentence in a place that is marked as the answer, as between tags.
    """

    name: str
    read: Callable[[str], str | None]
    alone: Callable[[str], str | None]
    stated: Callable[[str, Kind], Reading | None]
    sentence: Callable[[str, Kind], Reading | None]
