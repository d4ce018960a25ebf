"""How values go over to the program and come back: plain data as data, the rest by names and numbers that both sides know."""

from __future__ import annotations

import contextlib
import functools
import inspect
import re
import threading
import types
from collections.abc import Callable
from typing import Any

from ..wire import codec
from ..wire.instances import Instances
from . import lent, library, mocked, passed, yielding
from .conversations import MAIN
from .expected import Expected, made
from .given import Given
from .handed_back import Function, HandedBack, own_of
from .held import OPAQUE, Kept, about, number
from .proxy import Proxy
from .raised import Raised, held_by, made_where_the_program_is
from .shaped import form_of
from .shared import Numbered, Shared
from .stated import of_text, stated
from .streams import Streams
from .texts import Handed


class _Here(threading.local):
    """What a thread of the tests is about.

    Attributes:
        number: the conversation in which it asks; None: it has not asked yet.
        turn: for those that have one together.
        kept: what objects have said to the function that the program has called in it.
        given: the mutable arguments that a reply names by number.
        absorbs: whether it takes what comes before an answer, and cannot ask.
        anew: whether what it hands over is this test's: what answers for something of an earlier one is not.
    """

    number: int | None = None
    turn: contextlib.AbstractContextManager[Any] = contextlib.nullcontext()
    kept: Kept | None = None
    given: list[Any] = []  # noqa: RUF012
    absorbs = False
    anew = True


class Latest(set[int]):
    """Numbers of what this test has given to the program, or the setup: what an earlier one has says nothing in it.

    Attributes:
        mocks: those of mocks.
    """

    def __init__(self) -> None:
        super().__init__()
        self.mocks: set[int] = set()
        self._common: set[int] = set()

    def of_setup(self) -> None:
        """Each test's is what is known so far."""
        self._common = set(self)

    def forget(self) -> None:
        self.intersection_update(self._common)
        self.mocks &= self._common


