"""How the text of a test is rewritten before it runs, so that its own text says which exceptions of the program it took.

``all(map(f, xs))`` takes a StopIteration of ``f`` for the end of the list, ``hasattr`` an AttributeError for an answer.
So an exception of the program is a failure unless the test's own text took it: each ``except`` clause says that it saw
the exception, and each ``with`` block that it did not let it through. What was seen and raised again, at once or later,
was not taken. In the same way decides an assertion of the tests, whatever swallows it (a thread, a runner of cases), and
the end of an iterator that ``next`` met: ``map`` would take it for its own.

What Python answers about a `proxy` and not about what it stands for (``is``, ``type``, ``id``) is asked of the `helper`.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from ..wire.bindings import ScopedTransformer, read_and_bound
from ..wire.source import name_of, unparse
from .expected import MarkExpected
from .scopes import SCOPES, MarkScopes

_compile = builtins.compile  # that of the tests is another one (`evaluated`)
HELPER = "__referee__"  # the name of a `Helper` among the tests' names
_ASKED = frozenset(("type", "id", "issubclass", "isinstance", "callable", "hasattr", "dir", "vars"))
_TAKING = frozenset(("assertRaises", "assertRaisesRegex", "raises", "assert_raises", "assert_raises_regex"))
_RAISING = frozenset(("result", "throw", "athrow"))  # methods that raise an exception that was kept
_OVER = frozenset(("zip", "enumerate", "map", "filter", "reversed", "iter", "sorted", "list", "tuple", "set"))
_OVER |= {"chain", "islice", "cycle", "zip_longest"}
_FOLDING = frozenset(("all", "set", "frozenset", "max", "min", "sum", "map", "filter"))
# Methods of which Python takes an exception for an answer: there are no more items, no length, no attribute.
_SWALLOWED = frozenset(("__getitem__", "__len__", "__length_hint__", "__getattr__", "__getattribute__", "__missing__"))
_GUARDED = frozenset(("getattr", "next"))
_FILLING = frozenset(("format", "format_map"))
_FINDING = frozenset(("__getattribute__", "getattr_static"))
_AWAITING = frozenset(("run", "run_until_complete", "gather", "wait_for", "create_task", "ensure_future", "shield"))
_AWAITING |= {"as_completed"}


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the program in the tests: classes that are not under test, all of them, and those of data."""

    classes: frozenset[str] = frozenset()
    program: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()


def compiled(source: str, name: str, names: Names = Names(), taken: Collection[str] = ()):  # type: ignore[no-untyped-def]
    """The code of a test. ``taken``: names that it finds, and that are no built-in ones by that."""
    tree = ast.parse(source)
    if names.classes:
        tree = MarkExpected(tree, names.classes, _ask).visit(tree)
    taken = {*taken, *read_and_bound(tree)[1]}
    tree = MarkScopes(taken, _ask).visit(_Mark(names, taken).visit(tree))
    return _compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)


def _ask(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(HELPER, ast.Load()), method, ast.Load()), list(arguments), keywords or [])


