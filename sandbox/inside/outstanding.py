"""Failures that nothing in the tests has taken yet, heard of where nobody looks: in threads, futures, finalizers and cases."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, ParamSpec, TypeGuard, TypeVar

from ..wire import codec
from . import arrays
from .blocks import Blocks
from .emptied import BehindItsEnd
from .proxy import Proxy
from .raised import known_text

_LOCK = threading.RLock()
P = ParamSpec("P")
T = TypeVar("T")


class Failed(AssertionError):
    """An assertion of a framework of tests. Like one that stands in the text, it decides unless a clause takes it."""

    outstanding: ClassVar[Outstanding | None] = None

    def __init__(self, *message: Any) -> None:
        super().__init__(*message)
        if Failed.outstanding is not None:
            Failed.outstanding.add(self)


def _alone(method: Callable[P, T]) -> Callable[P, T]:
    """One thread of the tests at a time."""

    @functools.wraps(method)
    def alone(*args: P.args, **kwargs: P.kwargs) -> T:
        with _LOCK:
            return method(*args, **kwargs)

    return alone


class Together:
    """What several calls of the program raise for one function of the library, which lets the first through, and no other."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self.taken = False


class Outstanding:
    """Exceptions of the program, and assertions of the tests, that nothing in the tests has taken yet."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []
        self._all: list[BaseException] = []  # those that were taken, too
        self.refused: list[BaseException] = []  # what nothing can take
        # By identity:
        self._of_program: dict[int, BaseException] = {}
        self._raised: dict[int, BaseException] = {}  # by a statement of the tests
        self._seen: dict[int, BaseException] = {}  # by a clause of the tests, which is not left yet, or has taken them
        self._together: dict[int, Together] = {}
        self.asked = False  # whether the tests have asked the program anything yet
        self.blocks = Blocks(self._is_of_program)

    @_alone
    def clear(self) -> None:
        self.errors, self._all, self.refused = [], [], []
        self.blocks.clear()
        self._of_program, self._raised, self._seen, self._together = {}, {}, {}, {}
        self.asked = False

    @_alone
    def add(self, error: BaseException) -> None:
        for part in _parts(error):
            group = self._together.get(id(part))
            if group is None or not group.taken:
                self.errors.append(part)
            self._all.append(part)

    @_alone
    def together(self, group: Together, error: BaseException) -> None:
        """A call of several raises an exception: taken is what the program has raised so with whatever the tests see of it."""
        if not self._is_of_program(error):
            return
        self._together |= {id(part): group for part in _parts(error)}
        group.errors += _parts(error)
        if group.taken:
            self.errors = [e for e in self.errors if not among(e, group.errors)]

    @_alone
    def of_program(self, error: BaseException, answer: bool, instead: BaseException | None) -> None:
        """The program raises an exception, ``instead`` of one of the tests that no clause of theirs has seen.

        That one has still been raised: the program would decide by its own which of the two a clause takes.
        """
        parts = {id(part): part for part in _parts(error)}
        self._of_program |= parts
        for known in (self._seen, self._together):  # one that was raised before is to be taken anew
            for number in parts:
                known.pop(number, None)
        if not answer:
            self.add(error)
        if not isinstance(instead, Exception) or isinstance(instead, (StopIteration, StopAsyncIteration)):
            return  # none, or how Python ends what it goes over
        if not (id(instead) in self._seen or among(instead, self.errors) or self.blocks.is_to_be_taken(instead)):
            self.add(instead)

    def by_tests(self, error: BaseException) -> None:
        """A statement of the tests raises an exception."""
        if not self._is_of_program(error):
            self._raised[id(error)] = error

    def _is_of_program(self, error: BaseException) -> bool:
        return all(id(part) in self._of_program for part in _parts(error))

    def is_failure(self, error: Any) -> TypeGuard[BaseException]:
        """Whether it says that something is wrong: an exit of the tests, or the end of a generator of theirs, does not."""
        return isinstance(error, Exception) or (isinstance(error, BaseException) and self._is_of_program(error))

    def holds_assertion(self, error: BaseException) -> bool:
        """Whether it is, or has in a group, an assertion of the tests."""
        return any(map(self._is_assertion, _parts(error)))

    def _is_assertion(self, error: BaseException) -> bool:
        return isinstance(error, AssertionError) and not self._is_of_program(error)

    @_alone
    def lost(self, error: BaseException) -> None:
        """Something that asked the program has swallowed an exception."""
        if id(error) not in self._seen:
            self.errors += [p for p in _parts(error) if self.is_failure(p) and not among(p, self.errors)]

    @_alone
    def swallowed(self, errors: list[BaseException]) -> None:
        """What the tests have raised in a function of theirs, and the program has not let through: nothing takes it any more,
        though the program may raise it later where they want an exception."""
        self.refused += [part for error in errors for part in _parts(error)]

    def refuse(self, error: BaseException) -> None:
        self.refused.append(error)

    @_alone
    def again(self, error: BaseException) -> None:
        """An exception is raised that may have been taken before."""
        self.errors += [part for part in _parts(error) if among(part, self._all)]

    @_alone
    def see(self, error: BaseException | None, ends: bool) -> list[BaseException]:
        """A clause of the tests begins with an exception, and takes it: see `take`."""
        if error is not None:
            self._seen[id(error)] = error
        return self.take(error, ends)

    @_alone
    def not_taken(self, seen: list[BaseException], left: BaseException | None) -> None:
        """A clause is left by an exception. What it saw was taken if another one of the program's is raised there, which
        stands for itself; but an assertion was not: which of the two decides is not the program's to say."""
        another = left is not None and self._is_of_program(left) and not among(left, seen)
        self.errors += [e for e in seen if not another or self._is_assertion(e)]
        self._seen.pop(id(left), None)

    @_alone
    def take(self, error: BaseException | None, ends: bool = True) -> list[BaseException]:
        """Take an exception and those that the tests made it of; returns which of them were outstanding.

        An exception of the program takes nothing along: Python hangs on it what it has replaced. An assertion is taken
        along by what a statement of the tests has raised, and by nothing else.

        Args:
            ends: whether who takes what ``next`` raises asks for the end of an iterator.
        """
        found: list[BaseException] = []
        waiting: list[tuple[BaseException | None, bool]] = [(error, True)]
        met: set[int] = set()
        while waiting:
            other, by_tests = waiting.pop()
            if other is None or id(other) in met:
                continue
            met.add(id(other))
            if by_tests or not self._is_assertion(other):
                found += [e for part in _parts(other) for e in self.errors if e is part]
            if not self._is_of_program(other):
                by_tests = by_tests and (self._is_assertion(other) or id(other) in self._raised)
                waiting += [(other.__cause__, by_tests), (other.__context__, by_tests)]
        if ends:
            found += [e for e in self.errors if isinstance(e, BehindItsEnd) and id(e.told) in met]
        for group in [self._together[id(e)] for e in found if id(e) in self._together]:
            group.taken = True
            found += [e for e in self.errors if among(e, group.errors) and not among(e, found)]
        self.errors = [e for e in self.errors if not among(e, found)]
        return found

    def first(self) -> BaseException | None:
        return next(iter(self.refused + self.errors), None)


