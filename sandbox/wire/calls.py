"""Assert statements as calls: what goes into the program, and what is checked outside with the values that come back.

``assert set(f([1, 2])) == {1, 2}, "message"`` becomes the call ``f([1, 2])``, evaluated by the program's process, and
the check ``set(<value>) == {1, 2}``, evaluated here by a small interpreter over plain data. The expected values stay on
this side. Tests that do not fit (variables, loops, methods of results, exceptions) are left to the referee, and so are
those that ask something of an object that came back.
"""

from __future__ import annotations

import ast
import builtins
import copy
import decimal
import fractions
import functools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from . import codec, shown
from .plain import DATA_NAMES
from .source import unparse

_LONGEST_NUMBER = 100_000  # bits
_LONGEST_SEQUENCE = 1_000_000
_MOST_DIGITS = 1_000
_MOST_ZEROS = 10_000
_WHOLE = (int, fractions.Fraction)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class NotCalls(Exception):
    """This test needs the referee."""


class Raised:
    """Stands for a value: the call raised."""

    def __init__(self, description: Any = None) -> None:
        parts = description if isinstance(description, list) else []
        # Nothing but text: that of a nested list may go deeper than the stack here.
        self.name = shown.written(parts[0][:100]) if parts and isinstance(parts[0], str) else "an unknown error"
        self.text = shown.written(parts[1][:500]) if len(parts) > 1 and isinstance(parts[1], str) else ""
        self.errno = parts[2] if len(parts) > 2 and isinstance(parts[2], int) else None

    def __str__(self) -> str:
        return f"{self.name}: {self.text}" if self.text else self.name


@dataclass(frozen=True, slots=True)
class Plan:
    """One test: the calls it makes (source, whether to spell out an iterator) and its checks, in order."""

    calls: tuple[tuple[str, bool], ...]
    checks: tuple[tuple[ast.expr, tuple[int, ...]], ...]

    def beside(self) -> dict[int, int]:
        """By call, the check that takes its result beside those of others: if two are one list, both are what it is by then."""
        return {slot: n for n, (_, used) in enumerate(self.checks) if len(used) > 1 for slot in used}

    def judge(self, values: list[Any]) -> tuple[bool, str]:
        """(passed, reason). ``values``: one per call, `Raised` where the call raised.

        Raises:
            NotCalls: a check asks for more than whether a value is None, or some data, where an object came back.
        """
        for check, used in self.checks:
            for slot in used:
                if isinstance(values[slot], Raised):
                    return False, f"{_shorten(self.calls[slot][0])} raised {values[slot]}"
            asked = [values[slot] for slot in _slots_asked(check)]
            # An object equals no data, whoever compares: a second process would only say so later.
            if any(map(codec.holds_opaque, asked)) and not (type(asked[0]) is codec.Opaque and _equals_data(check)):
                raise NotCalls
            try:
                passed = bool(_evaluate(check, values))
                detail = ""
            except NotCalls:
                raise
            except Exception as error:
                passed, detail = False, f" ({type(error).__name__}: {error})"[:200]
            if not passed:
                found = [f"{_shorten(self.calls[slot][0])} returned {shown.show(values[slot])}" for slot in used]
                return False, ("; ".join(found) or "the check is false") + detail
        return True, ""


def _slots_asked(check: ast.AST) -> set[int]:
    """Slots of which a check asks more than whether they are None, or another constant."""
    if isinstance(check, _Slot):
        return {check.index}
    if isinstance(check, ast.Compare) and all(isinstance(o, (ast.Is, ast.IsNot)) for o in check.ops):
        others = [side for side in (check.left, *check.comparators) if not isinstance(side, ast.Constant)]
        if len(others) == 1 and isinstance(others[0], _Slot):
            return set()
    return {slot for part in ast.iter_child_nodes(check) for slot in _slots_asked(part)}


def _shorten(text: str) -> str:
    return text if len(text) <= 300 else text[:300] + "..."


# -- planning --------------------------------------------------------------------------------------------------------

_ITERATED = {"list", "tuple", "set", "frozenset", "sorted", "dict"}  # which take all items before they look at one


