"""The solution's side of a refereed run: answers calls from the process that holds the tests.

Objects of the program stay here and travel as numbers; plain data travels as data. See `referee` for the other side.
"""

from __future__ import annotations

import builtins
import contextlib
import copy
import enum
import functools
import importlib
import inspect
import operator
import os
import re
import struct
import sys
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec
from ..wire.instances import Instances
from . import replaced
from .given import Arguments, Given, from_table
from .streams import Streams

_LONGEST_PARTS = 4096  # bytes
_MOST_CAUSES = 4
_MOST_IN_GROUP = 50
_OF_ERRORS = ("filename", "filename2", "name", "path")  # which are neither among their arguments nor in their dict

_OPERATORS = (
    *("getitem", "setitem", "delitem", "contains", "eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv"),
    *("floordiv", "mod", "pow", "matmul", "and_", "or_", "xor", "lshift", "rshift", "neg", "pos", "invert"),
    *("iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "imatmul", "iand", "ior", "ixor", "ilshift"),
    *("irshift", "index"),
)
OPERATIONS: dict[str, Callable[..., Any]] = {
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "callable": callable,
    "builtin": lambda kind: _name_of_builtin(kind),
    "members": lambda o: dict(o.__members__),
    "parameters": lambda kind: _parameters(kind),
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
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{name: getattr(operator, name) for name in _OPERATORS},
}


_loops: list[Any] = []


def _loop() -> Any:
    """One event loop for all that the tests await, which outlives each: a lock belongs to its loop."""
    if not _loops:
        _loops.append(importlib.import_module("asyncio").new_event_loop())
    return _loops[0]


async def _awaited(value: Any) -> Any:
    return await value


def _wait(value: Any, timeout: float | None = None) -> Any:
    loop = _loop()
    return loop.run_until_complete(
        _awaited(value) if timeout is None else importlib.import_module("asyncio").wait_for(_awaited(value), timeout)
    )


def _about(*raised: str) -> tuple[Any, Any, Any]:
    """What ``__exit__`` is told of an exception of the tests, or of none."""
    if not raised:
        return None, None, None
    error = _counterpart(*raised)
    return type(error), error, None


def _parameters(kind: Any) -> list[Any]:
    """[name, [default] or []] of what an object of a class is made of."""
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


def _attributes(value: Any, kind: Any, names: list[str]) -> list[Any] | None:
    if not isinstance(value, kind):
        return None
    return [getattr(value, name) if hasattr(value, name) else getattr(value, f"_{name}") for name in names]


def _name_of_builtin(kind: Any) -> str:
    name = kind.__name__ if isinstance(kind, type) else ""
    return name if getattr(builtins, name, None) is kind else ""


class Connection:
    """Frames over a stream socket, with a bound on what is read."""

    def __init__(self, descriptor: int, budget: int) -> None:
        self.descriptor, self.budget = descriptor, budget
        self._read, self._write = os.read, os.write

    def send(self, message: Any) -> None:
        view = memoryview(codec.to_bytes(message))
        while view:
            view = view[self._write(self.descriptor, view) :]

    def receive(self) -> Any:
        """The next message; EOFError when the other side is gone, Malformed when it says too much."""
        (length,) = struct.unpack("<I", self._exactly(4))
        self.budget -= length
        if self.budget < 0:
            raise codec.Malformed("more data than reply_kb allows")
        return codec.from_bytes(self._exactly(length))

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._read(self.descriptor, min(length - len(data), 1 << 20))
            if not more:
                raise EOFError("the other process has ended")
            data += more
        return bytes(data)


class _Given:
    """An iterator of the tests, who are asked for each item."""

    def __init__(self, ask: Callable[[], Any]) -> None:
        self._ask = ask

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._ask()


class _Mock:
    """A mock of the tests: they are told of each call, and give each attribute."""

    def __init__(self, call: Callable[..., Any], ask: Callable[[str], Any]) -> None:
        self.__dict__.update(_call=call, _ask=ask)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._ask(name)


class Server:
    def __init__(self, connection: Connection, namespace: dict[str, Any], classes: dict[str, type]) -> None:
        self.connection, self.namespace = connection, namespace
        self.instances = Instances(classes, -1, by_name=True)
        self.objects: dict[int, Any] = {}
        self.stand_ins: dict[int, object] = {}
        self.streams = Streams()
        self.given: list[Any] = []  # the mutable arguments that a message names by number
        self.changed: dict[str, Any] = {}  # of the arguments of a call that raised

    def encode(self, value: Any) -> Any:
        return codec.encode(value, self._reference)

    def _reference(self, value: Any) -> Any:
        if type(value) is Given:
            return {"~": "ref", "v": ["given", value.number]}
        known = self.instances.reference(value)
        if known is not None:
            return {"~": "ref", "v": known}
        stand_in = next((n for n, known in self.stand_ins.items() if known is value), None)
        if stand_in is not None:
            return {"~": "ref", "v": ["stand-in", stand_in]}
        if (stream := self.streams.number(value)) is not None:
            return {"~": "ref", "v": ["stream", stream]}
        self.objects[id(value)] = value  # kept alive, so that the number stays its own
        return {"~": "ref", "v": ["object", id(value), type(value).__name__[:100]]}

    def decode(self, data: Any) -> Any:
        return codec.decode(data, self._resolve)

    def _resolve(self, content: Any) -> Any:
        kind, number = content[:2]
        if kind in ("node", "member", "class"):
            return self.instances.resolve(content)
        if kind == "object":
            return self.objects[number]
        if kind == "given":
            return self.given[number]
        if kind == "stand-in":
            return self.stand_ins.setdefault(number, object())
        if kind == "stream":
            if number not in self.streams.known:
                self.streams.put([content[1:]], make=True)
            return self.streams.known[number]
        if kind == "pattern":
            return re.compile(number, content[2])
        if kind == "path":
            return importlib.import_module("pathlib").Path(number)
        if kind == "library":
            found = importlib.import_module(number)
            return operator.attrgetter(content[2])(found) if content[2] else found

        def function(*args: Any, **kwargs: Any) -> Any:
            return self._call_back(number, args, kwargs)

        if kind == "iterator":
            return _Given(function)
        if kind == "mock":
            return _Mock(function, lambda name: self._call_back(number + 1, (name,), {}))
        function.__name__ = function.__qualname__ = content[2]
        function.__doc__ = content[3]
        return function if content[4] else functools.partial(function)  # which becomes no method in a class

    def _call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the tests that was passed as an argument; answer their requests meanwhile."""
        encoded = [self.encode(a) for a in args], {k: self.encode(v) for k, v in kwargs.items()}
        self._send(["callback", number, *encoded])
        while True:
            message = self.connection.receive()
            if message[0] == "nodes":
                self.instances.absorb(message[1], self.decode)
                continue
            if message[0] == "returned":
                return self.decode(message[1])
            if message[0] == "failed":
                raise _counterpart(message[1], message[2])
            self.answer(message)

    def _send(self, message: list[Any]) -> None:
        nodes = self.instances.collect(self.encode)
        if nodes:
            self.connection.send(["nodes", nodes])
        self.connection.send(message)

    def run(self) -> None:
        """Answer until the tests have ended."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                message = self.connection.receive()
                if message[0] == "nodes":
                    self.instances.absorb(message[1], self.decode)
                else:
                    self.answer(message)

    def answer(self, message: Any) -> None:
        try:
            answer = ["value", *getattr(self, "on_" + message[0])(*message[1:])]
        except codec.Malformed:
            raise
        except BaseException as error:
            answer = self._raised(error)
        try:
            self._send(answer)
        except (TypeError, ValueError) as error:  # more objects than go over
            self.connection.send(self._raised(error))

    def _raised(self, error: BaseException) -> list[Any]:
        changed, self.changed = self.changed, {}
        return ["raised", self._told(error), changed]

    def _told(self, error: BaseException, depth: int = 0) -> list[Any]:
        """Names of its kind and of their bases, text, parts, what it came from ([suppressed, cause, context]), and of a
        group what is in it: [message, [exception, ...]]."""
        try:
            text = str(error)[:500]
        except BaseException as second:
            text = f"(its text could not be read: {type(second).__name__})"
        came_from: list[Any] = [bool(error.__suppress_context__)]
        for other in (error.__cause__, error.__context__):
            deeper = isinstance(other, BaseException) and depth < _MOST_CAUSES
            came_from.append(self._told(other, depth + 1) if deeper and other is not None else None)
        inner = None
        if isinstance(error, BaseExceptionGroup) and depth < _MOST_CAUSES:
            inner = [error.message, [self._told(part, depth + 1) for part in error.exceptions[:_MOST_IN_GROUP]]]
        return [_names_of(type(error)), text, self._parts(error), came_from, inner]

    def _parts(self, error: BaseException) -> Any:
        """The arguments and the attributes of an exception, as far as they are small and data."""
        with contextlib.suppress(BaseException):
            attributes = {k: v for k, v in vars(error).items() if isinstance(k, str)}
            attributes |= {k: v for k in _OF_ERRORS if isinstance(v := getattr(error, k, None), str)}
            encoded = codec.encode([list(error.args), attributes])
            if len(codec.to_bytes(encoded)) < _LONGEST_PARTS:
                return encoded
        return [[], codec.encode({})]

    def on_names(self, wanted: list[str]) -> list[Any]:
        """What each name is, for the tests to bind."""
        found: dict[str, Any] = {}
        for name in wanted:
            if name not in self.namespace:
                continue
            value = self.namespace[name]
            if isinstance(value, type) and issubclass(value, BaseException):
                found[name] = ["exception", _names_of(value)]
            elif not isinstance(value, types.ModuleType):  # modules are the tests' own, or none of their business
                kind = "class" if isinstance(value, type) else "value"
                found[name] = [kind, self.encode(value)]
        return [found]

    def on_call(self, target: Any, args: list[Any], kwargs: dict[str, Any], around: dict[str, Any]) -> list[Any]:
        """Call, and report what of its arguments the call has changed, and what it printed if somebody wants to know."""
        outer = self.given
        self.streams.put(around.get("streams", []), make=True)
        try:
            self.given = from_table(around["given"], self._decode_given) if "given" in around else []
            decoded = [self.decode(a) for a in args]
            function, named = self.decode(target), {k: self.decode(v) for k, v in kwargs.items()}
            arguments = Arguments(self.given or (*decoded, *named.values()))
            before = arguments.before()
        finally:
            self.given = outer
        try:
            with replaced.put(around, self.decode) as told:
                value = function(*decoded, **named)
                brought = told()
        except BaseException:
            with contextlib.suppress(TypeError, ValueError):
                self.changed = self._changed(arguments, before)
            raise
        changed = self._changed(arguments, before)
        for other in Arguments((*decoded, *named.values())).others if self.instances.classes else ():
            self.instances.reference(other)  # an object of the task goes back as the call has left it
        return [self.encode(arguments.by_number(value)), changed, brought]

    def _changed(self, arguments: Arguments, before: list[Any]) -> dict[str, Any]:
        changed = arguments.changed(before, self.encode)
        streams = self.streams.changed()
        return {**changed, "streams": streams} if streams else changed

    def _decode_given(self, content: Any, made: list[Any]) -> Any:
        self.given = made
        return self.decode(content)

    def on_operation(self, name: str, operands: list[Any]) -> list[Any]:
        return [self.encode(OPERATIONS[name](*[self.decode(o) for o in operands]))]


def _names_of(kind: type) -> list[str]:
    """Of a class and its bases; those of the library with their module (``json.decoder:JSONDecodeError``)."""
    return [_name_of(base)[:100] for base in kind.__mro__]


def _name_of(kind: type) -> str:
    module = str(kind.__module__)
    of_library = module != "builtins" and module.partition(".")[0] in sys.stdlib_module_names
    return f"{module}:{kind.__qualname__}" if of_library else kind.__name__


def _counterpart(name: str, text: str) -> Exception:
    """What a function of the tests raised, as an exception that the program can catch by its built-in name."""
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, Exception):
        with contextlib.suppress(TypeError):  # a kind that takes other arguments
            return kind(text)
    return RuntimeError(f"{name}: {text}")


def serve(descriptor: int, namespace: dict[str, Any], budget: int, classes: dict[str, type]) -> None:
    Server(Connection(descriptor, budget), namespace, classes).run()
