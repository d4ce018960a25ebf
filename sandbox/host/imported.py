"""Tests that import the program as a module: ``from solution import f``, as many are written.

There is no such module; the program's names are simply there. The import becomes nothing, or an assignment where it renames,
and ``solution.f`` becomes ``f``, or ``solution_f`` where the tests have an ``f`` of their own. What is imported so is the
program's, whatever its name.
"""

from __future__ import annotations

import ast
import functools
import re
import sys
from collections.abc import Sequence

from ..wire.bindings import bound_anywhere
from ..wire.source import unparse
from .tally import TestError

# What tests call the module under test. Any other name is one, too, if an entry point is imported from it.
_MODULES = frozenset(
    (
        *("solution", "solutions", "my_solution", "your_solution", "module", "my_module", "your_module", "main"),
        *("submission", "candidate", "program", "code_under_test", "answer", "implementation"),
    )
)
_INSTALLED = frozenset(
    (
        "numpy",
        "pandas",
        "torch",
        "sympy",
        "networkx",
        "scipy",
        "sklearn",
        "tensorflow",
        "matplotlib",
        "pytest",
        "hypothesis",
    )
)


@functools.lru_cache(maxsize=1024)
def named(tests: tuple[str, ...], entry_points: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tests without such imports, and the entry points with what was imported.

    Raises:
        TestError: they give one of the program's variables another value, which it would not hear of.
    """
    found: list[str] = []
    changed = [_without_imports(test, entry_points, found) for test in tests]
    return tuple(changed), (*entry_points, *(n for n in dict.fromkeys(found) if n not in entry_points))


def _without_imports(test: str, entry_points: Sequence[str], found: list[str]) -> str:
    if not re.search(r"\b(import|patch)\b", test):
        return test
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return test  # whoever runs it says so
    inline = _Inline(tree, {name.partition(".")[0] for name in entry_points})
    changed = inline.visit(tree)
    if not inline.changed:
        return test
    found += inline.names
    return unparse(ast.fix_missing_locations(changed))


class _Inline(ast.NodeTransformer):
    def __init__(self, tree: ast.AST, entry_points: set[str]) -> None:
        self.entry_points, self.changed = entry_points, False
        self.names: list[str] = []
        self.modules: set[str] = set()  # as the test calls them
        bases = {id(n.value) for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
        whole = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and id(n) not in bases}
        for node in ast.walk(tree):
            for alias in node.names if isinstance(node, ast.Import) else ():
                name = alias.asname or alias.name
                if alias.name in _MODULES and name not in whole:
                    self.modules.add(name)
        imports = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and self._is_the_program(n)]
        bound = bound_anywhere([tree])
        own = bound - {alias.name for node in imports for alias in node.names}
        read = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr in own]
        self.apart = {n.attr: "solution_" + n.attr for n in read if getattr(n.value, "id", None) in self.modules}
        for name in self.apart:
            while self.apart[name] in bound:
                self.apart[name] += "_"
        self.patches = {
            name for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom)) for name in _patch(n)
        }

    def visit_Module(self, node: ast.Module) -> ast.Module:
        self.generic_visit(node)
        first = sum(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in node.body[:2])
        first += isinstance(node.body[0], ast.Expr) if node.body else 0
        node.body[first:first] = [
            ast.Assign([ast.Name(apart, ast.Store())], ast.Name(name, ast.Load())) for name, apart in self.apart.items()
        ]
        return node

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        kept = [a for a in node.names if a.name not in _MODULES or (a.asname or a.name) not in self.modules]
        self.changed = self.changed or len(kept) < len(node.names)
        return ast.Import(kept) if kept else ast.Pass()

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt | list[ast.stmt]:
        if not self._is_the_program(node):
            return node
        self.changed = True
        self.names += [a.name for a in node.names if a.name != "*"]
        renamed = [a for a in node.names if a.asname and a.asname != a.name]
        return [
            ast.Assign([ast.Name(str(a.asname), ast.Store())], ast.Name(a.name, ast.Load())) for a in renamed
        ] or ast.Pass()

    def _is_the_program(self, node: ast.ImportFrom) -> bool:
        parts = (node.module or "").split(".")
        if node.level or parts[-1] in _MODULES:
            return True
        other = parts[0] in sys.stdlib_module_names or parts[0] in _INSTALLED
        return not other and any(a.name in self.entry_points for a in node.names)

    def visit_Call(self, node: ast.Call) -> ast.expr:
        """``patch("solution.time.sleep")`` replaces what is the library's, wherever it is looked at."""
        self.generic_visit(node)
        if unparse(node.func).removesuffix(".dict") in self.patches:
            named = [keyword for keyword in node.keywords if keyword.arg == "target"]
            target = next(iter([*node.args, *(keyword.value for keyword in named)]), None)
            module, _, rest = str(getattr(target, "value", "")).partition(".")
            if module in _MODULES and rest.partition(".")[0] in sys.stdlib_module_names and "." in rest:
                node.args[:1], self.changed = [ast.Constant(rest)], True
                node.keywords = [keyword for keyword in node.keywords if keyword not in named]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        self.generic_visit(node)
        if not isinstance(node.value, ast.Name) or node.value.id not in self.modules:
            return node
        if not isinstance(node.ctx, ast.Load):
            raise TestError(f"the tests replace {unparse(node)}, which is the program's and lives in its process")
        self.names.append(node.attr)
        return ast.copy_location(ast.Name(self.apart.get(node.attr, node.attr), node.ctx), node)


def _patch(node: ast.Import | ast.ImportFrom) -> list[str]:
    """By what names an import gives `unittest.mock.patch`."""
    if isinstance(node, ast.Import):
        return [f"{a.asname or a.name}.patch" for a in node.names if a.name in ("unittest.mock", "mock")]
    names = {"unittest": {"mock": ".patch"}, "unittest.mock": {"patch": ""}, "mock": {"patch": ""}}.get(
        node.module or "", {}
    )
    return [(a.asname or a.name) + names[a.name] for a in node.names if a.name in names]
