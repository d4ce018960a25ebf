"""Whose the names in a test script are, and what kind of thing it takes the program's results for.

The referee's names are its own: built-ins, modules and what is conventionally imported from them, and everything that
the setup defines. The program's are the entry points, and names that the tests could not have otherwise.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ..wire.plain import DATA_NAMES, JUDGING, of_data
from ..wire.source import name_of, unparse
from . import exits, judging
from .paths import Trace
from .scoped import read_and_bound

_ALIASES = {"np": "numpy", "pd": "pandas", "dt": "datetime", "plt": "matplotlib.pyplot", "scipy": "scipy"}
_ALIASES |= {"sp": "scipy", "nx": "networkx", "tf": "tensorflow", "sns": "seaborn", "sklearn": "sklearn", "cv2": "cv2"}
_ALIASES |= {"mock": "unittest.mock", "st": "hypothesis.strategies", "npt": "numpy.testing"}
_ALIASES |= {
    n: n for n in ("pytest", "hypothesis", "numpy", "pandas", "torch", "sympy", "networkx", "tensorflow", "matplotlib")
}


def _of(module: str, names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names.split()}


# What unittest's cases offer, used without a case; and the same in nose's spelling.
_OF_CASES = """
    AlmostEqual AlmostEquals CountEqual DictContainsSubset DictEqual Equal False Greater GreaterEqual In Is
    IsInstance IsNone IsNot IsNotNone Less LessEqual ListEqual Logs MultiLineEqual NoLogs NotAlmostEqual
    NotAlmostEquals NotEqual NotEquals NotIn NotIsInstance NotRegex NotRegexpMatches Raises RaisesRegex
    RaisesRegexp Regex RegexpMatches SequenceEqual SetEqual True TupleEqual Warns WarnsRegex
