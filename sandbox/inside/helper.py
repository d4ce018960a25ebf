"""What the rewritten text of a test calls (`rewritten`): which exceptions it took, and what an object of the program is."""

from __future__ import annotations

import builtins
import sys
import types
from collections import abc
from collections.abc import Callable
from typing import Any

from ..wire import codec
from ..wire.instances import Instances
from ..wire.plain import DATA_NAMES
from .blocks import Block
from .compared import TYPE, is_of_objects, library_class
from .emptied import Emptied, value_of
from .expected import Expected, Kinds, made, make_unasked
from .handed_back import own_of
from .held import OWN, about, is_object, not_data, standing
from .outstanding import Outstanding, among
from .proxy import Proxy, is_special
from .raised import object_of
from .texts import Handed, Names, check_template

_TAKEN_FOR_ANSWERS = (LookupError, StopIteration, TypeError, AttributeError)
# What stands for an object of the program can do all of this, whatever the object can.
_ABILITIES: tuple[Any, ...] = (
    *(abc.Iterable, abc.Iterator, abc.Callable, abc.Awaitable, abc.AsyncIterable, abc.AsyncIterator, abc.Hashable),
    *(abc.Sized, abc.Container, abc.Reversible, abc.Generator, abc.Coroutine),
)

_TAKES_AWAITABLES = frozenset(("run_until_complete", "gather", "wait_for", "ensure_future", "shield", "as_completed"))


async def _awaited(value: Any) -> Any:
    return await value


