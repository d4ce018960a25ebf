"""Whether tests ask the program anything: what is defined and never called would pass every program."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Sequence

from ..wire.bindings import bound_anywhere
from ..wire.source import unparse
from .scoped import read_and_bound

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BUILT_IN = frozenset(dir(builtins))
# What finds names that do not stand in the text: nothing can be said of tests that use it.
BY_TEXT = frozenset(("globals", "locals", "vars", "eval", "exec", "dir", "__import__", "getattr"))


def never_asked(trees: Sequence[ast.Module], entry_points: frozenset[str]) -> str | None:
    """Why no program can fail these tests, or None.

    Followed are the statements that run, and the bodies of what they name. Imports, assignments, arguments and definitions
    are the tests' own; a name that is none of these is the program's.

    Args:
        trees: of the setup and of each test.
        entry_points: names that are the program's although the setup may have a stub of them.
    """
    bodies = {s.name: s for s in _statements(trees) if isinstance(s, DEFINITIONS) and s.name not in entry_points}
    read, bound = read_and_bound(trees)
    own = (bound_anywhere(trees) - (read - bound)) | bodies.keys()
    todo: list[ast.AST] = [part for s in _statements(trees) for part in _run_by(s)]
    seen: set[str] = set()
    while todo:
        part = todo.pop()
        if _runs_cases(part):
            cases = {n: b for n, b in bodies.items() if isinstance(b, ast.ClassDef) and n not in seen}
            todo += cases.values()
            seen |= cases.keys()
        for name, asserted in _names(part):
            # What an assertion is about may be the program's even if it has the name of a built-in: `sum`, in MBPP.
            if name in entry_points or name in BY_TEXT or (name not in own and (asserted or name not in _BUILT_IN)):
                return None
            if name in bodies and name not in seen:
                seen.add(name)
                todo.append(bodies[name])
    idle = [name for name in bodies if name not in seen]
    called = f"; {', '.join(idle[:3])} is defined and nothing calls it: call it behind its definition" if idle else ""
    return f"the tests ask the program nothing, and every program would pass{called}"


def idle_test(trees: Sequence[ast.Module], entry_points: frozenset[str]) -> str | None:
    """Why every program would pass one test among others, or None: its checks are defined, and no test calls them."""
    bodies = {s.name: s for s in _statements(trees) if isinstance(s, DEFINITIONS) and s.name not in entry_points}
    todo: list[ast.AST] = [part for s in _statements(trees) for part in _run_by(s)]
    seen: set[str] = set()
    while todo:
        part = todo.pop()
        if _runs_cases(part):
            return None
        for name, _ in _names(part):
            if name in BY_TEXT:
                return None
            if name in bodies and name not in seen:
                seen.add(name)
                todo.append(bodies[name])
    for index, tree in enumerate(trees[1:]):
        checks = [s for s in _statements([tree]) if isinstance(s, DEFINITIONS) and _is_check(s)]
        runs = [s for s in _statements([tree]) if not isinstance(s, (*DEFINITIONS, ast.Import, ast.ImportFrom))]
        if checks and not runs and not any(s.name in seen for s in tree.body if isinstance(s, DEFINITIONS)):
            return (
                f"tests[{index}] asks the program nothing, and every program would pass it: {checks[0].name} is defined and "
                f"nothing calls it: call it behind its definition"
            )
    return None


def _is_check(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    """Whether it is a test by its name or its base, and asserts."""
    if isinstance(node, ast.ClassDef) and not any(unparse(b).endswith("TestCase") for b in node.bases):
        return False
    if not isinstance(node, ast.ClassDef) and not node.name.startswith(("test", "check")):
        return False
    return any(
        isinstance(n, ast.Assert)
        or (isinstance(n, ast.Call) and unparse(n.func).rpartition(".")[2].startswith("assert"))
        for n in ast.walk(node)
    )


def _runs_cases(node: ast.AST) -> bool:
    """Whether it calls ``unittest.main``, which finds the cases by itself."""
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(isinstance(f, ast.Attribute) and unparse(f) in ("unittest.main", "unittest.TestProgram") for f in calls)


def _statements(trees: Iterable[ast.Module]) -> Iterator[ast.stmt]:
    for tree in trees:
        for statement in tree.body:
            # A test is no script: its __name__ is not __main__.
            if not (isinstance(statement, ast.If) and "__main__" in unparse(statement.test)):
                yield statement


def _run_by(statement: ast.stmt) -> Iterator[ast.AST]:
    """The parts of a statement that run where it stands."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from (*statement.decorator_list, statement.args)
    elif isinstance(statement, ast.ClassDef):
        yield from (*statement.decorator_list, *statement.bases)
        for inner in statement.body:
            yield from _run_by(inner)
    else:
        yield statement


def _names(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """What is read in it, and whether an assertion reads it."""
    asserted = {id(n) for a in ast.walk(node) if isinstance(a, ast.Assert) for n in ast.walk(a)}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load):
            yield inner.id, id(inner) in asserted
