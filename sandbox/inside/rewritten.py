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
import itertools
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..wire.bindings import ScopedTransformer, parts_of, read_and_bound
from ..wire.source import name_of, unparse
from .expected import MarkExpected
from .scopes import SCOPES, MarkScopes

_compile = builtins.compile  # that of the tests is another one (`evaluated`)
HELPER = "__referee__"  # the name of a `Helper` among the tests' names
_ASKED = frozenset(("type", "id", "issubclass", "isinstance", "callable", "hasattr", "dir", "vars"))
_TAKING = frozenset(("assertRaises", "assertRaisesRegex", "raises", "assert_raises", "assert_raises_regex"))
_RAISING = frozenset(("result", "throw", "athrow"))  # methods that raise an exception that was kept
_OVER = frozenset(("zip", "enumerate", "map", "reversed", "iter"))
_OVER_OF_LIBRARY = frozenset(("chain", "islice", "zip_longest", "starmap"))
_WHOLE = frozenset(("list", "tuple", "set", "frozenset", "sorted"))
_MAKING = _WHOLE | {"max", "min", "next", "len", "sum", "join"}
_COMPARED = {ast.Eq: "equal", ast.NotEq: "unequal", ast.Is: "is_same", ast.IsNot: "is_other"}
_ASSERTED = re.compile("assert_?((?!not)[a-z]+_?)?(equals?|false|is|is_?none)", re.IGNORECASE)
_NUMBERS = itertools.count()  # of comprehensions and comparisons
# Methods of which Python takes an exception for an answer: there are no more items, no length, no attribute.
_SWALLOWED = frozenset(("__getitem__", "__len__", "__length_hint__", "__getattr__", "__getattribute__", "__missing__"))
_DEEPEST = 10_000  # calls: a sum of some hundred terms is as deep as it is long
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
    taken = {*taken, *read_and_bound(tree)[1]}
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEEPEST))
    try:
        if names.classes:
            tree = MarkExpected(tree, names.classes, _ask).visit(tree)
        tree = MarkScopes(taken, _ask).visit(_Mark(names, taken).visit(tree))
    finally:
        sys.setrecursionlimit(limit)
    return _compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)


def _ask(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(HELPER, ast.Load()), method, ast.Load()), list(arguments), keywords or [])


