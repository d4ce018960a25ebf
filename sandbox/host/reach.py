"""Whether tests ask the program anything, and do not ask it for its own verdict.

What is defined and never called would pass every program, and what is called to check and defined nowhere the program may
define: ``assert same(f(1), 5)``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable, Iterator, Sequence

from .paths import Trace

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_BUILT_IN = frozenset(dir(builtins))
# What finds names that do not stand in the text: nothing can be said of tests that use it.
_BY_TEXT = frozenset(("globals", "locals", "vars", "eval", "exec", "dir", "__import__", "getattr"))


def never_asked(trees: Sequence[ast.Module], entry_points: frozenset[str]) -> str | None:
    """Why no program can fail these tests, or None.

    Followed are the statements that run, and the bodies of what they name. Imports, assignments, arguments and definitions
    are the tests' own; a name that is none of these is the program's.

    Args:
        trees: of the setup and of each test.
        entry_points: names that are the program's although the setup may have a stub of them.
    """
    bodies = {s.name: s for s in _statements(trees) if isinstance(s, _DEFINITIONS) and s.name not in entry_points}
    own = _bound(trees) | bodies.keys()
    todo: list[ast.AST] = [part for s in _statements(trees) for part in _run_by(s)]
    seen: set[str] = set()
    if any(_runs_cases(part) for part in todo):
        todo += [body for body in bodies.values() if isinstance(body, ast.ClassDef)]
        seen |= {name for name, body in bodies.items() if isinstance(body, ast.ClassDef)}
    while todo:
        for name, asserted in _names(todo.pop()):
            # What an assertion is about may be the program's even if it has the name of a built-in: `sum`, in MBPP.
            if name in entry_points or name in _BY_TEXT or (name not in own and (asserted or name not in _BUILT_IN)):
                return None
            if name in bodies and name not in seen:
                seen.add(name)
                todo.append(bodies[name])
    idle = [name for name in bodies if name not in seen]
    called = f"; {', '.join(idle[:3])} is defined and nothing calls it: call it behind its definition" if idle else ""
    return f"the tests ask the program nothing, and every program would pass{called}"


def asks_for_verdict(
    trees: Sequence[ast.Module], program: Collection[str], entry_points: Collection[str]
) -> str | None:
    """Which name of the program, no entry point, is to judge what an entry point returned; None if there is none.

    It may turn it into something else (``decode(encode(x)) == x``), which is then compared; but not be told with it what it
    is compared with, nor say yes or no.

    Args:
        program: the names in the tests that are the program's.
    """
    others = {name for name in program if name not in entry_points}
    if not entry_points or not others:
        return None
    trace = Trace(trees)

    def from_entry(node: ast.AST) -> bool:
        return any(_result_of(p, entry_points) for p in trace.of(node) | trace.of(_inner(node)))

    turned = {id(node) for node in _turned(trees, others)}
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            asked = [_root(s.func) for s in sides if isinstance(s, ast.Call)]
            name = next((n for n in asked if n in others and not n[:1].isupper()), "")
            judges = (
                bool(name) and any(from_entry(s) for s in sides) and not any(from_entry(a) for a in _arguments(sides))
            )
        elif isinstance(node, ast.Call):
            name, values = _asked(node, others, trace)
            told = [from_entry(value) for value in values]
            kept = id(node) in turned and getattr(node.func, "id", "") not in ("filter", "partial")
            judges = bool(name) and any(told) and not (all(told) and kept)
        else:
            continue
        if judges:
            return (
                f"the tests have {name}() judge what {', '.join(sorted(entry_points))} returns, and do not define it: any "
                f"program could. Define it in the setup, or name it among the entry points if it is under test"
            )
    return None


_HANDING = frozenset(("map", "filter", "partial", "starmap", "reduce", "submit"))


def _asked(call: ast.Call, others: Collection[str], trace: Trace) -> tuple[str, list[ast.AST]]:
    """Which of these names a call asks in the end, and what it is told: itself (``same(f(1), 5)``), by what hands it on
    (``map(same, found, expected)``), or by what it has made (``checker.verify(f(1))``).
    """
    values = _arguments([call])
    if (name := _root(call.func)) in others:
        return name, values
    name = getattr(call.func, "id", getattr(call.func, "attr", ""))
    if name in _HANDING and call.args and _root(call.args[0]) in others:
        return _root(call.args[0]), values[1:]
    of = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    if isinstance(of, ast.Call):
        name, before = _asked(of, others, trace)
        if name:  # partial(same, 5)(f(1)), expect(f(1)).equal(5)
            return name, [*values, *before]
    made = sorted(p.partition("(")[0] for p in trace.of(of) if p.endswith("()"))
    return next((n for n in made if n in others), ""), values


def _arguments(nodes: Sequence[ast.AST]) -> list[ast.AST]:
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    return [value for c in calls for value in (*c.args, *(k.value for k in c.keywords))]


def _turned(trees: Sequence[ast.AST], others: Collection[str]) -> Iterator[ast.AST]:
    """Calls whose result is compared with data, or kept, or handed on: not what stands there for its truth."""
    nodes = [n for tree in trees for n in ast.walk(tree)]
    judging = {name for node in nodes for name in _judging(node, others)}
    for node in nodes:
        if isinstance(node, ast.Compare):
            if not _says_yes_or_no(node, others):
                yield from map(_inner, map(_element, (node.left, *node.comparators)))
        elif isinstance(node, ast.Assign):
            if not any(isinstance(t, ast.Name) and t.id in judging for t in node.targets):
                yield _inner(node.value)
        elif isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            yield _inner(node.iter)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") not in ("all", "any", "bool"):
            yield from map(_inner, node.args)


def _judging(node: ast.AST, others: Collection[str]) -> Iterator[str]:
    """Variables that stand for their truth."""
    if isinstance(node, (ast.Assert, ast.If, ast.IfExp, ast.While)):
        yield from (n.id for n in (_inner(node.test),) if isinstance(n, ast.Name))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from (n.id for n in (_inner(node.operand),) if isinstance(n, ast.Name))
    elif isinstance(node, ast.BoolOp):
        yield from (n.id for n in map(_inner, node.values) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Compare) and _says_yes_or_no(node, others):
        yield from (n.id for n in map(_inner, (node.left, *node.comparators)) if isinstance(n, ast.Name))


def _says_yes_or_no(node: ast.Compare, others: Collection[str]) -> bool:
    """Whether a comparison is one with what says nothing (True, 0), of size, or with another word of the program's."""
    sides = [node.left, *node.comparators]
    inner = [e for s in sides for e in (s.elts if isinstance(s, (ast.List, ast.Tuple)) else [s])]
    constants = [s.value for s in inner if isinstance(s, ast.Constant)]
    judged = any(_root(n.func) in others for s in sides[1:] for n in ast.walk(s) if isinstance(n, ast.Call))
    equal = all(isinstance(op, ast.Eq) for op in node.ops)
    return judged or not equal or any(v is None or v in (0, 1) for v in constants)


