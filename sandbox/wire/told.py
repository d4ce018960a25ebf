"""What both sides know of an object of the task: its attributes, and what is in the containers that these hold."""

from __future__ import annotations

import functools
import threading
from collections.abc import Container, Mapping
from itertools import chain, repeat
from typing import Any

from . import codec
from .containers import CONTAINERS, PLAIN, contents, holds

_MOST, _MOST_ITEMS = 300, 20_000  # objects, and items of the containers in all of them: each message looks at them
_MOST_NEW = 32  # that are looked at one by one
_LONGEST = 1000  # of the containers in one attribute
_ABSENT = object()


class Told:
    """The objects that were met last, as both sides know them, by number.

    Args:
        kept: whether what a ``cached_property`` keeps is an attribute, too.
    """

    def __init__(self, kept: bool) -> None:
        self._kept = kept
        self._known: dict[int, tuple[Any, _State]] = {}
        self._together: _Together | None = None
        self._new: list[int] = []  # since then
        self._lock = threading.RLock()  # whoever reads takes what has come over, while others look for what has changed
        self._items = 0  # in containers of all
        self._kinds: dict[int, tuple[type, list[str], frozenset[str]]] = {}

    def attributes(self, value: Any) -> dict[str, Any]:
        """Those that an object has itself, in slots, too."""
        _, slots, kept = self._described(type(value))
        found = {n: v for n, v in _held(value).items() if isinstance(n, str) and n not in kept}
        for name in slots:
            try:
                found[name] = object.__getattribute__(value, name)
            except AttributeError:
                continue  # it was never set
        return found

    def _described(self, kind: type) -> tuple[type, list[str], frozenset[str]]:
        """A class, its slots, and attributes that its objects have for themselves."""
        if id(kind) not in self._kinds:
            slots: list[str] = []
            kept: set[str] = set()
            for base in type.__dict__["__mro__"].__get__(kind):
                own = base.__dict__.get("__slots__", ())
                slots += [n for n in ((own,) if isinstance(own, str) else own) if n not in ("__dict__", "__weakref__")]
                if not self._kept:
                    kept |= {n for n, v in base.__dict__.items() if isinstance(v, functools.cached_property)}
            self._kinds[id(kind)] = kind, slots, frozenset(kept)
        return self._kinds[id(kind)]

    def remember(self, number: int, value: Any) -> None:
        """The other side knows an object as it is now."""
        self._put(number, value, _State(self.attributes(value)))

    def absorbed(self, number: int, value: Any, names: Container[str]) -> None:
        """The other side has told some attributes; another thread may have changed others meanwhile."""
        state = _State(self.attributes(value))
        if (known := self._known.get(number)) is not None:
            state.keep(known[1], names)
        self._put(number, value, state)

    def _put(self, number: int, value: Any, state: _State) -> None:
        _, slots, kept = self._described(type(value))
        state.is_plain = not slots and not kept and all(type(container) is list for container in state.containers())
        with self._lock:
            if number in self._known:
                self.forget(number)
                self._together = None
            self._new.append(number)
            self._known[number] = value, state
            self._items += state.items
            while len(self._known) > _MOST or self._items > _MOST_ITEMS:
                self.forget(next(iter(self._known)))

    def forget(self, number: int) -> None:
        with self._lock:
            if number in self._known:
                self._items -= self._known.pop(number)[1].items

    def untold(self) -> list[int]:
        """Numbers of those that are not what the other side knows."""
        with self._lock:
            if self._together is None or len(self._new) > _MOST_NEW:
                self._together, self._new = _Together(self._known), []
            settled = self._together.are_the_same()
            known = [n for n in (*self._together.others, *self._new) if n in self._known] if settled else self._known
            return [n for n in known if not self._is(*self._known[n])]

    def knows(self, number: int) -> bool:
        """Whether an object is what the other side knows."""
        known = self._known.get(number)
        return known is not None and not known[1].unfollowed and self._is(*known)

    def _is(self, value: Any, state: _State) -> bool:
        now = _held(value) if state.is_plain else self.attributes(value)
        return state.is_of(now) and (not state.parts or state.holds_the_same())

    def same(self, number: int, attributes: dict[str, Any]) -> frozenset[str]:
        """Names of the attributes that are what the other side knows."""
        if (known := self._known.get(number)) is None:
            return frozenset()
        _, state = known
        return frozenset(name for name, content in attributes.items() if state.has(name, content))

    def is_another(self, number: int) -> bool:
        """Whether an attribute is another one, and not only what is in it."""
        if (known := self._known.get(number)) is None:
            return False
        value, state = known
        return not state.is_of(self.attributes(value))


