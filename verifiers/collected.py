"""A file of tests as pytest or unittest collects it, as a script for each test that the file holds.

The sandbox has no collector: what runs is what stands in the text. So each test becomes the file without the others, and with
the call that the collector would make: of the function, with its fixtures around it and one row of its parameters, or of a
method of a fresh object. A case of ``unittest`` runs as a suite of one.
"""

from __future__ import annotations

import ast
import copy
import functools
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeGuard

from grpo_kit.sandbox.wire.bindings import is_read

from .fixtures import (
    FUNCTIONS,
    MOST_TESTS,
    FileError,
    Fixture,
    Function,
    Row,
    fixtures_in,
    is_fixture,
    is_left_out,
    is_of_collector,
    marks_of,
    parameters_of,
    rows,
    rows_of,
    used_by,
    yields,
)
from .left_alone import bases_of, is_case, left_alone

# What pytest itself offers, as far as the text can have it: by the name of a parameter.
_GIVEN = frozenset(("capsys", "monkeypatch", "request"))
_IMPORTED = "import asyncio as _asyncio, collections as _collections, contextlib as _contextlib, io as _io, os as _os\n"
_IMPORTED += "import types as _types, unittest as _unittest, unittest.mock as _mock"
# By these, names may be read that do not stand there.
_BY_TEXT = frozenset(("eval", "exec", "globals", "vars", "locals"))
_CAPTURED = """
class _Captured:
    def __init__(self, out, err):
        self.streams = out, err

    def readouterr(self):
        printed = [stream.getvalue() for stream in self.streams]
        for stream in self.streams:
            stream.seek(0)
            stream.truncate()
        return _collections.namedtuple("CaptureResult", "out err")(*printed)
"""
_CAPTURING = """
with _contextlib.redirect_stdout(_io.StringIO()) as _out, _contextlib.redirect_stderr(_io.StringIO()) as _err:
    _fixture_capsys = _Captured(_out, _err)
"""


@functools.lru_cache(maxsize=4096)
def collected(text: str) -> tuple[str, ...]:
    """The tests of a file, in its order, each as a script of its own.

    Taken are functions ``test*`` (asynchronous ones, too), methods ``test*`` of classes ``Test*`` and of unittest's cases,
    rows of ``parametrize``, fixtures of the file (with ``yield``, parameters, ``autouse``), ``capsys`` and ``monkeypatch``.
    Tests that are marked to be skipped or to fail are left out.

    Raises:
        FileError: there is no test in it, or one needs a fixture that is not in the file.
        SyntaxError: it does not parse.
    """
    try:
        return _collected(ast.parse(text))
    except (FileError, SyntaxError):
        raise
    except (LookupError, TypeError, ValueError, OverflowError, RecursionError, MemoryError) as error:
        raise FileError(f"what the file says to pytest cannot be read: {type(error).__name__}: {error}") from None


def _collected(tree: ast.Module) -> tuple[str, ...]:
    if (why := left_alone(tree)) is not None:
        raise FileError(why)
    file = _File(tree)
    tests = tuple(itertools.islice(file.tests(), MOST_TESTS + 1))
    if not tests:
        raise FileError("no test in the file: no function test_*, and no class Test* or case of unittest that has one")
    if len(tests) > MOST_TESTS:
        raise FileError(f"more than {MOST_TESTS} tests in one file")
    return tuple(map(file.script, tests))


@dataclass(frozen=True)
class _Test:
    function: Function
    owner: ast.ClassDef | None = None
    row: Row = field(default_factory=Row)


