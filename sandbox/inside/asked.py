"""Where the text of a test asks whether an iterator of the program has come to its end (`emptied`).

It asks where nothing but the failure of the test hangs on the answer: in an ``assert``, the test of an ``if`` that fails, the
arguments of an assertion, a loop that fails at the first item. It asks of what is made of all items and nothing else, written
there or under a name that is read in such places only: who has looked at it otherwise may have decided by it what is checked.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from ..wire.bindings import variables
from ..wire.source import name_of

_BUILT_IN = frozenset(dir(builtins))
_OF_LIBRARY = frozenset(("deque", "Counter", "chain", "islice", "starmap", "zip_longest"))
_SETS = frozenset(("set", "frozenset", "dict"))  # which do not say how often something is in them
_WHOLE = _SETS | {"list", "tuple", "sorted", "deque", "Counter", "str", "repr", "len", "bool"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_EQUALS = re.compile("assert_?((?!not)[a-z]+_?)?(equals?|is|is_?none)", re.IGNORECASE)
_TRUTHS = {"assert_": True, "assertTrue": True, "assert_true": True, "assertFalse": False, "assert_false": False}
_NO_SIZE = {True: ((ast.Lt, 1), (ast.LtE, 0)), False: ((ast.Gt, 0), (ast.GtE, 1))}  # what is true, or false, of 0 only
_FINDING = ("globals", "locals", "vars", "eval", "exec")  # which read names that stand nowhere
_MADE = "__made_{}__"  # the variable beside a name


def fails(body: Sequence[ast.stmt]) -> bool:
    """Whether a test has failed where this is reached."""
    first = body[0]
    if isinstance(first, ast.Assert):
        return isinstance(first.test, ast.Constant) and not first.test.value
    call = first.value if isinstance(first, ast.Expr) else None
    return isinstance(first, ast.Raise) or (isinstance(call, ast.Call) and name_of(call.func) == "fail")


def _counts(nodes: Sequence[ast.AST]) -> bool:
    """``1 for _ in x``."""
    one = getattr(nodes[0], "elt", None) if nodes else None
    return isinstance(one, ast.Constant) and one.value == 1


def _is_none(options: dict[str | None, ast.expr]) -> bool:
    """``default=None``; a number is what the greatest item may be, too."""
    default = options.get("default")
    return len(options) == 1 and isinstance(default, ast.Constant) and default.value is None


def _makes_items(nodes: Iterable[ast.AST]) -> bool:
    """Whether there may be one that is what stands for none, as no text of something is."""
    for part in (part for node in nodes for part in ast.walk(node)):
        made_by: ast.AST | None = None
        if isinstance(part, (ast.GeneratorExp, ast.ListComp)):
            made_by = getattr(part.elt, "func", part)
        elif isinstance(part, ast.Call) and name_of(part.func) in ("map", "starmap"):
            made_by = [*part.args, part][0]
        if made_by is not None and name_of(made_by) not in ("str", "repr"):
            return True
    return False


class MarkAsked(ast.NodeTransformer):
    """
    Args:
        taken: names of the tests and of the program, which are no built-in ones.
        defined: those that are none of the library's either.
        program: those of the program.
        helper, ask: make calls of the helper, and of what is known of ends.
    """

    def __init__(
        self,
        tree: ast.AST,
        taken: Collection[str],
        defined: Collection[str],
        program: Collection[str],
        helper: Callable[..., ast.expr],
        ask: Callable[..., ast.expr],
    ) -> None:
        self._taken, self._defined, self._program = taken, defined, program
        self._helper, self._ask = helper, ask
        # By the node's id:
        self._sides: dict[int, str] = {}  # what is asked of, and what becomes of it
        self._parts: dict[int, bool] = {}  # what these are made of, and whether they may be what the tests have made
        self._reads: set[int] = set()  # names that are read where nothing else hangs on them
        self._returned: set[int] = set()  # those that a function returns
        self._bound: dict[int, ast.expr] = {}  # names, and the expressions that they are bound to
        self._kept: dict[int, bool] = {}  # names that stand for a side, and whether they are no parameters
        self._made: set[int] = set()
        self._count = 0
        for node in ast.walk(tree):
            self._find(node)
        self._keep_names(tree)

    # What is asked where.

    def _find(self, node: ast.AST) -> None:
        match node:
            case ast.Assert():
                self._condition(node.test, True)
                self._read([node.msg])
            case ast.If() if fails(node.body):
                self._condition(node.test, False)
                self._read(node.body[:1])
            case ast.For() if fails(node.body):
                self._side(node.iter, "looped")
            case ast.Expr(value=ast.Call() as call):
                self._assertion(call)
            case ast.Return(value=ast.expr() as value) | ast.Lambda(body=value):
                self._side(value, "returned")
            case ast.Call() if name_of(node.func) in self._defined:
                for argument in node.args:
                    if self._parts_of(argument) != [(argument, False)] and not isinstance(argument, ast.Starred):
                        self._side(argument, "passed")
            case (
                ast.Assign(targets=[ast.Name() as name], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name() as name, value=ast.expr() as value)
                | ast.NamedExpr(target=ast.Name() as name, value=value)
            ):
                self._bound[id(name)] = value

    def _read(self, nodes: Iterable[ast.AST | None]) -> None:
        self._reads |= {id(part) for node in nodes if node is not None for part in ast.walk(node)}

    def _condition(self, node: ast.expr, true: bool) -> None:
        """The test fails unless this is ``true``, or unless it is not."""
        match node:
            case ast.UnaryOp(op=ast.Not()):
                self._condition(node.operand, not true)
            case ast.BoolOp() if isinstance(node.op, ast.And) is true:
                for value in node.values:
                    self._condition(value, true)
            case ast.Compare():
                self._comparison(node, true)
            case _ if not true:
                self._side(node, "false")

    def _comparison(self, node: ast.Compare, true: bool) -> None:
        op, right = node.ops[0], node.comparators[0]
        size = isinstance(node.left, ast.Call) and self._is_known(node.left.func) and name_of(node.left.func) == "len"
        if size and isinstance(right, ast.Constant) and (type(op), right.value) in _NO_SIZE[true]:
            node.ops[0], right.value = ast.Eq() if true else ast.NotEq(), 0
        alike = (ast.Eq, ast.Is) if true else (ast.NotEq, ast.IsNot)
        if all(isinstance(op, alike) for op in node.ops) and (true or len(node.ops) == 1):
            for side in (node.left, *node.comparators):
                self._side(side, "compared")

    def _assertion(self, node: ast.Call) -> None:
        name = name_of(node.func)
        if not node.args or name in self._defined or any(isinstance(a, ast.Starred) for a in node.args):
            return
        sides = node.args[: 1 if name in _TRUTHS or name.lower().endswith("none") else 2]
        if name in _TRUTHS:
            self._condition(sides[0], _TRUTHS[name])
        elif _EQUALS.fullmatch(name):
            for side in sides:
                self._side(side, "made")
            self._sides[id(node)] = "asserting"
        else:
            return
        self._read([*node.args[len(sides) :], *node.keywords])

    # What it is asked of.

    def _side(self, node: ast.expr, become: str) -> None:
        parts = self._parts_of(node)
        if parts and id(node) not in self._sides:
            self._sides[id(node)] = become
            self._parts |= {id(part): not alone for part, alone in parts}
            if become != "passed":
                reads = self._returned if become == "returned" else self._reads
                reads |= {id(part) for part, alone in parts if not alone}

    def _parts_of(self, node: ast.expr, alone: bool = False) -> list[tuple[ast.expr, bool]]:
        """What an expression goes over, or holds, so that it says if that is empty; of some it says so if they stand alone."""
        match node:
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return [(node, alone)]
            case ast.Await(value=ast.Call() as call):
                parts = self._parts_of(call, alone)
                return [(node, alone)] if parts == [(call, alone)] else parts
            case ast.NamedExpr() | ast.Starred():
                return self._parts_of(node.value, alone)
            case ast.Set(elts=[ast.Starred()]):
                return self._parts_of(node.elts[0], True)
            case ast.BinOp(op=ast.Add()) if not alone:
                inner = [node.left, node.right]
            case ast.List() | ast.Tuple() if not alone:
                inner = node.elts
            case ast.Dict() if not alone:
                inner = node.values
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                whole = len(node.generators) == 1 and not node.generators[0].ifs
                inner = [node.generators[0].iter] if whole else []
                alone = alone or isinstance(node, (ast.SetComp, ast.DictComp))
            case ast.Call() if not any(isinstance(a, ast.Starred) for a in node.args):
                if not self._is_known(node.func):
                    return [(node, alone)]
                inner, alone = self._gone_over(node, alone)
            case _:
                return []
        return [part for expression in inner for part in self._parts_of(expression, alone)]

    def _gone_over(self, node: ast.Call, alone: bool) -> tuple[list[ast.expr], bool]:
        """By a function of Python's own; and whether it must stand alone there."""
        first, several, options = node.args[:1], len(node.args) > 1, {k.arg: k.value for k in node.keywords}
        match name_of(node.func):
            case "iter" | "reversed" | "enumerate" | "islice":
                return first, alone
            case "map" | "starmap":
                return node.args[1:], alone
            case "zip" | "zip_longest" | "chain" as name if name != "chain" or not (alone and several):
                return node.args, alone
            case "sum" if _counts(first):
                return first, alone
            case name if name in _WHOLE and not several and (name == "sorted" or not options):
                return first, alone or name in _SETS
            case "next" | "anext" if several and not _makes_items(first):
                return first, True
            case "join" if not _makes_items(first):
                return first, True
            case "max" | "min" if not several and not _makes_items(first) and _is_none(options):
                return first, True
        return [], alone

    def _is_known(self, function: ast.expr) -> bool:
        """Whether it is one of Python's own, and none of the tests."""
        name = name_of(function)
        if name in _OF_LIBRARY:
            return name not in self._defined
        if isinstance(function, ast.Name):
            return name in _BUILT_IN and name not in self._taken
        return name == "join"

    # Under which names.

    def _keep_names(self, tree: ast.AST) -> None:
        """Those that are bound to nothing but sides, or are parameters, and are read nowhere but where that asks."""
        declared = {n for node in ast.walk(tree) if isinstance(node, (ast.Global, ast.Nonlocal)) for n in node.names}
        found = variables(tree)
        if any((None, name) in found for name in _FINDING):
            return
        waiting = [nodes for (_, name), nodes in found.items() if name not in declared]
        while kept := [nodes for nodes in waiting if self._keep(nodes)]:
            waiting = [nodes for nodes in waiting if nodes not in kept]

    def _keep(self, nodes: list[tuple[ast.AST, bool]]) -> bool:
        reads = [(n, own) for n, own in nodes if isinstance(getattr(n, "ctx", None), ast.Load)]
        binds = [n for n, _ in nodes if not isinstance(getattr(n, "ctx", None), ast.Load)]
        values = [self._bound[id(n)] for n in binds if id(n) in self._bound]
        only = len(values) == len(binds) or all(isinstance(n, ast.arg) for n in binds)
        asks = all(id(n) in self._reads or (own and id(n) in self._returned) for n, own in reads)
        if not (reads and binds and only and asks):
            return False
        if values and all(map(self._is_plain, values)):
            return False
        self._kept |= {id(n): bool(values) for n, _ in nodes}
        for value in values:
            within = any(id(part) in self._parts for part, _ in self._parts_of(value))  # of another side
            self._side(value, "made")
            self._sides[id(value)] = "bound" if within else "made"
        return True

    def _is_plain(self, node: Any) -> bool:
        """Whether it is nothing that the tests have made."""
        for part in ast.walk(node):
            if isinstance(part, (*_COMPREHENSIONS, ast.Starred)) or (
                isinstance(part, ast.Call) and name_of(part.func) not in self._program
            ):
                return False
        return not any(id(part) in self._kept for part, _ in self._parts_of(node))

    # What becomes of it.

    def visit(self, node: ast.AST) -> Any:
        become = self._sides.get(id(node))
        if become in ("compared", "false", "returned", "passed") and self._is_plain(node):
            become = None
            for part, _ in self._parts_of(node):  # type: ignore[arg-type]
                self._parts.pop(id(part), None)
        found = super().visit(node)
        if id(node) in self._parts:
            found = self._part(node, found)
        if become == "asserting":
            return self._ask(become, found.func, *found.args, keywords=found.keywords)
        if become is not None:
            found = self._ask(become if become in ("bound", "returned") else "made", self._ask("mark"), found)
            self._made.add(id(found))
        return self._ask(become, found) if become in ("false", "looped") else found

    def _part(self, node: ast.AST, found: ast.expr) -> ast.expr:
        if not self._parts[id(node)]:
            return self._ask("source", found)
        if self._kept.get(id(node)):
            return self._ask("source", found, ast.Name(_MADE.format(name_of(node)), ast.Load()))
        handed = id(node) in self._kept or isinstance(node, (ast.Call, ast.Await))
        return self._ask("handed" if handed else "source", found)

    def _variable(self, value: ast.expr) -> tuple[ast.expr, ast.expr]:
        self._count += 1
        name = f"__asked_{self._count}__"
        return ast.NamedExpr(ast.Name(name, ast.Store()), value), ast.Name(name, ast.Load())

    def visit_Call(self, node: ast.Call) -> ast.AST:
        passes = any(self._sides.get(id(argument)) == "passed" for argument in node.args)
        self.generic_visit(node)
        if not passes or not any(id(argument) in self._made for argument in node.args):
            return node
        return self._ask("calling", node.func, *node.args, keywords=node.keywords)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        left, *others = node.left, *node.comparators
        if not any(id(side) in self._made for side in (left, *others)):
            return node
        asked: list[ast.expr] = []
        for op, right in zip(node.ops, others, strict=True):
            right, again = self._variable(right) if right is not others[-1] else (right, right)
            of_identity = isinstance(op, (ast.Is, ast.IsNot))
            same = (
                self._helper("same", left, right) if of_identity else self._ask(type(op).__name__.lower(), left, right)
            )
            asked.append(ast.UnaryOp(ast.Not(), same) if isinstance(op, ast.IsNot) else same)
            left = again
        return asked[0] if len(asked) == 1 else ast.BoolOp(ast.And(), asked)

    def visit_Assign(self, node: ast.Assign | ast.AnnAssign | ast.NamedExpr) -> ast.AST:
        self.generic_visit(node)
        if node.value is not None and id(node.value) in self._made:
            name = node.targets[0] if isinstance(node, ast.Assign) else node.target
            made = ast.NamedExpr(ast.Name(_MADE.format(name_of(name)), ast.Store()), node.value)
            node.value = ast.Attribute(made, "value", ast.Load())
        return node

    visit_AnnAssign = visit_NamedExpr = visit_Assign
