"""Where the text of a test asks whether an iterator of the program has come to its end (`emptied`).

It asks where nothing but the failure of the test hangs on the answer: in an ``assert``, the test of an ``if`` that fails, the
arguments of an assertion, a loop that fails at the first item. It asks of what is made of all items and nothing else, written
there or under a name that is read in such places only: who has looked at it otherwise may have decided by it what is checked.
"""

from __future__ import annotations

import ast
import re
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

from ..wire.bindings import Variables, is_read, parameters
from ..wire.source import name_of
from .clauses import fails
from .parts import Parts

_EQUALS = re.compile("assert_?((?!not)[a-z]+_?)?(equals?|is|is_?none)", re.IGNORECASE)
_TRUTHS = {"assert_": True, "assertTrue": True, "assert_true": True, "assertFalse": False, "assert_false": False}
_NO_SIZE = {True: ((ast.Lt, 1), (ast.LtE, 0)), False: ((ast.Gt, 0), (ast.GtE, 1))}  # what is true, or false, of 0 only
_FINDING = ("globals", "locals", "vars", "eval", "exec")  # which read names that stand nowhere
_LOOKED_AT: tuple[type[ast.AST], ...] = (
    ast.Assert,
    ast.If,
    ast.For,
    ast.Expr,
    ast.Return,
    ast.Lambda,
    ast.Call,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
)
_LOOKED_AT += (ast.Assign, ast.AnnAssign, ast.NamedExpr, ast.Global, ast.Nonlocal)
_MADE = "__made_{}__"  # the variable beside a name


def asks(code: types.CodeType) -> bool:
    """Whether a function, rewritten already, asks of what it is given."""
    return "handed" in code.co_names or any(asks(part) for part in code.co_consts if isinstance(part, types.CodeType))


