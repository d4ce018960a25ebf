"""The system-call allow-list, assembled once into a BPF program.

Whatever is not listed fails with EPERM (or ENOSYS where libraries then fall back to an older call). Nothing is
answered with a kill: a program that probes for something forbidden is told no, and its own answer decides its verdict.

The program is a binary search over call numbers: the kernel walks it once for each of its ~450 calls when the filter is
attached (seccomp_cache_prepare), so that a linear list of 200 comparisons costs 0.75 ms per run and a tree 0.1 ms.
"""

from __future__ import annotations

import struct

from .syscalls import ALLOWED, FALL_BACK, NUMBERS, ONLY_X86_64, SUBPROCESSES

_LOAD, _EQUAL, _GREATER_EQUAL, _AND_SET, _AND, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
_ALLOW, _EPERM, _ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
_DONE, _EINVAL, _NOT_SUPPORTED = 0x00050000, 0x00050016, 0x0005005F  # the first: success, with nothing done
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

_O_TMPFILE = 0x400000
_STACK = 3  # RLIMIT_STACK

_NEW_NAMESPACES = 0x7E020080
_CLONE_THREAD = 0x00010000
ANY_PID = 0x7EADBEEF  # stands for the process id until `with_pid`; beyond any real id


def _instruction(code: int, k: int, jump_true: int = 0, jump_false: int = 0) -> bytes:
    if jump_true > 255 or jump_false > 255:
        raise ValueError("a BPF jump is longer than 255 instructions")
    return struct.pack("=HBBI", code, jump_true, jump_false, k & 0xFFFFFFFF)


def _answer(value: int) -> bytes:
    return _instruction(_RETURN, value)


def _argument(index: int, high: bool = False) -> bytes:
    return _instruction(_LOAD, 16 + 8 * index + (4 if high else 0))  # struct seccomp_data, little endian


def _one_of(index: int, values: tuple[int, ...], found: int = _ALLOW, otherwise: int = _EPERM) -> bytes:
    """Answer by whether the low 32 bits of an argument are among ``values`` (for int-sized arguments)."""
    tests = b"".join(_instruction(_EQUAL, v, len(values) - i) for i, v in enumerate(values))
    return _argument(index) + tests + _answer(otherwise) + _answer(found)


def _must_equal(index: int, value: int, mask: int | None = None, high: bool = False) -> bytes:
    """Fall through if the argument is ``value``, refuse otherwise."""
    masked = b"" if mask is None else _instruction(_AND, mask)
    return _argument(index, high) + masked + _instruction(_EQUAL, value, 1, 0) + _answer(_EPERM)


_CLOCKS = ("clock_gettime", "clock_getres", "clock_nanosleep")


def _fcntl() -> bytes:
    # Not F_SETOWN, F_SETSIG, F_SETOWN_EX (signals to others through a descriptor), not F_SETPIPE_SZ (memory), not
    # F_SETLEASE and F_NOTIFY (others' files); locks (F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW) as with flock.
    refused, locks = (8, 10, 15, 1031, 1024, 1026), (6, 7, 37, 38)
    tests = b"".join(_instruction(_EQUAL, v, len(refused) - i + len(locks)) for i, v in enumerate(refused))
    tests += b"".join(_instruction(_EQUAL, v, len(locks) - i + 1) for i, v in enumerate(locks))
    return _argument(1) + tests + _answer(_ALLOW) + _answer(_EPERM) + _answer(_DONE)


def _without_flag(index: int, flag: int, refusal: int) -> bytes:
    return _argument(index) + _instruction(_AND_SET, flag, 0, 1) + _answer(refusal) + _answer(_ALLOW)


def _landlock() -> dict[str, bytes]:
    """What Landlock has no right for, and would reach files of the host that belong to the same user.

    Modes and times are left as they are and said to be set: copying a file sets both, and honest programs copy files.
    """
    rules = {name: _answer(_DONE) for name in ("chmod", "fchmod", "fchmodat", "utimensat")}
    attributes = ("getxattr", "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr")
    rules |= {name: _answer(_NOT_SUPPORTED) for name in attributes}
    rules |= {name: _answer(_EINVAL) for name in ("readlink", "readlinkat")}
    # Space that no name in the scratch accounts for.
    rules["fallocate"] = _answer(_NOT_SUPPORTED)
    rules["open"] = _without_flag(1, _O_TMPFILE, _NOT_SUPPORTED)
    rules["openat"] = _without_flag(2, _O_TMPFILE, _NOT_SUPPORTED)
    return rules


