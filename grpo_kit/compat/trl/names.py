"""Values of a script by its syntax tree: constants and what is made of them alone. Nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MAX_DEPTH = 40
MAX_NODES = 20_000  # of one value, with what its names stand for: a few lines of lists of lists make billions
MAX_TEXT = 100_000  # characters of a text that a script puts together


@dataclass(frozen=True)
class Unread:
    """What only running the script would tell."""

    text: str
    line: int

    def __str__(self) -> str:
        return f"`{self.text}` (line {self.line})"


@dataclass
class Scope:
    """The module or a function: what its names are assigned, in the order of the lines. None: no plain assignment."""

    assigned: dict[str, list[tuple[int, ast.expr | None]]] = field(default_factory=dict)
    outer: Scope | None = None

    def find(self, name: str, line: int) -> tuple[ast.expr | None, int] | None:
        """What a name stands for at a line, and where it was assigned; None where it is not assigned at all."""
        before = [entry for entry in self.assigned.get(name, ()) if entry[0] < line]
        if before:
            at, value = before[-1]
            return value, at
        if name in self.assigned and self.outer is not None:
            return None, line  # assigned later in this function: its own name, and not there yet
        # A function is called when all of its module stands.
        return self.outer.find(name, 10**9) if self.outer is not None else None


def is_main_guard(node: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__":``."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(node.test))
    )


class Names:
    """The scopes of a script, and which of them each node stands in."""

    def __init__(self, tree: ast.Module) -> None:
        self.module = Scope()
        self.scope_of: dict[ast.AST, Scope] = {}
        self.imported: dict[str, str] = {}
        self.certain: set[ast.stmt] = set()  # statements that run whenever their function does
        self._left = 0
        self._read(tree.body, self.module, plain=True)

    def _read(self, body: list[ast.stmt], scope: Scope, plain: bool) -> None:
        for statement in body:
            if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = Scope(outer=scope)
                for argument in ast.walk(statement.args):
                    if isinstance(argument, ast.arg):
                        inner.assigned[argument.arg] = [(0, None)]
                self._read(statement.body, inner, plain=True)
            elif isinstance(statement, ast.ClassDef):
                self._read(statement.body, Scope(outer=scope), plain=True)
            else:
                self._read_statement(statement, scope, plain)

    def _read_statement(self, statement: ast.stmt, scope: Scope, plain: bool) -> None:
        if plain:
            self.certain.add(statement)
        blocks = [getattr(statement, name, None) or [] for name in ("body", "orelse", "finalbody")]
        blocks += [handler.body for handler in getattr(statement, "handlers", ())]
        certain = plain and is_main_guard(statement)
        inside = {node for block in blocks for part in block for node in ast.walk(part)}
        for node in ast.walk(statement):
            if node not in inside:
                self.scope_of[node] = scope
        if isinstance(statement, (ast.Import, ast.ImportFrom)):
            for alias in statement.names:
                base = f"{statement.module or ''}." if isinstance(statement, ast.ImportFrom) else ""
                bound = alias.asname or alias.name.partition(".")[0]
                whole = alias.name if alias.asname or base else alias.name.partition(".")[0]
                self.imported[bound] = base + whole
        for name, value in _bound(statement, inside):
            scope.assigned.setdefault(name, []).append((statement.lineno, value if plain else None))
        for block in blocks:
            self._read(block, scope, plain=certain or (isinstance(statement, ast.With) and plain))

    def full_name(self, node: ast.expr) -> str:
        """The dotted name of an expression, through the script's imports; empty where it has none."""
        if isinstance(node, ast.Name):
            return self.imported.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            base = self.full_name(node.value)
            return f"{base}.{node.attr}" if base else ""
        return ""

    def resolve(self, node: ast.expr, depth: int = 0) -> ast.expr:
        """The expression that a name stands for, as far as it can be told; itself where it is no name."""
        scope = self.scope_of.get(node, self.module)
        if depth < MAX_DEPTH and isinstance(node, ast.Name) and (found := scope.find(node.id, node.lineno)):
            value, _ = found
            return node if value is None else self.resolve(value, depth + 1)
        return node

    def value(self, node: ast.expr, depth: int = 0) -> Any:
        """A constant of Python, or `Unread`."""
        self._left = MAX_NODES
        try:
            return self._value(self.resolve(node), depth)
        except (_Unreadable, TypeError, ValueError, ArithmeticError, RecursionError):
            return Unread(" ".join(ast.unparse(node).split())[:80], node.lineno)

    def _value(self, node: ast.expr, depth: int) -> Any:
        self._left -= 1
        if depth > MAX_DEPTH or self._left < 0:
            raise _Unreadable
        inner = [self.resolve(part) for part in _parts(node)]
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return [self._value(part, depth + 1) for part in inner]
        if isinstance(node, ast.Dict):
            if any(key is None for key in node.keys):
                raise _Unreadable
            keys = [self._value(self.resolve(key), depth + 1) for key in node.keys if key is not None]
            return dict(zip(keys, (self._value(part, depth + 1) for part in inner), strict=True))
        if isinstance(node, ast.Call) and self.full_name(node.func) == "dict" and not node.args:
            if any(keyword.arg is None for keyword in node.keywords):
                raise _Unreadable
            return {str(k.arg): self._value(self.resolve(k.value), depth + 1) for k in node.keywords}
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
            number = self._value(inner[0], depth + 1)
            return -number if isinstance(node.op, ast.USub) else number
        if isinstance(node, ast.BinOp):
            return _computed(node.op, self._value(inner[0], depth + 1), self._value(inner[1], depth + 1))
        if isinstance(node, ast.JoinedStr):
            return "".join(self._formatted(part, depth + 1) for part in node.values)
        raise _Unreadable

    def _formatted(self, part: ast.expr, depth: int) -> str:
        if isinstance(part, ast.FormattedValue):
            if part.conversion != -1 or part.format_spec is not None:
                raise _Unreadable
            return str(self._value(self.resolve(part.value), depth))
        return str(self._value(part, depth))


