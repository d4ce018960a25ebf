"""The pool: feeds chunks of completions to worker processes, holds their deadlines, replaces those that die.

One thread does all of it, so that scoring goes on while the trainer's own thread generates. It never waits for a
worker: sends and receives are non-blocking, deadlines are read from memory that the worker shares.
"""

from __future__ import annotations

import itertools
import json
import os
import pickle
import selectors
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from grpo_kit.observe.measure import Measures
from grpo_kit.runtime.secrets import needed_environment
from grpo_kit.types import Score
from grpo_kit.verifiers.lookup import Address

from .chunks import Chunk, Queue
from .execute import timed_out
from .fork_server import COMMAND, KILL, LOAD, SPAWN, WARM
from .handle import IMPORT_SECONDS, Worker, describe_death
from .work import CHANNEL_LOST, HEARTBEAT, LENGTH, LOADING, RECYCLE, REQUEST, TEXT_LIMIT, WAITING, ScoringError, Work

CHANNEL_BROKEN = Score(status="error", reason="the verifier closed or wrote into its worker's channel")
MAX_REPLY = 256 * 2**20
# Two chunks per worker: the second waits in the worker's socket while the trainer's thread holds the interpreter.
CHUNKS_AHEAD = 2
MAX_RESTARTS = 20
# Workers that may die in a row before they were given anything to do.
MAX_STILLBORN = 10
BOOT = "import sys; sys.path[:] = {path!r}; from grpo_kit.scoring.fork_server import main; main({descriptor})"


