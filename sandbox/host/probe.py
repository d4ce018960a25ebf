"""Which backends work on this machine, found by trying, with a way out for each that does not."""

from __future__ import annotations

import functools
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from ..inside import kernel
from ..wire.limits import Limits, SandboxError
from . import cgroup
from .jobs import Job
from .worker import Worker

ORDER = ("namespaces", "landlock")


@dataclass(frozen=True, slots=True)
class Probe:
    """One backend: whether it works here; if not, why, and what to enable."""

    backend: str
    works: bool
    detail: str
    fix: str = ""


@functools.cache
def _try(backend: str) -> Probe:
    """Start the backend and run a program in it."""
    if sys.platform != "linux" or not kernel.supported():
        detail = f"{sys.platform} on {kernel.MACHINE} is not supported"
        return Probe(backend, False, detail, "use Linux on x86_64, or a virtual machine with it")
    if backend == "landlock" and kernel.landlock_version() < 1:
        return Probe(backend, False, "this kernel has no Landlock", _LANDLOCK_FIX)
    worker = Worker(backend)
    try:
        worker.start()
        limits = Limits()
        message = {"mode": "script", "code": "import csv, os; print(os.getuid())", "limits": limits.as_dict()}
        (outcome,) = worker.execute([Job(message, limits)])
        if outcome.error or outcome.status != 0:
            words = outcome.error or outcome.stderr.decode(errors="replace")[-500:]
            return Probe(backend, False, f"a first program failed in it: {words.strip()}", _fix(backend, words))
        return Probe(backend, True, _detail(backend, worker))
    except SandboxError as error:
        return Probe(backend, False, str(error), _fix(backend, str(error)))
    finally:
        worker.close()


_LANDLOCK_FIX = "boot a kernel of 5.13 or later with Landlock in its lsm= list"


def _detail(backend: str, worker: Worker) -> str:
    if backend == "landlock":
        version = kernel.landlock_version()
        return (
            f"Landlock ABI {version}, seccomp, resource limits; weaker, so only by name: disk use is looked at every 50 ms "
            "and not bounded, names of files and numbers of processes of the host can be found out, and so can its name"
        )
    proc = "private /proc" if worker.has_proc else "no /proc (this container masks parts of it): no open('/dev/stdin')"
    return f"user, mount, pid, network, ipc and uts namespaces, seccomp, resource limits; {proc}"


def _fix(backend: str, words: str) -> str:
    if backend == "landlock":
        return _LANDLOCK_FIX
    hints = []
    for path, bad, fix in (
        ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=15000"),
        ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
        (
            "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0, or an AppArmor profile with `userns,` for python",
        ),
    ):
        if Path(path).exists() and Path(path).read_text().strip() == bad:
            hints.append(fix)
    if Path("/.dockerenv").exists() or "KUBERNETES_SERVICE_HOST" in os.environ:
        hints.append(
            "in a container: docker run --security-opt seccomp=unconfined (or a profile that allows unshare, mount and "
            "pivot_root), with --security-opt systempaths=unconfined for /proc"
        )
    return "; ".join(hints) or "see docs/sandbox.md, 'Where it runs'"


def probe() -> list[Probe]:
    """Every backend, strongest first, and cgroup v2. What `grpo-kit doctor` prints."""
    found = [_try(backend) for backend in ORDER]
    reason = cgroup.missing()
    detail = reason or "whole trees of processes can be limited: Limits(subprocesses=True) works"
    return [
        *found,
        Probe("cgroup v2", not reason, detail, "only needed for Limits(subprocesses=True)" if reason else ""),
    ]


def choose(backend: str) -> str:
    """The backend to use.

    Raises:
        SandboxError: it does not work here; with what to enable.
    """
    if backend == "none":
        return backend
    if backend != "auto" and backend not in ORDER:
        raise SandboxError(f"there is no sandbox backend {backend!r}; there are auto, {', '.join(ORDER)} and none")
    found = _try("namespaces" if backend == "auto" else backend)
    if found.works:
        return found.backend
    tried = [found]
    if backend == "auto":
        weaker = _try("landlock")
        if weaker.works:
            raise SandboxError(
                f"the namespaces sandbox does not work here: {found.detail}\n    way out: {found.fix}\n"
                "  landlock does, and holds less (docs/sandbox.md, 'Backends'): it is taken only where it is asked for, "
                "with backend='landlock' (in a recipe: `backend: landlock` among the verifier's parameters)."
            )
        tried.append(weaker)
    lines = "\n".join(f"  {t.backend}: {t.detail}\n    way out: {t.fix}" for t in tried)
    raise SandboxError(
        f"no way to isolate untrusted programs works here:\n{lines}\n"
        "  backend='none' runs them without isolation; only for programs you would run yourself."
    )