def _conditional(pid: int, subprocesses: bool) -> dict[str, bytes]:
    """Calls that depend on their arguments."""
    allow = _answer(_ALLOW)
    no_new_namespaces = _argument(0) + _instruction(_AND_SET, _NEW_NAMESPACES, 0, 1) + _answer(_EPERM)
    threads_only = _instruction(_AND_SET, _CLONE_THREAD, 1, 0) + _answer(_EPERM)
    rules = {
        "clone": no_new_namespaces + (b"" if subprocesses else threads_only) + allow,
        # A connected pair of streams (AF_UNIX, SOCK_STREAM) cannot be pointed anywhere else; a pair of datagram
        # sockets could be: sendmsg takes an address.
        "socketpair": _must_equal(0, 1) + _must_equal(1, 1, mask=0xF) + allow,
        "sendto": _must_equal(4, 0) + _must_equal(4, 0, high=True) + allow,  # without an address it is send()
        "fcntl": _fcntl(),
        # Locks reach the host's own files and devices. Nobody else is in the scratch: there every lock succeeds anyway.
        "flock": _answer(_DONE),
        # For isatty, non-blocking mode and close-on-exec: TCGETS, TIOCGWINSZ, FIONBIO, FIOCLEX, FIONCLEX, FIONREAD.
        "ioctl": _one_of(1, (0x5401, 0x5413, 0x5421, 0x5451, 0x5450, 0x541B)),
        "prctl": _one_of(0, (15, 16)),  # thread names; not the parent-death signal, not dumpable
        "prlimit64": _one_of(0, (0,)),  # oneself; and then `settled`
        "seccomp": _must_equal(0, 1) + _must_equal(1, 0) + allow,  # for `settled`
        # Of others, who exists would be told.
        **{name: _one_of(0, (0, pid)) for name in ("getpgid", "getsid", "sched_getaffinity")},
        "getpriority": _one_of(1, (0, pid)),
        # A clock of another process has a negative id.
        **{name: _argument(0) + _instruction(_AND_SET, 1 << 31, 0, 1) + _answer(_EINVAL) + allow for name in _CLOCKS},
        "kill": _one_of(0, (pid,)),
        "tgkill": _one_of(0, (pid,)),  # raise() and pthread_kill()
    }
    if subprocesses:
        del rules["kill"], rules["tgkill"]
    return rules


def _search(leaves: list[tuple[int, bytes]]) -> bytes:
    """A tree over sorted (first number of a range, code that answers for the range)."""
    if len(leaves) == 1:
        return leaves[0][1]
    middle = len(leaves) // 2
    left, right = _search(leaves[:middle]), _search(leaves[middle:])
    return _instruction(_GREATER_EQUAL, leaves[middle][0], len(left) // 8, 0) + left + right


def program(machine: str, pid: int, subprocesses: bool = False, landlock: bool = False) -> bytes:
    """The filter for a program whose process has the id ``pid``; ``landlock``: where Landlock alone guards files."""
    numbers = NUMBERS[machine]
    allowed = " ".join(ALLOWED.values()) + (f" {SUBPROCESSES} tgkill" if subprocesses else "")
    by_name = {name: _answer(_ALLOW) for name in allowed.split()}
    by_name |= {name: _answer(_ENOSYS) for name in FALL_BACK.split()}
    by_name |= _conditional(pid, subprocesses) | (_landlock() if landlock else {})
    if machine != "x86_64":
        by_name = {name: answer for name, answer in by_name.items() if name not in ONLY_X86_64}
    answers = {numbers[name]: answer for name, answer in by_name.items()}
    denied = _answer(_EPERM)
    leaves: list[tuple[int, bytes]] = [(0, answers.get(0, denied))]
    # One past the last number everything is denied, the x32 calls (bit 30) with it.
    for number in range(1, max(answers) + 2):
        code = answers.get(number, denied)
        if code != leaves[-1][1] or len(code) > 8:
            leaves.append((number, code))
    tree = _search(leaves)
    # A 32-bit call (int 0x80) has other numbers, so its architecture is refused as a whole.
    wrong_architecture = _instruction(_LOAD, 4) + _instruction(_EQUAL, _AUDIT_ARCH[machine], 1, 0) + denied
    return wrong_architecture + _instruction(_LOAD, 0) + tree


def settled(machine: str) -> bytes:
    """A second filter, for when a program's limits are set: from then on they may be read, and only the stack's set.

    A program that lowers its CPU limit is killed as if by somebody else. Filters add up: this one only takes away.
    """
    numbers, allow, denied = NUMBERS[machine], _answer(_ALLOW), _answer(_EPERM)
    about_stack = _argument(1) + _instruction(_EQUAL, _STACK, 0, 1) + allow
    limits = about_stack + _must_equal(2, 0) + _must_equal(2, 0, high=True) + allow
    other = _instruction(_EQUAL, numbers["seccomp"], 0, 1) + denied + allow
    return _instruction(_LOAD, 0) + _instruction(_EQUAL, numbers["prlimit64"], 0, len(limits) // 8) + limits + other


def with_pid(assembled: bytes, pid: int) -> bytes:
    """A filter made for `ANY_PID`, for a process whose id is known only after the fork."""
    return assembled.replace(struct.pack("=I", ANY_PID), struct.pack("=I", pid))
