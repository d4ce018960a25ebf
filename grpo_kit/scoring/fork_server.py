"""The process that workers are forked from.

It imports what workers run once and forks a worker in milliseconds, so that replacing one that was killed costs neither a
Python start nor those imports. It runs none of it itself and has one thread. As a subreaper it inherits
every process that a dead worker leaves behind, and ends it. When the trainer goes away, however that happens, the
control channel closes: it then ends all workers and removes the pool's folder.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pickle
import select
import shutil
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .channel import receive_exactly
from .confine import confine

COMMAND = struct.Struct("<cxxxi")
SPAWN, KILL, LOAD, WARM = b"s", b"k", b"l", b"w"
FAULT_LIMIT = 4_000
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36


def main(control_fd: int) -> None:
    control = socket.socket(fileno=control_fd)
    control.set_inheritable(False)
    fork_server = ForkServer(control)
    try:
        fork_server.serve()
    except (BrokenPipeError, ConnectionResetError):
        pass  # the trainer is gone
    finally:
        fork_server.finish()
    os._exit(0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class ForkServer:
    def __init__(self, control: socket.socket) -> None:
        self.control = control
        self.workers: dict[int, int] = {}  # pid -> worker id
        self.folder: Path | None = None  # the pool's; not known before the first message
        self.memory_mb = 0
        self.serve_worker: Callable[[socket.socket, int], None] | None = None
        _prctl(PR_SET_CHILD_SUBREAPER, 1)

    def serve(self) -> None:
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        poller = select.poll()
        poller.register(wake_read, select.POLLIN)
        poller.register(self.control, select.POLLIN)
        while True:
            for descriptor, _ in poller.poll():
                if descriptor == wake_read:
                    os.read(wake_read, 65536)
                    self._reap()
                elif not self._obey():
                    return

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self.control, COMMAND.size, 2)
        if not data:
            return False
        while len(data) < COMMAND.size:
            data += self.control.recv(COMMAND.size - len(data))
        command, number = COMMAND.unpack(data)
        if command == SPAWN:
            self._spawn(number, *descriptors)
        elif command == KILL:
            for pid, known in self.workers.items():
                if known == number:
                    os.kill(pid, signal.SIGKILL)
        else:
            message = pickle.loads(receive_exactly(self.control, number) or b"")
            if command == WARM:
                sys.path[:], self.memory_mb = message["path"], message["memory_mb"]
                self.folder = Path(message["folder"])
                module, _, function = message["serve"].partition(":")
                self.serve_worker = getattr(importlib.import_module(module), function)
            self._load(message["addresses"])
        return True

    def _load(self, addresses: list[Any]) -> None:
        for address in addresses:
            try:
                address.resolve()
            except BaseException:
                self._tell(failed=address.name, traceback=traceback.format_exc(limit=-20)[-8_000:])
                return
        gc.collect()
        gc.freeze()  # the collector of a worker leaves these pages shared
        self._tell(ready=len(_threads()))

    def _spawn(self, number: int, channel_fd: int, heartbeat_fd: int) -> None:
        pid = os.fork()
        if pid:
            self.workers[pid] = number
            os.close(channel_fd)
            os.close(heartbeat_fd)
            return
        try:
            _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            signal.set_wakeup_fd(-1)
            self.control.close()
            assert self.folder is not None
            confine(self.folder / f"worker-{number}", self.memory_mb)
            assert self.serve_worker is not None
            self.serve_worker(socket.socket(fileno=channel_fd), heartbeat_fd)
        except BaseException:
            assert self.folder is not None
            (self.folder / f"worker-{number}.fault").write_text(traceback.format_exc())
        finally:
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            number = self.workers.pop(pid, None)
            if number is not None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(pid, signal.SIGKILL)
                self._bury(number, status)
            self._end_orphans()

    def _bury(self, number: int, status: int) -> None:
        assert self.folder is not None
        fault = self.folder / f"worker-{number}.fault"
        with contextlib.suppress(FileNotFoundError):
            text = fault.read_bytes()[:FAULT_LIMIT].decode(errors="replace")
            fault.unlink()
            shutil.rmtree(self.folder / f"worker-{number}", ignore_errors=True)
            self._tell(died=number, status=status, fault=text)
            return
        self._tell(died=number, status=status, fault="")

    def _end_orphans(self) -> None:
        for pid in _children():
            if pid not in self.workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def finish(self) -> None:
        """End every process below this one and remove the pool's folder."""
        signal.set_wakeup_fd(-1)
        while True:
            for pid in _children() or list(self.workers):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                break
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if pid in self.workers:
                    os.killpg(pid, signal.SIGKILL)
            self.workers.pop(pid, None)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _tell(self, **message: Any) -> None:
        self.control.sendall(json.dumps(message).encode() + b"\n")


def _threads() -> list[str]:
    try:
        return os.listdir("/proc/self/task")
    except OSError:
        return ["main"]


def _children() -> list[int]:
    """Processes whose parent is this one; empty where /proc cannot tell."""
    try:
        text = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
        return [int(pid) for pid in text.split()]
    except OSError:
        return _children_by_scan()


def _children_by_scan() -> list[int]:
    found = []
    own = os.getpid()
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            # the name in parentheses may hold anything, spaces and parentheses too
            if int(entry.read_text().rpartition(")")[2].split()[1]) == own:
                found.append(int(entry.parent.name))
    return found
