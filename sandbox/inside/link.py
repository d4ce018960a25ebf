"""The referee's end of the connection: what goes over to the program, and what comes back as the tests have it."""

from __future__ import annotations

import collections
import functools
import re
import sys
import threading
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec
from ..wire.instances import Instances
from . import lent, outstanding, passed, raised
from .connection import Connection
from .expected import Expected, made
from .given import Arguments, Given, alike, fill
from .held import OPAQUE, OWN, Gone, about, number
from .iterated import Items
from .proxy import Proxy, show
from .raised import Raised
from .replaced import Around
from .streams import Streams
from .texts import Handed

_ANSWERS = (*(("next", StopIteration), ("anext", StopAsyncIteration), ("getattr", AttributeError), ("len", TypeError)),)


class Link:
    """A connection to the program's process, and what of it the tests hold by now."""

    def __init__(
        self,
        connection: Connection,
        objects: frozenset[str] = frozenset(),
        methods: frozenset[str] = frozenset(),
        under_test: frozenset[str] = frozenset(),
    ) -> None:
        self.under_test = under_test
        self.connection, self.objects, self.methods = connection, objects, methods
        self.instances = Instances({}, 1)
        self.outstanding = outstanding.Outstanding()
        self.is_to_be_taken = self.outstanding.is_to_be_taken
        self.around = Around()
        self.streams = Streams()
        self.handed = Handed()
        self.stand_ins: list[object] = []
        self.given: list[Any] = []  # the mutable arguments that a reply names by number
        self.lends = False  # the classes of the setup are on both sides, and told by name
        self.lent: list[list[Any]] = []  # classes of the tests that the program has not heard of yet
        self.put: dict[tuple[int, str], Any] = {}
        self.lengths: dict[int, int] = {}
        self.yielded: dict[int, int] = {}
        self.items: dict[int, Items] = {}
        self.spent: set[int] = set()
        self.requests = 0
        self.asked: collections.Counter[int] = collections.Counter()  # the same by thread
        self.functions: list[Callable[..., Any]] = []
        self.proxies: dict[tuple[int, int, str], Proxy] = {}  # by number, standing and (of opaque ones) producer
        self.raised = Raised()
        self.classes: set[str] = set()  # names of the program that it calls classes
        self.lock = threading.RLock()  # tests may have threads; a function of theirs that is called asks again
        self.last = ""  # the latest call of the program and what came of it, for the reason of a failure

    def encode(self, value: Any) -> Any:
        return codec.encode(value, self._reference)

    def _reference(self, value: Any) -> Any:
        if isinstance(value, Proxy):
            return {"~": "ref", "v": ["object", number(value)]}
        known = self.instances.reference(value) or passed.of_library_by_name(value)
        if known is not None:
            return {"~": "ref", "v": known}
        if type(value) is Given:
            return {"~": "ref", "v": ["given", value.number]}
        if type(value) is Expected:
            return self.encode(made(value))
        if (stream := self.streams.number(value, new=True)) is not None:
            return {"~": "ref", "v": ["stream", *self.streams.named(stream)]}
        if type(value) is re.Pattern and type(value.pattern) is str:
            return {"~": "ref", "v": ["pattern", value.pattern, value.flags]}
        if type(value).__module__ == "pathlib":
            return {"~": "ref", "v": ["path", str(value)]}
        if type(value) is object:  # a stand-in, or what a function should refuse
            self.stand_ins.append(value)
            return {"~": "ref", "v": ["stand-in", next(i for i, known in enumerate(self.stand_ins) if known is value)]}
        if isinstance(value, passed.ITERATORS):
            self.functions.append(value.__next__)
            return {"~": "ref", "v": ["iterator", len(self.functions) - 1]}
        if passed.is_mock(value):
            self.functions += [value, functools.partial(passed.of_mock, value)]
            return {"~": "ref", "v": ["mock", len(self.functions) - 2]}
        if self._lend(type(value)):
            return {"~": "ref", "v": self.instances.reference(value)}
        if type(value) is slice:
            return {"~": "ref", "v": ["slice", self.encode([value.start, value.stop, value.step])]}
        if isinstance(value, BaseException):
            return {"~": "ref", "v": ["exception", raised.names_of(type(value)), self.encode(list(value.args))]}
        if callable(value) and not isinstance(value, type):
            self.functions.append(value)
            name, doc = (str(getattr(value, n, "") or "")[:1000] for n in ("__name__", "__doc__"))
            binds = isinstance(value, types.FunctionType)
            return {"~": "ref", "v": ["function", len(self.functions) - 1, name, doc, binds]}
        raise passed.CannotLeave(f"the tests pass a {type(value).__name__}, which cannot leave their process")

    def _lend(self, kind: type) -> bool:
        """Give the program a class in the place of one of the tests, if that can be done."""
        description = lent.described(kind, f"{kind.__name__}@{len(self.instances.classes)}") if self.lends else None
        if description is not None:
            self.instances.classes[description[0]] = kind
            self.lent.append(description)
        return description is not None

    def decode(self, data: Any, standing: int = OPAQUE, producer: str = "") -> Any:
        self.handed.hear(data)
        inner = producer if producer.endswith("[]") else f"{producer}[]"
        whole = isinstance(data, dict) and data.get("~") == "ref"
        return codec.decode(data, lambda content: self._resolve(content, standing, producer if whole else inner))

    def _resolve(self, content: Any, standing: int, producer: str) -> Any:
        if content[0] in ("node", "member", "class"):
            return self.instances.resolve(content)
        if content[0] in ("stand-in", "given"):
            return (self.stand_ins if content[0] == "stand-in" else self.given)[content[1]]
        if content[0] == "stream" and content[1] in self.streams.known:
            return self.streams.known[content[1]]
        kind, which, class_name = content
        if kind != "object" or type(which) is not int or type(class_name) is not str:
            raise codec.Malformed("not a reference")
        return self._proxy(which, class_name, standing, producer)

    def _proxy(self, which: int, class_name: str, standing: int, producer: str) -> Proxy:
        key = (which, standing, producer if standing == OPAQUE else "")
        if key not in self.proxies:
            self.proxies[key] = Proxy(self, which, class_name, standing, producer)
        return self.proxies[key]

    def in_standing(self, proxy: Proxy, standing: int, make: bool = False) -> Proxy | None:
        """The same object in another standing, if the tests hold it so, or are to (``make``)."""
        known = about(proxy)
        which = known.number
        return (
            self._proxy(which, known.class_name, standing, known.producer)
            if make
            else self.proxies.get((which, standing, ""))
        )

    def request(self, message: list[Any], given: list[Any] | None = None) -> list[Any]:
        """Ask the program; ``given``: the mutable arguments of a call, which it may change though it raises."""
        with self.lock:
            return self._request(message, given or [])

    def _request(self, message: list[Any], given: list[Any]) -> list[Any]:
        self.requests += 1
        self.asked[threading.get_ident()] += 1
        self.outstanding.asked = True
        try:
            self._send(message)
            while True:
                reply = self.connection.receive()
                if type(reply) is not list or not reply:
                    raise codec.Malformed("not a reply")
                if reply[0] == "nodes":
                    self.instances.absorb(reply[1], self.decode)
                elif reply[0] == "callback":
                    self._run_function(*reply[1:])
                elif reply[0] == "value":
                    return reply[1:]
                elif reply[0] == "raised" and len(reply) == 3:
                    self._change(given, reply[2])
                    error = self.raised.as_here(reply[1], self.decode)
                    break
                else:
                    raise codec.Malformed("not a reply")
        except Exception as broken:  # of the connection or of what came over it: nothing that a test may catch
            raise Gone(f"{type(broken).__name__}: {broken}"[:300]) from None
        self.outstanding.of_program(error, self._is_an_answer(message, error), sys.exception())
        raise error

    @staticmethod
    def _is_an_answer(message: list[Any], raised: BaseException) -> bool:
        """Whether an exception is how Python says no: the end of an iterator, an attribute or a length that is not there.

        ``list`` asks for a length before it takes the items one by one.
        """
        operation = message[1] if message[0] == "operation" else ""
        return (operation, type(raised)) in _ANSWERS

    def _send(self, message: list[Any]) -> None:
        nodes = self.instances.collect(self.encode)
        if self.lent:
            self.connection.send(["classes", self.lent])
            self.lent = []
        if nodes:
            self.connection.send(["nodes", nodes])
        self.connection.send(message)

    def _run_function(self, number: int, args: list[Any], kwargs: dict[str, Any]) -> None:
        decoded = [self.decode(a) for a in args]
        named = {str(k): self.decode(v) for k, v in kwargs.items()}
        try:
            answer = ["returned", self.encode(self.functions[number](*decoded, **named))]
        except AssertionError as error:  # decides, whatever the program makes of it; its text may hold what is expected
            self.outstanding.add(error)
            answer = ["failed", "AssertionError", ""]
        except (Exception, passed.CannotLeave) as error:
            answer = ["failed", type(error).__name__, str(error)[:500]]
        self._send(answer)

    def operation(self, name: str, *operands: Any, standing: int = OPAQUE, producer: str = "") -> Any:
        if name in ("setitem", "delitem", "setattr", "delattr"):
            self._forget()
        reply = self.request(["operation", name, [self.encode(o) for o in operands]])
        return self._answer(reply, 1, lambda: self.decode(reply[0], standing, producer))

    def _forget(self) -> None:
        """A call may have changed what the program's objects hold."""
        self.lengths.clear()
        self.yielded.clear()
        self.items.clear()

    def of_library(
        self, module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any], standing: int = OPAQUE
    ) -> Any:
        """Call a function of the standard library where the program is."""
        encoded, named = [self.encode(a) for a in args], {k: self.encode(v) for k, v in kwargs.items()}
        reply = self.request(["call", {"~": "ref", "v": ["library", module, name]}, encoded, named, {}])
        return self._answer(reply, 3, lambda: self.decode(reply[0], standing, f"{name}()"))

    @staticmethod
    def _answer(reply: list[Any], length: int, decode: Callable[[], Any]) -> Any:
        try:
            if len(reply) != length:
                raise codec.Malformed("not a reply")
            return decode()
        except (ValueError, TypeError, LookupError) as error:
            raise Gone(str(error)) from None

    def call(self, target: Proxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        arguments = Arguments((*args, *kwargs.values()))
        handed = arguments.by_number if arguments.shared else lambda value: value
        encoded = [self.encode(handed(a)) for a in args]
        named = {k: self.encode(handed(v)) for k, v in kwargs.items()}
        shown = [show(a) for a in args] + [f"{k}={show(v)}" for k, v in kwargs.items()]
        label, producer = about(target).label, about(target).producer
        self._forget()
        self.last = f"{label}({', '.join(shown)[:300]}) did not return"
        around = self.around.now(self.encode)
        if about(target).makes_own and f"{producer}()" in self.objects:
            around["object"] = True  # though it be of a subclass of list: its own methods are asked
        if streams := self.streams.changed():
            around["streams"] = streams
        if arguments.shared:
            around["given"] = arguments.table(self.encode)
        try:
            reply = self.request(["call", self.encode(target), encoded, named, around], arguments.containers)
        except Exception as error:
            self.last = self.last.replace("did not return", f"raised {type(error).__name__}: {error}"[:300])
            raise
        standing = OWN if about(target).makes_own else OPAQUE
        value = self._answer(
            reply, 3, lambda: self._result(reply, arguments.containers, standing, f"{producer}()", around)
        )
        self.last = self.last.replace("did not return", f"returned {show(value)}")
        return value

    def _result(self, reply: list[Any], given: list[Any], standing: int, producer: str, around: dict[str, Any]) -> Any:
        result, changed, told = reply
        self._change(given, changed)
        self.around.after(around, told)
        return self._with_given(given, lambda: self.decode(result, standing, producer))

    def _with_given(self, given: list[Any], decode: Callable[[], Any]) -> Any:
        outer, self.given = self.given, given
        try:
            return decode()
        finally:
            self.given = outer

    def _change(self, given: list[Any], changed: Any) -> None:
        """Give the mutable arguments the content that the program's copies have after the call."""
        if type(changed) is not dict:
            raise codec.Malformed("not the arguments that a call has changed")
        self.streams.put(changed.pop("streams", []))
        new = {int(n): self._with_given(given, functools.partial(self.decode, v)) for n, v in changed.items()}
        for index, content in new.items():
            if not 0 <= index < len(given):
                raise codec.Malformed("an argument that was not given came back")
            if not alike(given[index], content):
                raise codec.Malformed("an argument came back as another type")
        for index, content in new.items():
            fill(given[index], content)