def _guarded_set(kind: Callable[[Any], Any]) -> Callable[..., Any]:
    return lambda items=(), /: kind(codec.hashable(list(items)))


_BUILT_IN = (
    *("abs", "all", "any", "bool", "float", "int", "isinstance", "len", "list", "max", "min", "round", "sorted", "str"),
    *("sum", "tuple", "type"),
)
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "set": _guarded_set(set),
    "frozenset": _guarded_set(frozenset),
    **{name: getattr(builtins, name) for name in _BUILT_IN},
}
_OF_MATH = (
    *("isclose", "fabs", "sqrt", "floor", "ceil", "log", "log2", "log10", "exp", "sin", "cos", "tan"),
    *("isnan", "isinf"),
)
_MATH = {name: getattr(math, name) for name in _OF_MATH}
_CONSTANTS = {"pi": math.pi, "e": math.e, "inf": math.inf, "nan": math.nan, "tau": math.tau}
_TYPES = {t.__name__: t for t in (bool, bytes, complex, dict, float, frozenset, int, list, set, str, tuple)}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type, Callable[[Any], Any]] = {ast.Not: operator.not_, ast.USub: operator.neg, ast.UAdd: operator.pos}


class _Slot(ast.expr):
    """A place in a check where the value of a call goes."""

    _fields = ()

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index


@dataclass(slots=True)
class _Planner:
    entry_points: frozenset[str]
    foreign: frozenset[str]  # what the tests' side defines: calls with it in their arguments cannot go over
    given: frozenset[str]  # what the setup imports or assigns: the program has it, too, but does not decide by it
    calls: list[tuple[str, bool]] = field(default_factory=list)
    used: list[int] = field(default_factory=list)
    imported: set[str] = field(default_factory=set)
    made: int = 0  # calls that may have made an object of a class under test

    @property
    def _others(self) -> frozenset[str]:
        return self.foreign | self.given

    def expression(self, node: ast.expr, iterate: bool = False) -> ast.expr:
        """``node`` with its calls of the program replaced by slots.

        Raises:
            NotCalls: for anything that `_evaluate` does not know.
        """
        if self._is_call(node):
            self._check_names(node)
            self.made += _is_made(node)
            self.calls.append((unparse(node), iterate))
            self.used.append(len(self.calls) - 1)
            return _Slot(len(self.calls) - 1)
        if isinstance(node, ast.Constant):
            return node
        if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
            return type(node)(elts=[self.expression(e) for e in node.elts])
        if isinstance(node, ast.Dict) and all(k is not None for k in node.keys):
            pairs = [(self.expression(k), self.expression(v)) for k, v in zip(node.keys, node.values, strict=True) if k]
            return ast.Dict([key for key, _ in pairs], [value for _, value in pairs])
        if isinstance(node, ast.UnaryOp) and type(node.op) in _UNARY:
            return ast.UnaryOp(node.op, self.expression(node.operand))
        if isinstance(node, ast.BoolOp):
            return ast.BoolOp(node.op, [self.expression(v) for v in node.values])
        if isinstance(node, ast.BinOp) and type(node.op) in _BINARY:
            return ast.BinOp(self.expression(node.left), node.op, self.expression(node.right))
        if isinstance(node, ast.Compare):
            written = [node.left, *node.comparators]
            if any(isinstance(n, ast.Name) and n.id in _TYPES for side in written for n in _parts(side)) and not any(
                isinstance(side, ast.Call) and getattr(side.func, "id", "") == "type" for side in written
            ):
                raise NotCalls  # f(1) is int: the program's result is a class
            left = self.expression(node.left)
            return ast.Compare(left, node.ops, [self.expression(side) for side in node.comparators])
        if isinstance(node, ast.Subscript):
            return ast.Subscript(self.expression(node.value), self._index(node.slice), node.ctx)
        if isinstance(node, ast.Call):
            return self._function(node)
        if isinstance(node, ast.Name) and node.id in _TYPES and node.id not in self.entry_points | self._others:
            return node
        if self._math_name(node) in _CONSTANTS:
            return ast.Constant(_CONSTANTS[self._math_name(node)])
        raise NotCalls

    def _index(self, node: ast.expr) -> ast.expr:
        if not isinstance(node, ast.Slice):
            return self.expression(node)
        parts = [None if p is None else self.expression(p) for p in (node.lower, node.upper, node.step)]
        return ast.Slice(*parts)

    def _function(self, node: ast.Call) -> ast.expr:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        known = (name in _FUNCTIONS and name not in self._others) or self._math_name(node.func) in _MATH
        if not known or any(k.arg is None for k in node.keywords) or any(k.arg == "key" for k in node.keywords):
            raise NotCalls
        arguments = [self.expression(a, iterate=name in _ITERATED) for a in node.args]
        return ast.Call(node.func, arguments, [ast.keyword(k.arg, self.expression(k.value)) for k in node.keywords])

    def _math_name(self, node: ast.AST) -> str:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "math":
            return node.attr if "math" in self.imported else ""
        return ""

    def _is_call(self, node: ast.AST) -> bool:
        """A call of the program: ``f(...)`` or ``Class(...).method(...)``, whose arguments are inputs.

        Not ``f(...).method(...)``: the argument of a method of a *result* may be the expected value. For the same reason
        not ``F(...).startswith(...)``, whatever ``F`` is.
        """
        if not isinstance(node, ast.Call):
            return False
        if isinstance(node.func, ast.Name):
            name = node.func.id
            if name in self.entry_points:
                return True
            return not self.entry_points and name not in self._others and not hasattr(builtins, name)
        made = node.func.value if isinstance(node.func, ast.Attribute) else None
        method = getattr(node.func, "attr", "")
        if not isinstance(made, ast.Call) or method.startswith("_") or method in DATA_NAMES:
            return False
        return self._is_call(made) and isinstance(made.func, ast.Name) and made.func.id[:1].isupper()

    def _check_names(self, node: ast.AST) -> None:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id in self.foreign | self.imported:
                raise NotCalls
            if isinstance(inner, (ast.Await, ast.Yield, ast.YieldFrom, ast.NamedExpr)):
                raise NotCalls