class _Mark(ScopedTransformer):
    def __init__(self, names: Names, taken: Collection[str]) -> None:
        super().__init__(taken)
        self.names = names
        self.count = 0
        self.within = ""  # the innermost function
        self._controls: dict[int, ast.AST] = {}  # expressions by which it is decided what else is checked
        self._deciding = False
        self._asking: dict[int, ast.AST] = {}  # clauses that ask for the end of an iterator
        self._negated: dict[int, ast.AST] = {}  # expressions that are to be false
        self._looked_at: set[str] = set()  # names by which it was decided that this is reached

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

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        if _fails_unless_raised(node):
            self._asking |= {id(handler): handler for handler in node.handlers}
        return self.generic_visit(node)

    visit_TryStar = visit_Try

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        ends = self._asking.pop(id(node), None) is not None
        self.generic_visit(node)
        assign, variable = self._variable(_ask("seen", ast.Constant(ends)))
        node.body = [assign, self._unless_raised(node.body, _ask("not_taken", variable))]
        return node

    def visit_With(self, node: ast.With | ast.AsyncWith) -> Any:
        if len(node.items) > 1:  # of each it is told on its own what it has taken
            inner = type(node)(node.items[1:], node.body)
            node.items, node.body = node.items[:1], [ast.copy_location(inner, node)]
        last, manager = node.body[-1], node.items[0].context_expr
        loops = any(isinstance(part, (ast.For, ast.While, ast.comprehension)) for part in ast.walk(node))
        ends = not loops and not (isinstance(manager, ast.Call) and name_of(manager.func) == "suppress")
        self.generic_visit(node)
        if isinstance(last, ast.Raise) and last.exc is not None:  # nothing is left undone when it is taken
            last.exc = _ask("to_be_taken", last.exc)
        assign, variable = self._variable(ast.List([], ast.Load()))
        node.body = [self._unless_raised(node.body, _ask("leaves", variable))]
        return [assign, node, ast.Expr(_ask("taken", variable, ast.Constant(ends)))]

    visit_AsyncWith = visit_With

    def visit(self, node: ast.AST) -> Any:
        if self._controls.pop(id(node), None) is None:
            return super().visit(node)
        outer, self._deciding = self._deciding, True
        found = super().visit(node)
        self._deciding = outer
        return found

    def _decide(self, nodes: Iterable[ast.AST]) -> None:
        self._controls |= {id(node): node for node in nodes}

    def _negate(self, node: ast.AST) -> None:
        self._negated[id(node)] = node

    def _is_negated(self, node: ast.AST) -> bool:
        return self._negated.pop(id(node), None) is not None

    def visit_If(self, node: ast.If | ast.While | ast.IfExp) -> ast.AST:
        if isinstance(node, ast.If) and _fails(node.body):
            node.test = ast.UnaryOp(ast.Not(), ast.copy_location(ast.UnaryOp(ast.Not(), node.test), node.test))
            self._negate(node.test)
            return self.generic_visit(node)
        self._decide([node.test])
        return self._visit_branches(node, _held_in(node.test))

    visit_While = visit_IfExp = visit_If

    def visit_Match(self, node: ast.Match) -> ast.AST:
        return self._visit_branches(node, _held_in(node.subject))

    def _visit_branches(self, node: ast.AST, names: set[str]) -> ast.AST:
        outer, self._looked_at = self._looked_at, self._looked_at | names
        self.generic_visit(node)
        self._looked_at = outer
        return node

    def _is_asked(self, node: ast.expr) -> bool:
        """Whether it asks for what it finds: it does not decide what else is checked, nor was that decided by the same."""
        return not self._deciding and self._looked_at.isdisjoint(_held_in(node))

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        negated = self._is_negated(node)
        if isinstance(node.op, ast.Or) is not negated:  # one of them is enough
            self._decide(node.values)
        elif negated:
            for value in node.values:
                self._negate(value)
        return self.generic_visit(node)

    def visit_For(self, node: ast.For) -> ast.AST:
        fails = _fails(node.body)
        self.generic_visit(node)
        if fails:
            node.iter = _ask("to_be_empty", node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        self._decide(node.ifs)
        return self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp | ast.DictComp) -> ast.AST:
        self.generic_visit(node)
        return self._listed(node) if _is_unfiltered(node) else node

    visit_SetComp = visit_DictComp = visit_ListComp

    @staticmethod
    def _listed(node: ast.ListComp | ast.SetComp | ast.DictComp) -> ast.expr:
        which = ast.Constant(next(_NUMBERS))
        node.generators[0].iter = _ask("source", node.generators[0].iter, which)
        return _ask("listed", node, which)

    def visit_List(self, node: ast.List | ast.Tuple | ast.Set) -> ast.AST:
        self.generic_visit(node)
        only = node.elts[0] if len(node.elts) == 1 and isinstance(getattr(node, "ctx", ast.Load()), ast.Load) else None
        return (
            _ask("spread", ast.Constant(type(node).__name__.lower()), only.value)
            if isinstance(only, ast.Starred)
            else node
        )

    visit_Tuple = visit_Set = visit_List

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        if not isinstance(node.op, ast.Not):
            return self.generic_visit(node)
        negated = self._is_negated(node)
        if isinstance(node.operand, ast.BoolOp):  # of each part it is asked on its own
            operator = ast.And() if isinstance(node.operand.op, ast.Or) else ast.Or()
            parts: list[ast.expr] = [ast.UnaryOp(ast.Not(), value) for value in node.operand.values]
            both = ast.copy_location(ast.BoolOp(operator, parts), node)
            if negated:
                self._negate(both)
            return self.visit(both)
        if not negated:
            self._negate(node.operand)
        direct, asks = _asks_directly(node.operand), self._is_asked(node.operand)
        self.generic_visit(node)
        return _ask("no", node.operand, ast.Constant(direct)) if asks else node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.cls, ast.Name) and node.cls.id in self.names.program and not self.is_local(node.cls.id):
            node.cls = ast.Attribute(_ask("kinds").func, node.cls.id, ast.Load())
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        asks, known = self._is_asked(node), _known_of((node.left, *node.comparators))
        self.generic_visit(node)
        sides = [node.left, *node.comparators]
        if len(sides) != 2:
            asks = asks and all(isinstance(o, ast.Eq) for o in node.ops) and not _may_wait(node)
            return self._chained(node, known) if asks else node
        of_identity = isinstance(node.ops[0], (ast.Is, ast.IsNot))
        if of_identity and not any(isinstance(side, ast.Constant) for side in sides):
            same = _ask("same", *sides, *(known if asks else ()))
            return same if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), same)
        asked = _COMPARED.get(type(node.ops[0]))
        return _ask(asked, *sides, *known) if asked and asks else node

    @staticmethod
    def _chained(node: ast.Compare, known: list[ast.expr]) -> ast.expr:
        which, sides = ast.Constant(next(_NUMBERS)), [node.left, *node.comparators]
        told: list[ast.expr] = [_ask("side", s, which, ast.Constant(not at)) for at, s in enumerate(sides)]
        node.left, node.comparators = told[0], told[1:]
        return _ask("chained", node, which, *known)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        if self.is_built_in(node.func, ("all",) if self._is_negated(node) else ("any",)):
            self._decide(node.args)
        filled = node.func if isinstance(node.func, ast.Attribute) and node.func.attr in _FILLING else None
        if filled is not None:  # its name is looked at here, and not where it is asked for
            filled.value = self.visit(filled.value)
            node.args, node.keywords = [self.visit(a) for a in node.args], [self.visit(k) for k in node.keywords]
            return self._filled(node, filled)
        asserted = _ASSERTED.fullmatch(name_of(node.func)) and all(map(self._is_asked, node.args[:2]))
        known = _known_of(node.args[:2]) if asserted else []
        self.generic_visit(node)
        name = name_of(node.func)
        if self.is_built_in(node.func, ("dict",)) and len(node.args) == 1:
            node.args = [_ask("pairs", *node.args)]
        if name in _FINDING and node.args:
            at = 1 if name == "getattr_static" else -1
            node.args[at:] = [_ask("named", node.args[at:][0]), *node.args[at:][1:]]
        if (going := self._going_over(node, name, known)) is not None:
            return going
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

    def _going_over(self, node: ast.Call, name: str, known: list[ast.expr]) -> ast.expr | None:
        """What goes over an iterator, or is given what was made of one."""
        if not node.args or any(isinstance(a, ast.Starred) for a in node.args):
            return None
        first = node.args[0]
        if isinstance(first, ast.GeneratorExp) and _is_unfiltered(first):
            listed = ast.ListComp(first.elt, first.generators)
            if self.is_built_in(node.func, ("sum",)) and isinstance(first.elt, ast.Constant) and first.elt.value == 1:
                return _ask("len", self._listed(listed))
        else:
            listed = None
        if len(node.args) == 1 and self._is_whole(node, name):
            return _ask("whole", node.func, self._listed(listed) if listed else first, keywords=node.keywords)
        if len(node.args) == 1 and not node.keywords and self.is_built_in(node.func, ("len",)):
            return _ask("len", first)
        if self.is_built_in(node.func, _OVER) or name in _OVER_OF_LIBRARY:
            return _ask("over", node.func, *node.args, keywords=node.keywords)
        if known:
            return _ask("asserting", known[1], node.func, *node.args, keywords=node.keywords)
        return None

    def _is_whole(self, node: ast.Call, name: str) -> bool:
        if self.is_built_in(node.func, ("max", "min")):
            return any(k.arg == "default" for k in node.keywords)
        return self.is_built_in(node.func, _WHOLE) or (name == "join" and isinstance(node.func, ast.Attribute))

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
        if isinstance(node.op, ast.BitOr):
            self._decide((node.left, node.right))
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


