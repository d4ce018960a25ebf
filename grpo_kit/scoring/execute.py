"""Calls verifiers and turns whatever happens into results; used by the workers and, in process, by the scorer."""

from __future__ import annotations

import asyncio
import time
import traceback
import types
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

from grpo_kit.runtime.coroutine import run_coroutine
from grpo_kit.runtime.interrupt import StoppedAtOnce, StopStep
from grpo_kit.types import Score
from grpo_kit.verifiers.base import Verifier, VerifierError

from .channel import TEXT_LIMIT, TRACEBACK_LIMIT, WAITING

# Raised by a signal where verifiers run in the trainer's own thread: the step is given up, which is no verifier's failure.
STOPS = (StopStep, StoppedAtOnce)

Case = dict[str, Any]
Emit = Callable[[int, Score, float, str], None]  # position, score, seconds, traceback
Mark = Callable[[int], None]  # the position whose call holds the thread from now on
# How late an event loop may end an overdue call before the pool ends the worker.
GRACE_SECONDS = 0.5


def execute(verifier: Verifier, cases: Sequence[Case], emit: Emit, mark: Mark) -> bool:
    """Score ``cases`` and emit one result for each; returns whether the process is fit for more work."""
    if verifier.many:
        return _call_many(verifier, cases, emit, mark)
    if verifier.is_async:
        return run_coroutine(_call_async(verifier, cases, emit, mark))
    fit = True
    for position, case in enumerate(cases):
        mark(position)
        started = time.perf_counter()
        try:
            score, trace = verifier(**case), ""
        except STOPS:
            raise
        except BaseException as error:
            score, trace = failure(error)
            fit = not isinstance(error, MemoryError)
        emit(position, score, time.perf_counter() - started, trace)
        if not fit:
            return False  # what filled the memory may still be referenced by the verifier
    return True


def _call_many(verifier: Verifier, cases: Sequence[Case], emit: Emit, mark: Mark) -> bool:
    mark(0)
    started = time.perf_counter()
    trace, fit = "", True
    try:
        scores = verifier.score_many(cases)
    except STOPS:
        raise
    except BaseException as error:
        if verifier.batch and len(cases) > 1 and not isinstance(error, (VerifierError, MemoryError)):
            return _call_each(verifier, cases, emit, mark)
        score, trace = failure(error)
        scores, fit = [score] * len(cases), not isinstance(error, MemoryError)
    each = (time.perf_counter() - started) / len(cases)
    for position, score in enumerate(scores):
        emit(position, score, each, trace)
    return fit


def _call_each(verifier: Verifier, cases: Sequence[Case], emit: Emit, mark: Mark) -> bool:
    """A batch call raised because of some of its responses: the others are scored without them.

    Not after a `VerifierError`: a function that returns the wrong number of scores may seem right on a batch of one.
    """
    fit = True
    for position, case in enumerate(cases):

        def emit_one(_: int, score: Score, seconds: float, trace: str, at: int = position) -> None:
            emit(at, score, seconds, trace)

        fit = _call_many(verifier, [case], emit_one, mark) and fit
    return fit


async def _call_async(verifier: Verifier, cases: Sequence[Case], emit: Emit, mark: Mark) -> bool:
    places = asyncio.Semaphore(verifier.concurrency)
    stuck = 0

    async def score(position: int) -> None:
        nonlocal stuck
        async with places:
            started = time.perf_counter()
            task = asyncio.ensure_future(_marked(verifier.score_async(cases[position]), position, mark))
            # Not wait_for: it waits for a call that ignores its cancellation.
            await asyncio.wait({task}, timeout=verifier.timeout)
            seconds = time.perf_counter() - started
            if not task.done():
                task.cancel()
                await asyncio.sleep(0)
                stuck += not task.done()
                emit(position, timed_out(verifier.timeout), seconds, "")
                return
            try:
                emit(position, task.result(), seconds, "")
            except STOPS:
                raise
            except BaseException as error:
                emit(position, *_reorder(failure(error), seconds))

    async def beat() -> None:
        while True:
            mark(WAITING)
            await asyncio.sleep(GRACE_SECONDS / 5)

    beating = asyncio.ensure_future(beat())
    await asyncio.gather(*(score(position) for position in range(len(cases))))
    beating.cancel()
    return stuck == 0


def _reorder(failed: tuple[Score, str], seconds: float) -> tuple[Score, float, str]:
    return failed[0], seconds, failed[1]


@types.coroutine
def _marked(call: Coroutine[Any, Any, Score], position: int, mark: Mark) -> Generator[Any, Any, Score]:
    """Drive ``call`` step by step and mark who holds the event loop, so that a blocking call can be blamed."""
    value: Any = None
    thrown: BaseException | None = None
    while True:
        mark(position)
        try:
            awaited = call.throw(thrown) if thrown is not None else call.send(value)
        except StopIteration as stop:
            return stop.value
        finally:
            mark(WAITING)
        try:
            value, thrown = (yield awaited), None
        except BaseException as error:
            value, thrown = None, error


def failure(error: BaseException) -> tuple[Score, str]:
    """The score of a call that raised, and the traceback for the run directory."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    try:
        text = str(error)
    except Exception:
        text = "<its message cannot be shown>"
    reason = f"{type(error).__name__}: {text[:500]}{where}"
    lines = "".join(traceback.format_exception(error, limit=-20))
    return Score(status="error", reason=reason[:TEXT_LIMIT]), lines[-TRACEBACK_LIMIT:]


def timed_out(limit: float) -> Score:
    return Score(status="timeout", reason=f"no result within {limit:g} s")
