"""Objects of the standard library that are data, though no literal writes them: counters, views of dicts, matches.

Each travels as what it holds, and is the same kind of thing on the other side.
"""

from __future__ import annotations

import array
import collections
import datetime
import re
import types
from collections.abc import Callable
from typing import Any

Inner = Callable[[Any], Any]
_SOME: dict[Any, Any] = {}
_KEYS, _VALUES, _ITEMS = VIEWS = (type(_SOME.keys()), type(_SOME.values()), type(_SOME.items()))
_MOST_MAPS = 100  # of a chain, each of which a look-up may go through
_MOST_SPANS = 200  # each may be as long as the text
_FACTORIES: dict[str, Any] = {t.__name__: t for t in (int, float, str, bool, list, dict, set, tuple)} | {"": None}


class Match:
    """A ``re.Match`` as data: there is one, and what its groups are. The pattern is not matched again."""

    __slots__ = ("_spans", "_starts", "pattern", "string")

    def __init__(self, pattern: str, string: Any, spans: list[tuple[int, int]], names: dict[str, int]) -> None:
        self.pattern, self.string, self._spans, self._starts = pattern, string, spans, names

    def _group(self, which: Any, default: Any = None) -> Any:
        start, end = self.span(which)
        return default if start < 0 else self.string[start:end]

    def span(self, which: Any = 0) -> tuple[int, int]:
        index = self._starts.get(which, -1) if isinstance(which, str) else which
        if not isinstance(index, int) or not 0 <= index < len(self._spans):
            raise IndexError("no such group")
        return self._spans[index]

    def start(self, which: Any = 0) -> int:
        return self.span(which)[0]

    def end(self, which: Any = 0) -> int:
        return self.span(which)[1]

    def group(self, *which: Any) -> Any:
        found = tuple(self._group(w) for w in which or (0,))
        return found if len(found) > 1 else found[0]

    def __getitem__(self, which: Any) -> Any:
        return self._group(which)

    @property
    def lastindex(self) -> int | None:
        return max((i for i, (start, _) in enumerate(self._spans) if i and start >= 0), default=None)

    @property
    def lastgroup(self) -> str | None:
        return next((name for name, index in self._starts.items() if index == self.lastindex), None)

    @property
    def re(self) -> Any:
        return types.SimpleNamespace(pattern=self.pattern, groups=len(self._spans) - 1, groupindex=dict(self._starts))

    def groups(self, default: Any = None) -> tuple[Any, ...]:
        return tuple(self._group(i, default) for i in range(1, len(self._spans)))

    def groupdict(self, default: Any = None) -> dict[str, Any]:
        return {name: self._group(name, default) for name in self._starts}

    def __repr__(self) -> str:
        return f"<re.Match object; span={self.span()}, match={self._group(0)!r:.50}>"


def _match(value: re.Match[Any], inner: Inner) -> Any:
    found = value.re
    spans = [part for group in range(found.groups + 1) for part in value.span(group)]
    pattern = found.pattern if isinstance(found.pattern, str) else ""
    return {"~": "match", "v": [pattern, inner(value.string), spans, inner(dict(found.groupindex))]}


def _decode_match(content: Any, inner: Inner) -> Match:
    pattern, string, spans, names = content
    text, groups = inner(string), inner(names)
    numbers = (
        type(spans) is list
        and len(spans) % 2 == 0
        and 1 < len(spans) <= _MOST_SPANS
        and all(type(n) is int for n in spans)
    )
    if type(pattern) is not str or type(text) not in (str, bytes) or type(groups) is not dict or not numbers:
        raise ValueError("content")
    if not all(type(k) is str and type(v) is int for k, v in groups.items()):
        raise ValueError("names of groups")
    return Match(pattern, text, list(zip(spans[::2], spans[1::2], strict=True)), groups)


def _flat(tag: str) -> Callable[[Any, Inner], Any]:
    return lambda value, inner: {"~": tag, "v": [inner(part) for pair in dict.items(value) for part in pair]}


def _default(value: Any, inner: Inner) -> Any:
    factory = vars(collections.defaultdict)["default_factory"].__get__(value)  # a subclass may say something else
    name = next((n for n, kind in _FACTORIES.items() if kind is factory), None)
    return (
        inner(dict(dict.items(value)))
        if name is None
        else {"~": "default", "v": [name, inner(dict(dict.items(value)))]}
    )


def _decode_default(content: Any, inner: Inner) -> Any:
    name, held = content
    data = inner(held)
    if type(data) is not dict:
        raise ValueError("content")
    return collections.defaultdict(_FACTORIES[name], data)


def _timezone(value: datetime.timezone, inner: Inner) -> Any:
    offset, *name = value.__getinitargs__()  # type: ignore[attr-defined]
    return {"~": "timezone", "v": [offset.days, offset.seconds, *name]}


def _decode_timezone(content: Any, inner: Inner) -> datetime.timezone:
    days, seconds, *name = content
    return datetime.timezone(datetime.timedelta(days, seconds), *name)


def _dict(value: Any) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ValueError("content")
    return value


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise ValueError("content")
    return value


ENCODERS: dict[type, Callable[[Any, Inner], Any]] = {
    collections.Counter: _flat("counter"),
    collections.OrderedDict: _flat("ordered"),
    collections.defaultdict: _default,
    _KEYS: lambda value, inner: {"~": "keys", "v": [inner(v) for v in value]},
    _VALUES: lambda value, inner: {"~": "values", "v": [inner(v) for v in value]},
    _ITEMS: lambda value, inner: {"~": "items", "v": [inner(part) for pair in value for part in pair]},
    re.Match: _match,
    collections.ChainMap: lambda value, inner: {"~": "chain", "v": [inner(v) for v in value.maps]},
    types.MappingProxyType: lambda value, inner: {"~": "proxy", "v": inner(dict(value))},
    memoryview: lambda value, inner: {"~": "memory", "v": inner(value.tobytes())},
    array.array: lambda value, inner: {"~": "array", "v": [value.typecode, [inner(v) for v in value]]},
    datetime.timezone: _timezone,
}


def decoders(of_list: Callable[[Any, Inner], list[Any]], of_dict: Callable[[Any, Inner], Any]) -> dict[str, Any]:
    """Built on the codec's own list and dict, which bound what a sender can make expensive."""

    def keys(content: Any, inner: Inner) -> Any:
        flat = [part for key in of_list(content, lambda v: v) for part in (key, None)]
        return of_dict(flat, inner).keys()

    return {
        "counter": lambda c, inner: collections.Counter(of_dict(c, inner)),
        "ordered": lambda c, inner: collections.OrderedDict(of_dict(c, inner)),
        "default": _decode_default,
        "keys": keys,
        "values": lambda c, inner: dict(enumerate(of_list(c, inner))).values(),
        "items": lambda c, inner: of_dict(c, inner).items(),
        "match": _decode_match,
        "chain": lambda c, inner: collections.ChainMap(*map(_dict, of_list(c[:_MOST_MAPS], inner))),
        "proxy": lambda c, inner: types.MappingProxyType(_dict(inner(c))),
        "memory": lambda c, inner: memoryview(_bytes(inner(c))),
        "array": lambda c, inner: array.array(c[0], of_list(c[1], inner)),
        "timezone": _decode_timezone,
    }
