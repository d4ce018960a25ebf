"""What the tests make of a result, and what names that they do not define make of it: objects that are kept and asked later.

``e = expect(f(1))`` has told ``expect`` what ``f`` returned. Whatever is asked of ``e`` is asked of one who knows it.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence

from ..wire.source import name_of
from .paths import Trace

_HANDING = frozenset(("map", "filter", "partial", "starmap", "reduce", "submit"))
_PASSING = frozenset(
    ("getattr", "list", "tuple", "sorted", "reversed", "iter", "next", "zip", "enumerate", "copy", "deepcopy")
)


class Fed:
    """Which expressions come of a result of an entry point, and which are objects of who was told one.

    Args:
        others: names of the program that are no entry points.
    """

    def __init__(self, trees: Sequence[ast.AST], entry: Collection[str], others: Collection[str], trace: Trace) -> None:
        self._entry, self._others, self._trace = entry, others, trace
        self._results: set[str] = set()  # variables, and attributes (`.x`), that hold something made of a result
        self._objects: dict[str, str] = {}  # and those that hold what one of the others has made of it: whose it is
        self.told: dict[int, str] = {}  # calls that tell one of the others a result
        self._makers: set[str] = set()  # the others that make something of it: not only their objects hear of one
        calls = [(n, *asked(n, others, trace)) for t in trees for n in ast.walk(t) if isinstance(n, ast.Call)]
        bindings = [binding for tree in trees for binding in _bindings(tree)]
        before = -1
        while before != (before := len(self._results) + len(self._objects) + len(self.told)):
            for call, name, values in calls:
                if name and any(map(self.is_result, values)):
                    self.told[id(call)] = name
                    self._makers |= {name} if _hands(call) or meant(call.func, others, trace) else set()
            for target, value in bindings:
                self._results |= {target} if self._contains(value) else set()
                if target not in self._objects and (name := self.maker(value)):
                    self._objects[target] = name

    def is_result(self, node: ast.AST) -> bool:
        """Whether a value is an entry point's result, or made of one."""
        paths = self._trace.of(node) | self._trace.of(inner(node))
        return any(result_of(p, self._entry) for p in paths) or self._contains(node) or bool(self.maker(node))

    def _contains(self, node: ast.AST) -> bool:
        for part in ast.walk(node):
            if isinstance(part, ast.Call) and root(part.func) in self._entry:
                return True
            if isinstance(part, ast.Name) and part.id in self._results:
                return True
            if isinstance(part, ast.Attribute) and f".{part.attr}" in self._results:
                return True
        return False

    def maker(self, node: ast.AST | None) -> str:
        """Of what an expression may be an object, or something of one: one of the others that was told a result; or nothing."""
        if isinstance(node, ast.Call):
            passed = node.args if getattr(node.func, "id", "") in _PASSING else []
            return self.told.get(id(node), "") or self._one_of(passed) or self._made(node) or self.maker(node.func)
        if isinstance(node, ast.Name):
            return self._objects.get(node.id, "") or self._made(node)
        if isinstance(node, ast.Attribute):
            return self._objects.get(f".{node.attr}", "") or self._made(node) or self.maker(node.value)
        if isinstance(node, (ast.Subscript, ast.Starred, ast.Await, ast.NamedExpr)):
            return self.maker(node.value)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            return self._one_of(node.elts)
        if isinstance(node, (ast.Dict, ast.BoolOp)):
            return self._one_of(node.values)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return self.maker(node.elt)
        if isinstance(node, ast.DictComp):
            return self.maker(node.value)
        return self._one_of([node.body, node.orelse]) if isinstance(node, ast.IfExp) else ""

    def is_made_of(self, node: ast.AST) -> bool:
        """Whether what `maker` tells was made of a result (``expect(f(1))``), and not only told one later."""
        return self.maker(node) in self._makers

    def _one_of(self, nodes: Iterable[ast.AST]) -> str:
        return next((name for node in nodes if (name := self.maker(node))), "")

    def _made(self, node: ast.AST) -> str:
        heads = {p.strip("*[]").partition("(")[0] for p in self._trace.of(node) if "(" in p}
        return min(heads & set(self.told.values()), default="")


def asked(call: ast.Call, others: Collection[str], trace: Trace) -> tuple[str, list[ast.AST]]:
    """Which of these names a call asks in the end, and what it is told: itself (``same(f(1), 5)``), by what hands it on
    (``map(same, found, expected)``), or by what it has made (``checker.verify(f(1))``).
    """
    values = arguments([call])
    if name := meant(call.func, others, trace):
        return name, values
    if _hands(call) and (name := meant(call.args[0], others, trace)):
        return name, values[1:]
    of = call.func.value if isinstance(call.func, ast.Attribute) else call.func
    if isinstance(of, ast.Call):
        name, before = asked(of, others, trace)
        if name:  # partial(same, 5)(f(1)), expect(f(1)).equal(5)
            return name, [*values, *before]
    made = sorted(p.partition("(")[0] for p in trace.of(of) if p.endswith("()"))
    return next((n for n in made if n in others), ""), values


def meant(node: ast.AST, others: Collection[str], trace: Trace) -> str:
    """Which of these names a function is, or is an attribute of, under whatever name; or none."""
    if (name := root(node)) in others:
        return name
    return min(trace.of(node) & set(others), default="") if isinstance(node, ast.Name) else ""


def _hands(call: ast.Call) -> bool:
    return name_of(call.func) in _HANDING and bool(call.args)


def arguments(nodes: Sequence[ast.AST]) -> list[ast.AST]:
    calls = [n for n in nodes if isinstance(n, ast.Call)]
    return [value for c in calls for value in (*c.args, *(k.value for k in c.keywords))]


def inner(node: ast.AST) -> ast.AST:
    """What an item or an attribute is of."""
    while isinstance(node, (ast.Subscript, ast.Attribute, ast.UnaryOp, ast.Starred)):
        node = node.operand if isinstance(node, ast.UnaryOp) else node.value
    return node


def root(node: ast.AST) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _bindings(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """A variable or an attribute, and what it is bound to."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            pairs = [(target, node.value) for target in node.targets]
        elif isinstance(node, (ast.AnnAssign, ast.AugAssign, ast.NamedExpr)) and node.value is not None:
            pairs = [(node.target, node.value)]
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            pairs = [(node.optional_vars, node.context_expr)]
        elif isinstance(node, (ast.For, ast.comprehension)):
            pairs = [(node.target, node.iter)] if isinstance(node.target, ast.Name) else []
        else:
            continue
        for target, value in pairs:
            if isinstance(target, ast.Name):
                yield target.id, value
            elif isinstance(target, ast.Attribute):
                yield f".{target.attr}", value
            elif isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
                yield from ((t.id, v) for t, v in zip(target.elts, value.elts, strict=False) if isinstance(t, ast.Name))


def result_of(path: str, entry_points: Collection[str]) -> bool:
    return path.lstrip("*").partition("(")[0] in entry_points and "(" in path
