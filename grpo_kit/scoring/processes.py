"""Worker processes that can be killed: started from a fork server, talked to without waiting, replaced when they die.

One thread does all of it, so that they work on while the trainer's own thread generates. It never waits for a worker:
sends and receives are non-blocking, deadlines are read from memory that the worker shares.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from grpo_kit.errors import RunFailed
from grpo_kit.runtime.secrets import needed_environment
from grpo_kit.types import Score

from .channel import HEARTBEAT, LENGTH, REQUEST
from .execute import timed_out
from .fork_server import COMMAND, KILL, LOAD, SPAWN, WARM

IMPORT_SECONDS = 300.0
SECOND_LOOK_SECONDS = 0.2
MAX_REPLY = 256 * 2**20
MAX_RESTARTS = 20
# Workers that may die in a row before they were given anything to do.
MAX_STILLBORN = 10
BOOT = "import sys; sys.path[:] = {path!r}; from grpo_kit.scoring.fork_server import main; main({descriptor})"


class Importable(Protocol):
    """How a worker process finds what it runs. Picklable."""

    @property
    def name(self) -> str: ...

    def resolve(self) -> Any:
        """Import it."""


class Process:
    """The pool's side of one worker process: its channel, its deadline, and how it ended."""

    def __init__(self, number: int, channel: socket.socket, heartbeat: Any) -> None:
        self.number = number
        self.channel = channel
        self.heartbeat = heartbeat
        self.inbox = bytearray()
        self.outbox = bytearray()
        self.received = 0  # bytes
        self.heard = time.monotonic()
        self.ending: Score | None = None  # why the pool is ending it
        self._suspected: tuple[bytes, float] | None = None  # a mark, and when it was first overdue

    def suspect(self, now: float) -> float:
        """Seconds until it is sure that it has not moved on: its mark stood still when it was looked at again.

        Where the machine stood still, its answer, or the news of its death, arrives now. And a mark may be read while it is
        written.
        """
        mark = bytes(self.heartbeat[: HEARTBEAT.size])  # a verifier may have written into it what is equal to nothing
        if self._suspected is None or self._suspected[0] != mark:
            self._suspected = (mark, now)
        return self._suspected[1] + SECOND_LOOK_SECONDS - now

    def marked(self) -> tuple[int, int, float]:
        """The request that it is at, the position in it, and since when."""
        request, position, since = HEARTBEAT.unpack_from(self.heartbeat, 0)
        # What runs there may have written into it: no time, or one that is to come, would put its deadline off for ever.
        return request, position, since if since <= time.monotonic() else self.heard

    @property
    def busy(self) -> bool:
        """Whether anything was sent to it that it did not answer."""
        raise NotImplementedError

    @property
    def timeout(self) -> float:
        """Seconds of one call of the request that it is at."""
        raise NotImplementedError

    def overdue(self, now: float) -> tuple[float, float]:
        """Seconds until it must have moved on, zero or less when it did not; and the limit that this is."""
        raise NotImplementedError


W = TypeVar("W", bound=Process)


