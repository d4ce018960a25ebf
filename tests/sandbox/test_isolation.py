"""What programs may not reach, leave behind, or bring about: by kind, in every backend."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path

import pytest

from grpo_kit.sandbox import Limits, Sandbox, SandboxError
from grpo_kit.sandbox.host import probe as probing
from grpo_kit.sandbox.host import spawn
from grpo_kit.sandbox.inside import isolate, scratch

from .spoiling_programs import CHECKS, RESULTS, SPOILING

# ruff: noqa: E501

SHORT = Limits(cpu_s=0.05, wall_s=2)
SPIN = "\nwhile True: pass\n"
_SET = "import resource as r\ntry: r.{}\nexcept (OSError, ValueError): pass" + SPIN
_SYSCALL = (
    "import ctypes, struct\nlibc = ctypes.CDLL(None, use_errno=True)\nbuf = struct.pack('QQ', {0}, {0})\nlibc.syscall({1})"
    + SPIN
)
_NEST = "import os\ntry:\n for _ in range({}):\n  os.mkdir('{}'); os.chdir('{}')\nexcept OSError: pass\n"
ABSTAIN = {
    "RLIMIT_CPU 0": _SET.format("setrlimit(r.RLIMIT_CPU, (0, 0))"),
    "RLIMIT_CPU 1": _SET.format("setrlimit(r.RLIMIT_CPU, (1, 1))"),
    "RLIMIT_CPU soft": _SET.format("setrlimit(r.RLIMIT_CPU, (0, 3))"),
    "prlimit": _SET.format("prlimit(0, r.RLIMIT_CPU, (1, 1))"),
    "RLIMIT_AS": _SET.format("setrlimit(r.RLIMIT_AS, (1, 1))"),
    "RLIMIT_NOFILE": _SET.format("setrlimit(r.RLIMIT_NOFILE, (0, 0))"),
    "RLIMIT_RTTIME": _SET.format("setrlimit(r.RLIMIT_RTTIME, (1, 1))"),
    "prlimit64 itself": _SYSCALL.format(0, "302, 0, 0, buf, None"),
    "setrlimit itself": _SYSCALL.format(0, "160, 0, buf"),
    "SIGXCPU ignored": "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)" + SPIN,
    "a filter of its own": "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.syscall(317, 1, 0, None)\nlibc.prctl(22, 1, 0, 0, 0)"
    + SPIN,
    "SIGKILL": "import os\nos.kill(os.getpid(), 9)",
    "SIGKILL to a thread": "import signal, threading\nsignal.pthread_kill(threading.get_ident(), 9)",
    "SIGILL": "import os\nos.kill(os.getpid(), 4)",
    "an illegal instruction": "import ctypes, mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\x0f\\x0b')\nctypes.CFUNCTYPE(None)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()",
    "every signal": "import os\nfor s in range(1, 65):\n try: os.kill(os.getpid(), s)\n except OSError: pass",
    "SIGSTOP": "import os\nos.kill(os.getpid(), 19)",
    "mode 000": "import os\nos.makedirs('a/b/c')\nopen('a/b/c/x', 'w').close()\nos.chmod('a/b', 0)\nos.chmod('a', 0)\nos.mkdir('q', 0)",
    "umask": "import os\nos.umask(0o777)\nos.mkdir('q')\nos.close(os.open('f', os.O_CREAT | os.O_WRONLY, 0))",
    "folders 990 deep": _NEST.format(990, "d", "d"),
    "paths longer than paths may be": _NEST.format(900, "d" * 200, "d" * 200),
    "names that are no text": "import os\nfor n in (b'\\xff\\xfe', b'a\\nb', b'-rf', b'*', b'\\x1b[2J', '\\u202e'.encode()):\n open(n, 'w').close()\n os.mkdir(n + b'd')",
    "links to everywhere": "import os\nos.symlink('/', 'root')\nos.symlink('.', 'loop')\nos.mkdir('d')\nos.symlink('../..', 'd/up')",
    "a pipe with a name": "import os\ntry: os.mkfifo('p')\nexcept OSError: pass",
    "names like ours": "import os\nfor i in range(9): os.makedirs(f'.left-{i}/.left-{i + 1}/x')",
    "everything closed": "import os\nos.closerange(0, 4096)",
    "the channel filled": "import os\nwhile True: os.write(100, b'[' * 65536)",
    "deep frames": "import os, struct\nb = b'[' * 60000 + b']' * 60000\nos.write(100, struct.pack('<I', len(b)) + b)",
    "a forged job": "import os, struct, json\nfor f in (['job'], ['hello'], ['sandbox_error', 'x'], ['gone', 0, 'x'], ['task', 'x']):\n b = json.dumps(f).encode()\n os.write(100, struct.pack('<I', len(b)) + b)",
    "the stack": "import ctypes\ndef f(): return f()\nimport sys\nsys.setrecursionlimit(10**9)\nf()",
    "an unending string": "class E(Exception):\n def __str__(s):\n  while True: pass\nraise E",
    "an exception without a name": "raise type('', (Exception,), {'__str__': lambda s: 3})",
    "memory": "x = []\nwhile True: x.append(bytes(1 << 24))",
    "threads": "import threading, time\nwhile True: threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
}


CLEAN = "import os\ndef f(x): return os.listdir('.')"


def called_off(sandbox, name, program, tests):
    """What was wrong with a program that must fail, leave nothing behind and cost the trainer nothing."""
    wrong, restarts, used = [], sandbox.restarts, time.process_time()
    result = sandbox.run_tests(program, tests, entry_point="f", limits=SHORT)
    if result.sandbox_error or result.passed or sandbox.restarts != restarts:
        wrong.append((name, result.verdict, result.reason, result.sandbox_error, sandbox.restarts - restarts))
    if time.process_time() - used > 5:
        wrong.append((name, "took the trainer's time"))
    (result.reason + result.stdout + result.stderr).encode()  # can be written
    if not sandbox.run_tests(CLEAN, ["assert f(1) == []"], entry_point="f").passed:
        wrong.append((name, "left something behind"))
    return wrong


def test_no_program_brings_an_abstention_about(sandbox):
    wrong = []
    for name, program in (ABSTAIN | SPOILING).items():
        if sandbox.backend == "namespaces":  # at once, and in a call that the referee makes
            wrong += called_off(sandbox, name, f"{program}\ndef f(x): return 2", ["assert f(1) == 1"])
        else:
            indented = "\n ".join(program.splitlines())
            wrong += called_off(sandbox, name, f"def f(x):\n {indented}\n return 2", ["x = f(1)\nassert x == 1"])
    assert not wrong


def test_no_result_costs_the_trainer(sandbox):
    checks = CHECKS if sandbox.backend == "namespaces" else [c.replace("assert ", "x = f(1)\nassert ") for c in CHECKS]
    wrong = [
        w for name, value in RESULTS.items() for w in called_off(sandbox, name, f"def f(x): return {value}", checks)
    ]
    assert not wrong


def test_what_breaks_the_sandbox_each_time_is_the_programs_failure(any_sandbox, monkeypatch):
    from grpo_kit.sandbox.host import classify
    from grpo_kit.sandbox.wire.limits import Broken

    def broken(*_):
        raise Broken("killed from elsewhere")

    monkeypatch.setattr(classify, "_by_signal", broken)
    result = any_sandbox.run_tests("import os\ndef f(): os.abort()", ["assert f() == 1"], entry_point="f")
    assert (result.verdict, result.sandbox_error) == ("signal", None)
    assert "3 times" in result.reason


# -- the host --------------------------------------------------------------------------------------------------------


@pytest.fixture
def owned():
    """A file on the host that belongs to whoever programs run as."""
    folder = Path(tempfile.mkdtemp(dir="/var/tmp"))
    folder.chmod(0o755)
    path = folder / "file"
    path.write_text("x")
    path.chmod(0o644)
    if os.geteuid() == 0:
        os.chown(path, isolate.NOBODY, isolate.NOBODY)
    yield path
    shutil.rmtree(folder)


TOUCH = """
import os
def go(path):
    import ctypes
    libc = ctypes.CDLL(None)
    p = path.encode()
    for act in (
        lambda: os.chmod(path, 0o777), lambda: os.utime(path, (1, 1)), lambda: os.chown(path, os.getuid(), os.getgid()),
        lambda: os.setxattr(path, 'user.x', b'1'), lambda: os.truncate(path, 0), lambda: os.rename(path, path + '2'),
        lambda: os.fchmod(os.open(path, os.O_PATH), 0o777), lambda: os.unlink(path), lambda: os.link(path, 'mine'),
        lambda: libc.syscall(90, p, 0o777), lambda: libc.syscall(268, -100, p, 0o777), lambda: libc.syscall(452, -100, p, 0o777, 0),
        lambda: libc.syscall(132, p, None), lambda: libc.syscall(235, p, None), lambda: libc.syscall(261, -100, p, None),
        lambda: libc.syscall(280, -100, p, None, 0), lambda: libc.syscall(92, p, 65534, 65534),
    ):
        try: act()
        except OSError: pass
    return 1
