"""The few Linux system calls that isolation needs and Python does not offer, through ctypes.

Nothing here knows about jobs. Every call raises OSError with the kernel's own errno.
"""

from __future__ import annotations

import ctypes
import functools
import os

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
CLONE_NEWCGROUP = 0x02000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_KEEPCAPS = 1, 4, 8
PR_SET_NAME, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 15, 24, 38, 47

# Numbers that differ between architectures. Landlock's are the same everywhere (added after the tables were unified).
_NUMBERS = {
    "x86_64": {"pivot_root": 155, "capset": 126, "seccomp": 317},
    "aarch64": {"pivot_root": 41, "capset": 91, "seccomp": 277},
}
MACHINE = os.uname().machine  # platform.machine() would keep the host's name where programs can read it
LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446

# Landlock file-system rights by the ABI version that brought them (linux/landlock.h).
FS_EXECUTE, FS_WRITE_FILE, FS_READ_FILE, FS_READ_DIR = 1, 2, 4, 8
_FS_RIGHTS = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_NET_TCP = 0b11  # ABI 4: bind and connect
_SCOPES = 0b11  # ABI 6: abstract unix sockets and signals stay inside the domain


def check(result: int, what: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def supported() -> bool:
    return MACHINE in _NUMBERS


def _call(name: str, *arguments: object) -> int:
    return check(libc.syscall(_NUMBERS[MACHINE][name], *arguments), name)


def unshare(flags: int) -> None:
    check(libc.unshare(flags), f"unshare({flags:#x})")


def setns(descriptor: int, kind: int) -> None:
    check(libc.setns(descriptor, kind), "setns")


def mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def encoded(text: str | None) -> bytes | None:
        return None if text is None else os.fsencode(text)

    result = libc.mount(encoded(source), encoded(target), encoded(kind), ctypes.c_ulong(flags), encoded(data))
    check(result, f"mount {kind or source} on {target}")


def enter_root(new_root: str) -> None:
    """Make ``new_root`` (a mount point) the root and drop every trace of the old one.

    pivot_root(".", ".") stacks the old root over the new one, so that no folder is needed to park it in
    (pivot_root(2), notes); detaching it leaves no path by which ``..`` or a chroot escape could lead out.
    """
    os.chdir(new_root)
    _call("pivot_root", b".", b".")
    check(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    os.chdir("/")


def unmount(target: str) -> None:
    check(libc.umount2(os.fsencode(target), MNT_DETACH), f"umount {target}")


def prctl(option: int, argument: int = 0, third: int = 0) -> None:
    result = libc.prctl(option, ctypes.c_ulong(argument), ctypes.c_ulong(third), ctypes.c_ulong(0), ctypes.c_ulong(0))
    check(result, f"prctl({option})")


def drop_capabilities(keep: int = 0) -> None:
    """Give up every capability except the bits of ``keep``, in all sets, for good.

    Even capabilities over one's own user namespace matter: they open mount, network and other kernel code that an
    unprivileged process never reaches. The bounding set goes first, because dropping from it needs CAP_SETPCAP.
    """
    for capability in range(64):
        if keep >> capability & 1:
            continue
        if libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) != 0:
            break  # EINVAL past the last capability; EPERM without CAP_SETPCAP: then there is nothing to drop
    libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(4), 0, 0, 0)  # PR_CAP_AMBIENT_CLEAR_ALL
    set_capabilities(keep)


def set_capabilities(keep: int) -> None:
    """Reduce the effective and permitted sets to the bits of ``keep``; nothing is inheritable."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    low, high = keep & 0xFFFFFFFF, keep >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable, twice
    _call("capset", header, data)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


@functools.lru_cache(maxsize=8)
def _assembled(program: bytes) -> tuple[_Program, ctypes.Array[ctypes.c_char]]:
    buffer = ctypes.create_string_buffer(program, len(program))
    return _Program(len(program) // 8, ctypes.addressof(buffer)), buffer


def prepare_filter(program: bytes) -> None:
    """Do what `install_filter` can do before a fork."""
    _assembled(program)


def install_filter(program: bytes) -> None:
    """Attach a seccomp filter (classic BPF, 8 bytes per instruction) to this thread and all it creates."""
    _call("seccomp", 1, 0, ctypes.byref(_assembled(program)[0]))  # SECCOMP_SET_MODE_FILTER


def landlock_version() -> int:
    """The kernel's Landlock ABI version; 0 where Landlock is missing or switched off."""
    version = libc.syscall(LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1)
    return max(0, version)


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


Rules = list[tuple[int, int]]  # (O_PATH descriptor, rights)


def landlock_rules(readable: list[str], writable: list[str], devices: list[str]) -> Rules:
    """Reading below ``readable``, everything below ``writable``, and ``devices``, with the paths held open.

    Rights that the running kernel does not know are left out, which `landlock_version` tells; the caller decides
    whether that is enough.
    """
    read = FS_READ_FILE | FS_READ_DIR
    device_rights = FS_READ_FILE | FS_WRITE_FILE
    wanted = [(p, read) for p in readable] + [(p, _rights()) for p in writable] + [(p, device_rights) for p in devices]
    rules = []
    for path, allowed in wanted:
        parent = os.open(path, os.O_PATH | os.O_CLOEXEC)
        if not os.path.isdir(path):
            allowed &= FS_READ_FILE | FS_WRITE_FILE | FS_EXECUTE | 1 << 14  # directory rights are EINVAL on a file
        rules.append((parent, allowed & _rights()))
    return rules


@functools.cache
def _rights() -> int:
    return sum(bits for since, bits in _FS_RIGHTS.items() if landlock_version() >= since)


def landlock(rules: Rules, only_writing: bool = False) -> None:
    """Deny every file access (or ``only_writing``) but that of the rules, and signals to and tracing of others.

    May be done again, for less. Needs PR_SET_NO_NEW_PRIVS.
    """
    version = landlock_version()
    handled = _rights() & ~(FS_READ_FILE | FS_READ_DIR | FS_EXECUTE) if only_writing else _rights()
    ruleset = _Ruleset(handled, _NET_TCP if version >= 4 else 0, _SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    handle = check(
        libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(ruleset), ctypes.c_size_t(size), 0), "landlock ruleset"
    )
    for parent, allowed in rules:
        rule = _PathRule(allowed & handled, parent)
        check(libc.syscall(LANDLOCK_ADD_RULE, handle, 1, ctypes.byref(rule), 0), "landlock rule")
    check(libc.syscall(LANDLOCK_RESTRICT_SELF, handle, 0), "landlock_restrict_self")
    os.close(handle)
