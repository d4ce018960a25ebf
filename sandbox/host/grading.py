"""Judging a program by tests on one worker, from outside its process."""

from __future__ import annotations

import ast
import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from typing import Any

from ..wire import calls, checks, codec, compare, shown
from ..wire.limits import Limits
from ..wire.source import unparse
from . import classify, imported, names, reach, refereed
from .jobs import Job, Outcome
from .result import Result, TestResult, Verdict
from .script import script, with_compile_check
from .tally import RESTARTS, Request, Tally, TestError
from .worker import Worker

# -- kinds of tests --------------------------------------------------------------------------------------------------


def run(worker: Worker, request: Request) -> Result:
    """Judge a program.

    Raises:
        TestError: for tests that cannot be run.
    """
    if not request.tests:
        raise TestError("there are no tests")
    if request.kind == "stdio":
        return _stdio(worker, request)
    if request.kind == "function":
        sources, judges = _function_calls(request)
        (name,) = request.entry_points
        made = [checks.of_function(name, test, request.tolerance) for test in request.tests]
        return _by_calls(worker, request, sources, judges, made)
    if request.kind != "assert":
        raise TestError(f"kind must be 'assert', 'stdio' or 'function', got {request.kind!r}")
    tests, entries = imported.named(_texts(request.tests), request.entry_points)
    request = dataclasses.replace(request, tests=tests, entry_points=entries)
    entry_points = frozenset(name.partition(".")[0] for name in request.entry_points)
    _refuse_idle(request.setup, _texts(request.tests), entry_points)
    if request.grading == "same_process":
        return _same_process(worker, request)
    foreign, given, own_setup, classes = _defined_by_tests(request.setup, entry_points)
    plans: list[calls.Plan | None] = []
    foreign |= _conventional(own_setup, _texts(request.tests), entry_points)
    for index, test in enumerate(request.tests):
        try:
            plans.append(None if given is None else calls.plan(test, entry_points, foreign, given))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise TestError(f"tests[{index}] does not parse: {error}") from None
    known = [p for p in plans if p is not None]
    if given is not None and len(known) == len(plans):
        sources = [_sources(n, plan) for n, plan in enumerate(known)]
        made = [checks.of_assert(test, entry_points, foreign, given) for test in request.tests]
        anew = functools.partial(_anew, worker, request, own_setup, list(classes))
        return _by_calls(worker, request, sources, [p.judge for p in known], made, anew)
    return refereed.run(worker, request, own_setup, list(classes))


def _texts(tests: Sequence[Any]) -> tuple[str, ...]:
    for index, test in enumerate(tests):
        if not isinstance(test, str):
            raise TestError(f"tests[{index}] must be text, got {type(test).__name__}")
    return tuple(tests)


