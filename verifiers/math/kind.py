"""Mathematics as a kind of answer, for the extractor: what the grammar reads."""

from __future__ import annotations

from ..final_answer import value_kind
from .limits import LimitExceeded
from .read import parse_cached
from .values import Labelled, Value


def _read(text: str) -> str | None:
    return text if isinstance(parse_cached(text), (Value, LimitExceeded)) else None


def _read_alone(text: str) -> str | None:
    value = parse_cached(text)
    return text if isinstance(value, (Value, LimitExceeded)) and not isinstance(value, Labelled) else None


MATHEMATICS = value_kind("mathematics", _read, _read_alone)