class _State:
    """Attributes, and what is in the containers that they hold. Kept by identity: what is compared has no word in it.

    Attributes:
        is_plain: whether these are all that is in the object's ``__dict__``, and the containers are lists.
        unfollowed: attributes in which something may change unseen (an array, a list that is too long): whoever names the object
            sends them.
    """

    __slots__ = ("attributes", "ids", "is_plain", "items", "names", "parts", "unfollowed")

    def __init__(self, attributes: dict[str, Any]) -> None:
        self.is_plain = False
        found = [(name, *_parts_in(content)) for name, content in attributes.items() if type(content) not in PLAIN]
        parts = {name: parts for name, parts, whole in found if parts and whole}
        self._set(attributes, parts, frozenset(name for name, _, whole in found if not whole))

    def _set(
        self, attributes: dict[str, Any], parts: dict[str, list[tuple[Any, list[Any]]]], unfollowed: frozenset[str]
    ) -> None:
        self.attributes, self.parts, self.unfollowed = attributes, parts, unfollowed
        self.items = sum(len(content) for known in parts.values() for _, content in known)
        self.names, self.ids = [*attributes], [*map(id, attributes.values())]

    def keep(self, before: _State, names: Container[str]) -> None:
        """Have all but some attributes be what they were."""
        old = [name for name in self.attributes if name not in names]
        parts = {name: content for name, content in self.parts.items() if name in names}
        self._set(
            self.attributes | {name: before.attributes.get(name, _ABSENT) for name in old},
            parts | {name: before.parts[name] for name in old if name in before.parts},
            frozenset((self.unfollowed - {*old}) | (before.unfollowed & {*old})),
        )

    def containers(self) -> list[Any]:
        return [container for known in self.parts.values() for container, _ in known]

    def is_of(self, attributes: dict[str, Any]) -> bool:
        return [*map(id, attributes.values())] == self.ids and [*attributes] == self.names

    def holds_the_same(self) -> bool:
        return all(holds(*part) for known in self.parts.values() for part in known)

    def has(self, name: str, content: Any) -> bool:
        if name in self.unfollowed or self.attributes.get(name, _ABSENT) is not content:
            return False
        return all(holds(*part) for part in self.parts.get(name, []))


class _Together:
    """Plain objects, looked at in one go: most often none of them has changed.

    Attributes:
        others: numbers of those that are not plain.
    """

    def __init__(self, known: Mapping[int, tuple[Any, _State]]) -> None:
        self.others = [number for number, (_, state) in known.items() if not state.is_plain]
        states = [state for _, state in known.values() if state.is_plain]
        self._values = [value for value, state in known.values() if state.is_plain]
        self._counts = [len(state.names) for state in states]
        self._names = [*chain.from_iterable(state.names for state in states)]
        self._ids = [*chain.from_iterable(state.ids for state in states)]
        parts = [part for state in states if state.parts for known in state.parts.values() for part in known]
        self._lists = [container for container, _ in parts]
        self._lengths = [len(content) for _, content in parts]
        self._items = [*map(id, chain.from_iterable(content for _, content in parts))]

    def are_the_same(self) -> bool:
        try:
            held = [*map(object.__getattribute__, self._values, repeat("__dict__"))]
            return (
                [*map(id, chain.from_iterable(map(dict.values, held)))] == self._ids
                and [*map(len, held)] == self._counts
                and [*chain.from_iterable(held)] == self._names
                and [*map(len, self._lists)] == self._lengths
                and [*map(id, chain.from_iterable(self._lists))] == self._items
            )
        except (AttributeError, TypeError, RuntimeError):  # without attributes, or changed by another thread meanwhile
            return False


def _held(value: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except AttributeError:  # a class with slots only
        return {}
    return found if isinstance(found, dict) else {}


def _parts_in(value: Any) -> tuple[list[tuple[Any, list[Any]]], bool]:
    """The containers in a value with what is in each, and whether these are all in which something may change."""
    found: list[tuple[Any, list[Any]]] = []
    seen: set[int] = set()
    waiting, left = [value], _LONGEST
    while waiting:
        container = waiting.pop()
        if type(container) in PLAIN or id(container) in seen:
            continue
        if not isinstance(container, CONTAINERS):
            if type(container).__module__ == "numpy" or codec.is_data(container):
                return [], False
            continue
        seen.add(id(container))
        parts = contents(container)
        left -= len(parts)
        if left < 0:
            return [], False
        found.append((container, parts))
        waiting += parts
    return found, True
