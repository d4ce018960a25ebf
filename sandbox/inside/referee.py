"""The tests' side of a refereed run: executes the test script in a process that never runs the program.

Names of the program are proxies; a call through one is a message to the program's process, and plain data comes back.
What a proxy may decide is narrow on purpose, because its object belongs to the program under test:

- compared with plain data it is unequal, and has no order;
- it takes part in arithmetic and membership tests with plain data only if the test itself made it, by calling a class
  that it names (``Stack()``): an operator that is handed the expected value could answer from it. The result of such
  arithmetic must be an object again, and offers no number (`_TAINTED`), so that ``abs(x - expected) < 1e-6`` is never
  decided by a ``__sub__`` of the program's;
- attributes, calls, iteration and indexing are the program's, as they must be.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from collections.abc import Callable
from typing import Any

from ..wire import codec
from .serve import Connection

_PLAIN, _OWN, _TAINTED = 0, 1, 2  # how much a proxy is trusted to take part in
_NEVER_RAISED = ("SystemExit", "KeyboardInterrupt", "GeneratorExit", "BaseException", "AssertionError")


class Gone(BaseException):
    """The program's process ended or broke the protocol. Not an Exception: no test may catch it."""


class RemoteError(Exception):
    """An exception of the program that has no built-in counterpart."""


class Link:
    """The referee's end of the connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.functions: list[Callable[..., Any]] = []
        self.proxies: dict[int, Proxy] = {}
        self.exceptions: dict[str, type] = {}
        self.last = ""  # the latest call of the program and what came of it, for the reason of a failure

    def encode(self, value: Any) -> Any:
        return codec.encode(value, self._reference)

    def _reference(self, value: Any) -> Any:
        if isinstance(value, Proxy):
            return {"~": "ref", "v": ["object", object.__getattribute__(value, "_number")]}
        if callable(value):
            self.functions.append(value)
            return {"~": "ref", "v": ["function", len(self.functions) - 1]}
        raise TypeError(f"the tests pass a {type(value).__name__}, which cannot leave their process")

    def decode(self, data: Any, standing: int = _PLAIN) -> Any:
        return codec.decode(data, lambda content: self._proxy(content, standing))

    def _proxy(self, content: Any, standing: int) -> Proxy:
        kind, number, class_name = content
        if kind != "object" or type(number) is not int or type(class_name) is not str:
            raise codec.Malformed("not a reference")
        if number not in self.proxies:
            self.proxies[number] = Proxy(self, number, class_name, standing)
        return self.proxies[number]

    def request(self, message: list[Any]) -> list[Any]:
        try:
            self.connection.send(message)
            while True:
                reply = self.connection.receive()
                if type(reply) is not list or not reply:
                    raise codec.Malformed("not a reply")
                if reply[0] == "callback":
                    self._run_function(*reply[1:])
                elif reply[0] == "value":
                    return reply[1:]
                elif reply[0] == "raised":
                    break
                else:
                    raise codec.Malformed("not a reply")
        except (EOFError, OSError, codec.Malformed, TypeError) as error:
            raise Gone(str(error)) from None
        raise self._exception(reply[1], reply[2])

    def _run_function(self, number: int, args: list[Any], kwargs: dict[str, Any]) -> None:
        decoded = [self.decode(a) for a in args]
        named = {str(k): self.decode(v) for k, v in kwargs.items()}
        try:
            answer = ["returned", self.encode(self.functions[number](*decoded, **named))]
        except Exception as error:
            answer = ["failed", f"{type(error).__name__}: {error}"]
        self.connection.send(answer)

    def _exception(self, names: Any, text: Any) -> BaseException:
        """The nearest known class to what the program raised: its own if the tests name it, else a built-in one."""
        for name in names if isinstance(names, list) else ():
            kind = self.exceptions.get(name) if isinstance(name, str) else None
            if kind is None and isinstance(name, str) and name not in _NEVER_RAISED:
                kind = getattr(builtins, name, None)
            if isinstance(kind, type) and issubclass(kind, Exception) and kind is not Exception:
                error = kind.__new__(kind)
                error.args = (str(text),)
                return error
        return RemoteError(f"{names}: {text}")

    def operation(self, name: str, *operands: Any, standing: int = _PLAIN) -> Any:
        (reply,) = self.request(["operation", name, [self.encode(o) for o in operands]])
        return self.decode(reply, standing)

    def call(self, target: Proxy, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        encoded = [self.encode(a) for a in args]
        named = {k: self.encode(v) for k, v in kwargs.items()}
        shown = [_show(a) for a in args] + [f"{k}={_show(v)}" for k, v in kwargs.items()]
        self.last = f"{target._label}({', '.join(shown)[:300]}) did not return"
        try:
            result, changed = self.request(["call", self.encode(target), encoded, named])
        except Exception as error:
            self.last = self.last.replace("did not return", f"raised {type(error).__name__}: {error}"[:300])
            raise
        for index, new in changed.items():
            _replace(args[int(index)], self.decode(new))
        value = self.decode(result, _OWN if target._makes_own else _PLAIN)
        self.last = self.last.replace("did not return", f"returned {_show(value)}")
        return value


def _replace(old: Any, new: Any) -> None:
    """Give a mutable argument the content that the program's copy has after the call."""
    if type(old) is not type(new):
        raise Gone("an argument came back as another type")
    if isinstance(old, (list, bytearray)):
        old[:] = new
    elif isinstance(old, (dict, set)):
        old.clear()
        old.update(new)


