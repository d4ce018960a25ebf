"""Whether a function of another library evaluates text as code, found by reading its source.

A scorer that hands a response to ``eval``, or to SymPy, which evaluates the text of an expression, lets a response run
anything with the rights of the trainer. It could do so in a sandbox, but there it would still own its verdict: the
response decides what the scorer returns. Such functions are refused.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import textwrap
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

# Names that evaluate text wherever they come from, and modules whose functions do so with any text they are given.
EVALUATORS = frozenset(
    {"eval", "exec", "execfile", "compile", "__import__", "import_module", "parse_expr", "sympify", "parse_latex"}
    | {"unsafe_load", "full_load", "Popen", "check_output", "getoutput", "system", "popen"}
)
EVALUATING_MODULES = frozenset(
    {"sympy", "numexpr", "pickle", "cloudpickle", "dill", "marshal", "subprocess", "runpy", "code", "importlib", "os"}
)
HARMLESS_RECEIVERS = frozenset({"re", "regex"})  # re.compile
MAX_FUNCTIONS = 2_000


def evaluation_in(function: Callable[..., Any]) -> str | None:
    """Where ``function``, or what it calls of its own package, evaluates text; None if nowhere.

    Followed are functions and classes of the same top-level package and methods of ``self``. A function whose source
    cannot be read is taken to evaluate.
    """
    if not isinstance(function, (FunctionType, MethodType)) and isinstance(type(function).__call__, FunctionType):
        function = getattr(function, "__call__")  # noqa: B004, B009 - an object that can be called
    owner = type(function.__self__) if isinstance(function, MethodType) else None
    start = inspect.unwrap(function.__func__ if isinstance(function, MethodType) else function)
    if not isinstance(start, FunctionType):
        return f"{function!r:.100} has no source to be read"
    package = (start.__module__ or "").partition(".")[0]
    waiting: list[tuple[FunctionType, type | None]] = [(start, owner)]
    seen: set[Any] = set()
    while waiting:
        current, owner = waiting.pop()
        if (current, owner) in seen:
            continue
        seen.add((current, owner))
        try:
            lines, first = inspect.getsourcelines(current)
            tree = ast.parse(textwrap.dedent("".join(lines)))
        except (OSError, TypeError, SyntaxError, ValueError, RecursionError):
            return f"the source of {current.__module__}.{current.__qualname__} cannot be read"
        reader = _Reader(current, owner, package, start.__name__)
        for node in ast.walk(tree):
            if name := reader.evaluator(node):
                return f"{current.__module__}.{current.__qualname__}, line {first + node.lineno - 1}: {name}"  # type: ignore[attr-defined]
            waiting += reader.followed(node)
        if len(seen) > MAX_FUNCTIONS:
            return f"{start.__qualname__} leads to more than {MAX_FUNCTIONS:,} functions"
    return None


class _Reader:
    """Resolves the names in one function's source."""

    def __init__(self, function: FunctionType, owner: type | None, package: str, scorer: str) -> None:
        self.owner, self.package, self.scorer = owner, package, scorer
        closed = inspect.getclosurevars(function).nonlocals if function.__closure__ else {}
        self.names: dict[str, Any] = {**vars(builtins), **function.__globals__, **closed}

    def evaluator(self, node: ast.AST) -> str | None:
        """The name under which ``node`` evaluates text, if it does. Mentioning is enough: ``map(eval, texts)``."""
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found = [m for m in modules if m.partition(".")[0] in EVALUATING_MODULES - {"os"}]
            return f"import of {found[0]}" if found else None
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            target = self.names.get(node.id)
            if node.id in EVALUATORS and not self._is_own(target):
                return node.id
            return f"{node.id}, which is of {target.__module__}" if _evaluates(target) else None
        if isinstance(node, ast.Attribute):
            receiver = self._resolve(node.value)
            if isinstance(receiver, ModuleType):
                root = receiver.__name__.partition(".")[0]
                if root in EVALUATING_MODULES - {"os"}:
                    return f"{root}.{node.attr}"
                if root in HARMLESS_RECEIVERS:
                    return None
            target = self._resolve(node)
            if node.attr in EVALUATORS and not self._is_own(target):
                return f".{node.attr}"
            if node.attr == self.scorer and target is None:
                return f".{node.attr} of something that only running it would tell"
        return None

    def followed(self, node: ast.AST) -> Iterator[tuple[FunctionType, type | None]]:
        """Functions of the same package that ``node`` names, and methods of the classes that it makes."""
        if isinstance(node, ast.Call) and isinstance(target := self._resolve(node.func), type):
            members = [m for base in target.__mro__ if self._is_own(base) for m in vars(base).values()]
            # Methods that a dataclass wrote for itself have no source, and evaluate nothing.
            plain = [found for m in members if (found := _plain(m)) is not None]
            yield from ((found, target) for found in plain if found.__code__.co_filename != "<string>")
        if not isinstance(node, (ast.Name, ast.Attribute)) or not self._is_own(target := self._resolve(node)):
            return
        if not isinstance(target, type) and (found := _plain(target)) is not None:
            is_method = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
            yield found, self.owner if is_method else None

    def _resolve(self, node: ast.AST) -> Any:
        if isinstance(node, ast.Name):
            return self.owner if node.id in ("self", "cls") else self.names.get(node.id)
        if isinstance(node, ast.Attribute):
            base = self._resolve(node.value)
            return None if base is None else inspect.getattr_static(base, node.attr, None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
            return self.owner
        return None

    def _is_own(self, target: Any) -> bool:
        inner = _plain(target)
        module = getattr(inner if inner is not None else target, "__module__", None)
        return isinstance(module, str) and module.partition(".")[0] == self.package


def _plain(target: Any) -> FunctionType | None:
    if isinstance(target, (staticmethod, classmethod)):
        target = target.__func__
    if isinstance(target, property):
        target = target.fget
    target = inspect.unwrap(target) if callable(target) else target
    return target if isinstance(target, FunctionType) else None


def _evaluates(target: Any) -> bool:
    """Whether a name stands for an evaluating function of Python's, or something of a module that evaluates text."""
    if any(target is known for known in (eval, exec, compile, __import__)):
        return True
    module = getattr(target, "__module__", None)
    is_called = isinstance(target, (FunctionType, type))
    return is_called and isinstance(module, str) and module.partition(".")[0] in EVALUATING_MODULES