"""


def test_files_of_the_host_keep_their_modes_and_times(sandbox, owned):
    devices = [Path(d) for d in ("/dev/null", "/dev/zero", "/dev/urandom")]
    before = [(s.st_mode, s.st_mtime_ns, s.st_atime_ns, s.st_uid) for s in map(os.stat, [owned, *devices])]
    for path in [owned, *devices]:
        assert sandbox.run_tests(TOUCH, [f"assert go({str(path)!r}) == 1"], entry_point="go").passed
    assert [(s.st_mode, s.st_mtime_ns, s.st_atime_ns, s.st_uid) for s in map(os.stat, [owned, *devices])] == before


def test_devices_work(sandbox):
    code = "def f():\n open('/dev/null', 'w').write('x')\n return len(open('/dev/urandom', 'rb').read(5)) + len(open('/dev/zero', 'rb').read(2))"
    assert sandbox.run_tests(code, ["assert f() == 7"], entry_point="f").passed


def test_locks_reach_no_file_of_the_host(sandbox):
    library = os.__file__
    code = (
        "import fcntl, os, time\ndef f(paths):\n held = []\n for p in paths:\n  d = os.open(p, os.O_RDONLY)\n"
        "  fcntl.flock(d, fcntl.LOCK_EX | fcntl.LOCK_NB)\n  held.append(d)\n time.sleep(0.4)\n return len(held)"
    )
    import threading

    found = []
    thread = threading.Thread(
        target=lambda: found.append(
            sandbox.run_tests(code, [f"assert f({[library, '/dev/null']!r}) == 2"], entry_point="f")
        )
    )
    thread.start()
    refused = 0
    while thread.is_alive():
        for path in (library, "/dev/null"):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                refused += 1
            finally:
                os.close(descriptor)
    thread.join()
    assert found[0].passed, found[0]
    assert not refused


def test_databases_work_without_locks(sandbox):
    code = "import sqlite3\ndef f():\n d = sqlite3.connect('x.db')\n d.execute('create table t (a)')\n d.execute('insert into t values (3)')\n d.commit()\n return d.execute('select a from t').fetchall()"
    assert sandbox.run_tests(code, ["assert f() == [(3,)]"], entry_point="f").passed


def test_the_hosts_name_is_not_told(any_sandbox):
    code = "import os, platform, socket\ndef f(): return [platform.node(), platform.uname().node, os.uname().nodename, socket.gethostname()]"
    assert (
        any_sandbox.run_tests(code, ["assert set(f()) == {'sandbox'}"], entry_point="f").passed
        or socket.gethostname() == "sandbox"
    )
    code = "def f():\n try: return open('/proc/self/cgroup').read()\n except OSError: return ''"
    result = any_sandbox.run_tests(
        code, ["assert all(l.rpartition(':')[2] == '/' for l in f().split())"], entry_point="f"
    )
    assert result.passed, result.reason


@pytest.mark.parametrize(
    "call",
    [
        "os.getsid({})",
        "os.getpgid({})",
        "os.sched_getaffinity({})",
        "time.clock_gettime(~{} << 3 | 2)",
        "os.getpriority(0, {})",
    ],
)
def test_other_processes_are_not_told_of(sandbox, call):
    code = "import os, time\ndef f():\n found = 0\n for p in (1, os.getppid(), %d, *range(2, 60)):\n  if p in (0, os.getpid()): continue\n  try:\n   X\n   found += 1\n  except OSError: pass\n return found"
    code = (code % os.getpid()).replace("X", call.format("p"))
    result = sandbox.run_tests(code, ["assert f() == 0"], entry_point="f")
    assert result.passed, result.reason


def test_one_program_does_not_reach_into_another(sandbox):
    code = (
        "import os\ndef f():\n reached = 0\n me = os.getpid()\n for p in range(max(1, me - 400), me + 400):\n  if p == me: continue\n"
        "  for d in (0, 1, 2, 100):\n   for mode in (os.O_WRONLY, os.O_RDONLY):\n    try: os.open(f'/proc/{p}/fd/{d}', mode | os.O_NONBLOCK); reached += 1\n    except OSError: pass\n"
        "  try: open(f'/proc/{p}/mem', 'rb'); reached += 1\n  except OSError: pass\n return reached"
    )
    for _ in range(3):
        assert sandbox.run_tests(code, ["assert f() == 0", "x = f()\nassert x == 0"], entry_point="f").passed
    plant = "import os\ndef f():\n made = 0\n own = os.path.basename(os.getcwd())\n for n in range(200):\n  if str(n) == own: continue\n  for place in ('..', '../..'):\n   try: open(f'{place}/{n}/x', 'w'); made += 1\n   except OSError: pass\n   try: os.mkdir(f'{place}/{n}'); made += 1\n   except OSError: pass\n return made"
    assert sandbox.run_tests(plant, ["assert f() == 0"], entry_point="f").passed


def test_a_program_keeps_its_files_while_it_runs(sandbox):
    code = "import tempfile, time, os\ndef f():\n d = tempfile.mkdtemp()\n p = os.path.join(d, 'x')\n open(p, 'w').write('kept')\n time.sleep(0.8)\n return open(p).read()"
    assert sandbox.run_tests(code, ["assert f() == 'kept'"], entry_point="f").passed


def test_space_without_a_name_is_not_given(sandbox):
    code = "import os\ndef f():\n n = 0\n try:\n  for i in range(40):\n   d = os.open('.', os.O_TMPFILE | os.O_RDWR)\n   os.write(d, bytes(1 << 20)); n += 1\n except OSError: pass\n return n"
    assert sandbox.run_tests(code, ["assert f() <= 32"], entry_point="f").passed
    code = "import os\ndef f():\n d = os.open('x', os.O_CREAT | os.O_RDWR)\n try: os.posix_fallocate(d, 0, 1 << 30)\n except OSError: return 0\n return os.stat('x').st_blocks * 512"
    assert sandbox.run_tests(code, ["assert f() < 64 << 20"], entry_point="f").passed


# -- helpers of the host ---------------------------------------------------------------------------------------------


def test_scratch_folders_of_other_namespaces_are_left(tmp_path, monkeypatch):
    monkeypatch.setattr(spawn, "Path", lambda p: tmp_path if str(p) == "/dev/shm" else Path(p))
    own = os.stat("/proc/self/ns/pid").st_ino
    for name in (
        f"grpo-kit-sandbox-{own}-999999999-x",
        f"grpo-kit-sandbox-{own + 1}-999999999-x",
        "grpo-kit-sandbox-999999999-x",
    ):
        (tmp_path / name / "inner").mkdir(parents=True)
    made = spawn.make_scratch()
    assert sorted(p.name for p in tmp_path.iterdir() if str(p) != made) == [
        f"grpo-kit-sandbox-{own + 1}-999999999-x",
        "grpo-kit-sandbox-999999999-x",
    ]


def test_removing_needs_no_recursion_and_no_rights(tmp_path):
    where = os.open(tmp_path, os.O_RDONLY)
    for depth in range(3000):
        os.mkdir("d", 0o700, dir_fd=where)
        inner = os.open("d", os.O_RDONLY, dir_fd=where)
        if depth % 500 == 0:
            os.close(os.open("f", os.O_CREAT | os.O_WRONLY, 0, dir_fd=inner))
        os.chmod("d", 0o700, dir_fd=where)
        os.close(where)
        where = inner
    os.fchmod(where, 0)
    os.close(where)
    (tmp_path / "kept").mkdir()
    assert scratch.use(str(tmp_path))[2] is False  # deeper than anything an honest program makes
    scratch.empty(str(tmp_path), frozenset(["kept"]))
    assert [p.name for p in tmp_path.iterdir()] == ["kept"]
    scratch.remove(str(tmp_path))
    assert not tmp_path.exists()


def test_landlock_is_taken_only_by_name(monkeypatch):
    works = {"namespaces": False, "landlock": True}
    monkeypatch.setattr(probing, "_try", lambda b: probing.Probe(b, works[b], "detail", "enable it"))
    with pytest.raises(SandboxError, match="backend='landlock'"):
        Sandbox(backend="auto")
    assert probing.choose("landlock") == "landlock"