class Helper:
    """What the rewritten text of a test calls.

    Args:
        number: of an object of the program, else None.
        ask: makes an operation.
        asked: how often the program was asked anything in this thread.
        now: the value that a name of the program has by now.
        namespace: of the tests.
        ends: what is known of those of iterators of the program.
        handed: texts of the program.
        task: objects of the task's classes.
    """

    anything = BaseException

    def __init__(
        self,
        outstanding: Outstanding,
        number: Callable[[Any], int | None],
        ask: Callable[..., Any],
        asked: Callable[[], int],
        now: Callable[[str], Any],
        namespace: dict[str, Any],
        ends: Emptied,
        handed: Handed,
        task: Instances,
    ) -> None:
        self._outstanding, self.ask, self.asked, self.now = outstanding, ask, asked, now
        self._number = number
        self.kinds, self.ends = Kinds(self, namespace), ends
        self.anext, self.iter = ends.anext, ends.iter
        self._handed, self.look_up, self.named = handed, handed.look_up, handed.named
        self._task = task
        self._expected: list[Expected] = []

    def expected(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        if type(kind) is not Proxy:
            return kind(*args, **kwargs)
        self._expected.append(found := Expected(self.ask, kind, args, kwargs))
        return found

    def make_unasked(self) -> None:
        """At the end of a test."""
        expected, self._expected = self._expected, []
        make_unasked(expected)

    @staticmethod
    def made(value: Any) -> Any:
        return made(value) if type(value) is Expected else value

    def making(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of the tests, which may fail by what it returns."""
        return lambda *arguments, **named: self.made(function(*arguments, **named))

    def format(self, template: Any, method: str, /, *arguments: Any, **named: Any) -> Any:
        """``template.format(...)``."""
        values = [*arguments, *named.values()]
        text = values.pop(0) if template is str and values else template  # str.format(template, ...)
        if type(text) is str and not self._handed.is_own(text):
            check_template(text, values)
        return builtins.getattr(template, method)(*arguments, **named)

    def template(self, owner: Any, method: str) -> Any:
        """``template.format``, to be called elsewhere."""
        found = builtins.getattr(owner, method)
        if not builtins.isinstance(owner, str) and owner is not str:
            return found
        return lambda *arguments, **named: self.format(owner, method, *arguments, **named)

    def names(self, mapping: Any, of_object: bool = False) -> Any:
        """``globals()``, to be looked into; what an object holds may be compared as a whole, a class's may not."""
        known = builtins.isinstance(mapping, (dict, types.MappingProxyType))
        of_data = of_object and builtins.isinstance(mapping, dict)
        return Names(mapping, self._handed, of_data) if known else mapping

    def getattr(self, owner: Any, name: Any, *default: Any) -> Any:
        if self._number(owner) is not None and is_special(name) and not builtins.hasattr(owner, name):
            self._handed.get(owner, name, None)
            return (
                default[0]
                if default and not self.hasattr(owner, name)
                else self.ask("getattr", owner, name, producer=f".{name}")
            )
        found = self._handed.get(owner, name, *default)
        if name == "__next__" and builtins.hasattr(owner, name):
            return self.raising_method(owner, name)
        return self.template(owner, name) if name in ("format", "format_map") else found

    def own(self, template: Any) -> Any:
        """A template that is filled in with the names of the tests."""
        if type(template) is str and not self._handed.is_own(template):
            raise codec.NotData("the tests fill in a template that is not theirs with their own names")
        return template

    def seen(self, ends: bool) -> list[BaseException]:
        """At the head of an ``except`` clause."""
        return self._outstanding.see(sys.exception(), ends)

    def not_taken(self, seen: list[BaseException]) -> None:
        """The clause raised again, or something else."""
        self._outstanding.not_taken(seen, sys.exception())

    def false(self) -> BaseException:
        """An assertion of the tests is false, whatever becomes of its message."""
        error = AssertionError()
        self._outstanding.add(error)
        return error

    @staticmethod
    def failed(error: BaseException, *message: Any) -> BaseException:
        error.args = message
        return error

    def raising(self, error: Any, certain: bool, constants: tuple[Any, ...]) -> Any:
        """What a ``raise`` of the tests raises: see `blocks`."""
        if isinstance(error, builtins.type) and issubclass(error, BaseException):
            error = error()
        if isinstance(error, BaseException):
            self._outstanding.by_tests(error)
            self._outstanding.blocks.raised(error, builtins.id(sys._getframe(1)) if certain else 0, constants)
        if isinstance(error, AssertionError):
            self._outstanding.add(error)
        elif isinstance(error, BaseException):
            self._outstanding.again(error)
        return error

    def raising_method(self, owner: Any, name: str) -> Any:
        """``future.result``, which raises each time it is called; ``iterator.__next__``."""
        method = builtins.getattr(owner, name)
        if not callable(method) or (self._number(owner) is not None and name not in ("__next__", "__anext__")):
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            if name in ("__next__", "__anext__") and not arguments:
                return self.next(owner) if name == "__next__" else self.anext(owner)
            try:
                return method(*arguments, **named)
            except BaseException as error:
                if name == "__next__" and isinstance(error, StopIteration):
                    self._outstanding.add(error)
                self._outstanding.again(error)
                raise

        return call

    def answered(self, owner: Any, name: str, *operands: Any) -> Any:
        """``p.__eq__(5)``, if the tests ask whether it says NotImplemented; anything else it says as an operator."""
        own = type(owner) is Proxy and standing(owner) == OWN
        if own and self.ask("getattr", owner, name, producer=f".{name}")(*operands) is NotImplemented:
            return NotImplemented
        return builtins.getattr(owner, name)(*operands)

    def exception(self, owner: Any) -> Any:
        """What a future or a task keeps: asked for, it is taken, unless an assertion of the tests."""
        found = owner.exception()
        if isinstance(found, BaseException) and not isinstance(found, AssertionError):
            self._outstanding.take(found)
        return found

    def next(self, iterator: Any, *default: Any) -> Any:
        try:
            return self.ends.next(iterator, *default)
        except StopIteration as error:
            self._outstanding.add(error)
            raise

    def pairs(self, value: Any) -> Any:
        """What ``dict`` goes over: what stands for an object of the program has ``keys`` only if the object has them."""
        if type(value) is not Proxy:
            return value
        held = self.ask("data", value) if standing(value) == OWN else None
        if type(held) is dict:
            return held
        if is_object(value) and builtins.hasattr(value, "keys"):
            return {key: value[key] for key in value.keys()}  # noqa: SIM118
        return (pair for pair in value)

    def ended(self, asked: int) -> None:
        """An exception leaves a method of the tests that Python takes for an answer, as it does the end of an iterator.

        It is none of theirs if the program was asked meanwhile.
        """
        error = sys.exception()
        if isinstance(error, _TAKEN_FOR_ANSWERS) and self.asked() > asked:
            self._outstanding.add(error)

    def block(self) -> Block:
        return Block(self._outstanding, self.asked)

    def taking(self, function: Callable[..., Any], kind: Any, *arguments: Any, **named: Any) -> Any:
        """``assertRaises(kind, f, x)``, which returns if it took such an exception."""
        before = list(self._outstanding.errors)
        result = function(kind, *arguments, **named)
        for error in self._outstanding.errors:
            if not among(error, before) and isinstance(error, kind):
                self._outstanding.take(error)
        return result

    def awaiting(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``asyncio.run(f())``, which insists on a coroutine of this side."""
        if (getattr(function, "__module__", None) or "").partition(".")[0] == "asyncio":
            if function.__name__ == "wait_for" and self._number(arguments[0]) is not None:
                return self._in_time(*arguments, **named)
            if function.__name__ == "as_completed":
                arguments = ([*map(self._coroutine, arguments[0])], *arguments[1:])
            takes_any = function.__name__ in _TAKES_AWAITABLES
            arguments = tuple(self._coroutine(value, takes_any) for value in arguments)
        return function(*arguments, **named)

    def _coroutine(self, value: Any, takes_any: bool = True) -> Any:
        """``takes_any``: what may be awaited need be no coroutine."""
        if self._number(value) is None:
            return value
        return _awaited(value) if takes_any or self.ask("isinstance", value, abc.Coroutine) is True else value

    async def _in_time(self, value: Any, timeout: Any = None) -> Any:
        """The program awaits in its own process: there the time ends it, too."""
        return self.ask("await", value, timeout)

    def callable(self, value: Any) -> bool:
        value = self.made(value)
        return callable(value) if self._number(value) is None else self.ask("callable", value) is True

    def isinstance(self, value: Any, kinds: Any) -> bool:
        """What ``gather(..., return_exceptions=True)`` gives is taken by a test that asks whether it is an exception."""
        value = self.made(value)
        if self._number(value) is not None:
            return any(self._is_one(value, kind) for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        found = builtins.isinstance(value, kinds)
        if found and builtins.isinstance(value, BaseException) and not builtins.isinstance(value, AssertionError):
            self._outstanding.take(value, ends=False)
        return found

    def _is_one(self, value: Any, kind: Any) -> bool:
        """Whether an object of the program is of a kind, which it may say of itself if no data is of that kind."""
        if any(kind is ability for ability in _ABILITIES):
            return self.ask("isinstance", value, kind) is True
        if builtins.isinstance(value, kind) or not builtins.isinstance(kind, builtins.type):
            return builtins.isinstance(value, kind)
        if standing(value) == OWN and any(issubclass(data, kind) for data in codec.DATA):
            return builtins.isinstance(self.ask("data", value), kind)
        of_task = any(kind is known for known in self._task.classes.values()) and not issubclass(kind, codec.DATA)
        return (of_task or is_of_objects(kind)) and self.ask("isinstance", value, kind) is True

    def same(self, left: Any, right: Any) -> bool:
        same = self._is_same(value_of(left), value_of(right))
        if same:
            self.ends.alike(left, right)
        return same

    def of_identity(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """``assertIs``, ``assertIsNot``."""

        def assert_it(*arguments: Any, **named: Any) -> Any:
            if len(arguments) > 1 and self._is_same(*arguments[:2]):
                arguments = (arguments[0], arguments[0], *arguments[2:])
            return function(*arguments, **named)

        return assert_it

    def _is_same(self, left: Any, right: Any) -> bool:
        left, right = own_of(left), own_of(right)
        for ours, other in ((left, right), (right, left)):
            if type(ours) is Proxy and builtins.isinstance(other, builtins.type):
                return library_class(ours) is other
            if type(ours) is Proxy and other is not None and about(ours).of_tests is other:
                return True
        number = self._which(left)
        return left is right if number is None else number == self._which(right)

    def _which(self, value: Any) -> int | None:
        """Of an object of the program, an exception that it has raised among them."""
        return self._number(object_of(value))

    def hasattr(self, value: Any, name: str) -> bool:
        """What stands for an object of the program has all methods that Python calls by itself.

        Whether a result is data is not the program's to say, though it may be asked for a method that data has.
        """
        if self._number(value) is not None and name in DATA_NAMES and not is_object(value):
            raise not_data(value, f".{name}")
        if self._number(value) is None or not is_special(name):
            return builtins.hasattr(value, name)
        try:
            self.ask("getattr", value, name)
        except AttributeError:
            return False
        return True

    def dir(self, *value: Any) -> Any:
        value = (*map(self.made, value),)
        return self.ask("dir", *value) if value and self._number(value[0]) is not None else builtins.dir(*value)

    def vars(self, value: Any) -> Any:
        value = self.made(value)
        return builtins.vars(value) if self._number(value) is None else self.ask("vars", value)

    def id(self, value: Any) -> int:
        number = self._which(value)
        return id(value) if number is None else number

    def type(self, *arguments: Any) -> Any:
        arguments = (*map(self.made, arguments),)
        if len(arguments) == 1 and self._number(arguments[0]) is not None:
            kind = arguments[0].__class__  # of the interpreter's own, like a generator's
            return self.ask("type", *arguments, producer=TYPE) if kind is builtins.type(arguments[0]) else kind
        if len(arguments) == 1 and builtins.isinstance(arguments[0], BaseException):
            self.isinstance(*arguments, BaseException)
        return builtins.type(*map(own_of, arguments[:1]), *arguments[1:])

    def told(self, function: Any, value: Any) -> Any:
        """``str`` and ``repr``: an exception that is kept somewhere is looked at."""
        if builtins.isinstance(value, BaseException):
            self.isinstance(value, BaseException)
        return function(value)

    def issubclass(self, kind: Any, bases: Any) -> bool:
        parts = bases if isinstance(bases, tuple) else (bases,)
        if self._number(kind) is None and all(self._number(b) is None for b in parts):
            return issubclass(kind, bases)
        return any(self._is_below(kind, base) for base in parts)

    def _is_below(self, kind: Any, base: Any) -> bool:
        """A class of the tests is below one of the program's that has a name there, and below what is a built-in one."""
        if self._number(kind) is None and self._number(base) is not None and not about(base).named:
            return library_class(base) in kind.__mro__
        return self.ask("issubclass", kind, base) is True
