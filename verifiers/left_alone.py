"""Tests in a file that pytest would run and `collected` does not: such a file is refused, since a wrong program could pass."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from .fixtures import FUNCTIONS, is_fixture, yields

CASES = frozenset(("TestCase", "IsolatedAsyncioTestCase"))
_OF_MODULE = frozenset(("setUpModule", "tearDownModule", "load_tests", "pytest_generate_tests"))
_IGNORED = frozenset(("load_tests",))  # which only says where else there are tests


def left_alone(tree: ast.Module) -> str | None:
    """Why a file says more than is collected of it, or None."""
    return next(_left_alone(tree), None)


def _left_alone(tree: ast.Module) -> Iterator[str]:
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    functions = {node.name: node for node in tree.body if isinstance(node, FUNCTIONS)}
    yield from _in_body(tree.body, "the file")
    for name in functions:
        if name in _OF_MODULE - _IGNORED:
            yield f"{name} is not called here"
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            yield from _assigned(statement, functions)
        for node in ast.walk(statement):
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store) and _is_scope(node.value):
                yield "names of tests are bound by `globals()`"
    for node in classes.values():
        yield from _in_class(node, classes, functions)


def _in_class(
    node: ast.ClassDef, classes: dict[str, ast.ClassDef], functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]
) -> Iterator[str]:
    names = {n.name for n in node.body if isinstance(n, FUNCTIONS)}
    bases = [ast.unparse(base) for base in node.bases]
    unknown = [
        b for b in bases if b not in classes and b.rpartition(".")[2] not in {*CASES, "object", "ABC", "Generic"}
    ]
    is_tests = node.name.startswith("Test") or any(base.rpartition(".")[2] in CASES for base in bases)
    if unknown and (is_tests or any(name.startswith("test") for name in names)):
        yield f"the class {node.name} is derived from {unknown[0][:80]}, which may have tests, or make it a case"
    if not is_tests:
        return
    yield from _in_body(node.body, node.name)
    if "runTest" in names:
        yield f"{node.name}.runTest is not called here"
    for statement in node.body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            yield f"{statement.name} is a class of tests within {node.name}: put it at the top of the file"
        if isinstance(statement, ast.Assign):
            yield from _assigned(statement, functions)
            if ast.unparse(statement.targets[0]) == "__test__":
                yield f"{node.name} says by `__test__` whether it has tests"


def _in_body(body: Sequence[ast.stmt], where: str) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, FUNCTIONS) and statement.name.startswith("test"):
            if yields(statement) and not is_fixture(statement):
                yield f"{statement.name} yields: nothing of it would run"
        elif isinstance(statement, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            inner = [n for n in ast.walk(statement) if isinstance(n, (*FUNCTIONS, ast.ClassDef))]
            if any(n.name.lower().startswith("test") for n in inner):
                yield f"{where} defines tests within a statement: put them at its top"


def _assigned(statement: ast.Assign, functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> Iterator[str]:
    name, value = ast.unparse(statement.targets[0]), statement.value
    made = functions.get(ast.unparse(value.func)) if isinstance(value, ast.Call) else None
    is_function = isinstance(value, ast.Lambda) or (isinstance(value, ast.Name) and value.id in functions)
    is_made = made is not None and any(isinstance(n, (*FUNCTIONS, ast.Lambda)) for s in made.body for n in ast.walk(s))
    if name.startswith("test") and (is_function or is_made):
        yield f"{name} is bound to a function: define it"


def _is_scope(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "vars", "locals")
    )
