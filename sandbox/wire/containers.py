"""Python's own containers, and what is in one: read by the class that a container is derived from, which has no word in it."""

from __future__ import annotations

import collections
import operator
from typing import Any

PLAIN = frozenset({type(None), bool, str, float, int, bytes})  # hold nothing, and never change
# What a call may change, by the names that they have in a message. The more special ones first.
KINDS: dict[str, type] = {
    "counter": collections.Counter,
    "ordered": collections.OrderedDict,
    "default": collections.defaultdict,
    "dict": dict,
    "list": list,
    "set": set,
    "deque": collections.deque,
    "bytearray": bytearray,
}
MUTABLE = tuple(KINDS.values())
SEQUENCES: tuple[Any, ...] = (list, tuple, collections.deque)
CONTAINERS: tuple[Any, ...] = (dict, *SEQUENCES, set, bytearray)


def contents(container: Any) -> list[Any]:
    """All that is in one of `CONTAINERS`: of a dict each key and its value."""
    if isinstance(container, dict):
        return [part for pair in dict.items(container) for part in pair]
    base = next(kind for kind in CONTAINERS if isinstance(container, kind))
    return list(base.__iter__(container))


def holds(container: Any, before: list[Any]) -> bool:
    """Whether these very objects are in a container, and no others, in this order."""
    now = container if type(container) is list else contents(container)
    return len(now) == len(before) and all(map(operator.is_, now, before))
