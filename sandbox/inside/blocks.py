"""What objects of the program are told at the end of a ``with`` block, and which exceptions of the tests they may take.

They may take what the block raises whatever the program says (`certain`): behind the block it is the same for every program then.
They are told the kind, and the text where that is no value of the tests'.
"""

from __future__ import annotations

import itertools
import sys
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..wire import codec
from .certain import By
from .raised import OF_FRAMEWORKS, blank, held_by

_SCALARS = (str, int, float, bool)
# What operations say without naming anything of what they were given.
_TEXTS = frozenset(
    """\
division by zero
float division by zero
complex division by zero
integer division or modulo by zero
integer modulo by zero
float modulo
float modulo by zero
float floor division by zero
float divmod()
list index out of range
list assignment index out of range
tuple index out of range
string index out of range
bytearray index out of range
range object index out of range
deque index out of range
index out of range
pop from empty list
pop index out of range
pop from an empty deque
pop from an empty set
popitem(): dictionary is empty""".splitlines()
)


@dataclass(frozen=True, slots=True)
class _Raise:
    """A statement of the tests that has raised an exception.

    Attributes:
        within: the frame in which it stands, if every run comes to it, else 0.
        constants: arguments that stand in its text.
    """

    error: BaseException
    within: int
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
        # By identity: those that the innermost block has raised for certain, and of these what the program's object of that
        # block has let through.
        self._to_be_taken: dict[int, BaseException] = {}
        self._let_through: dict[int, BaseException] = {}

    def raised(self, error: BaseException, within: int, constants: tuple[Any, ...]) -> None:
        self._raised[id(error)] = _Raise(error, within, constants)

    def let_through(self, error: BaseException) -> None:
        if self.is_to_be_taken(error):
            self._let_through[id(error)] = error

    def is_to_be_taken(self, error: BaseException | None) -> bool:
        """Whether nothing is left undone when the one who manages the innermost block takes it."""
        return id(error) in self._to_be_taken

    def left(self, error: BaseException, frame: types.FrameType, by: By | None, asked: bool) -> None:
        """An exception leaves a block of that frame.

        Args:
            by: what has raised it, if that hangs on nothing that the program says.
            asked: whether the statement has asked the program anything.
        """
        passed = self._let_through.pop(id(error), None) is not None
        self._to_be_taken.pop(id(error), None)
        by_tests = _is_told(error) and not self._is_of_program(error)
        if passed if by == "block" else by_tests and self._is_certain(error, frame, by, asked):
            self._to_be_taken[id(error)] = error

    def _is_certain(self, error: BaseException, frame: types.FrameType, by: By | None, asked: bool) -> bool:
        if by == "operation":
            return not asked and not isinstance(error, NameError)  # what a name stands for may hang on the program
        within = [frame, *itertools.dropwhile(lambda f: f is frame, _frames(error))]
        if by is None or (by == "call" and len(within) < 2):
            return False
        known = self._raised.get(id(error))
        return known is not None and known.within == id(within[by == "call"])

    def told(self, error: BaseException | None) -> BaseException | None:
        """What the program is told of an exception: nothing of an assertion, of those of the tests seldom more than the kind."""
        return None if error is None or not _is_told(error) else self._as_told(error)

    def _as_told(self, error: BaseException) -> BaseException:
        known = self._raised.get(id(error))
        is_group = isinstance(error, BaseExceptionGroup)  # which the tests may have made of what the program has raised
        if held_by(error) is not None or (self._is_of_program(error) and not (is_group and known is not None)):
            return error
        if isinstance(error, BaseExceptionGroup):
            return blank(type(error), "", [self._as_told(part) for part in error.exceptions])
        told = all(type(a) in _SCALARS for a in error.args) and (
            error.args == known.constants if known is not None else _TEXTS.issuperset(error.args)
        )
        bare = blank(type(error))
        bare.args = error.args if told else ()
        return bare


def _is_told(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):
        return all(map(_is_told, error.exceptions))
    of_framework = type(error).__module__.partition(".")[0] in OF_FRAMEWORKS
    of_kind = (
        not isinstance(error, SystemExit) or held_by(error) is not None
    )  # an exit of the tests' is none of the program's
    return of_kind and not isinstance(error, (AssertionError, codec.NotData)) and not of_framework


def _frames(error: BaseException) -> Iterator[types.FrameType]:
    trace = error.__traceback__
    while trace is not None:
        yield trace.tb_frame
        trace = trace.tb_next


class Block:
    """A ``with`` block of the tests.

    Args:
        asked: how often the program was asked anything in this thread.
    """

    def __init__(self, outstanding: Any, asked: Callable[[], int]) -> None:
        self._outstanding, self._asked = outstanding, asked
        self._by: By | None = None
        self._asked_before = 0  # the statement that runs
        self._left: list[tuple[BaseException, int]] = []

    def begins(self, by: By | None) -> None:
        """A statement of the block begins; ``by``: what it raises by, if that hangs on nothing that the program says."""
        self._by, self._asked_before = by, self._asked()

    def leaves(self) -> None:
        """An exception leaves the block."""
        error = sys.exception()
        assert error is not None
        self._left.append((error, asked := self._asked()))
        self._outstanding.blocks.left(error, sys._getframe(1), self._by, asked != self._asked_before)

    def taken(self, ends: bool) -> None:
        """Behind the block, which is not reached by what it let through.

        Where it asked the program meanwhile, it may be the program's word that took the exception.
        """
        for error, asked in self._left:
            if self._asked() == asked or self._outstanding.blocks.is_to_be_taken(error):
                self._outstanding.take(error, ends)
            else:
                self._outstanding.lost(error)
