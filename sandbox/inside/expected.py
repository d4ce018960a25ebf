"""What the tests say of a class of the program that is not under test: ``f(1) == P(1, 2)``, and ``case P(x=1)``.

The class is the program's, and so would be its ``__eq__``. So ``P(1, 2)`` is not made: it stays with the tests, the program is
told nothing of it, and what it gave is asked for its attributes, which are compared here with 1 and 2.
"""

from __future__ import annotations

import ast
import builtins
import operator
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ..wire import codec
from ..wire.source import name_of
from .clauses import TAKING
from .compared import Deciding
from .comparisons import ORDERS
from .held import producer
from .proxy import Proxy

_EQUALS = frozenset(
    ("Equal", "Equals", "NotEqual", "In", "NotIn", "ListEqual", "CountEqual", "TupleEqual", "DictEqual")
)
# Other names by which tests compare, or execute what does.
_COMPARING = frozenset(
    ("eq", "ne", "eq_", "contains", "countOf", "indexOf", "index", "count", "remove", "eval", "exec")
)
_COMPARING |= {"__eq__", "__ne__", "__contains__", "compile", "call"}

# Of which a class may be derived that has no `__init__` of its own: it is made of what they are.
_DATA = {kind.__name__: kind for kind in codec.DATA}


@dataclass(slots=True)
class _Wanted:
    """A call of a class of the program, which is made when it has to be."""

    ask: Callable[..., Any]
    kind: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made: list[Any] = field(default_factory=list)
    asked: bool = False  # to be made, or compared with what the program gave


class Expected(Deciding):
    """An object of a class of the program, as the tests would make it; made where they do more than compare it."""

    def __init__(self, ask: Callable[..., Any], kind: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.__dict__["__referees__"] = _Wanted(ask, kind, args, kwargs)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Expected) or _is_made_by_tests(self, other):
            return _equal_as_made(self, other)
        _wanted(self).asked = True
        ask, kind, args, kwargs = (wanted := _wanted(self)).ask, wanted.kind, wanted.args, wanted.kwargs
        told = ask("parameters", kind)
        if type(told) is str and (data := _DATA.get(told)) is not None:
            return bool(data(*args, **kwargs) == (ask("data", other) if isinstance(other, Proxy) else other))
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

    def __bool__(self) -> bool:
        return bool(made(self))


def _wanted(expected: Expected) -> _Wanted:
    return object.__getattribute__(expected, "__dict__")["__referees__"]


def made(expected: Expected) -> Any:
    """The object itself, made by the program."""
    wanted = _wanted(expected)
    wanted.asked = True
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
        if not _wanted(one).asked:
            made(one)


def _of_made(operation: Callable[..., Any]) -> Callable[..., Any]:
    """An operation on the object itself, which may have come over as data: a named tuple, a member of an IntEnum."""
    return lambda self, *operands: operation(made(self), *operands)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    **{n: getattr(builtins, n) for n in ("iter", "next", "len", "repr", "str", "format", "abs", "int", "float")},
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


# Functions that make containers of what they are given, or go over it.
_GOING_OVER = frozenset(("list", "tuple", "dict", "sorted", "reversed", "iter", "zip", "enumerate", "extend", "update"))
_GOING_OVER |= {"deque", "OrderedDict", "SimpleNamespace", "chain", "cycle", "islice", "product", "zip_longest"}
_KEEPING = frozenset(("append", "appendleft", "insert", "setdefault", "put", "put_nowait", "repeat"))
# Context managers that take no exception: nothing is tested there by its failing.
_TAKING_NOTHING = frozenset(("subTest", "redirect_stdout", "redirect_stderr", "nullcontext", "localcontext", "closing"))
_TAKING_NOTHING |= {
    "ThreadPoolExecutor",
    "Pool",
    "ThreadPool",
    "TaskGroup",
    "timeout",
    "object",
    "patch",
    "Lock",
    "lock",
}


