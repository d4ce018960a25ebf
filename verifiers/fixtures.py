"""What pytest's decorators say in the text of a file of tests: fixtures, rows of parameters, tests that are left out."""

from __future__ import annotations

import ast
import operator
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grpo_kit.sandbox.wire.bindings import is_read
from grpo_kit.sandbox.wire.source import name_of

Function = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
MOST_TESTS = 1000  # in one file
_SKIPPING = frozenset(("skip", "skipif", "xfail", "skipIf", "skipUnless", "expectedFailure"))
# What a condition may look at, and how.
_MACHINE = {"sys.version_info": tuple(sys.version_info), "sys.platform": sys.platform, "os.name": os.name}
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.In: lambda left, right: left in right, ast.NotIn: lambda left, right: left not in right,
}  # fmt: skip
_PATCHES = frozenset(("patch", "patch.object"))


class FileError(ValueError):
    """A file of tests that no test can be taken from, or that needs what a collector alone has."""


@dataclass(frozen=True)
class Row:
    """
    Attributes:
        values: of parameters, by their names.
        over: loops around the call, for rows that do not stand in the text one by one: [target, what is gone over].
    """

    values: Mapping[str, ast.expr] = field(default_factory=dict)
    over: tuple[tuple[ast.expr, ast.expr], ...] = ()


@dataclass(frozen=True)
class Fixture:
    """
    Attributes:
        name: by which tests take it.
        owner: the class that it is a method of.
        is_autouse: it is around each test.
        parameters: what it is made with, one after the other.
    """

    name: str
    function: Function
    owner: ast.ClassDef | None
    is_autouse: bool
    parameters: ast.expr | None


def fixtures_in(body: Iterable[ast.stmt], owner: ast.ClassDef | None = None) -> dict[str, Fixture]:
    """By name."""
    found = {}
    for node in body:
        if isinstance(node, FUNCTIONS) and (mark := _fixture_mark(node)) is not None:
            said = {k.arg: k.value for k in mark.keywords} if isinstance(mark, ast.Call) else {}
            name = _constant(said["name"]) if "name" in said else node.name
            is_autouse = "autouse" in said and bool(_constant(said["autouse"]))
            found[str(name)] = Fixture(str(name), node, owner, is_autouse, said.get("params"))
    return found