def _parts(node: ast.expr | None) -> Iterator[ast.expr]:
    """What a literal is made of, however deep."""
    if isinstance(node, (ast.Tuple, ast.List, ast.Set, ast.Dict)):
        inner = [*node.keys, *node.values] if isinstance(node, ast.Dict) else node.elts
        yield from (part for value in inner for part in _parts(value))
    elif node is not None:
        yield node


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self.old, self.new = old, new

    def visit_Name(self, node: ast.Name) -> ast.AST:
        return ast.copy_location(ast.Name(self.new, node.ctx), node) if node.id == self.old else node


def _flatten(statements: list[ast.stmt]) -> list[ast.stmt]:
    """Unfold HumanEval's form: a function ``check(candidate)`` made of asserts, called once with the entry point."""
    functions: dict[str, ast.FunctionDef] = {}  # by the names that they have at that time
    flat: list[ast.stmt] = []
    for statement in statements:
        if isinstance(statement, ast.FunctionDef):
            functions[statement.name] = statement
            if statement.decorator_list or any(isinstance(n, ast.Call) for n in ast.walk(statement.args)):
                raise NotCalls  # which run where they stand
            continue
        asks = any(isinstance(n, ast.Call) for n in ast.walk(statement))
        of_names = isinstance(statement, ast.Assign) and all(isinstance(t, ast.Name) for t in statement.targets)
        if of_names and not asks and not _names_read(statements) & _names_bound(statement):
            continue  # METADATA = {...}; db["x"] = 3 changes what the program has
        call = statement.value if isinstance(statement, ast.Expr) else None
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in functions:
            function = functions[call.func.id]
            parameters = function.args.args
            if len(parameters) != 1 or len(call.args) != 1 or not isinstance(call.args[0], ast.Name) or call.keywords:
                raise NotCalls
            rename = _Rename(parameters[0].arg, call.args[0].id)
            flat += [rename.visit(copy.deepcopy(s)) for s in function.body]
        else:
            flat.append(statement)
    return flat


def _names_read(statements: list[ast.stmt]) -> set[str]:
    nodes = (n for s in statements for n in ast.walk(s))
    return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}


