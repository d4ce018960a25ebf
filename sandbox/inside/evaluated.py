"""Text and pickles that the tests execute: only their own. What a program hands over must not run in their process.

``eval(f(1)) == 7`` would execute in the referee whatever the program wrote, an object that equals everything among it. Text that
stands in the tests is executed as it is. Any other is evaluated if it is an expression over plain data, the names of the program
and a few types; `exec` of it, and what a pickle wants to call, is refused.
"""

from __future__ import annotations

import ast
import builtins
import importlib
import io
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any

from ..wire import codec
from . import passed, rewritten
from .passed import Library
from .proxy import Proxy
from .texts import Handed

_eval, _exec, _compile = builtins.eval, builtins.exec, builtins.compile
_DATA: dict[str, tuple[str, ...]] = {
    "builtins": (
        *("abs", "bool", "bytearray", "bytes", "complex", "dict", "divmod", "float", "frozenset", "int", "len", "list"),
        *("max", "min", "pow", "range", "round", "set", "sorted", "str", "sum", "tuple"),
    ),
    "collections": ("Counter", "OrderedDict", "defaultdict", "deque"),
    "datetime": ("date", "datetime", "time", "timedelta", "timezone"),
    "decimal": ("Decimal",),
    "fractions": ("Fraction",),
    "math": ("ceil", "comb", "e", "factorial", "floor", "gcd", "inf", "log", "nan", "perm", "pi", "sqrt"),
}
_MODULE_OF = {name: module for module, names in _DATA.items() for name in names if module != "math"}
_PARTS: tuple[type[ast.AST], ...] = (
    *(
        ast.Expression,
        ast.Constant,
        ast.Tuple,
        ast.List,
        ast.Set,
        ast.Dict,
        ast.UnaryOp,
        ast.BinOp,
        ast.BoolOp,
        ast.Compare,
    ),
    *(ast.IfExp, ast.Subscript, ast.Slice, ast.Call, ast.keyword, ast.Starred, ast.Name, ast.Attribute),
    *(ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop),
)
# What calls whatever it is given: a pool, a mock, and the referee for a program that was given something of the tests'.
_RELAYS = frozenset(("asyncio", "concurrent", "contextlib", "functools", "sched", "threading", "unittest"))
_RELAYS |= {__name__.partition(".")[0]}


class Own:
    """``eval``, ``exec`` and ``compile`` as the tests have them.

    Args:
        texts: the sources of the setup and the tests.
        handed: what the program has handed over as text.
        common: what is known of the texts of the run.
    """

    def __init__(self, texts: Sequence[str], handed: Handed, common: rewritten.Common) -> None:
        self._handed, self._common = handed, common
        nodes = (node for text in texts for node in ast.walk(ast.parse(text)))
        self._texts = {
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
        }
        self.texts = [text for text in self._texts if isinstance(text, str)]
        self._codes: list[Any] = []

    def is_own(self, source: Any) -> bool:
        return any(source is code for code in self._codes) or (type(source) in (str, bytes) and source in self._texts)

    def eval(self, source: Any, names: Any = None, local: Any = None, /) -> Any:
        names, local, by_tests = _scope(names, local)
        # A single name may be a key somewhere in the tests, and the name of what is expected: only the program's are looked up.
        single = isinstance(source, str) and source.strip().isidentifier()
        if not by_tests or (self.is_own(source) and not single):
            return _eval(source, names, local)
        if not isinstance(source, str):
            raise codec.NotData("the tests evaluate what is not theirs")
        if not self._handed.keeps_apart(source):
            raise codec.NotData("the tests evaluate text that is not theirs, and no operand where it stands")
        return _expression(source, {**names, **local})

    def exec(self, source: Any, names: Any = None, local: Any = None, /, **named: Any) -> None:
        names, local, by_tests = _scope(names, local)
        if by_tests and not self.is_own(source):
            raise codec.NotData("the tests execute text that does not stand in them")
        if by_tests and isinstance(source, str):
            source = rewritten.compiled(source, "<text>", self._common, known={**names, **local})
        _exec(source, names, local, **named)

    def compile(self, source: Any, *arguments: Any, **named: Any) -> Any:
        code = _compile(source, *arguments, **named)
        if not isinstance(code, types.CodeType) or not _scope(None, None)[2]:
            return code
        if not self.is_own(source):  # that it can be compiled is all that is to be known of it
            return _compile("raise TypeError('text that does not stand in the tests')", "<text>", "exec")
        self._codes.append(code)
        return code


