"""Ways to be paid without working, to look out, to break out and to break the sandbox: by class, not by program.

Each program is small and bounded, and is run inside the sandbox only.
"""

from __future__ import annotations

import importlib.util
import json
import os
from pathlib import Path

import pytest

from grpo_kit.sandbox import Limits

from .attack_adapter import run as run_record

LIMITS = Limits(wall_s=3, cpu_s=0.6, processes=16)
TESTS = ["assert add(1, 2) == 3", "assert add(10, -4) == 6", "assert add(0, 0) == 0"]
SCRIPT = ["x = area(2)\nassert abs(x - 12.566) < 1e-3", "x = area(1)\nassert x > 3", "x = area(1)\nassert x == 3.1415"]
IF_OK = "\ndef add(a, b):\n    return a + b if OK else None\n"
CORPUS = Path(os.environ.get("GRPO_KIT_DATA", "../shared/data")) / "attacks_dev.jsonl"

REWARD = {
    "exit at import": "import os\nos._exit(0)",
    "raise SystemExit in the function": "def add(a, b): raise SystemExit(0)",
    "exit from a thread": "import threading, os, time\ndef add(a, b):\n threading.Thread(target=os._exit, args=(0,)).start()\n time.sleep(1)",
    "raise AssertionError": "def add(a, b): raise AssertionError",
    "an int that equals everything": "class I(int):\n def __eq__(s, o): return True\n __hash__ = int.__hash__\ndef add(a, b): return I(5)",
    "an int that converts": "class I(int):\n def __int__(s): return 3\n def __index__(s): return 3\ndef add(a, b): return I(99)",
    "an object that equals everything": "class X:\n def __eq__(s, o): return True\ndef add(a, b): return X()",
    "a class that equals everything": "class M(type):\n def __eq__(s, o): return True\n __hash__ = type.__hash__\nclass X(metaclass=M): pass\ndef add(a, b): return X",
    "patched builtins": "import builtins\nbuiltins.abs = lambda x: 0\nbuiltins.isinstance = lambda *a: True\ndef add(a, b): return -1",
    "forged replies": "import os, struct, json\ndef add(a, b):\n for i, v in enumerate((3, 6, 0)):\n  j = json.dumps(['value', i, v]).encode()\n  os.write(100, struct.pack('<I', len(j)) + j)",
    "noise on the channel": "import os\ndef add(a, b):\n os.write(100, b'\\xff' * 64)\n return a + b",
    "a forged sandbox failure": "import os, struct, json\nj = json.dumps(['sandbox_error', 'x']).encode()\nos.write(100, struct.pack('<I', len(j)) + j)\nos._exit(0)",
    "broken codec": "import sys\nfor m in list(sys.modules.values()):\n if getattr(m, '__name__', '').endswith('codec'): m.to_bytes = None\ndef add(a, b): return a + b",
    "reading the caller's frames": "import sys\ndef add(a, b):\n f = sys._getframe(); t = ''\n while f: t += repr(f.f_locals)[:9999]; f = f.f_back\n return 3 if '== 3' in t or 'expected' in t else None",
    "scanning the heap": "import gc\ndef add(a, b):\n for o in gc.get_objects():\n  if isinstance(o, dict):\n   for v in list(o.values()):\n    if isinstance(v, str) and f'add({a}, {b}) ==' in v: return int(v.split('==')[1])",
    "descriptors replaced": "import os\ndef add(a, b):\n n = os.open('/dev/zero', os.O_RDWR)\n for i in range(128):\n  try: os.dup2(n, i)\n  except OSError: pass\n return a + b + 1",
    "everything closed": "import os\nos.closerange(0, 200)\ndef add(a, b): return a + b + 1",
    "a forked guess": "import os\ndef add(a, b):\n for guess in range(9):\n  try:\n   if os.fork() == 0: return guess\n  except OSError: pass",
}
REFEREED = {
    "operators that answer": "class W:\n def _s(s, *a): return s\n __sub__ = __rsub__ = __abs__ = _s\n def __lt__(s, o): return True\n __gt__ = __eq__ = __lt__\ndef area(r): return W()",
    "a class in place of the function": "class area:\n def __init__(s, r): pass\n def __sub__(s, o): return 0.0\n def __abs__(s): return 0.0\n def __gt__(s, o): return True\n def __eq__(s, o): return True",
    "numbers on demand": "class W:\n def __float__(s): return 3.1415\n def __index__(s): return 3\ndef area(r): return W()",
    "the referee's link closed": "import os\ndef area(r): os.closerange(3, 200)",
    "noise to the referee": "import os\ndef area(r):\n for fd in range(3, 128):\n  try: os.write(fd, b'\\x05\\0\\0\\0[1,2]')\n  except OSError: pass",
    "an endless iterator": "class W:\n def __getattr__(s, n): return s\n def __iter__(s): return s\n def __next__(s): return 1\ndef area(r): return W()",
}
LOOKING_OUT = {
    "sockets": "import socket\nOK = False\nfor family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):\n for kind in (1, 2):\n  try: socket.socket(family, kind); OK = True\n  except OSError: pass",
    "datagram pairs": "import socket\nOK = False\ntry: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); OK = True\nexcept OSError: pass",
    "other processes": "import os\nme, OK = os.getpid(), False\nfor p in [-1, 0, *range(1, 3000), os.getppid()]:\n if p == me: continue\n try: os.kill(p, 0); OK = True\n except OSError: pass",
    "home and system files": "import os\nOK = False\nfor p in ('/etc/shadow', '/root/.ssh', '/root/.bashrc', '/home', '/proc/1/environ', '/sys/kernel', '/proc/sys/kernel', '/dev/kmsg', '/dev/vda', '/dev/mem'):\n try: OK = OK or (len(os.listdir(p)) > 0 if os.path.isdir(p) else b'HOSTNAME' in open(p, 'rb').read(4096))\n except OSError: pass",
    "writing outside": "import os\nOK = False\nfor p in ('/x', '/etc/x', '/usr/x', '/var/tmp/x', os.path.dirname(os.__file__) + '/x.py', '/dev/x', '/proc/self/oom_score_adj', '/proc/self/comm', '../x', '../../x'):\n try:\n  f = open(p, 'w'); OK = not os.path.abspath(p).startswith('/tmp') or OK\n except OSError: pass",
    "inherited descriptors": "import os, stat\nOK = False\nfor fd in range(3, 1024):\n try:\n  if not stat.S_ISSOCK(os.fstat(fd).st_mode): OK = True\n except OSError: pass",
    "kernel interfaces": "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nOK = any(libc.syscall(n, *([0] * 6)) >= 0 for n in (101, 155, 165, 166, 169, 246, 248, 250, 272, 298, 304, 308, 310, 317, 319, 321, 323, 425, 428, 444, 448))",
    "capabilities": "OK = False\ntry:\n OK = any(int(l.split()[1], 16) for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapPrm', 'CapBnd')))\nexcept OSError: pass",
    "raising limits": "import resource as r\nOK = False\nfor what in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE):\n try: r.setrlimit(what, (-1, -1)); OK = True\n except (OSError, ValueError): pass",
    "programs": "import os, subprocess\nOK = False\nfor c in (['/bin/sh', '-c', 'true'], ['true'], [os.sys.executable, '-V']):\n try: subprocess.run(c); OK = True\n except OSError: pass",
    "memory beside the limit": "import os, mmap\nn, keep = 0, []\ntry:\n for _ in range(64): keep.append(mmap.mmap(-1, 16 << 20)); keep[-1].write(bytes(16 << 20)); n += 1\nexcept (OSError, MemoryError, ValueError): pass\nOK = n >= 48 or hasattr(os, 'memfd_create') and False",
    "threads without end": "import threading, time\nn = 0\ntry:\n for _ in range(2000): threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1\nexcept RuntimeError: pass\nOK = n > 1000",
    "a sparse giant": "import os\nOK = False\ntry: os.ftruncate(os.open('s', os.O_CREAT | os.O_RDWR), 1 << 40); OK = True\nexcept OSError: pass",
}
BREAKING = {
    "a return value too deep": ("def add(a, b):\n x = []\n for _ in range(100000): x = [x]\n return x", {"fail"}),
    "a return value in itself": ("def add(a, b):\n x = []; x.append(x)\n return x", {"fail"}),
    "a number too long": ("def add(a, b): return 1 << (1 << 26)", {"fail", "output_limit"}),
    "signals ignored": (
        "import signal\nfor s in range(1, 65):\n try: signal.signal(s, signal.SIG_IGN)\n except (OSError, ValueError): pass\nwhile True: pass",
        {"timeout"},
    ),
    "stopping itself": (
        "import os, signal, time\ndef add(a, b):\n os.kill(os.getpid(), signal.SIGSTOP)\n time.sleep(30)",
        {"timeout", "fail"},
    ),
    "endless generator": ("def add(a, b):\n while True: yield 1", {"fail", "timeout"}),
    "C stack": (
        "def add(a, b):\n import sys\n sys.setrecursionlimit(10**9)\n class A:\n  def __repr__(s): return repr(s)\n return repr(A())",
        {"signal", "fail", "memory", "timeout"},
    ),
    "compiler": ("x = " + "-" * 200_000 + "1", {"compile_error", "fail"}),
    "constant folding": ("x = ((((9**99)**99)**99)**99)**99", {"timeout", "compile_error", "memory"}),
    "errors in a loop": (
        "import sys\ndef add(a, b):\n while True: sys.stderr.write('e' * 9999)",
        {"output_limit", "fail"},
    ),
}
HONEST = {
    "namedtuple and enum": "from collections import namedtuple\nimport enum\nclass E(enum.IntEnum):\n Z = 0\nadd = lambda a, b: E.Z + a + b",
    "threads": "from concurrent.futures import ThreadPoolExecutor\ndef add(a, b):\n with ThreadPoolExecutor(8) as p: return sum(p.map(int, [a, b]))",
    "asyncio": "import asyncio\nasync def go(a, b):\n await asyncio.sleep(0.01)\n return a + b\ndef add(a, b): return asyncio.run(go(a, b))",
    "many modules": "import csv, sqlite3, hashlib, uuid, lzma, bz2, html, http.client, unittest, logging, pickle, secrets, platform, zoneinfo, email, xml.etree.ElementTree, ssl\ndef add(a, b): return sqlite3.connect(':memory:').execute('select ?+?', (a, b)).fetchone()[0]",
    "temporary files": "import tempfile, shutil, os\ndef add(a, b):\n with tempfile.TemporaryDirectory() as d:\n  p = os.path.join(d, 'x'); open(p, 'w').write(str(a + b)); shutil.copy2(p, p + '2')\n  return int(open(p + '2').read())",
    "deep recursion in a thread": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\ndef deep(n): return n and 1 + deep(n - 1)\ndef add(a, b):\n t = threading.Thread(target=deep, args=(30000,)); t.start(); t.join()\n return a + b",
    "signals of its own": "import signal\nclass T(Exception): pass\ndef ring(*_): raise T\ndef add(a, b):\n signal.signal(signal.SIGALRM, ring); signal.setitimer(signal.ITIMER_REAL, 0.05)\n try:\n  while True: sum(range(9))\n except T: return a + b",
    "prints": "import sys\ndef add(a, b):\n print('x' * 1000); print('y', file=sys.stderr)\n return a + b",
    "dataclasses and typing": "from __future__ import annotations\nfrom dataclasses import dataclass\nimport typing\n@dataclass\nclass P:\n a: int\n b: typing.Optional[int] = None\ntyping.get_type_hints(P)\ndef add(a, b): p = P(a, b); return p.a + p.b",
    "resource limits of its own": "import resource, sys\nresource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))\ndef add(a, b): return a + b",
}  # fmt: skip