def among(error: BaseException, known: list[BaseException]) -> bool:
    return any(error is one for one in known)


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
        outstanding.add(about.exc_value) if outstanding.is_failure(about.exc_value) else None
    )
    if "unittest" in texts or "TestCase" in texts:
        _watch_cases(outstanding)
    if "asyncio" in texts:
        _watch_loops(outstanding)
    if "mock" in texts:
        _watch_calls(importlib.import_module("unittest.mock"))
    if "mock" in texts or "inspect" in texts:
        _watch_awaitable(importlib.import_module("inspect"))
    arrays.watch(Failed, texts)
    if "futures" in texts or "PoolExecutor" in texts:
        _watch_futures(outstanding)
        _watch_maps(importlib.import_module("concurrent.futures").Executor, ("map",), outstanding)
    if "ThreadPool" in texts:
        _watch_maps(importlib.import_module("multiprocessing.pool").Pool, ("map", "starmap"), outstanding)


def _watch_calls(mock: Any) -> None:
    """``call(5)`` asks what it is compared with for its length and its items: an object of the program equals none."""
    kind: Any = type(mock.call)
    equal = kind.__eq__

    def equals(self: Any, other: Any) -> Any:
        return type(other) is not Proxy and equal(self, other)

    kind.__eq__ = equals


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
        if outstanding.is_failure(error):
            outstanding.add(error)
        told(self, context)

    loop.call_exception_handler = hear
    asyncio: Any = importlib.import_module("asyncio")
    gather = asyncio.gather

    def gathered(done: Any) -> None:
        for found in done.result() if not done.cancelled() and done.exception() is None else ():
            if outstanding.is_failure(found):
                outstanding.add(found)

    def ended(group: Together, done: Any) -> None:
        if not done.cancelled() and done.exception() is not None:
            outstanding.together(group, done.exception())

    @functools.wraps(gather)
    def gather_all(*awaitables: Any, return_exceptions: bool = False) -> Any:
        future = gather(*awaitables, return_exceptions=return_exceptions)
        if return_exceptions:  # what is only in a list of results is looked at by a test, or by nobody
            future.add_done_callback(gathered)
            return future
        group = Together()
        for one in getattr(future, "_children", ()):
            one.add_done_callback(functools.partial(ended, group))
        return future

    asyncio.gather = asyncio.tasks.gather = gather_all


