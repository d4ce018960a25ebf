"""Which exceptions of the program the tests' own text took: those that only the interpreter swallowed are failures.

``all(map(f, xs))`` takes a StopIteration of ``f`` for the end of the list, ``hasattr`` an AttributeError for an answer.
Each ``except`` clause and each ``with`` block of the tests is made to say that it saw the exception.
"""

from __future__ import annotations

import ast
import sys

SEEN = "__seen_by_the_tests__"


def compiled(source: str, name: str):  # type: ignore[no-untyped-def]  # types.CodeType, which typeshed calls Any here
    tree = _Mark().visit(ast.parse(source))
    return compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)


def _statement() -> ast.Expr:
    return ast.Expr(ast.Call(ast.Name(SEEN, ast.Load()), [], []))


class _Mark(ast.NodeTransformer):
    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        node.body.insert(0, _statement())
        return node

    def visit_With(self, node: ast.With) -> ast.AST:
        self.generic_visit(node)
        again: list[ast.stmt] = [_statement(), ast.Raise()]
        handler = ast.ExceptHandler(ast.Name("BaseException", ast.Load()), None, again)
        node.body = [ast.Try(node.body, [handler], [], [])]
        return node


class Outstanding:
    """Exceptions of the program that nothing in the tests has seen yet."""

    def __init__(self) -> None:
        self.errors: list[BaseException] = []

    def add(self, error: BaseException) -> None:
        self.errors.append(error)

    def seen(self) -> None:
        """Called at the head of the tests' handlers."""
        error = sys.exception()
        while error is not None:
            self.errors = [e for e in self.errors if e is not error]
            error = error.__cause__ or error.__context__

    def first(self) -> BaseException | None:
        return self.errors[0] if self.errors else None
