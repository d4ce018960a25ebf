"""Typed values on the wire: a closed encoding over JSON.

None, bool, str, float, small int and list travel as themselves; everything else as ``{"~": type, "v": content}``. What
has no place in the table travels as ``opaque`` (or, where objects can be called upon, as a numbered ``ref``). Decoding
builds only the types below, whatever the sender wrote, and its cost is bounded by the length of the message.

Subclasses of built-in types travel as the data they hold, read through the base class: an ``int`` that claims to equal
everything arrives as the number it is.
"""

from __future__ import annotations

import base64
import collections
import datetime
import decimal
import enum
import fractions
import functools
import json
import re
import struct
import sys
import types
from collections.abc import Callable
from typing import Any, ClassVar

from . import standard
from .plain import DATA_NAMES

MAX_DEPTH = 150
_PLAIN = frozenset({type(None), bool, str, float})
_SMALL = 1 << 63
_LONGEST_MEMBER = 400
# Numbers. A longer one is no data where the trainer decodes: a few bytes must not become gigabytes when a test says list(...).
LONGEST_RANGE = 200_000


class Malformed(ValueError):
    """The sender broke the encoding."""


class TooDeep(ValueError):
    """A value nested deeper than `MAX_DEPTH`."""


class NotData(TypeError):
    """The program handed over an object of its own where data was expected: the test has failed, whatever catches this.

    Attributes:
        heard: told of each one that is made, in the process of the tests.
    """

    heard: ClassVar[Callable[[NotData], None] | None] = None

    def __init__(self, message: str = "an object of the program's own where data was expected") -> None:
        super().__init__(message)
        if NotData.heard is not None:
            NotData.heard(self)


class Opaque:
    """A value that did not come across: an object of the program's. It decides nothing: whatever asks it is refused."""

    __slots__ = ("class_name",)

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name

    def __repr__(self) -> str:
        return f"<a {self.class_name}>"

    def __eq__(self, other: object) -> bool:
        raise NotData

    def __bool__(self) -> bool:
        raise NotData

    __hash__ = object.__hash__


def holds_opaque(value: Any) -> bool:
    """Whether there is anywhere in decoded data what can be asked for nothing here: an `Opaque`, or an `Array`."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (Opaque, Array)):
            return True
        if isinstance(value, (list, tuple, set, frozenset, collections.deque, *standard.VIEWS)):
            waiting.extend(v for v in value if type(v) not in _PLAIN and type(v) is not int)
        elif isinstance(value, dict):
            waiting.extend(value)
            waiting.extend(value.values())
        elif isinstance(value, collections.ChainMap):
            waiting.extend(value.maps)
        elif isinstance(value, types.MappingProxyType):
            waiting.append(dict(value))
    return False


def _is_long(base: type, value: Any) -> bool:
    return (str.__len__(value) if base is str else int.bit_length(value)) > 200


def data_of(value: Any) -> Any:
    """What an object of a subclass of built-in data holds, read through the base class; None for any other object."""
    base = next((b for b in type(value).__mro__ if b in _BASES), None)
    return None if base is None else _BASES[base](value)


def is_data(value: Any) -> bool:
    """Whether one decoded value (not what it may hold) is data: an object of the program's may answer when called."""
    return value is None or isinstance(value, (*_BASES, *_ENCODERS, Array))


class Array:
    """A NumPy array as data: type, shape and nested lists. Compared by `grading` only."""

    __slots__ = ("dtype", "items", "shape")

    def __init__(self, dtype: str, shape: tuple[int, ...], items: Any) -> None:
        self.dtype, self.shape, self.items = dtype, shape, items

    def __repr__(self) -> str:
        return f"array({self.items!r:.200})"


