"""The marker: what a judgement is made with, and how it finds the rule for two values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..values import Value

Mode = Literal["strict", "default", "lenient"]
# A rule says whether the response's value is the gold's; None hands the pair on to the next rule of the table.
Rule = Callable[["Marker", Any, Any], "bool | None"]
Kinds = tuple[type[Value], ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: the kinds of the gold, the kinds of the response, the rule for them."""

    gold: Kinds
    response: Kinds
    rule: Rule


@dataclass(frozen=True, slots=True)
class Marker:
    """Judges pairs of values by an ordered table of rules.

    Attributes:
        mode: ``strict``, ``default`` or ``lenient``.
        integers: the variables that the gold declares to be whole numbers.
    """

    table: Sequence[Row]
    mode: Mode = "default"
    integers: frozenset[str] = frozenset()
    found: dict[tuple[type, type], tuple[Rule, ...]] = field(default_factory=dict)

    def same(self, gold: Value, response: Value) -> bool:
        """Whether the response's value is the gold's; not symmetric where a marker is not (25 answers 25%)."""
        kinds = type(gold), type(response)
        rules = self.found.get(kinds)
        if rules is None:
            rules = tuple(
                row.rule for row in self.table if isinstance(gold, row.gold) and isinstance(response, row.response)
            )
            self.found[kinds] = rules
        for rule in rules:
            verdict = rule(self, gold, response)
            if verdict is not None:
                return verdict
        return False

    @property
    def lenient(self) -> bool:
        return self.mode == "lenient"

    @property
    def strict(self) -> bool:
        return self.mode == "strict"
