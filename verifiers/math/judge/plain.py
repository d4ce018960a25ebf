"""Numbers and functions."""

from __future__ import annotations

from ..limits import MAX_PLUS_MINUS
from ..trees import expand_signs
from ..values import Expr, Number, Symbol
from .identity import same_expression
from .lists import same_members
from .marker import Marker


def same_plain(mark: Marker, gold: Expr, response: Expr) -> bool:
    """Equal numbers or functions; plus-minus signs stand for all their values."""
    if isinstance(gold, (Number, Symbol)) and isinstance(response, (Number, Symbol)):
        return same_expression(gold, response, mark.lenient, mark.integers)
    golds, responses = (expand_signs(node, MAX_PLUS_MINUS) for node in (gold, response))
    if len(golds) == len(responses) == 1:
        return same_expression(gold, response, mark.lenient, mark.integers)
    return same_members(mark, tuple(golds), tuple(responses))