class Record(tuple):
    """A named tuple as data: a tuple whose items also have names."""

    _fields: tuple[str, ...]  # no field begins with an underscore

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self._fields, self, strict=True))

    def _replace(self, **changes: Any) -> Record:
        if unknown := changes.keys() - set(self._fields):
            raise ValueError(f"Got unexpected field names: {sorted(unknown)!r}")
        return record_like(self, [changes.get(n, v) for n, v in zip(self._fields, self, strict=True)])

    def __getattribute__(self, name: str) -> Any:
        names = super().__getattribute__("__dict__").get("_fields", ())
        if name not in names or name.startswith("__"):
            return super().__getattribute__(name)
        value = tuple.__getitem__(self, names.index(name))
        if name in DATA_NAMES and not is_data(value):
            raise NotData(f".{name}: the program handed over an object of its own where data was expected")
        return value


def encode(value: Any, unknown: Callable[[Any], Any] | None = None, iterate: bool = False, depth: int = 0) -> Any:
    """``value`` as JSON-able data. ``unknown`` encodes objects outside the table; ``iterate`` spells out iterators."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is int:
        return value if -_SMALL < value < _SMALL else {"~": "int", "v": hex(value)}
    if depth > MAX_DEPTH:
        raise TooDeep(f"a value nested deeper than {MAX_DEPTH}")
    if kind is list:
        return [v if type(v) in _PLAIN else encode(v, unknown, False, depth + 1) for v in value]
    encoder = _ENCODERS.get(kind)
    if kind is range and len(value[: LONGEST_RANGE + 1]) > LONGEST_RANGE:
        return unknown(value) if unknown is not None else {"~": "opaque", "v": "range"}
    if encoder is not None and not (iterate and kind in standard.VIEWS):
        return encoder(value, lambda v: encode(v, unknown, False, depth + 1))
    if iterate and hasattr(value, "__iter__") and not isinstance(value, (str, bytes, dict)):
        # All before the first is written: one list that is yielded again and again is the same one in `list(f(1))`.
        return {"~": "iter", "v": [encode(v, unknown, False, depth + 1) for v in list(value)]}
    fields = value._fields if kind is Record else getattr(kind, "_fields", None)
    if issubclass(kind, tuple) and type(fields) is tuple and all(map(_names_a_field, fields)):
        names = [n[:100] for n in fields]
        if _kinds is not None and kind is not Record:
            _kinds[fields] = kind if _kinds.get(fields, kind) is kind else None  # two of the same fields
        return {"~": "record", "v": [names, [encode(v, unknown, False, depth + 1) for v in tuple.__iter__(value)]]}
    base = next((b for b in kind.__mro__ if b in _BASES), None)
    if base is not None:
        data = encode(_BASES[base](value), unknown, False, depth + 1)
        name = getattr(value, "name", None) if isinstance(value, (enum.Enum, Member)) else None
        if base.__name__ not in _MEMBERS or not isinstance(name, str) or _is_long(base, value):
            return data
        return {
            "~": "member",
            "v": [base.__name__, (value.of if isinstance(value, Member) else kind.__name__)[:100], name[:100], data],
        }
    if kind.__module__ == "numpy":
        return _encode_numpy(value, depth)
    if unknown is not None:
        return unknown(value)
    return {"~": "opaque", "v": kind.__name__[:100]}


def encode_data(value: Any) -> Any:
    """`encode`. Raises TypeError for what holds anything else."""

    def refuse(part: Any) -> Any:
        raise TypeError(f"a {type(part).__name__} is no data")

    return encode(value, refuse)


def _names_a_field(name: Any) -> bool:
    return isinstance(name, str) and not name.startswith("_")  # those are a named tuple's own


def _items(tag: str) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, inner: {"~": tag, "v": [inner(v) for v in value]}


def _text(tag: str, write: Callable[[Any], Any]) -> Callable[[Any, Callable[[Any], Any]], Any]:
    return lambda value, inner: {"~": tag, "v": write(value)}


def _encode_deque(value: Any, inner: Callable[[Any], Any]) -> Any:
    items = [inner(v) for v in value]
    return {"~": "deque", "v": items} if value.maxlen is None else {"~": "bounded", "v": [value.maxlen, items]}


def _encode_dict(value: Any, inner: Callable[[Any], Any]) -> Any:
    return {"~": "dict", "v": [inner(part) for pair in dict.items(value) for part in pair]}


_ENCODERS: dict[type, Callable[[Any, Callable[[Any], Any]], Any]] = {
    tuple: _items("tuple"),
    set: _items("set"),
    frozenset: _items("frozenset"),
    collections.deque: lambda v, inner: _encode_deque(v, inner),
    dict: _encode_dict,
    bytes: _text("bytes", lambda v: base64.b64encode(v).decode()),
    bytearray: _text("bytearray", lambda v: base64.b64encode(bytes(v)).decode()),
    complex: _text("complex", lambda v: [v.real, v.imag]),
    range: _text("range", lambda v: [hex(v.start), hex(v.stop), hex(v.step)]),
    fractions.Fraction: _text("fraction", lambda v: [hex(v.numerator), hex(v.denominator)]),
    decimal.Decimal: _text("decimal", str),
    datetime.date: _text("date", lambda v: v.isoformat()),
    datetime.time: _text("time", lambda v: [v.isoformat(), v.fold]),
    datetime.datetime: _text("datetime", lambda v: [v.isoformat(), v.fold]),
    datetime.timedelta: _text("timedelta", lambda v: [v.days, v.seconds, v.microseconds]),
    type(Ellipsis): _text("ellipsis", lambda v: None),
    **standard.ENCODERS,
}
# How the data of a subclass is read without asking the subclass.
_BASES: dict[type, Callable[[Any], Any]] = {
    int: int.__int__,
    float: float.__float__,
    str: lambda v: "".join(str.__iter__(v)),
    bytes: lambda v: bytes.__getitem__(v, slice(None)),
    tuple: lambda v: tuple(tuple.__iter__(v)),
    list: lambda v: list(list.__iter__(v)),
    set: lambda v: set(set.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
    collections.Counter: lambda v: collections.Counter(dict(dict.items(v))),
    collections.OrderedDict: lambda v: collections.OrderedDict(dict.items(v)),
    dict: lambda v: dict(dict.items(v)),
}


DATA = tuple(_BASES)
KINDS = (*_BASES, *_ENCODERS)  # of what comes over as data


def _encode_numpy(value: Any, depth: int) -> Any:
    if value.shape == ():
        return encode(value.item(), depth=depth + 1)
    return {"~": "ndarray", "v": [str(value.dtype), list(value.shape), encode(value.tolist(), depth=depth + 1)]}


def decode(data: Any, reference: Callable[[Any], Any] | None = None, depth: int = 0) -> Any:
    """The value that ``data`` (from `json.loads`) stands for; ``reference`` turns a ref's content into an object.

    Raises:
        Malformed: for anything that `encode` does not write, and for sets and dicts built to collide.
    """
    kind = type(data)
    if kind in _PLAIN or kind is int:
        return data
    if depth > MAX_DEPTH:
        raise Malformed("nested too deep")
    if kind is list:
        return [v if type(v) in _PLAIN else decode(v, reference, depth + 1) for v in data]
    if kind is not dict or data.keys() != {"~", "v"} or not isinstance(data["~"], str):
        raise Malformed(f"not an encoded value: {data!r:.80}")
    tag, content = data["~"], data["v"]
    if tag == "ref" and reference is not None:
        return reference(content)
    decoder = _DECODERS.get(tag)
    if decoder is None:
        raise Malformed(f"unknown type {tag!r:.40}")
    try:
        return decoder(content, lambda v: decode(v, reference, depth + 1))
    except Malformed:
        raise
    except Exception as error:  # whatever it is, the sender caused it
        raise Malformed(f"not a {tag}: {error}") from None


def hashable(items: list[Any]) -> list[Any]:
    """Refuse what would make hashing quadratic: numbers hash modulo 2**61 - 1, so collisions are free."""
    if len(items) > 500 and len({hash(item) for item in items}) < 0.9 * len(_identities(items)):
        raise Malformed("colliding hashes")
    return items


def _identities(items: list[Any]) -> set[Any]:
    """Distinct values as text: comparing strings needs no hash that a sender can choose (siphash is keyed)."""
    return {repr(item) for item in items}


def _list(content: Any, inner: Callable[[Any], Any]) -> list[Any]:
    if type(content) is not list:
        raise Malformed("content is not a list")
    return [inner(v) for v in content]


def _decode_dict(content: Any, inner: Callable[[Any], Any]) -> dict[Any, Any]:
    flat = _list(content, inner)
    if len(flat) % 2:
        raise Malformed("a key without a value")
    return dict(zip(hashable(flat[::2]), flat[1::2], strict=True))


def _strings(content: Any, count: int) -> list[str]:
    if type(content) is not list or len(content) != count or any(type(c) is not str for c in content):
        raise Malformed("content is not text")
    return content


def _integer(text: Any, longest: int = 1 << 30) -> int:
    if type(text) is not str or not text.lstrip("-").startswith("0x") or len(text) > longest:
        raise Malformed("not a number in base 16")
    return int(text, 16)


def _decode_range(content: Any, inner: Any) -> range:
    made = range(*(_integer(text, 100) for text in _strings(content, 3)))
    if len(made[: LONGEST_RANGE + 1]) > LONGEST_RANGE:
        raise Malformed("a range of too many numbers")
    return made


def _decode_decimal(content: Any, inner: Any) -> decimal.Decimal:
    if type(content) is not str or len(content) > 10_000:
        raise Malformed("not a decimal")
    return decimal.Decimal(content)


_DTYPE = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)|<U[0-9]{1,5}")


def _decode_array(content: Any, inner: Callable[[Any], Any]) -> Array:
    dtype, shape, items = content
    if type(dtype) is not str or type(shape) is not list or any(type(n) is not int for n in shape):
        raise Malformed("not an array")
    return _array_maker(dtype, tuple(shape), inner(items))


_array_maker: Callable[[str, tuple[int, ...], Any], Any] = Array


def arrays_as_numpy() -> None:
    """Decode arrays as NumPy's where it is already imported. For isolated processes; elsewhere they stay plain data."""
    global _array_maker
    numpy: Any = sys.modules.get("numpy")
    if numpy is None:
        return

    def make(dtype: str, shape: tuple[int, ...], items: Any) -> Any:
        if not _DTYPE.fullmatch(dtype):
            raise Malformed(f"an array of {dtype!r:.40}")
        return numpy.array(items, dtype=dtype).reshape(shape)

    _array_maker = make


