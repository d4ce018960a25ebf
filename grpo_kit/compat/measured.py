"""What a harness found, in one form for all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    """A number of a harness.

    Attributes:
        error: its standard error as the harness has it; None where it gives none.
        problems: how many it is of.
    """

    task: str
    metric: str
    value: float
    error: float | None
    problems: int | None
