"""Iterators and generators of the tests, which the program has something in the place of: each step is asked for."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any

_NEXT, _SEND, _THROW, _CLOSE = range(4)


def kind_of(value: Any) -> str:
    """Of an iterator of the tests."""
    if isinstance(value, types.AsyncGeneratorType):
        return "asynchronous generator"
    return "generator" if inspect.isgenerator(value) else "iterator"


def steps_of(value: Any, run: Callable[[Any], Any], raised: Callable[[Any], BaseException]) -> list[Callable[..., Any]]:
    """What the program may have an iterator of the tests do.

    Args:
        run: runs what an asynchronous one gives.
        raised: an exception of the program, by what stands for it.
    """
    if isinstance(value, types.AsyncGeneratorType):
        return [
            lambda: run(anext(value)),
            lambda sent: run(value.asend(sent)),
            lambda error: run(value.athrow(raised(error))),
            lambda: run(value.aclose()),
        ]
    if inspect.isgenerator(value):
        return [value.__next__, value.send, lambda error: value.throw(raised(error)), value.close]
    return [value.__next__]


class _Iterator:
    """On the program's side.

    Args:
        ask: for a step, by its number, with what it is given.
    """

    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> Any:
        return self._ask(_NEXT)


class _Generator(_Iterator):
    @property  # type: ignore[misc]
    def __class__(self) -> type:
        """For ``isinstance(given, types.GeneratorType)``."""
        return types.GeneratorType

    def send(self, sent: Any) -> Any:
        return self._ask(_SEND, sent)

    def throw(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        return self._ask(_THROW, _made(kind, value))

    def close(self) -> None:
        self._ask(_CLOSE)


class _AsyncGenerator:
    def __init__(self, ask: Callable[..., Any]) -> None:
        self._ask = ask

    def __aiter__(self) -> Any:
        return self

    async def __anext__(self) -> Any:
        return self._ask(_NEXT)

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return types.AsyncGeneratorType

    async def asend(self, sent: Any) -> Any:
        return self._ask(_SEND, sent)

    async def athrow(self, kind: Any, value: Any = None, trace: Any = None) -> Any:
        return self._ask(_THROW, _made(kind, value))

    async def aclose(self) -> None:
        self._ask(_CLOSE)


KINDS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "iterator": _Iterator,
    "generator": _Generator,
    "asynchronous generator": _AsyncGenerator,
}


def _made(kind: Any, value: Any) -> Any:
    if isinstance(kind, BaseException):
        return kind
    return value if isinstance(value, BaseException) else kind() if value is None else kind(value)
