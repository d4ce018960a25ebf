"""What objects of the program are told at the end of a ``with`` block, and which exceptions of the tests they may take."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..wire import codec
from .emptied import is_of_tests
from .raised import OF_FRAMEWORKS, held_by

_SANDBOX = __package__.rpartition(".")[0]
_WITH_VALUES = (KeyError, ValueError)  # of an operation, whose text says of which value, as an expected one may be
_SCALARS = (str, int, float, bool)


@dataclass(frozen=True, slots=True)
class _Raise:
    """A statement of the tests that has raised an exception.

    Attributes:
        at_last: the frame of which it is the last statement, or that of a block in it; 0: of none.
        constants: arguments that stand in its text.
    """

    error: BaseException
    at_last: int
    constants: tuple[Any, ...]


class Blocks:
    """What is known of the exceptions that leave blocks of the tests.

    Args:
        is_of_program: whether an exception is the program's.
    """

    def __init__(self, is_of_program: Callable[[BaseException], bool]) -> None:
        self._is_of_program = is_of_program
        self.clear()

    def clear(self) -> None:
        self._raised: dict[int, _Raise] = {}
        # By identity: those that the last statement of the innermost block has raised, and of these what the program's
        # object of that block has let through.
        self._to_be_taken: dict[int, BaseException] = {}
        self._let_through: dict[int, BaseException] = {}

    def raised(self, error: BaseException, at_last: int, constants: tuple[Any, ...]) -> None:
        self._raised[id(error)] = _Raise(error, at_last, constants)

    def let_through(self, error: BaseException) -> None:
        if self.is_to_be_taken(error):
            self._let_through[id(error)] = error

    def is_to_be_taken(self, error: BaseException | None) -> bool:
        """Whether nothing is left undone when the one who manages the innermost block takes it."""
        return id(error) in self._to_be_taken

    def left(self, error: BaseException, frame: types.FrameType, last: bool, nested: bool) -> None:
        """An exception leaves a block of that frame; ``nested``: its last statement is a block, too."""
        passed = self._let_through.pop(id(error), None) is not None
        self._to_be_taken.pop(id(error), None)
        if last and (passed if nested else self._is_told(error) and self._leaves_nothing(error, frame)):
            self._to_be_taken[id(error)] = error

    def _is_told(self, error: BaseException) -> bool:
        of_framework = type(error).__module__.partition(".")[0] in OF_FRAMEWORKS
        return (
            isinstance(error, Exception) and not isinstance(error, (AssertionError, codec.NotData)) and not of_framework
        )

    def _leaves_nothing(self, error: BaseException, frame: types.FrameType) -> bool:
        """Whether an exception of the tests has left no function of theirs, but where that was at its end."""
        known = self._raised.get(id(error))
        at_last = known.at_last if known is not None else 0
        within = [f for f in _frames(error) if f is not frame and id(f) != at_last]
        return not self._is_of_program(error) and not any(is_of_tests(f.f_code) or _is_of_sandbox(f) for f in within)

    def told(self, error: BaseException | None) -> BaseException | None:
        """What the program is told of an exception: nothing of an assertion, of those of the tests seldom more than the kind."""
        if error is None or not self._is_told(error):
            return None
        return error if self._is_of_program(error) or held_by(error) is not None else self._bare(error)

    def _bare(self, error: BaseException) -> BaseException:
        kind: Any = type(error)
        if isinstance(error, BaseExceptionGroup):
            bare: BaseException = kind.__new__(kind, "", [self._bare(part) for part in error.exceptions])
            return bare
        bare = kind.__new__(kind)
        bare.args = error.args if all(type(a) in _SCALARS for a in error.args) and self._says_no_value(error) else ()
        return bare

    def _says_no_value(self, error: BaseException) -> bool:
        if (known := self._raised.get(id(error))) is not None:
            return error.args == known.constants
        *_, innermost = [None, *_frames(error)]
        of_operation = innermost is not None and is_of_tests(innermost.f_code) and type(error).__module__ == "builtins"
        return of_operation and not isinstance(error, _WITH_VALUES)


def _frames(error: BaseException) -> Iterator[types.FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


def _is_of_sandbox(frame: types.FrameType) -> bool:
    return str(frame.f_globals.get("__name__")).startswith(f"{_SANDBOX}.")


class Block:
    """A ``with`` block of the tests.

    Args:
        asked: how often the program was asked anything in this thread.
    """

    def __init__(self, outstanding: Any, asked: Callable[[], int]) -> None:
        self._outstanding, self._asked, self._last = outstanding, asked, False
        self._left: list[tuple[BaseException, int]] = []

    def at_last(self) -> None:
        """The last statement of the block begins."""
        self._last = True

    def leaves(self, nested: bool) -> None:
        """An exception leaves the block."""
        error = sys.exception()
        assert error is not None
        self._left.append((error, self._asked()))
        self._outstanding.blocks.left(error, sys._getframe(1), self._last, nested)

    def taken(self, ends: bool) -> None:
        """Behind the block, which is not reached by what it let through.

        Where it asked the program meanwhile, it may be the program's word that took the exception.
        """
        for error, asked in self._left:
            if self._asked() == asked or self._outstanding.blocks.is_to_be_taken(error):
                self._outstanding.take(error, ends)
            else:
                self._outstanding.lost(error)
