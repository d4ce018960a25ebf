"""Which names a script's module reads and binds."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from ..wire import bindings


def read_and_bound(trees: Sequence[ast.AST]) -> tuple[set[str], set[str]]:
    """Names that modules read, from whatever function, and those that they bind before or without that."""
    read: set[str] = set()
    bound: set[str] = set()
    for tree in trees:
        read_here, bound_here = bindings.read_and_bound(tree)
        read |= read_here
        bound |= bound_here
    return read, bound - _bound_to_what_it_makes(trees)


def _bound_to_what_it_makes(trees: Sequence[ast.AST]) -> set[str]:
    """Functions whose name is first bound to what they return: ``total = total([1, 2])``."""
    found: set[str] = set()
    bound: set[str] = set()
    for statement in (s for tree in trees for s in getattr(tree, "body", ())):
        if isinstance(statement, ast.Assign):
            called = {
                n.func.id for n in ast.walk(statement.value) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            }
            found |= {t.id for t in statement.targets if isinstance(t, ast.Name)} & called - bound
        bound |= bindings.bound_anywhere([statement])
    return found