def _show(value: Any) -> str:
    # The repr of a proxy would be the program's own text, and a message to it.
    return f"<a {value._class_name}>" if isinstance(value, Proxy) else codec.show(value)


def _standing(value: Any) -> int:
    return object.__getattribute__(value, "_standing")


class Proxy:
    """An object of the program. ``_makes_own``: a class that the tests call by its name."""

    __slots__ = ("_class_name", "_label", "_link", "_makes_own", "_number", "_standing")

    def __init__(self, link: Link, number: int, class_name: str, standing: int) -> None:
        self.__set("_link", link)
        self.__set("_number", number)
        self.__set("_class_name", class_name)
        self.__set("_standing", standing)
        self.__set("_makes_own", False)
        self.__set("_label", class_name)

    def __set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        value = self._link.operation("getattr", self, name)
        if isinstance(value, Proxy):
            object.__setattr__(value, "_label", f"{self._label}.{name}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.operation("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        self._link.operation("delattr", self, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.call(self, args, kwargs)

    def __hash__(self) -> int:
        return self._number

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Proxy) and self._link.operation("eq", self, other) is True)

    def __ne__(self, other: object) -> bool:
        return not isinstance(other, Proxy) or self._link.operation("ne", self, other) is True

    def __contains__(self, item: Any) -> bool:
        if _standing(self) == _OWN or isinstance(item, Proxy):
            return self._link.operation("contains", self, item) is True
        return any(item == found for found in iter(self))

    def __bool__(self) -> bool:
        return self._number_of("bool", bool)

    def __len__(self) -> int:
        return self._number_of("len", int)

    def __int__(self) -> int:
        return self._number_of("int", int)

    def __float__(self) -> float:
        return self._number_of("float", float)

    def _number_of(self, operation: str, kind: type) -> Any:
        value = _untainted(self)._link.operation(operation, self)
        if type(value) is not kind:
            raise Gone(f"{operation}() came back as {type(value).__name__}")
        return value

    def __str__(self) -> str:
        return str(self._link.operation("str", self))

    def __repr__(self) -> str:
        return str(self._link.operation("repr", self))

    def __instancecheck__(self, value: Any) -> bool:
        return isinstance(value, Proxy) and self._link.operation("isinstance", value, self) is True

    def __getitem__(self, key: Any) -> Any:
        return self._link.operation("getitem", self, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._link.operation("setitem", self, key, value)

    def __delitem__(self, key: Any) -> None:
        self._link.operation("delitem", self, key)

    def __exit__(self, *_: object) -> None:
        self._link.operation("exit", self)


def _untainted(proxy: Proxy) -> Proxy:
    if _standing(proxy) == _TAINTED:
        raise TypeError("the result of arithmetic with an object of the program is no number")
    return proxy


def _unary(operation: str) -> Callable[[Proxy], Any]:
    return lambda self: _untainted(self)._link.operation(operation, self)


def _guarded(operation: str, swapped: bool = False, order: bool = False) -> Callable[[Proxy, Any], Any]:
    """An operator with two operands; with plain data only where the rules at the top allow it."""

    def apply(self: Proxy, other: Any) -> Any:
        plain = not isinstance(other, Proxy)
        if plain and (order or _standing(self) != _OWN):
            raise TypeError(
                f"{operation}: the program returned an object of its own ({self._class_name}) where data was expected"
            )
        operands = (other, self) if swapped else (self, other)
        standing = _TAINTED if plain else min(_standing(self), _standing(other))
        result = self._link.operation(operation, *operands, standing=standing)
        if plain and not isinstance(result, Proxy):
            raise TypeError(f"{operation}: an operator of the program answered with data")
        return result

    return apply


_ARITHMETIC = (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift", "divmod"),
)
for _name in ("iter", "next", "neg", "pos", "abs", "round", "invert", "enter"):
    setattr(Proxy, f"__{_name}__", _unary(_name))
for _name in ("lt", "le", "gt", "ge"):
    setattr(Proxy, f"__{_name}__", _guarded(_name, order=True))
for _name in _ARITHMETIC:
    setattr(Proxy, f"__{_name.rstrip('_')}__", _guarded(_name))
    setattr(Proxy, f"__r{_name.rstrip('_')}__", _guarded(_name, swapped=True))


def _bind_names(link: Link, names: list[str], namespace: dict[str, Any]) -> None:
    (found,) = link.request(["names", names])
    for name, (kind, content) in found.items():
        if kind == "exception":
            known = (getattr(builtins, n, None) for n in content if n not in _NEVER_RAISED)
            base = next((k for k in known if isinstance(k, type) and issubclass(k, Exception)), Exception)
            namespace[name] = link.exceptions[name] = type(name, (base,), {})
        elif kind == "module":
            # The tests' own copy: the program may have changed functions in its process.
            if content in sys.modules or content.partition(".")[0] in sys.stdlib_module_names:
                namespace[name] = importlib.import_module(content)
        else:
            namespace[name] = value = link.decode(content)
            if isinstance(value, Proxy):
                object.__setattr__(value, "_label", name)
            # A function in the shape of a class must not gain a class's rights: tests name classes in capitals.
            if kind == "class" and isinstance(value, Proxy) and name[0].isupper():
                object.__setattr__(value, "_makes_own", True)


def judge(job: dict[str, Any], descriptor: int, send: Callable[[Any], None]) -> None:
    """Run each test; report [ "test", index, verdict, reason ] for each, or ["gone", index, reason] and stop."""
    link = Link(Connection(descriptor, job["limits"]["reply_kb"] * 1024))
    namespace: dict[str, Any] = {"__name__": "__tests__", "__builtins__": builtins}
    index = 0
    try:
        _bind_names(link, job["names"], namespace)
        exec(compile(job["setup"], "<setup>", "exec", dont_inherit=True), namespace)
        for index, test in job["tests"]:
            send(["test", index, *_judge_one(test, namespace, link)])
    except Gone as error:
        send(["gone", index, str(error)])
    except Exception as error:  # of the names, or of the setup that uses them
        send(["gone", index, f"before the tests: {type(error).__name__}: {error}"[:300]])
    send(["done"])


def _judge_one(test: str, namespace: dict[str, Any], link: Link) -> tuple[str, str]:
    link.last = ""
    try:
        exec(compile(test, "<test>", "exec", dont_inherit=True), namespace)
    except Gone:
        raise
    except AssertionError:  # its message may hold the expected value
        return "fail", link.last or "an assertion failed"
    except BaseException as error:
        return "fail", f"{type(error).__name__}: {error}"[:300] + (f" (after {link.last})" if link.last else "")
    return "pass", ""
