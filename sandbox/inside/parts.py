"""What an expression of the tests is made of, where it goes over all of that and says whether there is nothing in it.

What is kept of the items meanwhile, under another name or by a function of the tests, may be what it is compared with, or
decide what is checked: ``(r := list(x)) == [5] * len(r)``, ``list(map(seen.append, x)) == [None] * len(seen)``.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Collection, Iterable, Sequence

from ..wire.source import MAKING, OF_LIBRARY, name_of

_BUILT_IN = frozenset(dir(builtins))
_SETS = frozenset(("set", "frozenset", "dict"))  # which do not say how often something is in them
_WHOLE = MAKING | _SETS | {"deque", "Counter", "str", "repr", "len", "bool"}
# They keep nothing of what they are given.
_HARMLESS = frozenset(
    ("abs", "bytes", "chr", "divmod", "hash", "len", "max", "min", "ord", "pow", "repr", "round", "sum")
)
_HARMLESS |= {"bool", "complex", "dict", "float", "frozenset", "int", "list", "set", "sorted", "str", "tuple", "type"}
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
Part = tuple[ast.expr, bool]


class Parts:
    """
    Args:
        taken: names of the tests and of the program, which are no built-in ones.
        defined: those that are none of the library's either.
        program: those of the program.

    Attributes:
        closed: expressions that give what they are made of a name which is read elsewhere, too.
        named: names that are given to something on the way.
    """

    def __init__(self, taken: Collection[str], defined: Collection[str], program: Collection[str]) -> None:
        self._taken, self._defined, self._program = taken, defined, program
        self.closed: set[ast.NamedExpr] = set()
        self.named: list[ast.Name] = []

    def parts(self, node: ast.expr, keeps: bool = False, alone: bool = False) -> list[Part]:
        """What an expression goes over, or holds, so that it says if that is empty; of some it says so if they stand alone.

        Args:
            keeps: whether it may be made of what keeps the items elsewhere, too.
        """
        match node:
            case ast.Name() | ast.Attribute() | ast.Subscript():
                return [(node, alone)]
            case ast.Await(value=ast.Call() as call):
                parts = self.parts(call, keeps, alone)
                return [(node, alone)] if parts == [(call, alone)] else parts
            case ast.NamedExpr() if keeps or node not in self.closed:
                self.named.append(node.target)
                inner = [node.value]
            case ast.Starred():
                return self.parts(node.value, keeps, alone)
            case ast.Set(elts=[ast.Starred()]):
                return self.parts(node.elts[0], keeps, True)
            case ast.BinOp(op=ast.Add()) if not alone:
                inner = [node.left, node.right]
            case ast.List() | ast.Tuple() if not alone:
                inner = node.elts
            case ast.Dict() if not alone:
                inner = node.values
            case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp():
                inner = [node.generators[0].iter] if self._is_whole(node, keeps) else []
                alone = alone or isinstance(node, (ast.SetComp, ast.DictComp))
            case ast.Call() if not any(isinstance(a, ast.Starred) for a in node.args):
                if not self.is_known(node.func):
                    return [(node, alone)]
                inner, alone = self._gone_over(node, keeps, alone)
            case _:
                return []
        return [part for expression in inner for part in self.parts(expression, keeps, alone)]

    def _is_whole(self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, keeps: bool) -> bool:
        if len(node.generators) > 1 or node.generators[0].ifs:
            return False
        made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
        own = {part.id for part in ast.walk(node.generators[0].target) if isinstance(part, ast.Name)}
        return keeps or not any(self._keeps(part, own) for part in made)

    def _gone_over(self, node: ast.Call, keeps: bool, alone: bool) -> tuple[list[ast.expr], bool]:
        """By a function of Python's own; and whether it must stand alone there."""
        first, several, options = node.args[:1], len(node.args) > 1, {k.arg: k.value for k in node.keywords}
        match name_of(node.func):
            case "iter" | "reversed" | "enumerate" | "islice":
                return first, alone
            case "map" | "starmap" if keeps or not (first and self._keeps_when_called(first[0])):
                return node.args[1:], alone
            case "zip" | "zip_longest" | "chain" as name if name != "chain" or not (alone and several):
                return node.args, alone
            case "sum" if _counts(first):
                return first, alone
            case "sorted" if not several and (keeps or not any(map(self._keeps_when_called, options.values()))):
                return first, alone
            case name if name in _WHOLE and name != "sorted" and not several and not options:
                return first, alone or name in _SETS
            case "next" | "anext" if several and not _makes_items(first):
                return first, True
            case "join" if not _makes_items(first):
                return first, True
            case "max" | "min" if not several and not _makes_items(first) and _is_none(options):
                return first, True
        return [], alone

    def is_known(self, function: ast.expr) -> bool:
        """Whether it is one of Python's own, and none of the tests."""
        name = name_of(function)
        if name in OF_LIBRARY:
            return name not in self._defined
        if isinstance(function, ast.Name):
            return name in _BUILT_IN and name not in self._taken
        return name == "join"

    def is_constant(self, node: ast.expr) -> bool:
        match node:
            case ast.List() | ast.Tuple() | ast.Set():
                return all(map(self.is_constant, node.elts))
            case ast.Dict():
                return all(key is not None and self.is_constant(key) for key in node.keys) and all(
                    map(self.is_constant, node.values)
                )
            case ast.Call(args=[], keywords=[]):
                return self.is_known(node.func)
        return isinstance(node, ast.Constant)

    def _keeps(self, node: ast.AST, own: Collection[str]) -> bool:
        """Whether it may keep an item (``own``: names for it) where the tests find it again."""
        for part in ast.walk(node):
            if isinstance(part, ast.NamedExpr):
                return True
            if isinstance(part, ast.Call) and not self._is_harmless(part.func, own):
                return True
        return False

    def _keeps_when_called(self, function: ast.expr) -> bool:
        if isinstance(function, ast.Lambda):
            return self._keeps(
                function.body, {part.arg for part in ast.walk(function.args) if isinstance(part, ast.arg)}
            )
        return not (self._is_harmless(function, ()) or (isinstance(function, ast.Constant) and function.value is None))

    def _is_harmless(self, function: ast.expr, own: Collection[str]) -> bool:
        """One of Python's own, one of the program, or a method of an item or of a constant."""
        root: ast.AST = function
        while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        if not isinstance(root, ast.Name):
            return isinstance(root, (ast.Constant, ast.JoinedStr))
        if root.id in own:
            return root is not function
        of_python = root.id in _HARMLESS and root.id not in self._taken
        return of_python or (root.id in self._program and root.id not in self._defined)

    def is_plain(self, node: ast.AST) -> bool:
        """Whether it is nothing that the tests have made, but for names."""
        for part in ast.walk(node):
            if isinstance(part, (*_COMPREHENSIONS, ast.Starred)) or (
                isinstance(part, ast.Call) and name_of(part.func) not in self._program
            ):
                return False
        return True


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