"""
_ASSERTIONS = {f"assert{name}": f"unittest:assert{name}" for name in _OF_CASES.split()}
_ASSERTIONS |= {re.sub("([A-Z])", lambda m: "_" + m[1].lower(), n): origin for n, origin in _ASSERTIONS.items()}
# What tests use for checking, whatever the program is about: never a function under test unless it is named as such.
_FOR_CHECKS = {
    **_ASSERTIONS,
    **_of("pytest", "approx raises warns deprecated_call importorskip"),
    **_of("unittest", "TestCase IsolatedAsyncioTestCase"),
    **_of("unittest.mock", "Mock MagicMock AsyncMock mock_open"),
    **_of("numpy.testing", "assert_allclose assert_array_equal assert_array_almost_equal"),
    **_of("numpy", "allclose array_equal"),
    **_of("pandas.testing", "assert_frame_equal assert_series_equal"),
    **_of("concurrent.futures", "ThreadPoolExecutor"),
    **_of("dataclasses", "asdict astuple dataclass is_dataclass"),
    **_of("collections", "Counter defaultdict deque OrderedDict namedtuple ChainMap"),
    **_of("itertools", "permutations combinations chain islice zip_longest combinations_with_replacement starmap"),
    **_of("functools", "reduce partial cmp_to_key"),
    **_of("math", "isclose isnan isinf"),
    **_of("typing", "List Dict Tuple Set Optional Any Union Callable Iterable Iterator Sequence"),
    **_of("fractions", "Fraction"),
    **_of("decimal", "Decimal"),
    **_of("datetime", "timedelta"),
    **_of("copy", "deepcopy"),
    **_of("io", "StringIO BytesIO"),
    **_of("contextlib", "redirect_stdout redirect_stderr suppress nullcontext contextmanager ExitStack closing"),
    **_of("operator", "itemgetter attrgetter"),
}
# Also the test's own where the entry points are known not to be among them.
_IF_NAMED = {
    **_of("itertools", "product accumulate groupby count cycle repeat takewhile dropwhile tee pairwise"),
    **_of("math", "sqrt ceil floor gcd lcm factorial comb perm prod inf nan pi tau fabs hypot log log2 log10 exp"),
    **_of("math", "sin cos tan fsum trunc isqrt dist"),
    **_of("datetime", "datetime date time"),
    **_of("copy", "copy"),
    **_of("random", "randint shuffle choice uniform seed sample"),
    **_of("string", "ascii_lowercase ascii_uppercase ascii_letters digits punctuation"),
    **_of("re", "fullmatch findall sub"),
    **_of("heapq", "heapify heappush heappop nsmallest nlargest"),
    **_of("bisect", "bisect bisect_left bisect_right insort"),
    **_of("statistics", "mean median mode stdev pstdev variance"),
    **_of("functools", "lru_cache cache wraps"),
    **_of("unittest.mock", "patch ANY call"),
    **_of("pathlib", "Path"),
    **_of("hypothesis", "given"),
    **_of("time", "sleep perf_counter monotonic"),
    **_of("inspect", "signature isgenerator isgeneratorfunction iscoroutinefunction"),
    **_of("operator", "add mul sub"),
}


@dataclass(slots=True)
class Script:
    """What a task's tests and setup say about names.

    Attributes:
        program: names that are the program's.
        own: names that the referee has from modules: ``module`` or ``module:name``.
        classes: names of the program that the tests use as classes.
        objects: paths of what the tests use as objects and not as data, and what they ask of it.
        methods: what the tests ask of the objects that they make from these classes.
        answering: the same of what is made by a name in the form of a class's, and asked for methods that data has
            (``Stats(d).mean()``).
        exceptions: names of the program that the tests catch, and paths (``Stack.Empty``).
        entry_points: names that are given as the program's.
        not_defined: why the tests cannot be run: they leave their verdict to the program.
        assigned, read: attributes that are set, and that the setup reads (`assigned_and_read`).
        compared: entry points in the form of a class's, no classes under test, of which themselves the tests ask nothing.
        defaulted: attributes that nobody sets, and that the setup's methods look for.
    """

    program: list[str] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)
    classes: list[str] = field(default_factory=list)
    objects: dict[str, list[str]] = field(default_factory=dict)
    methods: list[str] = field(default_factory=list)
    answering: dict[str, list[str]] = field(default_factory=dict)
    exceptions: list[str] = field(default_factory=list)
    entry_points: list[str] = field(default_factory=list)
    assigned: list[str] = field(default_factory=list)
    read: list[str] | None = None
    defaulted: list[str] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)
    not_defined: str | None = None


def referees_names(trees: Sequence[ast.AST], entry_points: Iterable[str]) -> dict[str, str]:
    """Names that tests read without defining them and that are modules, or from modules, by convention."""
    entry = {n.partition(".")[0] for n in entry_points}
    read, bound = read_and_bound(trees)
    free = read - bound - entry - _variables(trees)
    bases = {n.value.id for n in _walk(trees) if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)}
    called = {n.func.id for n in _walk(trees) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    found = {n: _ALIASES[n] for n in free & _ALIASES.keys() & bases}
    found |= {n: n for n in free & sys.stdlib_module_names & bases - called}
    conventional = {**_FOR_CHECKS, **(_IF_NAMED if entry else {})}
    others = {n for n in free - found.keys() if n not in conventional and not hasattr(builtins, n)}
    if entry or others:  # where nothing else is the program's, what is called is the function under test
        found |= {n: conventional[n] for n in free & conventional.keys() if n not in found}
    return found


def _variables(trees: Sequence[ast.AST]) -> set[str]:
    """Names that modules offer for functions, and that the tests use as variables of the program: compared, looked into or
    changed, and never called (``log == ["a"]``, ``count == 2``, ``queue[0]``).
    """
    used: set[str] = set()
    called: set[str] = set()
    for node in _walk(trees):
        if isinstance(node, ast.Compare):
            used |= {s.id for s in (node.left, *node.comparators) if isinstance(s, ast.Name)}
        elif isinstance(node, (ast.Subscript, ast.For, ast.comprehension)):
            over = node.value if isinstance(node, ast.Subscript) else node.iter
            used |= {over.id} if isinstance(over, ast.Name) else set()
        elif isinstance(node, ast.Call):
            called |= {node.func.id} if isinstance(node.func, ast.Name) else set()
            if isinstance(node.func, ast.Attribute) and node.func.attr in _CHANGING:
                used |= {node.func.value.id} if isinstance(node.func.value, ast.Name) else set()
            elif isinstance(node.func, ast.Name) and node.func.id in _LOOKING:
                used |= {a.id for a in node.args if isinstance(a, ast.Name)}
    functions = {
        n for n in _IF_NAMED if _IF_NAMED[n].partition(":")[0] not in _OF_CONSTANTS and n.islower()
    } - _NO_VARIABLES
    return used & (functions | sys.stdlib_module_names) - called


def _compared_items(trees: Sequence[ast.AST], trace: Trace) -> set[str]:
    """Paths of what the tests ask for items, of which each is compared: as a truth value, an item would say yes or no."""
    compared: set[ast.AST] = set()
    for node in _walk(trees):
        sides: list[ast.expr] = []
        if isinstance(node, ast.Compare) and all(isinstance(op, (ast.Eq, ast.NotEq)) for op in node.ops):
            sides = [node.left, *node.comparators]
        elif isinstance(node, ast.Call) and _EQUAL.fullmatch(unparse(node.func)):
            sides = node.args[:2]
        for side in sides:
            part: ast.AST = side
            while isinstance(part, ast.Subscript):
                compared.add(part)
                part = part.value
    read = [n for n in _walk(trees) if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Load)]
    asked = {node: trace.of(node.value) for node in read}
    others = set().union(*(paths for node, paths in asked.items() if node not in compared))
    return set().union(*asked.values()) - others


_LOOKING = frozenset(("len", "sum", "sorted", "list", "set", "dict", "tuple", "any", "all"))
_OF_CONSTANTS = frozenset(("string", "datetime"))  # whose names are compared, and never called
_NO_VARIABLES = frozenset(("inf", "nan", "pi", "tau"))


@functools.lru_cache(maxsize=1024)
def read_script(sources: tuple[str, ...], entry_points: tuple[str, ...], task_classes: tuple[str, ...]) -> Script:
    """Raises SyntaxError for sources that do not parse."""
    trees = [ast.parse(source) for source in sources]
    read, bound = read_and_bound(trees)
    own = referees_names(trees, entry_points)
    entry = {n.partition(".")[0] for n in entry_points}
    free = {n for n in read - bound if not hasattr(builtins, n) and n not in own} - set(task_classes)
    trace = Trace(trees)
    uses = trace.asked()
    caught = _caught(trees)
    script = Script(sorted((free | entry) - set(task_classes)), own)
    script.entry_points = sorted(entry)
    others = set(script.program) - set(script.exceptions)
    script.not_defined = judging.asks_for_verdict(trees, others, entry) or exits.ends_by_the_program(trees, others)
    script.not_defined = script.not_defined or exits.leaves_undone(trees, bound | entry)
    script.assigned, script.read = assigned_and_read(trees[0], trees[1:])
    script.defaulted = [n for n in defaulted(trees[0]) if n not in script.assigned]
    inner = {n for n in caught if "." in n and n.partition(".")[0] in script.program}
    script.exceptions = sorted(caught & set(script.program) | inner | _asserted(trees))
    script.classes = sorted(n for n in script.program if n[:1].isupper() and _is_class(n, uses, trace))
    objects = {path for tree in trees for path in _objects([trees[0], tree], entry)}
    objects |= {f"{n}()" for n in _kinds(trees).intersection(script.classes)}
    script.objects = {path: sorted(uses.get(path, ())) for path in sorted(objects)}
    script.methods = sorted(_methods(script.classes, uses))
    named = [n for n in script.program if _CAP_WORDS.fullmatch(n) and n not in script.classes]
    script.compared = [n for n in named if n in entry and not uses.get(n)]
    made, items = {f"{n}()" for n in named}, _compared_items(trees, trace)
    answering = (p for p in made if p in items or uses.get(p, set()) & DATA_NAMES - JUDGING)
    script.answering = {path: sorted(uses.get(path, ())) for path in sorted(answering)}
    return script


# Methods of data that change it and return nothing: asked of what they return, they are not data's.
_CHANGING = frozenset(
    ["add", "append", "appendleft", "clear", "discard", "extend", "insert", "remove", "reverse", "sort", "update"]
)


_OF_KINDS = frozenset(("isinstance", "issubclass", "assertIsInstance", "assertNotIsInstance", "assert_is_instance"))
_EQUAL = re.compile(r"(\w+\.)*assert_?(not_?)?(\w+_?)?(equals?|in)", re.IGNORECASE)
_CAP_WORDS = re.compile("[A-Z][A-Za-z0-9]*[a-z][A-Za-z0-9]*")


def _objects(trees: Sequence[ast.AST], entry: set[str]) -> Iterator[str]:
    """Paths of what the setup and one test take for objects: they ask for what no data has.

    Or, of the result of a function, for more than one kind of data has; or of a name in the form of a class's, since what
    is asked of a class (``Calculator.add(1, 2)``) is no method of data. A shorter name in capitals (``M.add(1, 2)``) may
    be a constant's: it is a class's if it is an entry point, or if the tests want a result where data has none. Of
    attributes and items that says nothing: the same path may lead to a list here, and to text there.
    """
    wanted = _wanted_of_a_change(trees)
    for path, asked in Trace(trees).asked().items():
        attributes = {name for name in asked if not name.startswith("__")}
        of_a_function = path.removesuffix("()").isidentifier()
        of_a_class = _CAP_WORDS.fullmatch(path) or path in entry or (path[:1].isupper() and path in wanted)
        if attributes - DATA_NAMES or (of_a_function and not of_data(attributes)) or of_a_class:
            yield path


def _kinds(trees: Sequence[ast.AST]) -> set[str]:
    """Names that no function could have where they stand: ``isinstance(x, Money)``."""
    calls = [n for n in _walk(trees) if isinstance(n, ast.Call) and name_of(n.func) in _OF_KINDS]
    return _names_in([a for call in calls for a in call.args[1:]])


def _wanted_of_a_change(trees: Sequence[ast.AST]) -> set[str]:
    """Names of which the tests call a method that changes data, and use what it returns."""
    unused = {id(n.value) for n in _walk(trees) if isinstance(n, ast.Expr)}
    calls = (n for n in _walk(trees) if isinstance(n, ast.Call) and id(n) not in unused)
    methods = (c.func for c in calls if isinstance(c.func, ast.Attribute) and c.func.attr in _CHANGING)
    return {m.value.id for m in methods if isinstance(m.value, ast.Name)}


def _methods(classes: Iterable[str], uses: dict[str, set[str]]) -> set[str]:
    """What is asked of objects of these classes, and of what they return from a change that is asked for another one."""
    found = set().union(*(uses.get(f"{name}()", ()) for name in classes))
    return found.union(*(uses[f".{name}()"] for name in found & _CHANGING if name in uses.get(f".{name}()", ())))


def _walk(trees: Sequence[ast.AST]) -> Iterator[ast.AST]:
    return (node for tree in trees for node in ast.walk(tree))


def given_by(module: ast.Module) -> tuple[set[str], bool]:
    """Names that a module binds, and whether these are all: ``from x import *`` does not say."""
    _, bound = read_and_bound([module])
    stars = {n.module for n in ast.walk(module) if isinstance(n, ast.ImportFrom) and n.names[0].name == "*"}
    known = {name: sys.modules[name] for name in stars if name in sys.stdlib_module_names and name in sys.modules}
    for imported in known.values():
        bound |= set(getattr(imported, "__all__", dir(imported)))
    return bound - {"*"}, len(known) == len(stars)


def assigned_and_read(setup: ast.Module, trees: Sequence[ast.AST]) -> tuple[list[str], list[str] | None]:
    """Attributes that the setup or the tests set in an object, and those that the setup's code reads: None for any, by name."""
    classes = {"cls", *(n.name for n in _walk([setup]) if isinstance(n, ast.ClassDef))}
    of_classes = {id(n) for parameter, body in _given_classes(setup) for n in _walk(body) if name_of(n) == parameter}
    stored = [n for n in _walk([setup, *trees]) if isinstance(n, ast.Attribute) and not isinstance(n.ctx, ast.Load)]
    by_name = [n for n in _walk([setup]) if isinstance(n, ast.Call) and _sets_by_name(n)]
    set_in = [*((n.value, n.attr) for n in stored), *((n.args[0], str(n.args[1].value)) for n in by_name)]  # type: ignore[attr-defined]
    assigned = {
        name for owner, name in set_in if id(owner) not in of_classes and getattr(owner, "id", "") not in classes
    }
    read = {n.attr for n in _walk([setup]) if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Load)}
    any_read = any(isinstance(n, ast.Name) and n.id in ("getattr", "vars") for n in _walk([setup]))
    return sorted(assigned), None if any_read else sorted(read)


