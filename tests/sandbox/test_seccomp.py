"""The system-call filter, by interpreting the assembled program."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from grpo_kit.sandbox.inside import seccomp
from grpo_kit.sandbox.inside.syscalls import ALLOWED, NUMBERS, ONLY_X86_64

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x50001, 0x50026
X86_64 = 0xC000003E


def answer(program: bytes, number: int, *arguments: int, architecture: int = X86_64) -> int:
    """What the kernel would do with one call: classic BPF over struct seccomp_data."""
    data = struct.pack("<IIQ6Q", number, architecture, 0, *(list(arguments) + [0] * 6)[:6])
    position = accumulator = 0
    while True:
        code, jump_true, jump_false, k = struct.unpack_from("<HBBI", program, 8 * position)
        position += 1
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, k)
        elif code == 0x54:
            accumulator &= k
        elif code == 0x06:
            return k
        else:
            holds = {0x15: accumulator == k, 0x35: accumulator >= k, 0x45: bool(accumulator & k)}[code]
            position += jump_true if holds else jump_false


FILTER = seccomp.program("x86_64", 1)
CALLS = NUMBERS["x86_64"]


def test_every_number_gets_its_answer():
    conditional = set(seccomp._conditional(1, False))
    allowed = {CALLS[name] for group in ALLOWED.values() for name in group.split()}
    known = {number: name for name, number in CALLS.items()}
    for number in (*range(600), 0x40000000, 0x40000001, 0xFFFFFFFF):
        if known.get(number) in conditional:
            continue
        expected = ALLOW if number in allowed else EPERM
        if known.get(number) in (
            "clone3",
            "openat2",
            "pidfd_open",
            "io_uring_setup",
            "io_uring_enter",
            "io_uring_register",
        ):
            expected = ENOSYS
        assert answer(FILTER, number) == expected, number


def test_foreign_architectures_are_refused():
    assert answer(FILTER, CALLS["read"], architecture=0x40000003) == EPERM


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("kill", (1, 9), ALLOW),
        ("kill", (2, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("kill", (0xFFFFFFFFFFFFFFFF, 9), EPERM),
        ("tgkill", (1, 5, 6), ALLOW),
        ("tgkill", (7, 7, 6), EPERM),
        ("clone", (0x11,), EPERM),  # fork
        ("clone", (0x3D0F00,), ALLOW),  # pthread_create
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),  # with a new user namespace
        ("socketpair", (1, 1, 0), ALLOW),
        ("socketpair", (1, 0x80801, 0), ALLOW),
        ("socketpair", (1, 2, 0), EPERM),
        ("socketpair", (2, 1, 0), EPERM),
        ("sendto", (3, 4, 5, 0, 0), ALLOW),
        ("sendto", (3, 4, 5, 0, 0x7F0000000000), EPERM),
        ("fcntl", (3, 3), ALLOW),
        ("fcntl", (3, 8), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),  # TIOCSTI
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), EPERM),
        ("prlimit64", (0, 3), ALLOW),
        ("prlimit64", (7, 3), EPERM),
    ],
)
def test_arguments(name, arguments, expected):
    assert answer(FILTER, CALLS[name], *arguments) == expected


def test_the_process_id_can_be_patched_in():
    patched = seccomp.with_pid(seccomp.program("x86_64", seccomp.ANY_PID), 4321)
    assert patched == seccomp.program("x86_64", 4321)


def test_subprocesses_may_fork_but_not_leave():
    program = seccomp.program("x86_64", 1, subprocesses=True)
    for name in ("fork", "execve", "kill", "tgkill"):
        assert answer(program, CALLS[name], 12345) == ALLOW
    assert answer(program, CALLS["clone"], 0x11) == ALLOW
    assert answer(program, CALLS["clone"], 0x11 | 0x20000) == EPERM
    assert answer(program, 272) == EPERM  # unshare


AARCH64 = 0xC00000B7
HEADER = Path("/usr/include/asm-generic/unistd.h")


def test_aarch64_has_the_same_filter_under_its_own_numbers():
    numbers = NUMBERS["aarch64"]
    for landlock in (False, True):
        ours, theirs = (seccomp.program(m, 1, landlock=landlock) for m in ("aarch64", "x86_64"))
        for name, number in numbers.items():
            for arguments in ((), (1, 1, 1), (0x3D0F00,), (0, 0, 0x400000)):
                found = answer(ours, number, *arguments, architecture=AARCH64)
                assert found == answer(theirs, CALLS[name], *arguments), name
        assert answer(ours, numbers["read"]) == EPERM  # of another architecture
        known = set(numbers.values())
        assert all(answer(ours, n, architecture=AARCH64) == EPERM for n in range(600) if n not in known)
    assert set(numbers) == set(CALLS) - ONLY_X86_64


@pytest.mark.skipif(not HEADER.exists(), reason="the kernel's generic header is not here (linux-libc-dev)")
def test_aarch64s_numbers_are_those_of_the_kernels_headers():
    found = dict(re.findall(r"#define __NR(?:3264)?_(\w+) (\d+)", HEADER.read_text()))
    other = {"newfstatat": "fstatat"}  # the generic name of the same call
    wrong = {n: v for n, v in NUMBERS["aarch64"].items() if int(found.get(other.get(n, n), -1)) != v}
    assert not wrong


def test_limits_are_fixed_once_they_are_set():
    settled = seccomp.settled("x86_64")
    for resource in range(16):
        assert answer(settled, CALLS["prlimit64"], 0, resource, 0, 4096) == ALLOW  # to read
        for new in (4096, 0x7F0000000000):
            expected = ALLOW if resource == 3 else EPERM
            assert answer(settled, CALLS["prlimit64"], 0, resource, new) == expected
    assert answer(settled, CALLS["seccomp"], 1, 0) == EPERM
    assert answer(settled, CALLS["read"]) == ALLOW


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("chmod", (), 0x50000),
        ("fchmod", (), 0x50000),
        ("fchmodat", (), 0x50000),
        ("utimensat", (), 0x50000),
        ("getxattr", (), 0x5005F),
        ("readlink", (), 0x50016),
        ("fallocate", (), 0x5005F),
        ("openat", (0, 0, 0x410002), 0x5005F),
        ("openat", (0, 0, 2), ALLOW),
        ("open", (0, 0x410002), 0x5005F),
    ],
)
def test_what_landlock_has_no_right_for(name, arguments, expected):
    assert answer(seccomp.program("x86_64", 1, landlock=True), CALLS[name], *arguments) == expected
    assert answer(FILTER, CALLS[name], *arguments) == ALLOW


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("flock", (), 0x50000),
        ("fcntl", (3, 6), 0x50000),
        ("fcntl", (3, 38), 0x50000),
        ("fcntl", (3, 5), ALLOW),
        ("fcntl", (3, 1024), EPERM),
        ("fcntl", (3, 1031), EPERM),
        ("getsid", (0,), ALLOW),
        ("getsid", (1,), ALLOW),
        ("getsid", (2,), EPERM),
        ("getpriority", (0, 7), EPERM),
        ("clock_gettime", (2,), ALLOW),
        ("clock_gettime", (0xFFFFFFFA,), 0x50016),
    ],
)
def test_others_are_not_told_of(name, arguments, expected):
    assert answer(FILTER, CALLS[name], *arguments) == expected
