"""Judging by a referee: the tests run in a second child, which calls the program in the first."""

from __future__ import annotations

import socket
from typing import Any

from ..wire import calls
from . import classify, names
from .jobs import Job, Outcome
from .result import Result, Verdict
from .script import with_compile_check
from .tally import RESTARTS, Request, Tally, TestError
from .worker import Worker


def run(worker: Worker, request: Request, setup: str, task_classes: list[str], tally: Tally | None = None) -> Result:
    """Judge by the referee.

    Args:
        setup: the task's code as the tests have it.
        task_classes: the classes in it.
        tally: what the program has used of its limits before.
    """
    tally = tally or Tally(request, worker.backend)
    script = names.read_script((setup, *request.tests), tuple(request.entry_points), tuple(task_classes))
    if script.not_defined:
        raise TestError(script.not_defined)
    attempts = 0
    while (pending := tally.pending()) and attempts <= RESTARTS and (left := tally.remaining()):
        attempts += 1
        solution_end, referee_end = socket.socketpair()
        report: list[tuple[str, calls.Raised]] = []
        gone: list[str] = []
        heard: list[str] = []
        broken: list[str] = []

        def hear_solution(frame: list[Any], report: list[Any] = report, heard: list[str] = heard) -> bool:
            own = frame[0] in ("compile_error", "load_error") or (frame[0] == "setup_error" and not heard)
            heard.append(frame[0])
            if own and not report:
                report.append((frame[0], calls.Raised(frame[-1])))
            return len(heard) > 8  # it has at most three things to say

        def hear_referee(frame: list[Any], gone: list[str] = gone, broken: list[str] = broken) -> bool:
            if frame[0] == "test":
                return tally.set(*frame[1:])
            if frame[0] == "gone":
                gone.append(frame[2])
            if frame[0] == "task":
                broken.append(frame[1])
            return False

        tests = [[i, request.tests[i]] for i in pending]
        # The kernel counts both processes' threads as one user's, and each of the program may have one of the tests'.
        left = left.with_(processes=2 * left.processes)
        program = request.message("solution", left)
        program["task_classes"] = task_classes
        judge: dict[str, Any] = {"mode": "referee", "setup": setup, "tests": tests, "task_classes": task_classes}
        judge |= {"names": script.program, "own": script.own, "classes": script.classes, "objects": script.objects}
        judge |= {
            "methods": script.methods,
            "answering": script.answering,
            "compared": script.compared,
            "exceptions": script.exceptions,
            "entry_points": script.entry_points,
        }
        judge |= {"assigned": script.assigned, "read": script.read, "defaulted": script.defaulted}
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
        if broken:
            raise TestError(broken[0])
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
        # Which of the two ends was told first is chance: what its referee met says whether it has left.
        met = gone[0].removeprefix("before the tests: ")
        left = met.startswith(("EOFError", "ConnectionResetError", "BrokenPipeError"))
        reason = "the program ended before it answered" if left else gone[0]
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