class _Unreadable(Exception):
    pass


def _parts(node: ast.expr) -> list[ast.expr]:
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        return node.elts
    if isinstance(node, ast.Dict):
        return node.values
    if isinstance(node, ast.UnaryOp):
        return [node.operand]
    return [node.left, node.right] if isinstance(node, ast.BinOp) else []


def _computed(operation: ast.operator, left: Any, right: Any) -> Any:
    if isinstance(operation, ast.Add) and isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_TEXT:
            raise _Unreadable
        return left + right
    if not all(isinstance(side, (int, float)) and abs(side) < 1e15 for side in (left, right)):
        raise _Unreadable
    if isinstance(operation, ast.Add):
        return left + right
    if isinstance(operation, ast.Sub):
        return left - right
    if isinstance(operation, ast.Mult):
        return left * right
    if isinstance(operation, ast.Div):
        return left / right
    if isinstance(operation, ast.FloorDiv):
        return left // right
    if isinstance(operation, ast.Pow) and abs(right) <= 64:
        return left**right
    raise _Unreadable


# Methods of lists and dicts that change what a name was assigned.
MUTATORS = {
    "append",
    "extend",
    "insert",
    "pop",
    "popitem",
    "remove",
    "clear",
    "update",
    "setdefault",
    "sort",
    "reverse",
}


def _bound(statement: ast.stmt, inside: set[ast.AST]) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a statement binds by itself, with what they are assigned where that is plain."""
    if isinstance(statement, ast.Assign) and all(isinstance(target, ast.Name) for target in statement.targets):
        yield from ((target.id, statement.value) for target in statement.targets if isinstance(target, ast.Name))
        return
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        if statement.value is not None:
            yield statement.target.id, statement.value
        return
    for node in ast.walk(statement):
        if node in inside:
            continue
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield node.id, None
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            yield from ((name.id, None) for name in ast.walk(node.value) if isinstance(name, ast.Name))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in MUTATORS:
            yield from ((name.id, None) for name in [node.func.value] if isinstance(name, ast.Name))
