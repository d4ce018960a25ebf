"""What may happen to a run. Each is installed in the run's own process before it begins."""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def kill_after(seconds: float) -> None:
    """`kill -9` at a moment, whatever is going on then."""
    _later(seconds, signal.SIGKILL)


def kill_at_call(function: str, call: int) -> None:
    """`kill -9` just before the ``call``-th call of ``module:name`` or ``module:class.method`` (counting from 1)."""
    _at_call(function, call, lambda: os.kill(os.getpid(), signal.SIGKILL))


def kill_in_phase(phase: str, entry: int) -> None:
    """`kill -9` when the clock enters a phase for the ``entry``-th time."""
    _at_phase(phase, entry, before=lambda: os.kill(os.getpid(), signal.SIGKILL))


def signal_in_phase(phase: str, entry: int, delay: float, number: int, second_after: float | None = None) -> None:
    """Send a signal ``delay`` seconds after the clock enters a phase for the ``entry``-th time; perhaps a second one."""

    def send() -> None:
        if delay > 0:
            _later(delay, number)
        else:
            os.kill(os.getpid(), number)
        if second_after is not None:
            _later(delay + second_after, number)

    _at_phase(phase, entry, before=send)


def hang_in_phase(phase: str, entry: int) -> None:
    """The ``entry``-th time that the clock is in a phase never ends."""
    _at_phase(phase, entry, within=lambda: time.sleep(1e6))


def slow(function: str, seconds: float) -> None:
    """Every call of a function takes this much longer."""
    _at_call(function, 0, lambda: time.sleep(seconds))


def hang_at_call(function: str, call: int) -> None:
    """The ``call``-th call of a function never comes back."""
    _at_call(function, call, lambda: time.sleep(1e6))


def limit_file_size(largest: int, function: str, call: int, until: int | None = None) -> None:
    """From the ``call``-th call of a function on (and before the ``until``-th) no file may grow beyond ``largest`` bytes."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))

    _at_call(function, call, limit)
    if until is not None:
        _at_call(function, until, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2))


def poison(what: str, steps: list[int]) -> None:
    """Make a number of the batches of these steps NaN: ``logprob`` or ``gradient``."""
    from grpo_kit.train.guards import Guard

    original = Guard.learn

    def learn(self: Guard, step: int, groups: Any, learner: Any) -> Any:
        if step not in steps:
            return original(self, step, groups, learner)
        if what == "logprob":
            groups[0].completions[0].logprobs[0] = float("nan")
            return original(self, step, groups, learner)
        parameter = next(p for p in learner.trained.model.parameters() if p.requires_grad)
        hook = parameter.register_hook(lambda gradient: gradient * float("nan"))
        try:
            return original(self, step, groups, learner)
        finally:
            hook.remove()

    setattr(Guard, "learn", learn)  # noqa: B010


def break_output(function: str, call: int) -> None:
    """From the ``call``-th call of a function on, whoever read standard output and error is gone."""

    def close() -> None:
        read, write = os.pipe()
        os.close(read)
        os.dup2(write, 1)
        os.dup2(write, 2)
        os.close(write)

    _at_call(function, call, close)


def measure(path: str, every: int) -> None:
    """Not a fault: write down resident memory, open files and threads of the run every so many steps."""
    from grpo_kit.observe.run_directory import RunDirectory

    original = RunDirectory.log_metrics

    def log_metrics(self: RunDirectory, metrics: dict[str, Any]) -> None:
        original(self, metrics)
        if metrics["step"] % every == 0:
            pages = int(Path("/proc/self/statm").read_text().split()[1])
            seen = {
                "step": metrics["step"],
                "rss": pages * resource.getpagesize(),
                "files": len(list(Path("/proc/self/fd").iterdir())),
                "threads": threading.active_count(),
            }
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(seen) + "\n")

    setattr(RunDirectory, "log_metrics", log_metrics)  # noqa: B010


def _later(seconds: float, number: int) -> None:
    def send() -> None:
        time.sleep(seconds)
        os.kill(os.getpid(), number)

    threading.Thread(target=send, daemon=True).start()


def _at_phase(
    phase: str, entry: int, before: Callable[[], None] | None = None, within: Callable[[], None] | None = None
) -> None:
    """Act before the clock enters a phase for the ``entry``-th time, or within it."""
    from grpo_kit.observe.clock import Clock

    original, entered = Clock.phase, [0]

    @contextmanager
    def counting(self: Clock, name: str) -> Iterator[None]:
        entered[0] += name == phase
        now = name == phase and entered[0] == entry
        if now and before is not None:
            before()
        with original(self, name):
            if now and within is not None:
                within()
            yield

    setattr(Clock, "phase", counting)  # noqa: B010


def _at_call(function: str, call: int, action: Callable[[], None]) -> None:
    """Run ``action`` before the ``call``-th call of a function, or before every one if ``call`` is 0."""
    module, _, path = function.partition(":")
    *owners, name = path.split(".")
    owner: Any = importlib.import_module(module)
    for part in owners:
        owner = getattr(owner, part)
    original, seen = getattr(owner, name), [0]

    def wrapped(*arguments: Any, **options: Any) -> Any:
        seen[0] += 1
        if call in (0, seen[0]):
            action()
        return original(*arguments, **options)

    setattr(owner, name, wrapped)


FAULTS: dict[str, Callable[..., None]] = {
    f.__name__: f
    for f in (
        kill_after,
        kill_at_call,
        kill_in_phase,
        signal_in_phase,
        hang_in_phase,
        slow,
        hang_at_call,
        limit_file_size,
        poison,
        break_output,
        measure,
    )
}
