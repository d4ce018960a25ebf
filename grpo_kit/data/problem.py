"""What a procedural task draws."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem with a gold answer and a worked solution that ends in it, as the task's verifier reads it.

    Where a generator is asked for a ``slip``, the solution contains one mistake that carries through to its end; the
    answer stays the right one.

    Attributes:
        demonstration: the worked solution; where an environment answers, its last turn.
        turns: what was written before that, and what the environment says to it.
        key: tells it from others of the same prompt, where an environment keeps from the policy what makes the difference.
    """

    prompt: str
    answer: Any
    demonstration: str
    meta: dict[str, Any]
    key: str = ""
    turns: tuple[tuple[str, str], ...] = ()

    @property
    def identity(self) -> str:
        return self.key or self.prompt


def written_call(name: str, /, **arguments: str) -> str:
    """A call of a tool as a demonstration writes it: plain JSON, for templates that have no calls of their own."""
    return json.dumps({"name": name, "arguments": arguments})