def _given_classes(setup: ast.Module) -> Iterator[tuple[str, Sequence[ast.AST]]]:
    """The parameters by which functions of the setup are given a class that they decorate, and their bodies."""
    decorators = [d for n in _walk([setup]) if isinstance(n, ast.ClassDef) for d in n.decorator_list]
    functions = {n.name: n for n in _walk([setup]) if isinstance(n, ast.FunctionDef)}
    for decorator in decorators:
        function = functions.get(name_of(decorator.func if isinstance(decorator, ast.Call) else decorator))
        if function is not None and isinstance(decorator, ast.Call):  # what it returns is given the class
            returned = {
                name_of(n.value) for n in _walk(function.body) if isinstance(n, ast.Return) and n.value is not None
            }
            function = next(
                (n for n in _walk(function.body) if isinstance(n, ast.FunctionDef) and n.name in returned), None
            )
        if function is not None and function.args.args:
            yield function.args.args[0].arg, function.body


def defaulted(setup: ast.Module) -> list[str]:
    """Attributes that methods of the setup's classes read of their own object if it has any: ``getattr(self, "eps", 0)``."""
    if any(name_of(n) in ("__dict__", "vars") for n in _walk([setup])):  # which may set any
        return []
    methods = (
        m for n in _walk([setup]) if isinstance(n, ast.ClassDef) for m in n.body if isinstance(m, ast.FunctionDef)
    )
    calls = ((m.args.args[0].arg, n) for m in methods if m.args.args for n in ast.walk(m) if isinstance(n, ast.Call))
    read = [n for own, n in calls if name_of(n.func) == "getattr" and len(n.args) == 3 and name_of(n.args[0]) == own]
    return sorted({str(n.args[1].value) for n in read if isinstance(n.args[1], ast.Constant)})


