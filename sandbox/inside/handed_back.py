"""Functions and iterators of the tests that the program hands over: each is itself, in all but what it gives."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Protocol

_OWN_NAMES = frozenset(("__call__", "__copy__", "__deepcopy__", "__iter__", "__next__"))


class HandedBack:
    """What stands for a function or an iterator, which is asked for everything else.

    Args:
        given_back: makes of what it gives what the tests get.
    """

    __slots__ = ("__given_back__", "__own__")

    def __init__(self, own: Any, given_back: Callable[[Any], Any]) -> None:
        object.__setattr__(self, "__own__", own)
        object.__setattr__(self, "__given_back__", given_back)

    def __getattribute__(self, name: str) -> Any:
        return object.__getattribute__(self, name) if name in _OWN_NAMES else getattr(own_of(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(own_of(self), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(own_of(self), name)

    def __eq__(self, other: object) -> bool:
        return bool(own_of(self) == own_of(other))

    def __hash__(self) -> int:
        return hash(own_of(self))

    def __repr__(self) -> str:
        return repr(own_of(self))


class Function(HandedBack):
    """It is called where the tests are."""

    __slots__ = ()

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        value, given_back = own_of(self)(*args, **kwargs), object.__getattribute__(self, "__given_back__")
        return _awaited(value, given_back) if inspect.iscoroutine(value) else given_back(value)

    def __copy__(self) -> Any:
        return self  # as of any function

    def __deepcopy__(self, memo: Any) -> Any:
        return self

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        binds = owner is not None and type(own_of(self)) is types.FunctionType
        return types.MethodType(self, owner) if binds else self


class Ends(Protocol):
    """What is known of the ends of iterators."""

    def go_over(self, which: int, of: int) -> Any: ...

    def step(self, which: int, step: Callable[[], Any]) -> Any: ...


class Iterator(HandedBack):
    """It is gone over where the tests are.

    Args:
        ends: hears of each time.
        which: its number there.
    """

    __slots__ = ("__ends__", "__which__")

    def __init__(self, own: Any, given_back: Callable[[Any], Any], ends: Ends, which: int) -> None:
        super().__init__(own, given_back)
        object.__setattr__(self, "__ends__", ends)
        object.__setattr__(self, "__which__", which)

    def __iter__(self) -> Any:
        ends, which = (object.__getattribute__(self, name) for name in ("__ends__", "__which__"))
        ends.go_over(which, which)
        return self

    def __next__(self) -> Any:
        ends, which, given_back = (
            object.__getattribute__(self, name) for name in ("__ends__", "__which__", "__given_back__")
        )
        return given_back(ends.step(which, own_of(self).__next__))


async def _awaited(coroutine: Any, given_back: Callable[[Any], Any]) -> Any:
    return given_back(await coroutine)


def own_of(value: Any) -> Any:
    """What of the tests' it is; the value itself, if it is something else."""
    return object.__getattribute__(value, "__own__") if issubclass(type(value), HandedBack) else value
