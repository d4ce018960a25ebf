"""Case: a response whose value is known, by which a verifier says what it promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """A response and the value that the verifier must give it; ``expected=None`` means it must abstain.

    Attributes:
        response: text; a list of texts is scored together by a ``group`` verifier, one by one by the others.
        expected: one value, or a list with one for each response.
        gold: the response is right and its value is the verifier's own affair; it must be above a wrong answer's.
    """

    response: Any
    answer: Any = None
    prompt: str = "What is the answer?"
    meta: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    expected: float | Sequence[float | None] | None = 1.0
    label: str = ""
    gold: bool = False

    @property
    def responses(self) -> list[Any]:
        return list(self.response) if isinstance(self.response, (list, tuple)) else [self.response]

    @property
    def values(self) -> list[float | None]:
        """What is expected, one for each response."""
        if isinstance(self.expected, (list, tuple)):
            return list(self.expected)
        return [self.expected] * len(self.responses)  # type: ignore[list-item]
