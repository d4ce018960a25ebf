"""The system-call filter, by interpreting the assembled program."""

from __future__ import annotations

import struct

import pytest

from grpo_kit.sandbox.inside import seccomp
from grpo_kit.sandbox.inside.syscalls import ALLOWED, NUMBERS

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