class Pool:
    """Scores `Work` in ``workers`` processes. ``submit`` and ``cancel`` may be called from any thread."""

    def __init__(
        self, workers: int, memory_mb: int, addresses: Sequence[Address], environment: Sequence[str] = ()
    ) -> None:
        self.size = workers
        self.environment = tuple(environment)  # names of variables that verifiers get beside what everybody needs
        self.memory_mb = memory_mb
        self.failure: BaseException | None = None
        self.replaced = 0
        self._addresses = list(addresses)
        self._queue = Queue()
        self._workers: dict[int, Worker] = {}
        self._numbers = itertools.count(1)
        self._restarts = self._stillborn = 0
        self._inbox: deque[Callable[[], None]] = deque()  # what other threads ask of the pool's thread
        self._closing = False
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_read.setblocking(False)
        self._wake_write.setblocking(False)
        self._selector.register(self._wake_read, selectors.EVENT_READ, self._woken)
        self._start_fork_server()
        self._thread = threading.Thread(target=self._run, name="grpo-kit-scoring", daemon=True)
        self._thread.start()

    # --- from any thread -------------------------------------------------------------------------------------------

    def submit(self, works: Sequence[Work]) -> None:
        self._ask(lambda: self._queue.extend(works))

    def preload(self, address: Address) -> None:
        """Have workers that start from now on begin with this verifier imported."""
        self._ask(lambda: self._preload(address))

    def statistics(self) -> Measures:
        """As `ClusterPool.statistics`; of one machine there is nothing to say."""
        return Measures()

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

    def _ask(self, request: Callable[[], None]) -> None:
        self._inbox.append(request)
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
                self._fill()
                for key, events in self._selector.select(self._enforce_deadlines()):
                    key.data(events)
        except BaseException as error:
            self.failure = error

    def _woken(self, _events: int) -> None:
        try:
            self._wake_read.recv(65536)
        except BlockingIOError:
            return
        while self._inbox:
            self._inbox.popleft()()

    def _fill(self) -> None:
        """Give every worker something to do, the least busy first."""
        for ahead in range(CHUNKS_AHEAD):
            for worker in list(self._workers.values()):
                # again when a chunk could not be sent: the queue would not be looked at before the next event
                while self._queue and len(worker.chunks) == ahead and worker.ending is None:
                    chunk = self._queue.take(self.size)
                    if chunk is None:
                        return
                    self._send(worker, chunk)

    def _send(self, worker: Worker, chunk: Chunk) -> None:
        try:
            payload = pickle.dumps(chunk.request(), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # whatever a user's own class raises
            if len(chunk.items) > 1:  # find out which one
                chunk.count_attempts(WAITING)
                self._queue.give_back(chunk)
                return
            reason = f"the task's answer or meta cannot be sent to a worker: {type(error).__name__}: {error}"
            chunk.blame(WAITING, Score(status="error", reason=reason[:TEXT_LIMIT]))
            self._queue.learn(chunk)
            return
        if not worker.chunks:
            worker.heard = time.monotonic()
        worker.chunks.append(chunk)
        worker.outbox += REQUEST.pack(len(payload), chunk.id, len(chunk.items)) + payload
        self._push(worker)

    def _push(self, worker: Worker) -> None:
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

    def _serve(self, worker: Worker, events: int) -> None:
        if worker.number not in self._workers:
            return  # buried by an event of the same round
        if events & selectors.EVENT_WRITE:
            self._push(worker)
        if events & selectors.EVENT_READ and not self._receive(worker):
            self._selector.unregister(worker.channel)  # closed: silent until the fork server tells why

    def _receive(self, worker: Worker) -> bool:
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
            if size > MAX_REPLY:
                self._kill(worker, CHANNEL_BROKEN)
                return False
            if len(worker.inbox) < LENGTH.size + size:
                break
            payload = bytes(worker.inbox[LENGTH.size : LENGTH.size + size])
            del worker.inbox[: LENGTH.size + size]
            self._take(worker, payload)
        return True

    def _take(self, worker: Worker, payload: bytes) -> None:
        try:
            number, results = json.loads(payload)
            chunk = next(chunk for chunk in worker.chunks if chunk.id == number)
            for result in results:
                chunk.deliver(result)
        except (ValueError, TypeError, IndexError, KeyError, StopIteration):
            self._kill(worker, CHANNEL_BROKEN)
            return
        if chunk.done:
            worker.chunks.remove(chunk)
            self._queue.learn(chunk)

    def _enforce_deadlines(self) -> float | None:
        """End workers that are late; returns the seconds until the next deadline."""
        now, nearest = time.monotonic(), None
        for worker in self._workers.values():
            if not worker.chunks or worker.ending is not None:
                continue
            left = worker.overdue(now)
            # Twice, because a mark may be read while it is written.
            if left <= 0 and worker.overdue(now) <= 0:
                chunk, position, _ = worker.marked()
                head = worker.chunks[0]
                limit = IMPORT_SECONDS if chunk == head.id and position == LOADING else head.loaded.verifier.timeout
                self._kill(worker, timed_out(limit))
            else:
                # At least once per timeout: a call that starts after this look must not wait for the next one.
                left = min(left, worker.chunks[0].loaded.verifier.timeout)
                nearest = left if nearest is None else min(nearest, left)
        return None if nearest is None else max(nearest, 0.001)

    def _kill(self, worker: Worker, because: Score) -> None:
        worker.ending = because
        self._command(KILL, worker.number)

    # --- the fork server -----------------------------------------------------------------------------------------------

    def _start_fork_server(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="grpo-kit-scoring-"))
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
        message = {"path": sys.path, "memory_mb": self.memory_mb, "folder": str(self._folder)}
        self._command(WARM, message | {"addresses": self._addresses})
        self._control_inbox = bytearray()
        answer = self._first_answer()
        if "failed" in answer:
            self._stop_fork_server()
            raise ScoringError(
                f"verifier {answer['failed']!r} cannot be loaded in a worker process:\n{answer['traceback']}"
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
                raise ScoringError(
                    f"the scoring pool did not start: importing the verifiers {[a.name for a in self._addresses]} in a "
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
        worker = Worker(number, ours, heartbeat)
        self._workers[number] = worker
        self._selector.register(ours, selectors.EVENT_READ, lambda events: self._serve(worker, events))

    def _preload(self, address: Address) -> None:
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
        """The fork server died: only a verifier that kills other processes, or the system, does that."""
        self._restarts += 1
        if self._restarts > MAX_RESTARTS:
            raise ScoringError(f"the scoring pool's process was killed {self._restarts} times; something ends it")
        self._selector.unregister(self._control)
        for worker in list(self._workers.values()):
            self._bury(worker, None, "")
        self._stop_fork_server()
        self._start_fork_server()

    def _bury(self, worker: Worker, status: int | None, fault: str) -> None:
        """Give a dead worker's current completion its score, and everything else back to the queue."""
        before = -1
        while self._is_heard(worker) and worker.received != before:  # what it sent before it died
            before = worker.received
            if not self._receive(worker):
                break
        self._forget(worker)
        chunk_id, position, _ = worker.marked()
        if worker.ending is CHANNEL_BROKEN and worker.chunks:
            # By the time it was noticed the worker may have gone on; what came broken were the results of the first.
            chunk_id = worker.chunks[0].id
        self.replaced += status is not None
        if status is not None:
            self._count_stillborn(worker, status, fault)
        if status != RECYCLE << 8 and worker.chunks and all(chunk.id != chunk_id for chunk in worker.chunks):
            worker.chunks[0].count_attempts(WAITING)  # it died on the way to its work
        for chunk in reversed(worker.chunks):
            if chunk.id == chunk_id and status != RECYCLE << 8:
                self._charge(chunk, position, worker, status, fault)
            self._queue.give_back(chunk)

    def _count_stillborn(self, worker: Worker, status: int, fault: str) -> None:
        self._stillborn = 0 if worker.received or worker.chunks else self._stillborn + 1
        if self._stillborn > MAX_STILLBORN:
            raise ScoringError(f"workers die as soon as they start: {describe_death(status, fault)}\n{fault}")

    def _is_heard(self, worker: Worker) -> bool:
        return worker.channel in self._selector.get_map()

    def _charge(self, chunk: Chunk, position: int, worker: Worker, status: int | None, fault: str) -> None:
        """Decide whose fault the death of a worker was."""
        if status is None:
            chunk.count_attempts(position)
            return
        score = worker.ending or Score(status="error", reason=describe_death(status, fault))
        if worker.ending is CHANNEL_BROKEN or status == CHANNEL_LOST << 8:
            # Noticed only when results are sent, which may be calls after the one that did it: each is tried alone.
            if len(chunk.items) > 1:
                chunk.count_attempts(WAITING)
                return
            position, score = 0, CHANNEL_BROKEN
        chunk.blame(position, score)

    def _forget(self, worker: Worker) -> None:
        if self._is_heard(worker):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        del self._workers[worker.number]
