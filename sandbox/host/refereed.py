"""Judging by a referee: the tests run in a second child, which calls the program in the first."""

from __future__ import annotations

import ast
import builtins
import socket
from collections.abc import Sequence
from typing import Any

from . import calls, classify
from .jobs import Job, Outcome
from .result import Result, Verdict
from .script import with_compile_check
from .tally import RESTARTS, Request, Tally, TestError
from .worker import Worker


def _free_names(sources: Sequence[str], entry_points: Sequence[str]) -> list[str]:
    """Names that tests read and do not define, which therefore are the program's."""
    trees = [ast.parse(source) for source in sources]
    read: set[str] = set()
    bound: set[str] = set()
    for node in (n for tree in trees for n in ast.walk(tree)):
        if isinstance(node, ast.Name):
            (read if isinstance(node.ctx, ast.Load) else bound).add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            bound.add(node.name)
        elif isinstance(node, ast.arg):
            bound.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            bound.add(node.name)
        elif isinstance(node, ast.alias):
            bound.add((node.asname or node.name).partition(".")[0])
    names = {n for n in read - bound if not hasattr(builtins, n)}
    return sorted(names | {n.partition(".")[0] for n in entry_points})


def run(worker: Worker, request: Request, setup: str) -> Result:
    tally = Tally(request, worker.backend)
    names = _free_names([setup, *request.tests], request.entry_points)
    attempts = 0
    while (pending := tally.pending()) and attempts <= RESTARTS and (left := tally.remaining()):
        attempts += 1
        solution_end, referee_end = socket.socketpair()
        report: list[tuple[str, calls.Raised]] = []
        gone: list[str] = []
        heard: list[str] = []

        def hear_solution(frame: list[Any], report: list[Any] = report, heard: list[str] = heard) -> bool:
            own = frame[0] in ("compile_error", "load_error") or (frame[0] == "setup_error" and not heard)
            heard.append(frame[0])
            if own and not report:
                report.append((frame[0], calls.Raised(frame[-1])))
            return len(heard) > 8  # it has at most three things to say

        def hear_referee(frame: list[Any], gone: list[str] = gone) -> bool:
            if frame[0] == "test":
                return tally.set(*frame[1:])
            if frame[0] == "gone":
                gone.append(frame[2])
            return False

        tests = [[i, request.tests[i]] for i in pending]
        program = request.message("solution", left)
        judge: dict[str, Any] = {"mode": "referee", "names": names, "setup": setup, "tests": tests}
        # The referee holds what the program sends it as Python objects: more room than the program's own.
        roomy = left.with_(memory_mb=left.memory_mb + 512, subprocesses=False)
        judge["limits"] = roomy.as_dict()
        with solution_end, referee_end:
            jobs = [
                Job(program, left, line=solution_end, on_frame=hear_solution, decisive=False),
                Job(judge, roomy, line=referee_end, on_frame=hear_referee),
            ]
            solution, referee = worker.execute(jobs)
        tally.account(solution)
        if _settle_refereed(worker, request, tally, (solution, referee), report, gone):
            break
    return tally.finish("referee")


def _settle_refereed(
    worker: Worker,
    request: Request,
    tally: Tally,
    outcomes: tuple[Outcome, Outcome],
    report: list[tuple[str, calls.Raised]],
    gone: list[str],
) -> bool:
    """Settle the test in which one of the two processes ended; True if that ends the matter for all tests."""
    solution, referee = outcomes
    if report:
        kind, raised = report[0]
        if kind == "setup_error":
            raise TestError(f"the setup fails: {raised}")
        tally.fill(*(("compile_error", str(raised)) if kind == "compile_error" else classify.exception(raised)))
        return True
    open_tests = tally.pending()
    if not open_tests or referee.stopped == "stop":
        return not open_tests
    if not gone:  # the referee itself ran out of something: the program made it (an endless iterator, for example)
        tally.set(open_tests[0], *classify.ending(referee, request.limits, worker.backend))
        return False
    if solution.stopped in ("", "partner") and solution.accepted and _left_quietly(solution):
        reason = gone[0] if solution.stopped else "the program ended before it answered"
        verdict: tuple[Verdict, str] = ("fail", reason or "the program stopped answering")
    else:
        verdict = classify.ending(solution, request.limits, worker.backend)
        verdict = with_compile_check(worker, verdict, request.code, request.limits)
    tally.set(open_tests[0], *verdict)
    if gone[0].startswith("before the tests"):
        tally.fill(*verdict)
    return False


def _left_quietly(outcome: Outcome) -> bool:
    """Whether the process left by itself without an error, or was ended because its referee had ended."""
    return outcome.status == 0 or outcome.stopped == "partner"
