"""Objects of a class that a test defines, as data: if they are nothing but what they hold.

The class stays with the tests, whose text is not the program's to read. In its place the program has one of the same name:
derived from its own, if it has one, else a data class with the same fields, or an empty one. So a class with methods cannot
be handed over: they would have to run on both sides, on an object that both change.
"""

from __future__ import annotations

import dataclasses
import enum
import types
from typing import Any

from ..wire import codec
from ..wire.instances import OF_NO_ACCOUNT

_OF_DATA_CLASSES = frozenset(("__dataclass_fields__", "__dataclass_params__", "__match_args__", "__hash__"))
_GENERATED = ("<string>", dataclasses.__file__)  # from where `dataclasses` says that its functions come
_FACTORIES: dict[str, type] = {kind.__name__: kind for kind in (list, dict, set)}
_OPTIONS = ("init", "repr", "hash", "compare", "kw_only")  # of a field


def described(kind: type, label: str) -> list[Any] | None:
    """[label, name, attributes that are None, fields or None, options] of a class of the tests; [label, name, members] of an
    enumeration; [label, name] of namespaces, which are the library's; None: it has to stay there."""
    if kind is types.SimpleNamespace:
        return [label, kind.__name__]
    if isinstance(kind, enum.EnumMeta):
        return _enumeration(kind, label)
    if type(kind) is not type or kind.__module__ != "__tests__" or kind.__bases__ != (object,):
        return None
    options: dict[str, bool] = {}
    fields: list[list[Any]] | None = None
    nones: list[str] = []
    if dataclasses.is_dataclass(kind):
        fields = [_field(field) for field in dataclasses.fields(kind)]
        if any(not field for field in fields):
            return None
        parameters: Any = vars(kind)["__dataclass_params__"]
        options = {name: getattr(parameters, name) for name in ("init", "repr", "eq", "order", "unsafe_hash", "frozen")}
    of_fields = {field[0] for field in fields or ()}
    for name, value in vars(kind).items():
        if name in OF_NO_ACCOUNT or name in of_fields or isinstance(value, types.MemberDescriptorType):
            continue
        if fields is not None and (name in _OF_DATA_CLASSES or _is_generated(value)):
            continue
        if value is not None or name.startswith("__"):
            return None
        nones.append(name)
    return [label, kind.__name__, nones, fields, options]


class _Empty(enum.Enum):
    pass


def _enumeration(kind: enum.EnumMeta, label: str) -> list[Any] | None:
    members: dict[str, Any] = dict(kind.__members__)  # other names of one, too
    known = {*vars(_Empty), *members, *OF_NO_ACCOUNT} - {"__init__"}
    if kind.__module__ != "__tests__" or kind.__bases__ != (enum.Enum,) or not known.issuperset(vars(kind)):
        return None
    if kind.__dict__["_new_member_"] is not object.__new__:
        return None
    try:
        return [label, kind.__name__, [[name, codec.encode_data(member.value)] for name, member in members.items()]]
    except (TypeError, ValueError):
        return None


def makes_objects(kind: type) -> bool:
    """Whether the program can do with a class of the tests what it is there for: another has an ``__init__``."""
    return isinstance(kind, enum.EnumMeta) or dataclasses.is_dataclass(kind)


def _is_generated(value: Any) -> bool:
    function = getattr(value, "__wrapped__", value)
    return isinstance(function, types.FunctionType) and function.__code__.co_filename in _GENERATED


def _field(field: dataclasses.Field[Any]) -> list[Any]:
    """[name, [the default] or nothing, its factory, options]; nothing if the default cannot be told."""
    factory = "" if field.default_factory is dataclasses.MISSING else getattr(field.default_factory, "__name__", "?")
    if factory and _FACTORIES.get(factory) is not field.default_factory:
        return []
    try:
        default = [] if field.default is dataclasses.MISSING else [codec.encode_data(field.default)]
    except (TypeError, ValueError):
        return []
    return [field.name, default, factory, {name: getattr(field, name) for name in _OPTIONS}]


def made(description: list[Any], own: Any) -> type:
    """The program's class in the place of one of the tests. ``own``: what the program has under that name."""
    _, name, *parts = description
    if not parts:
        return types.SimpleNamespace
    if len(parts) == 1:
        return _made_enumeration(name, parts[0])
    nones, fields, options = parts
    if isinstance(own, type):
        try:
            return type(own)(name, (own,), {})
        except Exception:  # a class from which none can be derived
            own = None
    if fields is None:
        return type(name, (), dict.fromkeys(nones))
    as_fields = []
    for field, default, factory, of_field in fields:
        known = {"default": codec.decode(default[0])} if default else {}
        known |= {"default_factory": _FACTORIES[factory]} if factory else {}
        as_fields.append((field, object, dataclasses.field(**known, **of_field)))
    return dataclasses.make_dataclass(name, as_fields, **options)


def _made_enumeration(name: str, members: list[Any]) -> type:
    functional: Any = enum.Enum
    made_of: type = functional(name, [(member, codec.decode(value)) for member, value in members], module="__tests__")
    return made_of
