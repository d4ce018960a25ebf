"""What the tests have given to the program and get back is what it was: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

_F = {"entry_point": "f"}
_SAME = "def f(given): return given"
_KEPT = "KEPT = []\ndef f(g):\n KEPT.append(g)\n return g"
_OTHER = "def f(g): return lambda *a, **k: g"
_MOCKS = "from unittest.mock import AsyncMock, Mock, call, create_autospec\n"
_COUNTDOWN = "class It:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n    def __next__(self):\n        if not self.n: raise StopIteration\n        self.n -= 1\n        return self.n"
_RESET = "class It:\n    def __init__(self, n): self.n = n\n    def __iter__(self):\n        self.i = -1\n        return self\n    def __next__(self):\n        self.i += 1\n        if self.i == self.n: raise StopIteration\n        return self.i"
_EMITTER = "class E:\n def __init__(s): s.h = []\n def on(s, g): s.h.append(g); return g\n def fire(s, x):\n  for g in s.h: g(x)"
# fmt: off
STYLES = [
 # Streams.
 ("which stream", "def f(s): s.write('x'); return s", "def f(s): return s", ["import io\ns = io.StringIO()\nassert f(s) is s and s.getvalue() == 'x' and f(s).getvalue() == 'xx' and f(s) == s\nr = f(s)\nr.seek(0)\nassert r.read() == s.getvalue() == 'xxxx' and {s: 1}[r] == 1 and r in [s] and type(r) is io.StringIO"], _F),
 ("a stream that an object keeps", "class L:\n def __init__(s, o): s.out = o\n def log(s, x): print(x, file=s.out)", "class L:\n def __init__(s, o): s.out = o\n def log(s, x): s.out.write(x)", ["import io\no = io.StringIO()\nl = L(o)\nl.log('a')\nassert l.out.getvalue() == 'a\\n' and l.out is o\nprint('b', file=l.out)\nl.out.write('c')\nassert o.getvalue() == 'a\\nb\\nc' and isinstance(l.out, io.StringIO)"], {"entry_point": "L"}),
 ("what the library does with a stream", _SAME, "import io\ndef f(s): return io.StringIO()", ["import io, contextlib, csv, json\ns = io.StringIO()\nr = f(s)\nprint('a', file=r)\nwith contextlib.redirect_stdout(r): print('b')\nassert s.getvalue() == 'a\\nb\\n'\ncsv.writer(r).writerow([1, 2])\nr.seek(0)\nassert list(csv.reader(r)) == [['a'], ['b'], ['1', '2']]\nr.truncate(0)\nr.seek(0)\njson.dump([1], r)\nr.seek(0)\nassert json.load(r) == [1]\nr.seek(0)\nassert r.tell() == 0 and r.readline() == '[1]' and r.readlines() == []\nwith r as q: q.write('x')\nassert r.closed and s.closed"], _F),
 ("bytes", "def f(b): b.write(b'PK'); return b", _SAME, ["import io\nr = f(io.BytesIO())\nassert r.getvalue() == b'PK'\nr.seek(0)\nassert r.read(1) == b'P' and io.BytesIO(r.read()).read() == b'K'\nr.seek(0)\nassert io.TextIOWrapper(r).read() == 'PK'"], _F),
 ("lines of a stream", "def f(s): s.write('a\\nb\\n'); s.seek(0); return s", "def f(s): s.write('a\\n'); s.seek(0); return s", ["import io\nr = f(io.StringIO())\nassert [l.strip() for l in r] == ['a', 'b']\nr.seek(0)\nassert next(r) == 'a\\n' and list(r) == ['b\\n']\nassert list(r) == []\nr.seek(0)\nassert len(list(r)) == 2"], _F),
 ("a stream that goes back", "def f(s): s.write('x'); return s", "def f(s): s.write('y'); return s", ["import io\ns = io.StringIO()\nassert f(f(s)).getvalue() == 'xx' and f(f(s)) is s"], _F),
 # Functions.
 ("functions in a class", _KEPT, _OTHER, ["class P:\n    @f\n    def go(self, x): return x + 1\n    @staticmethod\n    @f\n    def st(x): return x * 2\n    @classmethod\n    @f\n    def cl(cls): return cls.__name__\n    @property\n    @f\n    def pr(self): return 7\np = P()\nassert p.go(1) == 2 and P.st(2) == 4 and P.cl() == 'P' and p.pr == 7 and P.go(p, 3) == 4 and p.go.__name__ == 'go'"], _F),
 ("what is said of a function", _KEPT, _OTHER, ["import copy, inspect, types\n@f\ndef g(a, b: int = 3, *, c='x') -> int:\n    'doc'\n    return a + b\nassert str(inspect.signature(g)) == \"(a, b: int = 3, *, c='x') -> int\" and g.__doc__ == 'doc' and g.__defaults__ == (3,)\nassert g(1) == 4 and inspect.isfunction(g) and callable(g) and g.__code__.co_argcount == 2 and copy.deepcopy([g]) == [g]\nassert isinstance(g, types.FunctionType) and type(g) is types.FunctionType and f(g) is g"], _F),
 ("attributes of a function", _KEPT, _OTHER, ["def g(): return g.n\ng.n = 5\nh = f(g)\nassert h is g and h.n == 5 and h() == 5\nh.n = 6\nassert g.n == 6 and vars(h) == {'n': 6}"], _F),
 ("a function with what cannot leave", _KEPT, "def f(g): return lambda c, x: c", ["class C:\n    def __init__(self): self.log = []\n    def add(self, x): self.log.append(x)\n@f\ndef h(c, x):\n    c.add(x)\n    return c\nc = C()\nassert h(c, 3) is c and c.log == [3]"], _F),
 ("what a function raises", _KEPT, _OTHER, ["import pytest\nclass E(Exception): pass\n@f\ndef h(): raise E(3)\nwith pytest.raises(E) as e: h()\nassert e.value.args == (3,)"], _F),
 ("a function that others wrap and call", _KEPT, _OTHER, ["import functools\nfrom concurrent.futures import ThreadPoolExecutor\n@f\ndef g(x): return x * 2\n@functools.wraps(g)\ndef w(*a): return g(*a)\nassert w(3) == 6 and w.__name__ == 'g' and w.__wrapped__ is g\nwith ThreadPoolExecutor(2) as p: assert list(p.map(g, [1, 2])) == [2, 4]\nassert sorted([1, 3], key=f(lambda x: -x)) == [3, 1]", "@f\ndef fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)\nassert fib(10) == 55"], _F),
 ("coroutines of a function", _KEPT, _OTHER, ["import asyncio\nready = []\n@f\nasync def g(x):\n    ready.append(x)\n    while len(ready) < 2: await asyncio.sleep(0)\n    return x\nasync def main(): return await asyncio.gather(g(1), g(2))\nassert asyncio.run(main()) == [1, 2] and asyncio.iscoroutinefunction(g)"], _F),
 ("generators of a function", _KEPT, _OTHER, ["import contextlib, types\n@f\ndef g(n):\n    for i in range(n): yield i\nassert list(g(3)) == [0, 1, 2] and list(g(2)) == [0, 1] and isinstance(g(1), types.GeneratorType) and next(g(1)) == 0\nfor x in g(0): assert False\n@contextlib.contextmanager\n@f\ndef cm():\n    try: yield 3\n    except KeyError: pass\nwith cm() as x: assert x == 3\nwith cm() as x: raise KeyError(1)", "@f\ndef g():\n    got = yield 1\n    yield got * 2\ni = g()\nassert next(i) == 1 and i.send(4) == 8\ni.close()\nassert list(i) == []"], _F),
 ("what a function gives", _KEPT, _OTHER, ["import datetime, decimal, pathlib\n@f\ndef g(): return {1, 2}, datetime.date(2020, 1, 1), decimal.Decimal(3), pathlib.Path('a'), ValueError(3), int\na = g()\nassert a[0] == {1, 2} and a[3].name == 'a' and a[4].args == (3,) and a[5] is int", "l = []\n@f\ndef g(): return l\nassert g() is l\ng().append(3)\nassert l == [3]", "@f\ndef make(n):\n    def inner(x): return x + n\n    return inner\nadd = make(3)\nassert add(4) == 7 and make(1)(1) == 2"], _F),
 ("functions of an earlier test", _EMITTER, _EMITTER.replace("g(x)", "g(0)"), ["e, out = E(), []\n@e.on\ndef hear(x): out.append(x)\ne.fire(1)\nassert out == [1]", "e.fire(2)\nhear(3)\nassert out == [1, 2, 3] and e.h == [hear] and e.h[0] is hear and hear in e.h\ne.h[0](4)\nassert out[-1] == 4"], {"entry_point": "E"}),
 # Mocks, and what is in containers.
 ("a function in the arguments of a mock", "def f(m, g): m(g); return g", "def f(m, g): m(f); return g", [_MOCKS + "def g(): pass\nm, n = Mock(), Mock()\nr = f(m, g)\nm.assert_called_once_with(g)\nassert m.call_args.args[0] is g\nf(n, r)\nn.assert_called_once_with(r)"], _F),
 ("mocks in a list", "def f(ms):\n ms[0](3)\n return ms", "def f(ms): return ms", [_MOCKS + "m = Mock()\nl = [m, m]\nr = f(l)\nassert r is l and r[0] is m and l == [m, m]\nm.assert_called_once_with(3)\nl[0].assert_called_once_with(3)\nr.append(4)\nassert l == [m, m, 4]"], _F),
 ("mocks in a default dict, and in a deque", _SAME, "def f(given): return dict(given)", [_MOCKS + "from collections import defaultdict, deque\nm = Mock()\nd = defaultdict(lambda: 5, a=m)\nr = f(d)\nassert r is d and r['a'] is m and r['b'] == 5\nq = f(deque([m, 1], maxlen=2))\nq.append(2)\nassert list(q) == [1, 2]"], _F),
 ("functions in a list", _SAME, "def f(gs): return gs[:1]", ["def g(x): return x + 1\nl = [g, len]\nr = f(l)\nassert r is l and r[0] is g and l[0](1) == 2 and r[1]([1]) == 1 and l == [g, len] and [h.__name__ for h in r] == ['g', 'len']"], _F),
 ("iterators in a list", "def f(its): next(its[0]); return its", "def f(its): return its", ["i = iter([1, 2, 3])\nr = f([i])\nassert r[0] is i and iter(r[0]) is i and next(r[0]) == 2 and list(i) == [3]"], _F),
 ("an assertion of the tests' own mock", "def f(m): m(3); return m", "def f(m): m(4); return m", [_MOCKS + "class K(Mock):\n    def assert_three(self): assert self.call_args.args == (3,)\nf(K()).assert_three()"], _F),
 ("how mocks were asked", "def f(m):\n m.a(1)\n m.b(2)\n return m", "def f(m):\n m.b(2)\n m.a(1)\n return m", [_MOCKS + "r = f(Mock())\nassert r.method_calls == r.mock_calls == [call.a(1), call.b(2)]\nr.a.assert_called_once_with(1)\nr.assert_has_calls([call.a(1), call.b(2)])"], _F),
 ("how a coroutine was awaited", "async def f(m):\n await m(1)\n return m", "async def f(m):\n m(1)\n return m", [_MOCKS + "import asyncio\nr = asyncio.run(f(AsyncMock()))\nr.assert_awaited_once_with(1)\nassert r.await_count == 1"], _F),
 ("a mock that has the form of a function", "def f(g):\n g(1)\n return g", "def f(g):\n g(2)\n return g", [_MOCKS + "def s(a): pass\nm = create_autospec(s)\nr = f(m)\nassert r is m\nr.assert_called_once_with(1)\nassert r.call_count == 1 and m.called and r.__name__ == 's'"], _F),
 ("a mock that the setup has given", "class S:\n def __init__(s, db): s.db = db\n def save(s, x): s.db.put(x)", "class S:\n def __init__(s, db): s.db = db\n def save(s, x): s.db.put(0)", ["db = Mock()\ns = S(db)\ns.save(3)\ns.db.put.assert_called_once_with(3)", "s = S(db)\ns.save(4)\ns.db.put.assert_called_with(4)"], {"entry_point": "S", "setup": "from unittest.mock import Mock"}),
 ("a mock that an object has from an earlier test", "class S:\n def __init__(s, db): s.db = db\n def save(s, x): s.db.put(x)", "class S:\n def __init__(s, db): s.db = db\n def save(s, x): s.db.put(3)", [_MOCKS + "db = Mock()\ns = S(db)\ns.save(3)\ns.db.put.assert_called_once_with(3)", "s.save(4)\ns.db.put.assert_called_with(4)\nassert s.db.put.call_count == 2"], {"entry_point": "S"}),
 ("how often the program's own says that it was called", "import functools\ndef f(g):\n @functools.wraps(g)\n def w(*a):\n  w.call_count += 1\n  return g(*a)\n w.call_count = 0\n return w", "def f(g):\n def w(*a): return g(*a)\n w.call_count = 0\n return w", [_MOCKS + "m = Mock()\ng = f(m)\ng(1)\nassert g.call_count == 1\nm.assert_called_once_with(1)"], _F),
 ("a named tuple that a function of the tests gives", "def f(x): return x", "def f(x): return lambda: (1, 2)", ["from collections import namedtuple\nP = namedtuple('P', 'a b')\ndef g(): return P(1, lambda: 2)\nassert isinstance(f(g)(), P) and f(g)().b() == 2", "class K(tuple): pass\nk = K([lambda: 1])\ndef g(): return k\nassert type(f(g)()) is K"], {"entry_point": "f"}),
 ("a deque that is gone over meanwhile", "def f(x): return x", "def f(x): return [1, 2]", ["from collections import deque\ns = deque([lambda: 1])\nfor k in s: assert len(f(s)) == 1"], {"entry_point": "f"}),
 # Iterators of the task's classes.
 ("an iterator of the task's", "def f(n): return It(n)\ndef total(it): return sum(it)", "def f(n): return It(n + 1)\ndef total(it): return 0", ["import pytest\nr = f(3)\nassert iter(r) is r and list(r) == [2, 1, 0]\nassert list(r) == []\nassert next(r, None) is None\ni = It(2)\nassert total(i) == 1\nassert list(i) == []\ns = f(2)\nassert next(s) == 1 and next(s) == 0\nwith pytest.raises(StopIteration): next(s)"], {"entry_point": "f", "setup": _COUNTDOWN}),
 ("an iterator of the task's that begins anew", "def f(n): return It(n)", "def f(n): return It(0)", ["r = f(3)\nassert list(r) == [0, 1, 2]\nassert len(list(r)) == 3\nfor x in r: assert x < 3\nassert max(r) == 2"], {"entry_point": "f", "setup": _RESET}),
 ("an iterator that the tests keep to themselves", "def f(n): return n + 1", "def f(n): return n", ["i = It(2)\nassert len(list(i)) == 2\nfor x in i: assert x == 77\nassert f(1) == 2"], {"entry_point": "f", "setup": _COUNTDOWN}),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "tests", "arguments"), [c[1:] for c in STYLES], ids=[c[0] for c in STYLES])
def test_a_style_tells_right_from_wrong(sandbox, right, wrong, tests, arguments):
    assert_tells(sandbox, right, wrong, tests, arguments)
