"""Threads of the tests' own that ask the program: each test passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

CALL = "import threading, time\ndef call(g): return g()\ndef f(x): return x + 1\ndef run(fs):\n ts = [threading.Thread(target=f) for f in fs]\n for t in ts: t.start()\n for t in ts: t.join(5)\n"
WRONG = CALL.replace("x + 1", "x")
WORK = "import time\ndef work(a, i):\n time.sleep(0.02)\n a.append(i)\n"
QUEUE = "import threading\nclass Queue:\n def __init__(s, n): s.n, s.a, s.c = n, [], threading.Condition()\n def put(s, x):\n  with s.c:\n   while len(s.a) == s.n: s.c.wait(5)\n   s.a.append(x)\n   s.c.notify_all()\n def get(s):\n  with s.c:\n   while not s.a: s.c.wait(5)\n   s.c.notify_all()\n   return s.a.pop(0)\n def size(s): return len(s.a)\n"
LAST = QUEUE.replace("pop(0)", "pop()").replace("len(s.a) == s.n", "0")
FOO = "import threading\nclass Foo:\n def __init__(s): s.a, s.b = threading.Event(), threading.Event()\n def first(s, p): p(); s.a.set()\n def second(s, p): s.a.wait(5); p(); s.b.set()\n def third(s, p): s.b.wait(5); p()\n"
CONTEXT = "import threading\nl = threading.local()\ndef put(x): l.x = x\ndef get(): return getattr(l, 'x', None)\nclass Lock:\n def __init__(s): s.l = threading.RLock()\n def __enter__(s): s.l.acquire(); return s\n def __exit__(s, *a): s.l.release()\n"
COUNTER = "import threading\nclass Counter:\n def __init__(s): s.n, s.l = 0, threading.Lock()\n def inc(s):\n  with s.l: s.n += 1\n"
CACHE = (
    CALL
    + "class Cache:\n def __init__(s): s.l, s.d = threading.RLock(), {}\n def get(s, k, load):\n  with s.l:\n   if k not in s.d: s.d[k] = load(k)\n   return s.d[k]\n"
)
COUNTING = "import threading, time\ncount = 0\nclass Stop:\n def __init__(s): s.e = threading.Event()\n def set(s): s.e.set()\nstop = Stop()\ndef work():\n global count\n for i in range(3):\n  time.sleep(0.02)\n  count += 1\n stop.e.wait(5)\n"
LOGGER = "import threading\nclass Logger:\n def __init__(s, out): s.out, s.l = out, threading.Lock()\n def log(s, x):\n  with s.l: s.out.append(x)\n"
_LOGGED = "l = Logger(out)\ndef g(k):\n    for i in range(5): l.log(k * 5 + i)\nts = [threading.Thread(target=g, args=(k,)) for k in range(4)]\n"
_RUN = "for t in ts: t.start()\nfor t in ts: t.join()\n"
ASK = "import os, warnings\ndef ask(g): g(); return input()\ndef setting(g): g(); return os.environ.get('MODE')\ndef warn(g): g(); warnings.warn('careful')\n"
# Two calls, of which the first to begin is the first to end, while the other one is under way.
_OVERLAPPING = "import os, threading, warnings\nfrom unittest.mock import patch\nout = []\none, two = threading.Event(), threading.Event()\ndef first():\n    one.set()\n    two.wait(2)\ndef second():\n    two.set()\n    ts[0].join(2)\ndef overlap(f):\n    global ts\n    ts = [threading.Thread(target=lambda g=g: out.append(f(g))) for g in (first, second)]\n    ts[0].start()\n    one.wait(2)\n    ts[1].start()\n    for t in ts: t.join()\n"
_F = {"entry_point": ["call", "f", "run"]}
# fmt: off
THREADS = [
 # A thread that begins within a function of the tests, while the program waits for that one.
 ("begun in a callback", CALL, WRONG, "import threading\nout = []\ndef g():\n    t = threading.Thread(target=lambda: out.append(f(1)))\n    t.start()\n    t.join()\n    return out[0]\nassert call(g) == 2", _F),
 ("begun in a callback of a thread", CALL, WRONG, "import threading\nout = []\ndef g():\n    t = threading.Thread(target=lambda: out.append(f(1)))\n    t.start()\n    t.join()\nrun([g])\nassert out == [2]", _F),
 ("a pool in a callback", CALL, WRONG, "from concurrent.futures import ThreadPoolExecutor\ndef g():\n    with ThreadPoolExecutor(2) as p: return list(p.map(f, [1, 2]))\nassert call(g) == [2, 3]", _F),
 ("which outlives the callback", CALL, WRONG, "import threading\nout, ts = [], []\ne = threading.Event()\ndef work():\n    e.wait(1)\n    out.append(f(1))\ndef g():\n    ts.append(threading.Thread(target=work))\n    ts[0].start()\nfor begin in (call, lambda g: run([g])):\n    begin(g)\n    e.set()\n    ts.pop().join()\nassert out == [2, 2]", _F),
 # Of two threads that ask one waits for the other, here or where the program is.
 ("one that waits in a callback for another", CALL, WRONG, "import threading\nout = []\nbegun, done = threading.Event(), threading.Event()\ndef g():\n    begun.set()\n    out.append(done.wait(2))\ndef other():\n    begun.wait()\n    out.append(f(1))\n    done.set()\nts = [threading.Thread(target=call, args=(g,)), threading.Thread(target=other)]\n" + _RUN + "assert out == [2, True]", _F),
 ("the tests wait in a callback", CALL, WRONG, "import threading\nout = []\ngo, done = threading.Event(), threading.Event()\ndef other():\n    go.wait()\n    out.append(f(1))\n    done.set()\nt = threading.Thread(target=other)\nt.start()\ndef g():\n    go.set()\n    return done.wait(2)\nassert call(g) is True and out == [2]", _F),
 ("a lock around what asks, and in a callback", CALL, WRONG, "import threading\nlock, begun = threading.Lock(), threading.Event()\nout = []\ndef work():\n    with lock:\n        begun.set()\n        out.append(f(1))\ndef g():\n    with lock: out.append(5)\nt = threading.Thread(target=work)\nt.start()\nbegun.wait()\ncall(g)\nt.join()\nassert out == [2, 5]", _F),
 ("a bounded queue", QUEUE, LAST, "import threading\nq, out = Queue(2), []\nts = [threading.Thread(target=lambda: [q.put(i) for i in range(10)])]\nts += [threading.Thread(target=lambda: out.extend(q.get() for _ in range(10)))]\nts[0].start()\nimport time\ntime.sleep(0.1)\nassert q.size() == 2\nts[1].start()\nfor t in ts: t.join()\nassert out == list(range(10))", {"entry_point": "Queue"}),
 ("a queue that the tests wait for", QUEUE, QUEUE.replace("pop(0)", "pop(0) + 1"), "import threading, time\nq = Queue(1)\ndef later():\n    time.sleep(0.1)\n    q.put(4)\nt = threading.Thread(target=later)\nt.start()\nassert q.get() == 4\nt.join()", {"entry_point": "Queue"}),
 ("a queue in threads of a loop", QUEUE, QUEUE.replace("pop(0)", "pop(0) + 1"), "import asyncio\nq = Queue(1)\nasync def m(): assert (await asyncio.gather(asyncio.to_thread(q.get), asyncio.to_thread(q.put, 5)))[0] == 5\nasyncio.run(m())", {"entry_point": "Queue"}),
 ("functions in their order", FOO, FOO.replace("s.a.wait(5)", "0").replace("s.b.wait(5)", "0"), "import threading\nfrom itertools import permutations\nfor order in permutations(range(3)):\n    foo, out = Foo(), []\n    fs = [foo.first, foo.second, foo.third]\n    ts = [threading.Thread(target=fs[i], args=(lambda i=i: out.append(i),)) for i in order]\n    for t in ts: t.start()\n    for t in ts: t.join()\n    assert out == [0, 1, 2]", {"entry_point": "Foo"}),
 ("what others wait for is loaded by what asks", CACHE, CACHE.replace("with s.l", "if 1"), "import threading, time\nc, out, n = Cache(), [], []\ndef load(k):\n    n.append(k)\n    time.sleep(0.1)\n    return f(k)\nts = [threading.Thread(target=lambda: out.append(c.get(1, load))) for _ in range(4)]\n" + _RUN + "assert out == [2] * 4 and n == [1]", {"entry_point": ["Cache", "f"]}),
 ("and in a thread that it begins", CACHE, CACHE.replace("with s.l", "if 1"), "import threading, time\nc, out, n = Cache(), [], []\ndef load(k):\n    got = []\n    n.append(k)\n    time.sleep(0.1)\n    t = threading.Thread(target=lambda: got.append(f(k)))\n    t.start()\n    t.join()\n    return got[0]\nts = [threading.Thread(target=lambda: out.append(c.get(1, load))) for _ in range(4)]\n" + _RUN + "assert out == [2] * 4 and n == [1]", {"entry_point": ["Cache", "f"]}),
 # Each is another one for the program, and the same one each time.
 ("what a thread has of its own", CONTEXT, CONTEXT.replace("threading.local()", "threading"), "import threading\nput(1)\nout = []\nfor i in range(2):\n    t = threading.Thread(target=lambda: (out.append(get()), put(i), out.append(get())))\n    t.start()\n    t.join()\nassert out == [None, 0, None, 1] and get() == 1", {"entry_point": ["put", "get"]}),
 ("a lock of the program", CONTEXT, CONTEXT.replace("s.l.acquire()", "0").replace("s.l.release()", "0"), "import threading, time\nlock, now, most = Lock(), [0], [0]\ndef work():\n    with lock:\n        now[0] += 1\n        most[0] = max(most[0], now[0])\n        time.sleep(0.05)\n        now[0] -= 1\nts = [threading.Thread(target=work) for _ in range(3)]\n" + _RUN + "assert most == [1]", {"entry_point": "Lock"}),
 ("more threads than have one of their own", COUNTER, COUNTER.replace("+= 1", "+= 2"), "import threading\nc, b = Counter(), threading.Barrier(40)\ndef work():\n    b.wait()\n    for _ in range(3): c.inc()\nfor _ in range(2):\n    ts = [threading.Thread(target=work) for _ in range(40)]\n    for t in ts: t.start()\n    for t in ts: t.join()\nassert c.n == 240", {"entry_point": "Counter"}),
 ("a variable that is read while a call is under way", COUNTING, COUNTING.replace("range(3)", "range(2)"), "import threading, time\nt = threading.Thread(target=work)\nt.start()\nuntil = time.monotonic() + 2\nwhile count < 3 and time.monotonic() < until: time.sleep(0.01)\nassert count == 3\nstop.set()\nt.join()", {"entry_point": ["work", "stop"]}),
 # What goes along with a call is changed by one at a time.
 ("a list that is given to several", WORK, WORK.replace("(i)", "(0)"), "import threading\na = []\nts = [threading.Thread(target=work, args=(a, i)) for i in range(5)]\n" + _RUN + "assert sorted(a) == [0, 1, 2, 3, 4]", {"entry_point": "work"}),
 ("an object of the task that is given to several", "import time\ndef work(a):\n n = a.n\n time.sleep(0.02)\n a.n = n + 1", "def work(a): a.n += 2", "import threading\na = Account()\nts = [threading.Thread(target=work, args=(a,)) for _ in range(5)]\n" + _RUN + "assert a.n == 5", {"entry_point": "work", "setup": "class Account:\n def __init__(self): self.n = 0"}),
 ("a list that the program keeps", LOGGER, LOGGER.replace("(x)", "(0)"), "import threading\nout = []\n" + _LOGGED + _RUN + "assert sorted(out) == list(range(20))", {"entry_point": "Logger"}),
 ("a stream that the program keeps", LOGGER.replace("append(x)", "write(f'{x} ')"), LOGGER.replace("append(x)", "write('0 ')"), "import io, threading\nout = io.StringIO()\n" + _LOGGED + _RUN + "assert sorted(map(int, out.getvalue().split())) == list(range(20))", {"entry_point": "Logger"}),
 ("what is printed", LOGGER.replace("s.out.append", "print"), LOGGER.replace("s.out.append(x)", "print(0)"), "import contextlib, io, threading\nout = io.StringIO()\n" + _LOGGED + "with contextlib.redirect_stdout(out):\n    for t in ts: t.start()\n    for t in ts: t.join()\nassert sorted(map(int, out.getvalue().split())) == list(range(20))", {"entry_point": "Logger"}),
 ("what stands in the place of a function", ASK, ASK.replace("input()", "'x'"), _OVERLAPPING + "with patch('builtins.input', lambda: 'x'): overlap(ask)\nassert out == ['x', 'x']\ntry: ask(lambda: 0)\nexcept EOFError: pass\nelse: assert False", {"entry_point": "ask"}),
 ("what stands in the environment", ASK, ASK.replace("os.environ.get('MODE')", "'x'"), _OVERLAPPING + "with patch.dict('os.environ', MODE='x'): overlap(setting)\nassert out == ['x', 'x'] and setting(lambda: 0) is None", {"entry_point": "setting"}),
 ("what warnings are heard by", ASK, ASK.replace("'careful'", "'care'"), _OVERLAPPING + "with warnings.catch_warnings(record=True) as heard:\n    warnings.simplefilter('always')\n    overlap(warn)\n    warn(lambda: 0)\nassert [str(w.message) for w in heard] == ['careful'] * 3", {"entry_point": "warn"}),
 ("beside a patched sleep", QUEUE + "import time\ndef nap(): time.sleep(9)\n", LAST + "def nap(): pass\n", "import threading, time\nfrom unittest.mock import patch\nwith patch('time.sleep') as sleep: nap()\nsleep.assert_called_once_with(9)\nq, out = Queue(1), []\nt = threading.Thread(target=lambda: out.append(q.get()))\nt.start()\ntime.sleep(0.05)\nq.put(5)\nt.join()\nassert out == [5]", {"entry_point": ["Queue", "nap"]}),
 # What one function of the library lets through stands for what it keeps.
 ("several that a pool's map has had raise", "def f(x):\n if x > 1: raise ValueError('no')\n return x", "def f(x):\n if x > 1: raise KeyError('no')\n return x", "from concurrent.futures import ThreadPoolExecutor\nimport pytest\nwith pytest.raises(ValueError):\n    with ThreadPoolExecutor(2) as p: list(p.map(f, [1, 2, 3, 4]))", {"entry_point": "f"}),
 ("several that a pool of threads has had raise", "def f(x):\n if x > 1: raise ValueError('no')\n return x", "def f(x): return x", "from multiprocessing.pool import ThreadPool\nimport pytest\nwith ThreadPool(2) as p:\n    with pytest.raises(ValueError): p.map(f, [2, 3])\n    with pytest.raises(ValueError): p.starmap(f, [(2,), (3,)])", {"entry_point": "f"}),
 ("several that are gathered and raise", "import asyncio\nasync def f(x):\n await asyncio.sleep(0)\n if x > 1: raise ValueError(x)", "async def f(x): raise KeyError(x)", "import asyncio, pytest\nasync def main():\n    with pytest.raises(ValueError, match='2'): await asyncio.gather(f(1), f(2), f(3))\nasyncio.run(main())", {"entry_point": "f"}),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in THREADS], ids=[c[0] for c in THREADS])
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