def _names_bound(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def split(test: str) -> list[str]:
    """A test made of nothing but asserts as one test per assert; any other test as it is."""
    try:
        statements = _flatten(ast.parse(test).body)
    except NotCalls:
        return [test]
    if len(statements) < 2 or not all(isinstance(s, ast.Assert) for s in statements):
        return [test]
    return [unparse(s) for s in statements]


@functools.lru_cache(maxsize=8192)
def plan(
    test: str, entry_points: frozenset[str], foreign: frozenset[str], given: frozenset[str] = frozenset()
) -> Plan | None:
    """The test as calls and checks, or None if it needs the referee.

    Args:
        entry_points: names that are the program's; empty: every free name that is called.
        foreign: names that the setup defines on the tests' side.
        given: names that the setup imports or assigns on both sides.

    Raises:
        SyntaxError: the test does not parse.
    """
    tree = ast.parse(test)
    planner = _Planner(entry_points, foreign | {s.name for s in tree.body if isinstance(s, _DEFINITIONS)}, given)
    checks: list[tuple[ast.expr, tuple[int, ...]]] = []
    try:
        for statement in _flatten(tree.body):
            if isinstance(statement, ast.Assert):
                planner.used, planner.made = [], 0
                check = planner.expression(statement.test)
                if _may_stop(check):
                    raise NotCalls  # f(1) == 1 or f(-1) == 2: which calls are made hangs on what the first ones return
                if planner.made > 1 or (planner.made and not _with_data(check)):
                    raise NotCalls  # V(1) + V(2) == V(3): if these are objects, they live with the referee
                checks.append((check, tuple(planner.used)))
            elif isinstance(statement, ast.Import) and all(a.name == "math" and not a.asname for a in statement.names):
                planner.imported.add("math")
            elif not isinstance(statement, ast.Pass) and not _is_constant(statement):
                return None
    except NotCalls:
        return None
    return Plan(tuple(planner.calls), tuple(checks))


def _may_stop(check: ast.expr) -> bool:
    """Whether a call that Python would not make decides: one behind an ``or``, an ``and`` that is not the whole check, or a
    comparison that has failed."""
    if isinstance(check, ast.BoolOp) and isinstance(check.op, ast.And):
        return any(map(_may_stop, check.values))  # where one is false, the check has failed
    for node in ast.walk(check):
        behind = node.values[1:] if isinstance(node, ast.BoolOp) else getattr(node, "comparators", [])[1:]
        if any(isinstance(part, _Slot) for operand in behind for part in ast.walk(operand)):
            return True
    return False


def _with_data(check: ast.expr) -> bool:
    """Whether a check compares one result with data that stands in the test."""
    if not isinstance(check, ast.Compare) or not isinstance(check.left, _Slot) or len(check.comparators) != 1:
        return False
    return not any(isinstance(n, _Slot) for n in ast.walk(check.comparators[0]))


def _equals_data(check: ast.expr) -> bool:
    return isinstance(check, ast.Compare) and isinstance(check.ops[0], ast.Eq) and _with_data(check)


def _is_made(node: ast.expr) -> bool:
    """``V(1)``, or what a method of it returns."""
    function = node.func if isinstance(node, ast.Call) else None
    if isinstance(function, ast.Attribute):
        return _is_made(function.value)
    return isinstance(function, ast.Name) and function.id[:1].isupper()


def _is_constant(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


# -- checking --------------------------------------------------------------------------------------------------------


def _evaluate(node: ast.expr, values: list[Any]) -> Any:
    """The value of a check. Tests are trusted, values are not: what they could make expensive is bounded."""
    if isinstance(node, _Slot):
        return values[node.index]
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Compare):
        found, left = None, _evaluate(node.left, values)
        for n, (op, comparator) in enumerate(zip(node.ops, node.comparators, strict=True)):
            if n and not found:
                break
            right = _evaluate(comparator, values)
            found, left = _COMPARE[type(op)](left, right), right
        return found
    if isinstance(node, (ast.Tuple, ast.List, ast.Set)):
        items = [_evaluate(e, values) for e in node.elts]
        return items if isinstance(node, ast.List) else tuple(items) if isinstance(node, ast.Tuple) else set(items)
    if isinstance(node, ast.Dict):
        return {_evaluate(k, values): _evaluate(v, values) for k, v in zip(node.keys, node.values, strict=True) if k}
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_evaluate(node.operand, values))
    if isinstance(node, ast.BoolOp):
        ends = isinstance(node.op, ast.Or)
        for operand in node.values[:-1]:
            if bool(found := _evaluate(operand, values)) is ends:
                return found
        return _evaluate(node.values[-1], values)
    if isinstance(node, ast.BinOp):
        return _arithmetic(type(node.op), _evaluate(node.left, values), _evaluate(node.right, values))
    if isinstance(node, ast.Subscript):
        return _evaluate(node.value, values)[_subscript(node.slice, values)]
    if isinstance(node, ast.Call):
        function = _MATH[node.func.attr] if isinstance(node.func, ast.Attribute) else _FUNCTIONS[node.func.id]  # type: ignore[attr-defined]
        keywords = {k.arg: _evaluate(k.value, values) for k in node.keywords if k.arg}
        return function(*[_evaluate(a, values) for a in node.args], **keywords)
    assert isinstance(node, ast.Name)
    return _TYPES[node.id]


