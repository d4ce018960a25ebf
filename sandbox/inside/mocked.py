"""Mocks of the tests, which the program has something in the place of: they are told of each call, and give each attribute.

What the tests ask of a mock (``assert_called_once``, ``call_args``) is not the program's to answer or to change.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from ..wire import codec

_AWAITED = frozenset(("__aenter__", "__aexit__"))
# Which Python asks a class for. A mock of the tests has those that it is made for (`MagicMock`), or that they have given it.
_SPECIAL = (
    *("__enter__", "__exit__", "__getitem__", "__setitem__", "__delitem__", "__contains__", "__len__", "__iter__"),
    *("__bool__", "__int__", "__float__", *_AWAITED),
)
_NAMES = frozenset(("__name__", "__qualname__"))  # which a mock has if the tests have given it one, as a function has
_PLAIN = frozenset(
    (type(None), bool, int, float, str, bytes, list, tuple, dict, set)
)  # which have no names of their own


# What a mock says of how it was asked.
ASKED = frozenset(("called", "call_count", "call_args", "call_args_list", "method_calls", "mock_calls", "await_count"))
ASKED |= {"await_args", "await_args_list"}


# What a mock fails by, which an object of the program would not.
ASSERTIONS = frozenset(f"assert_{n}" for n in ("any_call", "any_await", "has_calls", "has_awaits"))
ASSERTIONS |= {f"assert_{n}{asked}" for asked in ("called", "awaited") for n in ("", "not_")}
ASSERTIONS |= {f"assert_{asked}_{n}" for asked in ("called", "awaited") for n in ("once", "with", "once_with")}


def is_mock(value: Any) -> bool:
    mock = sys.modules.get("unittest.mock")
    return mock is not None and isinstance(value, mock.NonCallableMock)


def behind(value: Any) -> Any:
    """A mock itself, or that of a function which ``create_autospec`` has made; None for anything else."""
    found = vars(value).get("mock") if type(value) is types.FunctionType else value
    return found if is_mock(found) else None


def told(mock: Any, name: str) -> list[Any]:
    """[what a mock says by a name] of how it was asked; nothing by any other: what its class has not may be a child of it."""
    if name == "method_calls":
        return [vars(mock)[name]]
    asked = (name in ASKED or name.startswith("assert_")) and hasattr(type(mock), name)
    return [getattr(type(mock), name).__get__(mock)] if asked else []


def special(mock: Any) -> list[str]:
    return [name for name in _SPECIAL if any(name in vars(kind) for kind in type(mock).__mro__)]


def of_mock(mock: Any, name: str, *new: Any) -> Any:
    """An attribute of a mock, for the program, or a ``new`` one.

    Raises:
        TypeError: for a new one that is no data: an object of the program's would answer the tests.
    """
    of_class = any(hasattr(getattr(sys.modules["unittest.mock"], kind), name) for kind in ("MagicMock", "AsyncMock"))
    if name in _NAMES and name in vars(mock) and not new:
        return vars(mock)[name]
    if name not in _SPECIAL and (name.startswith(("_", "assert")) or of_class or name in ASKED):
        raise TypeError(name) if new else AttributeError(name)
    for value in new:
        if name in _SPECIAL or type(value) not in _PLAIN:
            raise TypeError(name)
        codec.encode_data(value)
        return setattr(mock, name, value)
    return getattr(mock, name)


class Mock:
    """On the program's side.

    Args:
        number: of that of the tests.
        ask: for an attribute, or to have it another value.
    """

    def __init__(self, number: int, call: Callable[..., Any], ask: Callable[..., Any]) -> None:
        self.__dict__.update(_number=number, _call=call, _ask=ask)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._ask(name)

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.pop(name, None)
        try:
            self._ask(name, value)
        except TypeError:  # it stays here, and that of the tests is what it was
            self.__dict__[name] = value


def number_of(value: Any) -> int | None:
    """Which mock of the tests it is; None for anything else."""
    return value.__dict__["_number"] if Mock in type(value).__mro__ else None


def mocked(names: Sequence[str], number: int, call: Callable[..., Any], ask: Callable[..., Any]) -> Mock:
    """``names``: of special methods."""
    kind = type("Mock", (Mock,), {name: (_awaited if name in _AWAITED else _method)(name) for name in names})
    return kind(number, call, ask)


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args: self._ask(name)(*args)


def _awaited(name: str) -> Callable[..., Any]:
    async def method(self: Any, *args: Any) -> Any:
        return await self._ask(name)(*args)

    return method
