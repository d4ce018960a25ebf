"""Whether tests leave their verdict to the program: what is called to check and defined nowhere the program may define
(``assert same(f(1), 5)``).
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Sequence

from ..wire.plain import of_data
from ..wire.source import name_of
from .fed import Fed, arguments, asked, inner, result_of, root
from .paths import Trace
from .reach import DEFINITIONS
from .words import words


def asks_for_verdict(
    trees: Sequence[ast.Module], program: Collection[str], entry_points: Collection[str]
) -> str | None:
    """Which name of the program, no entry point, is to judge what an entry point returned; None if there is none.

    It may turn it into something else (``decode(encode(x)) == x``), which is then compared; but not be told with it, or
    later, what it is compared with, nor say yes or no. Without entry points that is told only of tests of which all that
    is looked at is what one name of the program does with the result of another.

    Args:
        program: the names in the tests that are the program's.
    """
    others = set(program) - set(entry_points)
    if not others:
        return None
    trace = Trace(trees)
    fed = Fed(trees, entry_points or others, others, trace)
    found = ""
    if entry_points:
        found = next(_judges(trees, others, entry_points, trace, fed), "") or next(words(trees, others, fed), "")
    if not found:
        found = next(_Unchecked(trees, others, entry_points, fed).judges(), "")
    if not found:
        return None
    what = ", ".join(sorted(entry_points)) if entry_points else "another name of the program"
    return (
        f"the tests have {found}() judge what {what} returns, and do not define it: any "
        f"program could. Define it in the setup, or name it among the entry points if it is under test"
    )


def _judges(
    trees: Sequence[ast.AST], others: Collection[str], entry: Collection[str], trace: Trace, fed: Fed
) -> Iterator[str]:
    """Names that judge a result, in the order of the text."""

    def from_entry(node: ast.AST) -> bool:
        return any(result_of(p, entry) for p in trace.of(node) | trace.of(inner(node)))

    turned = {id(node) for node in _turned(trees, others)}
    later = _Later(trees, others, fed)
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            names = [root(s.func) for s in sides if isinstance(s, ast.Call)]
            name = next((n for n in names if n in others and not n[:1].isupper()), "")
            if name and any(map(from_entry, sides)) and not any(map(from_entry, arguments(sides))):
                yield name
        elif isinstance(node, ast.Call):
            name, values = asked(node, others, trace)
            told = [fed.is_result(value) for value in values]
            kept = id(node) in turned and getattr(node.func, "id", "") not in ("filter", "partial")
            handed = [root(value) in entry for value in values]
            judged = any(told) and not (all(told) and kept)
            if name and (judged or (any(handed) and not all(handed) and not later.compares(node))):
                yield name
            elif (maker := fed.maker(node.func)) and later.judges(node):
                yield maker


class _Later:
    """Calls of objects that were told a result: they may answer with data, which the tests compare.

    A method that is only called (``tree.insert(5)``) judges nothing if the tests look at the object themselves.
    """

    def __init__(self, trees: Sequence[ast.AST], others: Collection[str], fed: Fed) -> None:
        nodes = [n for tree in trees for n in ast.walk(tree)]
        self.fed = fed
        self.alone = {id(n.value) for n in nodes if isinstance(n, ast.Expr)}
        self.turned = {id(n) for n in _turned(trees, others)} - self.alone
        compared = [n for n in nodes if isinstance(n, ast.Compare) and not _says_yes_or_no(n, others)]
        self.words = {
            id(call) for n in compared if _with_a_word(n) for call in ast.walk(n) if isinstance(call, ast.Call)
        }
        # Looked at are what the tests' own comparisons and assertions have to do with, and names that data is asked of.
        checks = [*compared, *(n for n in nodes if isinstance(n, ast.Call) and _asserts(n, others, fed))]
        self.looked_at = {n.id for c in checks for n in ast.walk(c) if isinstance(n, ast.Name)}
        self.attributes: dict[str, set[str]] = {}
        for node in nodes:
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                self.attributes.setdefault(node.value.id, set()).add(node.attr)

    def compares(self, call: ast.Call) -> bool:
        """Whether the tests look at what a call returns, or it stands there for what it does."""
        return id(call) in self.turned | self.alone

    def judges(self, call: ast.Call) -> bool:
        name, values = _variable(call.func), arguments([call])
        told = not all(map(self.fed.is_result, values))
        if not told and (not self.fed.is_made_of(call.func) or (values and id(call) in self.alone)):
            return False  # it hears of one more result, or says something of itself
        direct = isinstance(call.func, ast.Attribute) and isinstance(call.func.value, ast.Name)
        if direct and of_data(self.attributes[name]):
            return False  # of an object of the program they fail the test
        if id(call) in self.alone:
            return name not in self.looked_at
        return id(call) not in self.turned or (id(call) in self.words and told)


def _with_a_word(node: ast.Compare) -> bool:
    return any(isinstance(n, ast.Constant) and isinstance(n.value, str) for n in ast.walk(node))


def _variable(node: ast.AST) -> str:
    while isinstance(node, (ast.Attribute, ast.Subscript, ast.Call)):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


class _Unchecked:
    """Tests that assert nothing themselves, and names of the program that have to do with a result in them.

    With a test belong those that share a variable with it, or ask the program for something else than entry points.
    """

    def __init__(self, trees: Sequence[ast.AST], others: Collection[str], entry: Collection[str], fed: Fed) -> None:
        self.others, self.entry, self.fed = set(others), set(entry), fed
        self.nodes = [list(ast.walk(tree)) for tree in trees]
        self.names = [{n.id for n in nodes if isinstance(n, ast.Name)} for nodes in self.nodes]
        self.bodies = {n.name: n for nodes in self.nodes for n in nodes if isinstance(n, DEFINITIONS)}
        stored = (
            n for nodes in self.nodes for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)
        )
        self.own = {n.id for n in stored} | self.bodies.keys()

    def judges(self) -> Iterator[str]:
        for index in range(1, len(self.nodes)):  # the first one is the setup
            if not self._checks([index]) and not self._checks(which := self._with(index)):
                names = set().union(*(self.names[i] for i in which))
                told = [self.fed.told[id(n)] for i in which for n in self.nodes[i] if id(n) in self.fed.told]
                yield from told or (sorted(names & self.others) if names & self.entry else [])

    def _checks(self, which: Sequence[int]) -> bool:
        nodes = [n for i in which for n in self.nodes[i]]
        seen: set[str] = set()
        for node in nodes:  # grows
            if isinstance(node, ast.Name) and node.id in self.bodies and node.id not in seen:
                seen.add(node.id)
                nodes += ast.walk(self.bodies[node.id])
        return any(_asserts(node, self.others, self.fed) for node in nodes)

    def _with(self, index: int) -> list[int]:
        found = {i for i, names in enumerate(self.names) if i == index or names & self.others}
        while True:
            shared = self.own & set().union(*(self.names[i] for i in found))
            more = {i for i, names in enumerate(self.names) if i not in found and names & shared}
            if not more:
                return sorted(found)
            found |= more


def _asserts(node: ast.AST, others: Collection[str], fed: Fed) -> bool:
    """Whether the tests themselves fail here, or have their library do it."""
    if isinstance(node, (ast.Assert, ast.Raise)):
        return True
    if not isinstance(node, ast.Call) or _variable(node.func) in others or fed.maker(node.func):
        return False
    name = name_of(node.func)
    return name.startswith(("assert", "fail", "raises", "exit", "warns", "main", "_exit", "debug", "run"))


_FOR_TRUTH = frozenset(("all", "any", "bool", "isinstance", "callable", "hasattr"))


def _turned(trees: Sequence[ast.AST], others: Collection[str]) -> Iterator[ast.AST]:
    """Calls whose result is compared with data, or kept, or handed on: not what stands there for its truth."""
    nodes = [n for tree in trees for n in ast.walk(tree)]
    judging = {name for node in nodes for name in _judging(node, others)}
    for node in nodes:
        if isinstance(node, ast.Compare):
            if not _says_yes_or_no(node, others):
                yield from map(inner, map(_element, (node.left, *node.comparators)))
        elif isinstance(node, ast.Assign):
            if not any(isinstance(t, ast.Name) and t.id in judging for t in node.targets):
                yield inner(node.value)
        elif isinstance(node, ast.Expr):
            yield node.value
        elif isinstance(node, (ast.For, ast.comprehension)):
            yield inner(node.iter)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") not in _FOR_TRUTH:
            yield from map(inner, node.args)


def _judging(node: ast.AST, others: Collection[str]) -> Iterator[str]:
    """Variables that stand for their truth."""
    if isinstance(node, (ast.Assert, ast.If, ast.IfExp, ast.While)):
        yield from (n.id for n in (inner(node.test),) if isinstance(n, ast.Name))
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield from (n.id for n in (inner(node.operand),) if isinstance(n, ast.Name))
    elif isinstance(node, ast.BoolOp):
        yield from (n.id for n in map(inner, node.values) if isinstance(n, ast.Name))
    elif isinstance(node, ast.Compare) and _says_yes_or_no(node, others):
        yield from (n.id for n in map(inner, (node.left, *node.comparators)) if isinstance(n, ast.Name))


def _says_yes_or_no(node: ast.Compare, others: Collection[str]) -> bool:
    """Whether a comparison is one with what says nothing (True, 0), of size, or with another word of the program's."""
    sides = [node.left, *node.comparators]
    inner = [e for s in sides for e in (s.elts if isinstance(s, (ast.List, ast.Tuple)) else [s])]
    constants = [s.value for s in inner if isinstance(s, ast.Constant)]
    judged = any(root(n.func) in others for s in sides[1:] for n in ast.walk(s) if isinstance(n, ast.Call))
    equal = all(isinstance(op, ast.Eq) for op in node.ops)
    return judged or not equal or any(v is None or v in (0, 1) for v in constants)


def _element(node: ast.expr) -> ast.expr:
    return node.elt if isinstance(node, (ast.ListComp, ast.SetComp)) else node
