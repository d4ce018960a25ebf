"""Mathematics as a kind of answer, for the extractor: what the grammar reads."""

from __future__ import annotations

from ..final_answer import Kind
from .limits import LimitExceeded
from .read import parse_cached
from .values import Labelled, Value


def _is_mathematics(text: str) -> bool:
    return isinstance(parse_cached(text), (Value, LimitExceeded))


def _is_answer_alone(text: str) -> bool:
    value = parse_cached(text)
    return isinstance(value, (Value, LimitExceeded)) and not isinstance(value, Labelled)


MATHEMATICS = Kind("mathematics", _is_mathematics, _is_answer_alone)