def _decode_bounded(content: Any, inner: Callable[[Any], Any]) -> collections.deque[Any]:
    longest, items = content
    if type(longest) is not int or type(items) is not list or not len(items) <= longest < _SMALL:
        raise Malformed("not a bounded deque")
    return collections.deque(_list(items, inner), longest)


def _decode_record(content: Any, inner: Callable[[Any], Any]) -> Record:
    names, items = content
    if type(names) is not list or len(names) != len(items) or not all(map(_names_a_field, names)):
        raise Malformed("not a record")
    kind = (_kinds or {}).get(tuple(names))
    if kind is not None:
        return tuple.__new__(kind, _list(items, inner))
    made = Record(_list(items, inner))
    made._fields = tuple(names)
    return made


# Named tuples that this process has sent, by their fields, so that they come back as what they are: where the program runs,
# and nobody else has anything to fear of it.
_kinds: dict[tuple[str, ...], Any] | None = None


def records_as_sent() -> None:
    global _kinds
    _kinds = {}


class Member:
    """A member of an enumeration of numbers or text, as the number that it is, with its name."""

    of: str
    name: str
    value = property(lambda self: self.plain)
    plain: Any


class _MemberInt(Member, int):
    pass


class _MemberStr(Member, str):
    pass


_MEMBERS: dict[str, Any] = {"int": _MemberInt, "str": _MemberStr}