class _File:
    def __init__(self, tree: ast.Module) -> None:
        self._body = tree.body
        self._classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        self._fixtures = fixtures_in(tree.body)
        self._read = _read_in(tree.body)
        decorated = (n for n in ast.walk(tree) if isinstance(n, (*FUNCTIONS, ast.ClassDef)))
        marks = (part for n in decorated for mark in n.decorator_list for part in ast.walk(mark))
        self._tables = {part.id for part in marks if isinstance(part, ast.Name)}  # which decorators name

    def tests(self) -> Iterator[_Test]:
        last = {n.name: n for n in self._body if isinstance(n, (*FUNCTIONS, ast.ClassDef))}
        for node in last.values():
            if _is_test(node):
                yield from self._in_rows(_Test(node))
            elif isinstance(node, ast.ClassDef) and self._has_tests(node):
                methods = self._methods(node)
                if "__init__" in methods and not is_case(node, self._classes):  # pytest leaves it out
                    continue
                for function in methods.values():
                    if _is_test(function):
                        yield from self._in_rows(_Test(function, node))

    def _in_rows(self, test: _Test) -> Iterator[_Test]:
        """Once for each row of parameters, of the test and of its fixtures."""
        marks = self._marks(test)
        if is_left_out(marks):
            return
        tables = rows_of(reversed(marks), [*self._body, *(test.owner.body if test.owner else ())])
        named = Row({name: ast.Constant(None) for table in tables for row in table for name in row.values})
        for fixture in self._needed(replace(test, row=named)):
            if fixture.parameters is not None:
                tables.append(rows(fixture.parameters, [f"request.{fixture.name}"], self._body))
        for chosen in itertools.product(*tables):
            values = {name: value for row in chosen for name, value in row.values.items()}
            yield replace(test, row=Row(values, tuple(loop for row in chosen for loop in row.over)))

    def _marks(self, test: _Test) -> list[ast.expr]:
        of_file = [n.value for n in self._body if isinstance(n, ast.Assign) and _bound_by(n) == "pytestmark"]
        of_class = [m for c in bases_of(test.owner, self._classes) for m in c.decorator_list] if test.owner else []
        return [*test.function.decorator_list, *of_class, *(mark for marks in of_file for mark in marks_of(marks))]

    def _has_tests(self, node: ast.ClassDef) -> bool:
        return node.name.startswith("Test") or is_case(node, self._classes)

    def _methods(self, node: ast.ClassDef) -> dict[str, Function]:
        """With those that it inherits from classes of the file."""
        found: dict[str, Function] = {}
        for known in reversed(bases_of(node, self._classes)):
            found |= {inner.name: inner for inner in known.body if isinstance(inner, FUNCTIONS)}
        return found

    def _needed(self, test: _Test) -> list[Fixture]:
        """The fixtures of a test, each behind those that it needs itself."""
        known = dict(self._fixtures)
        if test.owner is not None:
            known |= fixtures_in(self._methods(test.owner).values(), test.owner)
        found: dict[str, Fixture] = {}

        def need(name: str, by: str) -> None:
            if name in found or name in _GIVEN or name in test.row.values:
                return
            if name not in known:
                raise FileError(f"{by} takes {name!r}, a fixture that is not in the file")
            for other in parameters_of(known[name].function):
                need(other, f"the fixture {name}")
            found[name] = known[name]

        if "request" in parameters_of(test.function) and "request" not in test.row.values:
            raise FileError(f"{test.function.name} takes the request of pytest, which is not here")
        marks = self._marks(test)
        around = [name for name, fixture in known.items() if fixture.is_autouse]
        for name in [*around, *used_by(marks), *parameters_of(test.function)]:
            need(name, test.function.name)
        return list(found.values())

    # -- the script of one test

    def script(self, test: _Test) -> str:
        """The file without what is there for other tests, and the call."""
        case = test.owner is not None and is_case(test.owner, self._classes)
        if case and (needed := self._needed(test)):
            raise FileError(f"a case of unittest has the fixture {needed[0].name} around it, which is not called here")
        call = _of_case(test) if case else self._call(test)
        kept = [
            self._part(node, test) for node in (*ast.parse(_IMPORTED).body, *self._body) if self._is_kept(node, test)
        ]
        body = [_WithoutPytest().visit(node) for node in kept]
        read = _read_in([*body, *call])
        while read.isdisjoint(_BY_TEXT) and len(used := [n for n in body if self._is_used(n, read)]) < len(body):
            body, read = used, _read_in([*used, *call])
        body.sort(key=lambda n: not _is_future(n))
        return ast.unparse(ast.fix_missing_locations(ast.Module([*body, *call], [])))

    def _part(self, node: ast.stmt, test: _Test) -> ast.stmt:
        """Of a class of tests, without the others of them."""
        part = copy.deepcopy(node)
        if isinstance(part, ast.ClassDef) and self._has_tests(part):
            asked = {n.attr for n in ast.walk(part) if isinstance(n, ast.Attribute)} | {test.function.name}
            part.body = [n for n in part.body if not _is_test(n) or n.name in asked] or [ast.Pass()]
        return part

    def _is_kept(self, node: ast.stmt, test: _Test) -> bool:
        """Whether it is no other test and no other fixture, but what any of them may use."""
        if isinstance(node, ast.Assign) and _bound_by(node) == "pytestmark":
            return False
        if isinstance(node, ast.If) and "__name__" in _read_in([node.test]):  # what runs the file by itself
            return False
        if isinstance(node, FUNCTIONS) and is_fixture(node):
            return any(fixture.function is node for fixture in self._needed(test))
        if node is test.function or node is test.owner or getattr(node, "name", None) in self._read:
            return True
        if isinstance(node, ast.ClassDef):
            return not self._has_tests(node)
        return not _is_test(node)

    def _is_used(self, node: ast.stmt, read: Collection[str]) -> bool:
        """Whether it is more than a name that nothing reads: what others import or call may not be here."""
        if isinstance(node, ast.Assign):
            return _bound_by(node) in read or _bound_by(node) not in self._tables
        if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return node.name in read or bool(node.decorator_list or getattr(node, "bases", None))
        if not isinstance(node, (ast.Import, ast.ImportFrom)) or _is_future(node):
            return True
        node.names = [a for a in node.names if a.name == "*" or (a.asname or a.name.partition(".")[0]) in read]
        return bool(node.names)

    def _call(self, test: _Test) -> list[ast.stmt]:
        """Within its fixtures, the first of them outside."""
        fixtures = self._needed(test)
        taken = {name for f in (test.function, *(x.function for x in fixtures)) for name in parameters_of(f)}
        function = f"_tests.{test.function.name}" if test.owner else test.function.name
        statements: list[ast.stmt] = [ast.Expr(_made(test.function, function, test.row.values))]
        for fixture in reversed(fixtures):
            statements = _within(fixture, test.row.values, statements)
        if test.owner is not None:
            statements = self._around_method(test, statements)
            statements = [*ast.parse(f"_tests = {test.owner.name}()").body, *statements]
        if "capsys" in taken:
            captured, capturing = ast.parse(_CAPTURED + _CAPTURING).body
            assert isinstance(capturing, ast.With)
            capturing.body += statements
            statements = [captured, capturing]
        if "monkeypatch" in taken:
            statements = [ast.Try(statements, [], [], ast.parse("_mock.patch.stopall()").body)]
        for target, over in reversed(test.row.over):
            statements = [ast.For(target, over, statements, [])]
        return self._around_module(test, statements)

    def _around_module(self, test: _Test, statements: list[ast.stmt]) -> list[ast.stmt]:
        functions = {n.name: n for n in self._body if isinstance(n, FUNCTIONS)}
        names = ["module"] if test.owner else ["module", "function"]
        before, behind = (
            [ast.Expr(_hook(functions[n], n, test.function.name)) for n in hooks if n in functions]
            for hooks in ([f"setup_{name}" for name in names], [f"teardown_{name}" for name in reversed(names)])
        )
        return [*before, ast.Try(statements, [], [], [*behind])] if behind else [*before, *statements]

    def _around_method(self, test: _Test, statements: list[ast.stmt]) -> list[ast.stmt]:
        assert test.owner is not None
        methods = self._methods(test.owner)
        before, behind = (
            [
                ast.Expr(_hook(methods[name], f"_tests.{name}", f"_tests.{test.function.name}"))
                for name in names
                if name in methods
            ]
            for names in (("setup_class", "setup_method"), ("teardown_method", "teardown_class"))
        )
        return [*before, ast.Try(statements, [], [], [*behind])] if behind else [*before, *statements]


