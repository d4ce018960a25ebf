"""Which names of a script's module are read and bound in it, by Python's own rules of scopes.

A parameter, a variable of a function or of a comprehension is nothing to the module: ``def run(solve, x): return solve(x)``
leaves ``run(solve, 3)`` the program's ``solve``.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterator, Sequence

from .tally import TestError


def read_and_bound(trees: Sequence[ast.AST]) -> tuple[set[str], set[str]]:
    """Names that modules read, from whatever function, and those that they bind before or without that."""
    read: set[str] = set()
    bound: set[str] = set()
    for tree in trees:
        try:
            tables = [*_tables(symtable.symtable(ast.unparse(tree), "<test>", "exec"))]
        except SyntaxError as error:
            raise TestError(f"the tests do not compile: {error}") from None
        except RecursionError:  # a sum of some hundred terms: told apart no further
            read |= {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
            bound |= bound_anywhere([tree])
            continue
        for table in tables:
            of_module = table.get_type() == "module"
            for symbol in table.get_symbols():
                if of_module or symbol.is_global():
                    read |= {symbol.get_name()} if symbol.is_referenced() else set()
                    bound |= {symbol.get_name()} if symbol.is_assigned() or symbol.is_imported() else set()
    return read, bound - _bound_to_what_it_makes(trees)


def _tables(table: symtable.SymbolTable) -> Iterator[symtable.SymbolTable]:
    yield table
    for inner in table.get_children():
        yield from _tables(inner)


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
        bound |= bound_anywhere([statement])
    return found


def bound_anywhere(trees: Sequence[ast.AST]) -> set[str]:
    """Names that are assigned, imported, defined or parameters, in whatever scope."""
    found: set[str] = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.arg):
            found.add(node.arg)
        elif isinstance(node, ast.alias):
            found.add((node.asname or node.name).partition(".")[0])
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.ExceptHandler)) and node.name:
            found.add(node.name)
    return found
