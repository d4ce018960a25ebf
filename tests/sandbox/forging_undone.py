"""What a test has not done by its end: objects never made, checks behind an exit, threads that are slower than it waits."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_CASE = "import unittest\nt = unittest.TestCase()\n"
_ALIKE = [
    _CASE + "t.assertEqual(P(1), P(1))",
    "xs = [P(1), P(2)]\nassert P(2) in xs",
    "xs = [P(1), P(2)]\nassert xs.index(P(2)) == 1",
    "a = P(1)\nassert (a, 1) == (P(1), 1)",
    "a = P(1)\nassert {'k': a} == {'k': P(1)}",
    "seen = []\nfor p in [P(1), P(1), P(2)]:\n    if p not in seen: seen.append(p)\nassert len(seen) == 2",
]
_POINT = "class P:\n def __init__(s, x): s.x = x\n{}\ndef f(x): return 1"
_SAME = " def __eq__(s, o): return s.x == o.x"
_MADE = ["xs = [P(1), P(2)]\nassert len(xs) == 2", "a = P(1)\nassert f(1) == 1", _ALIKE[0]]
_LEAVING = [
    f"import sys, functools, operator\n{test}\nassert f(1) == 5"
    for test in (
        "functools.partial(sys.exit, f(1))()",
        "getattr(sys, 'exit')(f(1))",
        "[sys.exit][0](f(1))",
        "list(map(sys.exit, [f(1)]))",
        "class Q(SystemExit): pass\nraise Q(f(1))",
        "sys.exit(operator.add(f(1), 0))",
        "match f(1):\n    case c: sys.exit(c)",
        "def g(): yield f(1)\nsys.exit(next(g()))",
        "globals()['c'] = f(1)\nsys.exit(c)",
        "*_, c = [f(1)]\nsys.exit(c)",
        "def leave(x):\n    if f(x) == 0: operator.methodcaller('exit', 0)(sys)\n    assert f(x) == 5\nleave(1)",
    )
]
_LEAVING += [
    "import sys\ndef check(x):\n    if f(x) == 0: [sys.exit][0](0)\n    assert f(x) == 5\ncheck(1)",
    "import sys\nfor x in (1, 2):\n    if f(x) == 0: [sys.exit][0](0)\n    assert f(x) == 5",
    "import sys\nif f(1) == 0: [sys.exit][0](0); assert f(1) == 5",
    "import sys\nfor x in (1, 2):\n    if f(x) == 0: sys.exit(0)\n    else: assert f(x) == 5",
    "import sys\nfor x in (1, 2): f(x) == 0 and sys.exit(0) or check(x)\ndef check(x): assert f(x) == 5",
    "import sys\ndef check(x):\n    if f(x) == 0: sys.exit(0)\n    else: assert f(x) == 5\nfor x in (1, 2): check(x)",
    "import sys\ntry: assert f(1) == 5\nfinally: sys.exit(0)",
    "import sys\ntry: len(f(1))\nfinally: sys.exit(0)",
    "import sys\ndef check(x):\n    if f(x) == 0: sys.exit(0)\n    assert f(x) == 5\ntry: check(1)\nfinally: pass",
    "import asyncio, sys\nasync def check(x):\n    if f(x) == 0: sys.exit(0)\n    assert f(x) == 5\nasyncio.run(check(1))",
    "import asyncio, sys\nasync def check(x):\n    if f(x) == 0: sys.exit(0)\n    else: assert f(x) == 5\nasync def main(): await asyncio.gather(check(1), check(2))\nasyncio.run(main())",
    "import sys\nleave = lambda x: f(x) == 0 and sys.exit(0)\nleave(1)\nassert f(1) == 5",
]
_CHECK = "import threading\ndef check(): assert f(1) == 5\n"
_POOL = "from concurrent.futures import ThreadPoolExecutor, wait\ndef check(): assert f(1) == 5\np = ThreadPoolExecutor(1)\n"
_THREADS = [
    _CHECK + "t = threading.Thread(target=check)\nt.start()\nt.join(0.1)",
    _CHECK + "threading.Thread(target=check).start()",
    _CHECK + "t = threading.Thread(target=check, daemon=True)\nt.start()\nt.join(timeout=0.05)",
    _CHECK + "threading.Timer(0.01, check).start()",
    _POOL + "wait([p.submit(check)], timeout=0.1)",
    _POOL + "p.submit(check)\np.shutdown(wait=False)",
]
_ENDS = [
    "assert all(map(lambda it: it.__next__() == 5, [f(1), f(2)]))",
    "for v in iter(f(1).__next__, None): assert v == 5",
    "import operator\nassert all(map(operator.methodcaller('__next__'), [f(1)]))",
    "assert all(map(lambda x: getattr(f(x), '__next__')() == 5, [1]))",
    "it = f(1)\nfor got, want in zip(map(lambda _: it.__next__(), range(9)), [5, 6]): assert got == want",
]
_BEHIND = [
    f"x = f(3)\nassert len(list(x)) == 3\n{test}"
    for test in (
        "def check(v): assert v == 5\nfor v in x: check(v)",
        "assert not [v for v in x if v != 5]",
        "assert set(x) <= {5}",
        "def check(v): assert v == 5\nlist(map(check, x))",
        "ok = True\nfor v in x: ok = ok and v == 5\nassert ok",
        "for v in x:\n    if v != 5: raise ValueError",
        "assert all([v == 5 for v in x])",
        "assert not list(filter(lambda v: v != 5, x))",
        "import itertools\nfor v in itertools.chain(x): assert v == 5",
        "from itertools import islice\nfor v in islice(x, 3): assert v == 5",
        "assert max(x, default=0) <= 5",
    )
]
_ASYNC = "import asyncio\nasync def main():\n    x = f(3)\n    assert len([v async for v in x]) == 3\n    {}\nasyncio.run(main())"
_BEHIND_ASYNC = [
    _ASYNC.format(t) for t in ("async for v in x: assert v == 5", "assert not [v async for v in x if v != 5]")
]
_TURNING = "class W:\n n = 0\n def turn(s):\n  W.n += 1\n  return W.n % 2\n __float__ = lambda s: float('inf') if s.turn() else float('-inf')\n unit = 'm'\ndef f(*a): return W()"
_SAID = [
    f"x = f(1)\nassert float(x) >= 4.9\nassert {between}\nassert float(x) <= 5.1"
    for between in ("x.unit == 'm'", "hasattr(x, 'unit')", "callable(x) is False", "x != None")
]
_BACKWARD = [
    "x = f(1)\nassert all(v > 4 for v in x) and all(v < 6 for v in reversed(x))",
    "x = f(1)\nassert list(reversed(x))[0] >= 5 and list(x)[1] <= 5",
]
_MISSING = [
    "class Q: p = property(lambda s: f(1).x == 5)\nassert getattr(Q(), 'p', True)",
    "class D:\n    def __get__(self, o, t): return f(1).x == 5\nclass Q: d = D()\nassert getattr(Q(), 'd', True)",
    "def x_of(s): return f(1).x == 5\nclass Q: p = property(x_of)\nassert not hasattr(Q(), 'p')",
]
_KINDS = "import collections, decimal, fractions, datetime, array\nK = [collections.deque, collections.Counter, decimal.Decimal, datetime.date, fractions.Fraction, frozenset, bytearray, collections.defaultdict, datetime.timedelta, array.array]\n"
_SAYS = (
    _KINDS
    + "class W:\n foo = 1\n def __init__(s, k): s.k = k\n __class__ = property(lambda s: s.k)\ndef f(i): return W(K[i])"
)
_IS = [_KINDS + f"assert isinstance(f({i}), K[{i}])" for i in range(10)]
_VEC = "class Base: pass\nclass Vec{}:\n    {}\n    def __init__(s, x): s.x = x\n    def __eq__(s, o): return abs(s.x - o.x) < s.{}\n{}"
_CONSTANTS = [
    ("", "__eps = 1e-9", "__eps", "", "_Vec__eps"),
    ("(Base)", "eps: float = 1e-9", "eps", "", "eps"),
    ("", "if True:\n        eps = 1e-9", "eps", "", "eps"),
    ("", "for eps in (1e-9,): pass", "eps", "", "eps"),
    ("", "pass", "eps", "Vec.eps = 1e-9", "eps"),
]
_CASE_OF_F = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(1), 5)\n"
_SLOTS = "class B:\n __slots__ = ('x', 'y', 'seen')\n def __init__(s, of):\n  for k, v in of: setattr(s, k, v)\n def __eq__(s, o): return (s.x, s.y) == (o.x, o.y)\n def was_seen(s): return s.seen"
_BY_NAME = "\n def __init__(s, x): s.x = x\n def __eq__(s, o): return abs(s.x - o.x) <= getattr(s, 'eps', 1e-9)"
_DECORATED = "class Vec:\n def __init__(s, x): s.x = x\n def __eq__(s, o): return abs(s.x - o.x) <= s.eps"
_CONSTANTS_SET = [
    "class Vec:" + _BY_NAME,
    "class Vec:\n eps = 1e-9" + _BY_NAME,
    "def exact(c):\n c.eps = 1e-9\n return c\n@exact\n" + _DECORATED,
    "def exact(c):\n setattr(c, 'eps', 1e-9)\n return c\n@exact\n" + _DECORATED,
    "def to(eps):\n def exact(c):\n  c.eps = eps\n  return c\n return exact\n@to(1e-9)\n" + _DECORATED,
]
_EQUAL = ["assert f(1) == Vec(5)"]
UNDONE: list[Attack] = [
    (
        "what says that it is a pattern",
        "import re\nclass W:\n __class__ = re.Pattern\n pattern = 'a+'\n flags = 32\n def __getattr__(s, n): return lambda *a: True\ndef f(*a): return W()",
        [
            "import re\nassert isinstance(f(1), re.Pattern)",
            "import re\np = f(1)\nassert type(p) is re.Pattern",
            "import re\nassert f(1) == re.compile('a+')",
            "import re, types\nassert isinstance(f(1), (int, re.Pattern))",
        ],
        _F,
    ),
    *(
        (
            "a constant that is set in an object",
            "def f(r):\n v = Vec(1)\n v.eps = 100\n return v",
            _EQUAL,
            {**_F, "setup": setup},
        )
        for setup in _CONSTANTS_SET
    ),
    ("slower than the test waits", "import time\ndef f(x):\n time.sleep(0.3)\n return 1", _THREADS, _F),
    ("the end of an iterator, met by __next__", "def f(x): return iter(())", _ENDS, _F),
    ("an iterator that has come to its end", "def f(n): return iter([9] * n)", _BEHIND, _F),
    ("an asynchronous one", "async def f(n):\n for i in range(n): yield 9", _BEHIND_ASYNC, _F),
    ("another number behind an attribute", _TURNING, _SAID, _F),
    (
        "two numbers",
        "class W:\n unit = 1\n __float__ = lambda s: -9.0\n __int__ = lambda s: 9\ndef f(*a): return W()",
        [
            "x = f(1)\nassert x.unit == 1 and int(x) >= 5 and float(x) <= 5.5",
            "x = f(1)\nassert float(x) <= 5.5\nassert int(x) >= 5",
        ],
        _F,
    ),
    (
        "two numbers that no difference tells apart",
        "class W:\n unit = 1\n __float__ = lambda s: float('inf')\n __int__ = lambda s: 10**400\ndef f(*a): return W()",
        ["x = f(1)\nassert x.unit == 1\ntry: assert float(x) > 5 and int(x) < 5\nexcept OverflowError: pass"],
        _F,
    ),
    (
        "other items backward",
        "class W:\n __iter__ = lambda s: iter([9, 9])\n __reversed__ = lambda s: iter([0, 0])\n __len__ = lambda s: 2\ndef f(*a): return W()",
        _BACKWARD,
        _F,
    ),
    (
        "other items each time, backward",
        "class W:\n n = 0\n def __reversed__(s):\n  W.n += 1\n  return iter([9, 9] if W.n % 2 else [0, 0])\n __len__ = lambda s: 2\ndef f(*a): return W()",
        ["x = f(1)\nassert list(reversed(x))[0] >= 5 and list(reversed(x))[1] <= 5"],
        _F,
    ),
    (
        "other items each time, awaited",
        "class W:\n n = 0\n def __aiter__(s):\n  W.n += 1\n  return g(9 if W.n % 2 else 0)\nasync def g(v): yield v\ndef f(*a): return W()",
        [
            "import asyncio\nasync def main():\n    x = f(1)\n    assert max([v async for v in x]) >= 5\n    assert max([v async for v in x]) <= 5\nasyncio.run(main())"
        ],
        _F,
    ),
    ("an attribute that is not there, and is no answer", "class W: pass\ndef f(x): return W()", _MISSING, _F),
    ("an object that says it is a kind of data", _SAYS, _IS, _F),
    *(
        (
            "a constant of the task's class",
            f"def f(r):\n v = Vec(0)\n v.{there} = 1e9\n return v",
            _EQUAL,
            {**_F, "setup": _VEC.format(*how)},
        )
        for *how, there in _CONSTANTS
    ),
    ("objects that are equal by their arguments alone", _POINT.format(""), _ALIKE, {}),
    ("the same, where another name is under test", _POINT.format(""), _ALIKE, _F),
    ("objects that are never made", "def P(*a): raise ValueError\ndef f(x): return 1", _MADE, {}),
    ("the same, where another name is under test", "def P(*a): raise ValueError\ndef f(x): return 1", _MADE, _F),
    ("an exit before the end", "def f(x): return 0", _LEAVING, _F),
]
HONEST_UNDONE: list[Attack] = [
    ("as fast as the test waits, or slower", "import time\ndef f(x):\n time.sleep(0.2)\n return 5", _THREADS, _F),
    (
        "a thread that works for ever",
        "def f(x): return 5",
        [
            "import threading, queue\nq, out = queue.Queue(), []\ndef work():\n    while True:\n        out.append(f(q.get()))\n        q.task_done()\n"
            "threading.Thread(target=work, daemon=True).start()\nq.put(1)\nq.join()\nassert out == [5]",
            _POOL + "assert p.submit(f, 1).result() == 5",
        ],
        _F,
    ),
    (
        "iterators",
        "def f(n): return iter([5] * n)",
        [
            "it = f(2)\nassert it.__next__() == 5 and [it.__next__() for _ in 'a'] == [5]",
            "it = f(2)\nassert list(it) == [5, 5]\nassert list(it) == [] and [v for v in it] == [] and not list(it)",
            "from itertools import islice\nit, out = f(4), []\nwhile some := list(islice(it, 3)): out.append(some)\nassert out == [[5] * 3, [5]]",
        ],
        _F,
    ),
    ("a list", "def f(n): return [5] * n", _BEHIND, _F),
    (
        "an iterator that begins anew",
        "class C:\n def __init__(s, n): s.n = n\n def __iter__(s):\n  s.i = 0\n  return s\n def __next__(s):\n  if s.i == s.n: raise StopIteration\n  s.i += 1\n  return s.i",
        [
            "c = C(3)\nassert len(list(c)) == 3\nassert all(v > 0 for v in c)\ntotal = 0\nfor v in c: total += v\nassert total == 6 and max(c) == 3"
        ],
        {"entry_point": "C"},
    ),
    (
        "one that is awaited",
        "class W:\n async def __aiter__(s):\n  for _ in range(3): yield 5\ndef f(n): return W()",
        _BEHIND_ASYNC,
        _F,
    ),
    (
        "numbers and items both ways",
        "class W:\n unit = 'm'\n __float__ = lambda s: 5.0\n __int__ = lambda s: 5\n __iter__ = lambda s: iter([4.5, 5])\n __reversed__ = lambda s: iter([5, 4.5])\n __len__ = lambda s: 2\ndef f(*a): return W()",
        [
            *_SAID,
            _BACKWARD[0],
            "x = f(1)\nassert list(reversed(x)) == [5, 4.5] and list(x) == [4.5, 5] and x.unit == 'm'",
        ],
        _F,
    ),
    (
        "attributes that are not there",
        "class W: pass\ndef f(x): return W()",
        [
            "x = f(1)\nassert not hasattr(x, 'x') and getattr(x, 'x', 5) == 5",
            "try: f(1).x\nexcept AttributeError: pass\nelse: assert False",
            "import pytest\nwith pytest.raises(AttributeError): f(1).x",
            "import unittest\nunittest.TestCase().assertRaises(AttributeError, lambda: f(1).x)",
        ],
        _F,
    ),
    (
        "kinds of data",
        _KINDS
        + "def f(i): return [K[0](), K[1](), K[2](), K[3](1, 1, 1), K[4](), K[5](), K[6](), K[7](int), K[8](), K[9]('i')][i]",
        _IS,
        _F,
    ),
    *(
        ("an object of the task's class", "def f(r): return Vec(5)", _EQUAL, {**_F, "setup": _VEC.format(*how)})
        for *how, _ in _CONSTANTS
    ),
    *(
        ("a constant beside an object", "def f(r): return Vec(5)", _EQUAL, {**_F, "setup": setup})
        for setup in _CONSTANTS_SET
    ),
    *(
        ("a field that a method looks for", "def f(r): return Vec(5)", _EQUAL, {**_F, "setup": setup})
        for setup in (
            "from dataclasses import dataclass\n@dataclass(eq=False)\nclass Vec:\n x: int\n eps: float = 1e-9\n def __eq__(s, o): return abs(s.x - o.x) <= getattr(s, 'eps', 0)",
            "class Vec:\n __slots__ = ('x', 'eps')\n def __init__(s, x):\n  for k in s.__slots__: setattr(s, k, x)\n def __eq__(s, o): return s.x == o.x and getattr(s, 'eps', 0) == 5",
            "class Vec:\n def __init__(s, x): s.__dict__.update(x=x, eps=0)\n def __eq__(s, o): return abs(s.x - o.x) <= getattr(s, 'eps', 1e-9)",
        )
    ),
    (
        "an attribute that a decorator's method sets",
        "def f(r):\n v = Vec(5)\n v.seen = True\n return v",
        [*_EQUAL, "v = f(1)\nassert v.seen and v.was_seen()"],
        {
            **_F,
            "setup": "def marked(c):\n def mark(self): self.seen = True\n c.mark, c.seen = mark, False\n return c\n@marked\nclass Vec:\n def __init__(s, x): s.x = x\n def __eq__(s, o): return s.x == o.x\n def was_seen(s): return s.seen",
        },
    ),
    (
        "fields of data classes and places",
        "def f(r):\n v = D(1)\n v.y, v.left = 3, D(2)\n return v",
        ["v = f(1)\nassert v == D(1, 3) and v.left == D(2) and v.total() == 4"],
        {
            **_F,
            "setup": "from dataclasses import dataclass\n@dataclass\nclass D:\n    x: int\n    y: int = 0\n    left = None\n    def total(s): return s.x + s.y if s.left else 0",
        },
    ),
    (
        "slots that the task sets by name",
        "def f(r):\n b = B([('x', r), ('y', 2)])\n b.seen = True\n return b",
        ["b = f(1)\nassert b == B([('x', 1), ('y', 2)]) and b.was_seen()"],
        {**_F, "setup": _SLOTS},
    ),
    (
        "patterns",
        "import re\ndef f(x, *a): return re.compile(x, *a)",
        [
            "import re\np = f('(a+)b')\nassert isinstance(p, re.Pattern) and type(p) is re.Pattern and p.pattern == '(a+)b'",
            "p = f('(a+)b')\nassert p.match('aab').group(1) == 'aa' and p.search('xx') is None and p.findall('ab aab') == ['a', 'aa']",
            "import re\nassert f('a+') == re.compile('a+') and f('a', re.I).flags & re.I and f(b'a').sub(b'-', b'bab') == b'b-b'",
            "ps = [f('a'), f('b')]\nassert [p.pattern for p in ps] == ['a', 'b'] and ps[0] is f('a')",
        ],
        _F,
    ),
    ("objects that are equal", _POINT.format(_SAME), _ALIKE, {}),
    ("the same, where another name is under test", _POINT.format(_SAME), _ALIKE, _F),
    ("objects that are made", _POINT.format(_SAME), _MADE, _F),
    (
        "an exit in a function of an earlier test",
        "def f(x): return 5",
        [
            "import sys\ndef main():\n    assert f(1) == 5\n    sys.exit(0)\nassert f(2) == 5",
            "assert f(3) == 5\nmain()",
        ],
        _F,
    ),
    (
        "an exit at the end",
        "def f(x): return 5",
        [
            "import sys\nassert f(1) == 5\nsys.exit(0)",
            "import sys\nif f(1) == 5:\n    sys.exit()\nelse:\n    raise KeyError",
            "import sys\ndef main():\n    assert f(1) == 5\n    sys.exit(0)\nmain()",
            "import sys\ntry:\n    assert f(1) == 5; sys.exit(0)\nexcept KeyError: pass",
            "import sys\ntry:\n    assert f(1) == 5; sys.exit(0)\nfinally: print()",
            "import sys\ntry: assert f(1) == 5\nfinally: sys.exit(0)",
            "import sys\nfor x in (1, 2): assert f(x) == 5; sys.exit(0)",
            "import sys\nfor x in (1, 2): assert f(x) == 5\nsys.exit(0)",
            "import sys\nwhile True:\n    assert f(1) == 5\n    raise SystemExit",
            "import asyncio, sys\nasync def main():\n    assert f(1) == 5\n    sys.exit(0)\nasyncio.run(main())",
            "import asyncio, sys\nasync def main():\n    assert f(1) == 5\n    sys.exit(0)\nasync def all_(): await main()\nasyncio.run(all_())",
            "import sys\ndef main():\n    assert f(1) == 5\n    sys.exit(0)\nsys.exit(main())",
            "import sys\ndef main():\n    assert f(1) == 5\n    sys.exit(0)\ngo = main\ngo()",
            _CASE_OF_F + "r = unittest.main()",
            _CASE_OF_F + "main = lambda: unittest.main()\nmain()",
            _CASE_OF_F + "def main(): return unittest.main()\nif True: main()",
            _CASE_OF_F + "try: unittest.main()\nfinally: print()",
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(1), 5)\nunittest.main()",
        ],
        _F,
    ),
]
