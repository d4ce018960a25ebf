"""What runs inside a locked-down child: wait for a job, run the program, send results back as typed data.

This module shares its process with the program, which may overwrite anything in it. Nothing here decides a verdict:
that is done outside, from the data that arrives, the exit status and the kernel's accounts.
"""

from __future__ import annotations

import atexit
import builtins
import contextlib
import gc
import io
import linecache
import os
import select
import socket
import struct
import sys
import threading
import traceback
import types
import weakref
from collections.abc import Callable
from typing import Any, NoReturn

from ..wire import calls, checks, codec
from ..wire.containers import PLAIN
from . import isolate, referee, serve, session
from .given import Arguments

CHANNEL = 100  # out of the way of programs that count descriptors from 3
_read, _write, _exit = os.read, os.write, os._exit
IDLE_SECONDS = 0.2  # a child forked ahead leaves when no job comes: an idle trainer has no idle children
SOURCE_NAME = "<solution>"
_HELLO = codec.to_bytes(["hello"])


def prepare_interpreter() -> None:
    """Done once, in the zygote: standard streams on whatever is 0, 1 and 2, and what ``site`` would have added."""
    import _sitebuiltins
    import signal

    # Whoever started this may ignore some (nohup, a shell's background jobs), and a program would be judged by that.
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # which the interpreter ignores
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()
    # Opened over what will be there at run time, a file and pipes: a text stream decides at birth whether it can seek.
    reader, writer = os.pipe()
    file = os.memfd_create("stdin", os.MFD_CLOEXEC)
    for target, source in ((0, file), (1, writer), (2, writer)):
        os.dup2(source, target)
    for descriptor in (file, reader, writer):
        os.close(descriptor)
    stdin = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115 - for the whole life
    stdout = open(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    stderr = open(2, "w", encoding="utf-8", errors="backslashreplace", closefd=False, buffering=1)  # noqa: SIM115
    for name, stream in (("stdin", stdin), ("stdout", stdout), ("stderr", stderr)):
        stream.buffer.raw.name = f"<{name}>"  # type: ignore[attr-defined]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    sys.argv = ["solution.py"]


def main(descriptors: list[int], profile: dict[str, Any], has_proc: bool) -> NoReturn:
    """Take descriptors (channel, stdin, stdout, stderr), lock the process down, run the one job that arrives."""
    try:
        for target, source in zip((CHANNEL, 0, 1, 2), descriptors, strict=True):
            os.dup2(source, target)
        isolate.lock_down(profile, has_proc)
        os.closerange(3, CHANNEL)
        os.closerange(CHANNEL + 1, 4096)
        _send_all(_HELLO)
        job, extra = receive_job()
        isolated = profile["backend"] != "none"
        isolate.set_limits(job["limits"], profile["address_space"], profile["tasks"], isolated)
        for name, content in job.get("files", {}).items():
            _write_file(name, content)
        send(["job"])  # from here on nothing that this process says can be the sandbox's own failure
        _modes[job["mode"]](job, extra)
    except BaseException as error:
        send(["sandbox_error", f"{type(error).__name__}: {error}"])
    _exit(70)


def send(message: Any) -> None:
    _send_all(codec.to_bytes(message))


def _send_all(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[_write(CHANNEL, view) :]


def receive_job() -> tuple[dict[str, Any], int | None]:
    """The job, and the descriptor that came with it (the referee's or the solution's end of their socket)."""
    channel = socket.socket(fileno=CHANNEL)
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    if not waiting.poll(IDLE_SECONDS * 1000):
        _exit(0)
    first, extra, _, _ = socket.recv_fds(channel, 65536, 1)
    channel.detach()
    if not first:
        _exit(0)  # nobody wanted this child
    return _receive(first), extra[0] if extra else None


def _receive(first: bytes = b"") -> Any:
    """The next message; the end of the channel is the end of this process."""
    data = bytearray(first)
    while len(data) < 4 or len(data) < 4 + struct.unpack_from("<I", data)[0]:
        more = _read(CHANNEL, 1 << 20)
        if not more:
            _exit(0)
        data += more
    return codec.from_bytes(bytes(data[4:]))


def _write_file(name: str, content: str) -> None:
    if os.path.dirname(name):
        os.makedirs(os.path.dirname(name), exist_ok=True)
    with open(name, "wb") as file:
        file.write(content.encode("latin-1"))


def load(job: dict[str, Any], name: str) -> dict[str, Any]:
    """Run the program as the module ``name``; report why if that fails, and end.

    The text is compiled as text: a coding line has no effect.
    """
    module = types.ModuleType(name)
    module.__builtins__ = builtins  # type: ignore[attr-defined]
    sys.modules[name] = module
    _set_up(job.get("setup", ""), module.__dict__)
    source = job["code"]
    try:
        code = compile(source, SOURCE_NAME, "exec", dont_inherit=True)
    except BaseException as error:
        send(["compile_error", describe(error)])
        finish(1)
    if job.get("compile_only"):
        finish(0)
    linecache.cache[SOURCE_NAME] = (len(source), None, source.splitlines(True), SOURCE_NAME)
    module.__dict__["__file__"] = SOURCE_NAME
    try:
        exec(code, module.__dict__)
    except SystemExit as error:
        if name != "__main__":
            send(["load_error", ["SystemExit", str(error.code)]])
        finish(exit_code(error), graceful=True)
    except BaseException as error:
        report = describe(error)
        show(error)
        send(["load_error", report])
        finish(1, graceful=name == "__main__")
    return module.__dict__


def _set_up(setup: str, namespace: dict[str, Any]) -> None:
    """Run the task's own code, before the program's. Its failure is the task's, and can be told only before that."""
    if setup.strip():
        try:
            exec(compile(setup, "<setup>", "exec", dont_inherit=True), namespace)
        except BaseException as error:
            send(["setup_error", describe(error)])
            finish(1)
    send(["set up"])


def describe(error: BaseException) -> list[Any]:
    """[type name, message, errno]."""
    try:
        text = str(error)[:500]
    except BaseException:
        text = ""
    number = error.errno if isinstance(error, OSError) else None
    return [type(error).__name__[:100], text, number if isinstance(number, int) else None]


def show(error: BaseException) -> None:
    # A program can break printing. Its stderr is for people; the verdict comes from the report.
    with contextlib.suppress(BaseException):
        trace = error.__traceback__
        traceback.print_exception(type(error), error, trace.tb_next if trace else None)


def exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)
    return 1


def finish(code: int, graceful: bool = False) -> NoReturn:
    """End the process; ``graceful`` does what a normal interpreter does at its end: threads, atexit, buffers, objects."""
    if graceful:
        try:
            threading._shutdown()  # type: ignore[attr-defined]
            atexit._run_exitfuncs()
        except BaseException as error:
            show(error)
    for name in ("stdout", "stderr"):
        try:
            stream = getattr(sys, name, None)  # a program can delete it
            if stream is not None and not getattr(stream, "closed", False):
                stream.flush()
        except BaseException:
            code = code or 120  # what Python itself exits with when it cannot flush
    if graceful:
        _take_down()
    _exit(code)


def _take_down() -> None:
    """Let go of what the program made, which writes out the files that it left open.

    The interpreter does this after it has flushed its streams, and an error in it changes no exit code. As there, the
    streams come first, and then the module as a whole: its finalizers find their globals.
    """
    for name in ("stdout", "stderr"):  # a replaced stream is let go of
        with contextlib.suppress(BaseException):
            setattr(sys, name, getattr(sys, f"__{name}__", None))
    with contextlib.suppress(BaseException):
        gc.collect()
    main = sys.modules.pop("__main__", None)
    left = weakref.ref(main) if main is not None else lambda: None
    del main
    _write_out()  # the collector may close a descriptor before the buffer on top of it is written
    with contextlib.suppress(BaseException):
        gc.collect()
    if (main := left()) is not None:  # held by the frames of an exception, or by the program
        made = vars(main)
        for name in [name for name in made if name != "__builtins__"]:
            made[name] = None
        with contextlib.suppress(BaseException):
            gc.collect()
    _write_out()  # what is still held, by a closure of a library or a thread
    for stream in (sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(BaseException):
            stream.flush()  # type: ignore[union-attr]


def _write_out() -> None:
    """Flush every file that was opened since the zygote froze its own objects."""
    for found in gc.get_objects():
        if isinstance(found, (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)):
            with contextlib.suppress(BaseException):
                found.flush()


def run_script(job: dict[str, Any], extra: int | None) -> None:
    load(job, "__main__")
    send(["done"])
    finish(0, graceful=True)


def run_calls(job: dict[str, Any], extra: int | None) -> None:
    """Evaluate each call in the program's namespace; answer [index, encoded value] or an error."""
    namespace = load(job, "solution")
    budget = job["limits"]["reply_kb"] * 1024
    results: dict[tuple[int, ...], list[Any]] = {}  # of calls that a check has beside each other
    for index, call in job["calls"]:
        try:
            thunk = _thunk(call, namespace)
            value = thunk()
            encoded = codec.encode(value, iterate=bool(call.get("iterate")))
            if call.get("beside") and _is_among(results.setdefault(tuple(call["beside"]), []), value):
                encoded = {"~": "opaque", "v": type(value).__name__[:100]}  # so that the referee has both as one
            reply = codec.to_bytes(["value", index, encoded])
        except BaseException as error:
            reply = codec.to_bytes(["raised", index, describe(error)])
        budget -= len(reply)
        if budget < 0:
            send(["too_much", index])
            break
        _send_all(reply)
    send(["done"])
    finish(0)


def _is_among(others: list[Any], value: Any) -> bool:
    """Whether a result, or a container in it, is one that an earlier call has given. It is one of the ``others`` from now on."""
    before = {id(container) for container in Arguments(others).containers} | {id(other) for other in others}
    others.append(value)
    kept = type(value) not in PLAIN
    return kept and not before.isdisjoint({id(value), *map(id, Arguments([value]).containers)})


def _thunk(call: dict[str, Any], namespace: dict[str, Any]) -> Callable[[], Any]:
    if "expression" in call:
        code = compile(call["expression"], "<test>", "eval", dont_inherit=True)
        return lambda: eval(code, namespace)
    arguments = codec.decode(call["arguments"])
    target = _find(call["function"].split("."), namespace)
    return lambda: target(*arguments)


def _find(names: list[str], namespace: dict[str, Any]) -> Any:
    """The function or method that a dotted name means, a method on a new object, as online judges do.

    Programs also write the method as a plain function, or the function as a method of ``Solution``.
    """
    if names[0] not in namespace and names[-1] in namespace:
        names = names[-1:]
    elif names[0] not in namespace and hasattr(namespace.get("Solution"), names[0]):
        names = ["Solution", *names]
    if names[0] not in namespace:
        raise NameError(f"name {names[0]!r} is not defined")
    target = namespace[names[0]]
    if len(names) > 1 and isinstance(target, type):
        target = target()
    for name in names[1:]:
        target = getattr(target, name)
    return target


def run_solution_side(job: dict[str, Any], extra: int | None) -> None:
    assert extra is not None
    stdout = sys.__stdout__  # before the program can put something else there
    namespace = load(job, "solution")
    codec.arrays_as_numpy()
    classes = {name: namespace[name] for name in job["task_classes"] if isinstance(namespace.get(name), type)}
    serve.serve(extra, namespace, classes, stdout)
    finish(0)


def run_referee_side(job: dict[str, Any], extra: int | None) -> None:
    assert extra is not None
    codec.arrays_as_numpy()
    referee.judge(job, extra, send)
    _exit(0)


def run_session(job: dict[str, Any], extra: int | None) -> None:
    session.serve(_receive, send)


def run_checks(job: dict[str, Any], extra: int | None) -> None:
    """Check large results. No program runs here, but what a program made is unpacked, under limits."""
    for index, check, replies in job["checks"]:
        try:
            unpacked = [codec.from_bytes(reply.encode("ascii")) for reply in replies]
            send(["test", index, *checks.judge(check, [[frame[0], frame[2]] for frame in unpacked])])
        except calls.NotCalls:
            send(["referee"])
        except Exception as error:  # data made to fail
            send(["test", index, False, f"the result cannot be compared: {type(error).__name__}"])
    _exit(0)


_modes: dict[str, Callable[[dict[str, Any], int | None], None]] = {
    "script": run_script,
    "calls": run_calls,
    "solution": run_solution_side,
    "referee": run_referee_side,
    "checks": run_checks,
    "session": run_session,
}
