"""What in a block of a test raises whatever the program says: taken by who manages the block, that hides no check.

``raise`` is certain where every run of its function comes to it, and so is a call of a function that ends so. Any other
statement is where nothing in it can have come from the program (`settled`).
"""

from __future__ import annotations

import ast
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from ..wire.bindings import FUNCTIONS
from ..wire.source import name_of
from .clauses import fails, goes_around, going_on, suspends
from .settled import Settled
from .taken import is_of_tests

# What a statement of a block raises by: itself, a function of the tests, an operation, a block.
By = Literal["raise", "call", "operation", "block"]
Takes = frozenset[str]  # kinds of exceptions behind which a test goes on
_EVERYTHING = frozenset(("Exception", "BaseException"))
_SIMPLE = (ast.Expr, ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete, ast.Return)


class Certain:
    """
    Attributes:
        by: statements of blocks, and what they raise by if that hangs on nothing that the program says.
        raises: the ``raise`` statements to which every run of their function comes.

    Args:
        nodes: of the tree.
        known: what the test finds by its names, beside its own.
    """

    def __init__(self, tree: ast.Module, nodes: Iterable[ast.AST], known: Mapping[str, Any], settled: Settled) -> None:
        self.raises: set[ast.AST] = set()
        self.by: dict[ast.AST, By] = {}
        self._known, self._settled = known, settled
        self._called: dict[str, list[Takes]] = {}  # functions, by name, that are called where a test goes on
        for node in nodes:
            for takes in _takes(node):
                for name in {name_of(part) for inner in getattr(node, "body", ()) for part in ast.walk(inner)}:
                    self._called.setdefault(name, []).append(takes)
        self._go(tree.body, True, [])

    def _go(self, body: Sequence[ast.stmt], certain: bool, takes: list[Takes], in_block: bool = False) -> None:
        """
        Args:
            certain: whether every run comes to its beginning.
            takes: of what stands around it. Where a test goes on if the program raises, to raise may be to say that it did not.
        """
        for node in body:
            inner = takes + _takes(node)
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    self._go(node.body, True, self._called.get(node.name, []))
                case ast.Raise() if certain and (kind := _kind(node)) is not None:
                    if all(kinds & {kind, *_EVERYTHING} for kinds in takes):
                        self.raises.add(node)
                case ast.With() | ast.AsyncWith():
                    self._go(node.body, certain, inner, in_block=True)
                case _:
                    comes = certain and self._comes_to_its_body(node)
                    for part in _bodies(node):
                        self._go(part, comes and part is getattr(node, "body", None), inner)
            if in_block and certain and (by := self._raises_by(node, takes)) is not None:
                self.by[node] = by
            certain = certain and not goes_around(node)

    def _comes_to_its_body(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.For):
            return self._settled.is_settled(node.iter)
        return isinstance(node, (ast.Try, ast.TryStar, ast.ClassDef))

    def _raises_by(self, node: ast.stmt, takes: list[Takes]) -> By | None:
        if isinstance(node, (ast.With, ast.AsyncWith)):
            return "block"
        if isinstance(node, ast.Raise):
            return "raise" if node in self.raises else None
        if not isinstance(node, _SIMPLE) or not all(kinds & _EVERYTHING for kinds in takes):
            return None
        if self._settled.is_settled(node) and not suspends(node):
            return "operation"
        value = getattr(node, "value", None)
        call = value.value if isinstance(value, ast.Await) else value
        return "call" if isinstance(call, ast.Call) and self._calls_a_function(call) else None

    def _calls_a_function(self, node: ast.Call) -> bool:
        """Whether it calls a function of the tests, the same whatever the program, and does nothing else."""
        given = [*node.args, *(keyword.value for keyword in node.keywords)]
        if not isinstance(node.func, ast.Name) or not all(
            isinstance(value, (ast.Name, ast.Constant)) for value in given
        ):
            return False
        if not (binds := self._settled.bound_by(node.func)):
            found = self._known.get(node.func.id)
            return type(found) is types.FunctionType and is_of_tests(found.__code__)
        function, *others = binds
        return not others and isinstance(function, FUNCTIONS) and not function.decorator_list


def _takes(node: ast.AST) -> list[Takes]:
    """The kinds that each clause takes behind which a test goes on, as it does where nothing is raised."""
    if isinstance(node, (ast.Try, ast.TryStar)):
        if node.orelse and fails(node.orelse):
            return []
        return [_names(handler.type) for handler in going_on(node)]
    calls = [item.context_expr for item in getattr(node, "items", ())]
    return [_names(*call.args) for call in calls if isinstance(call, ast.Call) and name_of(call.func) == "suppress"]


def _names(*kinds: ast.expr | None) -> Takes:
    return frozenset(
        name_of(part) if part is not None else "BaseException"
        for kind in kinds
        for part in getattr(kind, "elts", [kind])
    )


def _kind(node: ast.Raise) -> str | None:
    """The name by which it says what is raised; None: it may be one of several."""
    made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
    while isinstance(made, ast.Subscript) and isinstance(made.slice, (ast.Constant, ast.UnaryOp)):
        made = made.value
    return name_of(made) or None if isinstance(made, (ast.Name, ast.Attribute)) else None


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    for part in ("body", "orelse", "finalbody"):
        yield from [found] if (found := getattr(node, part, [])) else []
    for part in ("handlers", "cases"):
        yield from (inner.body for inner in getattr(node, part, []))