class MarkExpected(ast.NodeTransformer):
    """``P(1, 2)`` where it is compared, kept for it in whatever a test keeps things in, or handed to a function or a class
    of the tests: as `Expected`.

    It is made at once where it stands alone, has an operation of its own, or is handed to anything else; and where its
    failing may be what is tested, in a ``try`` or in a ``with``, unless a name is bound to it that is asked for there.

    Args:
        classes: names of the program in the form of a class's that are not under test.
        takers: functions and classes of the tests before.
        marked: makes a call of the helper.
    """

    def __init__(
        self, tree: ast.AST, classes: frozenset[str], takers: Collection[str], marked: Callable[..., ast.expr]
    ) -> None:
        self.classes, self.marked = classes, marked
        self.takers = {*takers, *_defined(tree)} - classes
        self.asked_for: list[set[str]] = []  # the names in each block whose exceptions may be taken

    def visit_With(self, node: ast.With | ast.AsyncWith) -> ast.AST:
        node.items = [self.visit(item) for item in node.items]
        calls = (item.context_expr for item in node.items)
        takes = any(name_of(c.func if isinstance(c, ast.Call) else c) not in _TAKING_NOTHING for c in calls)
        node.body = self._block(node.body, takes)
        return node

    visit_AsyncWith = visit_With

    def visit_Try(self, node: ast.Try | ast.TryStar) -> ast.AST:
        node.body = self._block(node.body, bool(node.handlers))
        node.handlers = [self.visit(handler) for handler in node.handlers]
        node.orelse, node.finalbody = self._block(node.orelse, False), self._block(node.finalbody, False)
        return node

    visit_TryStar = visit_Try

    def _block(self, body: list[ast.stmt], takes: bool) -> list[ast.stmt]:
        nodes = (n for statement in body for n in ast.walk(statement)) if takes else ()
        if takes:
            self.asked_for.append({n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)})
        body = [self.visit(statement) for statement in body]
        if takes:
            self.asked_for.pop()
        return body

    def _bound(self, value: Any, *targets: ast.AST) -> Any:
        """What names are bound to; without any, what leaves a function."""
        names = {n.id for t in targets for n in ast.walk(t) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if value is None or (self.asked_for and not names & self.asked_for[-1]):
            return value and self.visit(value)
        return self._value(value)

    def _value(self, node: Any) -> Any:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.classes:
            arguments = [self._value(a) for a in node.args]
            keywords = [ast.keyword(k.arg, self._value(k.value)) for k in node.keywords]
            return self.marked("expected", node.func, *arguments, keywords=keywords)
        match node:
            case ast.IfExp():
                node.test, node.body, node.orelse = self.visit(node.test), *map(self._value, (node.body, node.orelse))
            case ast.BoolOp():
                node.values = [self._value(v) for v in node.values]
            case _:
                return self._held(node)
        return node

    def _held(self, node: Any) -> Any:
        """What goes over an object itself makes it, and so do its operators; of what is in a container they are none."""
        match node:
            case ast.List() | ast.Tuple() | ast.Set():
                node.elts = [self._value(e) for e in node.elts]
            case ast.Dict():
                node.keys, node.values = [k and self.visit(k) for k in node.keys], [self._value(v) for v in node.values]
            case ast.ListComp() | ast.SetComp() | ast.GeneratorExp():
                node.elt, node.generators = self._value(node.elt), [self.visit(g) for g in node.generators]
            case ast.DictComp():
                node.key, node.value = self.visit(node.key), self._value(node.value)
                node.generators = [self.visit(g) for g in node.generators]
            case ast.BinOp():
                node.left, node.right = self._held(node.left), self._held(node.right)
            case ast.Starred():
                node.value = self._held(node.value)
            case _:
                return self.visit(node)
        return node

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

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        """What a function of the tests gives there is what may fail."""
        returned = self.asked_for and isinstance(node.value, ast.Call) and name_of(node.value.func) in self.takers
        node.value = self.marked("made", self.visit(node.value)) if returned else self.visit(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        if isinstance(node.value, ast.Lambda):
            node.value.body = self._value(node.value.body)
            return node
        node.targets, node.value = [self.visit(t) for t in node.targets], self._bound(node.value, *node.targets)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign | ast.NamedExpr) -> ast.AST:
        node.value = self._bound(node.value, node.target)
        return node

    visit_NamedExpr = visit_AnnAssign

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        node.value = self.visit(node.value) if self.asked_for else self._held(node.value)
        return node

    def visit_Return(self, node: ast.Return | ast.Yield) -> ast.AST:
        node.value = self._bound(node.value)
        return node

    visit_Yield = visit_Return

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.AST:
        node.value = self._held(node.value)
        return node

    def visit_For(self, node: ast.For | ast.AsyncFor) -> ast.AST:
        node.iter = self._bound(node.iter, node.target)
        node.body, node.orelse = [self.visit(s) for s in node.body], [self.visit(s) for s in node.orelse]
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.AST:
        node.iter, node.ifs = self._bound(node.iter, node.target), [self.visit(i) for i in node.ifs]
        return node

    def visit_arguments(self, node: ast.arguments) -> ast.AST:
        node.defaults = [self._value(d) for d in node.defaults]
        node.kw_defaults = [d and self._value(d) for d in node.kw_defaults]
        return node

    def visit_Attribute(self, node: ast.Attribute | ast.Subscript) -> ast.AST:
        """Of a container."""
        node.value = self._held(node.value)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        node.value, node.slice = self._held(node.value), self.visit(node.slice)
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
        if name in TAKING and len(node.args) > 1 and name_of(node.args[1]) in self.takers:
            node.args[1] = self.marked("making", node.args[1])
        compares = name.removeprefix("assert") in _EQUALS or name in ("assert_equal", "eq_") or name in self.takers
        if compares and name not in self.takers and any(map(_is_literal, node.args)):
            return self.generic_visit(node)
        going_over = name in _GOING_OVER
        if not (compares or going_over or name in _KEEPING) or (self.asked_for and not compares):
            return self.generic_visit(node)
        node.func = self.visit(node.func)
        node.args = [self._held(a) if going_over else self._value(a) for a in node.args]
        node.keywords = [ast.keyword(k.arg, self._value(k.value)) for k in node.keywords]
        return node


def may_compare(trees: Iterable[ast.AST]) -> bool:
    """Whether texts may compare an object of theirs with a result; where they do not, they make one for what the making does."""
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Compare) and not any(map(_is_literal, (node.left, *node.comparators))):
            return True
        name = node.name if isinstance(node, ast.alias) else name_of(node)
        if isinstance(node, ast.MatchValue) or name.startswith("assert") or name in _COMPARING:
            return True
    return False


def _defined(tree: ast.AST) -> Iterator[str]:
    """Functions and classes, and named tuples."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign) and (isinstance(node.value, ast.Lambda) or _makes_class(node.value)):
            yield from (t.id for t in node.targets if isinstance(t, ast.Name))


def _makes_class(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and name_of(node.func) in ("namedtuple", "NamedTuple", "make_dataclass")


def _is_literal(node: ast.AST) -> bool:
    return not any(isinstance(n, (ast.Name, ast.Call)) for n in ast.walk(node))
