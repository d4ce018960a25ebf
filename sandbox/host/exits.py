"""Whether tests end themselves by what the program says: ``sys.exit(f(1))`` passes each program that returns 0."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Sequence

from .fed import inner, result_of, root
from .paths import Trace

_EXITS = frozenset(("exit", "quit", "_exit", "SystemExit"))  # however they are imported


def ends_by_the_program(trees: Sequence[ast.AST], program: Collection[str]) -> str | None:
    """Why such tests cannot be run, or None. An exit that the tests catch, and one by a comparison of theirs, is none.

    Args:
        program: the names in the tests that are the program's.
    """
    trace = Trace(trees)
    said = _Said(trees, set(program), trace)
    caught = {id(n) for tree in trees for n in _caught(tree)}
    calls = (n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Call) and id(n) not in caught)
    for call in calls:
        told = [*call.args, *(k.value for k in call.keywords)]
        if said.exits(call.func) and any(map(said.by_program, told)):
            return (
                f"the tests end by {ast.unparse(call)[:80]}, the program's own word, and what stands behind it is never "
                f"reached: compare it (`assert f(1) == 0`)"
            )
    return None


class _Said:
    """Which values are what the program says, and no comparison of it."""

    def __init__(self, trees: Sequence[ast.AST], program: set[str], trace: Trace) -> None:
        self._program, self._trace = program, trace
        nodes = [n for tree in trees for n in ast.walk(tree)]
        self._functions = {n.name: n for n in nodes if isinstance(n, ast.FunctionDef)}
        self._bound: dict[str, list[ast.expr]] = {}
        for node in nodes:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            value = getattr(node, "value", None)
            if not isinstance(value, ast.expr):
                continue
            for target in targets:
                if isinstance(target, ast.Name):
                    self._bound.setdefault(target.id, []).append(value)
        imports = (n for n in nodes if isinstance(n, ast.ImportFrom) and n.module in ("sys", "os"))
        self._imported = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}
        self._met: set[int] = set()

    def exits(self, function: ast.expr, met: frozenset[str] = frozenset()) -> bool:
        """Whether calling this is an exit, by whatever name it is imported or bound."""
        name = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
        if self._imported.get(name, name) in _EXITS:
            return True
        bound = self._bound.get(name, ()) if isinstance(function, ast.Name) and name not in met else ()
        return any(self.exits(value, met | {name}) for value in bound)

    def by_program(self, node: ast.AST) -> bool:
        if id(node) in self._met:
            return False
        self._met.add(id(node))
        return any(map(self.by_program, self._parts(node))) or self._is_result(node)

    def _parts(self, node: ast.AST) -> Iterator[ast.AST]:
        if isinstance(node, ast.IfExp):
            yield from (node.body, node.orelse)
        elif isinstance(node, ast.BoolOp):
            yield from node.values
        elif isinstance(node, ast.BinOp):
            yield from (node.left, node.right)
        elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.Not):
            yield node.operand
        elif isinstance(node, ast.Subscript):
            yield from (node.value, node.slice)
        elif isinstance(node, (ast.Attribute, ast.Starred, ast.Await, ast.NamedExpr)):
            yield node.value
        elif isinstance(node, (ast.GeneratorExp, ast.ListComp)):
            yield node.elt
        elif isinstance(node, ast.Name):
            yield from self._bound.get(node.id, ())
        elif isinstance(node, ast.Call):
            name = root(node.func)
            if name in self._functions:
                yield from (n.value for n in ast.walk(self._functions[name]) if isinstance(n, ast.Return) and n.value)
            elif lambdas := [v for v in self._bound.get(name, ()) if isinstance(v, ast.Lambda)]:
                yield from (v.body for v in lambdas)
            elif isinstance(node.func, ast.Name) and hasattr(builtins, name):
                yield from (a for a in node.args if name != "len" or isinstance(a, ast.Call))
            elif isinstance(node.func, ast.Attribute):
                yield node.func.value

    def _is_result(self, node: ast.AST) -> bool:
        if isinstance(node, (ast.Compare, ast.UnaryOp, ast.IfExp, ast.BoolOp)):
            return False
        return any(result_of(p, self._program) for p in self._trace.of(node) | self._trace.of(inner(node)))


def _caught(tree: ast.AST) -> Iterator[ast.AST]:
    """What stands in a `try` or a block that takes an exit."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Try):
            taking = [ast.unparse(h.type) if h.type else "BaseException" for h in node.handlers]
        elif isinstance(node, ast.With):
            taking = [ast.unparse(item.context_expr) for item in node.items]
        else:
            continue
        if any(kind in text for text in taking for kind in ("SystemExit", "BaseException")):
            yield from (inner for statement in node.body for inner in ast.walk(statement))
