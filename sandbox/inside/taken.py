"""Where a failure of the tests would be taken, so that it proves nothing that nothing has failed there.

In the body of a ``try`` whose clauses may take what the tests raise, and in a block whose manager may. Where the tests are is
told by the lines that their functions are at: functions, generators and tasks that wait meanwhile are in places of their own.
"""

from __future__ import annotations

import ast
import builtins
import dis
import itertools
import sys
import types
import weakref
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Any

from ..wire.source import name_of
from .clauses import going_on, takes_at_last
from .held import Held

EXCEPTIONS = {
    n: kind for n, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
}
# Who manages blocks and takes no exception: what has its `__exit__` from these modules, or is one of these classes, or is made of
# one of these functions.
_MODULES = frozenset(
    ("_decimal", "_io", "_thread", "_threading_local", "asyncio.locks", "asyncio.timeouts", "builtins", "io")
)
_MODULES |= {
    "concurrent.futures._base",
    "decimal",
    "mmap",
    "multiprocessing.pool",
    "posix",
    "queue",
    "socket",
    "sqlite3",
}
_MODULES |= {"subprocess", "tarfile", "threading", "warnings", "zipfile", "numpy"}
_CLASSES = frozenset(
    ("AbstractContextManager", "AbstractAsyncContextManager", "_RedirectStream", "aclosing", "chdir", "closing")
)
_CLASSES |= {
    "nullcontext",
    "_patch",
    "_patch_dict",
    "_AssertWarnsContext",
    "TaskGroup",
}
_OF_LIBRARY = frozenset(("contextlib", "unittest.mock", "unittest.case", "asyncio.taskgroups"))
_FUNCTIONS = (("unittest.case", "TestCase.subTest"), ("numpy", "printoptions"), (f"{__package__}.testing", "_warning"))


@dataclass(frozen=True, slots=True)
class Place:
    """Lines of a function, or of a module.

    Attributes:
        kinds: built-in exceptions that are taken there.
        manager: the variable that has who manages the block, and may take any.
    """

    first: int
    last: int
    kinds: tuple[type, ...] = ()
    manager: str = ""


