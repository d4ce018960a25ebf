"""What can be asked of an object of the program, beyond calling it: by name, and with operands."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import importlib
import inspect
import math
import operator
import os
import sys
import threading
import time
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec
from .comparisons import COMPARISONS, ORDERS

_OPERATORS = (
    *("getitem", "setitem", "delitem", "contains", *COMPARISONS, "add", "sub", "mul", "truediv"),
    *("floordiv", "mod", "matmul", "and_", "or_", "xor", "lshift", "rshift", "neg", "pos", "invert"),
    *("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor", "ilshift"),
    *("irshift", "index"),
)
_OF_CODE = ("co_code", "co_names", "co_consts", "co_varnames")
# By what Python decides equality, hash, truth and containment, where a class has more than every object.
_DECIDING = {
    "eq": ("__eq__", "__ne__"),
    "hash": ("__hash__",),
    "bool": ("__bool__", "__len__"),
    "contains": ("__contains__",),
}
# Of these the number of an object says as much: what a method is of and what it does, which member of an enumeration it is.
_NUMBERED = (types.MethodType, types.BuiltinMethodType, enum.Enum)
_sleep = time.sleep  # that of the program may be another one
OPERATIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "callable": callable,
    "is": operator.is_,
    "given back": lambda o: o,
    "members": lambda o: dict(o.__members__),
    "parameters": lambda kind: _parameters(kind),
    "own": lambda o: _own(o),
    "inherits": lambda o, method: _inherits(o, method),
    "fields": lambda o: _fields(o),
    "relations": lambda one, other: [_relations(one, other), _relations(other, one)],
    "attributes": lambda o, kind, names: _attributes(o, kind, names),
    "isinstance": isinstance,
    "len": len,
    "hash": hash,
    "iter": iter,
    "next": next,
    "str": str,
    "repr": repr,
    "bool": bool,
    "int": int,
    "float": float,
    "round": round,
    "abs": abs,
    "divmod": divmod,
    "pow": pow,
    "format": format,
    "fspath": os.fspath,
    "reversed": reversed,
    "enter": lambda o: o.__enter__(),
    "exit": lambda o, *raised: bool(o.__exit__(*_about(*raised))),
    "await": lambda o, *timeout: _wait(o, *timeout),
    "aiter": aiter,
    "anext": lambda o: _wait(anext(o)),
    "aenter": lambda o: _wait(o.__aenter__()),
    "aexit": lambda o, *raised: bool(_wait(o.__aexit__(*_about(*raised)))),
    "type": type,
    "issubclass": issubclass,
    "data": codec.data_of,
    "dir": dir,
    "namespace": lambda o: dict(vars(o)) if type(o) is types.SimpleNamespace else None,
    "vars": lambda o: dict(vars(o)),
    "bytes": bytes,
    "complex": complex,
    "ceil": math.ceil,
    "floor": math.floor,
    "trunc": math.trunc,
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "wait": _sleep,
    "wait in a loop": lambda seconds: _wait_in_loop(seconds),
    **{name: getattr(operator, name) for name in _OPERATORS},
}


class _Here(threading.local):
    """One event loop for all that the tests await in a thread, which outlives each: a lock belongs to its loop."""

    loop: Any = None


_here = _Here()


async def _awaited(value: Any) -> Any:
    return await value


def _wait(value: Any, timeout: float | None = None) -> Any:
    asyncio: Any = importlib.import_module("asyncio")
    outer = asyncio._get_running_loop()
    if outer is None and _here.loop is None:
        _here.loop = asyncio.new_event_loop()
    # What the program awaits in the loop may be a coroutine of the tests, which awaits another one of the program's.
    loop = asyncio.new_event_loop() if outer is not None else _here.loop
    asyncio._set_running_loop(None)
    try:
        return loop.run_until_complete(
            _awaited(value) if timeout is None else asyncio.wait_for(_awaited(value), timeout)
        )
    finally:
        asyncio._set_running_loop(outer)
        if outer is not None:
            loop.close()


def _wait_in_loop(seconds: float) -> None:
    """The tests' event loop waits: tasks that the program has begun go on, as they would in the one loop that there is."""
    if _here.loop is not None and not _here.loop.is_running():
        _wait(
            importlib.import_module("asyncio.tasks").sleep(seconds)
        )  # not `asyncio.sleep`, which the tests may have replaced
    else:
        _sleep(seconds)


