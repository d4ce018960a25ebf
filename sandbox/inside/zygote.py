"""The warm interpreter: isolates itself, imports the usual modules, then forks one locked-down child per run.

It never sees a job: the trainer sends those straight to the child, over a socket that the zygote closes at once.
Started as a script with one inherited descriptor, the control socket; see `worker` for the other side.
"""

from __future__ import annotations

import collections
import contextlib
import gc
import importlib
import importlib.machinery
import json
import os
import select
import signal
import socket
import sys
import time
import types
from collections.abc import Collection, Iterable
from typing import Any

if __name__ == "__main__":
    # A script without a package: lend it one, so that it imports what `grpo_kit.sandbox` imports.
    _here = os.path.dirname(os.path.abspath(__file__))
    for _name, _folder in (("_grpo_kit_sandbox", os.path.dirname(_here)), ("_grpo_kit_sandbox.inside", _here)):
        sys.modules[_name] = types.ModuleType(_name)
        sys.modules[_name].__path__ = [_folder]
    __package__ = "_grpo_kit_sandbox.inside"

from . import child, isolate, kernel, scratch

STANDARD_MODULES = (
    *("abc", "array", "ast", "atexit", "bisect", "builtins", "calendar", "cmath", "collections", "collections.abc"),
    *("contextlib", "copy", "ctypes", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools"),
    *("hashlib", "heapq", "inspect", "io", "itertools", "json", "keyword", "linecache", "locale", "math", "numbers"),
    *("operator", "os", "os.path", "pprint", "queue", "random", "re", "reprlib", "shutil", "string", "struct"),
    *("statistics", "sys", "tempfile", "textwrap", "threading", "time", "traceback", "types", "typing", "unicodedata"),
    *("uuid", "warnings", "zlib"),
)


# Killing the first process of a namespace kills everything it started.
_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP, "continue": signal.SIGCONT}