def _is_test(node: ast.AST) -> TypeGuard[Function]:
    return isinstance(node, FUNCTIONS) and node.name.startswith("test") and not is_fixture(node)


def _bound_by(node: ast.Assign) -> str:
    return ast.unparse(node.targets[0])


def _read_in(nodes: Iterable[ast.AST]) -> set[str]:
    return {n.id for node in nodes for n in ast.walk(node) if isinstance(n, ast.Name) and is_read(n)}


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _of_case(test: _Test) -> list[ast.stmt]:
    assert test.owner is not None
    if test.row.values or test.row.over:
        raise FileError(f"{test.owner.name}.{test.function.name}: a case of unittest takes no parameters")
    return ast.parse(f"_unittest.TestSuite([{test.owner.name}({test.function.name!r})]).debug()").body


def _made(function: Function, name: str, values: Mapping[str, ast.expr], request: ast.expr | None = None) -> ast.expr:
    """The call of a test or a fixture."""
    own = {"monkeypatch": ast.Constant(None), "request": request or ast.Constant(None)}
    keywords = [
        ast.keyword(n, values.get(n) or own.get(n) or ast.Name(f"_fixture_{n}", ast.Load()))
        for n in parameters_of(function)
    ]
    call = ast.Call(ast.parse(name, mode="eval").body, [], keywords)
    if isinstance(function, ast.AsyncFunctionDef):
        return ast.Call(ast.parse("_asyncio.run", mode="eval").body, [call], [])
    return call


