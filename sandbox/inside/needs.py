"""What the text of tests needs that is not here. It is the task's fault, and told before anything runs.

Every program would fail such tests, which looks like a model that learns nothing. Only the text is looked at: nothing that a
program does leads here.
"""

from __future__ import annotations

import ast
import importlib.util
import itertools
import re
import sys
from collections.abc import Collection, Iterator, Sequence

from ..wire.bindings import ScopedTransformer, bound_anywhere, read_and_bound
from ..wire.source import name_of, unparse
from . import testing
from .replaced import Place
from .scopes import SCOPES

_WORTH_A_LOOK = re.compile(
    r"\b(import|patch|class|pytest|builtins|sys|open|os|assertLogs|assertNoLogs|globals|locals|vars)\b"
)
# The program's files are in its own process, where the tests cannot make or read any.
_FILES = frozenset(
    (
        *(
            "open",
            "io.open",
            "os.open",
            "os.listdir",
            "os.mkdir",
            "os.makedirs",
            "os.remove",
            "os.unlink",
            "os.path.exists",
        ),
        *("os.path.isfile", "os.path.isdir", "os.path.getsize", "os.stat", "os.chdir", "shutil.rmtree", "shutil.copy"),
    )
)
_SCOPES = SCOPES - {"vars"}  # which is asked of objects, too
# What may be given `globals()`: it executes the tests' own text, is marked (`scopes`), or looks at them as a whole.
_TAKING_NAMES = frozenset(
    (
        *(
            "exec",
            "eval",
            "timeit",
            "repeat",
            "Timer",
            "runctx",
            "format",
            "format_map",
            "substitute",
            "safe_substitute",
        ),
        *(
            "dict",
            "len",
            "sorted",
            "list",
            "set",
            "tuple",
            "iter",
            "id",
            "type",
            "isinstance",
            "bool",
            "print",
            "update",
        ),
        *("copy", "get_type_hints", "itemgetter", "ask"),
    )
)
_BINDING = SCOPES | {
    "exec",
    "eval",
    "setattr",
    "__import__",
}  # by which names are bound and read that do not stand there
_LOGS = frozenset(("assertLogs", "assertNoLogs"))
# Modules whose failures nobody sees, or whose tests the program writes.
_UNSEEN = {
    "code": "it executes text in the process of the tests",
    "runpy": "it executes text in the process of the tests",
    "atexit": "what fails at the end of the interpreter decides nothing: assert in the test",
    "tempfile": "the program, which runs in another process, sees no file of the tests'",
    "doctest": "the examples in a program's docstrings are the program's word: assert in the test",
}


def trees_of(texts: Sequence[str]) -> list[ast.Module]:
    """Of the texts that may need something. Raises SyntaxError."""
    return [ast.parse(text) for text in texts if _WORTH_A_LOOK.search(text)]


def compiles(texts: Sequence[str]) -> str | None:
    """Why one of the texts is no module, or None."""
    for text in texts:
        try:
            compile(text, "<test>", "exec", dont_inherit=True)
        except SyntaxError as error:
            return f"the tests do not compile: {error}"
    return None


def missing(trees: Sequence[ast.Module], program: Collection[str]) -> str | None:
    """Why these tests cannot be run, or None. ``program``: the names of the program that are no exceptions."""
    taken: set[str] = set().union(*(read_and_bound(tree)[1] for tree in trees))
    return next((why for tree in trees for why in _missing(tree, program, taken)), None)


class _Scopes(ScopedTransformer):
    """Where ``globals``, ``locals`` and ``vars`` are no names of the tests' own: `found`, by identity."""

    def __init__(self, tree: ast.Module, taken: Collection[str]) -> None:
        super().__init__(taken)
        self.found: set[int] = set()
        self.visit(tree)

    def visit_Name(self, node: ast.Name) -> ast.AST:
        self.found |= {id(node)} if self.is_built_in(node, SCOPES) else set()
        return node


