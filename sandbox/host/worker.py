"""The trainer's side of one zygote: start it, keep a child ready, run jobs, account for every descriptor.

One thread at a time uses a `Worker`. Whatever a program does reaches this side only as bytes on pipes (bounded), as
frames on a socket (bounded, decoded by `codec`) and as an exit report that the zygote takes from the kernel.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from ..inside import scratch
from ..wire.limits import Broken, Limits, SandboxError
from . import view
from .cgroup import Cgroup
from .jobs import Job, Outcome, Slot
from .run import Run
from .spawn import ENVIRONMENT, make_scratch, spawn, tasks_of_user

START_SECONDS = 60.0
_FRESH_SECONDS = 0.1  # how long a child forked ahead is used; it leaves after child.IDLE_SECONDS


class ZygoteLost(Broken):
    """The zygote ended under a run: the run is repeated, not scored."""


class ChildLeft(SandboxError):
    """The child left before it took its job, having waited too long for one: the run is repeated."""


class Worker:
    """One zygote and its children."""

    def __init__(self, backend: str, preload: tuple[str, ...] = ()) -> None:
        self.backend, self.preload = backend, preload
        self.process: subprocess.Popen[bytes] | None = None
        self.control: socket.socket | None = None
        self.numbers = itertools.count()
        self.slots: dict[int, Slot] = {}
        self.ready: list[Slot] = []
        self.last_run = -_FRESH_SECONDS
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
            self.scratch = make_scratch()
        config = {
            "backend": self.backend,
            "parent": os.getpid(),
            "preload": list(self.preload),
            "scratch": self.scratch or "/tmp",
            "environment": {**ENVIRONMENT, "HOME": self.scratch or "/tmp", "TMPDIR": self.scratch or "/tmp"},
            "tasks": tasks_of_user(self.backend),
            **view.describe(self.preload, self.backend),
        }
        flags = ["-S", "-s", "-P", "-B", "-X", "utf8"]
        script = str(Path(__file__).parents[1] / "inside" / "zygote.py")
        command = [sys.executable, *flags, script, str(theirs.fileno())]
        try:
            self.process = spawn(command, theirs.fileno())
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
            scratch.remove(self.scratch)
            self.scratch = None
        if self.cgroup is not None:
            self.cgroup.close()
            self.cgroup = None

    # -- children ----------------------------------------------------------------------------------------------------

    def _profile(self, limits: Limits) -> tuple[Any, ...]:
        return (limits.disk_mb, limits.inodes, limits.subprocesses)

    def _order(self, profile: tuple[Any, ...]) -> Slot:
        assert self.control is not None
        slot = Slot(next(self.numbers), profile)
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

    def _take(self, profile: tuple[Any, ...]) -> Slot:
        assert self.control is not None
        while select.select([self.control], [], [], 0)[0]:
            self.read_report()
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
            run = Run(self, list(zip(slots, jobs, strict=True)))
            run.begin()
            # Where runs are far apart (or the machine is busy with something else) it would leave before it is used.
            follows, self.last_run = run.started - self.last_run < _FRESH_SECONDS, run.started
            if follows and not self.ready:
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

    def kill(self, slot: Slot) -> None:
        assert self.control is not None
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"do": "kill", "slot": slot.number}).encode())

    def ask_cpu(self, slot: Slot) -> None:
        assert self.control is not None
        with contextlib.suppress(OSError):
            self.control.send(json.dumps({"do": "cpu", "slot": slot.number}).encode())

    def read_report(self) -> None:
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

    def admit(self, slot: Slot, limits: Limits) -> None:
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
