"""The signs that a run may be going wrong: their names, for config validation, and what a fired one says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

FAILURES = Literal["hacking", "accuracy_fell", "reward_fell", "truncated", "alike", "no_update"]
WARNINGS = Literal[
    "not_followed", "verifiers_part", "entropy_collapse", "entropy_explosion", "length_collapse", "length_explosion",
    "judge_fails",
]  # fmt: skip
NOTES = Literal["self_judged", "nothing_left"]
SIGNS: tuple[str, ...] = (*get_args(FAILURES), *get_args(WARNINGS))  # what a run can be ended at
Severity = Literal["failure", "warning", "note"]


@dataclass(frozen=True)
class Sign:
    """One rule that fired.

    Attributes:
        severity: ``failure`` (what is learned is not what was wanted), ``warning`` (look at it) or ``note``.
        step: when it fired first.
        sentence: the numbers, and what to look at; plain text.
        holds: whether the rule still held when the metrics ended.
    """

    name: str
    severity: Severity
    step: int
    sentence: str
    holds: bool = True
