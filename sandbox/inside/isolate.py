"""Locking down: once for the warm interpreter, then a little more for each program it forks.

Namespaces. The zygote builds a root of its own (a tmpfs with read-only binds of the interpreter's library), leaves the
host's file system, becomes nobody, and enters new user, mount, pid, network, ipc and uts namespaces. Every program then
gets a pid and a mount namespace of its own with a fresh tmpfs, loses all capabilities and gains the system-call filter.

Landlock. No privileges and no namespaces: the same filter, Landlock for files, and one scratch folder per zygote.
"""

from __future__ import annotations

import contextlib
import functools
import os
import resource
import stat
from typing import Any

from . import kernel, seccomp

NOBODY = 65534
SCRATCH = "/tmp"
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_MOUNT_POINTS = ("/mnt", "/media", "/srv", "/opt", "/run", "/var/tmp", "/tmp")
_QUIET = kernel.MS_NOSUID | kernel.MS_NODEV
_PROC_FLAGS = _QUIET | kernel.MS_NOEXEC | kernel.MS_RDONLY
CAP_DAC_READ_SEARCH = 2


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _locked_flags(path: str) -> int:
    """Flags a bind mount must keep when it is remounted: a user namespace may not loosen them (mount(2), EPERM)."""
    found = os.statvfs(path).f_flag
    flags = found & (kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC | 1024 | 2048)  # the last: no(dir)atime
    return flags | (1 << 21 if found & 4096 else 0)  # ST_RELATIME and MS_RELATIME differ


def _bind(source: str, target: str, quiet: int = _QUIET) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "x"):
            pass
    try:
        kernel.mount(source, target, None, kernel.MS_BIND)
    except OSError:
        # A folder with mounts below it that this user namespace may not uncover can only be bound with them.
        kernel.mount(source, target, None, kernel.MS_BIND | kernel.MS_REC)
    flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | quiet | _locked_flags(target)
    kernel.mount(None, target, None, flags)


def _build_root(config: dict[str, Any]) -> None:
    busy = [*config["readable"], *(source for source, _ in config["packages"]), *DEVICES, "/proc"]
    base = next((m for m in _MOUNT_POINTS if os.path.isdir(m) and not any(_below(p, m) for p in busy)), None)
    if base is None:
        raise OSError(f"none of {', '.join(_MOUNT_POINTS)} is a folder that can be mounted over")
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    kernel.mount("tmpfs", base, "tmpfs", _QUIET, "mode=755,size=1m,nr_inodes=2k")
    os.umask(0o022)
    for path in config["readable"]:
        if not os.path.exists(base + path):  # below a folder that is bound already
            _bind(path, base + path)
    for path in config["hidden"]:
        kernel.mount("tmpfs", base + path, "tmpfs", _QUIET | kernel.MS_RDONLY, "mode=755,size=4k,nr_inodes=2")
    for source, target in config["packages"]:
        _bind(source, base + target)
    for path in DEVICES:
        with contextlib.suppress(FileNotFoundError):
            os.stat(path)
            _bind(path, base + path, quiet=kernel.MS_NOSUID)  # its mode and times are the host's; writing goes on
    for name, target in config["links"]:
        os.makedirs(os.path.dirname(base + name), exist_ok=True)
        if not os.path.lexists(base + name):
            os.symlink(target, base + name)
    for folder in ("proc", "tmp", "etc"):
        os.makedirs(f"{base}/{folder}", exist_ok=True)
    with open(f"{base}/etc/passwd", "w") as file:
        file.write(f"nobody:x:{NOBODY}:{NOBODY}:nobody:{SCRATCH}:/bin/false\n")
    # The kernel lets a user namespace mount procfs only while another procfs is in sight (mount_too_revealing).
    kernel.mount("/proc", f"{base}/proc", None, kernel.MS_BIND | kernel.MS_REC)
    kernel.enter_root(base)
    kernel.mount(None, "/", None, kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | _QUIET)


def become_nobody(keep: int = 0) -> None:
    if keep:
        kernel.prctl(kernel.PR_SET_KEEPCAPS, 1)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    kernel.drop_capabilities(keep)
    # Changing ids clears the flag, which would hand /proc/self to root and with it the id maps.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)