@functools.lru_cache(maxsize=1000)
def _member(kind: str, of: str, name: str, data: Any) -> Any:  # the same one each time, for who asks with ``is``
    made = _MEMBERS[kind](data)
    made.of, made.name, made.plain = of, name, data
    return made


def _length_of_member(of: str, name: str, value: Any) -> int:
    return len(of) + len(name) + (len(value) if isinstance(value, str) else value.bit_length())


def _decode_member(content: Any, inner: Callable[[Any], Any]) -> Any:
    kind, of, name, data = content
    _strings([kind, of, name], 3)
    value = inner(data)
    if kind not in _MEMBERS or type(value).__name__ != kind or _length_of_member(of, name, value) > _LONGEST_MEMBER:
        raise Malformed("not a member of an enumeration")
    return _member(kind, of, name, value)


def is_member(value: Any, of: str) -> bool:
    """Whether it is a member of an enumeration of this name."""
    return isinstance(value, Member) and value.of == of


def record_like(value: Any, items: list[Any]) -> Any:
    """A tuple of other items, with the names that ``value`` has for its own."""
    made = Record(items)
    fields = getattr(value, "_fields", None)
    if type(fields) is not tuple or not all(map(_names_a_field, fields)):
        return tuple(items)
    made._fields = fields
    return made


