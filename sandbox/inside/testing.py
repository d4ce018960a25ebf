"""What tests take from pytest and unittest without importing it, and from pytest where it is not installed.

These are the referee's own: a program that defines a ``raises`` decides nothing by it. What is offered is what tests of a
function use; what needs a collector (fixtures, parameters) is not, and `needs` says so before anything runs.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from typing import Any

from .approx import approx
from .outstanding import Failed

# Marks that change nothing where a test is called by its name.
MARKS = frozenset(("asyncio", "slow", "unit", "integration", "timeout", "smoke", "regression", "fast", "order"))


class ExceptionInfo:
    """What ``with raises(E) as info`` gives; filled behind the block."""

    value: Any = None

    @property
    def type(self) -> Any:
        return type(self.value)

    @property
    def typename(self) -> str:
        return self.type.__name__

    @property
    def tb(self) -> Any:
        return self.value.__traceback__

    def match(self, pattern: Any) -> bool:
        """Raises Failed unless the exception's text has the pattern in it."""
        if re.search(pattern, str(self.value)) is None:
            raise Failed(f"the text of the {self.typename} does not match {pattern!r}")
        return True

    def errisinstance(self, kinds: Any) -> bool:
        return isinstance(self.value, kinds)

    def exconly(self, tryshort: bool = False) -> str:
        return f"{self.typename}: {self.value}"


@contextlib.contextmanager
def _raising(kinds: Any, match: Any, check: Callable[[Any], bool] | None) -> Iterator[ExceptionInfo]:
    info = ExceptionInfo()
    try:
        yield info
    except kinds as error:
        info.value = error
        if Failed.outstanding is not None:
            Failed.outstanding.take(error, ends=False)  # whatever name the tests call this by
    else:
        raise Failed(f"nothing of {kinds!r} was raised")
    if match is not None:
        info.match(match)
    if check is not None and not check(info.value):
        raise Failed(f"the {info.typename} is not the one that was expected")


def raises(*kinds: Any, match: Any = None, check: Callable[[Any], bool] | None = None, **named: Any) -> Any:
    """``with raises(E, match=...) as info`` or ``raises(E, f, x)``.

    Raises:
        AssertionError: nothing of that kind was raised.
        TypeError: for what is no kind of exception.
    """
    kind = kinds[0] if kinds else named.pop("expected_exception", Exception)
    for one in kind if isinstance(kind, tuple) else (kind,):
        if not isinstance(one, type) or not issubclass(one, BaseException):
            raise TypeError(f"raises() takes kinds of exceptions, got {one!r}")
    if len(kinds) < 2:
        return _raising(kind, match, check)
    with _raising(kind, None, None) as info:
        kinds[1](*kinds[2:], **named)
    if Failed.outstanding is not None:
        Failed.outstanding.take(info.value)
    return info


@contextlib.contextmanager
def _warning(kinds: Any, match: Any) -> Iterator[list[Any]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield caught
    if not any(issubclass(w.category, kinds) and re.search(match or "", str(w.message)) for w in caught):
        raise Failed(f"no warning of {kinds!r}")


def warns(
    kinds: Any = Warning, function: Callable[..., Any] | None = None, *args: Any, match: Any = None, **named: Any
) -> Any:
    """``with warns(W, match=...) as record`` or ``warns(W, f, x)``. Raises AssertionError if there was no such warning."""
    if function is None:
        return _warning(kinds, match)
    with _warning(kinds, match):
        return function(*args, **named)


def fail(reason: str = "", pytrace: bool = True) -> Any:
    raise Failed(reason)


class _Marks:
    def __getattr__(self, name: str) -> Any:
        def mark(*arguments: Any, **named: Any) -> Any:
            alone = len(arguments) == 1 and not named and callable(arguments[0])
            return arguments[0] if alone else lambda function: function

        if name not in MARKS:
            raise AttributeError(name)
        return mark


OFFERED: dict[str, Any] = {"approx": approx, "raises": raises, "warns": warns, "fail": fail, "mark": _Marks()}


def install() -> None:
    """Make ``import pytest`` work where it is not installed."""
    if "pytest" not in sys.modules and importlib.util.find_spec("pytest") is None:
        module = types.ModuleType("pytest")
        module.__dict__.update(OFFERED)
        sys.modules["pytest"] = module


def assertion(name: str) -> Any:
    """``assertEqual``, without a case around it."""
    return getattr(importlib.import_module("unittest").TestCase(), name)
