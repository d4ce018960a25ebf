"""The text of a piece of a test, and the name by which it names something."""

from __future__ import annotations

import ast
import copy

# Functions of Python's own, which keep their names: those that make something of all items, others that go over them, and those
# of modules that are conventionally imported from these.
MAKING = frozenset(("list", "tuple", "set", "frozenset", "sorted"))
GOING_OVER = MAKING | {"map", "zip", "enumerate", "reversed", "iter"}
OF_LIBRARY = frozenset(("deque", "Counter", "chain", "islice", "starmap", "zip_longest"))
_LONGEST_INTEGER = 10_000  # bits; Python writes none of more than 4,300 digits


def name_of(node: ast.AST) -> str:
    """``f`` for ``f`` and for ``m.f``; nothing for what has no name."""
    return str(getattr(node, "id", getattr(node, "attr", "")))


def unparse(node: ast.AST) -> str:
    """`ast.unparse` for integers of any length, which tests write as ``0xff...``."""
    if not any(map(_is_long, ast.walk(node))):
        return ast.unparse(node)
    return ast.unparse(_InBaseSixteen().visit(copy.deepcopy(node)))


def _is_long(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > _LONGEST_INTEGER


class _InBaseSixteen(ast.NodeTransformer):
    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Name(hex(node.value), ast.Load()) if _is_long(node) and isinstance(node.value, int) else node