_DECODERS: dict[str, Callable[[Any, Callable[[Any], Any]], Any]] = {
    "int": lambda c, inner: _integer(c),
    "tuple": lambda c, inner: tuple(_list(c, inner)),
    "set": lambda c, inner: set(hashable(_list(c, inner))),
    "frozenset": lambda c, inner: frozenset(hashable(_list(c, inner))),
    "deque": lambda c, inner: collections.deque(_list(c, inner)),
    "bounded": _decode_bounded,
    "iter": _list,
    "dict": _decode_dict,
    "bytes": lambda c, inner: base64.b64decode(c, validate=True),
    "bytearray": lambda c, inner: bytearray(base64.b64decode(c, validate=True)),
    "complex": lambda c, inner: complex(*map(float, c)),
    "range": _decode_range,
    "fraction": lambda c, inner: fractions.Fraction(*(_integer(t, 10_000) for t in _strings(c, 2))),
    "decimal": _decode_decimal,
    "date": lambda c, inner: datetime.date.fromisoformat(c),
    "time": lambda c, inner: datetime.time.fromisoformat(c[0]).replace(fold=c[1]),
    "datetime": lambda c, inner: datetime.datetime.fromisoformat(c[0]).replace(fold=c[1]),
    "timedelta": lambda c, inner: datetime.timedelta(*map(int, c)),
    "ellipsis": lambda c, inner: ...,
    "record": _decode_record,
    "member": _decode_member,
    "ndarray": _decode_array,
    "opaque": lambda c, inner: Opaque(str(c)[:100]),
    **standard.decoders(_list, _decode_dict),
}


def to_bytes(message: Any) -> bytes:
    """A frame: four bytes of length, then JSON. ASCII, so that lone surrogates survive."""
    body = json.dumps(message, separators=(",", ":")).encode("ascii")
    return struct.pack("<I", len(body)) + body


def from_bytes(body: bytes) -> Any:
    """The JSON of one frame's body.

    Raises:
        Malformed: not JSON, or nested beyond what the parser takes.
    """
    try:
        return _loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not a message: {error}") from None


# Bound before any program runs: a program that replaces json.loads must not blind its own zygote's reading.
_loads = functools.partial(json.loads)
