"""The ``code`` verifier: takes the program out of a response and judges it by the task's tests, in the sandbox.

The task's ``answer`` says what is tested (`code_tasks` makes it from the rows of HumanEval, MBPP, EvalPlus, APPS,
LiveCodeBench and KodCode)::

    {"kind": "assert", "tests": ["assert add(1, 2) == 3"], "entry_point": "add"}
    {"kind": "stdio", "tests": [{"input": "1 2\\n", "output": "3\\n"}]}
    {"kind": "function", "tests": [{"input": [1, 2], "output": 3}], "entry_point": "Solution.add"}
    {"kind": "pytest", "tests": ["from solution import add\\n\\ndef test_add():\\n    assert add(1, 2) == 3"]}

Optional keys: ``setup`` (code of the task), ``prompt`` (a function header that the response may continue),
``tolerance``, ``limits`` (of `grpo_kit.sandbox.Limits`), ``layout`` (of the output: ``lines`` or ``tokens``), ``judge``
(false: the program gets none of the imports that online judges put before it, `judge_setup`). A list stands for assert
tests, a text for a single one. Of files of tests (``pytest``) each test that a collector finds is one (`collected`).
"""

from __future__ import annotations

import ast
import atexit
import hashlib
import json
import os
import pickle
import random
import re
import textwrap
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from grpo_kit.types import Score

from .programs import find_program, wanted
from .register import verifier

if TYPE_CHECKING:
    from grpo_kit.sandbox import Limits, Result, Sandbox

_KEYS = {"kind", "tests", "entry_point", "setup", "prompt", "tolerance", "limits", "layout", "judge"}
_REMEMBERED = 4096


class TaskError(ValueError):
    """A task that cannot be judged, whatever the response."""


@dataclass(frozen=True, slots=True)
class CodeTask:
    """What an ``answer`` says."""

    tests: Sequence[Any]
    kind: str = "assert"
    entry_point: str | Sequence[str] | None = None
    setup: str = ""
    prompt: str = ""
    tolerance: float | None = None
    limits: Mapping[str, Any] = field(default_factory=dict)
    layout: str = "lines"
    judge: bool = True

    @property
    def names(self) -> tuple[str, ...]:
        """The entry points."""
        return (self.entry_point,) if isinstance(self.entry_point, str) else tuple(self.entry_point or ())

    @classmethod
    def read(cls, answer: Any) -> CodeTask:
        """Raises TaskError for anything that is no description of tests."""
        if isinstance(answer, str) and answer.lstrip()[:1] in ("{", "["):
            try:
                answer = json.loads(answer)
            except ValueError as error:
                raise TaskError(f"the answer looks like JSON and is not: {error}") from None
        if isinstance(answer, str):
            answer = {"tests": [answer]}
        elif isinstance(answer, (list, tuple)):
            answer = {"tests": list(answer)}
        if not isinstance(answer, Mapping):
            raise TaskError(f"the answer must describe tests (a dict, a list or a text), got {type(answer).__name__}")
        unknown = set(answer) - _KEYS
        if unknown or not answer.get("tests"):
            problem = f"unknown keys {sorted(map(str, unknown))}" if unknown else "no tests"
            raise TaskError(f"the answer has {problem}; it takes {', '.join(sorted(_KEYS))}")
        given = {key: value for key, value in answer.items() if value is not None}
        task = cls(**given)
        if task.kind == "pytest":
            task = _collected(task)
        if task.kind == "assert":
            _refuse_vacuous(task.tests)
        return task


def _collected(task: CodeTask) -> CodeTask:
    """Files of tests as the tests that are in them. Without an entry point, what they import of the program is tested."""
    from grpo_kit.sandbox import TestError
    from grpo_kit.sandbox.host.imported import named

    from .collected import collected
    from .fixtures import FileError

    files = tuple(map(str, task.tests))
    try:
        tests = [test for file in files for test in collected(file)]
        names = named(files, task.names)[1]
    except (FileError, TestError, SyntaxError, MemoryError) as error:
        raise TaskError(f"a file of tests: {error}") from None
    return replace(task, kind="assert", tests=tests, entry_point=names or None)


