"""What in the text of a test cannot have come from the program: constants, the library, and what the tests make of these."""

from __future__ import annotations

import ast
import builtins
import contextlib
import functools
import importlib
import types
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..wire.bindings import FUNCTIONS, Variables, is_read
from ..wire.source import name_of

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
# What looks where others may have changed something, or asks for what was printed: of the built-ins, and of the pure modules.
_LOOKING = frozenset(
    (
        *("eval", "exec", "compile", "globals", "locals", "vars", "dir", "input", "open", "print", "breakpoint"),
        *("getattr", "hasattr", "setattr", "delattr"),
    )
)
_IMPURE = frozenset(("attrgetter", "methodcaller", "getcontext", "now", "utcnow", "today", "uuid1", "uuid4"))
# With these, a text may bind any name, or put anything into a module, without showing it.
_REBINDING = frozenset(("globals", "locals", "exec", "setattr", "delattr", "__setattr__", "__builtins__"))
_PATCHING = frozenset(("patch", "monkeypatch"))
_FIXED = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
_SCALARS = (int, float, str)


class Settled:
    """
    Args:
        nodes, found: of the text, and its variables.
        known: what the test finds by its names, beside its own.
        program: names of the program.
    """

    def __init__(
        self, nodes: Sequence[ast.AST], found: Variables, known: Mapping[str, Any], program: Collection[str]
    ) -> None:
        self._nodes, self._found, self._known, self._program = nodes, found, known, program
        self._answers: dict[ast.AST, bool] = {}

    def is_settled(self, node: ast.AST) -> bool:
        """Whether nothing in it can have come from the program."""
        if node not in self._answers:
            self._answers[node] = True  # as far as functions call each other
            within = set(ast.walk(node))
            changed = {part.target for part in within if isinstance(part, ast.AugAssign)}
            names = [
                n for n in within if isinstance(n, ast.Name) and (n in changed or not isinstance(n.ctx, ast.Store))
            ]
            self._answers[node] = all(
                name in self._variables and self._is_name_settled(name, node, within) for name in names
            ) and all(self._is_attribute_settled(part) for part in within if isinstance(part, ast.Attribute))
        return self._answers[node]

    def bound_by(self, name: ast.Name) -> list[ast.AST]:
        """Where a variable of the tests is bound; nowhere: it is none of theirs."""
        return [node for node in self._variables[name] if not is_read(node)]

    def _is_name_settled(self, name: ast.Name, node: ast.AST, within: set[ast.AST]) -> bool:
        if name.id in self._rebound or self._identifiers & _REBINDING:
            return False
        if self._module(name) is not None:
            return name in self._looked_into
        binds = self.bound_by(name)
        if not binds:
            return self._is_of_library(name.id)
        if all(bind in within for bind in binds):
            return True
        bind, *others = binds
        if others:
            return False
        if isinstance(bind, FUNCTIONS):  # looked into, it is an object with attributes
            return name in self._called and self._is_function_settled(bind)
        if (value := self._values.get(bind)) is None:
            return bind in self._imported
        if (loop := self._loops.get(bind)) is not None and not any(node in ast.walk(part) for part in loop.body):
            return False  # at which item it has ended may be the program's word
        # A function, or another turn of a loop, may have changed it before: how often may be the program's word.
        reads = set(filter(is_read, self._variables[name]))
        alone = not isinstance(node, FUNCTIONS) and reads.issubset(within & self._in_place)
        alone = alone and not any(node in turn and bind not in turn for turn in self._turns)
        return (alone or self._is_fixed(value)) and self.is_settled(value)

    def _is_function_settled(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        defaults = [value for value in (*function.args.defaults, *function.args.kw_defaults) if value is not None]
        return not function.decorator_list and all(map(self._is_fixed, defaults)) and self.is_settled(function)

    def _is_attribute_settled(self, node: ast.Attribute) -> bool:
        """What an attribute is of is settled itself: made there, or of the library."""
        if node.attr in self._rebound or node.attr in _IMPURE or node.attr.startswith("__"):
            return False
        if (module := self._module(node.value)) is None:
            return True
        found = getattr(module, node.attr, None)
        return not self._identifiers & _PATCHING and (type(found) in _SCALARS or _is_pure(found))

    def _module(self, node: ast.AST) -> types.ModuleType | None:
        if not isinstance(node, ast.Name):
            return None
        if not (binds := self.bound_by(node)):
            found = self._known.get(node.id)
            return found if isinstance(found, types.ModuleType) else None
        if not (found := self._imported.get(binds[0])):
            return None
        with contextlib.suppress(ImportError):
            return importlib.import_module(found)
        return None

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
        return hasattr(builtins, name) and name not in _LOOKING and not name.startswith("_")

    @functools.cached_property
    def _variables(self) -> dict[ast.AST, list[ast.AST]]:
        """By each name that stands in the text, where its variable is read and bound."""
        found = [[node for node, _ in nodes] for nodes in self._found.values()]
        return {node: nodes for nodes in found for node in nodes if isinstance(node, ast.Name)}

    @functools.cached_property
    def _in_place(self) -> set[ast.AST]:
        """Names that are read in the very scope that has them: in another, it may be any time."""
        return {node for nodes in self._found.values() for node, in_place in nodes if in_place}

    @functools.cached_property
    def _called(self) -> set[ast.AST]:
        return {node.func for node in self._nodes if isinstance(node, ast.Call)}

    @functools.cached_property
    def _looked_into(self) -> set[ast.AST]:
        return {node.value for node in self._nodes if isinstance(node, ast.Attribute)}

    @functools.cached_property
    def _identifiers(self) -> set[str]:
        return {name_of(node) for node in self._nodes if isinstance(node, (ast.Name, ast.Attribute))}

    @functools.cached_property
    def _rebound(self) -> set[str]:
        """Names that functions bind outside, and those of attributes that anything is given."""
        names: set[str] = set()
        for node in self._nodes:
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                names |= {*node.names}
            elif isinstance(node, ast.Attribute) and not is_read(node):
                names.add(node.attr)
        return names

    @functools.cached_property
    def _loops(self) -> dict[ast.AST, ast.For]:
        return {node.target: node for node in self._nodes if isinstance(node, ast.For)}

    @functools.cached_property
    def _turns(self) -> list[set[ast.AST]]:
        """What runs in each turn of a loop."""
        loops = (n for n in self._nodes if isinstance(n, (ast.For, ast.AsyncFor, ast.While)))
        return [{part for inner in loop.body for part in ast.walk(inner)} for loop in loops]

    @functools.cached_property
    def _values(self) -> dict[ast.AST, ast.expr]:
        """By names, what they are bound to, or to an item of it."""
        values: dict[ast.AST, ast.expr] = {}
        for node in self._nodes:
            if isinstance(node, ast.Assign) and len(node.targets) == 1:
                values[node.targets[0]] = node.value
            elif isinstance(node, ast.For):
                items = node.iter
                values[node.target] = ast.Tuple(items.elts, ast.Load()) if isinstance(items, ast.List) else items
        return values

    @functools.cached_property
    def _imported(self) -> dict[ast.AST, str]:
        """What is imported of modules that are the same whatever the program, and which module it is, if one."""
        found: dict[ast.AST, str] = {}
        for node in self._nodes:
            if isinstance(node, ast.ImportFrom) and _root(node.module or "") in _PURE:
                found |= {alias: "" for alias in node.names if alias.name not in _IMPURE}
            elif isinstance(node, ast.Import):
                pure = [alias for alias in node.names if _root(alias.name) in _PURE]
                found |= {alias: alias.name if alias.asname else _root(alias.name) for alias in pure}
        return found


def _root(module: str) -> str:
    return module.partition(".")[0].lstrip("_")


def _is_pure(value: Any) -> bool:
    if not isinstance(value, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)):
        return False
    return _root(value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)) in _PURE