def _sets_by_name(node: ast.AST) -> bool:
    sets = isinstance(node, ast.Call) and name_of(node.func) in _SETTING
    return sets and len(node.args) > 1 and isinstance(node.args[1], ast.Constant)  # type: ignore[attr-defined]


_SETTING = frozenset(("setattr", "__setattr__"))
_OF_EXCEPTIONS = frozenset(("raises", "assertRaises", "assertRaisesRegex", "suppress", "issubclass", "assert_raises"))


def _caught(trees: Sequence[ast.AST]) -> set[str]:
    """Names used as kinds of exceptions: in ``except``, and as arguments of assertRaises, raises and suppress; ``Stack.Empty``
    as a whole."""
    kinds: list[ast.AST] = []
    for node in _walk(trees):
        if isinstance(node, ast.ExceptHandler) and node.type is not None:
            kinds.append(node.type)
        elif isinstance(node, ast.Call):
            function = node.func
            name = name_of(function)
            if name in _OF_EXCEPTIONS:
                kinds += node.args
    return set(_names_and_paths(kinds))


def _names_and_paths(nodes: Iterable[ast.AST]) -> Iterator[str]:
    for node in nodes:
        path = unparse(node) if isinstance(node, (ast.Name, ast.Attribute)) else ""
        if path.replace(".", "").isidentifier():
            yield path
        else:
            yield from _names_and_paths(ast.iter_child_nodes(node))