def _refuse_vacuous(tests: Sequence[Any]) -> None:
    """Raises TaskError when no test could ever fail a program: everybody would be paid."""
    for test in tests:
        try:
            tree = ast.parse(str(test))
        except (SyntaxError, ValueError, RecursionError):
            return  # the sandbox reports tests that do not parse
        if any(isinstance(node, (ast.Assert, ast.Raise, ast.Call)) for node in ast.walk(tree)):
            return
    raise TaskError(f"the tests assert nothing: {str(tests[0])[:80]!r}")


# -- from the response to a program ----------------------------------------------------------------------------------


def extract_code(response: str, task: CodeTask | None = None) -> str | None:
    """The program in a response, for a task (`programs.find_program`); None if there is no code."""
    if task is None:
        return find_program(response)
    return find_program(response, wanted(task.names, task.kind, task.prompt))


def program(code: str, task: CodeTask) -> str:
    """``code`` completed by the task's function header, if it continues that instead of repeating it."""
    if not task.prompt or any(_defines(code, name.partition(".")[0]) for name in task.names):
        return code
    body = code if code[:1] in (" ", "\t", "\n") else textwrap.indent(code, "    ")
    return task.prompt + ("" if task.prompt.endswith("\n") else "\n") + body


def _defines(code: str, name: str) -> bool:
    pattern = rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{re.escape(name)}\b|^{re.escape(name)}[ \t]*[=:]"
    return re.search(pattern, code, re.MULTILINE) is not None


# -- judging ---------------------------------------------------------------------------------------------------------

_sandboxes: dict[tuple[Any, ...], Sandbox] = {}
_remembered: OrderedDict[str, Score] = OrderedDict()


def _sandbox(backend: str, preload: tuple[str, ...]) -> Sandbox:
    """This process's sandbox, started when first needed: a verifier may be called in any worker process."""
    from grpo_kit.sandbox import Sandbox

    key = (os.getpid(), backend, preload)
    if key not in _sandboxes:
        _sandboxes[key] = Sandbox(backend=backend, preload=preload)
        atexit.register(_sandboxes[key].close)
    return _sandboxes[key]


# Modules that LiveCodeBench's grader puts before every program, names and all (its testing_util.py); programs made for it
# lack these imports. builtins comes late: math, operator and io have a pow and an open of their own.
_STARRED = (
    *(
        "string",
        "re",
        "datetime",
        "collections",
        "heapq",
        "bisect",
        "copy",
        "math",
        "random",
        "statistics",
        "itertools",
    ),
    *("functools", "operator", "io", "sys", "json", "builtins", "typing"),
)
_NAMED = tuple(name for name in _STARRED if name not in ("builtins", "typing"))
_JUDGE = (
    "\n".join(f"from {name} import *" for name in _STARRED)
    + f"\nimport {', '.join(_NAMED)}\nsys.setrecursionlimit(50_000)\nsys.set_int_max_str_digits(0)\n"
)


def judge_setup(task: CodeTask) -> str:
    """The task's setup, for programs of online judges with what a judge provides: imports, deep recursion, long numbers.

    Entry points are taken out of it: one that the program does not define must not be found among the imports.
    """
    if task.kind not in ("stdio", "function") or not task.judge:
        return task.setup
    names = sorted({part for name in task.names for part in name.split(".")})
    removed = "".join(f"globals().pop({name!r}, None)\n" for name in names)
    return f"{_JUDGE}{task.setup}\n{removed}"


def run_task(
    code: str, task: CodeTask, backend: str = "auto", preload: Sequence[str] = (), stop_at_first: bool = False
) -> Result:
    """Judge a complete program by a task's tests.

    Raises:
        TaskError: for tests or limits that cannot be used.
    """
    from grpo_kit.sandbox import Limits, TestError

    try:
        limits: Limits = Limits(**task.limits)
    except (TypeError, ValueError) as error:
        raise TaskError(f"limits: {error}") from None
    try:
        return _sandbox(backend, tuple(preload)).run_tests(
            code,
            task.tests,
            kind=task.kind,
            entry_point=task.entry_point,
            setup=judge_setup(task),
            layout=task.layout,
            limits=limits,
            stop_at_first=stop_at_first,
            tolerance=task.tolerance,
        )
    except TestError as error:
        raise TaskError(str(error)) from None


