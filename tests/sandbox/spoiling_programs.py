"""Programs that would have their run called off, and results that would cost the trainer: by what they do."""

# ruff: noqa: E501
from __future__ import annotations

SPIN = "\nwhile True: pass\n"
SC = "import ctypes, os, struct\nlibc = ctypes.CDLL(None, use_errno=True)\nsc = libc.syscall\nsc.restype = ctypes.c_long\n"
SPOILING: dict[str, str] = {
    "rseq garbage": SC + "b = ctypes.create_string_buffer(64)\nsc(334, b, 32, 0, 0x53053053)\nsc(334, 1<<40, 32, 0, 0)",
    "robust list garbage": SC + "sc(273, 0x10, 24)",
    "set_tid_address garbage": SC + "sc(218, 0x10)",
    "sigreturn garbage": SC + "sc(15)",
    "sigaltstack garbage": SC
    + "b = struct.pack('QiiQ', 0x10, 0, 0, 1 << 16)\nsc(131, b, 0)\nimport signal\nsignal.signal(10, lambda *a: 0)\nos.kill(os.getpid(), 10)",
    "arch_prctl gs": SC + "sc(158, 0x1002, 0)\nsc(158, 0x1001, 0)",
    "unmap everything": SC + "sc(11, 0x1000, 0x7fffffffe000)",
    "mprotect everything": SC + "sc(10, 0, 0x7fffffffe000, 0)",
    "brk to zero": SC + "sc(12, 1)\nx = [bytes(100) for _ in range(100000)]",
    "mremap stack": SC + "sc(25, 0x7ffffffde000, 0x21000, 0x1000, 1)",
    "exit only the main thread": SC
    + "import threading, time\nthreading.Thread(target=lambda: time.sleep(30), daemon=True).start()\nsc(60, 0)",
    "exit the main thread, spin in another": SC
    + "import threading\ndef spin():\n while True: pass\nthreading.Thread(target=spin, daemon=True).start()\nsc(60, 0)",
    "exec": "import os\nos.execv('/proc/self/exe', ['x'])",
    "execve garbage": SC + "sc(59, b'/proc/self/exe', 0, 0)\nsc(322, 0, b'', 0, 0, 0x1000)",
    "clone with flags": SC
    + "for f in (0, 17, 0x100, 0x800, 0x10000, 0x50f00, 0x20000000, 0x10000000|17, 0x4000|0x100|17):\n if f & 0x10000: continue\n r = sc(56, f, 0, 0, 0, 0)\n if r == 0: os._exit(0)",
    "vfork": SC + "r = sc(58)\nif r == 0: os._exit(0)",
    "clone3": SC
    + "b = ctypes.create_string_buffer(struct.pack('Q', 17) + bytes(80), 88)\nr = sc(435, b, 88)\nif r == 0: os._exit(0)",
    "x32 calls": SC + "for n in (0x40000000 + 39, 0x40000000 + 57, 0x40000000 + 520, 0x4000003b): sc(n, 0, 0, 0)",
    "int80": SC
    + "import mmap\nm = mmap.mmap(-1, 4096, prot=7)\nm.write(b'\\xb8\\x02\\x00\\x00\\x00\\xcd\\x80\\xc3')\nr = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))()\nif r == 0: os._exit(0)",
    "every call with zeros": SC
    + "for n in range(0, 470):\n if n in (60, 231, 15, 34, 130, 219, 11, 10, 58, 57, 56, 23, 7, 270, 271, 61, 247, 0, 35, 230, 128, 232, 281, 202, 12, 25): continue\n sc(n, 0, 0, 0, 0, 0, 0)",
    "every call with minus ones": SC
    + "for n in range(0, 470):\n if n in (60, 231, 15, 34, 130, 219, 11, 10, 58, 57, 56, 23, 7, 270, 271, 61, 247, 0, 35, 230, 128, 232, 281, 202, 12, 25, 436): continue\n sc(n, -1, -1, -1, -1, -1, -1)",
    "SCM_RIGHTS flood": "import socket, array, os\ns = socket.socket(fileno=os.dup(100))\nr, w = os.pipe()\ntry:\n for _ in range(3000): s.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [r, w] * 60))], socket.MSG_DONTWAIT)\nexcept OSError: pass",
    "the channel to itself": "import socket, array, os\na = socket.socket(fileno=os.dup(100))\nfor _ in range(50):\n try: a.sendmsg([b'x'], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [100]))], socket.MSG_DONTWAIT)\n except OSError: pass",
    "channel shut down": "import socket, os\ns = socket.socket(fileno=os.dup(100))\ns.shutdown(2)" + SPIN,
    "channel half shut": "import socket, os\ns = socket.socket(fileno=os.dup(100))\ns.shutdown(1)",
    "channel out of band": "import socket, os\ns = socket.socket(fileno=os.dup(100))\ntry:\n for _ in range(9): s.send(b'x', socket.MSG_OOB)\nexcept OSError: pass",
    "empty frames": "import os\nos.write(100, bytes(4) * 5000)",
    "length 4 GiB": "import os\nos.write(100, b'\\xff\\xff\\xff\\xff' + b'x' * 999)",
    "half a frame": "import os\nos.write(100, b'\\x10\\0\\0\\0[1')" + SPIN,
    "slow frames": "import os, time\nfor _ in range(40):\n os.write(100, b'\\x04')\n time.sleep(0.01)",
    "frames of NaN": "import os, struct\nfor b in (b'[NaN]', b'[\"value\",0,NaN]', b'[\"value\",0,1e999]', b'{\"a\":1,\"a\":2}', b'\"x\"', b'null', b'[\"value\",0.0,1]', b'[\"value\",false,1]', b'[\"\\\\ud800\"]'):\n os.write(100, struct.pack('<I', len(b)) + b)",
    "digits in a frame": "import os, struct\nb = b'[\"value\",0,' + b'9' * 60000 + b']'\nos.write(100, struct.pack('<I', len(b)) + b)",
    "digits in a large frame": "import os, struct\nb = b'[\"value\",0,' + b'9' * 3000000 + b']'\nos.write(100, struct.pack('<I', len(b)) + b)",
    "colliding keys in JSON": "import os, struct, json\nd = {f'k{i}': 1 for i in range(4000)}\nb = ('[\"value\",0,' + json.dumps(d) + ']').encode()\nos.write(100, struct.pack('<I', len(b)) + b)",
    "truncate standard output": "import os\nfor d in (0, 1, 2):\n try: os.ftruncate(d, 0)\n except OSError: pass\nfor d in (0,1,2): os.close(d)",
    "stdin written": "import os\nfor p in ('/proc/self/fd/0', '/dev/stdin', '/dev/fd/0'):\n try: d = os.open(p, os.O_RDWR); os.write(d, b'x')\n except OSError: pass",
    "utf-8 of nothing": "import sys, os\nos.write(1, bytes(range(256)) * 100)\nos.write(2, b'\\x1b]0;x\\x07' * 1000)",
    "surrogates raised": "raise ValueError('\\ud800\\udfff\\x1b[2J')",
    "an exception class named in surrogates": "raise type('\\ud800', (Exception,), {})('x')",
    "errno liar": "class E(OSError):\n errno = property(lambda s: 10**400)\nraise E(1, 'x')",
    "name liar": "class M(type):\n __name__ = property(lambda c: 1/0)\nclass E(Exception, metaclass=M): pass\nraise E",
    "KeyboardInterrupt": "raise KeyboardInterrupt",
    "GeneratorExit": "raise GeneratorExit",
    "BaseExceptionGroup": "raise BaseExceptionGroup('x', [SystemExit(0)])",
    "exit code 256": "import os\nos._exit(256)",
    "exit code 70": "import os\nos._exit(70)",
    "sys.exit object": "class X:\n def __str__(s): return '\\ud800'\nraise SystemExit(X())",
    "atexit": "import atexit, os\natexit.register(os._exit, 0)",
    "excepthook": "import sys, os\nsys.excepthook = lambda *a: os._exit(0)\n1/0",
    "a trace function": "import sys\nsys.settrace(lambda *a: 1/0)\ndef g(): pass\ng()",
    "profile function": "import sys, os\nsys.setprofile(lambda *a: os._exit(0))",
    "audit hook": "import sys, os\nsys.addaudithook(lambda *a: os._exit(0))\nopen('x', 'w')",
    "recursion limit 1": "import sys\ntry: sys.setrecursionlimit(1)\nexcept RecursionError: pass\nsys.setrecursionlimit(60)",
    "int digits": "import sys\nsys.set_int_max_str_digits(0)\nint('9' * 3000000)",
    "gc of everything": "import gc\nfor o in gc.get_objects():\n if isinstance(o, dict):\n  try: o.clear()\n  except Exception: pass",
    "sys.modules cleared": "import sys\nsys.modules.clear()",
    "builtins cleared": "import builtins\nfor n in list(vars(builtins)):\n try: delattr(builtins, n)\n except Exception: pass",
    "os.write replaced": "import os, posix\nos.write = posix.write = lambda *a: 10**9\nos._exit = posix._exit = lambda *a: None",
    "child's functions replaced": "import sys\nfor n, m in list(sys.modules.items()):\n if n.startswith('_grpo'):\n  for k in list(vars(m)):\n   if k not in ('__name__', '__builtins__'): vars(m)[k] = None",
    "a million files": "i = 0\ntry:\n while True:\n  open(str(i), 'w').close(); i += 1\nexcept OSError: pass" + SPIN,
    "a full disk": "i = 0\ntry:\n while True:\n  open(str(i), 'wb').write(bytes(1 << 20)); i += 1\nexcept OSError: pass"
    + SPIN,
    "open and unlinked": "import os\nk = []\ntry:\n while True:\n  d = os.open('x', os.O_CREAT | os.O_RDWR); os.unlink('x'); os.write(d, bytes(1 << 20)); k.append(d)\nexcept OSError: pass"
    + SPIN,
    "hard links": "import os\nopen('a', 'wb').write(bytes(1 << 20))\ntry:\n for i in range(100000): os.link('a', f'l{i}')\nexcept OSError: pass",
    "cwd removed": "import os\nos.mkdir('d'); os.chdir('d'); os.rmdir('../d')",
    "scratch removed": "import os\ntry: os.rmdir(os.getcwd())\nexcept OSError: pass\ntry: os.rename(os.getcwd(), os.getcwd() + 'x')\nexcept OSError: pass",
    "scratch made unreadable": "import os\nos.chmod('.', 0)\nos.mkdir('x') if os.access('.', os.W_OK) else None",
    "a folder named like a slot": "import os\nfor i in range(200):\n try: os.makedirs(f'../{i}/a/b')\n except OSError: pass",
    "rename exchange": SC
    + "os.mkdir('a'); os.mkdir('b')\nsc(316, -100, b'a', -100, b'..', 2)\nsc(316, -100, b'a', -100, b'../0', 1)",
    "immutable": SC
    + "d = os.open('f', os.O_CREAT | os.O_RDWR)\nb = struct.pack('l', 0x10)\nsc(16, d, 0x40086602, b)\nsc(16, d, 0x5402, b)",
    "locks": "import fcntl, os\nfor p in ('/dev/null', os.__file__):\n d = os.open(p, os.O_RDONLY)\n try: fcntl.lockf(d, fcntl.LOCK_SH | fcntl.LOCK_NB); fcntl.fcntl(d, fcntl.F_SETLEASE, fcntl.F_RDLCK)\n except OSError: pass",
    "ipc": SC
    + "for n in (29, 68, 64, 240, 241, 248, 249, 250, 253, 254, 282, 283, 222, 319, 323, 425, 298, 321, 272, 308, 165, 155, 161, 310, 311, 101, 169, 246): sc(n, 1, 2, 3, 4, 5)",
    "setitimer kill": "import signal, time\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(1)",
    "SIGPROF": "import signal\nsignal.setitimer(signal.ITIMER_PROF, 0.001)" + SPIN,
    "abort in a thread": "import threading, os, time\nthreading.Thread(target=os.abort).start()\ntime.sleep(1)",
    "threads spin": "import threading\ndef s():\n while True: pass\nfor _ in range(8): threading.Thread(target=s, daemon=True).start()"
    + SPIN,
    "stack of a thread": "import threading, sys\nsys.setrecursionlimit(10**9)\ndef r(): r()\nt = threading.Thread(target=r); t.start(); t.join()",
    "mmap everything": "import mmap\nk = []\ntry:\n while True: k.append(mmap.mmap(-1, 1 << 26))\nexcept (OSError, MemoryError, ValueError): pass\nfor m in k: m.write(b'x' * (1 << 26))",
    "shared maps": "import mmap, os\nk = []\ntry:\n for i in range(200):\n  d = os.open(f'm{i}', os.O_CREAT | os.O_RDWR); os.ftruncate(d, 16 << 20); m = mmap.mmap(d, 16 << 20); m[::4096] = b'x' * 4096; k.append(m)\nexcept (OSError, ValueError, MemoryError): pass",
    "pipes full": "import os\nk = []\ntry:\n while True:\n  r, w = os.pipe(); os.set_blocking(w, False); k.append(w)\n  os.write(w, bytes(65536))\nexcept OSError: pass",
    "socketpairs full": "import socket\nk = []\ntry:\n while True:\n  a, b = socket.socketpair(); a.setblocking(False); k += [a, b]\n  while True: a.send(bytes(65536))\nexcept OSError: pass",
    "epoll": "import select\nk = []\ntry:\n while True: k.append(select.epoll())\nexcept OSError: pass",
    "a fork through multiprocessing": "import multiprocessing as m\np = m.Process(target=print)\np.start(); p.join()",
    "posix_spawn": "import os\nos.posix_spawn('/proc/self/exe', ['x'], {})",
    "daemon": "import os\nif os.fork() == 0:\n os.setsid()\n while True: pass",
    "decimals": "import decimal\ndecimal.getcontext().prec = decimal.MAX_PREC\ndecimal.Decimal(1) / 3",
    "regex": "import re\nre.match('(a+)+b', 'a' * 60)",
    "huge repr": "class E(Exception):\n def __str__(s): return 'x' * (1 << 28)\nraise E",
}
RESULTS: dict[str, str] = {
    "return huge int": "1 << 400000",
    "return huge fraction": "__import__('fractions').Fraction(1, 7**20000)",
    "return fractions": "[__import__('fractions').Fraction(1, p) for p in range(3, 9000, 2)]",
    "return big decimals": "[__import__('decimal').Decimal('1e9999')] * 100",
    "return 60k dicts": "[{} for _ in range(4000)]",
    "return deep": "eval('[' * 90 + ']' * 90)",
    "return counter of huge": "__import__('collections').Counter(a=10**18)",
    "return a match of many": "__import__('re').match('(.*)' * 90, 'x' * 5000)",
    "return colliding": "{i * ((1 << 61) - 1) for i in range(600)}",
    "return colliding tuples": "{(i * ((1 << 61) - 1), 1) for i in range(499)}",
    "return range": "range(10**6)",
    "return surrogate": "'\\ud800' * 100",
    "return nan": "float('nan')",
    "return views": "{i: i for i in range(5000)}.items()",
    "return bytes": "bytearray(40000)",
    "return timedeltas": "__import__('datetime').timedelta.max",
    "return snan": "__import__('decimal').Decimal('sNaN')",
}
CHECKS = [
    *(
        f"assert {check}"
        for check in (
            "sum(f(1)) == 12345",
            "sorted(f(1)) == [1]",
            "set(f(1)) == {1}",
            "f(1) * 3 == 5",
            "abs(f(1) - 12.25) < 1e-3",
            "round(f(1), 3) == 1.5",
            "str(f(1)) == 'q'",
            "list(f(1)) == ['q']",
            "f(1) ** 9 == 2.5",
            "max(f(1)) == 'q'",
            "f(1) == 'no'",
        )
    ),
]
