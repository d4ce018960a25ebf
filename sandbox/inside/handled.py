"""How the text of a test is read: what it asks of objects of the program, and which of their exceptions it took.

``all(map(f, xs))`` takes a StopIteration of ``f`` for the end of the list, ``hasattr`` an AttributeError for an answer.
So an exception of the program is a failure unless the test's own text took it: each ``except`` clause says that it saw
the exception, and each ``with`` block that it did not let it through. What was seen and raised again, at once or later,
was not taken. In the same way decides an assertion of the tests, whatever swallows it (a thread, a runner of cases), and
the end of an iterator that ``next`` met: ``map`` would take it for its own.

What Python answers about a `proxy` and not about what it stands for (``is``, ``type``, ``id``) is asked of the referee.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections import abc
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .expected import Expected, Kinds, MarkExpected
from .outstanding import Outstanding
from .proxy import Gone, Proxy, same_class

_compile = builtins.compile  # that of the tests is another one (`evaluated`)
HELPER = "__referee__"  # the name of a `Helper` among the tests' names
_ASKED = frozenset(("type", "id", "issubclass", "isinstance", "callable"))
_TAKING = frozenset(("assertRaises", "assertRaisesRegex", "raises", "assert_raises", "assert_raises_regex"))
_RAISING = frozenset(("result", "throw", "athrow"))  # methods that raise an exception that was kept
_OVER = frozenset(("zip", "enumerate", "map", "filter", "reversed", "iter", "sorted", "list", "tuple"))
# Methods of which Python takes an exception for an answer: there are no more items, no length, no attribute.
_SWALLOWED = frozenset(("__getitem__", "__len__", "__length_hint__", "__getattr__", "__getattribute__", "__missing__"))
_TAKEN_FOR_ANSWERS = (LookupError, StopIteration, TypeError, AttributeError)
# What stands for an object of the program can do all of this, whatever the object can.
_ABILITIES: tuple[Any, ...] = (
    *(abc.Iterable, abc.Iterator, abc.Callable, abc.Awaitable, abc.AsyncIterable, abc.AsyncIterator, abc.Hashable),
    *(abc.Sized, abc.Container, abc.Reversible, abc.Generator, abc.Coroutine),
)
_DATA: tuple[Any, ...] = (int, float, complex, str, bytes, list, tuple, dict, set, type(None), type({}.keys()), range)
_AWAITING = frozenset(("run", "run_until_complete", "gather", "wait_for", "create_task", "ensure_future", "shield"))


@dataclass(frozen=True, slots=True)
class Names:
    """Names of the program in the tests: classes that are not under test, all of them, and those of data."""

    classes: frozenset[str] = frozenset()
    program: frozenset[str] = frozenset()
    data: frozenset[str] = frozenset()


def compiled(source: str, name: str, names: Names = Names()):  # type: ignore[no-untyped-def]  # a code object
    tree = ast.parse(source)
    if names.classes:
        tree = MarkExpected(tree, names.classes, _ask).visit(tree)
    tree = _Mark(tree, names).visit(tree)
    return _compile(ast.fix_missing_locations(tree), name, "exec", dont_inherit=True)


def _ask(method: str, *arguments: ast.expr, keywords: list[ast.keyword] | None = None) -> ast.Call:
    return ast.Call(ast.Attribute(ast.Name(HELPER, ast.Load()), method, ast.Load()), list(arguments), keywords or [])


class _Mark(ast.NodeTransformer):
    def __init__(self, tree: ast.AST, names: Names) -> None:
        self.names = names
        nodes = list(ast.walk(tree))
        self.own = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
        self.own |= {n.arg for n in nodes if isinstance(n, ast.arg)}
        self.count = 0
        self.within = ""  # the innermost function

    def _variable(self, value: ast.expr) -> tuple[ast.stmt, ast.expr]:
        self.count += 1
        name = f"__held_{self.count}__"
        return ast.Assign([ast.Name(name, ast.Store())], value), ast.Name(name, ast.Load())

    @staticmethod
    def _unless_raised(body: list[ast.stmt], call: ast.Call) -> ast.stmt:
        """``body``, and ``call`` if an exception leaves it."""
        return ast.Try(body, [ast.ExceptHandler(_exception(), None, [ast.Expr(call), ast.Raise()])], [], [])

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> ast.AST:
        outer, self.within = self.within, node.name
        self.generic_visit(node)
        self.within = outer
        if node.name in _SWALLOWED or any(ast.unparse(d).endswith("property") for d in node.decorator_list):
            assign, variable = self._variable(_ask("asked"))
            node.body = [assign, self._unless_raised(node.body, _ask("ended", variable))]
        return node

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if node.id in self.names.data and node.id not in self.own:
            return _ask("now", ast.Constant(node.id))
        # The end of an iterator of the tests' own is an answer.
        if node.id != "next" or "next" in self.own or self.within == "__next__":
            return node
        return ast.Attribute(ast.Name(HELPER, ast.Load()), "next", ast.Load())

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        self.generic_visit(node)
        failed = _ask("failed", *([node.msg] if node.msg else []))
        return ast.copy_location(ast.If(ast.UnaryOp(ast.Not(), node.test), [ast.Raise(failed)], []), node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        self.generic_visit(node)
        if node.exc is not None:
            node.exc = _ask("raising", node.exc)
        return node

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> ast.AST:
        self.generic_visit(node)
        assign, variable = self._variable(_ask("seen"))
        node.body = [assign, self._unless_raised(node.body, _ask("not_taken", variable))]
        return node

    def visit_With(self, node: ast.With | ast.AsyncWith) -> Any:
        last = node.body[-1]
        self.generic_visit(node)
        if isinstance(last, ast.Raise) and last.exc is not None:  # nothing is left undone when it is taken
            last.exc = _ask("to_be_taken", last.exc)
        assign, variable = self._variable(ast.List([], ast.Load()))
        node.body = [self._unless_raised(node.body, _ask("leaves", variable))]
        return [assign, node, ast.Expr(_ask("taken", variable))]

    visit_AsyncWith = visit_With

    def visit_For(self, node: ast.For) -> ast.AST:
        checks = any(
            isinstance(n, ast.Assert) or ast.unparse(n).rpartition(".")[2].startswith("assert")
            for s in node.body
            for n in ast.walk(s)
            if isinstance(n, (ast.Assert, ast.Name, ast.Attribute))
        )
        self.generic_visit(node)
        if checks:
            node.iter = _looped(node.iter)
        return node

    def visit_GeneratorExp(self, node: ast.GeneratorExp) -> ast.AST:
        self.generic_visit(node)
        node.generators[0].iter = _looped(node.generators[0].iter)
        return node

    def visit_MatchClass(self, node: ast.MatchClass) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.cls, ast.Name) and node.cls.id in self.names.program:
            kinds = ast.Attribute(ast.Name(HELPER, ast.Load()), "kinds", ast.Load())
            node.cls = ast.Attribute(kinds, node.cls.id, ast.Load())
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        sides = (node.left, *node.comparators)
        if len(sides) != 2 or not isinstance(node.ops[0], (ast.Is, ast.IsNot)):
            return node
        if any(isinstance(side, ast.Constant) for side in sides):
            return node
        same = _ask("same", *sides)
        return same if isinstance(node.ops[0], ast.Is) else ast.UnaryOp(ast.Not(), same)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name == "dict" and isinstance(node.func, ast.Name) and len(node.args) == 1 and name not in self.own:
            node.args = [_ask("pairs", *node.args)]
        if name == "all" and isinstance(node.func, ast.Name):
            node.args = [_looped(a) for a in node.args]
        if isinstance(node.func, ast.Name) and name in _ASKED and name not in self.own and not node.keywords:
            return _ask(name, *node.args)
        if name in _TAKING and len(node.args) > 1:
            return _ask("taking", node.func, *node.args, keywords=node.keywords)
        if name in _AWAITING and isinstance(node.func, ast.Attribute) and node.args:
            return _ask("awaiting", node.func, *node.args, keywords=node.keywords)
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.ctx, ast.Load):
            return node
        if node.attr in _RAISING or (node.attr == "__next__" and self.within != "__next__"):
            return _ask("raising_method", node.value, ast.Constant(node.attr))
        return _ask("type", node.value) if node.attr == "__class__" else node


def _looped(node: ast.expr) -> ast.expr:
    """What is gone over, or what that is made of (``zip(found, expected)``)."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _OVER:
        node.args = [_looped(a) for a in node.args]
        return node
    return node if isinstance(node, (ast.Starred, ast.Constant, ast.GeneratorExp)) else _ask("looped", node)