def _asserted(trees: Sequence[ast.AST]) -> set[str]:
    """AssertionError, if the tests expect one of the program, and not one of their own."""
    for node in _walk(trees):
        if isinstance(node, ast.Try) and not _asserts(node.body):
            if "AssertionError" in _names_in([h.type for h in node.handlers if h.type]):
                return {"AssertionError"}
        elif isinstance(node, ast.With) and not _asserts(node.body):
            if "AssertionError" in _caught([i.context_expr for i in node.items]):
                return {"AssertionError"}
        elif isinstance(node, ast.Call) and len(node.args) > 1 and "AssertionError" in _caught([node]):
            return {"AssertionError"}
    return set()


def _asserts(body: Sequence[ast.AST]) -> bool:
    return any(
        isinstance(n, ast.Assert)
        or (isinstance(n, ast.Call) and unparse(n.func).rpartition(".")[2].startswith("assert"))
        for n in _walk(body)
    )


def _names_in(nodes: Sequence[ast.AST]) -> set[str]:
    return {n.id for n in _walk(nodes) if isinstance(n, ast.Name)}


def _is_class(name: str, uses: dict[str, set[str]], trace: Trace) -> bool:
    """Whether the tests treat what ``name`` makes as objects of a class, not as data.

    A name in capitals alone proves nothing: a function may be called ``Area``.
    """
    asked = uses.get(f"{name}()", set())
    if asked - DATA_NAMES or _methods_of_a_class(name, asked):
        return True
    makers = {f"{name}()", *(f".{method}()" for method in uses.get(name, ()))}
    return any(_says_class(node, name, makers, trace) for node in _walk(trace.trees))