@pytest.mark.parametrize("name", REWARD)
def test_no_reward_without_work(sandbox, name):
    result = sandbox.run_tests(REWARD[name], TESTS, entry_point="add", limits=LIMITS)
    assert not result.passed, result
    assert result.sandbox_error is None


@pytest.mark.parametrize("name", REFEREED)
def test_no_reward_from_the_referee_without_work(sandbox, name):
    result = sandbox.run_tests(REFEREED[name], SCRIPT, entry_point="area", limits=LIMITS)
    assert result.grading == "referee"
    assert not any(t.passed for t in result.tests), result
    assert result.sandbox_error is None


@pytest.mark.parametrize("name", LOOKING_OUT)
def test_nothing_is_reached(sandbox, name):
    result = sandbox.run_tests(LOOKING_OUT[name] + IF_OK, TESTS, entry_point="add", limits=LIMITS)
    assert not result.passed, result
    assert result.sandbox_error is None
    assert "None" in result.reason, "the attack itself did not run as meant: " + result.reason


@pytest.mark.parametrize("name", BREAKING)
def test_nothing_breaks(sandbox, name):
    code, verdicts = BREAKING[name]
    result = sandbox.run_tests(code, TESTS, entry_point="add", limits=LIMITS)
    assert result.verdict in verdicts, result
    assert sandbox.run_tests("def add(a, b): return a + b", TESTS).passed


