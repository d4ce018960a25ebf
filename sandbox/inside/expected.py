"""What the tests say of a class of the program that is not under test: ``f(1) == P(1, 2)``, and ``case P(x=1)``.

The class is the program's, and so would be its ``__eq__``. So ``P(1, 2)`` is not made: it stays with the tests, the program is
told nothing of it, and what it gave is asked for its attributes, which are compared here with 1 and 2.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from ..wire import codec
from ..wire.source import name_of
from .compared import Deciding
from .comparisons import ORDERS
from .held import producer
from .proxy import Proxy

_EQUALS = frozenset(
    ("Equal", "Equals", "NotEqual", "In", "NotIn", "ListEqual", "CountEqual", "TupleEqual", "DictEqual")
)


@dataclass(slots=True)
class _Wanted:
    """A call of a class of the program, which is made when it has to be."""

    ask: Callable[..., Any]
    kind: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: list[Any] = field(default_factory=list)
    compared: bool = False  # with what the program gave


class Expected(Deciding):
    """An object of a class of the program, as the tests would make it; made where they do more than compare it."""

    def __init__(self, ask: Callable[..., Any], kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.__dict__["__referees__"] = _Wanted(ask, kind, args, kwargs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expected) or _is_made_by_tests(self, other):
            return _equal_as_made(self, other)
        _wanted(self).compared = True
        ask, kind, args, kwargs = (wanted := _wanted(self)).ask, wanted.kind, wanted.args, wanted.kwargs
        told = ask("parameters", kind)
        if type(told) is not list or not all(type(p) is list and len(p) == 2 and type(p[0]) is str for p in told):
            raise codec.NotData("not the parameters of a class")
        parameters = dict(told)
        names = list(parameters)
        if len(args) > len(names):
            raise codec.NotData(f"more values than {kind} has parameters")
        by_position = dict(zip(names, args, strict=False))
        if by_position.keys() & kwargs.keys():
            raise codec.NotData(f"{kind} takes more than one value for the same parameter")
        given = {**by_position, **kwargs}
        attributes = {n: given[n] if n in given else _default(n, parameters[n]) for n in [*names, *given]}
        if isinstance(other, Proxy):
            found = ask("attributes", other, kind, list(attributes))
        else:
            found = list(other) if isinstance(other, codec.Record) and list(other._fields) == list(attributes) else None
        return isinstance(found, list) and len(found) == len(attributes) and found == list(attributes.values())

    def __hash__(self) -> int:
        raise TypeError("an object of a class of the program is compared by its attributes, and has no hash here")

    def __getattr__(self, name: str) -> Any:
        return getattr(made(self), name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(made(self), name, value)

    def __repr__(self) -> str:
        return "<expected>"

    def __bool__(self) -> bool:
        return bool(made(self))


def _wanted(expected: Expected) -> _Wanted:
    return object.__getattribute__(expected, "__dict__")["__referees__"]


def made(expected: Expected) -> Any:
    """The object itself, made by the program."""
    wanted = _wanted(expected)
    if not wanted.made:
        wanted.made.append(wanted.kind(*wanted.args, **wanted.kwargs))
    return wanted.made[0]


def _is_made_by_tests(expected: Expected, other: object) -> bool:
    kind = _wanted(expected).kind
    return type(other) is Proxy and producer(other) == f"{producer(kind)}()"


def _equal_as_made(one: Expected, other: Any) -> bool:
    """Two that the tests have made: nothing but their class says whether they are equal."""
    ours, theirs = made(one), made(other) if isinstance(other, Expected) else other
    if type(ours) is not Proxy or type(theirs) is not Proxy:
        return bool(ours == theirs)
    return _wanted(one).ask("eq", ours, theirs) is True


def make_unasked(expected: Iterable[Expected]) -> None:
    """Make those that the tests have neither made nor compared with what the program gave: it may be that none can be made."""
    for one in expected:
        if not _wanted(one).compared:
            made(one)


def _of_made(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on the object itself, which may have come over as data: a named tuple, a member of an IntEnum."""
    return lambda self, *operands: operation(made(self), *operands)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{n: getattr(builtins, n) for n in ("iter", "next", "len", "str", "format", "abs", "int", "float")},
    **{n: getattr(operator, n) for n in ("contains", "getitem", "setitem", "call", "neg")},
    **{n: getattr(operator, n) for n in (*ORDERS, "add", "sub", "mul", "truediv")},
    **{n: getattr(Proxy, f"__{n}__") for n in ("enter", "exit", "await")},
    "radd": lambda made, other: other + made,
    "rsub": lambda made, other: other - made,
    "rmul": lambda made, other: other * made,
}
for _name, _operation in _OPERATIONS.items():
    setattr(Expected, f"__{_name}__", _of_made(_operation))