def _cases() -> list[Any]:
    from .cases import Case

    task = {"tests": ["assert add(1, 2) == 3", "assert add(-1, 1) == 0"], "entry_point": "add"}
    return [
        Case("```python\ndef add(a, b):\n    return a + b\n```", task, expected=1.0),
        Case("def add(a, b): return a + b", task, expected=1.0),
        Case("```python\ndef add(a, b):\n    return 3\n```", task, expected=0.0),
        Case("import os\nos._exit(0)", task, expected=0.0),
        Case("I do not know.", task, expected=0.0),
    ]


@verifier(name="code", timeout=300.0, version="1", demonstrable=False, cases=_cases)
def code(
    response: str,
    answer: Any,
    meta: Any = None,
    reward: str = "binary",
    max_tests: int = 0,
    show_expected: bool = False,
    backend: str = "auto",
    preload: Sequence[str] = (),
) -> Score:
    """Run the response's program against the task's tests.

    Args:
        reward: ``binary``: 1 if every test passes, and the run ends at the first failure. ``fraction``: the share of
            tests that pass; all are run.
        max_tests: judge by a sample of so many tests, the same for every response to a task; 0: all.
        show_expected: put the failing test with its expected value into ``Score.reason``. Rollout logs may be trained
            on later, so the default shows the inputs only.
        backend, preload: see `grpo_kit.sandbox.Sandbox`.

    A failure of the sandbox or a task that cannot be judged is a Score with status ``error``, never a reward.
    """
    if reward not in ("binary", "fraction"):
        raise ValueError(f"reward must be 'binary' or 'fraction', got {reward!r}")
    label = _label(meta)
    try:
        task = _sampled(CodeTask.read(answer), max_tests)
        found = extract_code(response, task)
        if found is None:
            return Score(0.0, reason="no code in the response", metrics={"tests_passed": 0.0})
        source = program(found, task)
        key = _digest(source, task, reward, show_expected, backend, tuple(preload))
        if key not in _remembered:
            result = run_task(source, task, backend, preload, stop_at_first=reward == "binary")
            score = _score(result, task, found, reward, show_expected)
            if not score.counts:
                return score
            _remembered[key] = score
            while len(_remembered) > _REMEMBERED:
                _remembered.popitem(last=False)
        return _remembered[key]
    except TaskError as error:
        return Score(status="error", reason=f"task {label}: {error}")


def _label(meta: Any) -> str:
    if isinstance(meta, Mapping):
        for key in ("task_id", "id", "name", "question_id"):
            if key in meta:
                return repr(meta[key])
    return "(its meta has no id)"


def _sampled(task: CodeTask, max_tests: int) -> CodeTask:
    if not 0 < max_tests < len(task.tests):
        return task
    seed = hashlib.sha256(_spelled(task.tests)).digest()
    chosen = sorted(random.Random(seed).sample(range(len(task.tests)), max_tests))
    rest = {name: getattr(task, name) for name in CodeTask.__slots__ if name != "tests"}
    return CodeTask(tests=[task.tests[i] for i in chosen], **rest)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(_spelled(parts)).hexdigest()


def _spelled(value: Any) -> bytes:
    try:
        return repr(value).encode("utf-8", "surrogatepass")
    except ValueError:  # a number of more digits than Python writes out
        return pickle.dumps(value)


def _score(result: Result, task: CodeTask, code: str, reward: str, show_expected: bool) -> Score:
    if result.sandbox_error is not None:
        return Score(status="error", extracted=code, reason=f"sandbox: {result.sandbox_error}")
    value = float(result.passed) if reward == "binary" else result.fraction
    failed = result.first_failure
    reason = f"pass ({len(result.tests)} tests)" if result.passed else f"{result.verdict}: {result.reason}"
    if failed is not None:
        reason = f"{result.verdict} in test {failed + 1} of {len(task.tests)}: {result.reason}"
        if show_expected:
            reason += f" [test: {str(task.tests[failed])[:500]}]"
    metrics = {
        "tests_passed": result.fraction,
        "compiled": float(result.verdict != "compile_error"),
        "timed_out": float(result.verdict == "timeout"),
        "cpu_s": result.cpu_s,
    }
    return Score(value, extracted=code, reason=" ".join(reason.split())[:2000], metrics=metrics)
