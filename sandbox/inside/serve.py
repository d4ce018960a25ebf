"""The solution's side of a refereed run: answers calls from the process that holds the tests.

Objects of the program stay here and travel as numbers; plain data travels as data. See `referee` for the other side.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import importlib
import itertools
import operator
import re
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Thread  # that of the program may be another one
from types import MappingProxyType
from typing import Any, TextIO

from ..wire import codec
from ..wire.containers import MUTABLE
from ..wire.instances import Instances
from . import lent, library, replaced, yielding
from .connection import Connection
from .conversations import MAIN, Conversations, need_room
from .given import Arguments, Given, from_table
from .mocked import mocked, number_of
from .operations import OPERATIONS
from .shaped import shaped
from .shared import Numbered, Shared
from .stated import of_text, stated
from .streams import Streams

_METHODS = (types.FunctionType, property, classmethod, staticmethod)
# Special methods that make and show an object, and change nothing of what it does as data.
_OF_FORM = frozenset(
    ("__init__", "__new__", "__repr__", "__str__", "__format__", "__init_subclass__", "__class_getitem__")
)
_OF_FORM |= {
    "__reduce__",
    "__getnewargs__",
    "__getstate__",
    "__setstate__",
    "__copy__",
    "__deepcopy__",
    "__del__",
    "__set_name__",
}
# Operators that may make another object of a class.
_MAKING = frozenset(name for name in OPERATIONS if hasattr(operator, name)) - {"getitem"} | {
    "copy",
    "deepcopy",
    "divmod",
    "round",
}
_LONGEST_PARTS = 4096  # bytes, or characters of a text
_MOST_CAUSES = 4
_MOST_ARGUMENTS = 50  # of an exception
_OF_TESTS = "__of_tests__"  # which of the tests' own an exception is
_MOST_IN_GROUP = 50
# Which are neither in their dict nor always found by their arguments.
_OF_ERRORS = ("errno", "strerror", "filename", "filename2", "name", "path", "msg", "lineno", "offset", "text")


async def _come_to(function: Callable[[], Any]) -> Any:
    return function()


class _Here(threading.local):
    """What a thread is about.

    Attributes:
        number: the conversation in which it answers; None: it has not been asked.
        given: the mutable arguments that a message names by number.
        changed: of the arguments of a call that raised.
        arguments: of that call.
        told: what that call brings back.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.given: list[Any] = []
        self.changed: dict[str, Any] = {}
        self.arguments: Arguments | None = None
        self.told: list[Any] = []


