"""The trainer's side of one zygote: start it, keep a child ready, run jobs, account for every descriptor.

One thread at a time uses a `Worker`. Whatever a program does reaches this side only as bytes on pipes (bounded), as
frames on a socket (bounded, decoded by `codec`) and as an exit report that the zygote takes from the kernel.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import queue
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import codec, isolate, view
from .cgroup import Cgroup
from .limits import Limits, SandboxError

START_SECONDS = 60.0
_ENVIRONMENT = {
    # A program's verdict must not depend on chance: set and dict order of strings is the same in every run.
    "PYTHONHASHSEED": "0",
    "LANG": "C.UTF-8",
    # A threaded BLAS would start its threads in the zygote, and they do not survive a fork.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # glibc reserves 64 MiB of address space per thread's arena, which the memory limit would count.
    "MALLOC_ARENA_MAX": "1",
}
_FIRST_LOOK_MS = 3.0
_CORES = os.cpu_count() or 1
_FRESH_SECONDS = 0.1  # how long a child forked ahead is used; it leaves after child.IDLE_SECONDS


class ZygoteLost(SandboxError):
    """The zygote ended under a run: the run is repeated, not scored."""


class ChildLeft(SandboxError):
    """The child left before it took its job, having waited too long for one: the run is repeated."""


@dataclass(slots=True)
class Job:
    """What one child is to do.

    ``on_frame`` gets each message and returns True to end the run; ``decisive``: when this child ends, its partners
    are ended too.
    """

    message: dict[str, Any]
    limits: Limits
    stdin: bytes = b""
    descriptor: int | None = None
    on_frame: Callable[[list[Any]], bool] = lambda frame: False
    decisive: bool = True


@dataclass(slots=True)
class Outcome:
    """How a child ended. ``stopped``: why this side ended it, if it did."""

    stdout: bytearray = field(default_factory=bytearray)
    stderr: bytearray = field(default_factory=bytearray)
    status: int = 0
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_memory_mb: float = 0.0
    stopped: str = ""
    accepted: bool = False
    error: str | None = None


class _Slot:
    """One child: its channel, its standard streams and what has been read of them."""

    def __init__(self, number: int, profile: tuple[Any, ...]) -> None:
        self.number, self.profile = number, profile
        self.ended = False
        self.born = time.monotonic()
        channel, theirs = socket.socketpair()
        stdin, self.stdin = os.pipe2(os.O_CLOEXEC)
        self.stdout, stdout = os.pipe2(os.O_CLOEXEC)
        self.stderr, stderr = os.pipe2(os.O_CLOEXEC)
        if os.geteuid() == 0:
            # Opening /dev/stdin opens the pipe anew, with a permission check against its owner.
            for descriptor in (stdin, stdout, stderr):
                os.fchown(descriptor, isolate.NOBODY, isolate.NOBODY)
        self.channel = channel
        self.theirs = [theirs.detach(), stdin, stdout, stderr]
        self.outcome = Outcome()
        self.buffer = bytearray()
        self.received = 0
        self.asked = False  # for its CPU time
        self.next_look = 0.0
        self.unsent = memoryview(b"")

    def close_theirs(self) -> None:
        for descriptor in self.theirs:
            os.close(descriptor)
        self.theirs = []

    def close_stdin(self) -> None:
        if self.stdin >= 0:
            os.close(self.stdin)
            self.stdin = -1

    def close(self) -> None:
        self.close_theirs()
        self.close_stdin()
        self.channel.close()
        for descriptor in (self.stdout, self.stderr):
            if descriptor >= 0:
                os.close(descriptor)
        self.stdout = self.stderr = -1


class Worker:
    """One zygote and its children."""

    def __init__(self, backend: str, preload: tuple[str, ...] = ()) -> None:
        self.backend, self.preload = backend, preload
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.numbers = itertools.count()
        self.slots: dict[int, _Slot] = {}
        self.ready: list[_Slot] = []
        self.scratch: str | None = None
        self.has_proc = False
        self.cgroup: Cgroup | None = None

    def start(self) -> None:
        """Start the zygote and wait until it is isolated and warm.

        Raises:
            SandboxError: with the zygote's own words.
        """
        self.close()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        if self.backend != "namespaces":
            self.scratch = _make_scratch()
        config = {
            "backend": self.backend,
            "parent": os.getpid(),
            "preload": list(self.preload),
            "scratch": self.scratch or "/tmp",
            "environment": {**_ENVIRONMENT, "HOME": self.scratch or "/tmp", "TMPDIR": self.scratch or "/tmp"},
            "tasks": _tasks_of_user(self.backend),
            **view.describe(self.preload, self.backend),
        }
        flags = ["-S", "-s", "-P", "-B", "-X", "utf8"]
        script = str(Path(__file__).with_name("zygote.py"))
        command = [sys.executable, *flags, script, str(theirs.fileno())]
        try:
            self.process = _spawn(command, theirs.fileno())
        finally:
            theirs.close()
        self.control = ours
        ours.settimeout(START_SECONDS)
        try:
            ours.send(json.dumps(config).encode())
            reply = json.loads(ours.recv(1 << 16) or b"null")
        except (OSError, ValueError) as error:
            reply = {"error": f"{type(error).__name__}: {error}"}
        if not reply or "error" in reply:
            words = reply["error"] if reply else self._last_words()
            self.close()
            raise SandboxError(f"the {self.backend} sandbox did not start: {words}")
        assert self.process.stderr is not None
        self.process.stderr.close()
        ours.settimeout(None)
        self.has_proc = bool(reply["has_proc"])

    def _last_words(self) -> str:
        assert self.process is not None
        assert self.process.stderr is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        text = self.process.stderr.read1(4096).decode(errors="replace")  # type: ignore[attr-defined]
        return f"its process ended ({self.process.returncode}): {text[-1000:].strip()}"

    def close(self) -> None:
        """End the zygote and everything below it; release every descriptor and the scratch folder."""
        for slot in self.slots.values():
            slot.close()
        self.slots.clear()
        self.ready.clear()
        if self.control is not None:
            self.control.close()
            self.control = None
        if self.process is not None:
            try:
                self.process.wait(2)  # it leaves when its control socket ends, and with it all it has forked
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            if self.process.stderr is not None:
                self.process.stderr.close()
            self.process = None
        if self.scratch is not None:
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None
        if self.cgroup is not None:
            self.cgroup.close()
            self.cgroup = None

    # -- children ----------------------------------------------------------------------------------------------------

    def _profile(self, limits: Limits) -> tuple[Any, ...]:
        return (limits.disk_mb, limits.inodes, limits.subprocesses)

    def _order(self, profile: tuple[Any, ...]) -> _Slot:
        assert self.control is not None
        slot = _Slot(next(self.numbers), profile)
        self.slots[slot.number] = slot
        if profile[2]:
            slot.channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        named = dict(zip(("disk_mb", "inodes", "subprocesses"), profile, strict=True))
        command = json.dumps({"do": "fork", "slot": slot.number, "profile": named}).encode()
        try:
            socket.send_fds(self.control, [command], slot.theirs)
        except OSError as error:
            raise ZygoteLost(f"the zygote is gone: {error}") from None
        finally:
            slot.close_theirs()
        return slot

    def _take(self, profile: tuple[Any, ...]) -> _Slot:
        assert self.control is not None
        while select.select([self.control], [], [], 0)[0]:
            self.reports()
        while self.ready:
            slot = self.ready.pop()
            if slot.profile == profile and not slot.ended and time.monotonic() - slot.born < _FRESH_SECONDS:
                return slot
            if slot.ended:
                slot.close()
                self.slots.pop(slot.number, None)
            slot.channel.close()  # the child reads the end of its channel and leaves; its exit report drops the slot
        return self._order(profile)

    def execute(self, jobs: list[Job]) -> list[Outcome]:
        """Run one child per job, together, until all have ended.

        Raises:
            ZygoteLost: the zygote died; repeat.
        """
        if self.control is None:
            raise ZygoteLost("the zygote is not running")
        slots = [self._take(self._profile(job.limits)) for job in jobs]
        try:
            run = _Run(self, list(zip(slots, jobs, strict=True)))
            run.begin()
            if not self.ready:
                self.ready.append(self._order(self._profile(jobs[0].limits)))
            run.until_ended()
        finally:
            for slot in slots:
                slot.close()
                self.slots.pop(slot.number, None)
        for outcome in (slot.outcome for slot in slots):
            if not outcome.accepted and not outcome.stopped and outcome.error is None and outcome.status == 0:
                raise ChildLeft("a child left before it took its job")
        return [slot.outcome for slot in slots]

    def kill(self, slot: _Slot) -> None:
        assert self.control is not None
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"do": "kill", "slot": slot.number}).encode())

    def ask_cpu(self, slot: _Slot) -> None:
        assert self.control is not None
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"do": "cpu", "slot": slot.number}).encode())

    def reports(self) -> None:
        """Read one report of the zygote."""
        assert self.control is not None
        try:
            data = self.control.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            raise ZygoteLost("the zygote ended during a run")
        report = json.loads(data)
        slot = self.slots.get(report["slot"])
        if slot is None:
            return
        if report["did"] == "cpu":
            slot.outcome.cpu_s = report["cpu"]
            slot.asked = False
            return
        slot.ended = True
        if report["did"] == "error":
            slot.outcome.error = report["error"]
        else:
            slot.outcome.status = report["status"]
            slot.outcome.cpu_s = report["cpu"]
            slot.outcome.peak_memory_mb = report["rss_kb"] / 1024
        if slot.channel.fileno() < 0:  # discarded while it was waiting for a job
            slot.close()
            del self.slots[slot.number]

    def admit(self, slot: _Slot, limits: Limits) -> None:
        """Put a child that may start processes into a cgroup that bounds them all, before it sees its job."""
        if self.cgroup is None:
            self.cgroup = Cgroup.create()
        self.cgroup.set(limits.memory_mb, limits.processes)
        data, ancillary, _, _ = slot.channel.recvmsg(65536, 256)
        slot.buffer += data
        for level, kind, content in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                # The kernel translates the sender's id into the reader's pid namespace.
                self.cgroup.add(struct.unpack("3i", content)[0])
                return
        raise SandboxError("the child did not say who it is")


class _Run:
    """The poll loop over the children of one run."""

    def __init__(self, worker: Worker, pairs: list[tuple[_Slot, Job]]) -> None:
        self.worker, self.pairs = worker, pairs
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], None]] = {}

    def begin(self) -> None:
        """Hand over the jobs. The children read them at once, before any code of the program has run."""
        self.started = time.monotonic()
        for slot, job in self.pairs:
            if job.limits.subprocesses:
                self.worker.admit(slot, job.limits)
            frame = codec.to_bytes(job.message)
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it has left: its exit report says so
                if job.descriptor is not None:
                    sent = socket.send_fds(slot.channel, [frame[:4]], [job.descriptor])
                    frame = frame[sent:]
                slot.channel.sendall(frame)
            slot.channel.setblocking(False)
            os.set_blocking(slot.stdin, False)
            slot.unsent = memoryview(job.stdin)
            self._feed(slot)

    def until_ended(self) -> None:
        control = self.worker.control
        assert control is not None
        self._watch(control.fileno(), select.POLLIN, self.worker.reports)
        deadlines = [self.started + job.limits.wall_s for _, job in self.pairs]
        # Most runs end within milliseconds: wait for that alone before listening to every pipe, each of whose writes
        # would wake this process. A program that fills a pipe meanwhile waits no longer than this.
        if self.poll.poll(_FIRST_LOOK_MS):
            self.worker.reports()
        for slot, job in self.pairs:
            slot.next_look = self.started + job.limits.cpu_s / _CORES
        for slot, job in self.pairs:
            self._listen(slot, job)
        while not all(slot.ended for slot, _ in self.pairs):
            now = time.monotonic()
            for (slot, _), deadline in zip(self.pairs, deadlines, strict=True):
                if now >= deadline and not slot.ended:
                    self._stop(slot, "wall")
            times = [t for t in (*deadlines, *self._cpu_checks(now)) if t > now]
            wait = min(times) - now if times else 1.0
            if self.worker.scratch is not None:
                wait = min(wait, 0.05)
                self._check_disk()
            for descriptor, _ in self.poll.poll(wait * 1000 + 1):
                if descriptor in self.handlers:
                    self.handlers[descriptor]()
            for slot, job in self.pairs:
                if slot.ended and job.decisive:
                    for other, _ in self.pairs:
                        self._stop(other, "partner")
        for slot, job in self.pairs:
            slot.outcome.wall_s = time.monotonic() - self.started
            self._drain(slot, job)

    def _cpu_checks(self, now: float) -> list[float]:
        """End what is over its CPU time; ask for the accounts that are due; say when to look next.

        No program can use CPU time faster than all cores give it, so that short runs are never asked for.
        """
        times = []
        for slot, job in self.pairs:
            if slot.ended or slot.outcome.stopped:
                continue
            left = job.limits.cpu_s - slot.outcome.cpu_s
            if left <= 0:
                self._stop(slot, "cpu")
            elif now >= slot.next_look and not slot.asked:
                slot.asked = True
                slot.next_look = now + max(0.02, left / _CORES)
                self.worker.ask_cpu(slot)
            times.append(slot.next_look)
        return times

    def _watch(self, descriptor: int, events: int, handler: Callable[[], None]) -> None:
        self.poll.register(descriptor, events)
        self.handlers[descriptor] = handler

    def _forget(self, descriptor: int) -> None:
        self.poll.unregister(descriptor)
        del self.handlers[descriptor]

    def _listen(self, slot: _Slot, job: Job) -> None:
        channel = slot.channel.fileno()
        self._watch(channel, select.POLLIN, lambda: self._hear(slot, job) or self._forget(channel))
        for name in ("stdout", "stderr"):
            descriptor = getattr(slot, name)
            os.set_blocking(descriptor, False)
            text = getattr(slot.outcome, name)
            self._watch(
                descriptor, select.POLLIN, lambda d=descriptor, t=text: self._read(slot, job, d, t) or self._forget(d)
            )
        if slot.unsent and slot.stdin >= 0:
            stdin = slot.stdin
            self._watch(stdin, select.POLLOUT, lambda: self._feed(slot) or self._forget(stdin))

    def _feed(self, slot: _Slot) -> bool:
        """Write what the pipe takes; False when there is nothing more to write."""
        try:
            while slot.unsent:
                slot.unsent = slot.unsent[os.write(slot.stdin, slot.unsent) :]
        except BlockingIOError:
            return True
        except BrokenPipeError:
            slot.unsent = memoryview(b"")  # a program need not read its input
        if slot.stdin in self.handlers:
            self._forget(slot.stdin)
            slot.close_stdin()
            return True
        slot.close_stdin()
        return False

    def _read(self, slot: _Slot, job: Job, descriptor: int, text: bytearray) -> bool:
        """Read once; False at the end of the stream."""
        try:
            data = os.read(descriptor, 1 << 16)
        except BlockingIOError:
            return True
        outcome = slot.outcome
        room = job.limits.output_kb * 1024 - len(outcome.stdout) - len(outcome.stderr)
        text += data[: max(0, room)]
        if len(data) > room:
            self._stop(slot, "output")
        return bool(data)

    def _hear(self, slot: _Slot, job: Job) -> bool:
        """Take what is on the channel; False at its end."""
        try:
            data = slot.channel.recv(1 << 18)
        except BlockingIOError:
            return True
        except OSError:
            data = b""
        slot.received += len(data)
        if slot.received > job.limits.reply_kb * 1024 + (1 << 16):
            self._stop(slot, "reply")
            return bool(data)
        slot.buffer += data
        self._frames(slot, job)
        return bool(data)

    def _frames(self, slot: _Slot, job: Job) -> None:
        buffer, outcome, start = slot.buffer, slot.outcome, 0
        while len(buffer) - start >= 4 and outcome.stopped not in ("protocol", "stop"):
            (length,) = struct.unpack_from("<I", buffer, start)
            if length > job.limits.reply_kb * 1024 + (1 << 16):
                self._stop(slot, "protocol")
                break
            if len(buffer) - start - 4 < length:
                break
            body = bytes(buffer[start + 4 : start + 4 + length])
            start += 4 + length
            try:
                self._frame(slot, job, codec.from_bytes(body))
            except codec.Malformed:
                self._stop(slot, "protocol")
        del buffer[:start]

    def _frame(self, slot: _Slot, job: Job, frame: Any) -> None:
        if type(frame) is not list or not frame or type(frame[0]) is not str:
            raise codec.Malformed("not a frame")
        if slot.outcome.accepted:
            if job.on_frame(frame):
                self._stop(slot, "stop")
        elif frame[0] == "job":
            slot.outcome.accepted = True
        elif frame[0] == "sandbox_error":  # only the trusted part, before the program, can get here
            slot.outcome.error = str(frame[1])

    def _stop(self, slot: _Slot, why: str) -> None:
        if not slot.outcome.stopped and not slot.ended:
            slot.outcome.stopped = why
            self.worker.kill(slot)
        elif why in ("output", "protocol", "reply") and not slot.outcome.stopped:
            slot.outcome.stopped = why  # seen only after the end

    def _check_disk(self) -> None:
        used = _disk_use(self.worker.scratch or "")
        for slot, job in self.pairs:
            if used[0] > job.limits.disk_mb << 20 or used[1] > job.limits.inodes:
                self._stop(slot, "disk")

    def _drain(self, slot: _Slot, job: Job) -> None:
        """Everything that the ended child wrote is in the pipes by now; nobody else can hold their other ends."""
        while self._hear(slot, job) and slot.outcome.stopped not in ("protocol", "reply", "stop"):
            pass
        for descriptor, text in ((slot.stdout, slot.outcome.stdout), (slot.stderr, slot.outcome.stderr)):
            while self._read(slot, job, descriptor, text) and slot.outcome.stopped != "output":
                pass


# -- starting processes ----------------------------------------------------------------------------------------------


class _Spawner(threading.Thread):
    """Starts zygotes. The kernel's parent-death signal follows the thread that forked, so this one never ends."""

    def __init__(self) -> None:
        super().__init__(name="grpo-kit-sandbox-spawner", daemon=True)
        self.orders: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.owner = os.getpid()

    def run(self) -> None:
        while True:
            command, descriptor, answer = self.orders.get()
            try:
                answer.put(
                    subprocess.Popen(
                        command,
                        pass_fds=[descriptor],
                        env=_ENVIRONMENT,
                        cwd="/",
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,
                        stderr=subprocess.PIPE,
                        start_new_session=True,
                    )
                )
            except OSError as error:
                answer.put(error)