@functools.lru_cache(maxsize=1024)
def _refuse_idle(setup: str, tests: tuple[str, ...], entry_points: frozenset[str]) -> None:
    """Raises TestError for tests that no program can fail."""
    try:
        trees = [ast.parse(text) for text in (setup, *tests)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # whoever runs them says which does not parse
    why = reach.never_asked(trees, entry_points) or reach.idle_test(trees, entry_points)
    if why is not None:
        raise TestError(why)


@functools.lru_cache(maxsize=1024)
def _defined_by_tests(
    setup: str, entry_points: frozenset[str]
) -> tuple[frozenset[str], frozenset[str] | None, str, tuple[str, ...]]:
    """Names that the setup defines, names that it imports or assigns, the setup as the tests have it, its classes.

    Everything that the setup defines belongs to the tests and runs on their side; objects of its classes go over as
    data. Only what is under test is left to the program, though the setup may have a stub of it. The second is None
    where it cannot be told from the text, and entry points do not tell whose a name is.
    """
    try:
        tree = ast.parse(setup)
    except (SyntaxError, ValueError) as error:
        raise TestError(f"the setup does not parse: {error}") from None
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    kept = [s for s in tree.body if not (isinstance(s, definitions) and s.name in entry_points)]
    defined = {s.name for s in kept if isinstance(s, definitions)}
    classes = tuple(s.name for s in kept if isinstance(s, ast.ClassDef))
    module = ast.Module(kept, [])
    given, told = names.given_by(module)
    others = frozenset(given - defined) if told or entry_points else None
    return frozenset(defined), others, unparse(module), classes


@functools.lru_cache(maxsize=1024)
def _conventional(setup: str, tests: tuple[str, ...], entry_points: frozenset[str]) -> frozenset[str]:
    """Names in the tests that are modules', by convention, and so not the program's to define."""
    trees = [ast.parse(setup)]
    for index, test in enumerate(tests):
        try:
            trees.append(ast.parse(test))
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise TestError(f"tests[{index}] does not parse: {error}") from None
    return frozenset(names.referees_names(trees, entry_points))


def _function_calls(
    request: Request,
) -> tuple[list[list[dict[str, Any]]], list[Callable[[list[Any]], tuple[bool, str]]]]:
    """Tests of the form {"input": [arguments], "output": value} as calls."""
    if len(request.entry_points) != 1:
        raise TestError(f"function tests need one entry_point, got {request.entry_points or None!r}")
    (name,) = request.entry_points
    sources, judges = [], []
    for index, test in enumerate(request.tests):
        if (
            not isinstance(test, dict)
            or not isinstance(test.get("input"), (list, tuple))
            or not checks.accepted_outputs(test)
        ):
            raise TestError(f'tests[{index}] must be {{"input": [arguments], "output": value}}, got {test!r:.200}')
        arguments = codec.encode(list(test["input"]))
        sources.append([{"function": name, "arguments": arguments, "iterate": True}])
        judges.append(_function_judge(name, test, request.tolerance))
    return sources, judges


def _function_judge(
    name: str, test: dict[str, Any], tolerance: float | None
) -> Callable[[list[Any]], tuple[bool, str]]:
    accepted = checks.accepted_outputs(test)

    def judge(values: list[Any]) -> tuple[bool, str]:
        return checks.judge_function(name, list(test["input"]), accepted, tolerance, values[0])

    return judge


def outputs(worker: Worker, code: str, name: str, inputs: Sequence[Sequence[Any]], limits: Limits) -> list[Any]:
    """What a trusted program's function returns for each list of arguments.

    Raises:
        TestError: it raised, or did not come to an end.
    """
    values: list[Any] = []

    def keep(values_of_test: list[Any]) -> tuple[bool, str]:
        values.append(values_of_test[0])
        return not isinstance(values_of_test[0], calls.Raised), str(values_of_test[0])

    tests = [{"input": list(arguments), "output": None} for arguments in inputs]
    request = Request(code, tests, "function", (name,), "", limits, stop_at_first=True)
    sources, _ = _function_calls(request)
    result = _by_calls(worker, request, sources, [keep] * len(sources))
    if not result.passed:
        found = shown.show(inputs[result.first_failure or 0])
        raise TestError(f"{name} gives no value for {found}: {result.verdict}: {result.reason}")
    return values


class _Replies:
    """The answers of one process, which must come one per call and in order."""

    def __init__(self, tally: Tally, wanted: list[tuple[int, int]], judges: Sequence[Callable[..., Any]]) -> None:
        self.tally, self.wanted, self.judges = tally, wanted, judges
        self.values: dict[int, list[Any]] = {}
        self.replies: dict[int, list[str]] = {}  # of tests with a large one among them, which are checked elsewhere
        self.large: set[int] = set()
        self.next = 0
        self.broken = self.started = self.over = self.for_referee = False
        self.report: tuple[str, calls.Raised] | None = None
        self.counts: dict[int, int] = {}
        for test, _ in wanted:
            self.counts[test] = self.counts.get(test, 0) + 1

    def __call__(self, frame: list[Any]) -> bool:
        # A process that ended before it was heard cannot be stopped any more: what it still said counts no longer.
        self.over = self.over or self._hear(frame)
        return self.over

    def take_large(self, body: bytes) -> bool:
        """A reply that is not unpacked here."""
        if not self.over:
            begins = f'["value",{self.next},'.encode()
            if self.next < len(self.wanted) and body.startswith(begins) and body.isascii():
                test, _ = self.wanted[self.next]
                self.started = True
                self.next += 1
                self.large.add(test)
                self.values.pop(test, None)
                self.replies.setdefault(test, []).append(body.decode("ascii"))
            else:
                self.broken = self.over = True
        return self.over

    def checked_elsewhere(self) -> list[int]:
        """Tests whose replies are all here and have not been looked at."""
        return [t for t in sorted(self.large) if len(self.replies[t]) == self.counts[t]]

    def _hear(self, frame: list[Any]) -> bool:
        kind = frame[0]
        first, self.started = not self.started, True
        if first and kind == "set up":
            return False
        if first and kind == "setup_error":
            self.report = (kind, calls.Raised(frame[-1]))
            return False
        if kind in ("compile_error", "load_error") and self.next == 0 and self.report is None and len(frame) == 2:
            self.report = (kind, calls.Raised(frame[1]))
            return False
        if kind == "done" and self.next == len(self.wanted):
            return False
        in_order = len(frame) >= 2 and self.next < len(self.wanted) and frame[1] == self.next
        if kind == "too_much" and in_order:
            return self.tally.set(self.wanted[self.next][0], "output_limit", "the results are too large") or True
        if kind not in ("value", "raised") or not in_order or len(frame) != 3 or type(frame[1]) is not int:
            self.broken = True
            return True
        return self._take(kind, frame[2])

    def _take(self, kind: str, content: Any) -> bool:
        test, _ = self.wanted[self.next]
        self.next += 1
        if self.counts[test] > 1:
            self.replies.setdefault(test, []).append(json.dumps([kind, self.next - 1, content]))
        if test in self.large:
            return False
        value = calls.Raised(content) if kind == "raised" else codec.decode(content)
        values = self.values.setdefault(test, [])
        values.append(value)
        if len(values) < self.counts[test]:
            return False
        self.replies.pop(test, None)
        try:
            passed, reason = self.judges[test](self.values.pop(test))
        except calls.NotCalls:
            self.for_referee = True
            return True
        except Exception as error:  # a value made to fail in a comparison, such as a signalling NaN
            passed, reason = False, f"the result cannot be compared: {type(error).__name__}"
        if passed:
            return self.tally.set(test, "pass")
        raised = next((v for v in values if isinstance(v, calls.Raised)), None)
        verdict: Verdict = classify.exception(raised)[0] if raised else "fail"
        return self.tally.set(test, verdict, reason)


def _sources(test: int, plan: calls.Plan) -> list[dict[str, Any]]:
    beside = plan.beside()
    return [
        {"expression": expression, "iterate": iterate, "beside": [test, beside[n]] if n in beside else None}
        for n, (expression, iterate) in enumerate(plan.calls)
    ]


def _by_calls(
    worker: Worker,
    request: Request,
    sources: list[list[dict[str, Any]]],
    judges: Sequence[Callable[[list[Any]], tuple[bool, str]]],
    made: Sequence[dict[str, Any]] = (),
    anew: Callable[[Result], Result] | None = None,
) -> Result:
    """Judge by calls.

    Args:
        made: the checks as data, for large results; without them all are unpacked here.
        anew: judges all of them, if one asks something of an object, with what has been used so far.
    """
    tally = Tally(request, worker.backend)
    for index, source in enumerate(sources):
        if not source:  # an assertion about nothing of the program's
            tally.set(index, *(("pass", "") if judges[index]([])[0] else ("fail", "the check is false")))
    attempts = 0
    while (pending := tally.pending()) and attempts <= RESTARTS and (limits := tally.remaining()):
        attempts += 1
        wanted = [(test, n) for test in pending for n in range(len(sources[test]))]
        message = request.message("calls", limits)
        message["calls"] = [[i, sources[test][n]] for i, (test, n) in enumerate(wanted)]
        replies = _Replies(tally, wanted, judges)
        on_large = replies.take_large if made else None
        (outcome,) = worker.execute([Job(message, limits, on_frame=replies, on_large=on_large)])
        tally.account(outcome)
        if made and not replies.broken and not replies.for_referee and outcome.stopped != "protocol":
            _check_elsewhere(worker, request, tally, replies, made)
        if replies.for_referee and anew is not None:
            return anew(tally.result)
        if _whole_program_failed(worker, request, tally, outcome, replies):
            break
    return tally.finish("calls")


def _anew(worker: Worker, request: Request, setup: str, task_classes: list[str], used: Result) -> Result:
    """The referee's verdict on all tests, and no other one: what a program hands over must not choose between two.

    Nor may it have them refused, which is worth more than a failed test.
    """
    tally, limits = Tally(request, worker.backend, result=used), request.limits
    if tally.remaining() is None:
        tally.set(0, "timeout", f"more than {limits.cpu_s:g} s of CPU time, or {limits.wall_s:g} s of wall time")
        return tally.finish("referee")
    try:
        return refereed.run(worker, request, setup, task_classes, tally)
    except TestError as error:
        tally.fill("fail", str(error))
        return tally.finish("referee")


def _check_elsewhere(
    worker: Worker, request: Request, tally: Tally, replies: _Replies, made: Sequence[dict[str, Any]]
) -> None:
    """Check large results in a child that runs no program, under limits of its own."""
    for test in replies.checked_elsewhere():
        limits = request.limits.with_(memory_mb=request.limits.memory_mb + 512, subprocesses=False)
        found: list[list[Any]] = []
        message = {"mode": "checks", "limits": limits.as_dict(), "checks": [[test, made[test], replies.replies[test]]]}

        def keep(frame: list[Any], found: list[list[Any]] = found) -> bool:
            found.append(frame)
            return True

        (outcome,) = worker.execute([Job(message, limits, on_frame=keep)])
        tally.result.cpu_s += outcome.cpu_s
        if found and found[0][0] == "referee":
            replies.for_referee = True
            break
        if found and found[0][0] == "test":
            _, _, passed, reason = found[0]
        else:
            passed, reason = False, "its result is too large to be checked in the time and memory of a run"
        if tally.set(test, "pass" if passed is True else "fail", reason):
            break


def _whole_program_failed(worker: Worker, request: Request, tally: Tally, outcome: Outcome, replies: _Replies) -> bool:
    """Settle the test in which the process ended; True if that ends the matter for all of them."""
    if replies.broken or outcome.stopped == "protocol":
        tally.verdicts = [None] * len(tally.verdicts)
        tally.fill("fail", "the program wrote on the channel of its results")
        return True
    if replies.report is not None:
        kind, raised = replies.report
        if kind == "setup_error":
            raise TestError(f"the setup fails: {raised}")
        tally.fill(*(("compile_error", str(raised)) if kind == "compile_error" else classify.exception(raised)))
        return True
    open_tests = tally.pending()
    if not open_tests:
        if outcome.error is None and not outcome.stopped and classify.out_of_time(outcome, request.limits):
            tally.verdicts[-1] = TestResult("timeout", f"more than {request.limits.cpu_s:g} s of CPU time")
        return True
    if outcome.stopped == "stop":
        return False
    verdict = classify.ending(outcome, request.limits, worker.backend)
    if replies.next == 0:
        verdict = with_compile_check(worker, verdict, request.code, request.limits)
        if verdict[0] == "compile_error":
            tally.fill(*verdict)
            return True
    tally.set(open_tests[0], *verdict)
    return False


def _stdio(worker: Worker, request: Request) -> Result:
    tally = Tally(request, worker.backend)
    for index, test in enumerate(request.tests):
        if (
            not isinstance(test, dict)
            or not isinstance(test.get("input"), str)
            or not checks.accepted_outputs(test)
            or not all(isinstance(output, str) for output in checks.accepted_outputs(test))
        ):
            raise TestError(f'tests[{index}] must be {{"input": text, "output": text}}, got {test!r:.200}')
    for index, test in enumerate(request.tests):
        accepted = checks.accepted_outputs(test)
        room = 2 * max(len(output.encode("utf-8", "surrogatepass")) for output in accepted) // 1024 + 64
        limits = request.limits.with_(output_kb=max(request.limits.output_kb, room))
        stdin = test["input"].encode("utf-8", "surrogateescape")
        ran = script(worker, request.code, stdin, {}, limits, request.setup)
        verdict, reason = ran.verdict, ran.reason
        if verdict == "pass" and not any(
            compare.same_text(ran.stdout, output, request.tolerance, request.layout) for output in accepted
        ):
            verdict, reason = "fail", f"for the input {shown.show(test['input'])} it printed {shown.show(ran.stdout)}"
        result = tally.result
        result.wall_s += ran.wall_s
        result.cpu_s += ran.cpu_s
        result.peak_memory_mb = max(result.peak_memory_mb, ran.peak_memory_mb)
        if not tally.kept_output:
            result.stdout, result.stderr, result.signal = ran.stdout, ran.stderr, ran.signal
            result.exit_code, tally.kept_output = ran.exit_code, verdict != "pass"
        if tally.set(index, verdict, reason):
            break
        if verdict == "compile_error":
            tally.fill(verdict, reason)
        if verdict in ("compile_error", "timeout"):  # what hangs once costs its full time in every test
            break
    return tally.finish("stdio")


def _same_process(worker: Worker, request: Request) -> Result:
    """Tests in the program's own process: for trusted programs only, and only when asked for."""
    tally = Tally(request, worker.backend)
    for index, test in enumerate(request.tests):
        ran = script(worker, f"{request.code}\n\n{test}\n", b"", {}, request.limits, request.setup)
        tally.result.cpu_s += ran.cpu_s
        tally.result.wall_s += ran.wall_s
        if tally.set(index, ran.verdict, ran.reason):
            break
    return tally.finish("same_process")