class Server:
    def __init__(
        self, connection: Connection, namespace: dict[str, Any], classes: dict[str, type], stdout: TextIO | None
    ) -> None:
        self.connection, self.namespace, self._printed = connection, namespace, stdout
        self.instances = Instances(classes, -1, by_name=True)
        self.objects: dict[int, Any] = {}
        self.stand_ins: dict[int, object] = {}
        self.streams = Streams()
        self.shared = Shared()
        self.kinds: dict[tuple[str, ...], Any] = {}  # of exceptions, by their names
        self.named: dict[str, Any] = {}  # classes of exceptions
        self.derived: set[type] = set()  # from data, with methods of their own, of which the tests have made objects
        self.functions: dict[int, Any] = {}  # of the tests: one that is given twice is the same
        self.here = _Here()
        self.output, self.under_way = replaced.Output(), 0  # requests
        self.conversations = Conversations(self._receive, self._begin)
        self.numbers, self.sending = itertools.count(MAIN + 1), threading.RLock()

    def encode(self, value: Any) -> Any:
        try:
            return codec.encode(value, self._reference)
        except codec.TooDeep:  # no exception of the program, which a test might want
            return self._held(value.container if type(value) is Numbered else value)

    def _reference(self, value: Any) -> Any:
        if type(value) is Given:
            return {"~": "ref", "v": ["given", value.number]}
        if value is NotImplemented:
            return {"~": "ref", "v": ["not implemented"]}
        if type(value) is Numbered:
            return value.reference(self.encode)
        known = self.instances.reference(value)
        if known is not None:
            return {"~": "ref", "v": known}
        stand_in = next((n for n, known in self.stand_ins.items() if known is value), None)
        if stand_in is not None:
            return {"~": "ref", "v": ["stand-in", stand_in]}
        if (stream := self.streams.number(value)) is not None:
            return {"~": "ref", "v": ["stream", stream, self._held(value)]}
        if type(value) is re.Pattern:
            return {"~": "ref", "v": ["pattern", self.encode(value.pattern), value.flags]}
        if (text := stated(value)) is not None:
            return {"~": "ref", "v": ["stated", *text]}
        if type(value) is types.FunctionType and not vars(value):  # else it has by now what that of the tests has not
            function = next((n for n, known in self.functions.items() if known is value), None)
            if function is not None:
                return {"~": "ref", "v": ["function", function, self._held(value)]}
        if (mock := number_of(value)) is not None:
            return {"~": "ref", "v": ["mock", mock, self._held(value)]}
        return self._held(value)

    def _held(self, value: Any) -> Any:
        self.objects[id(value)] = value  # kept alive, so that the number stays its own
        single = isinstance(
            value, (type, enum.Enum)
        )  # the same one wherever it comes from; which, if it is the library's
        told = [":".join(library.name_of(value) or ())] if single else []
        kind = type(value)
        self.objects[id(kind)] = kind
        return {"~": "ref", "v": ["object", id(value), kind.__name__[:100], id(kind), *told]}

    def decode(self, data: Any) -> Any:
        return codec.decode(data, self._resolve)

    def _resolve(self, content: Any) -> Any:
        kind, number = content[:2]
        if kind in ("node", "member", "class"):
            return self.instances.resolve(content)
        if kind == "object":
            return self.objects[number]
        if kind == "given":
            return self.here.given[number]
        if kind == "container":
            return self.shared.put(number, self.decode(content[2]))
        if kind == "slice":
            return slice(*self.decode(number))
        if kind == "kind":
            return self._kind(number)
        if kind == "exception":
            return self._exception(number, self.decode(content[2]))
        if kind == "stand-in":
            return self.stand_ins.setdefault(number, object())
        if kind == "stream":
            if number not in self.streams.known:
                self.streams.put([content[1:]], make=True)
            return self.streams.known[number]
        if kind == "pattern":
            return re.compile(self.decode(number), content[2])
        if kind == "stated":
            return of_text(*content[1:])
        if kind == "path":
            return importlib.import_module("pathlib").Path(number)
        if kind == "library":
            found = importlib.import_module(number)
            return operator.attrgetter(content[2])(found) if content[2] else found

        if number not in self.functions:
            self.functions[number] = self._function(kind, number, *content[2:])
        return self.functions[number]

    def _function(
        self, kind: str, number: int, name: Any = "", doc: str = "", binds: bool = True, form: Any = None
    ) -> Any:
        def call(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return self._call_back(number, args, kwargs)

        if kind in yielding.KINDS:
            return yielding.KINDS[kind](lambda step, *args: self._call_back(number + step, args, {}))
        function = shaped(form, call)
        if kind == "coroutine":
            return _come_to(function)
        if kind == "mock":
            return mocked(name, number, function, lambda *asked: self._call_back(number + 1, asked, {}))
        function.__name__ = function.__qualname__ = name
        function.__doc__ = doc
        return function if binds else functools.partial(function)  # which becomes no method in a class

    def _exception(self, names: list[str], arguments: list[Any]) -> Any:
        """Of the kind that there is here (`_kind`)."""
        with contextlib.suppress(TypeError):  # a kind that takes other arguments
            return self._kind(names)(*arguments)
        with contextlib.suppress(TypeError):
            return self._kind(names).__new__(self._kind(names))
        return Exception(*arguments)

    def _kind(self, names: list[str]) -> Any:
        """A kind of exception by its name, or one of that name derived from those of its bases that there are here."""
        key = tuple(names)
        if key not in self.kinds:
            found = [self._found(name) for name in names]
            bases = library.combined(kind for kind in found if _is_exception(kind)) or (Exception,)
            of_tests = bases[0] is not found[0]
            self.kinds[key] = type(names[0], bases, {"__module__": "__tests__"}) if of_tests else bases[0]
        return self.kinds[key]

    def _found(self, name: str) -> Any:
        module, _, attribute = name.rpartition(":")
        return getattr(importlib.import_module(module), attribute, None) if module else self.namespace.get(name)

    def _call_back(self, number: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the tests that was passed as an argument; answer their requests meanwhile."""
        need_room()
        encoded = [self._handed(a, True) for a in args], {k: self._handed(v, True) for k, v in kwargs.items()}
        with self._conversation() as in_:
            self._send(["callback", number, *encoded, self.output.printed()])
            while (message := self.conversations.hear(in_))[0] not in ("returned", "failed"):
                self._answer(in_, message)
        what, *came_of_it = message
        if what == "failed":
            raise self._failed(*came_of_it)
        return self.decode(*came_of_it)

    @contextlib.contextmanager
    def _conversation(self) -> Iterator[int]:
        """The one in which this thread answers, or a new one: what it does was not asked for by the tests."""
        if (number := self.here.number) is not None:
            yield number
            return
        self.here.number = number = next(self.numbers)
        self.conversations.join(number)
        try:
            yield number
        finally:
            self.conversations.leave(number)
            self.here.number = None

    def _begin(self, number: int, message: list[Any]) -> None:
        """A thread of the tests asks: it has one here, which is the same one for the program as long as it lives."""
        if message[0] == "end":  # of one that could not be begun
            return
        self.conversations.join(number)
        try:
            Thread(target=self._answer_apart, args=(number, message), daemon=True).start()
        except RuntimeError as error:  # too many threads
            self.conversations.leave(number)
            outer, self.here.number = self.here.number, number
            self._send(self._raised(error))
            self.here.number = outer

    def _answer_apart(self, number: int, message: list[Any]) -> None:
        with contextlib.suppress(EOFError, ConnectionError):
            while message[0] != "end":
                self._answer(number, message)
                message = self.conversations.hear(number)
        self.conversations.leave(number)

    def _failed(self, names: list[str], text: str, arguments: Any, which: int) -> BaseException:
        """What a function of the tests has raised; let through, it is that one for them.

        ``arguments``: of it, or an exception of the program's own, which the tests have had made or met before.
        """
        own = isinstance(arguments, dict)
        error = self.decode(arguments) if own else self._exception(names, arguments or [text])
        if type(error) is Exception:
            error = RuntimeError(f"{names[0].rpartition(':')[2]}: {text}")
        error.__dict__[_OF_TESTS] = which
        return error

    def _receive(self) -> Any:
        while self._absorbed(message := self.connection.receive()):
            pass
        return message

    def _absorbed(self, message: list[Any]) -> bool:
        """Take what is no request: classes of the tests, objects, containers, that several threads may ask; False for those."""
        if message[0] == "classes":
            for description in message[1]:
                self.instances.classes[description[0]] = lent.made(description, self.namespace.get(description[1]))
        elif message[0] == "nodes":
            self.instances.absorb(message[1], self.decode)
        elif message[0] == "containers":
            self.shared.take(message[1], self.decode)
        elif message[0] == "several":
            with contextlib.suppress(RuntimeError):  # too many threads: then they are answered one after the other
                Thread(target=self.conversations.read_on, daemon=True).start()
        else:
            return False
        return True

    def _send(self, message: list[Any]) -> None:
        # What a call has printed is out before its answer, with which the tests may end, and this process with them.
        if self._printed is not None:
            with contextlib.suppress(OSError, ValueError):  # closed by the program
                self._printed.flush()
        number = self.here.number
        with self.sending:
            changed = self.shared.changed(self.encode)
            if nodes := self.instances.collect(self.encode):
                self.connection.send(["nodes", nodes])
            if changed:  # after the objects that are in it
                self.connection.send(["containers", changed])
            self.connection.send(["nested", number, message] if number else message)

    def run(self) -> None:
        """Answer until the tests have ended."""
        with contextlib.suppress(EOFError, ConnectionError):
            while True:
                self._answer(MAIN, self.conversations.hear(MAIN))

    def _answer(self, number: int, message: list[Any]) -> None:
        """Work for what the tests ask in a conversation."""
        outer, self.here.number = self.here.number, number
        try:
            try:
                what, *content = message
                answer = ["value", *getattr(self, "on_" + what)(*content)]
            except codec.Malformed:
                raise
            except BaseException as error:
                answer = self._raised(error)
            try:
                self._send(answer)
            except (TypeError, ValueError, RecursionError) as error:  # more objects than go over
                self._send(self._raised(error))
        finally:
            self.here.number = outer

    def _raised(self, error: BaseException) -> list[Any]:
        changed, self.here.changed = self.here.changed, {}
        told, self.here.told = self.here.told, []
        try:
            return ["raised", self._told(error), changed, told]
        finally:
            self.here.arguments = None

    def _told(self, error: BaseException, depth: int = 0) -> list[Any]:
        """Names of its kind and of their bases, text, parts, what it came from ([suppressed, cause, context]), and of a
        group what is in it: [message, [exception, ...]]; which of the tests' own it is; and the exception as an object."""
        try:
            text = str(error)[:_LONGEST_PARTS]
        except BaseException as second:
            text = f"(its text could not be read: {type(second).__name__})"
        came_from: list[Any] = [bool(error.__suppress_context__)]
        for other in (error.__cause__, error.__context__):
            deeper = isinstance(other, BaseException) and depth < _MOST_CAUSES
            came_from.append(self._told(other, depth + 1) if deeper and other is not None else None)
        inner = None
        if isinstance(error, BaseExceptionGroup) and depth < _MOST_CAUSES:
            inner = [error.message, [self._told(part, depth + 1) for part in error.exceptions[:_MOST_IN_GROUP]]]
        of_tests = vars(error).get(_OF_TESTS)
        return [self._names_of(type(error)), text, self._parts(error), came_from, inner, of_tests, self._held(error)]

    def _parts(self, error: BaseException) -> Any:
        """The arguments of an exception, as a result is handed over, and [name, value] of its attributes, as far as they are
        small and data. None in the place of the arguments: these are too many."""
        arguments: list[Any] | None = None
        attributes: list[Any] = []
        with contextlib.suppress(BaseException):
            found = {k: v for k, v in vars(error).items() if isinstance(k, str)}
            found |= {k: v for k in _OF_ERRORS if isinstance(v := getattr(error, k, None), (str, int))}
            told = [[k, self._in_error(v)] for k, v in found.items() if _as_data(v)]
            told += [
                [k, self._in_error(getattr(error, k))] for k, kind in library.MEMBERS.items() if isinstance(error, kind)
            ]
            attributes = told if len(codec.to_bytes(told)) < _LONGEST_PARTS else []
            if len(error.args) <= _MOST_ARGUMENTS:
                told = [self._in_error(a) for a in error.args]
                arguments = told if len(codec.to_bytes(told)) < _LONGEST_PARTS else None
        return [arguments, attributes]

    def _in_error(self, value: Any) -> Any:
        arguments = self.here.arguments
        return self._handed(value, True, {} if arguments is None else arguments.marks)

    def on_names(self, wanted: list[str]) -> list[Any]:
        """What each name is, for the tests to bind: [kind, content], and of a container that they may change its number."""
        found: dict[str, Any] = {}
        for name in wanted:
            top, *inner = name.split(".")
            if top not in self.namespace:
                continue
            owner, value = None, self.namespace[top]
            for attribute in inner:  # Stack.Empty
                owner, value = value, getattr(value, attribute, None) if isinstance(value, type) else None
            if _is_exception(value):
                of = [self.encode(owner)] if inner else []
                found[name] = ["exception", self._names_of(value), self.encode(value), *of]
            elif inner:
                continue
            elif isinstance(value, tuple) and value and all(map(_is_exception, value)):
                found[name] = ["exceptions", [*map(self._names_of, value)], self.encode(value)]
            elif not isinstance(value, types.ModuleType):  # modules are the tests' own, or none of their business
                kind = "class" if isinstance(value, type) else "value"
                found[name] = [kind, self.encode(value)]
                if isinstance(value, MUTABLE) and (number := self.shared.number(value)) is not None:
                    found[name].append(number)
        return [found]

    def _names_of(self, kind: type) -> list[str]:
        """Of a class of exceptions and its bases: those of the built-ins by their name alone, and no two classes by one."""
        return [
            self._name(base, name.removeprefix("builtins:")[:100], ":" in name)
            for base, name in zip(kind.__mro__, library.names_of(kind), strict=False)
        ]

    def _name(self, kind: type, name: str, of_library: bool) -> str:
        first = self.namespace.get(name)
        if of_library or kind.__module__ == "__tests__":
            return name
        if self.named.setdefault(name, first if _is_exception(first) else kind) is not kind:
            name = f"{name}#{id(kind)}"
            self.named[name] = kind  # kept, so that the number stays its own
        return name

    def on_told(self, error: Any) -> list[Any]:
        """What an exception says that the tests have had made."""
        return [self._told(self.decode(error))]

    def on_call(self, target: Any, args: list[Any], kwargs: dict[str, Any], around: dict[str, Any]) -> list[Any]:
        """Call, and report what of its arguments the call has changed, and what it printed if somebody wants to know."""
        outer = self.here.given
        self.streams.put(around.get("streams", []), make=True)
        try:
            self.here.given = from_table(around["given"], self._decode_given) if "given" in around else []
            decoded = [self.decode(a) for a in args]
            function, named = self.decode(target), {k: self.decode(v) for k, v in kwargs.items()}
            arguments = Arguments(self.here.given or (*decoded, *named.values()), self.objects)
            before = arguments.before()
        finally:
            self.here.given = outer
        try:
            value, brought = self._with(around, lambda: function(*decoded, **named))
        except BaseException:
            with contextlib.suppress(TypeError, ValueError):
                self.here.changed = self._changed(arguments, before)
            self.here.arguments = arguments
            raise
        changed = self._changed(arguments, before)
        del before  # which refers to what the arguments hold
        is_kept = _references(value) > _ALONE
        if "object" in around and _has_methods(type(value), around["object"]):
            self.derived.add(type(value))
            encoded = self._held(value)
        else:
            for other in Arguments((*decoded, *named.values())).others if self.instances.classes else ():
                self.instances.reference(other)  # an object of the task goes back as the call has left it
            encoded = self._handed(value, is_kept, arguments.marks)
        # What has to do with an object, and not with data alone, may keep what it was given, and so may what has it by now.
        of_object = isinstance(function, types.MethodType) or (type(encoded) is dict and encoded["~"] == "ref")
        changed |= self._kept(
            arguments.containers if of_object else self.shared.known_otherwise(arguments.containers), arguments
        )
        return [encoded, changed, brought]

    def _kept(self, kept: list[Any], arguments: Arguments) -> dict[str, Any]:
        numbers = [(arguments.marks[id(c)].number, self.shared.number(c)) for c in kept if isinstance(c, MUTABLE)]
        told = [[index, number] for index, number in numbers if number is not None]
        return {"kept": told} if told else {}

    def _changed(self, arguments: Arguments, before: list[Any]) -> dict[str, Any]:
        # What it has put there may be its own (`m.append(rows)`).
        changed = arguments.changed(before, lambda content: self._handed(content, False, top=True))
        streams = self.streams.changed()
        return {**changed, "streams": streams} if streams else changed

    def _decode_given(self, content: Any, made: list[Any]) -> Any:
        self.here.given = made
        return self.decode(content)

    def _with(self, around: dict[str, Any], run: Callable[[], Any]) -> tuple[Any, list[Any]]:
        """Run something with what the tests have put around it; its result, and what it brings back."""
        self._capture(around)
        with replaced.put(around, self.decode) as brought:
            self.under_way += 1
            try:
                return run(), [*self.output.printed(), *brought.told(self._told)]
            except BaseException:
                self.here.told = [*self.output.printed(), *brought.told(self._told)]
                raise
            finally:
                self.under_way -= 1

    def _capture(self, around: dict[str, Any]) -> None:
        if "captured" in around or not self.under_way:
            self.output.capture(around.get("captured", {}))

    def on_operation(self, name: str, operands: list[Any], around: dict[str, Any] | None = None) -> list[Any]:
        decoded = [self.decode(o) for o in operands]
        if around is None:
            self._capture({})
            value = OPERATIONS[name](*decoded)
            is_kept = name == "getattr" or _references(value) > _ALONE
            return [self._operated(name, decoded, value, is_kept)]
        arguments = Arguments(decoded, self.objects)
        before = arguments.before()
        self.streams.put(around.get("streams", []), make=True)
        try:
            value, brought = self._with(around, lambda: OPERATIONS[name](*decoded))
        except BaseException:
            self.here.changed = self._changed(arguments, before)
            raise
        is_kept = name == "getattr" or _references(value) > _ALONE
        changed = self._changed(arguments, before)
        del before
        changed |= self._kept(self.shared.known_otherwise(arguments.containers), arguments)
        return [self._operated(name, decoded, value, is_kept), [changed, brought]]

    def _operated(self, name: str, operands: list[Any], value: Any, is_kept: bool) -> Any:
        if name in _MAKING and type(value) in self.derived and any(type(o) in self.derived for o in operands):
            return self._held(value)  # and not as the data that it holds: V(1, 2) + V(3, 4) + V(5, 6)
        return self._handed(value, is_kept)

    def _handed(
        self, value: Any, is_kept: bool, given: Mapping[int, Given] = MappingProxyType({}), top: bool = False
    ) -> Any:
        try:
            return self.encode(self.shared.handed(value, is_kept, given, top))
        except codec.TooDeep:
            return self._held(value)


def _as_data(value: Any) -> list[Any] | None:
    """[its encoding], or None for what is no data, or too much."""
    with contextlib.suppress(BaseException):
        encoded = codec.encode_data(value)
        if len(codec.to_bytes(encoded)) < _LONGEST_PARTS:
            return [encoded]
    return None


def _references(value: Any) -> int:
    return sys.getrefcount(value)


def _alone() -> int:
    value: list[Any] = []
    return _references(value)


_ALONE = _alone()  # of what one function holds, and nothing else


def _has_methods(kind: type, names: Sequence[str]) -> bool:
    """Whether a class of the program's is data with methods of its own: ``class LRUCache(OrderedDict)``, or operators.

    Args:
        names: one of which it has to be; empty: any.
    """
    own = kind.__mro__[: next((i for i, b in enumerate(kind.__mro__) if b in codec.DATA), 0)]
    own = tuple(base for base in own if base.__module__.partition(".")[0] not in sys.stdlib_module_names)
    if names:
        return any(isinstance(vars(base).get(name), _METHODS) for base in own for name in names)
    public = (
        not name.startswith("_") and isinstance(value, _METHODS) for base in own for name, value in vars(base).items()
    )
    special = (
        name.startswith("__") and name.endswith("__") and name not in _OF_FORM and callable(value)
        for base in own
        for name, value in vars(base).items()
    )
    return any(public) or any(special)


def _is_exception(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, BaseException)


def serve(descriptor: int, namespace: dict[str, Any], classes: dict[str, type], stdout: TextIO | None) -> None:
    codec.records_as_sent()
    Server(Connection(descriptor), namespace, classes, stdout).run()