def _scope(names: Any, local: Any) -> tuple[Any, Any, bool]:
    """The names of the caller's caller unless others are given, and whether it is the tests, and no module."""
    frame = sys._getframe(2)
    module = sys.modules.get(str(frame.f_globals.get("__name__")))
    by_tests = module is None or vars(module) is not frame.f_globals or module.__name__ == "__tests__"
    by_tests = by_tests or str(frame.f_globals.get("__name__")).partition(".")[0] in _RELAYS
    if names is None:
        return frame.f_globals, frame.f_locals if local is None else local, by_tests
    return names, names if local is None else local, by_tests


def _expression(source: str, names: dict[str, Any]) -> Any:
    """Evaluate text of a program.

    Raises:
        NotData: it is more than an expression over plain data and names of the program.
    """
    tree = ast.parse(source.strip(), mode="eval")
    known: dict[str, Any] = {"__builtins__": {}}
    for node in ast.walk(tree):
        if not isinstance(node, _PARTS) or (isinstance(node, ast.Attribute) and not _is_of_module(node, names)):
            raise codec.NotData("the tests evaluate text that is not theirs, and no expression of plain data")
        if isinstance(node, ast.Name):
            known[node.id] = _meant(node.id, names)
    return _eval(_compile(tree, "<text>", "eval"), known)


def _is_of_module(node: ast.Attribute, names: dict[str, Any]) -> bool:
    if not isinstance(node.value, ast.Name):
        return False
    of_program = type(names.get(node.value.id)) is Proxy and not node.attr.startswith("_")
    return of_program or node.attr in _DATA.get(node.value.id, ())


def _meant(name: str, names: dict[str, Any]) -> Any:
    if type(names.get(name)) is Proxy:
        return names[name]
    if name in _MODULE_OF:
        return getattr(importlib.import_module(_MODULE_OF[name]), name)
    if name in _DATA:
        return importlib.import_module(name)
    raise codec.NotData(f"the tests evaluate text that is not theirs, and which names {name!r:.40}")


def guard(library: Library, texts: Sequence[str], handed: Handed, common: rewritten.Common) -> None:
    """Put these in the place of the built-in ones, as far as the tests use any."""
    told = " ".join(texts)
    own = Own(texts, handed, common)
    handed.is_own, handed.own = own.is_own, own.texts
    for name in ("eval", "exec", "compile"):
        if name in told:
            setattr(builtins, name, getattr(own, name))
            passed.OF_LIBRARY.append((getattr(builtins, name), ["library", "builtins", name]))
    if "pickle" in told:
        _guard_pickle(importlib.import_module("pickle"), library)
        _guard_pickle_in_c(importlib.import_module("pickle"))
    if "marshal" in told:
        _guard_marshal(importlib.import_module("marshal"))


def _guard_pickle(pickle: Any, library: Library) -> None:
    theirs: set[bytes] = set()  # objects of the program, which has them back
    ours: set[bytes] = set()
    dumps, loads = pickle.dumps, pickle.loads

    class Plain(pickle.Unpickler):
        """Of data only; an attribute that a pickle puts before a method of it is left behind."""

        def find_class(self, module: str, name: str) -> Any:
            if name not in _DATA.get(module, ()):
                raise codec.NotData(f"a pickle that is not the tests' wants {module}.{name}"[:100])
            return super().find_class(module, name)

        def load(self) -> Any:
            return codec.decode(codec.encode(super().load()))

    def keep(value: Any, *arguments: Any, **named: Any) -> Any:
        if type(value) is not Proxy:
            made = dumps(value, *arguments, **named)
            ours.add(made)
            return made
        made = library("pickle", "dumps", (value, *arguments), named)
        if type(made) is bytes:
            theirs.add(made)
        return made

    def read(data: Any, *arguments: Any, **named: Any) -> Any:
        if bytes(data) in theirs:
            return library("pickle", "loads", (data, *arguments), named)
        if bytes(data) in ours:
            return loads(data, *arguments, **named)
        return Plain(io.BytesIO(data), *arguments, **named).load()

    pickle.dumps, pickle.loads = keep, read
    pickle.load = lambda file, **named: Plain(file, **named).load()
    pickle.Unpickler = pickle._Unpickler = Plain


def _guard_pickle_in_c(pickle: Any) -> None:
    accelerated: Any = importlib.import_module("_pickle")
    accelerated.loads, accelerated.load, accelerated.Unpickler = pickle.loads, pickle.load, pickle.Unpickler
    pickle._loads, pickle._load = pickle.loads, pickle.load


def _guard_marshal(marshal: Any) -> None:
    loads: Callable[..., Any] = marshal.loads

    def read(data: Any) -> Any:
        found = loads(data)
        if isinstance(found, types.CodeType):
            raise codec.NotData("the tests read code that is not theirs")
        return found

    marshal.loads = read
