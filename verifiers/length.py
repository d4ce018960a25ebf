"""length and overlong: rewards for how long a response is, in tokens when the sampled ids are known."""

from __future__ import annotations

from typing import Any

from grpo_kit.types import Score

from .base import VerifierError
from .cases import Case
from .register import verifier


def _length_cases() -> list[Case]:
    limits = {"minimum": 2, "maximum": 4}
    return [
        Case("one two three", options=limits, expected=1.0),
        Case("one two three four five six", options=limits, expected=0.5),
        Case("one", options=limits, expected=0.5),
        Case("", options=limits, expected=0.0),
        Case("a b c d e f g h i j k l", options=limits, expected=0.0),
    ]


@verifier(name="length", timeout=2.0, cases=_length_cases)
def length(response: str, completion_ids: Any = None, minimum: int = 0, maximum: int | None = None) -> Score:
    """1 between ``minimum`` and ``maximum`` tokens, falling linearly to 0 at no tokens and at twice the maximum.

    Without token ids, words are counted.
    """
    if maximum is None and minimum <= 0:
        raise VerifierError("length needs the option 'minimum' or 'maximum'")
    if maximum is not None and not 0 <= minimum <= maximum:
        raise VerifierError(f"length: minimum {minimum} must lie between 0 and maximum {maximum}")
    count = _count(response, completion_ids)
    value = 1.0
    if count < minimum:
        value = count / minimum
    elif maximum is not None and count > maximum:
        value = max(0.0, 2.0 - count / maximum) if maximum else 0.0
    return Score(value, metrics={"tokens": float(count)})


def _overlong_cases() -> list[Case]:
    limits = {"maximum": 10, "buffer": 4}
    return [
        Case("a b c d e f", options=limits, expected=0.0),
        Case("a b c d e f g h", options=limits, expected=-0.5),
        Case("a b c d e f g h i j", options=limits, expected=-1.0),
        Case("a b c d e f g h i j k l m", options=limits, expected=-1.0),
    ]


@verifier(name="overlong", timeout=2.0, cases=_overlong_cases)
def overlong(response: str, completion_ids: Any = None, maximum: int = 0, buffer: int = 0) -> Score:
    """DAPO's soft overlong punishment (equation 13 of arXiv:2503.14476).

    0 up to ``maximum - buffer`` tokens, then falling linearly to -1 at ``maximum``, and -1 beyond. It adds to the
    other verifiers' scores.

    Args:
        maximum: L_max, the longest response allowed, in tokens.
        buffer: L_cache, the tokens before it over which the punishment grows.
    """
    if not 0 < buffer <= maximum:
        raise VerifierError(f"overlong needs 0 < buffer <= maximum, got buffer {buffer} and maximum {maximum}")
    count = _count(response, completion_ids)
    value = min(0.0, max(-1.0, (maximum - buffer - count) / buffer))
    return Score(value, metrics={"tokens": float(count)})


def _count(response: str, completion_ids: Any) -> int:
    if completion_ids is not None:
        return len(completion_ids)
    return len(response.split()) if isinstance(response, str) else 0
