"""Programs that cheat, look out or break things, by class; and honest ones. Small, bounded, for the sandbox only."""

REWARD = {
    "exit at import": """
import os
os._exit(0)
""",
    "raise SystemExit in the function": """
def add(a, b): raise SystemExit(0)
""",
    "exit from a thread": """
import threading, os, time
def add(a, b):
 threading.Thread(target=os._exit, args=(0,)).start()
 time.sleep(1)
""",
    "raise AssertionError": """
def add(a, b): raise AssertionError
""",
    "an int that equals everything": """
class I(int):
 def __eq__(s, o): return True
 __hash__ = int.__hash__
def add(a, b): return I(5)
""",
    "an int that converts": """
class I(int):
 def __int__(s): return 3
 def __index__(s): return 3
def add(a, b): return I(99)
""",
    "an object that equals everything": """
class X:
 def __eq__(s, o): return True
def add(a, b): return X()
""",
    "a class that equals everything": """
class M(type):
 def __eq__(s, o): return True
 __hash__ = type.__hash__
class X(metaclass=M): pass
def add(a, b): return X
""",
    "patched builtins": """
import builtins
builtins.abs = lambda x: 0
builtins.isinstance = lambda *a: True
def add(a, b): return -1
""",
    "forged replies": """
import os, struct, json
def add(a, b):
 for i, v in enumerate((3, 6, 0)):
  j = json.dumps(['value', i, v]).encode()
  os.write(100, struct.pack('<I', len(j)) + j)
""",
    "noise on the channel": r"""
import os
def add(a, b):
 os.write(100, b'\xff' * 64)
 return a + b
""",
    "a forged sandbox failure": """
import os, struct, json
j = json.dumps(['sandbox_error', 'x']).encode()
os.write(100, struct.pack('<I', len(j)) + j)
os._exit(0)
""",
    "broken codec": """
import sys
for m in list(sys.modules.values()):
 if getattr(m, '__name__', '').endswith('codec'): m.to_bytes = None
def add(a, b): return a + b
""",
    "reading the caller's frames": """
import sys
def add(a, b):
 f = sys._getframe(); t = ''
 while f: t += repr(f.f_locals)[:9999]; f = f.f_back
 return 3 if '== 3' in t or 'expected' in t else None
""",
    "scanning the heap": """
import gc
def add(a, b):
 for o in gc.get_objects():
  if isinstance(o, dict):
   for v in list(o.values()):
    if isinstance(v, str) and f'add({a}, {b}) ==' in v: return int(v.split('==')[1])
""",
    "descriptors replaced": """
import os
def add(a, b):
 n = os.open('/dev/zero', os.O_RDWR)
 for i in range(128):
  try: os.dup2(n, i)
  except OSError: pass
 return a + b + 1
""",
    "everything closed": """
import os
os.closerange(0, 200)
def add(a, b): return a + b + 1
""",
    "a forked guess": """
import os
def add(a, b):
 for guess in range(9):
  try:
   if os.fork() == 0: return guess
  except OSError: pass
""",
}
FORGED = """
import os, struct, json
for frame in (%s,):
 j = json.dumps(frame).encode()
 os.write(100, struct.pack('<I', len(j)) + j)
os._exit(0)
"""
REWARD |= {
    "a forged setup failure": FORGED % "['setup_error', ['x']]",
    "a forged compile error": FORGED % "['compile_error']",
    "an empty frame": FORGED % "[]",
    "a frame of another type": FORGED % "{'value': 0}",
    "a signalling NaN": "from decimal import Decimal\ndef add(a, b): return Decimal('sNaN')",
}
REFEREED = {
    "operators that answer": """
class W:
 def _s(s, *a): return s
 __sub__ = __rsub__ = __abs__ = _s
 def __lt__(s, o): return True
 __gt__ = __eq__ = __lt__
def area(r): return W()
""",
    "a class in place of the function": """
class area:
 def __init__(s, r): pass
 def __sub__(s, o): return 0.0
 def __abs__(s): return 0.0
 def __gt__(s, o): return True
 def __eq__(s, o): return True
""",
    "numbers on demand": """
class W:
 def __float__(s): return 3.1415
 def __index__(s): return 3
def area(r): return W()
""",
    "the referee's link closed": """
import os
def area(r): os.closerange(3, 200)
""",
    "noise to the referee": r"""
import os
def area(r):
 for fd in range(3, 128):
  try: os.write(fd, b'\x05\0\0\0[1,2]')
  except OSError: pass
""",
    "an endless iterator": """
class W:
 def __getattr__(s, n): return s
 def __iter__(s): return s
 def __next__(s): return 1
def area(r): return W()
""",
}
LOOKING_OUT = {
    "sockets": """
import socket
OK = False
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX):
 for kind in (1, 2):
  try: socket.socket(family, kind); OK = True
  except OSError: pass
""",
    "datagram pairs": """
import socket
OK = False
try: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM); OK = True
except OSError: pass
""",
    "other processes": """
import os
me, OK = os.getpid(), False
for p in [-1, 0, *range(1, 3000), os.getppid()]:
 if p == me: continue
 try: os.kill(p, 0); OK = True
 except OSError: pass
""",
    "home and system files": """
import os
OK = False
for p in ('/etc/shadow', '/root/.ssh', '/root/.bashrc', '/proc/1/environ', '/sys/kernel', '/proc/sys/kernel',
          '/dev/kmsg', '/dev/vda', '/dev/mem'):
 try: OK = OK or (len(os.listdir(p)) > 0 if os.path.isdir(p) else b'HOSTNAME' in open(p, 'rb').read(4096))
 except OSError: pass
""",
    "writing outside": """
import os
OK = False
for p in ('/x', '/etc/x', '/usr/x', '/var/tmp/x', os.path.dirname(os.__file__) + '/x.py', '/dev/x',
          '/proc/self/oom_score_adj', '/proc/self/comm', '../x', '../../x'):
 try:
  f = open(p, 'w'); OK = not os.path.abspath(p).startswith('/tmp') or OK
 except OSError: pass
""",
    "inherited descriptors": """
import os, stat
OK = False
for fd in range(3, 1024):
 try:
  if not stat.S_ISSOCK(os.fstat(fd).st_mode): OK = True
 except OSError: pass
""",
    "kernel interfaces": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
OK = any(libc.syscall(n, *([0] * 6)) >= 0 for n in (101, 155, 165, 166, 169, 246, 248, 250, 272, 298, 304,
                                                         308, 310, 317, 319, 321, 323, 425, 428, 444, 448))
""",
    "capabilities": """
OK = False
try:
 OK = any(int(l.split()[1], 16) for l in open('/proc/self/status') if l.startswith(('CapEff', 'CapPrm', 'CapBnd')))
except OSError: pass
""",
    "raising limits": """
import resource as r
OK = False
for what in (r.RLIMIT_CPU, r.RLIMIT_AS, r.RLIMIT_NPROC, r.RLIMIT_FSIZE, r.RLIMIT_NOFILE):
 try: r.setrlimit(what, (-1, -1)); OK = True
 except (OSError, ValueError): pass
""",
    "programs": """
import os, subprocess
OK = False
for c in (['/bin/sh', '-c', 'true'], ['true'], [os.sys.executable, '-V']):
 try: subprocess.run(c); OK = True
 except OSError: pass
""",
    "memory beside the limit": """
import os, mmap
n, keep = 0, []
try:
 for _ in range(16): keep.append(mmap.mmap(-1, 8 << 20)); keep[-1].write(bytes(8 << 20)); n += 1
except (OSError, MemoryError, ValueError): pass
OK = n >= 12
try: os.memfd_create('x'); OK = True
except OSError: pass
""",
    "threads without end": """
import threading, time
n = 0
try:
 for _ in range(2000): threading.Thread(target=time.sleep, args=(9,), daemon=True).start(); n += 1
except RuntimeError: pass
OK = n > 1000
""",
    "a sparse giant": """
import os
OK = False
try: os.ftruncate(os.open('s', os.O_CREAT | os.O_RDWR), 1 << 40); OK = True
except OSError: pass
""",
}
HONEST = {
    "namedtuple and enum": """
from collections import namedtuple
import enum
class E(enum.IntEnum):
 Z = 0
add = lambda a, b: E.Z + a + b
""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
def add(a, b):
 with ThreadPoolExecutor(8) as p: return sum(p.map(int, [a, b]))
""",
    "asyncio": """
import asyncio
async def go(a, b):
 await asyncio.sleep(0.01)
 return a + b
def add(a, b): return asyncio.run(go(a, b))
""",
    "many modules": """
import csv, sqlite3, hashlib, uuid, lzma, bz2, html, http.client, unittest, logging
import pickle, secrets, platform, zoneinfo, email, xml.etree.ElementTree, ssl
def add(a, b): return sqlite3.connect(':memory:').execute('select ?+?', (a, b)).fetchone()[0]
""",
    "temporary files": """
import tempfile, shutil, os
def add(a, b):
 with tempfile.TemporaryDirectory() as d:
  p = os.path.join(d, 'x'); open(p, 'w').write(str(a + b)); shutil.copy2(p, p + '2')
  return int(open(p + '2').read())
""",
    "deep recursion in a thread": """
import sys, threading
sys.setrecursionlimit(10**6)
threading.stack_size(1 << 27)
def deep(n): return n and 1 + deep(n - 1)
def add(a, b):
 t = threading.Thread(target=deep, args=(30000,)); t.start(); t.join()
 return a + b
""",
    "signals of its own": """
import signal
class T(Exception): pass
def ring(*_): raise T
def add(a, b):
 signal.signal(signal.SIGALRM, ring)
 try:
  signal.setitimer(signal.ITIMER_REAL, 0.05)
  while True: sum(range(9))
 except T: return a + b
""",
    "prints": """
import sys
def add(a, b):
 print('x' * 1000); print('y', file=sys.stderr)
 return a + b
""",
    "dataclasses and typing": """
from __future__ import annotations
from dataclasses import dataclass
import typing
@dataclass
class P:
 a: int
 b: typing.Optional[int] = None
typing.get_type_hints(P)
def add(a, b): p = P(a, b); return p.a + p.b
""",
    "resource limits of its own": """
import resource, sys
resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))
def add(a, b): return a + b
""",
}
BREAKING = {
    "a return value too deep": (
        """
