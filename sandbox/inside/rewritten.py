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
import sys
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..wire.bindings import ScopedTransformer, bound_anywhere, bound_by_any, of_module, variables
from ..wire.source import name_of, unparse
from .asked import MarkAsked, asks
from .certain import Certain
from .clauses import TAKING, fails
from .compared import ARITHMETIC
from .comparisons import COMPARISONS
from .expected import MarkExpected
from .scopes import SCOPES, MarkScopes, calls, names_scope
from .settled import Changing, Settled
from .taken import EXCEPTIONS, Places, Takers, is_of_tests

_compile = builtins.compile  # that of the tests is another one (`evaluated`)
HELPER = "__referee__"  # the name of a `Helper` among the tests' names
_ASKED = frozenset(("type", "id", "issubclass", "isinstance", "callable", "hasattr", "dir", "vars", "iter"))
_RAISING = frozenset(("result", "throw", "athrow"))  # methods that raise an exception that was kept
# Methods of which Python takes an exception for an answer: there are no more items, no length, no attribute.
_SWALLOWED = frozenset(("__getitem__", "__len__", "__length_hint__", "__getattr__", "__getattribute__", "__missing__"))
_DEEPEST = 10_000  # calls: a sum of some hundred terms is as deep as it is long
_GUARDED = frozenset(("getattr", "next", "anext"))
_NEXT = frozenset(("__next__", "__anext__"))
_FILLING = frozenset(("format", "format_map"))
_FINDING = frozenset(("__getattribute__", "getattr_static"))
_OPERATORS = frozenset(f"__{name}__" for name in COMPARISONS) | frozenset(
    f"__{prefix}{name.rstrip('_')}__" for name in ARITHMETIC for prefix in ("", "r", "i")
)
_AWAITING = frozenset(("run", "run_until_complete", "gather", "wait_for", "create_task", "ensure_future", "shield"))
_AWAITING |= {"as_completed"}


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the program in the tests: classes that are not under test, all of them, and those of data."""

    classes: frozenset[str] = frozenset()
    program: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Common:
    """What is known of all texts of a run so far.

    Attributes:
        takers: who takes exceptions in them, and which they raise.
    """

    takers: Takers
    changing: Changing = field(default_factory=Changing)


def compiled(
    source: str, name: str, common: Common, names: Names = Names(), known: Mapping[str, Any] = {}
) -> types.CodeType:
    """The code of a test.

    Args:
        common: what is known of this text is added.
        known: what it finds by its names, which are no built-in ones by that.
    """
    tree = ast.parse(source)
    found, nodes = variables(tree), list(ast.walk(tree))
    taken = {*known, *of_module(found)[1]}
    certain = Certain(tree, nodes, known, Settled(nodes, found, known, names.program, common.changing))
    imported = (n for n in nodes if isinstance(n, (ast.Import, ast.ImportFrom)))
    functions = {n: value.__code__ for n, value in known.items() if type(value) is types.FunctionType}
    earlier = {n: code for n, code in functions.items() if is_of_tests(code)}
    defined = {*earlier} | bound_by_any(nodes) - bound_anywhere(imported)
    asking_nothing = {n for n, code in earlier.items() if not asks(code)}
    for raised in (n.exc for n in nodes if isinstance(n, ast.Raise) and n.exc is not None):
        common.takers.raises(raised, taken | defined)
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST))
    try:
        if names.classes:
            kinds = {n for n, value in known.items() if isinstance(value, type) and value.__module__ == "__tests__"}
            tree = MarkExpected(tree, names.classes, {*earlier, *kinds}, _ask).visit(tree)
            found, nodes = variables(tree), list(ast.walk(tree))
        asked = MarkAsked(nodes, found, taken | defined, defined, names.program, asking_nothing, _ask, _ends)
        tree = asked.visit(tree) if asked.asks() else tree
        mark = _Mark(names, taken, certain, any(name_of(n) == "NotImplemented" for n in nodes))
        tree = mark.visit(tree)
        tree = MarkScopes(taken, _ask).visit(tree) if any(map(names_scope, nodes)) else tree
    finally:
        sys.setrecursionlimit(limit)
    code = _compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)
    common.takers.hold(mark.places, code)
    return code


def _ask(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(HELPER, ast.Load()), method, ast.Load()), list(arguments), keywords or [])


def _ends(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    """Of what is known of the ends of iterators."""
    return ast.Call(ast.Attribute(_ask("ends").func, method, ast.Load()), list(arguments), keywords or [])


class _Mark(ScopedTransformer):
    """
    Args:
        declines: whether the text asks for NotImplemented, which a method says, and an operator does not.
    """

    def __init__(self, names: Names, taken: Collection[str], certain: Certain, declines: bool) -> None:
        super().__init__(taken)
        self.names, self.certain = names, certain
        self.count = 0
        self.places = Places(lambda node: self.is_built_in(node, EXCEPTIONS))
        self.within = ""  # the innermost function
        self.declines = declines
        self._asking: dict[int, ast.AST] = {}  # clauses that ask for the end of an iterator

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
        self.visit_ClassDef(node)
        self.within = outer
        if node.name in _SWALLOWED or any(unparse(d).endswith("property") for d in node.decorator_list):
            assign, variable = self._variable(_ask("asked"))
            node.body = [assign, self._unless_raised(node.body, _ask("ended", variable))]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_ClassDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> ast.AST:
        self.places.enter(node)
        self.generic_visit(node)
        self.places.leave()
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.id in self.names.data and not self.is_local(node.id):
            return _ask("now", ast.Constant(node.id))
        # The end of an iterator of the tests' own is an answer.
        if self.is_built_in(node, _GUARDED) and not (self.within in _NEXT and self.within == f"__{node.id}__"):
            return _ask(node.id).func
        return node

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.generic_visit(node)
        failed = _ask("failed", _ask("false"), *([node.msg] if node.msg else []))
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Raise(failed)], []), node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if node.exc is not None:
            made = node.exc if isinstance(node.exc, ast.Call) else ast.Call(node.exc, [], [])
            values = [*made.args, *(keyword.value for keyword in made.keywords)]
            constants = ast.Tuple([value for value in values if _is_constant(value)], ast.Load())
            node.exc = _ask("raising", node.exc, ast.Constant(node in self.certain.raises), constants)
        return node

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        if _fails_unless_raised(node):
            self._asking |= {id(handler): handler for handler in node.handlers}
        self.places.add_try(node)
        self.generic_visit(node)
        return node

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        ends = self._asking.pop(id(node), None) is not None
        raises_none = all(map(_raises_none, node.body))  # Python has room for twenty blocks within each other
        self.generic_visit(node)
        assign, variable = self._variable(_ask("seen", ast.Constant(ends)))
        body = node.body if raises_none else [self._unless_raised(node.body, _ask("not_taken", variable))]
        node.body = [assign, *body]
        return node

    def visit_With(self, node: ast.With | ast.AsyncWith) -> Any:
        if len(node.items) > 1:  # of each it is told on its own what it has taken
            inner = type(node)(node.items[1:], node.body)
            node.items, node.body = node.items[:1], [ast.copy_location(inner, node)]
            self.certain.by[inner] = "block"
        self.count += 1
        managed = ast.Name(f"__manages_{self.count}__", ast.Store())
        self.places.add(node, manager=managed.id)
        manager = node.items[0].context_expr
        loops = any(isinstance(part, (ast.For, ast.While, ast.comprehension)) for part in ast.walk(node))
        name = name_of(manager.func) if isinstance(manager, ast.Call) else ""
        ends = not loops and name != "suppress"
        assign, variable = self._variable(_ask("block"))
        node.body = [part for statement in node.body for part in (self._begins(variable, statement), statement)]
        self.generic_visit(node)
        node.items[0].context_expr = ast.NamedExpr(managed, node.items[0].context_expr)
        leaves = ast.Call(ast.Attribute(variable, "leaves", ast.Load()), [], [])
        node.body = [self._unless_raised(node.body, leaves)]
        took = ast.Call(ast.Attribute(variable, "taken", ast.Load()), [ast.Constant(ends)], [])
        return [assign, node, ast.Expr(took), ast.Assign([managed], ast.Constant(None))]

    visit_AsyncWith = visit_With

    def _begins(self, block: ast.expr, statement: ast.stmt) -> ast.stmt:
        by = ast.Constant(self.certain.by.get(statement))
        return ast.Expr(ast.Call(ast.Attribute(block, "begins", ast.Load()), [by], []))

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.cls, ast.Name) and node.cls.id in self.names.program and not self.is_local(node.cls.id):
            node.cls = ast.Attribute(_ask("kinds").func, node.cls.id, ast.Load())
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        of_identity = len(sides) == 2 and isinstance(node.ops[0], (ast.Is, ast.IsNot))
        if not of_identity or any(isinstance(side, ast.Constant) for side in sides):
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
        # Without arguments `vars` and `dir` are of where they are called.
        if self.is_built_in(node.func, _ASKED) and node.args and not node.keywords:
            return _ask(name, *node.args)
        if self.is_built_in(node.func, ("str", "repr")) and len(node.args) == 1:
            return _ask("told", node.func, *node.args) if not node.keywords else node
        if name == "exception" and isinstance(node.func, ast.Attribute) and not node.args:
            return _ask("exception", node.func.value)
        if self.declines and name in _OPERATORS and isinstance(node.func, ast.Attribute) and not node.keywords:
            return _ask("answered", node.func.value, ast.Constant(name), *node.args)
        if name in TAKING and len(node.args) > 1:
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
        if calls(node, _ask("vars")):  # of an object, and rewritten already
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
        if node.attr in ("assertIs", "assertIsNot"):
            return _ask("of_identity", node)
        if node.attr in _RAISING or (node.attr in _NEXT and self.within != node.attr):
            return _ask("raising_method", node.value, ast.Constant(node.attr))
        if node.attr in _FILLING and not isinstance(node.value, ast.Constant):
            return _ask("template", node.value, ast.Constant(node.attr))
        return _ask("type", node.value) if node.attr == "__class__" else node


def _is_constant(node: ast.AST) -> bool:
    """Whether a value is made of nothing but what stands there, and is no larger than that."""
    match node:
        case ast.Constant():
            return True
        case ast.JoinedStr(values=parts) | ast.Tuple(elts=parts):
            return all(map(_is_constant, parts))
        case ast.FormattedValue(value=value, format_spec=None) | ast.UnaryOp(op=ast.USub(), operand=value):
            return _is_constant(value)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _is_constant(left) and _is_constant(right)
        case ast.BinOp(left=ast.Constant(value=str() as text), op=ast.Mod(), right=right):
            return "*" not in text and not any(map(str.isdigit, text)) and _is_constant(right)
        case _:
            return False


def _raises_none(node: ast.stmt) -> bool:
    """Whether a statement cannot raise anything."""
    if isinstance(node, (ast.Pass, ast.Break, ast.Continue)):
        return True
    value = node.value if isinstance(node, (ast.Return, ast.Expr, ast.Assign)) else node
    targets = node.targets if isinstance(node, ast.Assign) else []
    return (value is None or isinstance(value, ast.Constant)) and all(isinstance(t, ast.Name) for t in targets)


def _fails_unless_raised(node: ast.Try | ast.TryStar) -> bool:
    """Whether a test asks that something raises: it fails if not, or makes nothing of what it gives (``next(x)``)."""
    if fails(node.body[-1:]) or (node.orelse and fails(node.orelse)):
        return True
    first, *others = node.body
    call = first.value if isinstance(first, ast.Expr) else None
    gives = isinstance(call, ast.Call) and name_of(call.func) in ("next", "__next__")
    return gives and not any(isinstance(part, (ast.Call, ast.Assert)) for other in others for part in ast.walk(other))


def _exception() -> ast.expr:
    return ast.Attribute(ast.Name(HELPER, ast.Load()), "anything", ast.Load())
