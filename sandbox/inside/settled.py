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
_IMPURE = frozenset(("attrgetter", "methodcaller", "samples", "now", "utcnow", "today", "uuid1", "uuid4"))
# What decimals are by, which anything may have changed.
_CONTEXTS = frozenset(("getcontext", "setcontext", "localcontext", "Context", "DefaultContext", "BasicContext"))
_CONTEXTS |= {"ExtendedContext"}
# With these, a text may bind any name, or put anything into a module or a function, without showing it.
_REBINDING = frozenset(("globals", "locals", "vars", "eval", "exec", "setattr", "delattr", "modules", "cell_contents"))
_REBINDING |= {"__setattr__", "__delattr__", "__builtins__", "__dict__", "__globals__", "__kwdefaults__", "__main__"}
_REBINDING |= {"f_globals", "f_locals", "f_builtins"}
_REPLACING = frozenset(("__code__", "__defaults__"))  # what a function does, where it is given another
_PATCHING = frozenset(("patch", "monkeypatch"))
_ITSELF = frozenset(("__name__", "__module__", "__tests__"))  # by which a text may patch its own names
_FIXED = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.expr_context)
_SCALARS = (int, float, str)


class Changing:
    """What the texts of a run so far may have changed for all later ones.

    Attributes:
        contexts: how decimals are calculated.
        library: what is of the library: something has been put into it.
    """

    contexts = False
    library = False


class Settled:
    """
    Args:
        nodes, found: of the text, and its variables.
        known: what the test finds by its names, beside its own.
        program: names of the program.
        changing: by the texts before this one, which is added.
    """

    def __init__(
        self,
        nodes: Sequence[ast.AST],
        found: Variables,
        known: Mapping[str, Any],
        program: Collection[str],
        changing: Changing,
    ) -> None:
        self._nodes, self._found, self._known, self._program = nodes, found, known, program
        self._changing = changing
        self._answers: dict[ast.AST, bool] = {}
        self._names = {name for node in nodes for name in _named_by(node)}
        changing.contexts = changing.contexts or bool(self._names & _CONTEXTS)
        self._pure = _PURE - {"decimal"} if changing.contexts else _PURE
        changing.library = changing.library or any(map(self._is_put_into_library, nodes))

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
        if name.id in self._rebound or self._rebinds:
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
            return bind in self._imported and not self._changing.library
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
        changed = self._changing.library or self._names & _PATCHING
        return not changed and (type(found) in _SCALARS or self._is_pure(found))

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
            return self._is_pure(self._known[name]) and not self._changing.library
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

    def _is_pure(self, value: Any) -> bool:
        if not isinstance(value, (types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type)):
            return False
        module = value.__name__ if isinstance(value, types.ModuleType) else str(value.__module__)
        return _root(module) in self._pure

    def _is_put_into_library(self, node: ast.AST) -> bool:
        """``json.JSONEncoder.default = f``."""
        if is_read(node) or not isinstance(node, (ast.Attribute, ast.Subscript)):
            return False
        owner: ast.AST = node
        while isinstance(owner, (ast.Attribute, ast.Subscript)):
            owner = owner.value
        if not isinstance(owner, ast.Name):
            return False
        if binds := self.bound_by(owner):
            return any(bind in self._imported for bind in binds)
        return self._is_pure(self._known.get(owner.id))

    @functools.cached_property
    def _rebinds(self) -> bool:
        """Whether any name may have come to stand for something else."""
        compared = {node.left for node in self._nodes if isinstance(node, ast.Compare)}  # `__name__ == "__main__"`
        itself = (node for node in self._nodes if node not in compared and not _ITSELF.isdisjoint(_named_by(node)))
        patches_itself = self._names & _PATCHING and any(itself)
        return bool(self._names & _REBINDING or self._rebound & _REPLACING or patches_itself)

    @functools.cached_property
    def _rebound(self) -> set[str]:
        """Names that functions bind outside, those of attributes that anything is given, and those that may be patched."""
        names: set[str] = set()
        for node in self._nodes:
            if isinstance(node, (ast.Global, ast.Nonlocal)):
                names |= {*node.names}
            elif isinstance(node, ast.Attribute) and not is_read(node):
                names.add(node.attr)
        if self._names & _PATCHING:
            names |= {name for node in self._nodes if isinstance(node, ast.Constant) for name in _named_by(node)}
            names |= {node.arg for node in self._nodes if isinstance(node, ast.keyword) and node.arg}
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
            if isinstance(node, ast.ImportFrom) and _root(node.module or "") in self._pure:
                found |= {alias: "" for alias in node.names if alias.name not in _IMPURE}
            elif isinstance(node, ast.Import):
                pure = [alias for alias in node.names if _root(alias.name) in self._pure]
                found |= {alias: alias.name if alias.asname else _root(alias.name) for alias in pure}
        return found


def _root(module: str) -> str:
    return module.partition(".")[0].lstrip("_")


def _named_by(node: ast.AST) -> list[str]:
    """Names that stand there; in a text (``"json.loads"``), too, by which anything may be asked for."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        return [name_of(node)]
    if isinstance(node, ast.alias):
        return node.name.split(".")
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str) or node.value == "__main__":
        return []
    parts = node.value.split(".")
    return parts if all(part.isidentifier() for part in parts) else []
