"""Walking and rebuilding values: free symbols, substitution, the values of plus-minus signs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

from .limits import LimitExceeded
from .values import Big, Call, Constant, Expr, Mul, Number, Symbol, Value

_LEAVES = frozenset((Number, Symbol, Constant))
_FIELDS: dict[type, tuple[str, ...]] = {}


def field_names(node: Value) -> tuple[str, ...]:
    kind = type(node)
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(field.name for field in fields(node))  # type: ignore[arg-type]
    return _FIELDS[kind]


def children(node: Any) -> Iterator[Any]:
    """The values directly within a node, or within a tuple of nodes."""
    if isinstance(node, tuple):
        yield from node
    elif isinstance(node, Value) and not isinstance(node, (Number, Symbol, Constant)):
        for name in field_names(node):
            part = getattr(node, name)
            if isinstance(part, (Value, tuple)):
                yield part


def contains(node: Any, test: Callable[[Any], bool]) -> bool:
    """Whether the node or one within it satisfies ``test``."""
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if type(part) is tuple:
            waiting.extend(part)
            continue
        if test(part):
            return True
        if type(part) not in _LEAVES and isinstance(part, Value):
            waiting.extend(getattr(part, name) for name in field_names(part))
    return False


def symbols(node: Any) -> set[str]:
    """The free symbols; the index of a sum or limit is not free."""
    found: set[str] = set()
    _collect(node, found, frozenset())
    return found


def _collect(node: Any, found: set[str], bound: frozenset[str]) -> None:
    kind = type(node)
    if kind is Symbol:
        if node.name not in bound:
            found.add(node.name)
    elif kind is tuple:
        for part in node:
            _collect(part, found, bound)
    elif kind is Big:
        for part in (node.low, node.high):
            _collect(part, found, bound)
        inner = bound | {node.variable}
        if node.name == "int" and isinstance(node.body, Mul) and isinstance(node.body.factors[-1], Symbol):
            inner |= {"d", node.body.factors[-1].name}
        _collect(node.body, found, inner)
    elif kind not in _LEAVES and isinstance(node, Value):
        for name in field_names(node):
            _collect(getattr(node, name), found, bound)


def rebuilt(node: Any, change: Callable[[Any], Any]) -> Any:
    """The same node with ``change`` applied to what is directly within it."""
    if isinstance(node, tuple):
        return tuple(change(part) for part in node)
    if not isinstance(node, Value) or isinstance(node, (Number, Symbol, Constant)):
        return node
    parts: list[Any] = [getattr(node, name) for name in field_names(node)]
    make: Any = type(node)
    return make(*(change(part) if isinstance(part, (Value, tuple)) else part for part in parts))


def substitute(node: Any, name: str, by: Expr) -> Any:
    """The node with a symbol replaced."""
    if isinstance(node, Symbol):
        return by if node.name == name else node
    return rebuilt(node, lambda part: substitute(part, name, by))


def expand_signs(node: Any, limit: int) -> list[Any]:
    """The values of an expression with plus-minus signs; a minus-plus takes the other sign of the plus-minus.

    Raises:
        LimitExceeded: for more than ``limit`` signs.
    """
    counts = {"pm": 0, "mp": 0}

    def count(part: Any) -> bool:
        if isinstance(part, Call) and part.name in counts:
            counts[part.name] += 1
        return False

    contains(node, count)
    total = counts["pm"] + counts["mp"]
    if not total:
        return [node]
    if total > limit:
        raise LimitExceeded(f"more than {limit} plus-minus signs")
    if total == 1 or counts["mp"]:
        choices = [[negative] * total for negative in (False, True)]
    else:
        choices = [[bool(number >> k & 1) for k in range(total)] for number in range(2**total)]
    return [_with_signs(node, iter(choice)) for choice in choices]


def _with_signs(node: Any, signs: Iterator[bool]) -> Any:
    if isinstance(node, Call) and node.name in ("pm", "mp"):
        negative = next(signs) != (node.name == "mp")
        inner = _with_signs(node.args[0], signs)
        return Call("neg", (inner,)) if negative else inner
    return rebuilt(node, lambda part: _with_signs(part, signs))