def _subscript(node: ast.expr, values: list[Any]) -> Any:
    if not isinstance(node, ast.Slice):
        return _evaluate(node, values)
    return slice(*[None if p is None else _evaluate(p, values) for p in (node.lower, node.upper, node.step)])


def _arithmetic(operation: type, left: Any, right: Any) -> Any:
    for value in (left, right):
        if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER:
            raise OverflowError("a number too long to calculate with")
    if operation is ast.Mult:
        pairs: list[tuple[Any, Any]] = [(left, right), (right, left)]
        if any(hasattr(s, "__len__") and isinstance(n, int) and len(s) * n > _LONGEST_SEQUENCE for s, n in pairs):
            raise OverflowError("a sequence too long to build")
    if operation is ast.Pow and isinstance(left, _WHOLE) and isinstance(right, _WHOLE):
        size = max(left.numerator.bit_length(), left.denominator.bit_length())
        exponent: Any = right
        if size > 1 and size * abs(exponent) > _LONGEST_NUMBER:
            raise OverflowError("a power too large to calculate")
    if operation is ast.Mod and isinstance(left, (str, bytes, bytearray)):
        raise NotCalls  # the length of what a template makes is bounded elsewhere
    return _BINARY[operation](left, right)


def _sum(items: Any, /, start: Any = 0) -> Any:
    """``sum`` of numbers: of lists it takes quadratic time."""
    found = list(items)
    if any(hasattr(v, "__len__") for v in (start, *found)) and len(found) > 1000:
        raise OverflowError("too many sequences to add")
    # A sum of fractions has the product of their denominators.
    sizes = [max(v.numerator.bit_length(), v.denominator.bit_length()) for v in found if isinstance(v, _WHOLE)]
    fractional = any(isinstance(v, fractions.Fraction) for v in (start, *found))
    if sizes and (5 * sum(sizes) if fractional else max(sizes)) > _LONGEST_NUMBER:
        raise OverflowError("numbers too long to calculate with")
    return sum(found, start)


def _made_whole(function: Callable[..., Any]) -> Callable[..., Any]:
    """Of 1E+999999999 the power of ten would be computed."""

    def made_whole(*values: Any, **named: Any) -> Any:
        given = (*values, *named.values())
        if any(isinstance(v, decimal.Decimal) and v.is_finite() and v.adjusted() > _MOST_ZEROS for v in given):
            raise OverflowError("a number too long to calculate with")
        return function(*values, **named)

    return made_whole


def _round(number: Any, ndigits: Any = None) -> Any:
    if isinstance(number, int) and number.bit_length() > _LONGEST_NUMBER:
        raise OverflowError("a number too long to round")
    if isinstance(ndigits, int) and abs(ndigits) > _MOST_DIGITS:  # it computes the power of ten
        raise OverflowError("too many digits to round to")
    return round(number, ndigits)


_FUNCTIONS |= {"sum": _sum, "round": _made_whole(_round), "int": _made_whole(int)}
_MATH |= {name: _made_whole(_MATH[name]) for name in ("floor", "ceil")}
