"""The mutable arguments of a call, which both sides number in the same order: what a call changes in them, wherever they
are (a keyword, a tuple, a list of lists, twice), is seen by the tests in their own, and what it returns of them is theirs.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Container, Iterable
from typing import Any

from ..wire import codec
from ..wire.containers import KINDS, MUTABLE, PLAIN, SEQUENCES, contents, holds


class Given:
    """A mutable argument, in a message: by its number."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


def marked(value: Any, mark: Callable[[Any], Any], top: bool = False, depth: int = 0) -> Any:
    """``value`` with a mark in the place of each container that has one; the value itself where it holds none.

    Args:
        top: it stays what it is, if it has a mark.

    Raises:
        codec.TooDeep: for what could not be written, either.
    """
    if type(value) in PLAIN:
        return value
    if not top and (own := mark(value)) is not None:
        return own
    if depth > codec.MAX_DEPTH:
        raise codec.TooDeep(f"a value nested deeper than {codec.MAX_DEPTH}")
    parts = _parts(value)
    if PLAIN.issuperset(map(type, parts)):
        return value
    changed = [part if type(part) in PLAIN else marked(part, mark, depth=depth + 1) for part in parts]
    if all(new is old for new, old in zip(changed, parts, strict=True)):
        return value
    if isinstance(value, tuple):
        return codec.record_like(value, changed)
    copy = _empty(_kind(value))
    fill(copy, dict(zip(dict.keys(value), changed, strict=True)) if isinstance(value, dict) else changed)
    return copy


class Arguments:
    """The containers in some values, each once, in the order in which they are met.

    Attributes:
        others: what is neither a container nor plain.
        marks: the containers' numbers in a message, by their identities.
        places: in how many places each stands, by identity.
        in_tuples: those that stand in a tuple, by identity: who has that has them, and cannot be told by them.

    Args:
        objects: by identity, what is an object to the other side, though it be of a class derived from list.
    """

    def __init__(self, values: Iterable[Any], objects: Container[int] = ()) -> None:
        self.containers: list[Any] = []
        self.others: list[Any] = []
        self.marks: dict[int, Given] = {}
        self.places: collections.Counter[int] = collections.Counter()
        self.in_tuples: set[int] = set()
        waiting = list(values)[::-1]
        while waiting:
            value = waiting.pop()
            if type(value) in PLAIN:
                continue
            if isinstance(value, tuple) and id(value) not in objects:
                waiting += (parts := _parts(value)[::-1])
                self.in_tuples.update(map(id, parts))
            elif not (isinstance(value, MUTABLE) or _is_array(value)) or id(value) in objects:
                self.others.append(value)
            else:
                self.places[id(value)] += 1
                if id(value) not in self.marks:
                    self.marks[id(value)] = Given(len(self.containers))
                    self.containers.append(value)
                    waiting += _parts(value)[::-1]

    @property
    def shared(self) -> bool:
        """Whether one is met twice, or within itself."""
        return any(count > 1 for count in self.places.values())

    def table(self, encode: Callable[[Any], Any]) -> list[Any]:
        """[kind, content] of each, in which the others are numbers."""
        return [[_kind(value), encode(self.by_number(value, top=True))] for value in self.containers]

    def by_number(self, value: Any, top: bool = False) -> Any:
        """``value`` with these containers as `Given`; the value itself where it holds none."""
        return marked(value, lambda container: self.marks.get(id(container)), top) if self.marks else value

    def before(self) -> list[Any]:
        return [shallow(value) for value in self.containers]

    def changed(self, before: list[Any], encode: Callable[[Any], Any]) -> dict[str, Any]:
        """The contents of those that are not what they were, by number."""
        pairs = enumerate(zip(self.containers, before, strict=True))
        return {str(n): encode(self.by_number(v, top=True)) for n, (v, old) in pairs if not _same(v, old)}

    def are(self, before: list[Any]) -> bool:
        """Whether they are what they were, and hold the very same."""
        return all(map(_same, self.containers, before))


def from_table(table: list[Any], decode: Callable[[Any, list[Any]], Any]) -> list[Any]:
    """The containers that `Arguments.table` has written; ``decode`` takes them for what the numbers stand for."""
    made = [_empty(kind) for kind, _ in table]
    for container, (_, content) in zip(made, table, strict=True):
        fill(container, decode(content, made))
    return made


def fill(container: Any, content: Any) -> None:
    """Give a container the content of another one of its kind; a class that is derived from it has no word in that."""
    kind: Any = KINDS.get(_kind(container))
    if kind is None:
        container[...] = content
    elif kind in (list, bytearray):
        kind.__setitem__(container, slice(None), content)
    else:
        kind.clear(container)
        if isinstance(container, dict):
            dict.update(container, content)
        elif kind is set:
            set.update(container, content)
        else:
            kind.extend(container, content)
        if isinstance(container, collections.defaultdict):
            container.default_factory = getattr(content, "default_factory", container.default_factory)


def alike(container: Any, content: Any) -> bool:
    """Whether ``content`` is of the kind that a container's content is of."""
    if _is_array(container):
        return _is_array(content) and content.shape == container.shape and content.dtype == container.dtype
    return _kind(container) == _kind(content) if isinstance(content, MUTABLE) else False


def _is_array(value: Any) -> bool:
    return type(value).__module__ == "numpy" and type(value).__name__ == "ndarray" and value.shape != ()


def _kind(value: Any) -> str:
    return next((name for name, kind in KINDS.items() if isinstance(value, kind)), "")


def _empty(kind: str) -> Any:
    return KINDS[kind]()


def _parts(value: Any) -> list[Any]:
    """What may hold more of them; what a set holds cannot change."""
    if isinstance(value, dict):
        return list(dict.values(value))
    return contents(value) if isinstance(value, SEQUENCES) else []


def shallow(value: Any) -> Any:
    """What is in a container, to be compared with it later."""
    if isinstance(value, (dict, *SEQUENCES)):
        return contents(value)
    return set(set.__iter__(value)) if isinstance(value, set) else value.copy()


def _same(value: Any, before: Any) -> bool:
    if isinstance(value, (dict, *SEQUENCES)):
        return holds(value, before)
    if _is_array(value):
        return bool(value.tobytes() == before.tobytes())
    kind: Any = set if isinstance(value, set) else bytearray
    return bool(kind.__eq__(value, before))