def _about(*raised: BaseException) -> tuple[Any, Any, Any]:
    """What ``__exit__`` is told of an exception of the tests, or of none."""
    if not raised:
        return None, None, None
    (error,) = raised
    return type(error), error, None


def _parameters(kind: Any) -> Any:
    """[name, [default] or []] of what an object of a class is made of; the name of the data that it is made of as that is."""
    data = next((base for base in getattr(kind, "__mro__", ()) if base in codec.DATA), None)
    if data is not None and kind.__init__ is data.__init__ and kind.__new__ is data.__new__:
        return data.__name__
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return [["value", []]]
    factories = {f.name: f.default_factory for f in getattr(kind, "__dataclass_fields__", {}).values()}
    found = []
    for name, parameter in inspect.signature(kind).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise TypeError(f"{kind.__name__} takes any number of values: compare its attributes")
        default = [] if parameter.default is parameter.empty else [parameter.default]
        if default and callable(factories.get(name)):
            default = [factories[name]()]
        found.append([name, default])
    return found


def _inherits(value: Any, method: str) -> bool:
    """Whether it does by a special method what data does."""
    base = next((kind for kind in type(value).__mro__ if kind in codec.DATA), None)
    return base is not None and getattr(type(value), method, None) is getattr(base, method, None)


def _own(value: Any) -> list[str]:
    """Which of these its class decides by methods of its own."""
    known = [object, *(kind for kind in _NUMBERED if isinstance(value, kind))]
    found = []
    for operation, names in _DECIDING.items():
        kinds = {next((k for k in type(value).__mro__ if name in vars(k)), object) for name in names}
        if operation == "contains":  # by the library's, what is in it is what it yields
            kinds = {k for k in kinds if k.__module__.partition(".")[0] not in sys.stdlib_module_names}
        found += [operation] if kinds.difference(known) else []
    return found


def _fields(value: Any) -> list[Any] | None:
    """[its class, whether that has an order, and a hash, of these: the fields that are compared] of an object of which
    `dataclasses` has written how it is compared, else None.
    """
    kind: Any = type(value)
    fields = getattr(kind, "__dataclass_fields__", None) and dataclasses.fields(kind)
    if not fields or kind.__ne__ is not object.__ne__ or not _is_generated(kind, "__eq__"):
        return None
    ordered = all(_is_generated(kind, name) for name in map("__{}__".format, ORDERS))
    hashed = _is_generated(kind, "__hash__") and all(field.hash in (None, field.compare) for field in fields)
    return [kind, ordered, hashed, [getattr(value, field.name) for field in fields if field.compare]]


def _is_generated(kind: Any, name: str) -> bool:
    """Whether a method does what `dataclasses` would write for the fields of a data class."""
    code, written = (getattr(getattr(of, name), "__code__", None) for of in (kind, _as_written(kind)))
    return code is not None and all(getattr(code, n) == getattr(written, n) for n in _OF_CODE)


@functools.lru_cache(maxsize=256)
def _as_written(kind: Any) -> type:
    fields = [
        (f.name, object, dataclasses.field(compare=f.compare, hash=f.hash, kw_only=True))
        for f in dataclasses.fields(kind)
    ]
    return dataclasses.make_dataclass(kind.__name__, fields, order=True, unsafe_hash=True)


def _relations(one: Any, other: Any) -> dict[str, bool | None]:
    """What each comparison says; None where it raises, or says neither yes nor no."""
    return {name: _related(getattr(operator, name), one, other) for name in COMPARISONS}


def _related(operation: Callable[[Any, Any], Any], one: Any, other: Any) -> bool | None:
    try:
        said = operation(one, other)
    except Exception:
        return None
    return said if type(said) is bool else None


def _attributes(value: Any, kind: Any, names: list[str]) -> list[Any] | None:
    if not isinstance(value, kind):
        return None
    return [getattr(value, name) if hasattr(value, name) else getattr(value, f"_{name}") for name in names]
