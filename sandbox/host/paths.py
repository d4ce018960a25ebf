"""Where what the tests hold may have come from, and what they ask of it.

A path: ``f`` (a name of the program), ``f()`` (what it returns), ``.next`` (an attribute of that name, of whatever),
``.next()``, ``f()[]`` (something in it, however deep), ``*f()`` (something of the tests' own that holds such) and ``'put``
(this text, where tests ask for attributes by name). The referee follows the same paths at run time.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterable, Iterator, Sequence

from ..wire.source import name_of, unparse

_SAME = frozenset(("sorted", "reversed", "list", "tuple", "set", "iter", "nlargest", "nsmallest"))  # keep the items
_PUT = frozenset(("heappush", "append", "appendleft", "insert", "add"))  # that put their last argument into the first
_ITEM = frozenset(("next", "min", "max", "heappop", "heappushpop", "heapreplace"))  # that give one of them
_GREATEST = frozenset(("min", "max"))  # that give one of their arguments, if there are more
_UNARY = frozenset(("abs", "round"))  # operators by name
_ITEMS = frozenset(("zip", "enumerate"))  # that hold them with something else
_VIEWS = frozenset(("items", "values", "copy"))  # methods of data that keep what it holds
_TAKEN = frozenset(("get", "pop", "popleft", "setdefault"))  # that give it
_AWAITED = frozenset(("run", "run_until_complete", "wait_for"))
_BY_NAME = frozenset(("getattr", "methodcaller", "eval", "globals"))  # what finds names by their text
_WRITTEN = frozenset(("loads", "literal_eval", "split", "splitlines"))  # that read a list from a text
_LONGEST_NAME, _LONGEST_LIST = 60, 4000


def _item(paths: set[str]) -> set[str]:
    return {p[1:] if p.startswith("*") else p if p.endswith("[]") else f"{p}[]" for p in paths}


def _held(paths: set[str]) -> set[str]:
    return {f"*{p}" for p in paths}


def _texts(paths: set[str]) -> set[str]:
    return {p[1:] for p in paths if p.startswith("'")}


class Trace:
    """The paths of one set of tests.

    Attributes:
        trees: what was read.
    """

    def __init__(self, trees: Sequence[ast.AST]) -> None:
        self.trees = trees
        self._by_name = any(name_of(n) in _BY_NAME for n in self._walk())
        self._functions: dict[str, ast.FunctionDef | ast.Lambda] = {
            n.name: n for n in self._walk() if isinstance(n, ast.FunctionDef)
        }
        for node in self._walk():
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda):
                self._functions |= {t.id: node.value for t in node.targets if isinstance(t, ast.Name)}
        self._literals = {
            t.id: n.value
            for n in self._walk()
            if isinstance(n, ast.Assign) and isinstance(n.value, (ast.List, ast.Tuple))
            for t in n.targets
            if isinstance(t, ast.Name)
        }
        self._bound_names = {n.name for n in self._walk() if isinstance(n, ast.ClassDef)} | set(dir(builtins))
        self._known: dict[str, set[str]] = {}  # what each variable and attribute may hold, each function return
        for _ in range(3):  # chains of assignments settle in a few rounds
            for target, paths in self._bindings():
                if found := paths - {target}:
                    self._known.setdefault(target, set()).update(found)

    def _walk(self) -> Iterator[ast.AST]:
        return (node for tree in self.trees for node in ast.walk(tree))

    def asked(self) -> dict[str, set[str]]:
        """For each path, the attributes that the tests ask of what came by it."""
        found: dict[str, set[str]] = {}
        for node in self._walk():
            for paths, attributes in self._asked_by(node):
                for path in paths:
                    found.setdefault(path, set()).update(attributes)
        return found

    def _asked_by(self, node: ast.AST) -> Iterator[tuple[set[str], set[str]]]:
        if isinstance(node, ast.Attribute):
            yield self.of(node.value), {node.attr}
        elif isinstance(node, ast.Call) and self._by_name:
            if getattr(node.func, "id", "") == "getattr" and len(node.args) > 1:
                yield self._asked_by_name(node.args[0], node.args[1])
            elif (
                isinstance(node.func, ast.Call)
                and _called(node.func) == "methodcaller"
                and node.func.args
                and node.args
            ):
                yield self._asked_by_name(node.args[0], node.func.args[0])
        elif isinstance(node, ast.Match):
            for case in node.cases:
                yield from self._asked_in(case.pattern, self.of(node.subject))

    def _asked_by_name(self, owner: ast.AST, name: ast.AST) -> tuple[set[str], set[str]]:
        """Which of some texts it is, is not known: that is believed only of what the name of a class made."""
        paths = self.of(owner)
        if not isinstance(name, ast.Constant):
            paths = {p for p in paths if p[:1].isupper()}
        return paths, _texts(self.of(name)) - {p.removesuffix("()") for p in paths}

    def _asked_in(self, pattern: ast.AST | None, paths: set[str]) -> Iterator[tuple[set[str], set[str]]]:
        """What a pattern asks of its subject: ``P(x=1)`` the attribute, and whether it is a ``P``, which no data is."""
        if isinstance(pattern, ast.MatchClass) and getattr(pattern.cls, "id", "") in self._bound_names:
            return  # a kind of data, or of the task's objects
        if isinstance(pattern, ast.MatchClass):
            yield paths, {*pattern.kwd_attrs, f"({unparse(pattern.cls)})"}
            for name, inner in zip(pattern.kwd_attrs, pattern.kwd_patterns, strict=True):
                yield from self._asked_in(inner, {f".{name}"})
        elif isinstance(pattern, ast.MatchSequence):
            for inner in pattern.patterns:
                yield from self._asked_in(inner, _item(paths))
        elif isinstance(pattern, ast.MatchOr):
            for inner in pattern.patterns:
                yield from self._asked_in(inner, paths)
        elif isinstance(pattern, ast.MatchAs):
            yield from self._asked_in(pattern.pattern, paths)

    def of(self, node: ast.AST | None) -> set[str]:
        """The paths by which an expression's value may have come."""
        if isinstance(node, ast.Name):
            return self._known.get(node.id, {node.id})
        if isinstance(node, ast.Attribute):
            return self._attribute(node.attr)
        if isinstance(node, ast.Call):
            return self._of_call(node)
        if isinstance(node, ast.Subscript):
            if _called(node.value) in ("globals", "locals", "vars"):
                return _texts(self.of(node.slice))
            if _is_of_types(node.slice):
                return self.of(node.value)  # Box[int]
            return _item(self.of(node.value))
        if isinstance(node, (ast.Starred, ast.Await, ast.NamedExpr)):
            return self.of(node.value)
        if isinstance(node, (ast.ListComp, ast.SetComp, ast.GeneratorExp)):
            return _held(self.of(node.elt))
        if isinstance(node, ast.DictComp):
            return _held(self.of(node.value))
        return self._of_parts(node)

    def _of_parts(self, node: ast.AST | None) -> set[str]:
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return _held(self._of_all(node.elts))
        if isinstance(node, ast.Dict):
            texts = {p for p in self._of_all(k for k in node.keys if k is not None) if p.startswith("'")}
            return _held(self._of_all(node.values) | texts)
        if isinstance(node, ast.IfExp):
            return self._of_all([node.body, node.orelse])
        if isinstance(node, (ast.BinOp, ast.UnaryOp)):  # of objects of a class it makes another one
            operands = [node.left, node.right] if isinstance(node, ast.BinOp) else [node.operand]
            return {p for p in self._of_all(operands) if p[:1].isupper()}
        if isinstance(node, ast.Constant) and self._by_name and isinstance(node.value, str):
            if node.value.isidentifier():
                return {f"'{node.value}"} if len(node.value) < _LONGEST_NAME else set()
            return {f"*'{name}" for name in re.findall(r"\b[A-Za-z_]\w{,60}\b", node.value[:_LONGEST_LIST])}
        return self._of_all(node.values) if isinstance(node, ast.BoolOp) else set()

    def _of_all(self, nodes: Iterable[ast.AST]) -> set[str]:
        return set().union(*(self.of(node) for node in nodes))

    def _attribute(self, name: str) -> set[str]:
        return {f".{name}"} | self._known.get(f".{name}", set())

    def _of_call(self, node: ast.Call) -> set[str]:
        function = node.func.id if isinstance(node.func, ast.Name) else ""
        if isinstance(node.func, ast.Attribute) and getattr(node.func.value, "id", "") == "heapq":
            function = node.func.attr
        if function in _SAME:
            return self._of_all(node.args)
        if function in _GREATEST and len(node.args) > 1:
            return set().union(*(_item(self.of(a)) if isinstance(a, ast.Starred) else self.of(a) for a in node.args))
        if function in _UNARY:
            return {p for p in self._of_all(node.args[:1]) if p[:1].isupper()}
        if (function == "sum" or name_of(node.func) == "reduce") and function not in self._functions:
            return self._folded(node) | {f"{p}()" for p in self.of(node.func)}
        if function in _ITEM or function in _ITEMS:
            items = _item(self._of_all(node.args))
            return items if function in _ITEM else _held(items)
        if function == "eval":
            return _texts(self._of_all(node.args[:1]))
        if function == "getattr" and len(node.args) > 1:
            return set().union(*(self._attribute(name) for name in _texts(self.of(node.args[1]))))
        if isinstance(node.func, ast.Attribute) and node.func.attr in _WRITTEN and self._by_name:
            return {p for p in self._of_all([*node.args, node.func.value]) if p.startswith(("'", "*'"))}
        if isinstance(node.func, ast.Attribute) and node.func.attr in _AWAITED:
            return self._of_all(node.args) | {f".{node.func.attr}()"}
        if isinstance(node.func, ast.Attribute) and node.func.attr in _VIEWS | _TAKEN:
            base = self.of(node.func.value)
            return {f".{node.func.attr}()"} | (base if node.func.attr in _VIEWS else _item(base))
        if f"{function}()" in self._known:  # a function of the tests
            return self._known[f"{function}()"]
        return {f"{p}()" for p in self.of(node.func)}

    def _folded(self, node: ast.Call) -> set[str]:
        """``sum(items, start)`` and ``reduce(function, items, start)``: of objects of a class they make another one."""
        arguments = node.args if name_of(node.func) == "sum" else node.args[1:]
        start = [*arguments[1:], *(keyword.value for keyword in node.keywords)]
        paths = _item(self._of_all(arguments[:1])) | self._of_all(start)
        return {p for p in paths if p[:1].isupper() and not p.endswith("[]")}

    def _bindings(self) -> Iterator[tuple[str, set[str]]]:
        for name, function in self._functions.items():
            for node in ast.walk(function):
                if isinstance(node, ast.Return) and node.value is not None:
                    yield f"{name}()", self.of(node.value)
        for node in self._walk():
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    yield from self._bound(target, self.of(node.value), node.value)
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
                yield from self._bound(node.target, self.of(node.value), node.value)
            elif isinstance(node, (ast.For, ast.comprehension)):
                yield from self._bound_by_loop(node.target, node.iter)
            elif isinstance(node, ast.withitem) and node.optional_vars is not None:
                yield from self._bound(node.optional_vars, self.of(node.context_expr), None)
            elif isinstance(node, ast.Call) and _called(node) in _PUT and node.args:
                into = node.func.value if isinstance(node.func, ast.Attribute) else node.args[0]
                into = node.args[0] if _called(node) == "heappush" else into
                if isinstance(into, ast.Name):
                    yield into.id, _held(self.of(node.args[-1]))
            elif isinstance(node, ast.Call) and (called := self._function(node.func)) is not None:
                yield from self._bound_by_call(called.args, node)

    def _function(self, node: ast.AST) -> ast.FunctionDef | ast.Lambda | None:
        """Which function or method of the tests a call is one of."""
        if isinstance(node, ast.Lambda):
            return node
        return self._functions.get(name_of(node))

    def _bound_by_call(self, parameters: ast.arguments, call: ast.Call) -> Iterator[tuple[str, set[str]]]:
        positional = [p.arg for p in (*parameters.posonlyargs, *parameters.args)]
        if isinstance(call.func, ast.Attribute) and positional[:1] in (["self"], ["cls"]):
            positional = positional[1:]
        for name, value in zip(positional, call.args, strict=False):
            yield name, self.of(value)
        if parameters.vararg is not None:
            yield parameters.vararg.arg, _held(self._of_all(call.args[len(positional) :]))
        named = {*positional, *(p.arg for p in parameters.kwonlyargs)}
        for keyword in call.keywords:
            if keyword.arg in named:
                yield str(keyword.arg), self.of(keyword.value)
            elif parameters.kwarg is not None:
                yield parameters.kwarg.arg, _held(self.of(keyword.value))

    def _bound_by_loop(self, target: ast.AST, over: ast.AST) -> Iterator[tuple[str, set[str]]]:
        """``for op, args in zip(ops, values)``, and over rows that stand in the tests: each variable has its column."""
        over = self._literals.get(over.id, over) if isinstance(over, ast.Name) else over
        elements = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
        rows = over.elts if isinstance(over, (ast.Tuple, ast.List)) else []
        parts = over.args if isinstance(over, ast.Call) else []
        if _called(over) == "enumerate" and len(elements) == 2 and parts:
            yield from self._bound_by_loop(elements[1], parts[0])
        elif _called(over) == "zip" and len(elements) == len(parts) > 0:
            for element, part in zip(elements, parts, strict=True):
                yield from self._bound_by_loop(element, part)
        elif elements and rows and all(_is_row(row, len(elements)) for row in rows):
            for row in rows:
                yield from self._bound(target, self.of(row), row)
        else:
            yield from self._bound(target, _item(self.of(over)), None)

    def _bound(self, target: ast.AST, paths: set[str], value: ast.AST | None) -> Iterator[tuple[str, set[str]]]:
        if isinstance(target, ast.Name):
            yield target.id, paths
        elif isinstance(target, ast.Attribute):
            yield f".{target.attr}", paths
        elif isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            yield target.value.id, _held(paths)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = (
                value.elts if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(target.elts) else None
            )
            for index, element in enumerate(target.elts):
                if parts is None:  # an item, or a part of one: zip() gives both in one
                    yield from self._bound(element, _item(paths) | paths, None)
                else:
                    yield from self._bound(element, self.of(parts[index]), parts[index])
        elif isinstance(target, ast.Starred):
            yield from self._bound(target.value, _held(paths), None)


def _is_of_types(node: ast.AST) -> bool:
    names = node.elts if isinstance(node, ast.Tuple) else [node]
    return bool(names) and all(
        isinstance(n, ast.Name) and isinstance(getattr(builtins, n.id, None), type) for n in names
    )


def _is_row(node: ast.AST, length: int) -> bool:
    return isinstance(node, (ast.Tuple, ast.List)) and len(node.elts) == length


def _called(node: ast.AST) -> str:
    """The name of what an expression calls; nothing if it calls none."""
    return name_of(node.func) if isinstance(node, ast.Call) else ""