def _exception() -> ast.expr:
    return ast.Attribute(ast.Name(HELPER, ast.Load()), "anything", ast.Load())


async def _awaited(value: Any) -> Any:
    return await value


def _of_library(kind: Any) -> bool:
    """Whether a class is one of the library's, by a name that both sides know, and no kind of data."""
    module, name = kind.__module__, kind.__qualname__
    known = module.partition(".")[0] in sys.stdlib_module_names and getattr(sys.modules.get(module), name, None) is kind
    return known and not any(issubclass(data, kind) for data in _DATA)


class Helper:
    """What the rewritten text of a test calls.

    Args:
        number: of an object of the program, else None.
        ask: makes an operation.
        asked: how often the program was asked anything.
        now: the value that a name of the program has by now.
        namespace: of the tests.
        spent: iterators of the program that have come to their end.
    """

    anything = BaseException

    def __init__(
        self,
        outstanding: Outstanding,
        number: Callable[[Any], int | None],
        ask: Callable[..., Any],
        asked: Callable[[], int],
        now: Callable[[str], Any],
        namespace: dict[str, Any],
        spent: set[int],
    ) -> None:
        self._outstanding, self._number, self.ask, self.asked, self.now = outstanding, number, ask, asked, now
        self.kinds, self._spent = Kinds(self, namespace), spent

    def expected(self, kind: Any, *args: Any, **kwargs: Any) -> Any:
        return Expected(self.ask, kind, args, kwargs) if type(kind) is Proxy else kind(*args, **kwargs)

    @staticmethod
    def made(value: Any) -> Any:
        return value.made() if type(value) is Expected else value

    def seen(self) -> list[BaseException]:
        """At the head of an ``except`` clause."""
        return self._outstanding.take(sys.exception())

    def not_taken(self, seen: list[BaseException]) -> None:
        """The clause raised again, or something else."""
        self._outstanding.errors += seen

    def failed(self, *message: Any) -> BaseException:
        """An assertion of the tests is false."""
        error = AssertionError(*message)
        self._outstanding.add(error)
        return error

    def raising(self, error: Any) -> Any:
        """What a ``raise`` of the tests raises."""
        if isinstance(error, builtins.type) and issubclass(error, AssertionError):
            error = error()
        if isinstance(error, AssertionError):
            self._outstanding.add(error)
        elif isinstance(error, BaseException):
            self._outstanding.again(error)
        return error

    def to_be_taken(self, error: Any) -> Any:
        if isinstance(error, builtins.type) and issubclass(error, BaseException):
            error = error()
        if isinstance(error, BaseException) and not isinstance(error, AssertionError):
            self._outstanding.to_be_taken.append(error)
        return error

    def raising_method(self, owner: Any, name: str) -> Any:
        """``future.result``, which raises each time it is called; ``iterator.__next__``."""
        method = getattr(owner, name)
        if not callable(method) or self._number(owner) is not None:
            return method

        def call(*arguments: Any, **named: Any) -> Any:
            try:
                return method(*arguments, **named)
            except BaseException as error:
                if name == "__next__" and isinstance(error, StopIteration):
                    self._outstanding.add(error)
                self._outstanding.again(error)
                raise

        return call

    def next(self, iterator: Any, *default: Any) -> Any:
        try:
            return builtins.next(iterator, *default)
        except StopIteration as error:
            self._outstanding.add(error)
            raise

    def looped(self, value: Any) -> Any:
        """What a loop that checks goes over: behind the end of an iterator it would check nothing."""
        if self._number(value) in self._spent:
            raise Gone("a loop of the tests goes over an iterator of the program that has come to its end")
        return value

    @staticmethod
    def pairs(value: Any) -> Any:
        """What ``dict`` goes over: it would ask an object of the program whether it has keys first."""
        return iter(value) if type(value) is Proxy else value

    def ended(self, asked: int) -> None:
        """An exception leaves a method of the tests that Python takes for an answer, as it does the end of an iterator.

        It is none of theirs if the program was asked meanwhile.
        """
        error = sys.exception()
        if isinstance(error, _TAKEN_FOR_ANSWERS) and self.asked() > asked:
            self._outstanding.add(error)

    def leaves(self, held: list[BaseException]) -> None:
        """An exception leaves the body of a ``with``."""
        error = sys.exception()
        assert error is not None
        held.append(error)

    def taken(self, held: list[BaseException]) -> None:
        """Behind a ``with``, which is not reached by what it let through."""
        for error in held:
            self._outstanding.take(error)

    def taking(self, function: Callable[..., Any], kind: Any, *arguments: Any, **named: Any) -> Any:
        """``assertRaises(kind, f, x)``, which returns if it took such an exception."""
        before = list(self._outstanding.errors)
        result = function(kind, *arguments, **named)
        for error in self._outstanding.errors:
            if not any(error is b for b in before) and isinstance(error, kind):
                self._outstanding.take(error)
        return result

    def awaiting(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """``asyncio.run(f())``, which insists on a coroutine of this side."""
        if (getattr(function, "__module__", None) or "").partition(".")[0] == "asyncio":
            if function.__name__ == "wait_for" and self._number(arguments[0]) is not None:
                return self._in_time(*arguments, **named)
            arguments = tuple(a if self._number(a) is None else _awaited(a) for a in arguments)
        return function(*arguments, **named)

    async def _in_time(self, value: Any, timeout: Any = None) -> Any:
        """The program awaits in its own process: there the time ends it, too."""
        return self.ask("await", value, timeout)

    def callable(self, value: Any) -> bool:
        return callable(value) if self._number(value) is None else self.ask("callable", value) is True

    def isinstance(self, value: Any, kinds: Any) -> bool:
        """What ``gather(..., return_exceptions=True)`` gives is taken by a test that asks whether it is an exception."""
        if self._number(value) is not None:
            return any(self._is_one(value, kind) for kind in (kinds if isinstance(kinds, tuple) else (kinds,)))
        found = builtins.isinstance(value, kinds)
        if found and builtins.isinstance(value, BaseException) and not builtins.isinstance(value, AssertionError):
            self._outstanding.take(value)
        return found

    def _is_one(self, value: Any, kind: Any) -> bool:
        """Whether an object of the program is of a kind, which it may say of itself if no data is of that kind."""
        if any(kind is ability for ability in _ABILITIES):
            return self.ask("isinstance", value, kind) is True
        if builtins.isinstance(value, kind) or not builtins.isinstance(kind, builtins.type):
            return builtins.isinstance(value, kind)
        return _of_library(kind) and self.ask("isinstance", value, kind) is True

    def same(self, left: Any, right: Any) -> bool:
        for ours, other in ((left, right), (right, left)):
            if type(ours) is Proxy and builtins.isinstance(other, builtins.type):
                return same_class(ours, other)
        number = self._number(left)
        return left is right if number is None else number == self._number(right)

    def id(self, value: Any) -> int:
        number = self._number(value)
        return id(value) if number is None else number

    def type(self, *arguments: Any) -> Any:
        if len(arguments) == 1 and self._number(arguments[0]) is not None:
            kind = arguments[0].__class__  # of the interpreter's own, like a generator's
            return self.ask("type", *arguments) if kind is builtins.type(arguments[0]) else kind
        return builtins.type(*arguments)

    def issubclass(self, kind: Any, bases: Any) -> bool:
        parts = bases if isinstance(bases, tuple) else (bases,)
        if self._number(kind) is None and all(self._number(b) is None for b in parts):
            return issubclass(kind, bases)
        return any(self.ask("issubclass", kind, base) is True for base in parts)