def _fails(body: Sequence[ast.stmt]) -> bool:
    """Whether a test has failed where this is reached."""
    first = body[0]
    if isinstance(first, ast.Assert):
        return isinstance(first.test, ast.Constant) and not first.test.value
    call = first.value if isinstance(first, ast.Expr) else None
    return isinstance(first, ast.Raise) or (isinstance(call, ast.Call) and name_of(call.func) == "fail")


def _fails_unless_raised(node: ast.Try | ast.TryStar) -> bool:
    """Whether a test asks that something raises: it fails if not, or makes nothing of what it gives (``next(x)``)."""
    if _fails(node.body[-1:]) or (node.orelse and _fails(node.orelse)):
        return True
    first, *others = node.body
    call = first.value if isinstance(first, ast.Expr) else None
    gives = isinstance(call, ast.Call) and name_of(call.func) in ("next", "__next__")
    return gives and not any(isinstance(part, (ast.Call, ast.Assert)) for other in others for part in ast.walk(other))


def _asks_directly(node: ast.expr) -> bool:
    """Whether an expression is what was made of an iterator, or a name for it; anything else may have come from elsewhere."""
    if isinstance(node, ast.Call):
        return name_of(node.func) in _MAKING
    return isinstance(node, (ast.Name, ast.NamedExpr, ast.Attribute, ast.List, ast.Tuple, ast.Set))


