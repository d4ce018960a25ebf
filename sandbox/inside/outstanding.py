"""Failures that nothing in the tests has taken yet, heard of where nobody looks: in threads, futures, finalizers and cases."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, ClassVar

from ..wire import codec
from .proxy import Proxy


class Failed(AssertionError):
    """An assertion of a framework of tests. Like one that stands in the text, it decides unless a clause takes it."""

    outstanding: ClassVar[Outstanding | None] = None

    def __init__(self, *message: Any) -> None:
        super().__init__(*message)
        if Failed.outstanding is not None:
            Failed.outstanding.add(self)


class Outstanding:
    """Exceptions of the program, and assertions of the tests, that nothing in the tests has taken yet."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._all: list[BaseException] = []  # those that were taken, too
        self.to_be_taken: list[BaseException] = []  # raised by the tests for the one who manages the context
        self.refused: list[BaseException] = []  # what nothing can take

    def clear(self) -> None:
        self.errors, self._all, self.to_be_taken, self.refused = [], [], [], []

    def is_to_be_taken(self, error: BaseException | None) -> bool:
        return any(error is known for known in self.to_be_taken)

    def add(self, error: BaseException) -> None:
        for part in _parts(error):
            self.errors.append(part)
            self._all.append(part)

    def refuse(self, error: BaseException) -> None:
        self.refused.append(error)

    def again(self, error: BaseException) -> None:
        """An exception is raised that may have been taken before."""
        self.errors += [part for part in _parts(error) if any(part is known for known in self._all)]

    def take(self, error: BaseException | None) -> list[BaseException]:
        """Take an exception and those it came from; returns which of them were outstanding."""
        found: list[BaseException] = []
        while error is not None:
            found += [e for part in _parts(error) for e in self.errors if e is part]
            error = error.__cause__ or error.__context__
        self.errors = [e for e in self.errors if not any(e is f for f in found)]
        return found

    def first(self) -> BaseException | None:
        return next(iter(self.refused + self.errors), None)


def _parts(error: BaseException) -> list[BaseException]:
    """The exceptions in a group, which `except*` takes apart; else itself."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    return [part for inner in error.exceptions for part in _parts(inner)]


def watch(outstanding: Outstanding, texts: str) -> None:
    """Hear of what fails where nobody looks: in threads, in finalizers, and in what of the library ``texts`` name."""
    Failed.outstanding = outstanding
    codec.NotData.heard = outstanding.refuse
    threading.excepthook = lambda about: outstanding.add(about.exc_value) if about.exc_value is not None else None
    sys.unraisablehook = lambda about: (
        outstanding.add(about.exc_value) if isinstance(about.exc_value, Exception) else None
    )
    if "unittest" in texts or "TestCase" in texts:
        _watch_cases(outstanding)
    if "asyncio" in texts:
        _watch_loops(outstanding)
    if "mock" in texts or "inspect" in texts:
        _watch_awaitable(importlib.import_module("inspect"))
    if "futures" in texts or "PoolExecutor" in texts:
        _watch_futures(outstanding)


def _watch_awaitable(inspect: Any) -> None:
    """What stands for an object of the program can be awaited, whatever the object can: told is whether it is a coroutine."""
    awaitable = inspect.isawaitable
    inspect.isawaitable = lambda value: inspect.iscoroutine(value) or (type(value) is not Proxy and awaitable(value))


def _watch_loops(outstanding: Outstanding) -> None:
    """What an event loop logs and forgets: of a callback, and of a task that nobody awaits."""
    loop: Any = importlib.import_module("asyncio.base_events").BaseEventLoop
    told = loop.call_exception_handler

    def hear(self: Any, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception):
            outstanding.add(error)
        told(self, context)

    loop.call_exception_handler = hear
    asyncio: Any = importlib.import_module("asyncio")
    gather = asyncio.gather

    def gathered(done: Any) -> None:
        for found in done.result() if not done.cancelled() and done.exception() is None else ():
            if isinstance(found, Exception):
                outstanding.add(found)

    @functools.wraps(gather)
    def gather_all(*awaitables: Any, return_exceptions: bool = False) -> Any:
        future = gather(*awaitables, return_exceptions=return_exceptions)
        if return_exceptions:  # what is only in a list of results is looked at by a test, or by nobody
            future.add_done_callback(gathered)
        return future

    asyncio.gather = asyncio.tasks.gather = gather_all


def _watch_cases(outstanding: Outstanding) -> None:
    unittest = importlib.import_module("unittest")
    unittest.TestCase.failureException = Failed
    for name in ("addFailure", "addError", "addSubTest"):
        setattr(unittest.TestResult, name, _heard(getattr(unittest.TestResult, name), outstanding))
    run = unittest.TestProgram.runTests

    def run_tests(self: Any) -> None:
        try:
            run(self)
        finally:
            if not self.result.testsRun:
                Failed("unittest.main() found no case")

    unittest.TestProgram.runTests = run_tests


def _watch_futures(outstanding: Outstanding) -> None:
    """An assertion that a future keeps is outstanding, and so is what it raises again. ``exception()`` takes the rest."""
    future = importlib.import_module("concurrent.futures").Future
    keep, kept = future.set_exception, future.exception

    def set_exception(self: Any, error: Any) -> None:
        if isinstance(error, Exception):
            outstanding.add(error)
        keep(self, error)

    def result(self: Any, timeout: Any = None) -> Any:
        error = kept(self, timeout)
        if error is not None:
            outstanding.again(error)
            raise error
        return self._result

    def exception(self: Any, timeout: Any = None) -> Any:
        error = kept(self, timeout)
        if not isinstance(error, AssertionError):
            outstanding.take(error)
        return error

    call_back = future.add_done_callback

    def add_done_callback(self: Any, function: Callable[[Any], Any]) -> None:
        def call(done: Any) -> Any:
            try:
                return function(done)
            except Exception as error:  # which is logged, and forgotten
                outstanding.add(error)
                raise

        call_back(self, call)

    future.add_done_callback = add_done_callback
    future.set_exception, future.result, future.exception = set_exception, result, exception


def _heard(method: Callable[..., Any], outstanding: Outstanding) -> Callable[..., Any]:
    def hear(self: Any, *arguments: Any) -> Any:
        if arguments[-1] is not None:  # a subtest that passed
            kind, error, _ = arguments[-1]
            # A new one: `with self.subTest()` takes what was raised in it, after it was told.
            outstanding.add(AssertionError(f"a case failed: {kind.__name__}: {error}"))
        return method(self, *arguments)

    return hear
