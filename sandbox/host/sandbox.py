"""The sandbox: a pool of warm interpreters in which programs are run and judged."""

from __future__ import annotations

import asyncio
import os
import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ..wire.limits import Broken, Limits, SandboxError
from . import grading, script
from .probe import choose
from .result import Result
from .session import Session
from .worker import ChildLeft, Worker

ATTEMPTS = 3  # a run whose zygote dies is repeated on a new one; after that many it is a sandbox error
MAX_CODE = 16 << 20
_T = TypeVar("_T")


class Sandbox:
    """Runs untrusted Python programs. A context manager; also safe to use from several threads.

    Args:
        limits: defaults for every run.
        backend: ``auto`` takes ``namespaces``, or refuses. ``landlock`` holds less and is taken only when asked for.
            ``none`` isolates nothing and says so.
        workers: warm interpreters, and so programs that run at the same time. Default: one per core.
        preload: modules that the interpreters import once (``["numpy"]``); modules outside the standard library are
            visible to programs only when named here.

    Raises:
        SandboxError: no backend works, with what to enable.
    """

    def __init__(
        self,
        limits: Limits | None = None,
        backend: str = "auto",
        workers: int | None = None,
        preload: Sequence[str] = (),
    ) -> None:
        self.limits = limits or Limits()
        self.preload = tuple(preload)
        self.backend = choose(backend)
        if self.backend == "none":
            warnings.warn(
                "sandbox backend 'none': programs run with this user's rights on this machine. Use it only for "
                "programs you would run yourself.",
                stacklevel=2,
            )
        count = workers if workers is not None else len(os.sched_getaffinity(0))
        if not isinstance(count, int) or count < 1:
            raise ValueError(f"workers must be a whole number of at least 1, got {workers!r}")
        self._workers = [Worker(self.backend, self.preload) for _ in range(count)]
        # Last in, first out: with less work than workers, the warm ones get it and the others are never started.
        self._free: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in self._workers:
            self._free.put(worker)
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._owner = os.getpid()
        self._closed = False
        self._sessions: list[Session] = []
        self.restarts = 0

    def __enter__(self) -> Sandbox:
        worker = self._free.get()
        try:
            if worker.control is None:
                worker.start()
        finally:
            self._free.put(worker)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every process. Idempotent; in a forked copy of this process it does nothing."""
        if self._closed or os.getpid() != self._owner:
            return
        self._closed = True
        for session in self._sessions:
            session.close()
        if self._threads is not None:
            self._threads.shutdown(wait=True)
        for worker in self._workers:
            worker.close()

    # -- runs --------------------------------------------------------------------------------------------------------

    def run_script(
        self,
        code: str | bytes,
        stdin: str | bytes = "",
        files: dict[str, str | bytes] | None = None,
        limits: Limits | None = None,
    ) -> Result:
        """Run a program as ``__main__`` with the given standard input and files (relative names) beside it.

        The verdict is ``pass`` if it ended with exit code 0.
        """
        limits = limits or self.limits
        text = _source(code)
        if isinstance(text, Result):
            return self._stamped(text)
        contents: dict[str, bytes] = {}
        for name, content in (files or {}).items():
            if os.path.isabs(name) or ".." in name.split("/") or "\0" in name or not name:
                raise ValueError(f"files: {name!r} must be a relative path that stays in the scratch folder")
            contents[name] = content.encode() if isinstance(content, str) else content
        data = stdin.encode("utf-8", "surrogateescape") if isinstance(stdin, str) else stdin
        return self._with_worker(lambda worker: script.script(worker, text, data, contents, limits))

    def run_tests(
        self,
        code: str | bytes,
        tests: Sequence[Any],
        kind: str = "assert",
        entry_point: str | Sequence[str] | None = None,
        setup: str = "",
        limits: Limits | None = None,
        stop_at_first: bool = False,
        tolerance: float | None = None,
        grading: str = "outside",
        layout: str = "lines",
    ) -> Result:
        """Judge a program by tests. Expected values never enter its process.

        Args:
            tests: ``assert``: a list of scripts, each one test. ``stdio``: ``{"input": text, "output": text}``.
                ``function``: ``{"input": [arguments], "output": value}``. ``or_output``: another output that is right,
                ``outputs``: a list of them.
            entry_point: the function(s) under test; ``Solution.method`` makes a new object per call. Without it, every
                name that the tests call and do not define is the program's.
            setup: code that belongs to the task: runs before the program, and (but for its classes) before the tests.
            stop_at_first: leave the tests after the first failure; they count as ``skipped``.
            tolerance: for numbers in ``stdio`` and ``function`` outputs.
            layout: of ``stdio`` outputs: ``lines`` or ``tokens`` (`compare.same_text`).
            grading: ``same_process`` runs assert tests inside the program's process, which can then cheat.

        Raises:
            TestError: the tests cannot be run, whatever the program.
        """
        if isinstance(tests, (str, dict)):
            raise grading_error(f"tests must be a list, got {type(tests).__name__}")
        if grading not in ("outside", "same_process"):
            raise ValueError(f"grading must be 'outside' or 'same_process', got {grading!r}")
        if layout not in ("lines", "tokens"):
            raise ValueError(f"layout must be 'lines' or 'tokens', got {layout!r}")
        text = _source(code)
        if isinstance(text, Result):
            return self._stamped(text)
        names = (entry_point,) if isinstance(entry_point, str) else tuple(entry_point or ())
        request = _request(
            text, list(tests), kind, names, setup, limits or self.limits, stop_at_first, tolerance, grading, layout
        )
        return self._with_worker(lambda worker: _run(worker, request))

    def run_calls(
        self, code: str, entry_point: str, inputs: Sequence[Sequence[Any]], limits: Limits | None = None
    ) -> list[Any]:
        """What ``entry_point`` returns for each list of arguments; for reference solutions, whose outputs become tests.

        Raises:
            TestError: one of the calls gave no value.
            SandboxError: the sandbox failed.
        """
        values: list[Any] = []

        def work(worker: Worker) -> Result:
            values[:] = grading.outputs(worker, code, entry_point, inputs, limits or self.limits)
            return Result("pass")

        result = self._with_worker(work)
        if result.sandbox_error is not None:
            raise SandboxError(result.sandbox_error)
        return values

    def session(self, limits: Limits | None = None, total: Limits | None = None) -> Session:
        """A namespace that lives for several calls, for tools: see `Session`. It has an interpreter of its own.

        Args:
            limits: of each call; default: this sandbox's.
            total: of all calls together; default: twenty times the ``cpu_s``, ``wall_s`` and ``output_kb`` of one.

        Raises:
            SandboxError: it does not start.
        """
        if os.getpid() != self._owner or self._closed:
            raise SandboxError("this Sandbox is closed, or belongs to another process")
        limits = limits or self.limits
        if total is None:
            kb = min(limits.output_kb * 20, (1 << 31) - 1)
            total = limits.with_(cpu_s=limits.cpu_s * 20, wall_s=limits.wall_s * 20, output_kb=kb)
        made = Session(Worker(self.backend, self.preload), limits, total)
        with self._lock:
            self._sessions = [s for s in self._sessions if not s.ended]
            self._sessions.append(made)
        return made

    def run_batch(self, requests: Sequence[dict[str, Any]]) -> list[Result]:
        """`run_tests` for each dict of its arguments, on all workers; identical requests run once."""
        unique: dict[str, dict[str, Any]] = {repr(sorted(r.items())): r for r in requests}
        results = dict(zip(unique, self._pool().map(lambda r: self.run_tests(**r), unique.values()), strict=True))
        return [results[repr(sorted(r.items()))] for r in requests]

    async def arun_script(self, *args: Any, **kwargs: Any) -> Result:
        """`run_script` without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool(), lambda: self.run_script(*args, **kwargs))

    async def arun_tests(self, *args: Any, **kwargs: Any) -> Result:
        """`run_tests` without blocking the event loop."""
        return await asyncio.get_running_loop().run_in_executor(self._pool(), lambda: self.run_tests(*args, **kwargs))

    # -- workers -----------------------------------------------------------------------------------------------------

    def _pool(self) -> ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = ThreadPoolExecutor(len(self._workers), "grpo-kit-sandbox")
            return self._threads

    def _with_worker(self, work: Callable[[Worker], Result]) -> Result:
        if os.getpid() != self._owner:
            raise SandboxError("this Sandbox belongs to the process that made it; make one per process")
        if self._closed:
            raise SandboxError("this Sandbox is closed")
        worker = self._free.get()
        problem, blamed = "", 0
        try:
            for _ in range(ATTEMPTS):
                try:
                    if worker.control is None:
                        worker.start()
                    return work(worker)
                except grading.TestError:
                    raise  # about the task; the worker is as it was
                except ChildLeft as error:
                    problem = str(error)
                except SandboxError as error:
                    problem = str(error)
                    with self._lock:
                        self.restarts += 1
                    worker.close()
                    blamed += isinstance(error, Broken) and _works(worker)
                except BaseException:
                    worker.close()  # interrupted in the middle of a run: its children's state is unknown
                    raise
        finally:
            self._free.put(worker)
        if blamed == ATTEMPTS:
            return self._stamped(Result("signal", reason=f"it ended its own sandbox {blamed} times: {problem}"))
        return self._stamped(Result("sandbox_error", reason=problem, sandbox_error=problem))

    def _stamped(self, result: Result) -> Result:
        result.backend = self.backend  # type: ignore[assignment]
        return result


def _works(worker: Worker) -> bool:
    """Whether another program runs where one has just broken the sandbox: then that was its own doing.

    Otherwise a program that found out how would be left out of the loss, which is worth more than the 0 it earned.
    """
    try:
        worker.start()
        return script.script(worker, "pass", b"", {}, Limits()).passed
    except SandboxError:
        worker.close()
        return False


def _run(worker: Worker, request: grading.Request) -> Result:
    return grading.run(worker, request)


_request = grading.Request
grading_error = grading.TestError


def _source(code: str | bytes) -> str | Result:
    """The program as text, or the verdict about one that is none."""
    if isinstance(code, bytes):
        try:
            code = code.decode("utf-8")
        except UnicodeDecodeError as error:
            return Result("compile_error", reason=f"not UTF-8: {error}")
    if len(code) > MAX_CODE:
        return Result("compile_error", reason=f"{len(code)} characters of code; at most {MAX_CODE} are taken")
    return code
