"""Tests that let time pass, that ask an object for its members, and others: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import LIMITS

DEBOUNCE = "import threading\ndef debounce(w):\n def d(fn):\n  t = [None]\n  def call(*a):\n   if t[0]: t[0].cancel()\n   t[0] = threading.Timer(w, lambda: fn(*a)); t[0].start()\n  return call\n return d"
LATER = "import threading\ndef later(w, fn): threading.Timer(w, fn).start()"
RETRY = "def retry(times, on):\n def d(fn):\n  def w(*a):\n   for i in range(times):\n    try: return fn(*a)\n    except on:\n     if i == times - 1: raise\n  return w\n return d"
WORKER = "import threading, queue\nclass W:\n def __init__(s):\n  s.q = queue.Queue(); threading.Thread(target=s.run, daemon=True).start()\n def run(s):\n  while True:\n   s.q.get()()\n   s.q.task_done()\n def submit(s, f): s.q.put(f)\n def join(s): s.q.join()"
NEG = "def f(x):\n if x < 0: raise ValueError('neg')\n return x"
MEMBERS = "class A:\n def __init__(s): s.y = 3\n def m(s): return 1\n x = 2\ndef make(): return A()"
GATE = "\nclass Gate:\n def __init__(self): self.opened = threading.Event()\n def wait(self):\n  self.opened.wait()\n  return 1"
TTL = "import time\nclass C:\n def __init__(self): self.t = time.time()\n def old(self): return time.time() - self.t > 0.2\n def __str__(self): return 'old' if self.old() else 'new'\n def __len__(self): return 0 if self.old() else 1\ndef make(): return C()"
COUNTS = "class C:\n n = 0\n def __str__(self): return str(self.n)\n def run(self, g):\n  g(); self.n += 1; g()\ndef make(): return C()"
RUN = "import threading\ndef run(fs):\n ts = [threading.Thread(target=f) for f in fs]\n for t in ts: t.start()\n for t in ts: t.join(5)\n"
POOL = "from concurrent.futures import ThreadPoolExecutor\nclass Pool:\n def __init__(s, n): s.p = ThreadPoolExecutor(n)\n def submit(s, f): return s.p.submit(f)\n def wait(s, fut): return fut.result(timeout=5)\n"
BARRIER = "class Barrier:\n def __init__(s, n): s.b = threading.Barrier(n)\n def wait(s): s.b.wait(5)\n"
TICKER = "import threading, time\nclass Ticker:\n def __init__(s, o=None): s.on, s.o, s.a = True, o, []\n def begin(s): threading.Thread(target=s.run, daemon=True).start()\n def run(s):\n  time.sleep(0.02)\n  for i in range(3):\n   print('tick', i); s.a.append(i); time.sleep(0.02)\n   if s.o: s.o.write(f'{i}')\n  s.on = False\n"
TASK = "import asyncio\nclass Counts:\n def __init__(s): s.n = 0\n async def begin(s): s.t = asyncio.create_task(s.run())\n async def run(s):\n  while True:\n   await asyncio.sleep(0.02)\n   s.n += 1\n def count(s): return s.n\n"
EVENT = RUN + "def f(x):\n threading.Event().wait(0.3)\n return x + 1"
CHANNEL = "import threading\nclass Channel:\n def __init__(s): s.c, s.a = threading.Condition(), []\n def put(s, x):\n  with s.c: s.a.append(x); s.c.notify()\n def get(s):\n  with s.c:\n   while not s.a: s.c.wait(5)\n   return s.a.pop(0)\n"
LOOPS = "import asyncio, threading\nasync def run(f): await asyncio.get_running_loop().run_in_executor(None, f)\nasync def slow(x):\n await asyncio.sleep(0.05)\n return x + 1"
AWAITS = "import asyncio\nasync def slow(x):\n await asyncio.sleep(0.01)\n return x + 1\nasync def f(g):\n await asyncio.sleep(0)\n return await g()"
TOTAL = (
    "async def total(a):\n t = 0\n async for x in a: t += x\n return t\nasync def gen(n):\n for i in range(n): yield i"
)
QUEUED = "import queue, threading\nq, out = queue.Queue(), []\ndef work():\n    while (x := q.get()) is not None: out.append(f(x))\nt = threading.Thread(target=work)\nt.start()\n"
_CAPTURED = "import contextlib, io, time\nout = io.StringIO()\nt = Ticker()\nwith contextlib.redirect_stdout(out):\n"
# fmt: off
WAITING = [
 ('debounce', DEBOUNCE, DEBOUNCE.replace("if t[0]", "if 0"), "import time\nhits = []\n@debounce(0.8)\ndef g(x): hits.append(x)\ng(1); g(2)\ntime.sleep(2.4)\nassert hits == [2]", {'entry_point': 'debounce'}),
 ('debounce, slept imported', DEBOUNCE, DEBOUNCE.replace("fn(*a)", "0"), "from time import sleep\nhits = []\ng = debounce(0.8)(hits.append)\ng(1)\nsleep(2.4)\nassert hits == [1]", {'entry_point': 'debounce'}),
 ('an event that the program sets', LATER, "def later(w, fn): pass", "import threading\ndone = threading.Event()\nlater(0.02, done.set)\nassert done.wait(3)", {'entry_point': 'later'}),
 ('an event that a callback sets', LATER, "def later(w, fn): pass", "from threading import Event\ndone, out = Event(), []\ndef g():\n    out.append(1)\n    done.set()\nlater(0.02, g)\ndone.wait(timeout=3)\nassert out == [1]", {'entry_point': 'later'}),
 *[(kind, LATER, "def later(w, fn): pass", test, {'entry_point': 'later'}) for kind, test in (
  ('a queue', "import queue\nq = queue.Queue()\nlater(0.05, lambda: q.put(5))\nassert q.get(timeout=3) == 5"),
  ('a simple queue', "from queue import SimpleQueue\nq = SimpleQueue()\nlater(0.05, lambda: q.put(5))\nassert q.get(timeout=3) == 5"),
  ('a condition', "import threading\nc, out = threading.Condition(), []\ndef cb():\n    with c:\n        out.append(1)\n        c.notify()\nlater(0.05, cb)\nwith c: assert c.wait_for(lambda: out, timeout=3) and not c.wait(0.05)\nassert out == [1]"),
  ('a semaphore', "import threading\ns = threading.Semaphore(0)\nlater(0.05, s.release)\nassert s.acquire(timeout=3)"),
  ('a sleep in a loop', "import asyncio\nout = []\nasync def m():\n    later(0.05, lambda: out.append(1))\n    await asyncio.sleep(1)\n    assert out == [1]\nasyncio.run(m())"),
  ('a future of a loop', "import asyncio\nasync def m():\n    loop = asyncio.get_running_loop()\n    found = loop.create_future()\n    later(0.05, lambda: loop.call_soon_threadsafe(found.set_result, 4))\n    assert await asyncio.wait_for(found, 3) == 4\nasyncio.run(m())"),
  ('a function that begins a loop while one waits', "import asyncio\nout = []\nasync def g(): out.append(1)\nasync def m():\n    later(0.05, lambda: asyncio.run(g()))\n    await asyncio.sleep(1)\n    assert out == [1]\nasyncio.run(m())"),
 )],
 ('what a task of the program does meanwhile', TASK, TASK.replace("s.n += 1", "pass"), "import asyncio\nasync def m():\n    c = Counts()\n    await c.begin()\n    await asyncio.sleep(0.5)\n    assert c.count() >= 2\nasyncio.run(m())", {'entry_point': 'Counts'}),
 # What threads print, write or add to a list is there after the wait, in what stood there when it was printed.
 ('what is printed meanwhile', TICKER, TICKER.replace("'tick', i", "i"), _CAPTURED + "    t.begin()\n    time.sleep(1)\nassert out.getvalue() == 'tick 0\\ntick 1\\ntick 2\\n'", {'entry_point': 'Ticker'}),
 ('what is printed between calls', TICKER, TICKER.replace("'tick', i", "i"), _CAPTURED + "    t.begin()\n    until = time.monotonic() + 3\n    while t.on and time.monotonic() < until: pass\n    t.on\nassert out.getvalue() == 'tick 0\\ntick 1\\ntick 2\\n'", {'entry_point': 'Ticker'}),
 ('what is printed behind a block', TICKER, TICKER.replace("time.sleep(0.02)", "pass"), _CAPTURED + "    t.begin()\ntime.sleep(0.5)\nlater = io.StringIO()\nwith contextlib.redirect_stdout(later): t.on\nassert later.getvalue() == '' and 'tick 2' not in out.getvalue()", {'entry_point': 'Ticker'}),
 ('what is written meanwhile', TICKER, TICKER.replace("f'{i}'", "'0'"), "import io, time\nout = io.StringIO()\nt = Ticker(out)\nassert t.on\nt.begin()\ntime.sleep(1)\nassert out.getvalue() == '012'", {'entry_point': 'Ticker'}),
 ('what is added meanwhile', TICKER, TICKER.replace("s.a.append(i)", "s.a.append(0)"), "import time\nt = Ticker()\na = t.a\nt.begin()\ntime.sleep(1)\nassert a == [0, 1, 2]", {'entry_point': 'Ticker'}),
 ('a sleep before a call', "def f(x): return x", "def f(x): return 0", "import time\nt = time.monotonic()\ntime.sleep(0.05)\nassert f(3) == 3 and time.monotonic() - t >= 0.05", {'entry_point': 'f'}),
 ('members of a class', MEMBERS, MEMBERS.replace('x = 2', 'x = 1'), "import inspect\nfound = dict(inspect.getmembers(A))\nassert found['x'] == 2 and 'm' in found\nassert [n for n, _ in inspect.getmembers(A, inspect.isfunction) if not n.startswith('_')] == ['m']", {'entry_point': 'A'}),
 ('members of an object', MEMBERS, MEMBERS.replace('y = 3', 'y = 4'), "import inspect\nfound = dict(inspect.getmembers(make()))\nassert found['y'] == 3 and 'm' in found\nassert [n for n, _ in inspect.getmembers(make(), inspect.ismethod) if not n.startswith('_')] == ['m']", {'entry_point': 'make'}),
 ('members that can be called', MEMBERS, MEMBERS.replace('def m(s): return 1', 'm = 1'), "import inspect\nassert [n for n, _ in inspect.getmembers(make(), callable) if not n.startswith('_')] == ['m']", {'entry_point': 'make'}),
 ('a kind of exception of the test', RETRY, RETRY.replace("range(times)", "range(1)"), "class Flaky(Exception): pass\nn = []\n@retry(3, (Flaky,))\ndef g():\n    n.append(1)\n    if len(n) < 3: raise Flaky('no')\n    return 5\nassert g() == 5 and len(n) == 3", {'entry_point': 'retry'}),
 ('another kind than that of the test', RETRY, RETRY.replace("except on", "except Exception"), "class Flaky(Exception): pass\nn = []\n@retry(3, Flaky)\ndef g():\n    n.append(1)\n    raise KeyError('no')\ntry:\n    g()\n    assert False\nexcept KeyError: pass\nassert len(n) == 1", {'entry_point': 'retry'}),
 ('a kind of exception of the program', "class NetErr(Exception): pass\n" + RETRY, "class NetErr(Exception): pass\n" + RETRY.replace("range(times)", "range(1)"), "import pytest\nn = []\n@retry(2, NetErr)\ndef g():\n    n.append(1)\n    raise NetErr('x')\nwith pytest.raises(NetErr): g()\nassert len(n) == 2", {'entry_point': 'retry'}),
 ('a kind of exception to be raised', "def f(x, e):\n if x < 0: raise e('neg')\n return x", "def f(x, e):\n if x < 0: raise ValueError('neg')\n return x", "class Bad(ValueError): pass\ntry:\n    f(-1, Bad)\n    assert False\nexcept Bad as e: assert str(e) == 'neg'", {'entry_point': 'f'}),
 ('the name of a kind of the test', "def f(e): return type(e).__name__, str(e)", "def f(e): return 'ValueError', str(e)", "class My(ValueError): pass\nassert f(My('x')) == ('My', 'x')", {'entry_point': 'f'}),
 ('assertRaises by another name', NEG, "def f(x): return x", "import unittest\nraising = unittest.TestCase().assertRaises\nraising(ValueError, f, -1)", {'entry_point': 'f'}),
 ('raises by another name', NEG, "def f(x): return x", "import functools, pytest\ncheck = pytest.raises\ncheck(ValueError, f, -1)\nfunctools.partial(pytest.raises, ValueError)(f, -2)", {'entry_point': 'f'}),
 ('the text of what gather gives', "async " + NEG, "async def f(x): return x", "import asyncio\nasync def m():\n    found = await asyncio.gather(f(1), f(-1), return_exceptions=True)\n    assert found[0] == 1 and str(found[1]) == 'neg' and repr(found[1]) == \"ValueError('neg')\"\nasyncio.run(m())", {'entry_point': 'f'}),
 ('text of the test with a clause', NEG, "def f(x): return x", "text = 'try:\\n    f(-1)\\n    ok = False\\nexcept ValueError:\\n    ok = True'\nnames = {'f': f}\nexec(text, names)\nassert names['ok'] and f(2) == 2", {'entry_point': 'f'}),
 ('a call that waits for what a thread calls', WORKER, WORKER.replace("s.q.get()()", "s.q.get()"), "out = []\nw = W()\nfor i in range(5): w.submit(lambda i=i: out.append(i))\nw.join()\nassert out == [0, 1, 2, 3, 4]", {'entry_point': 'W'}),
 ('a thread calls what asks the program', WORKER + "\ndef f(x): return x + 1", WORKER + "\ndef f(x): return x", "out = []\nw = W()\nfor i in range(5): w.submit(lambda i=i: out.append(f(i)))\nw.join()\nassert out == [1, 2, 3, 4, 5]", {'entry_point': ['W', 'f']}),
 # What a function of the tests asks may wait for a thread, and that one for a function of theirs.
 ('a thread that a function of the tests waits for', RUN, RUN.replace("t.join(5)", "pass"), "import time\nout = []\ndef inner(): out.append(2)\ndef outer():\n    out.append(1)\n    run([inner])\n    out.append(3)\nrun([outer])\nassert out == [1, 2, 3]", {'entry_point': 'run'}),
 ('a future that a function of the tests waits for', POOL, POOL.replace("fut.result(timeout=5)", "2"), "p = Pool(2)\nout = []\ndef child():\n    out.append(1)\n    return 2\ndef parent(): return p.wait(p.submit(child)) + 1\nassert p.wait(p.submit(parent)) == 3 and out == [1]", {'entry_point': 'Pool'}),
 ('a barrier', RUN + BARRIER, RUN + BARRIER.replace("s.b.wait(5)", "pass"), "import functools, time\nb = Barrier(3)\nout = []\ndef g(s):\n    time.sleep(s)\n    out.append(0)\n    b.wait()\n    out.append(1)\nrun([functools.partial(g, s) for s in (0, 0.1, 0.2)])\nassert out == [0, 0, 0, 1, 1, 1]", {'entry_point': ['run', 'Barrier']}),
 ('a lock around what asks the program', RUN + "def f(x): return x + 1", RUN + "def f(x): return x", "import threading\nlock, out = threading.Lock(), []\ndef g():\n    with lock: out.append(f(len(out)))\nrun([g] * 6)\nassert out == [1, 2, 3, 4, 5, 6]", {'entry_point': ['run', 'f']}),
 ('a lock around what sleeps', RUN + "import time\ndef f(x):\n time.sleep(0.3)\n return x + 1", RUN + "def f(x): return x", "import threading\nlock, out = threading.Lock(), []\ndef g():\n    with lock: out.append(f(len(out)))\nrun([g] * 2)\nassert out == [1, 2]", {'entry_point': ['run', 'f']}),
 ('a lock around what works for a while', RUN + "def f(x):\n for _ in range(400000): pass\n return x + 1", RUN + "def f(x): return x", "import threading\nlock, out = threading.Lock(), []\ndef g():\n    with lock: out.append(f(len(out)))\nrun([g] * 2)\nassert out == [1, 2]", {'entry_point': ['run', 'f']}),
 # Each thread of the program that calls a function of the tests has one of theirs: they wait for each other as they would anywhere.
 ('a lock around what waits', EVENT, EVENT.replace("x + 1", "x"), "import threading\nlock, out = threading.Lock(), []\ndef g():\n    with lock: out.append(f(len(out)))\nrun([g] * 2)\nassert out == [1, 2]", {'entry_point': ['run', 'f']}),
 ('as many threads as a program may have', EVENT, EVENT.replace("x + 1", "x"), "out = []\ndef g(): out.append(f(1))\nrun([g] * 28)\nassert out == [2] * 28", {'entry_point': ['run', 'f']}),
 ('a lock of one thread', EVENT, EVENT.replace("x + 1", "x"), "import threading\nlock, out = threading.RLock(), []\ndef g():\n    with lock:\n        n = len(out)\n        out.append(f(n))\nrun([g] * 2)\nassert out == [1, 2]", {'entry_point': ['run', 'f']}),
 ('a lock that the tests hold while they ask', RUN + LATER, RUN + "def later(w, fn): pass", "import threading, time\nlock, out = threading.Lock(), []\ndef g():\n    with lock: out.append(2)\nwith lock:\n    later(0.05, g)\n    time.sleep(0.3)\n    out.append(1)\ntime.sleep(0.3)\nassert out == [1, 2]", {'entry_point': ['run', 'later']}),
 ('a lock that others do not need', RUN, "def run(fs): pass", "import threading\nlock, out = threading.Lock(), []\ndef g():\n    with lock:\n        run([lambda: out.append(1)])\n        out.append(2)\nrun([g])\nassert out == [1, 2]", {'entry_point': 'run'}),
 ('functions that run at once', RUN, "def run(fs):\n for f in fs: f()", "import threading, time\nnow, most, lock = [0], [0], threading.Lock()\ndef g():\n    with lock:\n        now[0] += 1\n        most[0] = max(now[0], most[0])\n    time.sleep(0.5)\n    with lock: now[0] -= 1\nrun([g] * 3)\nassert most == [3] and now == [0]", {'entry_point': 'run'}),
 ('a producer and a consumer', CHANNEL + RUN, CHANNEL.replace("s.a.append(x)", "s.a.append(0)") + RUN, "c, out = Channel(), []\ndef produce():\n    for i in range(3): c.put(i)\ndef consume():\n    for _ in range(3): out.append(c.get())\nrun([consume, produce])\nassert out == [0, 1, 2]", {'entry_point': ['Channel', 'run']}),
 ('a barrier of the tests', RUN, "def run(fs):\n for f in fs: f()", "import threading\nb, out = threading.Barrier(2), []\ndef g():\n    b.wait(1)\n    out.append(1)\nrun([g, g])\nassert out == [1, 1]", {'entry_point': 'run'}),
 ('which thread it is', RUN, "def run(fs):\n for f in fs: f()", "import threading\nout = []\ndef g():\n    out.append(threading.get_ident())\n    b.wait(2)\nb = threading.Barrier(2)\nrun([g, g])\nassert len(set(out)) == 2 and threading.get_ident() not in out", {'entry_point': 'run'}),
 ('a test thread that waits for a callback', LATER, "def later(w, fn): pass", "import threading\nout = []\ndone = threading.Event()\ndef g():\n    out.append(5)\n    done.set()\nt = threading.Thread(target=lambda: (done.wait(2), out.append(6)))\nt.start()\nlater(0.05, g)\nt.join()\nassert out == [5, 6]", {'entry_point': 'later'}),
 ('a test thread that asks in a loop', LATER, "def later(w, fn): pass", "import threading, time\nout = []\nlater(0.05, lambda: out.append(5))\ndef wait():\n    until = time.time() + 2\n    while not out and time.time() < until: time.sleep(0.01)\nt = threading.Thread(target=wait)\nt.start()\nt.join()\nassert out == [5]", {'entry_point': 'later'}),
 ('a loop in a function that a thread calls', LOOPS, LOOPS.replace("x + 1", "x"), "import asyncio\nout = []\ndef g(): out.append(asyncio.run(slow(1)))\nasyncio.run(run(g))\nassert out == [2]", {'entry_point': ['run', 'slow']}),
 # What the program awaits of the tests' own may itself await the program's.
 ('a coroutine of the tests that awaits one of the program', AWAITS, AWAITS.replace("x + 1", "x"), "import asyncio\nasync def g(): return await slow(1)\nasync def m():\n    assert await f(g) == 2\n    assert await f(g) + await slow(1) == 4\nasyncio.run(m())", {'entry_point': ['f', 'slow']}),
 ('an asynchronous generator of the tests', TOTAL, TOTAL.replace("t += x", "t += 1"), "import asyncio\nasync def g():\n    for i in range(3):\n        await asyncio.sleep(0.01)\n        yield i\nasync def m(): assert await total(g()) == 3 and await total(x async for x in g() if x) == 3\nasyncio.run(m())", {'entry_point': 'total'}),
 ('an asynchronous generator of the tests over one of the program', TOTAL, TOTAL.replace("yield i", "yield 0"), "import asyncio\nasync def g(n):\n    async for i in gen(n): yield 10 * i\nasync def m(): assert await total(g(3)) == 30\nasyncio.run(m())", {'entry_point': ['total', 'gen']}),
 ('an asynchronous generator of the tests that raises', TOTAL, TOTAL.replace("return t", "return t + 1"), "import asyncio\nasync def g():\n    yield 1\n    raise KeyError(5)\nasync def one(): yield 1\nasync def m():\n    try: await total(g())\n    except KeyError as e: assert e.args == (5,)\n    else: assert 0\n    assert await total(one()) == 1\nasyncio.run(m())", {'entry_point': 'total'}),
 # Threads that one test begins and a later one ends.
 ('a worker over several tests', "def f(x): return x + 1", "def f(x): return x", [QUEUED + "q.put(1)", "q.put(2); q.put(None); t.join()\nassert out == [2, 3]"], {'entry_point': 'f'}),
 ('a worker over several tests that fails', "def f(x): return x + 1", "def f(x): return x", [QUEUED.replace("out.append(f(x))", "assert f(x) == x + 1") + "q.put(1)", "q.put(2); q.put(None)"], {'entry_point': 'f'}),
 # Whoever starts a thread in a callback has it heard; what an object says may change while the tests sleep, or call.
 ('a gate that a thread of a callback waits at', LATER + GATE, LATER + GATE.replace("self.opened.wait()", "pass"), "import threading, time\nout = []\ngate = Gate()\ndef cb(): threading.Thread(target=lambda: out.append(gate.wait()), daemon=True).start()\nlater(0.05, cb)\ntime.sleep(1.5)\nassert out == []", {'entry_point': ['later', 'Gate']}),
 ('an event behind a short thread', LATER, LATER.replace("fn).start()", "print).start()"), "import threading\ndone = threading.Event()\nlater(0.05, lambda: threading.Timer(0.2, lambda: None).start())\nlater(0.6, done.set)\nassert done.wait(5)", {'entry_point': 'later'}),
 ('what expires while the tests sleep', TTL, TTL.replace("> 0.2", "> 20"), "import time\nc = make()\nassert len(c) == 1 and str(c) == 'new'\ntime.sleep(0.5)\nassert len(c) == 0 and str(c) == 'old'", {'entry_point': 'make'}),
 ('what an object says in a callback', COUNTS, COUNTS.replace("+= 1", "+= 2"), "c = make()\nseen = []\nc.run(lambda: seen.append(str(c)))\nassert seen == ['0', '1']", {'entry_point': 'make'}),
 # An exit in a function of the tests ends the call that it is in, and no later one answers for it.
 *[(f'{kind} in a callback', "def f(g): return g()\ndef k(x): return x + 1", "def f(g): return g()\ndef k(x): return x", f"import asyncio, sys, pytest\ndef g(): raise {kind}\nwith pytest.raises({kind}): f(g)\nassert k(1) == 2\nassert f(lambda: k(2)) == 3", {'entry_point': ['f', 'k']}) for kind in ("SystemExit", "KeyboardInterrupt", "asyncio.CancelledError", "GeneratorExit")],
 ('coroutines as they end', 'import asyncio\nasync def f(n):\n await asyncio.sleep(0)\n return n * 2', 'import asyncio\nasync def f(n):\n await asyncio.sleep(0)\n return n * 3', 'import asyncio\nasync def main():\n    got = [await c for c in asyncio.as_completed([f(1), f(2)])]\n    assert sorted(got) == [2, 4]\nasyncio.run(main())', {'entry_point': 'f'}),
 ('coroutines as they end, of a class that lies', 'import asyncio\nasync def f(n):\n await asyncio.sleep(0)\n return n * 2', 'class Yes(int):\n __eq__ = __lt__ = lambda s, o: True\nclass f:\n def __init__(s, n): pass\n def __await__(s):\n  return Yes()\n  yield', 'import asyncio\nasync def main():\n    got = [await c for c in asyncio.as_completed([f(1), f(2)])]\n    assert sorted(got) == [2, 4]\nasyncio.run(main())', {'entry_point': 'f'}),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in WAITING], ids=[c[0] for c in WAITING])
def test_a_style_tells_right_from_wrong(sandbox, right, wrong, test, arguments):
    tests = [test] if isinstance(test, str) else test
    result = sandbox.run_tests(right, tests, limits=LIMITS, **arguments)
    assert result.passed, result.reason
    assert not sandbox.run_tests(wrong, tests, limits=LIMITS, **arguments).passed


@pytest.mark.parametrize(
    ("program", "test", "arguments"),
    [
        (
            "class inc(Exception): pass\ndef compose(*fs): return 5",
            "assert compose(inc, inc) == 3\nimport unittest\nunittest.TestCase().assertRaises(TypeError, inc, 'a')",
            {"entry_point": ["inc", "compose"]},
        ),
        (
            "class NetErr(Exception): pass\ndef retry(on): return 0",
            "@retry(on=NetErr)\ndef g(): return 5\ntry:\n    assert g() == 5\nexcept NetErr: pass",
            {"entry_point": "retry"},
        ),
    ],
)
def test_a_program_has_no_test_called_off_by_what_it_says_to_be_an_exception(sandbox, program, test, arguments):
    result = sandbox.run_tests(program, [test], limits=LIMITS, **arguments)
    assert result.verdict == "fail"