class MarkAsked(ast.NodeTransformer):
    """
    Args:
        nodes, found: of the text, and its variables.
        taken: names of the tests and of the program, which are no built-in ones.
        defined: those that are none of the library's either.
        program: those of the program.
        asking_nothing: those of functions, of other texts, that ask nothing of their parameters.
        helper, ask: make calls of the helper, and of what is known of ends.
    """

    def __init__(
        self,
        nodes: Sequence[ast.AST],
        found: Variables,
        taken: Collection[str],
        defined: Collection[str],
        program: Collection[str],
        asking_nothing: Collection[str],
        helper: Callable[..., ast.expr],
        ask: Callable[..., ast.expr],
    ) -> None:
        self._of, self._defined = Parts(taken, defined, program), defined
        self._asking_nothing, self._helper, self._ask = asking_nothing, helper, ask
        self._names: dict[int, ast.NamedExpr] = {}  # by their targets
        self._made: set[int] = set()
        self._count = 0
        nodes = [node for node in nodes if isinstance(node, _LOOKED_AT)]
        if self._finds(found):
            found = {}
        declared = {name for node in nodes if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names}
        found = {variable: where for variable, where in found.items() if variable[1] not in declared}
        while looked_at := self._look(nodes, found):
            self._of.closed |= looked_at
        self._drop_plain()

    def asks(self) -> bool:
        """Whether there is anything to be marked."""
        return bool(self._sides)

    def _look(self, nodes: Sequence[ast.AST], found: Variables) -> set[ast.NamedExpr]:
        """Find what is asked; returns expressions that give a name to what is looked at elsewhere, so that they do not ask."""
        # By the node's id:
        self._sides: dict[int, str] = {}  # what is asked of, and what becomes of it
        self._asked: list[ast.expr] = []  # the same
        self._parts: dict[int, bool] = {}  # what these are made of, and whether they may be what the tests have made
        self._within: set[int] = set()  # names that are given to parts of sides
        self._reads: set[int] = set()  # names that are read where nothing else hangs on them
        self._returned: set[int] = set()  # those that a function returns
        self._bound: dict[int, ast.expr] = {}  # names, and the expressions that they are bound to
        self._kept: dict[int, bool] = {}  # names that stand for a side, and whether they are no parameters
        self._calls: list[ast.Call] = []  # of the tests' functions
        self._parameters: dict[str, list[ast.arg]] = {}  # of these
        for node in nodes:
            self._find(node)
        self._keep_names(found)
        for call in self._calls:
            self._pass(call)
        return {node for node in self._names.values() if self._is_looked_at(node.target, found)} - self._of.closed

    def _is_looked_at(self, name: ast.AST, found: Variables) -> bool:
        kept, within = id(name) in self._kept, id(name) in self._within
        if kept or not within:
            return kept and not within
        return not any(
            any(n is name for n, _ in nodes) and not any(is_read(n) for n, _ in nodes) for nodes in found.values()
        )

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
                self._side(node.iter, "looped", keeps=True)
            case ast.Expr(value=ast.Call() as call):
                self._assertion(call)
            case ast.Return(value=ast.expr() as value) | ast.Lambda(body=value):
                self._side(value, "returned")
            case ast.Call() if name_of(node.func) in self._defined:
                self._calls.append(node)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                self._parameters.setdefault(node.name, []).extend(parameters(node))
            case (
                ast.Assign(targets=[ast.Name() as name], value=ast.expr() as value)
                | ast.AnnAssign(target=ast.Name() as name, value=ast.expr() as value)
            ):
                self._bound[id(name)] = value
            case ast.NamedExpr():
                self._bound[id(node.target)] = node.value
                self._names[id(node.target)] = node

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
                self._side(node, "false", keeps=True)

    def _comparison(self, node: ast.Compare, true: bool) -> None:
        op, right = node.ops[0], node.comparators[0]
        size = (
            isinstance(node.left, ast.Call) and self._of.is_known(node.left.func) and name_of(node.left.func) == "len"
        )
        alone = len(node.ops) == 1  # else the next comparison is with the same side
        if size and alone and isinstance(right, ast.Constant) and (type(op), right.value) in _NO_SIZE[true]:
            node.ops[0], right.value = ast.Eq() if true else ast.NotEq(), 0
        alike = (ast.Eq, ast.Is) if true else (ast.NotEq, ast.IsNot)
        if all(isinstance(op, alike) for op in node.ops) and (true or alone):
            self._alike([node.left, *node.comparators], "compared")

    def _alike(self, sides: list[ast.expr], become: str) -> None:
        """They are to be equal: what keeps the items of one of them elsewhere decides nothing about a constant."""
        for side in sides:
            self._side(side, become, all(other is side or self._of.is_constant(other) for other in sides))

    def _assertion(self, node: ast.Call) -> None:
        name = name_of(node.func)
        if not node.args or name in self._defined or any(isinstance(a, ast.Starred) for a in node.args):
            return
        sides = node.args[: 1 if name in _TRUTHS or name.lower().endswith("none") else 2]
        if name in _TRUTHS:
            self._condition(sides[0], _TRUTHS[name])
        elif _EQUALS.fullmatch(name):
            self._alike(sides, "made")
            self._sides[id(node)] = "asserting"
        else:
            return
        self._read([*node.args[len(sides) :], *node.keywords])

    def _pass(self, node: ast.Call) -> None:
        """To a function that may ask of a parameter; each such call is one more on the stack (`Emptied.calling`)."""
        name = name_of(node.func)
        known = self._parameters.get(name)
        if name in self._asking_nothing if known is None else not any(id(a) in self._kept for a in known):
            return
        for argument in node.args:
            if self._of.parts(argument) != [(argument, False)] and not isinstance(argument, ast.Starred):
                self._side(argument, "passed")

    # What it is asked of.

    def _side(self, node: ast.expr, become: str, keeps: bool = False) -> None:
        """``keeps``: whatever it keeps of its items."""
        self._of.named.clear()
        parts = self._of.parts(node, keeps)
        if parts and id(node) not in self._sides:
            self._sides[id(node)] = become
            self._asked.append(node)
            self._parts |= {id(part): not alone for part, alone in parts}
            self._within |= {id(name) for name in self._of.named}
            if become != "passed":
                reads = self._returned if become == "returned" else self._reads
                reads |= {id(part) for part, alone in parts if not alone}

    # Under which names.

    @staticmethod
    def _finds(found: Variables) -> bool:
        """Whether variables may be found by more than their names where they stand."""
        return any((None, name) in found for name in _FINDING)

    def _keep_names(self, found: Variables) -> None:
        """Those that are bound to nothing but sides, or are parameters, and are read nowhere but where that asks."""
        waiting = list(found.values())
        while kept := [nodes for nodes in waiting if self._keep(nodes)]:
            waiting = [nodes for nodes in waiting if nodes not in kept]

    def _keep(self, nodes: list[tuple[ast.AST, bool]]) -> bool:
        reads = [(n, own) for n, own in nodes if is_read(n)]
        binds = [n for n, _ in nodes if not is_read(n)]
        values = [self._bound[id(n)] for n in binds if id(n) in self._bound]
        only = len(values) == len(binds) or all(isinstance(n, ast.arg) for n in binds)
        asks = all(id(n) in self._reads or (own and id(n) in self._returned) for n, own in reads)
        closed = any(self._names.get(id(n)) in self._of.closed for n in binds)
        if closed or not (reads and binds and only and asks):
            return False
        if values and all(map(self._is_plain, values)):
            return False
        self._kept |= {id(n): bool(values) for n, _ in nodes}
        for value in values:
            self._side(value, "made")
            self._sides[id(value)] = "made"
        self._sides |= {id(self._names[id(n)].value): "bound" for n in binds if id(n) in self._names}
        return True

    def _is_plain(self, node: Any) -> bool:
        """Whether it is nothing that the tests have made."""
        return self._of.is_plain(node) and not any(id(part) in self._kept for part, _ in self._of.parts(node, True))

    def _drop_plain(self) -> None:
        for node in self._asked:
            if self._sides[id(node)] in ("compared", "false", "returned", "passed") and self._is_plain(node):
                del self._sides[id(node)]
                for part, _ in self._of.parts(node, True):
                    self._parts.pop(id(part), None)

    # What becomes of it.

    def visit(self, node: ast.AST) -> Any:
        become = self._sides.get(id(node))
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
