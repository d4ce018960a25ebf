"""The tests' side of a refereed run: executes the test script in a process that never runs the program.

Names of the program are proxies (`proxy`); a call through one is a message to the program's process, and plain data comes
back. Everything else that the tests use is this side's own: built-ins, modules, and the functions and classes of the
setup, whose objects travel as data (`instances`).
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import importlib
import re
import sys
import threading
import types
from collections.abc import Callable, Sequence
from typing import Any

from ..wire import codec
from ..wire.instances import Instances
from . import evaluated, handled, needs, outstanding, passed, testing
from .expected import Expected
from .given import Arguments, Given, alike, fill
from .proxy import OPAQUE, OWN, Gone, Items, Proxy, number, show
from .replaced import Around
from .serve import Connection
from .streams import Streams

_exec = builtins.exec  # that of the tests is another one (`evaluated`)
_ANSWERS = (*(("next", StopIteration), ("anext", StopAsyncIteration), ("getattr", AttributeError), ("len", TypeError)),)
_OF_FRAMEWORKS = ("unittest", "doctest")  # whose exceptions mean something to who runs the cases
_NEVER_RAISED = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "AssertionError")


class RemoteError(Exception):
    """An exception of the program that has no built-in counterpart."""


class TaskBroken(Exception):
    """The tests need something that is not here, whatever the program: nothing that it has said leads here."""


class Link:
    """The referee's end of the connection."""

    def __init__(
        self, connection: Connection, objects: frozenset[str] = frozenset(), methods: frozenset[str] = frozenset()
    ) -> None:
        self.connection, self.objects, self.methods = connection, objects, methods
        self.instances = Instances({}, 1)
        self.outstanding = outstanding.Outstanding()
        self.is_to_be_taken = self.outstanding.is_to_be_taken
        self.around = Around()
        self.streams = Streams()
        self.stand_ins: list[object] = []
        self.given: list[Any] = []  # the mutable arguments that a reply names by number
        self.put: dict[tuple[int, str], Any] = {}
        self.lengths: dict[int, int] = {}
        self.items: dict[int, Items] = {}
        self.spent: set[int] = set()
        self.requests = 0
        self.functions: list[Callable[..., Any]] = []
        self.proxies: dict[tuple[int, int, str], Proxy] = {}  # by number, standing and (of opaque ones) producer
        self.exceptions: dict[str, type] = {}
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
            return self.encode(value.made())
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
        if callable(value) and not isinstance(value, type):
            self.functions.append(value)
            name, doc = (str(getattr(value, n, "") or "")[:1000] for n in ("__name__", "__doc__"))
            binds = isinstance(value, types.FunctionType)
            return {"~": "ref", "v": ["function", len(self.functions) - 1, name, doc, binds]}
        raise passed.CannotLeave(f"the tests pass a {type(value).__name__}, which cannot leave their process")

    def decode(self, data: Any, standing: int = OPAQUE, producer: str = "") -> Any:
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
        which, name, producer = (object.__getattribute__(proxy, n) for n in ("_number", "_class_name", "_producer"))
        return self._proxy(which, name, standing, producer) if make else self.proxies.get((which, standing, ""))

    def request(self, message: list[Any], given: list[Any] | None = None) -> list[Any]:
        """Ask the program; ``given``: the mutable arguments of a call, which it may change though it raises."""
        with self.lock:
            return self._request(message, given or [])

    def _request(self, message: list[Any], given: list[Any]) -> list[Any]:
        self.requests += 1
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
                    raised = self._with_causes(reply[1])
                    break
                else:
                    raise codec.Malformed("not a reply")
        except Exception as error:  # of the connection or of what came over it: nothing that a test may catch
            raise Gone(f"{type(error).__name__}: {error}"[:300]) from None
        if not self._is_an_answer(message, raised):
            self.outstanding.add(raised)
        raise raised

    @staticmethod
    def _is_an_answer(message: list[Any], raised: BaseException) -> bool:
        """Whether an exception is how Python says no: the end of an iterator, an attribute or a length that is not there.

        ``list`` asks for a length before it takes the items one by one.
        """
        operation = message[1] if message[0] == "operation" else ""
        return (operation, type(raised)) in _ANSWERS

    def _send(self, message: list[Any]) -> None:
        nodes = self.instances.collect(self.encode)
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

    def _with_causes(self, told: list[Any]) -> BaseException:
        names, text, parts, (suppressed, cause, context), inner = told
        error = self._exception(names, str(text)[:500], self.decode(parts))
        if inner is not None:
            message, exceptions = inner
            error = BaseExceptionGroup(str(message)[:500], [self._with_causes(e) for e in exceptions])
        for name, other in (("__context__", context), ("__cause__", cause)):
            if other is not None:
                setattr(error, name, self._with_causes(other))
        error.__suppress_context__ = suppressed is True
        return error

    def _exception(self, names: Any, text: str, parts: Any) -> BaseException:
        """The nearest known class to what the program raised: its own if the tests name it, else a built-in one.

        ``parts``: its arguments and its other attributes.
        """
        arguments, attributes = parts
        if type(arguments) is not list or type(attributes) is not dict:
            raise codec.Malformed("not an exception")
        known = [name for name in names if isinstance(name, str)] if isinstance(names, list) else []
        own = known[0].rpartition(":")[2] if known else ""
        for name in known:
            kind = self.kind_of_exception(name)
            if kind is not None and kind is not Exception:
                of_library = kind.__module__ == "builtins" or ":" in name
                if name == known[0] and of_library and not any(map(codec.holds_opaque, arguments)):
                    with contextlib.suppress(Exception):  # arguments that this kind does not take
                        return self._dressed(kind(*arguments), attributes)
                with contextlib.suppress(TypeError):  # a kind that cannot be made without them
                    return self._made(kind if name == known[0] else _named(own, kind), text, attributes)
        return RemoteError(f"{names}: {text}"[:1000]) if not known else _named(own, RemoteError)(f"{own}: {text}")

    def kind_of_exception(self, name: str) -> Any:
        """The tests' own class for a name that the program gave, a built-in one or one of the library; None: there is none."""
        module, _, attribute = name.rpartition(":")
        kind: Any = None if module else self.exceptions.get(name)
        if kind is None and attribute not in _NEVER_RAISED:
            top = module.partition(".")[0] or "builtins"
            known = top in sys.stdlib_module_names and top not in _OF_FRAMEWORKS
            kind = getattr(sys.modules.get(module or "builtins"), attribute, None) if known else None
        return kind if isinstance(kind, type) and issubclass(kind, (Exception, SystemExit)) else None

    @staticmethod
    def _made(kind: Any, text: str, attributes: dict[Any, Any]) -> BaseException:
        error = kind.__new__(kind)
        error.args = (text,)
        return Link._dressed(error, attributes)

    @staticmethod
    def _dressed(error: Any, attributes: dict[Any, Any]) -> BaseException:
        for attribute, value in attributes.items():
            notes = attribute == "__notes__" and type(value) is list
            told = type(attribute) is str and getattr(error, attribute, None) is not None
            if notes or (type(attribute) is str and not attribute.startswith("_") and not told):
                setattr(error, attribute, value)
        return error

    def operation(self, name: str, *operands: Any, standing: int = OPAQUE, producer: str = "") -> Any:
        if name in ("setitem", "delitem", "setattr", "delattr"):
            self._forget()
        reply = self.request(["operation", name, [self.encode(o) for o in operands]])
        return self._answer(reply, 1, lambda: self.decode(reply[0], standing, producer))

    def _forget(self) -> None:
        """A call may have changed what the program's objects hold."""
        self.lengths.clear()
        self.items.clear()

    def of_library(self, module: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call a function of the standard library where the program is."""
        encoded, named = [self.encode(a) for a in args], {k: self.encode(v) for k, v in kwargs.items()}
        reply = self.request(["call", {"~": "ref", "v": ["library", module, name]}, encoded, named, {}])
        return self._answer(reply, 3, lambda: self.decode(reply[0], OPAQUE, f"{name}()"))

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
        label, producer = (object.__getattribute__(target, name) for name in ("_label", "_producer"))
        self._forget()
        self.last = f"{label}({', '.join(shown)[:300]}) did not return"
        around = self.around.now(self.encode)
        if streams := self.streams.changed():
            around["streams"] = streams
        if arguments.shared:
            around["given"] = arguments.table(self.encode)
        try:
            reply = self.request(["call", self.encode(target), encoded, named, around], arguments.containers)
        except Exception as error:
            self.last = self.last.replace("did not return", f"raised {type(error).__name__}: {error}"[:300])
            raise
        standing = OWN if object.__getattribute__(target, "_makes_own") else OPAQUE
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


def _named(name: str, base: type) -> Any:
    """A kind of exception that the tests do not name, but may ask for its name."""
    return types.new_class(name[:100], (base,), exec_body=lambda names: names.update(__module__="solution"))


def _bind_names(link: Link, job: dict[str, Any], namespace: dict[str, Any]) -> None:
    for name, origin in job["own"].items():
        namespace[name] = _imported(name, origin)
    link.exceptions.update({n: getattr(builtins, n) for n in job["exceptions"] if n in _NEVER_RAISED})
    wanted = [n for n in job["names"] if n not in job["own"]]
    (found,) = link.request(["names", wanted])
    asked = {n: found[n] for n in wanted if n in found}  # what else the answer may hold is nobody's: built-ins, for one
    caught = [(len(content), n, content) for n, (kind, content) in asked.items() if kind == "exception"]
    for _, name, bases in sorted(caught):  # the fewer bases, the earlier: each finds its own
        if name in job["exceptions"]:
            known = (link.kind_of_exception(n) for n in bases if n not in _NEVER_RAISED)
            base = next((k for k in known if k is not None and issubclass(k, Exception)), Exception)
            namespace[name] = link.exceptions[name] = type(name, (base,), {})
    for name, (kind, content) in asked.items():
        if kind in ("value", "class"):
            namespace[name] = value = _named_value(link, name, content)
            if isinstance(value, Proxy) and kind == "class":
                link.classes.add(name)
                if name in job["classes"]:
                    object.__setattr__(value, "_makes_own", True)


def _named_value(link: Link, name: str, content: Any) -> Any:
    value = link.decode(content, producer=name)
    if isinstance(value, Proxy):
        object.__setattr__(value, "_label", name)
        object.__setattr__(value, "_named", True)
    return value


class _Data:
    """Names of the program that stand for data: what they stand for by now, since a call may have changed that."""

    def __init__(self, link: Link, namespace: dict[str, Any], names: Sequence[str]) -> None:
        self.link, self.namespace = link, namespace
        found = {n: namespace[n] for n in names if n in namespace and not isinstance(namespace[n], (Proxy, type))}
        self.bound = {n: value for n, value in found.items() if codec.is_data(value)}
        self.looked_at = link.requests

    def now(self, name: str) -> Any:
        bound, link = self.bound[name], self.link
        if self.namespace.get(name) is not bound:  # the tests have assigned it
            return self.namespace[name]
        if link.requests != self.looked_at:
            (found,) = link.request(["names", list(self.bound)])
            for other, (kind, content) in found.items():
                if kind == "value" and other in self.bound and self.namespace.get(other) is self.bound[other]:
                    self._bind(other, _named_value(link, other, content))
            self.looked_at = link.requests
        return self.namespace[name]

    def _bind(self, name: str, value: Any) -> None:
        bound = self.bound[name]
        if type(bound) is type(value) and isinstance(bound, (list, dict, set)):
            fill(bound, value)  # other names that the tests have for it see it, too
        else:
            self.namespace[name] = self.bound[name] = value


def _imported(name: str, origin: str) -> Any:
    module, _, attribute = origin.partition(":")
    try:
        if module == "unittest" and attribute.startswith("assert"):
            return testing.assertion(attribute)
        found = importlib.import_module(module)
        return getattr(found, attribute) if attribute else found
    except ImportError:
        raise TaskBroken(f"the tests use {name!r} without importing it, and {module} is not preloaded") from None
    except AttributeError:
        raise TaskBroken(f"the tests use {name!r}, and there is no {attribute} in {module} here") from None


def _prepare(job: dict[str, Any], link: Link) -> dict[str, Any]:
    """Look at what the tests need, and hear of what fails where nobody looks; returns the namespace of the tests.

    Raises:
        TaskBroken: they need what is not here.
    """
    texts = [job["setup"], *(text for _, text in job["tests"])]
    told = " ".join((*texts, *job["own"].values()))
    outstanding.watch(link.outstanding, told)
    if "pytest" in told:
        testing.install()
    trees = needs.trees_of(texts)
    why = needs.missing(trees, set(job["names"]) - set(job["exceptions"]))
    places, why_not = needs.places(trees)
    if why or why_not:
        raise TaskBroken(why or why_not)
    link.around.watch(places, told)
    passed.lend_library(link.of_library, told)
    module = types.ModuleType("__tests__")
    sys.modules["__main__"] = sys.modules["__tests__"] = module  # where unittest.main() looks for cases
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    evaluated.guard(link.of_library, texts)
    return namespace


def _help(job: dict[str, Any], link: Link, namespace: dict[str, Any]) -> handled.Names:
    """Give the tests their helper; returns what their names are, for how they are read."""
    own = {*job["own"], *job["exceptions"]}
    data = _Data(link, namespace, [n for n in job["names"] if n not in own])
    asked = (number, link.operation, lambda: link.requests)
    namespace[handled.HELPER] = handled.Helper(link.outstanding, *asked, data.now, namespace, link.spent)
    program = frozenset(n for n in job["names"] if n not in own)
    under_test = {*job["classes"], *job["entry_points"]}
    # Where it is said what is under test, the rest is a class, or nothing: without that, it may be a function.
    others = (program if job["entry_points"] else program & link.classes) - under_test
    others = frozenset(n for n in others if n[:1].isupper())
    return handled.Names(others, program, frozenset(data.bound))


def judge(job: dict[str, Any], descriptor: int, send: Callable[[Any], None]) -> None:
    """Run each test; report [ "test", index, verdict, reason ] for each, or ["gone", index, reason] and stop."""
    connection = Connection(descriptor, job["limits"]["reply_kb"] * 1024)
    link = Link(connection, frozenset(job["objects"]), frozenset(job["methods"]))
    index = 0

    def before(position: int) -> list[str]:
        return [text for _, text in job["tests"][:position]]

    try:
        namespace = _prepare(job, link)
        _bind_names(link, job, namespace)
        names = _help(job, link, namespace)
        _exec(handled.compiled(job["setup"], "<setup>"), namespace)
        classes = {name: namespace.get(name) for name in job["task_classes"]}
        link.instances.classes = {n: c for n, c in classes.items() if isinstance(c, type)}
        link.instances.constants = job["constants"]
        link.exceptions.update({n: c for n, c in link.instances.classes.items() if issubclass(c, Exception)})
        for position, (index, test) in enumerate(job["tests"]):
            send(["test", index, *_judge_one(test, namespace, link, names, before(position))])
    except TaskBroken as error:
        send(["task", str(error)])
    except Gone as error:
        send(["gone", index, str(error)])
    except Exception as error:  # of the names, or of the setup that uses them
        send(["gone", index, f"before the tests: {type(error).__name__}: {error}"[:300]])
    send(["done"])


def _judge_one(
    test: str, namespace: dict[str, Any], link: Link, names: handled.Names, before: Sequence[str]
) -> tuple[str, str]:
    link.last = ""
    link.outstanding.clear()
    asked = link.requests
    try:
        _exec(handled.compiled(test, "<test>", names), namespace)
        if Gone.happened:
            raise Gone.happened[0]
    except Gone:
        raise
    except passed.CannotLeave as error:
        data = [n for n, value in namespace.items() if not callable(value) and not isinstance(value, types.ModuleType)]
        if link.requests == asked and needs.is_alone(test, before, data):
            raise TaskBroken(str(error)) from None
        return "fail", str(error)
    except SystemExit as error:  # unittest.main() ends so
        if error.code:
            return "fail", link.last or f"SystemExit: {error.code}"[:300]
    except AssertionError:  # its message may hold the expected value
        return "fail", link.last or "an assertion failed"
    except BaseException as error:
        return "fail", f"{type(error).__name__}: {error}"[:300] + (f" (after {link.last})" if link.last else "")
    swallowed = link.outstanding.first()
    if swallowed is not None:
        if isinstance(swallowed, AssertionError):
            return "fail", "an assertion failed in a function, a thread or a case of the tests"
        return "fail", f"{type(swallowed).__name__} was raised, and nothing in the test took it: {swallowed}"[:300]
    return "pass", ""