class Processes(Generic[W]):
    """``workers`` processes, each of which serves requests that are pickled here and answers in JSON.

    A subclass says what they are given (`_fill`), what their answers mean (`_take`) and who pays for one that died (`_lost`).
    """

    subject = "verifier"  # what runs in them
    title = "scoring pool"
    error: type[RunFailed] = RunFailed
    serve = ""  # module:function that a worker runs, given its channel and the descriptor of its heartbeat
    most_reply = MAX_REPLY  # bytes

    def __init__(
        self, workers: int, memory_mb: int, addresses: Sequence[Importable], environment: Sequence[str] = ()
    ) -> None:
        self.size = workers
        self.environment = tuple(environment)  # names of variables that workers get beside what everybody needs
        self.memory_mb = memory_mb
        self.failure: BaseException | None = None
        self.replaced = 0
        self.broken = Score(status="error", reason=f"the {self.subject} closed or wrote into its worker's channel")
        self._addresses = list(addresses)
        self._workers: dict[int, W] = {}
        self._numbers = itertools.count(1)
        self._restarts = self._stillborn = 0
        self._inbox: deque[Callable[[], None]] = deque()  # what other threads ask of the pool's thread
        self._closing = self._called = False  # _called: a wake-up is on its way
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._start_fork_server()
        self._thread = threading.Thread(target=self._run, name=f"grpo-kit-{self.title.replace(' ', '-')}", daemon=True)
        self._thread.start()

    # --- what a subclass says ----------------------------------------------------------------------------------------

    def _worker(self, number: int, channel: socket.socket, heartbeat: Any) -> W:
        raise NotImplementedError

    def _fill(self) -> None:
        """Give workers something to do (`_send`)."""
        raise NotImplementedError

    def _gathering(self) -> float:
        """Seconds to wait, after one answer has come, for others to come with it."""
        return 0.0

    def _take(self, worker: W, message: Any) -> None:
        """An answer. Raises ValueError, TypeError, IndexError, KeyError or StopIteration for what no worker of ours says."""
        raise NotImplementedError

    def _lost(self, worker: W, status: int | None, fault: str) -> None:
        """It has died and is forgotten: its work goes to others, and somebody pays. status: None if nobody saw it die."""
        raise NotImplementedError

    # --- from any thread -------------------------------------------------------------------------------------------

    def preload(self, address: Importable) -> None:
        """Have workers that start from now on begin with this imported."""
        self._ask(lambda: self._preload(address))

    def close(self) -> None:
        """End every process and remove the pool's folder. Work that is under way is dropped."""
        if self._closing:
            return
        self._closing = True
        self._wake()
        self._thread.join()
        self._stop_fork_server()
        self._selector.close()
        self._wake_read.close()
        self._wake_write.close()

    def _ask(self, request: Callable[[], None], soon: bool = True) -> None:
        """Have it done in the pool's thread. soon: or else when that is next awake."""
        self._inbox.append(request)
        if soon and not self._called:
            self._called = True
            self._wake()

    def _wake(self) -> None:
        try:
            self._wake_write.send(b"\0")
        except (BlockingIOError, OSError):
            return  # enough wake-ups are waiting, or the pool is closed

    # --- the pool's thread -----------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                while self._inbox:
                    self._inbox.popleft()()
                self._fill()
                for worker in list(self._workers.values()):
                    if worker.outbox:
                        self._push(worker)
                ready = self._selector.select(self._enforce_deadlines())
                if seconds := self._gathering():
                    time.sleep(seconds)
                for key, events in ready:
                    key.data(events)
        except BaseException as error:
            self.failure = error
            self._failed()

    def _failed(self) -> None:
        """The pool's thread has ended with `failure`."""

    def _woken(self, _events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_read.recv(65536)
        self._called = False  # before the inbox is read: what comes later calls again

    def _send(self, worker: W, request: int, count: int, payload: bytes) -> None:
        """Have a pickled request sent, together with others, as fast as the worker takes them."""
        if not worker.busy:
            worker.heard = time.monotonic()
        worker.outbox += REQUEST.pack(len(payload), request, count) + payload

    def _push(self, worker: W) -> None:
        try:
            while worker.outbox:
                sent = worker.channel.send(memoryview(worker.outbox)[: 2**20])
                del worker.outbox[:sent]
        except BlockingIOError:
            pass  # the selector says when there is room
        except OSError:
            worker.outbox.clear()  # it is dead; the fork server's notice follows
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if worker.outbox else 0)
        key = self._selector.get_map().get(worker.channel)
        if key is not None and key.events != events:
            self._selector.modify(worker.channel, events, key.data)

    def _serve(self, worker: W, events: int) -> None:
        if worker.number not in self._workers:
            return  # buried by an event of the same round
        if events & selectors.EVENT_WRITE:
            self._push(worker)
        if events & selectors.EVENT_READ and not self._receive(worker):
            self._selector.unregister(worker.channel)  # closed: silent until the fork server tells why

    def _receive(self, worker: W) -> bool:
        """Take in what a worker sent; False when the channel is closed."""
        try:
            data = worker.channel.recv(2**20)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data:
            return False
        worker.heard = time.monotonic()
        worker.inbox += data
        worker.received += len(data)
        while len(worker.inbox) >= LENGTH.size:
            (size,) = LENGTH.unpack_from(worker.inbox)
            if size > self.most_reply:
                self._kill(worker, self.broken)
                return False
            if len(worker.inbox) < LENGTH.size + size:
                break
            payload = bytes(worker.inbox[LENGTH.size : LENGTH.size + size])
            del worker.inbox[: LENGTH.size + size]
            try:
                self._take(worker, json.loads(payload.decode()))
            except (ValueError, TypeError, IndexError, KeyError, StopIteration, RecursionError):
                self._kill(worker, self.broken)
        return True

    def _enforce_deadlines(self) -> float | None:
        """End workers that are late; returns the seconds until the next deadline."""
        now, nearest = time.monotonic(), None
        for worker in self._workers.values():
            if not worker.busy or worker.ending is not None:
                continue
            left, limit = worker.overdue(now)
            if left <= 0:
                left = worker.suspect(now)
                if left <= 0:
                    self._kill(worker, timed_out(limit))
                    continue
            # At least once per timeout: a call that starts after this look must not wait for the next one.
            left = min(left, worker.timeout)
            nearest = left if nearest is None else min(nearest, left)
        return None if nearest is None else max(nearest, 0.001)

    def _kill(self, worker: W, because: Score) -> None:
        worker.ending = because
        self._command(KILL, worker.number)

    # --- the fork server -----------------------------------------------------------------------------------------------

    def _start_fork_server(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"grpo-kit-{self.title.split()[0]}-"))
        self._control, theirs = socket.socketpair()
        boot = BOOT.format(path=sys.path, descriptor=theirs.fileno())
        threads = {name: os.environ.get(name, "1") for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
        self._fork_server = subprocess.Popen(
            [sys.executable, "-P", "-c", boot],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=needed_environment(self.environment) | threads,
            start_new_session=True,
        )
        theirs.close()
        message = {"path": sys.path, "memory_mb": self.memory_mb, "folder": str(self._folder), "serve": self.serve}
        self._command(WARM, message | {"addresses": self._addresses})
        self._control_inbox = bytearray()
        answer = self._first_answer()
        if "failed" in answer:
            self._stop_fork_server()
            raise self.error(
                f"{self.subject} {answer['failed']!r} cannot be loaded in a worker process:\n{answer['traceback']}"
            )
        self._control.setblocking(False)
        self._selector.register(self._control, selectors.EVENT_READ, self._hear_fork_server)
        for _ in range(self.size):
            self._spawn()

    def _first_answer(self) -> dict[str, Any]:
        self._control.settimeout(IMPORT_SECONDS)
        while b"\n" not in self._control_inbox:
            try:
                data = self._control.recv(65536)
            except TimeoutError:
                data = b""
            if not data:
                self._stop_fork_server()
                raise self.error(
                    f"the {self.title} did not start: importing the {self.subject}s {[a.name for a in self._addresses]} in a "
                    f"worker process ended it or took more than {IMPORT_SECONDS:g} s (exit code "
                    f"{self._fork_server.returncode})"
                )
            self._control_inbox += data
        line, _, rest = bytes(self._control_inbox).partition(b"\n")
        self._control_inbox[:] = rest
        return json.loads(line)

    def _stop_fork_server(self) -> None:
        for worker in self._workers.values():
            worker.channel.close()
        self._workers.clear()
        self._control.close()  # the fork server ends its workers and itself
        try:
            self._fork_server.wait(10)
        except subprocess.TimeoutExpired:
            self._fork_server.kill()
            self._fork_server.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self, command: bytes, content: Any, descriptors: Sequence[int] = ()) -> None:
        payload = b"" if isinstance(content, int) else pickle.dumps(content)
        header = COMMAND.pack(command, content if isinstance(content, int) else len(payload))
        try:
            if descriptors:
                socket.send_fds(self._control, [header], list(descriptors))
            else:
                self._control.sendall(header + payload)
        except OSError:
            return  # the fork server is gone; its closed channel is noticed and handled in _hear_fork_server

    def _spawn(self) -> None:
        import mmap

        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        with tempfile.TemporaryFile(dir=self._folder) as shared:
            shared.write(bytes(HEARTBEAT.size))
            shared.flush()
            heartbeat = mmap.mmap(shared.fileno(), HEARTBEAT.size)
            self._command(SPAWN, number, [theirs.fileno(), shared.fileno()])
        theirs.close()
        ours.setblocking(False)
        worker = self._worker(number, ours, heartbeat)
        self._workers[number] = worker
        self._selector.register(ours, selectors.EVENT_READ, lambda events: self._serve(worker, events))

    def _preload(self, address: Importable) -> None:
        self._addresses.append(address)
        self._command(LOAD, {"addresses": [address]})

    def _hear_fork_server(self, _events: int) -> None:
        try:
            data = self._control.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._restart()
            return
        self._control_inbox += data
        *lines, rest = bytes(self._control_inbox).split(b"\n")
        self._control_inbox[:] = rest
        for line in lines:
            message = json.loads(line)
            if "died" in message and message["died"] in self._workers:
                self._bury(self._workers[message["died"]], message["status"], message["fault"])
                self._spawn()

    def _restart(self) -> None:
        """The fork server died: only one that kills other processes, or the system, does that."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise self.error(f"the {self.title}'s process was killed {self._restarts} times; something ends it")
        self._selector.unregister(self._control)
        for worker in list(self._workers.values()):
            self._bury(worker, None, "")
        self._stop_fork_server()
        self._start_fork_server()

    def _bury(self, worker: W, status: int | None, fault: str) -> None:
        """Take in what a worker sent before it died, forget it, and have its work done by others."""
        before = -1
        while self._is_heard(worker) and worker.received != before:
            before = worker.received
            if not self._receive(worker):
                break
        if self._is_heard(worker):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        del self._workers[worker.number]
        if status is not None:
            self.replaced += 1
            self._count_stillborn(worker, status, fault)
        self._lost(worker, status, fault)

    def _count_stillborn(self, worker: W, status: int, fault: str) -> None:
        self._stillborn = 0 if worker.received or worker.busy else self._stillborn + 1
        if self._stillborn > MAX_STILLBORN:
            raise self.error(f"workers die as soon as they start: {self.describe_death(status, fault)}\n{fault}")

    def _is_heard(self, worker: W) -> bool:
        return worker.channel in self._selector.get_map()

    def describe_death(self, status: int, fault: str) -> str:
        """One line on how a worker ended, from its wait status and what the fault handler wrote."""
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return f"the {self.subject} ended its process with exit code {code}"
        name = signal.Signals(-code).name
        hint = " (out of memory?)" if name == "SIGKILL" else ""
        frames = [line.strip() for line in fault.splitlines() if line.strip().startswith("File")]
        where = f", at {frames[0]}" if frames else ""
        return f"the {self.subject}'s process was ended by {name}{hint}{where}"