class Zygote:
    def __init__(self, control: socket.socket, config: dict[str, Any]) -> None:
        self.control, self.config = control, config
        self.has_proc, self.pid_namespace = False, -1
        self.running: dict[int, tuple[int, int]] = {}  # descriptor of the process -> (slot, process id)
        self.poll = select.poll()
        self.poll.register(control, select.POLLIN)

    def prepare(self) -> None:
        backend = self.config["backend"]
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.config["parent"]:
            os._exit(0)  # the trainer died before the line above took effect
        if backend == "namespaces":
            isolate.enter_namespaces(self.config)
            self._fork_first_process()
            memory = os.open("/proc/self/statm", os.O_RDONLY)
            self.pid_namespace, self.has_proc = isolate.first_process()
        else:
            memory = os.open("/proc/self/statm", os.O_RDONLY)  # Landlock forbids to open it, not to read it
            if backend == "landlock":
                # Landlock grants whole trees, so that folders which are only partly visible cannot be listed. The
                # import system lists a folder once and keeps the names while its time stamp stays (FileFinder).
                for folder in self.config["imports"]:
                    importlib.machinery.PathFinder.find_spec("_grpo_kit_no_such_module", [folder])
                _find_only(source for source, _ in self.config["packages"])
                self.config["keep"] = isolate.enter_landlock(self.config)
        os.chdir(self.config["scratch"])
        os.environ.clear()
        os.environ.update(self.config["environment"])
        sys.path[:] = self.config["imports"]
        sys.dont_write_bytecode = True
        for name in (*STANDARD_MODULES, *self.config["preload"]):
            try:
                importlib.import_module(name)
            except ImportError as error:
                raise ImportError(f"cannot preload {name!r} inside the sandbox: {error}") from error
        child.prepare_interpreter()
        isolate.warm_up(backend == "landlock")
        gc.collect()
        self.config["address_space"] = int(os.pread(memory, 64, 0).split()[0]) * os.sysconf("SC_PAGE_SIZE")
        os.close(memory)
        gc.freeze()  # the collector of a child must not touch, and so copy, what it shares with its zygote

    def _fork_first_process(self) -> None:
        """Only a child of ours is in the new pid namespace, as its init: when it dies, all in it die."""
        inner = os.fork()
        if inner:
            self.control.close()
            with contextlib.suppress(OSError):
                kernel.drop_capabilities()
            _, status = os.waitpid(inner, 0)
            os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)

    def serve(self) -> None:
        while True:
            for descriptor, _ in self.poll.poll():
                if descriptor == self.control.fileno():
                    self._command()
                else:
                    self._ended(descriptor)

    def _command(self) -> None:
        message, descriptors, _, _ = socket.recv_fds(self.control, 4096, 8)
        if not message:
            os._exit(0)  # the trainer is gone
        command = json.loads(message)
        if command["do"] == "fork":
            self._fork(command, descriptors)
            return
        for slot, pid in self.running.values():
            if slot == command["slot"] and command["do"] in _SIGNALS:
                os.kill(pid, _SIGNALS[command["do"]])
            elif slot == command["slot"]:
                # The clock of another process has the id ~pid << 3 | 2 (CPUCLOCK_SCHED; clock_getcpuclockid(3)).
                self._send({"did": "cpu", "slot": slot, "cpu": time.clock_gettime(~pid << 3 | 2)})

    def _fork(self, command: dict[str, Any], descriptors: list[int]) -> None:
        try:
            if self.pid_namespace >= 0:
                # unshare is refused while an earlier one's namespace is pending (copy_pid_ns): go back first.
                kernel.setns(self.pid_namespace, kernel.CLONE_NEWPID)
                kernel.unshare(kernel.CLONE_NEWPID)
            pid = os.fork()
        except OSError as error:
            self._send({"did": "error", "slot": command["slot"], "error": f"fork: {error}"})
            pid = -1
        if pid == 0:
            profile = {**self.config, **command["profile"]}
            if self.config["backend"] != "namespaces":
                profile["scratch"] = f"{self.config['scratch']}/{command['slot']}"
            child.main(descriptors, profile, self.has_proc)
        for descriptor in descriptors:
            os.close(descriptor)
        if pid > 0:
            handle = os.pidfd_open(pid)
            self.running[handle] = (command["slot"], pid)
            self.poll.register(handle, select.POLLIN)

    def _ended(self, handle: int) -> None:
        slot, pid = self.running.pop(handle)
        self.poll.unregister(handle)
        os.close(handle)
        _, status, usage = os.wait4(pid, 0)
        if self.config["backend"] != "namespaces":
            # Folders of children that are still there, or wait for a job, are not this program's.
            scratch.empty(self.config["scratch"], frozenset(str(other) for other, _ in self.running.values()))
        cpu = usage.ru_utime + usage.ru_stime
        self._send({"did": "exit", "slot": slot, "status": status, "cpu": cpu, "rss_kb": usage.ru_maxrss})

    def _send(self, message: dict[str, Any]) -> None:
        self.control.send(json.dumps(message).encode())


class _Finder:
    """Of a folder of which only some packages can be read, finds these: others would be found, and fail when they are opened."""

    def __init__(self, finder: Any, names: Collection[str]) -> None:
        self._finder, self._names = finder, names
        self.invalidate_caches = finder.invalidate_caches

    def find_spec(self, name: str, target: Any = None) -> Any:
        return self._finder.find_spec(name, target) if name in self._names else None


def _find_only(packages: Iterable[str]) -> None:
    """Have the import system find these in the folders they are in, and nothing else there."""
    names = collections.defaultdict[str, set[str]](set)
    for path in packages:
        folder, name = os.path.split(path)
        names[folder].add(name.partition(".")[0])
    for folder, known in names.items():
        sys.path_importer_cache[folder] = _Finder(sys.path_importer_cache[folder], known)


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    config = json.loads(control.recv(1 << 20))
    zygote = Zygote(control, config)
    try:
        zygote.prepare()
    except BaseException as error:
        control.send(json.dumps({"did": "error", "slot": -1, "error": f"{type(error).__name__}: {error}"}).encode())
        os._exit(1)
    zygote._send({"did": "ready", "has_proc": zygote.has_proc})
    zygote.serve()


if __name__ == "__main__":
    main()
