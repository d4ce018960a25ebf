"""Where a test goes on, or fails: behind a statement, and behind a clause that has taken an exception."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence

from ..wire.bindings import FUNCTIONS
from ..wire.source import name_of

# By which tests take an exception of a kind.
TAKING = frozenset(("assertRaises", "assertRaisesRegex", "raises", "assert_raises", "assert_raises_regex"))
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_YIELDS = (ast.Yield, ast.YieldFrom)  # so that others decide whether it goes on
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


def fails(body: Sequence[ast.stmt]) -> bool:
    """Whether a test has failed where this is reached."""
    first = body[0]
    if isinstance(first, ast.Assert):
        return isinstance(first.test, ast.Constant) and not first.test.value
    call = first.value if isinstance(first, ast.Expr) else None
    return isinstance(first, ast.Raise) or (isinstance(call, ast.Call) and name_of(call.func) == "fail")


def goes_around(node: ast.stmt) -> bool:
    """Whether it may end the function, or the turn of a loop, in which it stands, or stop there."""
    for part, in_loop in _within(node):
        if isinstance(part, (ast.Return, *_YIELDS)) or (not in_loop and isinstance(part, (ast.Break, ast.Continue))):
            return True
    return False


def suspends(node: ast.AST) -> bool:
    """Whether others run meanwhile, who may not come back to it."""
    return any(isinstance(part, (*_YIELDS, *_AWAITS)) or getattr(part, "is_async", 0) for part, _ in _within(node))


def going_on(node: ast.Try | ast.TryStar) -> list[ast.ExceptHandler]:
    """The clauses behind which a test goes on, as it does where nothing is raised, or may never come to fail."""
    return [h for h in node.handlers if not fails(h.body[-1:]) or any(goes_around(s) or suspends(s) for s in h.body)]


def takes_at_last(node: ast.Try | ast.TryStar) -> bool:
    """Whether its ``finally`` may drop what was raised, of whatever kind. An await there does not: its task is as it was."""
    return any(map(goes_around, node.finalbody))


def _within(node: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """What runs where a statement does, and whether that is in a loop of its own."""
    waiting: list[tuple[ast.AST, bool]] = [(node, False)]
    while waiting:
        part, in_loop = waiting.pop()
        if isinstance(part, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            continue
        yield part, in_loop
        loops = isinstance(part, _LOOPS)
        behind = getattr(part, "orelse", []) if loops else []
        waiting += [(inner, in_loop or (loops and inner not in behind)) for inner in ast.iter_child_nodes(part)]
