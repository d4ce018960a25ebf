"""What the tests pass to the program, and what of their library it does for them: functions, iterators, seeds."""

from __future__ import annotations

import functools
import importlib
import io
import itertools
import sys
import types
from collections.abc import Callable
from typing import Any

from . import library
from .expected import Expected, made
from .held import OPAQUE, Gone, standing
from .proxy import Proxy

# Calls a function of the library where the program is: its module, its name, and what it is called with.
Library = Callable[..., Any]


class CannotLeave(BaseException):
    """The tests pass what the program's process cannot have. Not a TypeError, which a test may expect of the program."""


# What stands in the place of something of the library's for the tests, and what the program has there: its own.
OF_LIBRARY: list[tuple[Any, list[str]]] = []


def is_iterator(value: Any) -> bool:
    """A generator, or an iterator of the library's, which is called back for each item. A file is more than that."""
    kind = type(value)
    of_library = kind.__module__.partition(".")[0] in sys.stdlib_module_names
    return of_library and hasattr(kind, "__next__") and not isinstance(value, io.IOBase)


def awaited(value: Any) -> Any:
    """What a coroutine of the tests comes to, which the program awaits in its process.

    The tests may themselves be waiting there for the program, in a loop: it is run to its end in one of its own.
    """
    asyncio: Any = importlib.import_module("asyncio")
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(value)
    finally:
        loop.close()
        asyncio._set_running_loop(outer)


def of_library_by_name(value: Any) -> list[str] | None:
    """A built-in or a function, a class or a module of the standard library, by its name: each side has its own.

    As a function of this side the program could call it here, with what it likes: ``eval``, for one.
    """
    if isinstance(value, types.ModuleType):
        return ["library", value.__name__, ""] if value.__name__ in sys.stdlib_module_names else None
    for stands_for, path in OF_LIBRARY:
        if stands_for is value:
            return path
    name = library.name_of(value)
    return ["library", *name] if name else None


# Functions of the library that look into an object, or change what is the process's own.
_LENT = {
    "inspect": ("getsource", "getsourcelines"),
    "dataclasses": ("asdict", "astuple", "fields", "is_dataclass", "replace"),
    "random": ("seed",),
}


def lend_library(of_library: Library, texts: str) -> None:
    """Have the program's process do what the tests ask of its objects, and of its random numbers as of their own."""
    for module, functions in _LENT.items():
        if module in texts:
            here = importlib.import_module(module)
            for name in functions:
                setattr(here, name, _lent(of_library, module, name, getattr(here, name)))


def _lent(of_library: Library, module: str, name: str, here: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(here)
    def function(*args: Any, **kwargs: Any) -> Any:
        args = (*(made(a) if type(a) is Expected else a for a in args),)
        if args and isinstance(args[0], Proxy):
            held = standing(args[0]) if name == "replace" else OPAQUE  # another object of its class
            return of_library(module, name, args, kwargs, held)
        if name == "seed":
            of_library(module, name, args, kwargs)
        return here(*args, **kwargs)

    return function


def lend_tee(texts: str) -> None:
    """``itertools.tee`` would have an iterator of the program copied there, in the place of keeping what it yields."""
    if "tee" not in texts:
        return
    here = itertools.tee

    def tee(iterable: Any, n: int = 2, /) -> Any:
        return here((item for item in iterable) if type(iterable) is Proxy else iterable, n)

    itertools.tee = tee


def lend_members(operation: Library, texts: str) -> None:
    """``inspect.getmembers`` of an object of the program: names that it says, each asked for as the tests would."""
    if "getmembers" not in texts:
        return
    inspect: Any = importlib.import_module("inspect")
    here = inspect.getmembers

    def getmembers(owner: Any, predicate: Callable[[Any], Any] | None = None) -> list[tuple[str, Any]]:
        if type(owner) is not Proxy:
            return here(owner, predicate)
        wanted = predicate or (lambda value: True)
        if predicate is callable:
            wanted = lambda value: operation("callable", value) if type(value) is Proxy else callable(value)  # noqa: E731
        found = [(name, getattr(owner, name)) for name in _members(owner, operation)]
        return [(name, value) for name, value in found if wanted(value)]

    inspect.getmembers = getmembers


def _members(owner: Any, operation: Library) -> list[str]:
    """What a class and its objects have of their own: of Python's methods, what stands for an object has its own."""
    said = operation("dir", owner)
    if type(said) is not list:
        raise Gone("not the names of what an object has")
    return sorted(n for n in said if type(n) is str and not (n.startswith("__") and n.endswith("__")))
