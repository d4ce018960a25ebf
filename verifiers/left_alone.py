"""Tests in a file that pytest would run and `collected` does not: such a file is refused, since a wrong program could pass."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping, Sequence

from grpo_kit.sandbox.wire.bindings import bound_by

from .fixtures import FUNCTIONS, is_fixture, yields

_CASES = frozenset(("TestCase", "IsolatedAsyncioTestCase"))
_KNOWN = frozenset(("object", "ABC", "Generic"))
_UNCALLED = frozenset(("setUpModule", "tearDownModule", "pytest_generate_tests"))
_SIMPLE = (
    ast.Import,
    ast.ImportFrom,
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Expr,
    ast.Pass,
    ast.Assert,
    ast.Delete,
)
_DEFINITIONS = (*FUNCTIONS, ast.ClassDef)


def bases_of(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """A class and those of the file that it is derived from, the nearest first. Raises RecursionError for a circle."""
    found = [node]
    for base in node.bases:
        known = classes.get(ast.unparse(base))
        if known is not None and known is not node:
            found += [c for c in bases_of(known, classes) if c not in found]
    return found


def is_case(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef]) -> bool:
    """Whether it is one of unittest's."""
    return any(ast.unparse(base).rpartition(".")[2] in _CASES for c in bases_of(node, classes) for base in c.bases)


def left_alone(tree: ast.Module) -> str | None:
    """Why a file says more than is collected of it, or None."""
    return next(_left_alone(tree), None)


def _left_alone(tree: ast.Module) -> Iterator[str]:
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name for node in tree.body if isinstance(node, FUNCTIONS)}
    own = functions | classes.keys()
    yield from _in_body(tree.body, "the file", own)
    yield from (f"{name} is not called here" for name in sorted(functions & _UNCALLED))
    for statement in tree.body:
        for node in () if isinstance(statement, _DEFINITIONS) else ast.walk(statement):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "setattr":
                yield "names are put into classes by `setattr`: define them"
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_scope(node.value):
                yield "names of tests are bound by `globals()`"
    for node in classes.values():
        yield from _in_class(node, classes, own)


def _in_class(node: ast.ClassDef, classes: Mapping[str, ast.ClassDef], own: Collection[str]) -> Iterator[str]:
    names = {n.name for n in node.body if isinstance(n, FUNCTIONS)}
    bases = [ast.unparse(base) for base in node.bases]
    unknown = [b for b in bases if b not in classes and b.rpartition(".")[2] not in _CASES | _KNOWN]
    has_tests = node.name.startswith("Test") or is_case(node, classes)
    if unknown and (has_tests or any(name.startswith("test") for name in names)):
        yield f"the class {node.name} is derived from {unknown[0][:80]}, which may have tests, or make it a case"
    if not has_tests:
        return
    yield from _in_body(node.body, node.name, {*own, *names})
    if "runTest" in names:
        yield f"{node.name}.runTest is not called here"
    for statement in node.body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            yield f"{statement.name} is a class of tests within {node.name}: put it at the top of the file"
        if "__test__" in bound_by(statement):
            yield f"{node.name} says by `__test__` whether it has tests"


def _in_body(body: Sequence[ast.stmt], where: str, own: Collection[str]) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, FUNCTIONS) and statement.name.startswith("test"):
            if yields(statement) and not is_fixture(statement):
                yield f"{statement.name} yields: nothing of it would run"
        elif isinstance(statement, (ast.Assign, ast.AnnAssign)) and statement.value is not None:
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            bound = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            names = [name for name in bound if name.lower().startswith("test")]
            if names and _is_code(statement.value, own):
                yield f"{names[0]} is bound to a function or a class of the file: define it"
        elif not isinstance(statement, (*_DEFINITIONS, *_SIMPLE)):
            inner = [n.name for n in ast.walk(statement) if isinstance(n, _DEFINITIONS)]
            if any(name.lower().startswith("test") for name in inner):
                yield f"{where} defines tests within a statement: put them at its top"


def _is_code(value: ast.expr, own: Collection[str]) -> bool:
    return any(isinstance(n, ast.Lambda) or (isinstance(n, ast.Name) and n.id in own) for n in ast.walk(value))


def _is_scope(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and ast.unparse(node.func) in ("globals", "vars", "locals")