class _Mark(ScopedTransformer):
    def __init__(self, names: Names, taken: Collection[str]) -> None:
        super().__init__(taken)
        self.names = names
        self.count = 0
        self.within = ""  # the innermost function
        self.to_be_empty: set[ast.comprehension] = set()

    def _variable(self, value: ast.expr) -> tuple[ast.stmt, ast.expr]:
        self.count += 1
        name = f"__held_{self.count}__"
        return ast.Assign([ast.Name(name, ast.Store())], value), ast.Name(name, ast.Load())

    @staticmethod
    def _unless_raised(body: list[ast.stmt], call: ast.Call) -> ast.stmt:
        """``body``, and ``call`` if an exception leaves it."""
        return ast.Try(body, [ast.ExceptHandler(_exception(), None, [ast.Expr(call), ast.Raise()])], [], [])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outer, self.within = self.within, node.name
        self.generic_visit(node)
        self.within = outer
        if node.name in _SWALLOWED or any(unparse(d).endswith("property") for d in node.decorator_list):
            assign, variable = self._variable(_ask("asked"))
            node.body = [assign, self._unless_raised(node.body, _ask("ended", variable))]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in self.names.data and not self.is_local(node.id):
            return _ask("now", ast.Constant(node.id))
        # The end of an iterator of the tests' own is an answer.
        if self.is_built_in(node, _GUARDED) and not (node.id == "next" and self.within == "__next__"):
            return _ask(node.id).func
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.generic_visit(node)
        failed = _ask("failed", _ask("false"), *([node.msg] if node.msg else []))
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Raise(failed)], []), node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if node.exc is not None:
            node.exc = _ask("raising", node.exc)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        assign, variable = self._variable(_ask("seen"))
        node.body = [assign, self._unless_raised(node.body, _ask("not_taken", variable))]
        return node

    def visit_With(self, node: ast.With | ast.AsyncWith) -> Any:
        if len(node.items) > 1:  # of each it is told on its own what it has taken
            inner = type(node)(node.items[1:], node.body)
            node.items, node.body = node.items[:1], [ast.copy_location(inner, node)]
        last = node.body[-1]
        self.generic_visit(node)
        if isinstance(last, ast.Raise) and last.exc is not None:  # nothing is left undone when it is taken
            last.exc = _ask("to_be_taken", last.exc)
        assign, variable = self._variable(ast.List([], ast.Load()))
        node.body = [self._unless_raised(node.body, _ask("leaves", variable))]
        return [assign, node, ast.Expr(_ask("taken", variable))]

    visit_AsyncWith = visit_With

    def visit_For(self, node: ast.For) -> ast.AST:
        self.generic_visit(node)
        node.iter = _looped(node.iter)
        return node

    def visit_AsyncFor(self, node: ast.AsyncFor) -> ast.AST:
        self.generic_visit(node)
        node.iter = _ask("looped_awaited", node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self.generic_visit(node)
        if node not in self.to_be_empty:
            node.iter = _ask("looped_awaited", node.iter) if node.is_async else _looped(node.iter)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.cls, ast.Name) and node.cls.id in self.names.program and not self.is_local(node.cls.id):
            node.cls = ast.Attribute(_ask("kinds").func, node.cls.id, ast.Load())
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if isinstance(node.left, ast.ListComp) and not getattr(node.comparators[0], "elts", True):
            self.to_be_empty |= {g for g in node.left.generators if not g.ifs}
        self.generic_visit(node)
        sides = (node.left, *node.comparators)
        if len(sides) != 2 or not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        if any(isinstance(side, ast.Constant) for side in sides):
            return node
        same = _ask("same", *sides)
        return same if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), same)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        filled = node.func if isinstance(node.func, ast.Attribute) and node.func.attr in _FILLING else None
        if filled is not None:  # its name is looked at here, and not where it is asked for
            filled.value = self.visit(filled.value)
            node.args, node.keywords = [self.visit(a) for a in node.args], [self.visit(k) for k in node.keywords]
            return self._filled(node, filled)
        self.generic_visit(node)
        name = name_of(node.func)
        if self.is_built_in(node.func, ("dict",)) and len(node.args) == 1:
            node.args = [_ask("pairs", *node.args)]
        if name in _FINDING and node.args:
            at = 1 if name == "getattr_static" else -1
            node.args[at:] = [_ask("named", node.args[at:][0]), *node.args[at:][1:]]
        if self.is_built_in(node.func, _FOLDING):
            node.args = [_looped(a) for a in node.args]
        # Without arguments `vars` and `dir` are of where they are called.
        if self.is_built_in(node.func, _ASKED) and node.args and not node.keywords:
            return _ask(name, *node.args)
        if self.is_built_in(node.func, ("str", "repr")) and len(node.args) == 1:
            return _ask("told", node.func, *node.args) if not node.keywords else node
        if name == "exception" and isinstance(node.func, ast.Attribute) and not node.args:
            return _ask("exception", node.func.value)
        if name in _TAKING and len(node.args) > 1:
            return _ask("taking", node.func, *node.args, keywords=node.keywords)
        if name in _AWAITING and isinstance(node.func, ast.Attribute) and node.args:
            return _ask("awaiting", node.func, *node.args, keywords=node.keywords)
        return node

    def _filled(self, node: ast.Call, method: ast.Attribute) -> ast.Call:
        """``template.format(...)``."""
        if isinstance(method.value, ast.Constant):
            return node
        if any(map(self._is_scope, [*node.args, *(k.value for k in node.keywords)])):
            filler = isinstance(method.value, ast.Call) or name_of(method.value) == "str"
            if filler and node.args:  # str.format(template, ...), Formatter().format(template, ...)
                node.args[0] = _ask("own", node.args[0])
            method.value = _ask("own", method.value)
            return node
        return _ask("format", method.value, ast.Constant(method.attr), *node.args, keywords=node.keywords)

    def _is_scope(self, node: ast.AST, of_object: bool = False) -> bool:
        """``globals()``, ``locals()``, ``vars()``, which hold names of the tests."""
        if not isinstance(node, ast.Call):
            return False
        if ast.dump(node.func) == ast.dump(_ask("vars").func):  # of an object, and rewritten already
            return of_object
        return self.is_built_in(node.func, SCOPES) and (of_object or not node.args)

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load) or isinstance(node.slice, ast.Constant):
            return node
        return _ask("look_up", node.value, node.slice) if self._is_scope(node.value, of_object=True) else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        names = self._is_scope(node.right, of_object=True) or getattr(node.right, "attr", "") == "__dict__"
        if isinstance(node.op, ast.Mod) and names:
            node.left = _ask("own", node.left)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.attr in _RAISING or (node.attr == "__next__" and self.within != "__next__"):
            return _ask("raising_method", node.value, ast.Constant(node.attr))
        if node.attr in _FILLING and not isinstance(node.value, ast.Constant):
            return _ask("template", node.value, ast.Constant(node.attr))
        return _ask("type", node.value) if node.attr == "__class__" else node


def _looped(node: ast.expr) -> ast.expr:
    """What is gone over, or what that is made of (``zip(found, expected)``)."""
    if isinstance(node, ast.Call) and name_of(node.func) in _OVER:
        node.args = [_looped(a) for a in node.args]
        return node
    return node if isinstance(node, (ast.Starred, ast.Constant, ast.GeneratorExp, ast.Lambda)) else _ask("looped", node)


def _exception() -> ast.expr:
    return ast.Attribute(ast.Name(HELPER, ast.Load()), "anything", ast.Load())