def _hook(function: Function, name: str, test: str) -> ast.expr:
    """``setup_method``, which may take the method it is for."""
    given = ast.parse(test, mode="eval").body if name.endswith(("_method", "_function")) else ast.Constant(None)
    return _made(function, name, dict.fromkeys(parameters_of(function), given))


def _within(fixture: Fixture, values: Mapping[str, ast.expr], statements: list[ast.stmt]) -> list[ast.stmt]:
    name = f"_tests.{fixture.function.name}" if fixture.owner else fixture.function.name
    if any(
        isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "request" and n.attr != "param"
        for n in ast.walk(fixture.function)
    ):
        raise FileError(f"the fixture {fixture.name} asks its request for more than `param`")
    parameter = values.get(f"request.{fixture.name}", ast.Constant(None))
    request = ast.Call(ast.parse("_types.SimpleNamespace", mode="eval").body, [], [ast.keyword("param", parameter)])
    target = ast.Name(f"_fixture_{fixture.name}", ast.Store())
    if not yields(fixture.function):
        return [ast.Assign([target], _made(fixture.function, name, values, request)), *statements]
    if isinstance(fixture.function, ast.AsyncFunctionDef):
        raise FileError(f"the fixture {fixture.name} yields to an event loop, and there is none around its tests")
    made, goes_on = f"_made_{fixture.name}", ast.Name(f"_made_{fixture.name}", ast.Store())
    first, rest = ast.parse(f"next({made})\nnext({made}, None)").body  # it hears nothing of how the test has ended
    assert isinstance(first, ast.Expr)
    around = ast.Try(statements, [], [], [rest])
    return [
        ast.Assign([goes_on], _made(fixture.function, name, values, request)),
        ast.Assign([target], first.value),
        around,
    ]


class _WithoutPytest(ast.NodeTransformer):
    """What is said to the collector, and what its ``monkeypatch`` does, in the words of the library."""

    def _decorated(self, node: ast.AST) -> ast.AST:
        node.decorator_list = [m for m in node.decorator_list if not is_of_collector(m)]  # type: ignore[attr-defined]
        return self.generic_visit(node)

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _decorated

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id == "monkeypatch" and is_read(node):
            raise FileError("the tests hand monkeypatch on: call it where it is given")
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        function = node.func
        if not isinstance(function, ast.Attribute) or ast.unparse(function.value) != "monkeypatch":
            return self.generic_visit(node)
        node.args = [self.visit(argument) for argument in node.args]
        given = [ast.unparse(argument) for argument in node.args]
        match function.attr, given:
            case "setattr", [what, value]:
                said = f"_mock.patch({what}, {value}).start()"
            case "setattr", [owner, name, value]:
                said = f"_mock.patch.object({owner}, {name}, {value}).start()"
            case "setenv", [name, value, *_]:
                said = f"_mock.patch.dict(_os.environ, {{{name}: {value}}}).start()"
            case "setitem", [owner, key, value]:
                said = f"_mock.patch.dict({owner}, {{{key}: {value}}}).start()"
            case "undo", []:
                said = "_mock.patch.stopall()"
            case _:
                raise FileError(f"the tests call monkeypatch.{function.attr}: what it does has no other word here")
        return ast.parse(said, mode="eval").body
