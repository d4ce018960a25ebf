"""The tests' own names as a mapping (``globals()``, ``vars(C)``), marked where the tests look into one: see `texts.Names`.

``globals()[f(1)]`` is marked by `rewritten`; this is for what keeps the mapping, copies it, or asks its methods. What is handed
to a function stays what it is: ``exec`` and ``timeit`` want a dict.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection

from ..wire.bindings import ScopedTransformer
from ..wire.source import GOING_OVER, OF_LIBRARY, name_of

SCOPES = frozenset(("globals", "locals", "vars"))
_FILLING = frozenset(("substitute", "safe_substitute"))
_FINDING = frozenset(("get", "pop", "setdefault", "__getitem__", "copy", "items", "keys"))
_OF_ASKED = frozenset(("source", "handed"))  # of `asked`, around what is gone over


def calls(node: ast.AST, marked: ast.AST) -> bool:
    """Whether it is a call of the same method of the helper."""
    function, other = getattr(node, "func", node), getattr(marked, "func", marked)
    if not isinstance(function, ast.Attribute) or not isinstance(other, ast.Attribute):
        return False
    return function.attr == other.attr and name_of(function.value) == name_of(other.value)


def names_scope(node: ast.AST) -> bool:
    """Whether there may be anything to be marked in a text with such a node."""
    return (isinstance(node, ast.Name) and node.id in SCOPES) or (
        isinstance(node, ast.Attribute) and node.attr == "__dict__"
    )


class MarkScopes(ScopedTransformer):
    """
    Args:
        taken: names of the module.
        marked: makes a call of the helper.
    """

    def __init__(self, taken: Collection[str], marked: Callable[..., ast.expr]) -> None:
        super().__init__(taken)
        self.marked = marked

    def _is_scope(self, node: ast.AST | None) -> bool:
        return isinstance(node, ast.Call) and not node.args and self.is_built_in(node.func, SCOPES)

    def _is_of_object(self, node: ast.AST) -> bool:
        if isinstance(node, ast.Attribute):
            return node.attr == "__dict__"
        return calls(node, self.marked("vars"))

    def _marked(self, node: ast.expr, or_of_object: bool = False) -> ast.expr:
        if or_of_object and self._is_of_object(node):
            return self.marked("names", node, ast.Constant(True))
        return self.marked("names", node) if self._is_scope(node) else node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        node.value = self._marked(node.value, or_of_object=node.attr in _FINDING)
        return node

    def visit_Assign(self, node: ast.Assign | ast.NamedExpr) -> ast.AST:
        self.generic_visit(node)
        node.value = self._marked(node.value)
        return node

    visit_NamedExpr = visit_Assign

    def visit_Return(self, node: ast.Return) -> ast.AST:
        self.generic_visit(node)
        node.value = node.value and self._marked(node.value)
        return node

    def visit_List(self, node: ast.List | ast.Tuple) -> ast.AST:
        self.generic_visit(node)
        node.elts = [self._marked(e) for e in node.elts]
        return node

    visit_Tuple = visit_List

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.generic_visit(node)
        node.body = self._marked(node.body)
        return node

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        self.generic_visit(node)
        spread = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
        return self.marked("names", node) if any(map(self._is_scope, spread)) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.op, ast.BitOr):
            node.left, node.right = self._marked(node.left), self._marked(node.right)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = name_of(node.func)
        first = node.args[0] if node.args else None
        if isinstance(first, ast.Call) and calls(first, self.marked("pairs")):
            first = first.args[0]
        if name == "dict" and first is not None and (self._is_scope(first) or self._is_of_object(first)):
            return self.marked("names", node, ast.Constant(not self._is_scope(first)))
        if name in _FILLING or isinstance(node.func, ast.Call):
            node.args = [self._marked(a) for a in node.args]
        elif self.is_built_in(node.func, GOING_OVER) or name in OF_LIBRARY or name in _OF_ASKED:
            node.args = [self._marked(a, or_of_object=True) for a in node.args]
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.AST:
        self.generic_visit(node)
        node.value = self._marked(node.value, or_of_object=True)
        return node

    def visit_For(self, node: ast.For | ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        node.iter = self._marked(node.iter, or_of_object=True)
        return node

    visit_comprehension = visit_For

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        looked_up = isinstance(node.ctx, ast.Load) and not isinstance(node.slice, ast.Constant)
        if looked_up and isinstance(node.value, ast.Attribute) and self._is_of_object(node.value):
            return self.marked("look_up", node.value, node.slice)
        return node
