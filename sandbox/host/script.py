"""Running a program as a script."""

from __future__ import annotations

from typing import Any

from ..wire import calls
from ..wire.limits import Limits
from . import classify
from .jobs import Job, Outcome, killed_by
from .result import Result, Verdict
from .tally import Request, Tally, TestError
from .worker import Worker


def script(worker: Worker, code: str, stdin: bytes, files: dict[str, bytes], limits: Limits, setup: str = "") -> Result:
    """Run a program as a script and report how it went."""
    frames: list[list[Any]] = []
    message = Request(code, (), "script", (), setup, limits).message("script", limits)
    message["files"] = {name: content.decode("latin-1") for name, content in files.items()}

    def keep(frame: list[Any]) -> bool:
        frames.append(frame)
        return len(frames) > 8  # a script has two things to say; more is not its own doing

    job = Job(message, limits, stdin, on_frame=keep)
    (outcome,) = worker.execute([job])
    tally = Tally(Request(code, (), "script", (), "", limits), worker.backend)
    tally.account(outcome)
    result = tally.result
    result.verdict, result.reason = _script_verdict(worker, outcome, frames, code, limits)
    result.backend = worker.backend  # type: ignore[assignment]
    if not outcome.stopped and result.signal is None:
        result.exit_code = outcome.status >> 8
    return result


def _script_verdict(
    worker: Worker, outcome: Outcome, frames: list[list[Any]], code: str, limits: Limits
) -> tuple[Verdict, str]:
    reports = {frame[0]: frame[1:] for frame in reversed(frames)}
    if frames and frames[0][0] == "setup_error":
        raise TestError(f"the setup fails: {calls.Raised(*reports['setup_error'][:1])}")
    if "compile_error" in reports:
        return "compile_error", str(calls.Raised(*reports["compile_error"][:1]))
    ended = not outcome.stopped and outcome.accepted and not classify.out_of_time(outcome, limits)
    if ended and outcome.status == 0:
        return "pass", ""
    if ended and "load_error" in reports and killed_by(outcome.status) is None:
        return classify.exception(calls.Raised(*reports["load_error"][:1]))
    return with_compile_check(worker, classify.ending(outcome, limits, worker.backend), code, limits)


def with_compile_check(worker: Worker, verdict: tuple[Verdict, str], code: str, limits: Limits) -> tuple[Verdict, str]:
    """A process that crashed may have crashed in the compiler: compile again, alone, to tell."""
    if verdict[0] not in ("signal", "memory"):
        return verdict
    message = {"mode": "script", "code": code, "limits": limits.as_dict(), "compile_only": True}
    (outcome,) = worker.execute([Job(message, limits)])
    if outcome.accepted and outcome.status != 0:
        return "compile_error", f"the compiler gave up ({verdict[1]})"
    return verdict