def yields(function: Function) -> bool:
    """Whether it is a generator: itself, and not a function in it."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)
    return False


def is_fixture(node: Function) -> bool:
    return _fixture_mark(node) is not None


def is_left_out(marks: Iterable[ast.expr]) -> bool:
    """Whether a test is marked to be skipped, or to fail, here.

    Raises:
        FileError: it hangs on what does not stand in the text.
    """
    return any(_leaves_out(mark) for mark in marks if _last(mark) in _SKIPPING)


def _leaves_out(mark: ast.expr) -> bool:
    if (condition := _condition(mark)) is None:
        return True
    try:
        return _holds(condition) != (_last(mark) == "skipUnless")
    except (KeyError, ValueError, TypeError, IndexError, SyntaxError):
        raise FileError(f"whether {ast.unparse(mark)[:80]!r} leaves a test out does not stand in the text") from None


def _holds(condition: ast.expr) -> bool:
    """What a condition on the machine comes to. Raises for one on anything else: no text of the file is executed."""
    match condition:
        case ast.BoolOp(op=ast.And(), values=values):
            return all(_holds(value) for value in values)
        case ast.BoolOp(values=values):
            return any(_holds(value) for value in values)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _holds(operand)
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return bool(_COMPARE[type(op)](_of_machine(left), ast.literal_eval(right)))
        case ast.Call(func=ast.Attribute(value=value, attr="startswith"), args=[start], keywords=[]):
            return str(_of_machine(value)).startswith(ast.literal_eval(start))
        case ast.Constant(value=bool(value)):
            return value
    raise ValueError(ast.unparse(condition))


def _of_machine(node: ast.expr) -> Any:
    if isinstance(node, ast.Subscript):  # sys.version_info[:2], sys.version_info[0]
        part = node.slice
        if isinstance(part, ast.Slice) and part.lower is None and part.step is None and part.upper is not None:
            return _of_machine(node.value)[: ast.literal_eval(part.upper)]
        return _of_machine(node.value)[ast.literal_eval(part)]
    return _MACHINE[ast.unparse(node)]


def _condition(mark: ast.expr) -> ast.expr | None:
    if not isinstance(mark, ast.Call) or _last(mark) in ("skip", "expectedFailure"):
        return None
    said = {keyword.arg: keyword.value for keyword in mark.keywords}
    if "raises" in said or "strict" in said:
        raise FileError(f"{ast.unparse(mark)[:80]!r} says more than that a test is left out")
    found = mark.args[0] if mark.args else said.get("condition")
    if isinstance(found, ast.Constant) and isinstance(found.value, str):
        raise FileError(f"{ast.unparse(mark)[:80]!r} has its condition as text")
    return found


def marks_of(marks: ast.expr) -> list[ast.expr]:
    """One, or those of a list."""
    return marks.elts if isinstance(marks, (ast.List, ast.Tuple)) else [marks]


def is_of_collector(mark: ast.expr) -> bool:
    """Whether a decorator says something to pytest alone."""
    path = _path(mark)
    if path.endswith("mark.filterwarnings"):
        raise FileError(f"{ast.unparse(mark)[:80]!r} changes what warnings do, which is not done here")
    return _last(mark) == "fixture" or path.startswith(("pytest.mark.", "mark.")) or _last(mark) == "parametrize"


def parameters_of(function: Function) -> list[str]:
    """What a fixture or a test takes that nothing else fills in: no default, no ``self``, no patch around it."""
    arguments = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
    arguments = arguments[: len(arguments) - len(function.args.defaults)]
    pairs = zip(function.args.kwonlyargs, function.args.kw_defaults, strict=True)
    named = [argument.arg for argument, default in pairs if default is None]
    patched = sum(map(_is_filled_in, function.decorator_list))
    methods = 1 if arguments[:1] in (["self"], ["cls"]) else 0
    return [*arguments[methods + patched :], *named]


def used_by(marks: Iterable[ast.expr]) -> list[str]:
    """Names of fixtures in ``usefixtures``."""
    calls = [mark for mark in marks if isinstance(mark, ast.Call) and _last(mark) == "usefixtures"]
    return [str(_constant(argument)) for call in calls for argument in call.args]


def rows_of(marks: Iterable[ast.expr], body: Sequence[ast.stmt]) -> list[list[Row]]:
    """What each ``parametrize`` among them says. ``body``: of the file, in which values may have a name."""
    tables = []
    for mark in marks:
        if isinstance(mark, ast.Call) and _last(mark) == "parametrize":
            said = dict(zip(("argnames", "argvalues"), mark.args, strict=False))
            said |= {keyword.arg or "": keyword.value for keyword in mark.keywords}
            if "indirect" in said:
                raise FileError("parametrize hands values to fixtures (`indirect`), which is not done here")
            names = _constant(said["argnames"])
            listed = names if isinstance(names, (list, tuple)) else str(names).split(",")
            split = [str(name).strip() for name in listed]
            tables.append(rows(said["argvalues"], [name for name in split if name], body, isinstance(names, str)))
    return tables


def rows(values: ast.expr, names: Sequence[str], body: Sequence[ast.stmt], is_text: bool = True) -> list[Row]:
    """One for each of ``values``, if these stand in the text; else one that goes over them."""
    alone = len(names) == 1 and is_text
    table = _display(values, body)
    if table is None:
        variables = {name: f"_row_{name.replace('.', '_')}" for name in names}
        target: list[ast.expr] = [ast.Name(variable, ast.Store()) for variable in variables.values()]
        read: dict[str, ast.expr] = {name: ast.Name(variable, ast.Load()) for name, variable in variables.items()}
        return [Row(read, ((target[0] if alone else ast.Tuple(target, ast.Store()), values),))]
    found = []
    for row in table:
        given = [row]
        if isinstance(row, ast.Call) and _last(row) == "param":
            marks = [mark for k in row.keywords if k.arg == "marks" for mark in marks_of(k.value)]
            if is_left_out(marks):
                continue
            given = row.args
        elif not alone:
            given = _items(row, len(names))
        if len(given) != len(names):
            raise FileError(f"a row of parametrize has {len(given)} values for {', '.join(names)}")
        found.append(Row(dict(zip(names, given, strict=True))))
    return found


def _items(row: ast.expr, count: int) -> list[ast.expr]:
    if isinstance(row, (ast.Tuple, ast.List)) and not any(isinstance(item, ast.Starred) for item in row.elts):
        return row.elts
    return [ast.Subscript(row, ast.Constant(index), ast.Load()) for index in range(count)]


def _display(values: ast.expr, body: Sequence[ast.stmt]) -> list[ast.expr] | None:
    """The items of a list that stands in the text, there or by a name that is bound once."""
    if isinstance(values, ast.Name):
        found = [n.value for n in body if isinstance(n, ast.Assign) and ast.unparse(n.targets[0]) == values.id]
        changed = any(
            isinstance(n, ast.Name) and n.id == values.id and (is_read(n) or isinstance(s, ast.AugAssign))
            for s in body
            for n in _used_otherwise(s, values.id)
        )
        if len(found) != 1 or changed:
            return None
        values = found[0]
    if isinstance(values, ast.Call) and _path(values) == "range" and len(values.args) <= 2:
        bounds = [int(str(_constant(argument))) for argument in values.args if isinstance(argument, ast.Constant)]
        if len(bounds) == len(values.args):
            if len(numbers := range(*bounds)) > MOST_TESTS:
                raise FileError(f"more than {MOST_TESTS} rows in {ast.unparse(values)[:80]}")
            return [ast.Constant(number) for number in numbers]
    if not isinstance(values, (ast.List, ast.Tuple)) or any(isinstance(item, ast.Starred) for item in values.elts):
        return None
    return values.elts


def _used_otherwise(statement: ast.stmt, name: str) -> list[ast.AST]:
    """What a statement of the file does with a list, but binding it and going over its rows in a decorator."""
    if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
        return []
    nodes = list(ast.walk(statement))
    marks = [m for n in nodes if isinstance(n, (*FUNCTIONS, ast.ClassDef)) for m in n.decorator_list]
    within = {id(part) for mark in marks for part in ast.walk(mark)}
    return [node for node in nodes if id(node) not in within]


def _fixture_mark(node: Function) -> ast.expr | None:
    return next((mark for mark in node.decorator_list if _last(mark) == "fixture"), None)


def _is_filled_in(mark: ast.expr) -> bool:
    """Whether a patch hands what it makes to the function."""
    if not isinstance(mark, ast.Call) or not _path(mark).endswith(tuple(_PATCHES)):
        return False
    given = 1 if _last(mark) == "patch" else 2
    return len(mark.args) <= given and not any(keyword.arg == "new" for keyword in mark.keywords)


def _path(mark: ast.expr) -> str:
    return ast.unparse(mark.func if isinstance(mark, ast.Call) else mark)


def _last(mark: ast.expr) -> str:
    return name_of(mark.func if isinstance(mark, ast.Call) else mark)


def _constant(node: ast.expr) -> object:
    try:
        return ast.literal_eval(node)
    except (ValueError, SyntaxError):
        raise FileError(f"pytest is told {ast.unparse(node)[:80]!r}, which does not stand in the text") from None