def _may_wait(node: ast.AST) -> bool:
    """Whether other code may run where an expression stands before it is evaluated."""
    return any(isinstance(part, (ast.Await, ast.Yield, ast.YieldFrom)) for part in ast.walk(node))


def _known_of(sides: Sequence[ast.expr]) -> list[ast.expr]:
    """Of what is compared: which sides are `_asks_directly`, and what of each two of them stands in both."""
    direct: list[ast.expr] = [ast.Constant(_asks_directly(side)) for side in sides]
    paths = [_paths(side) for side in sides]
    shared: list[ast.expr] = []
    for some, others in itertools.combinations(paths, 2):
        names = {a[0] for a in some for b in others if a[: len(b)] == b[: len(a)]}
        shared.append(ast.Tuple([ast.Name(name, ast.Load()) for name in sorted(names)], ast.Load()))
    return [ast.Tuple(direct, ast.Load()), ast.Tuple(shared, ast.Load())]


def _paths(side: ast.expr) -> list[tuple[str, ...]]:
    """Names that are read where an expression stands, with what is read of them: ``x``, ``x.items``, ``x["a"]``."""
    found, waiting = [], [side]  # type: list[tuple[str, ...]], list[ast.AST]
    while waiting:
        part = waiting.pop()
        path: list[str] = []
        inner = part
        while isinstance(inner, ast.Attribute) or (
            isinstance(inner, ast.Subscript) and isinstance(inner.slice, ast.Constant)
        ):
            path.append(inner.attr if isinstance(inner, ast.Attribute) else unparse(inner.slice))
            inner = inner.value
        if isinstance(inner, ast.Name):
            found.append((inner.id, *reversed(path)))
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            waiting += [*part.args, *part.keywords]
        else:
            waiting += parts_of(part)
    return found


def _held_in(node: ast.AST) -> set[str]:
    """Names that an expression looks into, not those that it calls or of which it asks what they are."""
    found: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Name):
            found.add(part.id)
        elif isinstance(part, ast.Compare) and isinstance(part.ops[0], (ast.Is, ast.IsNot)):
            continue
        elif isinstance(part, ast.Call) and isinstance(part.func, ast.Name):
            waiting += [*part.args, *part.keywords] if part.func.id not in _ASKED else []
        else:
            waiting += ast.iter_child_nodes(part)
    return found


def _is_unfiltered(node: ast.AST) -> bool:
    return len(node.generators) == 1 and not node.generators[0].ifs  # type: ignore[attr-defined]


def _exception() -> ast.expr:
    return ast.Attribute(ast.Name(HELPER, ast.Load()), "anything", ast.Load())