def _element(node: ast.expr) -> ast.expr:
    return node.elt if isinstance(node, (ast.ListComp, ast.SetComp)) else node


def _inner(node: ast.AST) -> ast.AST:
    """What an item or an attribute is of."""
    while isinstance(node, (ast.Subscript, ast.Attribute, ast.UnaryOp, ast.Starred)):
        node = node.operand if isinstance(node, ast.UnaryOp) else node.value
    return node


def _root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _result_of(path: str, entry_points: Collection[str]) -> bool:
    return path.lstrip("*").partition("(")[0] in entry_points and "(" in path


def _runs_cases(node: ast.AST) -> bool:
    """Whether it calls ``unittest.main``, which finds the cases by itself."""
    calls = (n.func for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(
        isinstance(f, ast.Attribute) and ast.unparse(f) in ("unittest.main", "unittest.TestProgram") for f in calls
    )


def _statements(trees: Iterable[ast.Module]) -> Iterator[ast.stmt]:
    for tree in trees:
        for statement in tree.body:
            # A test is no script: its __name__ is not __main__.
            if not (isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test)):
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


def _bound(trees: Iterable[ast.Module]) -> set[str]:
    """Names that are assigned, imported or arguments, wherever."""
    found: set[str] = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, ast.ExceptHandler) and node.name:
            found.add(node.name)
    return found
