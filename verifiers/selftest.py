"""Test cases that every verifier is held to: its own gold answers, and a list of attacks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Case:
    """One response and the value that the verifier must give it; ``expected=None`` means it must abstain."""

    response: Any
    answer: Any = None
    prompt: str = "What is the answer?"
    meta: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    expected: float | None = 1.0
    label: str = ""
