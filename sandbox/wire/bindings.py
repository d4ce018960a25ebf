"""Which names each scope of a module binds, by Python's own rules.

A parameter, a variable of a function or of a comprehension is nothing to the module: ``def run(solve, x): return solve(x)``
leaves ``run(solve, 3)`` the program's ``solve``.
"""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_WITH_PARAMETERS = (*FUNCTIONS, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
_NAMED = (*FUNCTIONS, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_OPENING = (*_WITH_PARAMETERS, ast.ClassDef, *_COMPREHENSIONS)


@dataclass(frozen=True, slots=True, eq=False)
class Scope:
    """Names that a function, a class or a comprehension binds, and those that it declares to be the module's."""

    of_class: bool
    bound: frozenset[str]
    of_module: frozenset[str]


def is_local(name: str, scopes: Sequence[Scope]) -> bool:
    """Whether a name is bound in one of the scopes around where it stands. The innermost is the last."""
    return _owner(name, scopes) is not None


def _owner(name: str, scopes: Sequence[Scope]) -> Scope | None:
    for depth, scope in enumerate(reversed(scopes)):
        if scope.of_class and depth:  # functions in a class do not see its names
            continue
        if name in scope.of_module or name in scope.bound:
            return scope if name not in scope.of_module else None
    return None


# By the scope that has a name (None: the module): where it stands, and whether that is in this very scope.
Variables = dict[tuple[Scope | None, str], list[tuple[ast.AST, bool]]]


def is_read(name: ast.AST) -> bool:
    return isinstance(getattr(name, "ctx", None), ast.Load)


def variables(tree: ast.AST) -> Variables:
    """Where each name of a module is read and bound."""
    found: Variables = {}
    waiting: list[tuple[list[ast.AST], tuple[Scope, ...]]] = [([tree], ())]
    while waiting:
        parts, scopes = waiting.pop()
        for node in _nodes(parts):
            for name in [node.id] if isinstance(node, ast.Name) else bound_by(node):
                owner = _owner(name, scopes)
                found.setdefault((owner, name), []).append((node, owner is (scopes[-1] if scopes else None)))
            if isinstance(node, _OPENING):
                scope = scope_of(node)
                waiting.append((_within(node), (*scopes, scope)))
                for argument in parameters(node) if isinstance(node, _WITH_PARAMETERS) else ():
                    found.setdefault((scope, argument.arg), []).append((argument, True))
    return found


def read_and_bound(tree: ast.AST) -> tuple[set[str], set[str]]:
    """Names that a module reads, from whatever function, and those that it binds."""
    return of_module(variables(tree))


def of_module(found: Variables) -> tuple[set[str], set[str]]:
    read: set[str] = set()
    bound: set[str] = set()
    for (owner, name), nodes in found.items():
        for node, _ in nodes if owner is None else ():
            (read if is_read(node) else bound).add(name)
    return read, bound


def scope_of(node: ast.AST) -> Scope:
    arguments = parameters(node) if isinstance(node, _WITH_PARAMETERS) else []
    of_types = [getattr(p, "name", "") for p in getattr(node, "type_params", ())]
    return _scope(node, isinstance(node, ast.ClassDef), _within(node), [*(a.arg for a in arguments), *of_types])


def outside(node: ast.AST) -> list[ast.AST]:
    """The parts of what opens a scope that are evaluated where it stands."""
    if isinstance(node, _COMPREHENSIONS):
        return [node.generators[0].iter]
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
    if not isinstance(node, _WITH_PARAMETERS):
        return []
    parts: list[Any] = [*node.args.defaults, *node.args.kw_defaults, *getattr(node, "decorator_list", ())]
    if not getattr(node, "type_params", None):
        parts += _annotations(node)
    return [part for part in parts if part is not None]


def _within(node: ast.AST) -> list[ast.AST]:
    if isinstance(node, _COMPREHENSIONS):
        first, *others = node.generators
        items: list[ast.AST] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        return [*items, first.target, *first.ifs, *others]
    if isinstance(node, ast.Lambda):
        return [node.body]
    body = list(node.body)  # type: ignore[attr-defined]
    return [*body, *(a for a in _annotations(node) if a)] if getattr(node, "type_params", None) else body


def parameters(node: Any) -> list[ast.arg]:
    """Of a function."""
    found = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs, node.args.vararg, node.args.kwarg]
    return [a for a in found if a is not None]


def _annotations(node: ast.AST) -> list[Any]:
    if not isinstance(node, _WITH_PARAMETERS):
        return []
    return [*(a.annotation for a in parameters(node)), getattr(node, "returns", None)]


def parts_of(node: ast.AST) -> Iterable[ast.AST]:
    """The parts of a node that are evaluated in the scope where it stands."""
    return outside(node) if isinstance(node, _OPENING) else ast.iter_child_nodes(node)


def _nodes(parts: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """What is evaluated in one scope; of what opens another, nothing of what is evaluated there."""
    waiting = list(parts)
    while waiting:
        yield (node := waiting.pop())
        waiting += parts_of(node)


def _scope(node: ast.AST, of_class: bool, parts: Iterable[ast.AST], bound: Iterable[str]) -> Scope:
    names, of_module = set(bound), set()
    for inner in _nodes(parts):
        names |= set(bound_by(inner))
        if isinstance(inner, ast.Global):
            of_module |= set(inner.names)
        elif isinstance(inner, _COMPREHENSIONS) and not isinstance(node, _COMPREHENSIONS):
            names |= _named_in(inner)
    if isinstance(node, _COMPREHENSIONS):
        names -= _named_in(node)
    return Scope(of_class, frozenset(names), frozenset(of_module))


def _named_in(comprehension: ast.AST) -> set[str]:
    """Names that ``:=`` binds, around the comprehension."""
    named = (n.target for n in ast.walk(comprehension) if isinstance(n, ast.NamedExpr))
    return {t.id for t in named if isinstance(t, ast.Name)}


def bound_by(node: ast.AST) -> Iterator[str]:
    """Names that a node binds by itself."""
    if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
        yield node.id
    elif isinstance(node, ast.alias):
        yield (node.asname or node.name).partition(".")[0]
    elif isinstance(node, _NAMED):
        yield from [node.name] if node.name else []
    elif isinstance(node, ast.MatchMapping):
        yield from [node.rest] if node.rest else []


def bound_anywhere(trees: Iterable[ast.AST]) -> set[str]:
    """Names that are assigned, imported, defined or parameters, in whatever scope."""
    return bound_by_any([node for tree in trees for node in ast.walk(tree)])


def bound_by_any(nodes: Iterable[ast.AST]) -> set[str]:
    nodes = list(nodes)
    return {name for node in nodes for name in bound_by(node)} | {n.arg for n in nodes if isinstance(n, ast.arg)}


class ScopedTransformer(ast.NodeTransformer):
    """Knows in which scopes the node stands that it visits.

    Args:
        taken: names of the module.
    """

    def __init__(self, taken: Collection[str]) -> None:
        self._taken = taken
        self.scopes: list[Scope] = []
        self._outside: dict[int, ast.AST] = {}

    def visit(self, node: ast.AST) -> Any:
        if self._outside.pop(id(node), None) is None:
            return super().visit(node)
        inner = self.scopes.pop()
        found = super().visit(node)
        self.scopes.append(inner)
        return found

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if not isinstance(node, _OPENING):
            return super().generic_visit(node)
        self._outside |= {id(part): part for part in outside(node)}
        self.scopes.append(scope_of(node))
        super().generic_visit(node)
        self.scopes.pop()
        return node

    def is_local(self, name: str) -> bool:
        return is_local(name, self.scopes)

    def is_built_in(self, node: ast.AST, names: Collection[str]) -> bool:
        """Whether it is one of these names, and nothing that the module or a scope around it has by that name."""
        return (
            isinstance(node, ast.Name)
            and node.id in names
            and node.id not in self._taken
            and not self.is_local(node.id)
        )
