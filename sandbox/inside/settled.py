"""What in the text of a test cannot have come from the program: constants, the library, and what the tests make of these."""

from __future__ import annotations

import ast
import builtins
import functools
import types
from collections.abc import Collection, Mapping
from typing import Any

from ..wire.bindings import variables

# Modules in which there is nothing that changes, and that do not ask for the time or for what was printed.
_PURE = frozenset(("ast", "base64", "binascii", "cmath", "collections", "datetime", "decimal", "enum", "fractions"))
_PURE |= {
    "functools",
    "ipaddress",
    "itertools",
    "json",
    "math",
    "operator",
    "re",
    "statistics",
    "string",
    "struct",
    "uuid",
}
_IMPURE = frozenset(
    ("eval", "exec", "compile", "globals", "locals", "vars", "dir", "input", "open", "print", "breakpoint")
)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FIXED = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)


class Settled:
    """
    Args:
        known: what the test finds by its names, beside its own.
        program: names of the program.
    """

    def __init__(self, tree: ast.AST, known: Mapping[str, Any], program: Collection[str]) -> None:
        self._tree, self._known, self._program = tree, known, program
        self._found: dict[ast.AST, bool] = {}

    def is_settled(self, node: ast.AST) -> bool:
        """Whether nothing in it can have come from the program."""
        if node not in self._found:
            self._found[node] = True  # as far as functions call each other
            within = set(ast.walk(node))
            changed = {part.target for part in within if isinstance(part, ast.AugAssign)}
            names = [
                n for n in within if isinstance(n, ast.Name) and (n in changed or not isinstance(n.ctx, ast.Store))
            ]
            self._found[node] = all(
                name in self._variables and self._is_name_settled(name, node, within) for name in names
            )
        return self._found[node]

    def bound_by(self, name: ast.Name) -> list[ast.AST]:
        """Where a variable of the tests is bound; nowhere: it is none of theirs."""
        return [node for node in self._variables[name] if not _is_read(node)]

    def _is_name_settled(self, name: ast.Name, node: ast.AST, within: Collection[ast.AST]) -> bool:
        binds = self.bound_by(name)
        if not binds:
            return self._is_of_library(name.id)
        if all(bind in within for bind in binds):
            return True
        bind, *others = binds
        if others or name.id in self._declared:
            return False
        if isinstance(bind, _DEFINITIONS):
            return self.is_settled(bind)
        if (value := self._values.get(bind)) is None:
            return bind in self._imported
        # A function may have been called before, and have changed it then.
        alone = not isinstance(node, _DEFINITIONS) and all(n in within for n in self._variables[name] if _is_read(n))
        return (alone or self._is_fixed(value)) and self.is_settled(value)

    def _is_fixed(self, value: ast.expr) -> bool:
        """Whether it is what nobody can change: of constants, classes and functions."""
        for part in ast.walk(value):
            of_variable = isinstance(part, ast.Name) and any(isinstance(bind, ast.Name) for bind in self.bound_by(part))
            if of_variable or not isinstance(part, (ast.Name, *_FIXED)):
                return False
        return True

    def _is_of_library(self, name: str) -> bool:
        if name in self._program:
            return False
        if name in self._known:
            return _is_pure(self._known[name])
        return hasattr(builtins, name) and name not in _IMPURE and not name.startswith("_")

    @functools.cached_property
    def _variables(self) -> dict[ast.AST, list[ast.AST]]:
        """By each name that stands in the text, where its variable is read and bound."""
        found = [[node for node, _ in nodes] for nodes in variables(self._tree).values()]
        return {node: nodes for nodes in found for node in nodes if isinstance(node, ast.Name)}

    @functools.cached_property
    def _declared(self) -> set[str]:
        declaring = (n for n in ast.walk(self._tree) if isinstance(n, (ast.Global, ast.Nonlocal)))
        return {name for node in declaring for name in node.names}

    @functools.cached_property
    def _values(self) -> dict[ast.AST, ast.expr]:
        """By names, what they are bound to, or to an item of it."""
        values: dict[ast.AST, ast.expr] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                values[node.targets[0]] = node.value
            elif isinstance(node, ast.For):
                items = node.iter
                values[node.target] = ast.Tuple(items.elts, ast.Load()) if isinstance(items, ast.List) else items
        return values

    @functools.cached_property
    def _imported(self) -> set[ast.AST]:
        """What is imported of modules that are the same whatever the program."""
        found: set[ast.AST] = set()
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ImportFrom) and _root(node.module or "") in _PURE:
                found |= set(node.names)
            elif isinstance(node, ast.Import):
                found |= {alias for alias in node.names if _root(alias.name) in _PURE}
        return found


def _root(module: str) -> str:
    return module.partition(".")[0]


def _is_read(node: ast.AST) -> bool:
    return isinstance(getattr(node, "ctx", None), ast.Load)


def _is_pure(value: Any) -> bool:
    if not isinstance(value, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)):
        return False
    return _root(value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)) in _PURE
