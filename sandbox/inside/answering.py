"""What of the tests' own would answer them in the place of a result, where they get it back as it is.

A mock says yes to whatever it is asked: it is an opaque object. An iterator finds nothing behind its end, which is noticed. Of
what a function gives the same is looked for.
"""

from __future__ import annotations

import collections
import functools
import io
import sys
import types
from collections.abc import Callable
from typing import Any

from ..wire.containers import MUTABLE
from . import handed_back, mocked, passed
from .emptied import Emptied
from .given import Arguments, fill, marked

_CALLED = (types.FunctionType, types.MethodType, functools.partial)


class GivenBack:
    """
    Args:
        hand_over: gives the program something, and returns what stands for it.
        ends: what is known of those of iterators.
    """

    def __init__(self, hand_over: Callable[[Any], Any], ends: Emptied) -> None:
        self._hand_over, self._ends = hand_over, ends

    def __call__(self, value: Any) -> Any:
        """``value``, with what stands for it in the place of what would answer in it; containers stay themselves."""
        for container in reversed(Arguments([value]).containers):
            changed = _in_set(container, self._mark) if isinstance(container, set) else self._in(container)
            if isinstance(changed, collections.deque) and changed is not container:  # the tests may be going over it
                for index, part in enumerate(changed):
                    container[index] = part
            elif changed is not container:
                fill(container, dict(changed) if isinstance(changed, dict) else changed)  # its default stays its own
        found = marked(value, self._mark)
        own = isinstance(value, tuple) and type(value) is not tuple and found is not value
        return tuple.__new__(type(value), found) if own and isinstance(found, tuple) else found

    def _in(self, container: Any) -> Any:
        return marked(container, self._mark, top=True)

    def _mark(self, part: Any) -> Any:
        """What stands for a part; None: it is itself, or holds others."""
        if isinstance(part, MUTABLE):
            return part
        if _answers(part):
            return self._hand_over(part)
        if passed.is_iterator(part):
            return handed_back.Iterator(part, self, self._ends, self._ends.watched.keep(part))
        return handed_back.Function(part, self) if type(part) in _CALLED else None


def _in_set(container: set[Any], mark: Callable[[Any], Any]) -> set[Any]:
    found = [(part, mark(part)) for part in set.__iter__(container)]
    return container if all(new is None for _, new in found) else {old if new is None else new for old, new in found}


def _answers(value: Any) -> bool:
    """Whether it says what tests want to hear whatever it is asked, or is gone over by more than one way."""
    if isinstance(value, (types.AsyncGeneratorType, io.StringIO, io.BytesIO)) or mocked.behind(value) is not None:
        return True
    mock = sys.modules.get("unittest.mock")
    return mock is not None and value is mock.ANY