_spawner: _Spawner | None = None
_spawner_lock = threading.Lock()


def _spawn(command: list[str], descriptor: int) -> subprocess.Popen[bytes]:
    global _spawner
    with _spawner_lock:
        if _spawner is None or _spawner.owner != os.getpid():
            _spawner = _Spawner()
            _spawner.start()
    answer: queue.SimpleQueue[Any] = queue.SimpleQueue()
    _spawner.orders.put((command, descriptor, answer))
    made = answer.get()
    if isinstance(made, OSError):
        raise SandboxError(f"cannot start {command[0]}: {made}")
    return made


def _make_scratch() -> str:
    """A folder for the backends without a tmpfs of their own; what dead processes left of theirs is removed."""
    base = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())
    prefix = "grpo-kit-sandbox-"
    for old in base.glob(prefix + "*"):
        owner = old.name.removeprefix(prefix).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            shutil.rmtree(old, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{prefix}{os.getpid()}-", dir=base)


def _disk_use(folder: str) -> tuple[int, int]:
    """(bytes, entries) below a folder, not following links."""
    size = count = 0
    for path, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        for name in files:
            with contextlib.suppress(OSError):
                size += os.lstat(os.path.join(path, name)).st_blocks * 512
        if count > 1_000_000:
            break
    return size, count


def _tasks_of_user(backend: str) -> int:
    """How many tasks count against the program's process limit before it starts any.

    In its own user namespace: the zygote and the children it keeps. Elsewhere the kernel counts all tasks of the user,
    wherever they are, so that the limit can only be their number now, with room for what the trainer may still start.
    """
    if backend == "namespaces":
        return 8
    user = 65534 if os.geteuid() == 0 else os.geteuid()
    count = 0
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if entry.stat().st_uid == user:
                    count += len(os.listdir(f"/proc/{entry.name}/task"))
    return count + 256


def killed_by(status: int) -> int | None:
    """The signal in a wait status."""
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


assert signal.SIGKILL == 9