def _default(name: str, default: Any) -> Any:
    if not default:
        raise TypeError(f"no value is given for {name!r}")
    return default[0]


class _Kind(type):
    """A class for a pattern: ``case`` takes nothing else."""

    of: Any
    helper: Any

    def __instancecheck__(cls, value: Any) -> bool:
        if isinstance(value, codec.Record):
            return value._fields == cls.__match_args__
        return bool(cls.helper.isinstance(value, cls.of))

    @property
    def __match_args__(cls) -> tuple[str, ...]:
        names = cls.helper.ask("getattr", cls.of, "__match_args__")
        if type(names) is not tuple or not all(type(n) is str for n in names):
            raise TypeError("the class has no positional patterns")
        return names


class Kinds:
    """Classes of the program by name, for patterns."""

    def __init__(self, helper: Any, namespace: dict[str, Any]) -> None:
        self._helper, self._namespace = helper, namespace

    def __getattr__(self, name: str) -> Any:
        if name not in self._namespace:
            raise NameError(f"name {name!r} is not defined")
        found = self._namespace[name]
        return found if type(found) is not Proxy else _Kind(name, (), {"of": found, "helper": self._helper})


class MarkExpected(ast.NodeTransformer):
    """``P(1, 2)`` where it is compared, kept for it, or handed to a function of the tests: as `Expected`.

    In a ``with`` or a ``try`` only where it is compared: it may be the making that is tested.

    Args:
        classes: names of the program in the form of a class's that are not under test.
        marked: makes a call of the helper.
    """

    def __init__(self, tree: ast.AST, classes: frozenset[str], marked: Callable[..., ast.expr]) -> None:
        self.classes, self.marked = classes, marked
        self.functions = {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
        self.trying = 0

    def visit_With(self, node: Any) -> Any:
        self.trying += 1
        self.generic_visit(node)
        self.trying -= 1
        return node

    visit_AsyncWith = visit_Try = visit_TryStar = visit_With

    def _value(self, node: Any) -> Any:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.classes:
            arguments = [self._value(a) for a in node.args]
            keywords = [ast.keyword(k.arg, self._value(k.value)) for k in node.keywords]
            return self.marked("expected", node.func, *arguments, keywords=keywords)
        if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
            node.elts = [self._value(e) for e in node.elts]
            return node
        if isinstance(node, ast.Dict):
            node.values = [self._value(v) for v in node.values]
            return node
        return self.visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        sides = [node.left, *node.comparators]
        if any(map(_is_literal, sides)):  # of what the class makes, this is the test
            sides = [s if _is_literal(s) else self.marked("made", self.visit(s)) for s in sides]
        elif all(isinstance(op, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)) for op in node.ops):
            sides = [self._value(side) for side in sides]
        else:
            return self.generic_visit(node)
        node.left, node.comparators = sides[0], sides[1:]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        node.value = self.visit(node.value) if self.trying else self._value(node.value)
        return node

    def visit_Return(self, node: ast.Return) -> ast.AST:
        node.value = node.value and (self.visit(node.value) if self.trying else self._value(node.value))
        return node

    def visit_For(self, node: ast.For) -> ast.AST:
        node.iter = self.visit(node.iter) if self.trying else self._value(node.iter)
        node.body, node.orelse = [self.visit(s) for s in node.body], [self.visit(s) for s in node.orelse]
        return node

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        if node.conversion == ord("r"):
            node.value = self.marked("made", node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        name = name_of(node.func)
        if name == "repr":  # of what the class makes, not of what stands for it
            node.args = [self.marked("made", self.visit(a)) for a in node.args]
            return node
        compares = name.removeprefix("assert") in _EQUALS or name in ("assert_equal", "eq_") or name in self.functions
        if not compares or (name not in self.functions and any(map(_is_literal, node.args))):
            return self.generic_visit(node)
        node.func, node.args = self.visit(node.func), [self._value(a) for a in node.args]
        node.keywords = [ast.keyword(k.arg, self._value(k.value)) for k in node.keywords]
        return node


def _is_literal(node: ast.AST) -> bool:
    return not any(isinstance(n, (ast.Name, ast.Call)) for n in ast.walk(node))