class Values:
    """What of the tests' the program has by now, and they of it."""

    def __init__(self) -> None:
        self.instances = Instances({}, 1)
        self.instances.refusals = Exception, passed.CannotLeave
        self.streams = Streams()
        self.shared = Shared(step=-1)
        self.handed = Handed()
        self.raised = Raised()
        self.stand_ins: list[object] = []
        self.here = _Here()
        self.here.number = MAIN
        self.lends = False  # the classes of the setup are on both sides, and told by name
        self.lent: list[list[Any]] = []  # classes of the tests that the program has not heard of yet
        self.functions: list[Callable[..., Any]] = []
        self.latest = Latest()
        self._given: dict[int, Any] = {}  # what the program has that calls them, by the first of them
        self._numbers: dict[tuple[Any, ...], int] = {}
        self._numbering = threading.Lock()
        self.proxies: dict[tuple[int, int, str], Proxy] = {}  # by number, standing and (of opaque ones) producer
        self.classes_of_library: dict[type, int] = {}  # by number, of the program's

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
        if issubclass(type(value), HandedBack):
            return self._reference(own_of(value))
        if value is NotImplemented:
            return {"~": "ref", "v": ["library", "builtins", "NotImplemented"]}
        if type(value) is Numbered:
            return value.reference(self.encode)
        if type(value) is Expected:
            return self.encode(made(value))
        if (stream := self.streams.number(value, new=True)) is not None:
            return {"~": "ref", "v": ["stream", *self.streams.named(stream)]}
        if type(value) is re.Pattern:
            return {"~": "ref", "v": ["pattern", self.encode(value.pattern), value.flags]}
        if library.is_path(value):
            return {"~": "ref", "v": ["path", str(value)]}
        if (text := stated(value)) is not None:
            return {"~": "ref", "v": ["stated", *text]}
        if type(value) is object:  # a stand-in, or what a function should refuse
            self.stand_ins.append(value)
            return {"~": "ref", "v": ["stand-in", next(i for i, known in enumerate(self.stand_ins) if known is value)]}
        if mocked.is_mock(value):
            which = self._number_of(value, value, functools.partial(mocked.of_mock, value))
            return {"~": "ref", "v": ["mock", which, mocked.special(value)]}
        if passed.is_iterator(value) or isinstance(value, types.AsyncGeneratorType):
            link: Any = self
            steps = yielding.steps_of(value, passed.awaited, link.thrown)
            return {"~": "ref", "v": [yielding.kind_of(value), self._number_of(value, *steps)]}
        if self._lend(type(value)):
            return {"~": "ref", "v": self.instances.reference(value)}
        if type(value) is slice:
            return {"~": "ref", "v": ["slice", self.encode([value.start, value.stop, value.step])]}
        if isinstance(value, type) and lent.makes_objects(value) and self._lend(value):
            return {"~": "ref", "v": self.instances.reference(value)}
        if isinstance(value, type) and issubclass(value, BaseException):
            if (own := made_where_the_program_is(value)) is not None:
                return self._reference(own)
            return {"~": "ref", "v": ["kind", self.raised.names_for_program(value)]}
        if isinstance(value, BaseException) and (held := held_by(value)) is not None:
            return {"~": "ref", "v": ["object", number(held)]}
        if isinstance(value, BaseException):
            return {"~": "ref", "v": ["exception", library.names_of(type(value)), self.encode(list(value.args))]}
        if inspect.iscoroutine(value):
            return {"~": "ref", "v": ["coroutine", self._number_of(value, functools.partial(passed.awaited, value))]}
        if callable(value) and not isinstance(value, type):
            name, doc = (str(getattr(value, n, "") or "")[:1000] for n in ("__name__", "__doc__"))
            binds = isinstance(value, types.FunctionType)
            return {"~": "ref", "v": ["function", self._number_of(value, value), name, doc, binds, form_of(value)]}
        raise passed.CannotLeave(f"the tests pass a {type(value).__name__}, which cannot leave their process")

    def _number_of(self, value: Any, *called: Callable[..., Any]) -> int:
        """Of the first of the functions that the program calls for what it is given; the same for what it has been given before:
        it may look for it among others."""
        key = _identity(value)
        with self._numbering:
            if key not in self._numbers:
                self._numbers[key] = len(self.functions)
                self._given[len(self.functions)] = value  # kept, so that its identity stays its own
                self.functions += called
            number = self._numbers[key]
            if self.here.anew:
                self.latest.update(range(number, number + len(called)))
                self.latest.mocks.update([number] if mocked.behind(value) is not None else [])
            return number

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
        if content[0] == "not implemented":
            return NotImplemented
        link: Any = self
        if content[0] == "stand-in":
            return self.stand_ins[content[1]]
        if content[0] == "given":
            return link.given_back(self.here.given[content[1]])
        if content[0] == "stated":
            return of_text(*content[1:])
        if content[0] in ("mock", "function", "stream"):
            return self._of_tests(content, standing, producer)
        kind, which, class_name, *more = content
        if kind == "pattern":
            return _pattern(self.decode(which), class_name)
        if kind == "container" and type(which) is int:
            return self.shared.put(which, self.decode(class_name, standing, producer))
        if kind != "object" or type(which) is not int or type(class_name) is not str:
            raise codec.Malformed("not a reference")
        proxy = self._proxy(which, class_name, standing, producer)
        about(proxy).kind, *of_library = more
        if type(about(proxy).kind) is not int:
            raise codec.Malformed("not the number of a class")
        for path in of_library:
            about(proxy).single, about(proxy).library = True, self._class_of_library(path, which)
        return proxy

    def _of_tests(self, content: list[Any], standing: int, producer: str) -> Any:
        """What stands for something of the tests' own, which must not answer in the place of a result."""
        link: Any = self
        kind, which, held = content
        own = (self.streams.known if kind == "stream" else self._given).get(which)
        mock = mocked.behind(own)
        if (
            own is None
            or (kind == "mock" and mock is None)
            or (kind == "function" and type(own) is not types.FunctionType)
        ):
            raise codec.Malformed("nothing of the tests")
        if kind == "function" and mock is None and which in self.latest:
            return Function(own, link.given_back)
        stands_for = self.decode(held, standing, producer)
        if not isinstance(stands_for, Proxy):
            raise codec.Malformed("nothing that the program has in the place of what is the tests'")
        about(stands_for).of_tests = own
        # Where the test has given none, any may be meant that the tests have.
        about(stands_for).asked = mock if which in self.latest or not self.latest.mocks else None
        return stands_for

    def _class_of_library(self, path: Any, which: int) -> type | None:
        """The class of that module and name, which one object of the program is, and no other."""
        if type(path) is not str:
            raise codec.Malformed("not the name of a class")
        module, _, name = path.partition(":")
        found = library.found(module, name)
        if isinstance(found, type) and self.classes_of_library.setdefault(found, which) != which:
            raise codec.Malformed("two objects that are said to be one class")
        return found if isinstance(found, type) else None

    def _proxy(self, which: int, class_name: str, standing: int, producer: str) -> Proxy:
        key = (which, standing, producer if standing == OPAQUE else "")
        if key not in self.proxies:
            link: Any = self
            self.proxies[key] = Proxy(link, which, class_name, standing, producer)
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


def _pattern(source: Any, flags: Any) -> re.Pattern[Any]:
    """A pattern of the program's, with which the tests match for themselves."""
    if type(source) not in (str, bytes) or type(flags) is not int or flags & re.DEBUG:
        raise codec.Malformed("not a pattern")
    try:
        return re.compile(source, flags)
    except (re.error, RecursionError, OverflowError):
        raise codec.Malformed("not a pattern") from None


def _identity(value: Any) -> tuple[Any, ...]:
    """Methods are made anew each time they are asked for."""
    if isinstance(value, types.MethodType):
        return id(value.__self__), id(value.__func__)
    if isinstance(value, types.BuiltinMethodType):
        return id(value.__self__), value.__name__
    return (id(value),)