def enter_namespaces(config: dict[str, Any]) -> None:
    """Leave the host. Afterwards the next fork is the first process of a new pid namespace."""
    everything = (
        kernel.CLONE_NEWUSER | kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC
    ) | kernel.CLONE_NEWUTS
    as_root = os.geteuid() == 0
    if as_root:
        # Root builds the view while it can still read the interpreter's folder, whoever owns that.
        kernel.unshare(kernel.CLONE_NEWNS)
        _build_root(config)
        become_nobody()
    uid, gid = os.geteuid(), os.getegid()
    try:
        kernel.unshare(everything | kernel.CLONE_NEWCGROUP)  # /proc/self/cgroup then names no group of the host
    except OSError:
        kernel.unshare(everything)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{NOBODY} {uid} 1"),
        ("gid_map", f"{NOBODY} {gid} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    if not as_root:
        _build_root(config)
    kernel.libc.sethostname(b"sandbox", 7)


def first_process() -> tuple[int, bool]:
    """Finish the zygote inside its pid namespace: (handle of that namespace, whether procfs can be mounted)."""
    handle = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    has_proc = _mount_proc()
    if not has_proc:
        # Containers that mask parts of /proc cannot lend it; programs then see none.
        kernel.mount("tmpfs", "/proc", "tmpfs", _PROC_FLAGS, "size=4k,nr_inodes=2")
    for capability in range(64):
        if kernel.libc.prctl(kernel.PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break
    return handle, has_proc


def _mount_proc() -> bool:
    try:
        kernel.mount("proc", "/proc", "proc", _PROC_FLAGS, "subset=pid,hidepid=2")
    except OSError:
        return False
    return True


def enter_landlock(config: dict[str, Any]) -> int:
    """Files by Landlock, for the zygote and so for all it forks; root becomes nobody. Returns the capabilities kept."""
    keep = 0
    readable = [*config["readable"], *(source for source, _ in config["packages"])]
    if os.geteuid() == 0:
        with contextlib.suppress(OSError):  # in a container root may not: programs then see the host's name
            kernel.unshare(kernel.CLONE_NEWUTS)
            kernel.libc.sethostname(b"sandbox", 7)
        os.chown(config["scratch"], NOBODY, NOBODY)
        # An interpreter below a folder that only root may enter (/root/.pyenv) stays readable through this one
        # capability; Landlock confines it to the same paths.
        reachable = all(_world_readable(path) for path in readable)
        keep = 0 if reachable else 1 << CAP_DAC_READ_SEARCH
        become_nobody(keep)
    else:
        kernel.drop_capabilities()
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    devices = [d for d in DEVICES if os.path.exists(d)]
    # Each program takes a domain of its own inside this one, and by then these paths are out of its sight.
    config["rules"] = kernel.landlock_rules([], [], devices)
    everything = kernel.landlock_rules(readable, [config["scratch"]], devices)
    kernel.landlock(everything)
    for descriptor, _ in everything:
        os.close(descriptor)
    # The descriptors of one program are no file to another: /proc/PID/fd asks for the right to trace.
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)
    return keep


def _world_readable(path: str) -> bool:
    parts = path.split("/")
    parents = ["/".join(parts[:i]) or "/" for i in range(1, len(parts) + 1)]
    return all(os.stat(p).st_mode & (stat.S_IXOTH if os.path.isdir(p) else stat.S_IROTH) for p in parents)


def lock_down(profile: dict[str, Any], has_proc: bool) -> None:
    """The forked program's own part, before it has seen a job."""
    backend = profile["backend"]
    kernel.prctl(kernel.PR_SET_PDEATHSIG, 9)
    if backend == "namespaces":
        kernel.unshare(kernel.CLONE_NEWNS)
        size = f"mode=700,size={profile['disk_mb']}m,nr_inodes={profile['inodes']}"
        kernel.mount("tmpfs", SCRATCH, "tmpfs", _QUIET | kernel.MS_NOEXEC, size)
        if has_proc:
            kernel.mount("proc", "/proc", "proc", _PROC_FLAGS, "subset=pid")
    else:
        # A folder of its own: what a program leaves is removed when *it* ends, not when a neighbour does.
        os.mkdir(profile["scratch"], 0o700)
        os.environ["HOME"] = os.environ["TMPDIR"] = profile["scratch"]
    os.chdir(profile["scratch"])
    if backend == "none":
        return
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if backend == "landlock":
        own = kernel.landlock_rules([], [profile["scratch"]], [])
        kernel.landlock([*profile["rules"], *own], only_writing=True)
    kernel.set_capabilities(profile.get("keep", 0))
    kernel.install_filter(_filter(os.getpid(), profile["subprocesses"], backend == "landlock"))


@functools.cache
def _assembled(pid: int, subprocesses: bool, landlock: bool) -> bytes:
    return seccomp.program(kernel.MACHINE, pid, subprocesses, landlock)


def _filter(pid: int, subprocesses: bool, landlock: bool) -> bytes:
    """Assembled once, by the zygote (`warm_up`); where process ids differ the id is patched in."""
    if pid == 1:
        return _assembled(1, subprocesses, landlock)
    return seccomp.with_pid(_assembled(seccomp.ANY_PID, subprocesses, landlock), pid)


def warm_up(landlock: bool) -> None:
    kernel.prepare_filter(_settled())
    for subprocesses in (False, True):
        kernel.prepare_filter(_assembled(1, subprocesses, landlock))
        _assembled(seccomp.ANY_PID, subprocesses, landlock)


def set_limits(limits: dict[str, Any], base_memory: int, tasks: int, isolated: bool = True) -> None:
    """Resource limits of this process, for good; ``tasks`` is how many the same user already has."""
    mb = 1 << 20
    # A second line only: the kernel counts this one by clock ticks, which err by a fifth on a busy virtual machine. The
    # first is the trainer's, which reads the scheduler's own account (`worker`).
    cpu = int(limits["cpu_s"] * 1.5) + 2
    stack = min(limits["stack_mb"], limits["memory_mb"]) * mb
    for what, value in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, base_memory + limits["memory_mb"] * mb),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * mb),
        (resource.RLIMIT_NOFILE, limits["open_files"]),
        (resource.RLIMIT_NPROC, tasks + limits["processes"]),
        (resource.RLIMIT_STACK, stack),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            value = min(value, hard)
        # A program may raise its stack's, as many do that recurse: the address space bounds it.
        resource.setrlimit(what, (value, hard if what == resource.RLIMIT_STACK else value))
    if isolated:
        kernel.install_filter(_settled())


@functools.cache
def _settled() -> bytes:
    return seccomp.settled(kernel.MACHINE)