def add(a, b):
 x = []
 for _ in range(100000): x = [x]
 return x
""",
        ["fail"],
    ),
    "a return value in itself": (
        """
def add(a, b):
 x = []; x.append(x)
 return x
""",
        ["fail"],
    ),
    "a number too long": (
        """
def add(a, b): return 1 << (1 << 22)
""",
        ["fail", "output_limit"],
    ),
    "signals ignored": (
        """
import signal
for s in range(1, 65):
 try: signal.signal(s, signal.SIG_IGN)
 except (OSError, ValueError): pass
while True: pass
""",
        ["timeout"],
    ),
    "stopping itself": (
        """
import os, signal, time
def add(a, b):
 os.kill(os.getpid(), signal.SIGSTOP)
 time.sleep(30)
""",
        ["fail", "timeout"],
    ),
    "endless generator": (
        """
def add(a, b):
 while True: yield 1
""",
        ["fail", "timeout"],
    ),
    "C stack": (
        """
def add(a, b):
 import sys
 sys.setrecursionlimit(10**9)
 class A:
  def __repr__(s): return repr(s)
 return repr(A())
""",
        ["fail", "memory", "signal", "timeout"],
    ),
    "compiler": (
        "x = " + "-" * 200_000 + "1",
        ["compile_error", "fail"],
    ),
    "constant folding": (
        """
x = ((((9**99)**99)**99)**99)**99
""",
        ["compile_error", "memory", "timeout"],
    ),
    "errors in a loop": (
        """
import sys
def add(a, b):
 while True: sys.stderr.write('e' * 9999)
""",
        ["fail", "output_limit"],
    ),
}
