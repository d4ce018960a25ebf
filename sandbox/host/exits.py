"""Whether tests end themselves by what the program says: ``sys.exit(f(1))`` passes each program that returns 0."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterator, Sequence

from ..wire.source import name_of, unparse
from .fed import inner, result_of, root
from .paths import Trace
from .reach import BY_TEXT

_UNREACHED = "what stands behind it is never reached: put it at the end"
_ENDING = frozenset(("unittest.main", "sys.exit", "exit", "quit", "os._exit"))
_EXITS = frozenset(("exit", "quit", "_exit", "SystemExit"))  # however they are imported


def ends_by_the_program(trees: Sequence[ast.AST], program: Collection[str]) -> str | None:
    """Why such tests cannot be run, or None. An exit that the tests catch, and one by a comparison of theirs, is none.

    Args:
        program: the names in the tests that are the program's.
    """
    trace = Trace(trees)
    said = _Said(trees, set(program), trace)
    caught = _where_taken(trees)
    calls = (n for tree in trees for n in ast.walk(tree) if isinstance(n, ast.Call) and id(n) not in caught)
    for call in calls:
        told = [*call.args, *(k.value for k in call.keywords)]
        if said.exits(call.func) and any(map(said.by_program, told)):
            return (
                f"the tests end by {unparse(call)[:80]}, the program's own word, and what stands behind it is never "
                f"reached: compare it (`assert f(1) == 0`)"
            )
    return None


def leaves_undone(trees: Sequence[ast.Module], known: Collection[str]) -> str | None:
    """Why such tests cannot be run, or None: they end themselves, whatever the program, before their last statement.

    Args:
        known: names of the tests' and the program's own, which may be those of built-ins.
    """
    for tree in trees:
        imports = [n for n in tree.body if isinstance(n, (ast.Import, ast.ImportFrom))]
        modules = [(f"{n.module}." if isinstance(n, ast.ImportFrom) else "", a) for n in imports for a in n.names]
        names = {a.asname or a.name: module + a.name for module, a in modules}
        for statement in tree.body[:-1]:
            raised = statement.exc if isinstance(statement, ast.Raise) else None
            if raised and name_of(raised.func if isinstance(raised, ast.Call) else raised) == "SystemExit":
                return f"the tests end by {unparse(statement)[:80]}, and {_UNREACHED}"
            call = getattr(statement, "value", None)
            if not isinstance(call, ast.Call) or not isinstance(statement, (ast.Expr, ast.Assign)):
                continue
            top, dot, rest = unparse(call.func).partition(".")
            called = names.get(top, top) + dot + rest
            stays = any(
                k.arg == "exit" and not (isinstance(k.value, ast.Constant) and k.value.value) for k in call.keywords
            )
            if called in _ENDING and called not in known and not stays:
                return f"the tests end by {unparse(call)[:80]}, and {_UNREACHED}"
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
        name = name_of(function)
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


_RAISES = frozenset(("raises", "assertRaises"))
_LATER = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.GeneratorExp)  # what stands in these runs elsewhere


def _where_taken(trees: Sequence[ast.AST]) -> set[int]:
    """What runs only where a clause or a block takes an exit: it stands there, or in a function that is called nowhere else."""
    nodes = [n for tree in trees for n in ast.walk(tree)]
    there = {id(n) for node in nodes for part in _taking(node) for n in _run_with(part)}
    bodies = {} if any(getattr(n, "id", "") in BY_TEXT for n in nodes) else _bodies(nodes)
    called = {id(n.func) for n in nodes if isinstance(n, ast.Call)}
    handed = {id(n) for node in nodes for n in _handed_to_raises(node)}
    uses = [n for n in nodes if _name(n) in bodies]
    elsewhere = bodies.keys() - {_name(n) for n in uses}  # a framework calls them
    while True:
        within = there | {id(n) for name in bodies.keys() - elsewhere for part in bodies[name] for n in _run_with(part)}
        before = len(elsewhere)
        elsewhere |= {_name(n) for n in uses if id(n) not in handed and not (id(n) in called and id(n) in within)}
        if len(elsewhere) == before:
            return within


def _bodies(nodes: Sequence[ast.AST]) -> dict[str, list[ast.AST]]:
    """What runs when a function of the tests is called, by its name; none of one that may be called without it."""
    found: dict[str, list[ast.AST]] = {}
    of_classes = {id(n) for c in nodes if isinstance(c, ast.ClassDef) for part in c.body for n in _run_with(part)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef) and not node.decorator_list and id(node) not in of_classes:
            waits = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for part in node.body for n in _run_with(part))
            found.setdefault(node.name, []).extend(() if waits else node.body)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value.body)
    return found


def _name(node: ast.AST) -> str:
    """By what a function may be used here: its name, or an attribute of a module."""
    name = node.id if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) else getattr(node, "attr", "")
    return str(name)


def _run_with(node: ast.AST) -> Iterator[ast.AST]:
    """What runs where this does."""
    waiting = [node]
    while waiting:
        yield (part := waiting.pop())
        waiting += () if isinstance(part, _LATER) else ast.iter_child_nodes(part)


def _taking(node: ast.AST) -> Sequence[ast.AST]:
    """What stands in a `try` or a block that takes an exit, and is called by a function that does."""
    if isinstance(node, (ast.Try, ast.TryStar)):
        return node.body if any(map(_takes, node.handlers)) else ()
    if isinstance(node, ast.With):
        return node.body if any(_is_exit(item.context_expr) for item in node.items) else ()
    return [n.body for n in _handed_to_raises(node) if isinstance(n, ast.Lambda)]


def _takes(clause: ast.ExceptHandler) -> bool:
    takes = clause.type is None or _is_exit(clause.type)
    return takes and not any(_lets_through(n, clause.name) for part in clause.body for n in _run_with(part))


def _lets_through(node: ast.AST, name: str | None) -> bool:
    """Whether it raises again what a clause calls ``name``, or ends by it."""
    if isinstance(node, ast.Raise):
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return raised is None or root(raised) == name
    if not isinstance(node, ast.Call) or name_of(node.func) not in _EXITS:
        return False
    return any(getattr(n, "id", "") == name for n in ast.walk(node))


def _handed_to_raises(node: ast.AST) -> Sequence[ast.AST]:
    """What is called by ``pytest.raises(SystemExit, main)``."""
    if not isinstance(node, ast.Call) or name_of(node.func) not in _RAISES:
        return ()
    return node.args[1:2] if any(map(_is_exit, node.args[:1])) else ()


def _is_exit(node: ast.AST) -> bool:
    return any(name_of(n) in ("SystemExit", "BaseException") for n in ast.walk(node))
