"""Names of the program that say whether a result is right which another one of them was told: ``record(f(1))``, and then
``assert verify(5)``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from ..wire.source import name_of
from .fed import Fed, root
from .reach import DEFINITIONS

_OF_ALL = frozenset(("all", "any", "bool", "list", "tuple", "set", "map", "filter"))
_FOR_TRUTH = frozenset(("assertTrue", "assertFalse", "assert_", "assertIsNone", "assertIsNotNone", "exit"))
_Place = tuple[int, int]  # a statement of a text


def words(trees: Sequence[ast.Module], others: Collection[str], fed: Fed) -> Iterator[str]:
    """Which of the names tests believe by their truth once one of them was told a result, and nothing looks at what it made.

    A name by which a class may be called is not among them: what it makes is an object, and has said nothing.
    """
    placed = [(node, place) for place, part in _parts(trees) for node in ast.walk(part)]
    read = {n.id for n, _ in placed if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    told = [place for node, place in placed if _drops(node, read) and any(id(n) in fed.told for n in _made(node))]
    if not told:
        return
    within = {id(n) for d, _ in placed if isinstance(d, DEFINITIONS) for n in ast.walk(d)}  # which may be called later
    values: dict[str, list[ast.expr]] = {}
    for node, _ in placed:
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                values.setdefault(name_of(target), []).append(node.value)
    for node, place in placed:
        if place >= min(told) or id(node) in within:
            for called in _believed([*_truths(node)], values):
                if root(called) in others and not root(called)[:1].isupper():
                    yield root(called)


def _parts(trees: Sequence[ast.Module]) -> Iterator[tuple[_Place, ast.stmt]]:
    for index, tree in enumerate(trees):
        for at, statement in enumerate(tree.body):
            yield (-1, 0) if isinstance(statement, DEFINITIONS) else (index, at), statement


def _drops(node: ast.AST, read: Collection[str]) -> bool:
    """Whether what a statement makes is looked at by nobody."""
    if isinstance(node, ast.Assign):
        return all(isinstance(t, ast.Name) and t.id not in read for t in node.targets)
    return isinstance(node, ast.Expr)


def _made(node: ast.AST) -> Iterator[ast.AST]:
    """The parts of a statement, without those that an assertion of a framework looks at."""
    yield node
    if not (isinstance(node, ast.Call) and name_of(node.func).startswith(("assert", "fail", "exit"))):
        for part in ast.iter_child_nodes(node):
            yield from _made(part)


def _truths(node: ast.AST) -> Iterator[ast.AST]:
    """What stands for its truth where a test may fail by it."""
    match node:
        case ast.Assert(test=test):
            yield test
        case ast.If(test=test, body=body, orelse=orelse):
            yield from [test] if any(_fails(part) for s in (*body, *orelse) for part in ast.walk(s)) else []
        case ast.Call(func=function, args=arguments) if name_of(function).startswith(("assert", "exit")):
            yield from arguments if name_of(function) in _FOR_TRUTH or any(map(_is_word, arguments)) else []


def _fails(node: ast.AST) -> bool:
    call = node.func if isinstance(node, ast.Call) else None
    return isinstance(node, ast.Raise) or (call is not None and name_of(call).startswith(("fail", "exit")))


def _is_word(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _believed(waiting: list[ast.AST], values: dict[str, list[ast.expr]]) -> Iterator[ast.AST]:
    """The functions that are called for a truth."""
    seen: set[str] = set()
    while waiting:
        match waiting.pop():
            case ast.Name(id=name) if name not in seen:
                seen.add(name)
                waiting += values.get(name, [])
            case ast.BoolOp(values=parts) | ast.List(elts=parts) | ast.Tuple(elts=parts) | ast.Set(elts=parts):
                waiting += parts
            case ast.UnaryOp(operand=part) | ast.NamedExpr(value=part) | ast.Await(value=part):
                waiting.append(part)
            case ast.ListComp(elt=part) | ast.SetComp(elt=part) | ast.GeneratorExp(elt=part):
                waiting.append(part)
            case ast.Compare(left=left, comparators=sides) if any(_is_word(n) for s in sides for n in ast.walk(s)):
                waiting += [left, *sides]
            case ast.Call(func=function, args=arguments):
                yield function
                if name_of(function) in _OF_ALL:
                    waiting += arguments
                    yield from arguments[:1] if name_of(function) in ("map", "filter") else ()