def _missing(tree: ast.Module, program: Collection[str], taken: Collection[str]) -> Iterator[str]:
    scopes = _Scopes(tree, taken).found
    tried = {
        id(n) for t in ast.walk(tree) if isinstance(t, ast.Try) and t.handlers for s in t.body for n in ast.walk(s)
    }
    modules = {"pytest": "pytest", **_imported(tree)}
    called = {id(n.func) for n in ast.walk(tree) if isinstance(n, ast.Call)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in tried:
            for alias in node.names:
                yield from _module(alias.name)
        elif isinstance(node, ast.ImportFrom) and id(node) not in tried:
            yield from _module(node.module or "", relative=bool(node.level))
            for alias in node.names if node.module == "pytest" else ():
                yield from _of_pytest(alias.name)
            for alias in node.names if node.module == "builtins" else ():
                if alias.name in {*SCOPES, "getattr"}:
                    yield f"the tests import {alias.name} from builtins: call it by its name"
        elif isinstance(node, ast.Attribute) and (module := _dotted(node.value, modules)) in ("pytest", "pytest.mark"):
            yield from _of_pytest(f"mark.{node.attr}" if module == "pytest.mark" else node.attr)
        elif isinstance(node, ast.Call) and unparse(node.func) in _FILES and "devnull" not in unparse(node):
            yield f"the tests call {unparse(node.func)}: they see no file of the program's, nor it one of theirs"
        elif why := _keeps_names(node, called, scopes):
            yield why
        elif isinstance(node, ast.Attribute) and node.attr in _LOGS:
            yield f"the tests use {node.attr}: what the program logs stays in its process"
        elif isinstance(node, ast.ClassDef):
            for base in (b for b in node.bases if isinstance(b, ast.Name) and b.id in program):
                yield f"the tests derive {node.name} from {base.id}, which is the program's and lives in its process"


def _keeps_names(node: ast.AST, called: Collection[int], scopes: Collection[int]) -> str | None:
    """The names of the tests in hands that may look up, or fill in, what the program says."""
    if isinstance(node, ast.Name) and node.id in _SCOPES and id(node) in scopes and id(node) not in called:
        return f"the tests keep {node.id} under another name: call it where names are looked up"
    taken: list[ast.expr] = []
    if isinstance(node, ast.Call):
        name = name_of(node.func)
        taken += () if name in _TAKING_NAMES else (*node.args, *(k.value for k in node.keywords if k.arg))
        taken += () if name == "format" else (k.value for k in node.keywords if not k.arg)
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Mod):
        taken = [node.value]
    if any(isinstance(t, ast.Call) and id(t.func) in scopes and not t.args for t in taken):
        return f"the tests hand their own names to {unparse(node)[:80]}: give it those that it needs"
    return None


def reads(texts: Sequence[str], names: Collection[str]) -> bool:
    """Whether texts of the tests use one of these names, or look names up by text."""
    wanted = {*names, *SCOPES} if names else set()
    return any(isinstance(n, ast.Name) and n.id in wanted for text in texts for n in ast.walk(ast.parse(text)))


def is_alone(texts: Sequence[str], given: Collection[str]) -> bool:
    """Whether the last of ``texts``, the setup and tests, does the same for every program until it asks one.

    It reads nothing that what the program has said before may have a part in: names that are there from the beginning, modules,
    and what it has itself made before.

    Args:
        given: names that stand for the same whatever the program, none of its data among them.
    """
    trees = [*map(ast.parse, texts)]
    if any(
        isinstance(n, ast.Global) or (isinstance(n, ast.Name) and n.id in _BINDING) for t in trees for n in ast.walk(t)
    ):
        return False
    *before, test = trees
    known = set().union(*(bound_anywhere([tree]) - _imported_first(tree) for tree in before))
    safe = ({*given} - known) | (bound_anywhere([test]) - known)
    safe |= set().union(*(_imported_first(tree) - known for tree in before))
    for statement in test.body:
        read = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
        if read - safe - (bound_anywhere([statement]) if isinstance(statement, ast.FunctionDef) else set()):
            return False
        if isinstance(statement, (ast.Assign, ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)):
            safe |= bound_anywhere([statement])
    return True