class Places:
    """Those of a text of the tests.

    Args:
        is_built_in: whether an expression names a built-in exception.
    """

    def __init__(self, is_built_in: Callable[[ast.expr], bool]) -> None:
        self._is_built_in = is_built_in
        # By the name and the first line of the function, or of the class, that they are in:
        self._known: dict[tuple[str, int], list[Place]] = {}
        self._within: list[tuple[str, int]] = [("<module>", 1)]

    def enter(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._within.append((node.name, min(part.lineno for part in (node, *node.decorator_list))))

    def leave(self) -> None:
        self._within.pop()

    def add(self, node: ast.With | ast.AsyncWith | ast.Try | ast.TryStar, **what: Any) -> None:
        last = node.body[-1]
        self._known.setdefault(self._within[-1], []).append(Place(node.lineno, last.end_lineno or last.lineno, **what))

    def add_try(self, node: ast.Try | ast.TryStar) -> None:
        kinds = [kind for clause in going_on(node) for kind in self._kinds(clause.type)]
        if takes_at_last(node):
            kinds.append(BaseException)
        if kinds:
            self.add(node, kinds=tuple(kinds))

    def _kinds(self, node: ast.expr | None) -> Iterator[type]:
        """Of a clause; what is no built-in one may be any."""
        for part in node.elts if isinstance(node, ast.Tuple) else [node]:
            yield EXCEPTIONS[name_of(part)] if part is not None and self._is_built_in(part) else BaseException

    def of(self, code: types.CodeType) -> Iterator[tuple[types.CodeType, list[Place]]]:
        """By the functions of a text, which ``code`` is."""
        for part in _codes(code) if self._known else ():
            if found := self._known.get((part.co_name, part.co_firstlineno if part is not code else 1)):
                yield part, found


class _ANY(Exception):
    pass


class Takers:
    """Who takes failures of the tests, in one run."""

    def __init__(self) -> None:
        self._places: weakref.WeakKeyDictionary[types.CodeType, list[Place]] = weakref.WeakKeyDictionary()
        self._raised: set[type] = {AssertionError}  # so far; what may be of any kind is told by `_ANY`

    def raises(self, node: ast.expr, taken: Collection[str]) -> None:
        """The tests raise this. ``taken``: names that are no built-in ones."""
        kind = node.func if isinstance(node, ast.Call) else node
        known = isinstance(kind, ast.Name) and kind.id not in taken
        self._raised.add(EXCEPTIONS.get(name_of(kind), _ANY) if known else _ANY)

    def hold(self, places: Places, code: types.CodeType) -> None:
        self._places.update(places.of(code))

    def take(self, frame: types.FrameType | None) -> bool:
        """Whether they would take a failure that leaves a function of the tests."""
        if not self._places:
            return False
        waiting = [_going(frame), *_awaiting()]
        return any(map(self._takes, (found for frames in waiting for found in frames)))

    def _takes(self, frame: types.FrameType) -> bool:
        line = frame.f_lineno or 0
        here = [place for place in self._places.get(frame.f_code, ()) if place.first <= line <= place.last]
        managers = [frame.f_locals.get(place.manager) for place in here if place.manager]
        return any(self._is_raised(kind) for place in here for kind in place.kinds) or any(
            map(self._may_take, managers)
        )

    def _is_raised(self, kind: type) -> bool:
        return _ANY in self._raised or any(issubclass(raised, kind) for raised in self._raised)

    def _may_take(self, manager: Any) -> bool:
        """Whether who manages a block may take what the tests raise in it. An object of the program may not (`blocks`)."""
        if isinstance(manager, Held):
            return False
        owner: Any = next((c for c in type(manager).__mro__ if not {"__exit__", "__aexit__"}.isdisjoint(vars(c))), None)
        if owner is None or owner.__module__ in _MODULES:
            return owner is None
        if owner.__module__ in _OF_LIBRARY and owner.__name__ in _CLASSES:
            return False
        maker = getattr(manager, "gen", None)
        if isinstance(maker, types.GeneratorType):
            return self._made_by(maker.gi_code, maker.gi_frame)
        if isinstance(maker, types.AsyncGeneratorType):
            return self._made_by(maker.ag_code, maker.ag_frame)
        leave = vars(owner).get("__exit__") or vars(owner).get("__aexit__")
        return not (isinstance(leave, types.FunctionType) and _gives_nothing(leave.__code__))

    def _made_by(self, code: types.CodeType, frame: types.FrameType | None) -> bool:
        """``@contextmanager``: it takes what the ``yield`` that it is at would raise."""
        if is_of_tests(code):
            return frame is None or self._takes(frame)
        return not any(found is code for found in map(_code, _FUNCTIONS))


def is_of_tests(code: types.CodeType) -> bool:
    return code.co_filename.startswith(("<test", "<setup", "<text"))


def _code(function: tuple[str, str]) -> Any:
    """Of what ``@contextmanager`` stands before, where its module is imported."""
    module, path = function
    found: Any = sys.modules.get(module)
    for name in path.split("."):
        found = getattr(found, name, None)
    return getattr(getattr(found, "__wrapped__", None), "__code__", None)


def _going(frame: types.FrameType | None) -> Iterator[types.FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for part in code.co_consts:
        if isinstance(part, types.CodeType):
            yield from _codes(part)


def _gives_nothing(code: types.CodeType) -> bool:
    gives = [pair for pair in itertools.pairwise(dis.get_instructions(code)) if pair[1].opname == "RETURN_VALUE"]
    constant = [one for one in dis.get_instructions(code) if one.opname == "RETURN_CONST"]
    constant += [one for one, _ in gives if one.opname == "LOAD_CONST"]
    return len(constant) >= len(gives) and not any(one.argval for one in constant)


def _awaiting() -> Iterator[Iterator[types.FrameType]]:
    """What awaits the task that runs, and what awaits that."""
    asyncio = sys.modules.get("asyncio")
    try:
        waiting = [asyncio.current_task()] if asyncio is not None else []
    except RuntimeError:  # no loop runs
        return
    met: list[Any] = []
    while waiting and (task := waiting.pop()) is not None:
        met.append(task)
        for other in asyncio.all_tasks():  # type: ignore[union-attr]
            if not any(other is one for one in met) and _awaits(other, task):
                yield _suspended(other.get_coro())
                waiting.append(other)


def _awaits(task: Any, other: Any) -> bool:
    """Itself, among others (`gather`), or with a limit of time (`wait_for`)."""
    future = task._fut_waiter
    if future is None:
        return False
    backs = [back for back, _ in other._callbacks or ()]
    limited = [part for back in backs for part in getattr(back, "args", ())]
    return any(one is other for one in (future, *(getattr(future, "_children", None) or ()))) or any(
        p is future for p in limited
    )


def _suspended(coroutine: Any) -> Iterator[types.FrameType]:
    while isinstance(coroutine, types.CoroutineType):
        if coroutine.cr_frame is not None:
            yield coroutine.cr_frame
        coroutine = coroutine.cr_await