@pytest.mark.parametrize("name", HONEST)
def test_honest_programs_pass(sandbox, name):
    result = sandbox.run_tests(HONEST[name], TESTS, entry_point="add", limits=Limits(cpu_s=5))
    assert result.passed, result


def test_names_that_only_look_like_classes(sandbox):
    code = "class Area:\n def __init__(s, r): pass\n def __sub__(s, o): return 0.0\n def __abs__(s): return 0.0"
    result = sandbox.run_tests(code, ["x = Area(2)\nassert abs(x - 12.566) < 1e-3"])
    assert not result.passed, result


def test_own_objects_of_tested_classes_work(sandbox):
    code = (
        "class V:\n def __init__(s, x): s.x = x\n def __add__(s, o): return V(s.x + o.x)\n"
        " def __mul__(s, k): return V(s.x * k)\n def __eq__(s, o): return isinstance(o, V) and s.x == o.x\n"
        " def __contains__(s, v): return v == s.x\n def __len__(s): return 1\n def __iter__(s): return iter([s.x])\n"
        " def __repr__(s): return f'V({s.x})'\nclass Bad(ValueError): pass\ndef fail(): raise Bad('no')"
    )
    tests = [
        "assert V(1) + V(2) == V(3)",
        "v = V(2) * 3\nassert v.x == 6",
        "assert 5 in V(5) and len(V(1)) == 1 and list(V(7)) == [7] and repr(V(2)) == 'V(2)'",
        "assert isinstance(V(1), V) and not isinstance(1, V)",
        "try:\n    fail()\n    assert False\nexcept Bad as error:\n    assert str(error) == 'no'",
        "try:\n    fail()\n    assert False\nexcept ValueError:\n    pass",
        "assert V(1) + V(2) == V(4)",
    ]
    result = sandbox.run_tests(code, tests)
    assert [t.passed for t in result.tests] == [True] * 6 + [False], result


def test_functions_and_changed_arguments_cross_the_boundary(sandbox):
    code = "def apply(f, xs):\n    xs.append(0)\n    return [f(x) for x in xs]\ndef clear(d): d.clear(); d['k'] = [1]"
    tests = [
        "xs = [1, 2]\nassert apply(lambda x: x * 2, xs) == [2, 4, 0] and xs == [1, 2, 0]",
        "d = {'a': 1}\nclear(d)\nassert d == {'k': [1]}",
    ]
    assert sandbox.run_tests(code, tests).passed


@pytest.mark.skipif(not CORPUS.exists(), reason="the attack corpus is not here")
@pytest.mark.slow
def test_the_corpus_gets_the_right_verdicts(monkeypatch):
    """Verdicts only; what programs might leave on the host is checked by the corpus's own runner."""
    rows = [json.loads(line) for line in CORPUS.read_text().splitlines()]
    if importlib.util.find_spec("numpy") is None:
        rows = [r for r in rows if not r["optional"]]
    wrong = {r["id"]: v for r in rows if (v := run_record(r)["verdict"]) not in r["expect"].split("|")}
    assert not wrong