def _imported_first(tree: ast.Module) -> set[str]:
    """Modules that are imported whatever the program says, and never bound to anything else."""
    first = list(itertools.takewhile(lambda n: isinstance(n, (ast.Import, ast.ImportFrom)), tree.body))
    rest = ast.Module(tree.body[len(first) :], [])
    return {name for node in first for name in bound_anywhere([node])} - bound_anywhere([rest])


def _module(name: str, relative: bool = False) -> Iterator[str]:
    top = name.partition(".")[0]
    if relative or not is_here(top):
        yield f"the tests import {'.' * relative}{name or '.'}, which is not here: preload it, or call the program by its names"
    elif top in _UNSEEN:
        yield f"the tests import {name}: {_UNSEEN[top]}"


def is_here(top: str) -> bool:
    """Whether a module can be imported; of the library's some cannot, on a system of another kind."""
    return top in sys.modules or importlib.util.find_spec(top) is not None


def _of_pytest(name: str) -> Iterator[str]:
    if getattr(sys.modules.get("pytest"), "__file__", None):
        return  # the real one
    known = testing.MARKS if name.startswith("mark.") else testing.OFFERED
    if name.removeprefix("mark.") not in known:
        yield f"the tests use pytest.{name}: there is no collector, and of pytest only {', '.join(testing.OFFERED)}"


def places(trees: Sequence[ast.Module]) -> tuple[list[Place], str | None]:
    """What the tests put something in the place of (``patch("builtins.input")``, ``sys.stdin = ...``), and why not."""
    found: dict[tuple[str, str], Place] = {}
    for tree in trees:
        modules = _imported(tree)
        for node in ast.walk(tree):
            for name in _replaced(node, modules):
                module, _, attribute = name.rpartition(".")
                if (module, attribute) in found:
                    continue
                top = module.partition(".")[0]
                if not module or not is_here(top) or top == "__main__":
                    return [], f"the tests replace {name}, which is the program's, or not here"
                place = found[module, attribute] = Place(module, attribute)
                if (why := place.why_not()) is not None:
                    return [], f"the tests replace {name}: {why}"
    return list(found.values()), None


def _imported(tree: ast.Module) -> dict[str, str]:
    """What each name stands for that is imported: ``{"b": "builtins"}``."""
    names: dict[str, str] = {"builtins": "builtins", "sys": "sys"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return names


def _replaced(node: ast.AST, modules: dict[str, str]) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Attribute) and (base := _dotted(target.value, modules)) in sys.modules:
                yield f"{base}.{target.attr}"
    elif isinstance(node, ast.Call) and node.args:
        function, first = unparse(node.func), node.args[0]
        if re.fullmatch(r"(.*\.)?patch", function) and isinstance(first, ast.Constant):
            yield str(first.value)
        elif re.fullmatch(r"(.*\.)?patch\.(dict|multiple)", function):
            name = str(first.value) if isinstance(first, ast.Constant) else _dotted(first, modules)
            yield from [name] if name else []
        elif (
            re.fullmatch(r"(.*\.)?patch\.object", function)
            and len(node.args) > 1
            and isinstance(node.args[1], ast.Constant)
        ):
            base = _dotted(first, modules)
            if base:
                yield f"{base}.{node.args[1].value!s}"


def _dotted(node: ast.AST, modules: dict[str, str]) -> str:
    """The module, or what of one, that an expression names, if it is an imported one; else nothing."""
    top, dot, rest = unparse(node).partition(".")
    return modules[top] + dot + rest if top in modules else ""