def _watch_cases(outstanding: Outstanding) -> None:
    unittest = importlib.import_module("unittest")
    unittest.TestCase.failureException = Failed
    for name in ("addFailure", "addError", "addSubTest"):
        setattr(unittest.TestResult, name, _heard(getattr(unittest.TestResult, name), outstanding))
    _watch_taking(unittest.case._AssertRaisesContext, outstanding)
    run = unittest.TestProgram.runTests

    def run_tests(self: Any) -> None:
        try:
            run(self)
        finally:
            if not self.result.testsRun:
                Failed("unittest.main() found no case")

    unittest.TestProgram.runTests = run_tests
    _watch_skips(unittest, outstanding)


def _watch_taking(kind: Any, outstanding: Outstanding) -> None:
    """``assertRaises`` takes what it expects by whatever name the tests call it."""
    leave = kind.__exit__

    def exit_(self: Any, raised: Any, error: Any, trace: Any) -> Any:
        taken = leave(self, raised, error, trace)
        if taken:
            # Of a block that stands in the tests it is told there whether it asks for the end of an iterator (`rewritten`).
            outstanding.take(error, not sys._getframe(1).f_code.co_filename.startswith("<"))
        return taken

    kind.__exit__ = exit_


def _watch_skips(unittest: Any, outstanding: Outstanding) -> None:
    """A case that is skipped once the program has been asked may be skipped on the program's word: it has not passed."""
    add = unittest.TestResult.addSkip

    def add_skip(self: Any, case: Any, reason: Any) -> None:
        method = getattr(case, getattr(case, "_testMethodName", ""), None)
        decorated = any(getattr(found, "__unittest_skip__", False) for found in (type(case), method))
        if outstanding.asked and not decorated:
            outstanding.add(AssertionError("a case was skipped"))
        add(self, case, reason)

    def unless(condition: Any, reason: Any) -> Any:
        return unittest.skip(reason) if not condition and not outstanding.asked else lambda case: case

    unittest.TestResult.addSkip = add_skip
    unittest.skipUnless = unittest.case.skipUnless = unless
    unittest.skipIf = unittest.case.skipIf = lambda condition, reason: unless(not condition, reason)


def _watch_futures(outstanding: Outstanding) -> None:
    """An assertion that a future keeps is outstanding, and so is what it raises again. ``exception()`` takes the rest."""
    future = importlib.import_module("concurrent.futures").Future
    keep, kept = future.set_exception, future.exception

    def set_exception(self: Any, error: Any) -> None:
        if outstanding.is_failure(error):
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
            except BaseException as error:  # which is logged, and forgotten
                outstanding.add(error)
                raise

        call_back(self, call)

    future.add_done_callback = add_done_callback
    future.set_exception, future.result, future.exception = set_exception, result, exception


def _watch_maps(kind: Any, names: Sequence[str], outstanding: Outstanding) -> None:
    """What several calls raise, of which a map lets one through: nobody can ask for the others."""
    for name in names:
        setattr(kind, name, _of_one_map(getattr(kind, name), outstanding))


def _of_one_map(method: Callable[..., Any], outstanding: Outstanding) -> Callable[..., Any]:
    @functools.wraps(method)
    def map_(self: Any, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        group = Together()

        def call(*given: Any) -> Any:
            try:
                return function(*given)
            except BaseException as error:
                outstanding.together(group, error)
                raise

        return method(self, call, *arguments, **named)

    return map_


def _heard(method: Callable[..., Any], outstanding: Outstanding) -> Callable[..., Any]:
    def hear(self: Any, *arguments: Any) -> Any:
        if arguments[-1] is not None:  # a subtest that passed
            kind, error, _ = arguments[-1]
            # A new one: `with self.subTest()` takes what was raised in it, after it was told.
            outstanding.add(AssertionError(f"a case failed: {kind.__name__}: {known_text(error)}"))
        return method(self, *arguments)

    return hear