def _says_class(node: ast.AST, name: str, makers: set[str], trace: Trace) -> bool:
    """``makers``: paths of what the class makes, called or by a function of its own (``P.of(1)``)."""

    def both(left: ast.AST, right: ast.AST) -> bool:
        """Objects of one class, of which one is made by its name: V(1) + V(2) == V(3), or P.of(1) == P(1, 1)."""
        ours, theirs = (made_in(side) for side in (left, right))
        return bool(ours and theirs) and f"{name}()" in ours | theirs

    def made_in(side: ast.AST) -> set[str]:
        """What it is, or the items of it are: P.split(x) == [P(1), P(2)]."""
        if isinstance(side, (ast.List, ast.Tuple, ast.Set)):
            return set().union(*map(made_in, side.elts))
        return {path.rstrip("[]") for path in trace.of(side)} & makers

    if isinstance(node, ast.Call) and _EQUAL.fullmatch(unparse(node.func)) and len(node.args) > 1:
        return both(*node.args[:2]) or (_makes([node.args[0]], name) and _makes([node.args[1]], name))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in ("isinstance", "issubclass") and name in _names_in(node.args[1:]):
            return True
        if node.func.id == "hash" and _makes(node.args, name):
            return True
        if node.func.id in ("max", "min") and len(node.args) > 1:  # of two objects, as V(1) < V(2)
            return both(*node.args[:2])
        if node.func.id == "abs" and node.args:  # of a difference it is how numbers are compared
            return not isinstance(node.args[0], ast.BinOp) and f"{name}()" in trace.of(node.args[0])
        return node.func.id == name and not node.args and not node.keywords  # Queue()
    if isinstance(node, ast.Compare):
        return any(both(node.left, other) for other in node.comparators) or (
            _makes([node.left], name) and _makes(node.comparators, name)
        )
    if isinstance(node, (ast.BinOp, ast.AugAssign)):
        return both(*((node.left, node.right) if isinstance(node, ast.BinOp) else (node.target, node.value)))
    if isinstance(node, ast.Dict):
        return _makes([*filter(None, node.keys)], name)
    if isinstance(node, ast.Subscript):
        changes = not isinstance(node.ctx, ast.Load)  # what it made: d["a"] = 1
        return _makes([node.slice], name) or (changes and f"{name}()" in trace.of(node.value))
    if isinstance(node, ast.Set):
        return sum(_makes([e], name) for e in node.elts) > 1
    if isinstance(node, ast.ClassDef):
        return name in _names_in(node.bases)
    managed = [item.context_expr for item in node.items] if isinstance(node, (ast.With, ast.AsyncWith)) else []
    return _makes(managed, name)


def _methods_of_a_class(name: str, attributes: set[str]) -> bool:
    # Some stacks are only appended to and popped from. A name that says so, in the form of a class's, is believed if the
    # tests change what it made; a function may return a dict, which is looked into.
    believed = len(attributes) > 1 and "_" not in name
    return bool(attributes & _CHANGING) and bool(believed or _CAP_WORDS.fullmatch(name))


def _makes(nodes: Sequence[ast.AST], name: str) -> bool:
    calls = (n for node in nodes for n in ast.walk(node) if isinstance(n, ast.Call))
    return any(isinstance(c.func, ast.Name) and c.func.id == name for c in calls)
