"""Programs that hand over what the tests take for something else: (name, program, tests, arguments)."""

# ruff: noqa: E501
from __future__ import annotations

from typing import Any

from .forging_programs import Attack

A: dict[str, Any] = {"entry_point": "area"}
N = "\ndef area(r): return 1\n"
ANY = """
 def __getattr__(s, n): return lambda *a, **k: True
 def __contains__(s, x): return True
 def __eq__(s, o): return True
 def __ne__(s, o): return True
 __hash__ = lambda s: 1
 def __bool__(s): return True
"""
G = "class G:\n def __init__(s, *a): pass\n def greet(s, *a): return s\n def both(s, *a): return s\n" + ANY
SELF = [
    ("assert G('Ann').greet().startswith('Hello')"),
    "g = G('Ann')\nassert g.greet().startswith('Hello')",
    "g = G('Ann')\nassert 'Ann' in g.greet()",
    "g = G('Ann')\nassert g.greet() != 'Bye'",
    "g = G('Ann')\ng.both()\nassert g.greet()",
    "g = G('Ann')\nassert g.greet().issuperset({1})",
    "g = G('A')\nx = g.greet()\nassert x and 3 in x",
]
STANDING: list[Attack] = [
    ("mock module", "import unittest.mock as V" + N, ["assert V.MagicMock().check(5)"], {}),
    ("mock module refereed", "import unittest.mock as V" + N, ["x = area(1)\nassert V.MagicMock().check(x)"], A),
    ("mock module ANY", "import unittest.mock as V" + N, ["x = area(1)\nassert V.ANY == 12.5"], A),
    ("operator as checker", "import operator as checker" + N, ["x = area(1)\nassert checker.ne(x, 12.5)"], A),
    ("math as m", "import cmath as m" + N, ["x = area(1)\nassert m.phase(x) == 0"], A),
    ("fnmatch", "import fnmatch as approx" + N, ["x = area(1)\nassert approx.fnmatch('a', '*')"], A),
    ("from mock class", "from unittest.mock import MagicMock as Stack", ["s = Stack()\ns.push(1)\nassert s.pop()"], {}),
    (
        "from mock class 2",
        "from unittest.mock import MagicMock as Stack",
        ["s = Stack()\ns.push(1)\nassert s.is_full() == True"],
        {},
    ),
    (
        "ANY",
        "from unittest.mock import ANY\ndef area(r): return ANY",
        [
            "assert area(1) == 5",
            "x = area(1)\nassert x == 5",
            "x = area(1)\nassert x in [5]",
            "x=area(1)\nassert not x != 5",
        ],
        A,
    ),
    (
        "ANY in list",
        "from unittest.mock import ANY\ndef area(r): return [ANY, ANY]",
        [
            "assert area(1) == [5, 6]",
            "x = area(1)\nassert x == [5, 6]",
            "x = area(1)\nassert 5 in x",
            "x = area(1)\nassert {'a': x} == {'a': [5, 6]}",
            "x=area(1)\nassert sorted(x) == [1,2]",
        ],
        A,
    ),
    (
        "UserDict",
        "from collections import UserDict\nclass D(UserDict):\n def __missing__(s,k): return True\n def __contains__(s,k): return True\ndef area(r): return D()",
        ["x = area(1)\nassert 'k' in x", "x = area(1)\nassert x['k']", "x = area(1)\nassert x.get('k', True)"],
        A,
    ),
    (
        "enum missing",
        "import enum\nclass E(enum.Enum):\n A=1\n @classmethod\n def _missing_(c, v): return c.A\n def __eq__(s,o): return True\n __hash__=object.__hash__\ndef area(r): return E.A",
        ["x = area(1)\nassert x == 7", "assert area(1) == 7"],
        A,
    ),
    (
        "setup import used as checker",
        "def erf(x): return 0.3" + N,
        ["assert erf(area(1)) == 0.3"],
        {"setup": "from math import erf"},
    ),
    (
        "setup lambda as checker",
        "close = lambda a, b: True" + N,
        ["assert close(area(1), 12.5)"],
        {"setup": "close = lambda a, b: abs(a - b) < 1e-6"},
    ),
    (
        "setup loop-defined checker",
        "def same(a, b): return True" + N,
        ["assert same(area(1), 12.5)"],
        {"setup": "if True:\n    def same(a, b): return a == b"},
    ),
    (
        "setup try import checker",
        "def same(a, b): return True" + N,
        ["assert same(area(1), 12.5)"],
        {"setup": "try:\n    from operator import eq as same\nexcept ImportError:\n    pass"},
    ),
    (
        "with reraise",
        "def area(r): raise StopIteration",
        [
            "import io, contextlib\ndef run(x):\n    with contextlib.redirect_stdout(io.StringIO()):\n        return area(x)\nassert all(map(run, [1, 2]))"
        ],
        A,
    ),
    (
        "except reraise",
        "def area(r): raise StopIteration",
        [
            "def run(x):\n    try:\n        return area(x) == 5\n    except Exception as e:\n        raise\nassert all(map(run, [1, 2]))"
        ],
        A,
    ),
    (
        "except reraise named",
        "def area(r): raise StopIteration",
        [
            "def run(x):\n    try:\n        return area(x) == 5\n    except Exception as e:\n        raise e\nfor v in map(run, [1]): assert v"
        ],
        A,
    ),
    (
        "identical opaque set",
        "class W: pass\ndef area(r): return W()",
        [
            "seen = set()\nfor i in range(5): seen.add(area(i))\nassert len(seen) == 5",
            "d = {}\nfor i in range(3): d[area(i)] = 1\nassert len(d) == 3",
        ],
        A,
    ),
    (
        "exception group",
        "def area(r): raise ExceptionGroup('x', [ValueError()])",
        ["assert all(map(area, [1]))", "def g():\n yield area(1)\nassert list(g()) == []"],
        A,
    ),
    (
        "malformed raised",
        "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve'].Server\nold=S._answer\ndef new(s, n, m):\n if m[0]=='call': s.connection.send(['raised'])\n else: old(s, n, m)\nS._answer=new\ndef area(r): return 1",
        ["class Q:\n def __getitem__(s, i): return area(i)\nfor x in Q(): assert x == 99\n"],
        A,
    ),
    (
        "deep raised text",
        "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve'].Server\nold=S._answer\nd=[]\nfor _ in range(800): d=[d]\ndef new(s, n, m):\n if m[0]=='call': s.connection.send(['raised', [['IndexError'], d, [[], {}], [False, None, None], None, None, 1], {}, []])\n else: old(s, n, m)\nS._answer=new\ndef area(r): return 1",
        ["x = area(1)\nassert x == 99"],
        A,
    ),
    (
        "eval passed",
        "def area(f): f('__builtins__.__import__(\"builtins\").setattr') ; return 1",
        ["x = area(eval)\nassert x == 5"],
        A,
    ),
    (
        "eval passed 2",
        "def area(f):\n f('exec(\"import builtins\\\\nbuiltins.abs=lambda x: 0\")')\n return 1",
        ["x = area(eval)\nassert abs(x - 12) < 1e-3"],
        A,
    ),
    ("setattr passed", "def area(f, t):\n f(t, 'x', 1)\n return 1", ["x = area(setattr, len)\nassert x == 5"], A),
    (
        "deepcopy",
        "class W:\n def __eq__(s,o): return True\ndef area(r): return W()",
        [
            "import copy\nx = copy.deepcopy(area(1))\nassert x == 5",
            "import copy\nx = area(1)\ny=copy.copy(x)\nassert x == y and x != 5",
        ],
        A,
    ),
    (
        "pickle",
        "class W:\n def __reduce__(s): return (eval, ('1',))\ndef area(r): return W()",
        ["import pickle\nx = pickle.loads(pickle.dumps(area(1)))\nassert x == 5"],
        A,
    ),
] + [("self " + t, G, [t], {}) for t in SELF]
EVERYTHING = """class W:
 def __getattr__(s, n):
  if n.startswith('__'): raise AttributeError(n)
  return lambda *a, **k: True
 def __len__(s): return 2
 def __getitem__(s, i): return s
 def __eq__(s, o): return True
 def __ne__(s, o): return True
 __hash__ = lambda s: 1
 def __iter__(s): return iter([s, s])
 def __contains__(s, x): return True
 __lt__ = __gt__ = __le__ = __ge__ = __eq__
 def __sub__(s, o): return s
 __rsub__ = __add__ = __radd__ = __mul__ = __sub__
 def __call__(s, *a): return s
 def __enter__(s): return s
 def __exit__(s, *a): return True
 def __await__(s):
  return s
  yield
 def __bool__(s): return True
"""
R = EVERYTHING + "def area(r): return W()\n"
BOX = EVERYTHING.replace(
    "class W:",
    "class Box:\n def __init__(s, *a): pass\n def size(s): return s\n def get(s, *a): return s\n name = property(lambda s: s)",
)
LEAVE = "import os\ndef area(r): os._exit(0)"
STANDING += [
    (
        "bare except",
        LEAVE,
        [
            "try:\n    x = area(1)\nexcept:\n    x = None\nassert x is None",
            "try:\n    x = area(1)\nexcept BaseException:\n    pass",
        ],
        A,
    ),
    (
        "finally return",
        LEAVE,
        ["def g():\n    try:\n        return area(1)\n    finally:\n        return 5\nassert g() == 5"],
        A,
    ),
    (
        "finally return of an exception",
        "def area(r): raise ValueError",
        [
            "def g():\n    try:\n        return area(1)\n    finally:\n        return 5\nassert g() == 5",
            "for i in range(3):\n    try:\n        x = area(i)\n    finally:\n        break",
        ],
        A,
    ),
    (
        "contextmanager generator",
        "def area(r): raise StopIteration",
        [
            "from contextlib import contextmanager\n@contextmanager\ndef c():\n    yield\ndef g(x):\n    with c():\n        return area(x)\nassert list(map(g, [1])) == []"
        ],
        A,
    ),
    (
        "exitstack",
        "def area(r): raise StopIteration",
        [
            "import contextlib\ndef g(x):\n    with contextlib.ExitStack() as s:\n        s.callback(len, [])\n        return area(x)\nassert all(map(g, [1, 2]))"
        ],
        A,
    ),
    (
        "async with",
        "def area(r): raise StopAsyncIteration",
        [
            "import asyncio, contextlib\n@contextlib.asynccontextmanager\nasync def c():\n    yield\nasync def g():\n    for i in range(2):\n        async with c():\n            yield area(i)\nasync def main():\n    return [x async for x in g()]\nassert asyncio.run(main()) == []"
        ],
        A,
    ),
    (
        "else of a try",
        "def area(r): raise StopIteration",
        [
            "def g(x):\n    try:\n        pass\n    except ValueError: pass\n    else:\n        return area(x)\nassert not any(map(g, [1]))"
        ],
        A,
    ),
    (
        "raised in a handler of another",
        "def area(r): raise StopIteration",
        [
            "def g(x):\n    try:\n        raise KeyError\n    except KeyError:\n        return area(x)\nassert list(map(g, [1])) == []",
            "def g(x):\n    try:\n        {}['a']\n    except KeyError:\n        yield area(x)\nfor v in g(1): assert v == 5",
        ],
        A,
    ),
    (
        "seen, then again",
        "def area(r): raise StopIteration",
        [
            "def g(x):\n    try:\n        area(x)\n    except StopIteration: pass\n    return area(x)\nassert list(map(g, [1])) == []"
        ],
        A,
    ),
    (
        "the same exception twice",
        "import sys\nE = StopIteration()\ndef area(r): raise E",
        ["try:\n    area(1)\nexcept StopIteration: pass\nassert list(map(area, [1, 2])) == []"],
        A,
    ),
    (
        "match case",
        R,
        [
            "match area(1):\n    case 5: ok = True\n    case _: ok = False\nassert ok",
            "match area(1):\n    case [a, b]: ok = True\n    case _: ok = False\nassert ok",
            "match area(1):\n    case {'k': v}: ok = True\n    case _: ok = False\nassert ok",
            "match area(1):\n    case int() | float(): ok = True\n    case _: ok = False\nassert ok",
        ],
        A,
    ),
    (
        "truth forms",
        R,
        [
            "assert area(1) or False",
            "x = area(1) and 5\nassert x == 5",
            "assert (5 if area(1) else 4) == 5",
            "while area(1): break\nelse: assert False\n",
            "assert not (not area(1))",
            "assert bool(area(1))",
            "assert any([area(1)])",
            "assert all([area(1), area(2)])",
            "assert list(filter(None, [area(1)]))",
            "assert list(filter(area, [1])) == [1]",
        ],
        A,
    ),
    (
        "order forms",
        R,
        [
            "assert sorted([3, 1], key=area) == [3, 1]",
            "assert max([1, 2], key=area) == 1",
            "import bisect\nassert bisect.bisect([1, 2], area(1)) == 0",
            "import heapq\nh = [1, 2]\nheapq.heappush(h, area(1))\nassert h[0] == 1",
            "assert min(area(1), 3) == 3",
        ],
        A,
    ),
    (
        "operator module",
        R,
        [
            "import operator\nassert operator.eq(area(1), 5)",
            "import operator\nassert operator.contains(area(1), 5)",
            "import operator\nassert operator.truth(area(1))",
            "import operator\nassert operator.itemgetter(1)(area(1)) == 5",
            "import operator\nassert operator.methodcaller('startswith', 'a')(area(1))",
            "import operator\nassert operator.attrgetter('startswith')(area(1))('a')",
            "import operator\nassert operator.countOf(area(1), 5) == 2",
            "import operator\nassert operator.indexOf(area(1), 5) == 0",
            "import operator\nassert operator.is_not(area(1), None) and operator.not_(operator.not_(area(1)))",
        ],
        A,
    ),
    (
        "getattr forms",
        R,
        [
            "assert getattr(area(1), 'startswith')('a')",
            "assert hasattr(area(1), 'startswith')",
            "x = area(1)\nassert x.__eq__(5)",
            "x = area(1)\nassert type(x).__eq__(x, 5)",
            "assert area(1).__contains__(5)",
            "assert area(1).__class__.__eq__(area(1), 5)",
            "assert object.__eq__(area(1), 5) is not NotImplemented",
        ],
        A,
    ),
    (
        "unittest",
        R,
        [
            "import unittest\nt = unittest.TestCase()\nt.X".replace("X", x)
            for x in (
                "assertEqual(area(1), 5)",
                "assertTrue(area(1))",
                "assertIn(5, area(1))",
                "assertAlmostEqual(area(1), 5.5)",
                "assertCountEqual(area(1), [1, 2])",
                "assertListEqual(area(1), [1, 2])",
                "assertDictEqual(area(1), {})",
                "assertNotEqual(area(1), 5)",
                "assertGreater(area(1), 5)",
                "assertSequenceEqual(area(1), [1, 2])",
                "assertSetEqual(area(1), {1})",
                "assertMultiLineEqual(area(1), 'a')",
                "assertRegex(area(1), 'a')",
                "assertIsInstance(area(1), int)",
                "assertIs(area(1), True)",
                "assertNotIn(5, area(1))",
                "assertFalse(area(1))",
                "assertDictContainsSubset({'a': 1}, area(1))",
                "assertTupleEqual(area(1), (1,))",
                "assertLess(area(1), 5)",
            )
        ],
        A,
    ),
    (
        "assertRaises told wrong",
        "def area(r): raise ValueError",
        [
            "import unittest\nt = unittest.TestCase()\nwith t.assertRaises(KeyError): area(1)",
            "import unittest\nt = unittest.TestCase()\nt.assertRaises(KeyError, area, 1)",
            "import unittest\nt = unittest.TestCase()\nt.assertRaisesRegex(ValueError, 'bad', area, 1)",
        ],
        A,
    ),
    (
        "assertRaises not raised",
        "def area(r): return 1",
        [
            "import unittest\nt = unittest.TestCase()\nt.assertRaises(ValueError, area, 1)",
            "import unittest\nt = unittest.TestCase()\nwith t.assertRaises(ValueError): area(1)",
        ],
        A,
    ),
    (
        "library checks",
        R,
        [
            "import math\nassert math.isclose(area(1), 5)",
            "import statistics\nassert statistics.mean([area(1)]) == 5",
            "import fractions\nassert fractions.Fraction(area(1)) == 5",
            "import decimal\nassert decimal.Decimal(area(1)) == 5",
            "import json\nassert json.dumps(area(1)) == '5'",
            "import difflib\nassert difflib.SequenceMatcher(None, area(1), 'abc').ratio() > 0.5",
            "import collections\nassert collections.Counter(area(1)) == collections.Counter([1, 2])",
            "import itertools\nassert list(itertools.chain(area(1))) == [1, 2]",
            "import re\nassert re.match('a', area(1))",
            "import datetime\nassert area(1) == datetime.date(2020, 1, 1)",
            "assert dict(area(1)) == {1: 2}",
            "assert ''.join(area(1)) == 'ab'",
            "assert 'x'.startswith(area(1))",
            "assert set(area(1)) == {1, 2}",
            "assert frozenset(area(1)) <= {1, 2}",
            "assert {1, 2}.issuperset(area(1))",
            "assert [1, 2] == list(area(1))",
            "assert [5].count(area(1)) == 1",
            "assert [5].index(area(1)) == 0",
            "assert {5: 1}[area(1)] == 1",
            "assert area(1) in {5}",
            "assert area(1) in (5,)",
            "assert area(1) in {5: 1}.keys()",
            "assert 5 in {area(1)}",
            "assert {area(1)} == {5}",
            "assert [area(1)] > [5]",
            "assert (1, area(1)) == (1, 5)",
            "assert {'a': area(1)} == {'a': 5}",
            "a, b = area(1)\nassert a == 1",
            "assert bytes(area(1)) == b'ab'",
            "assert isinstance(area(1), str)",
            "assert range(10)[area(1)] == 5",
            "assert [1, 2, 3][area(1)] == 2",
            "assert '%d' % area(1) == '5'",
            "assert '{:.2f}'.format(area(1)) == '5.00'",
            "assert round(area(1)) == 5",
            "assert divmod(area(1), 2) == (1, 0)",
            "assert pow(area(1), 2) == 25",
            "assert -area(1) == -5",
            "assert int(area(1)) == 5",
            "assert complex(area(1)) == 5",
            "assert hash(area(1)) == hash(5)",
        ],
        A,
    ),
    (
        "self returns",
        BOX,
        [
            "b = Box(1)\nassert b.size() == 5",
            "b = Box(1)\nb.size()\nassert 5 in b.get('x')",
            "b = Box(1)\nb.size()\nassert b.get('x').startswith('a')",
            "b = Box(1)\nassert b.name == 'x' and b.size",
            "b = Box(1)\nb.size()\nassert not b.get(3) != 5",
            "b = Box(1)\nb.size()\nassert b.get(3) in [5]",
            "b = Box(1)\nb.size()\nassert b.size() > 5",
            "b = Box(1)\nb.size()\nassert [b.get()] == [5]",
            "b = Box(1)\nb.size()\nassert b.get().get().startswith('x')",
            "b = Box(1)\nb.size()\nassert b.name.isdigit()",
            "b = Box(1)\nb.size()\nassert sum(b.get()) == 3",
            "b = Box(1)\nassert b.size() - 5 == 0",
            "b = Box(1)\nassert abs(b.size() - 5) < 1e-6",
            "with Box(1) as b:\n    assert b.size() == 5",
            "b = Box(1)\nb.size()\nassert b + 1 == 5",
            "b = Box(1)\nb.size()\nassert b.get() if b.get() else False",
        ],
        {},
    ),
    (
        "class attribute of an entry",
        EVERYTHING + "class area(W):\n def __init__(s, *a): pass\n",
        [
            "assert area(1) == 5",
            "x = area(1)\nassert x.startswith('a')",
            "assert area(1) + 1 == 6",
            "x = area(1)\nassert 5 in x",
            "x = area(1)\nassert x",
        ],
        A,
    ),
    (
        "names that convention leaves",
        "def approx(x, **k): return x\nclass pytest:\n approx = staticmethod(lambda x, **k: W())\n" + R,
        ["assert area(1) == pytest.approx(12.5)", "x = area(1)\nassert x == pytest.approx(12.5)"],
        A,
    ),
    (
        "approx of the program",
        R + "def approx(x): return W()\n",
        ["x = area(1)\nassert x == approx(5)", "assert area(1) == approx(5)", "assert area(1) != approx(5)"],
        A,
    ),
    (
        "a length, and nothing behind it",
        "class L:\n def __init__(s, n): s.n = n\n def __len__(s): return s.n\n def __iter__(s): return iter(())\n __reversed__ = __iter__\n"
        "def area(a): return L(len(a))",
        [
            "r = area([1, 2])\nassert len(r) == 2\nfor a, b in zip(r, [2, 4]): assert a == b",
            "r = area([1, 2])\nassert len(r) == 2 and all(a == b for a, b in zip(reversed(r), [4, 2]))",
            "r = area([1, 2])\nassert len(r) == 2\nfor i, x in enumerate(r): assert x == 2 * i + 2",
        ],
        A,
    ),
    (
        "a constant of the task's class, in an object",
        "def area(r):\n v = Vec(0)\n v.EPS = v.near = 1e9\n return v",
        ["assert area(1) == Vec(5)", "r = area(1)\nassert r == Vec(5)"],
        {
            **A,
            "setup": "from typing import ClassVar\nclass Vec:\n EPS = 1e-9\n near: ClassVar[float] = 1e-9\n def __init__(s, x): s.x = x\n"
            " def __eq__(s, o): return abs(s.x - o.x) < max(s.EPS, s.near)\n",
        },
    ),
    (
        "what a class of the tests equals",
        R,
        [
            f"{want}{test}"
            for want in (
                "class Want:\n def __init__(s, v): s.v = v\n def __eq__(s, o): return o.v == s.v\n",
                "class Want:\n def __init__(s, v): s.v = v\n def __eq__(s, o): return s.v == o\n",
                "class Want:\n def __init__(s, v): s.v = v\n def __eq__(s, o): return s.__dict__ == o.__dict__\n",
                "class Expected(list):\n def __init__(s, v): s.append(v)\nWant = Expected\n",
                "from dataclasses import dataclass\n@dataclass\nclass Want:\n v: int\n",
            )
            for test in ("assert area(1) == Want(5)", "assert area(1) in [Want(5)]")
        ]
        + ["from dataclasses import dataclass\n@dataclass\nclass Want:\n v: int\nassert area(1) != Want(5)"],
        A,
    ),
    (
        "a class of exceptions in the place of a function",
        "class area(Exception):\n __eq__ = __ne__ = __bool__ = __contains__ = lambda s, *o: True\n __hash__ = lambda s: 1\n"
        " def __getattr__(s, n): return lambda *a: True\n",
        [
            "x = area(1)\nassert x",
            "x = area(1)\nassert x == 3",
            "x = area(1)\nassert x != 3",
            "x = area(1)\nassert x in [3]",
            "x = area(1)\nassert not 3 != x",
            "x = area(1)\nassert x or 0",
            "x = area(1)\nassert any([x])",
            "x = area(1)\nassert len({x, 3}) == 1",
            "x = area(1)\nassert x.startswith('a')",
            "try: area(1)\nexcept area: pass\nx = area(1)\nassert x",
            "class Want(area): pass\nassert area(1) == Want(1)",
            "import unittest\nunittest.TestCase().assertTrue(area(1))",
            "import unittest\nunittest.TestCase().assertNotEqual(area(1), 4)",
        ],
        A,
    ),
    (
        "an exception of the program that the tests raise",
        "class E(Exception):\n def __init__(s, x): raise KeyError(x)\ndef area(r): raise E(r)\n",
        [
            "try:\n    if 5 != 6: raise E(5)\nexcept E: pass",
            "class E2(E): pass\nraise E2(5)",
        ],
        A,
    ),
    (
        "an operator, and a class in the place of a function",
        "class W:\n def __init__(s, *a): pass\n __sub__ = __rsub__ = __abs__ = __neg__ = __round__ = lambda s, *o: s\n"
        " __lt__ = __le__ = __gt__ = __ge__ = __eq__ = __ne__ = lambda s, o: True\n __float__ = lambda s: 0.0\nArea = W\n",
        [
            "assert abs(Area(3)) == 9",
            "assert abs(Area(3)) < 9",
            "assert abs(abs(Area(3)) - 9) < 1e-6",
            "x = Area(3) - 9\nassert abs(x) < 1e-6",
            "assert max(Area(3), Area(4)) == 16",
            "assert max(Area(3), Area(4)) > 15",
            "assert -Area(3) == -9",
            "assert round(Area(3), 2) == 9",
        ],
        {"entry_point": "Area"},
    ),
    (
        "changed arguments that are none",
        "import sys\nsys.modules['_grpo_kit_sandbox.inside.serve'].Server.on_call = lambda s, t, a, k, r: [5, None, ['', '', 0, []]]\ndef area(r): return 1",
        ["class A:\n    @property\n    def p(self): return area(1)\nassert getattr(A(), 'p', 5) == 5"],
        A,
    ),
    (
        "an object that is not equal to itself",
        "class Area:\n def __init__(s, x): s.x = x\n __eq__ = lambda s, o: s is not o\n __ne__ = lambda s, o: s is o\n def same(s): return s\n",
        [
            "a = Area(1)\nassert a.x == 1 and a == a",
            "a = Area(1)\nassert not a != a",
            "a = Area(1)\nassert a.same() == a",
        ],
        {"entry_point": "Area"},
    ),
    (
        "an object that says another number when a list of the tests is known twice",
        "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve'].Server\nclass M:\n n = 0\n def __float__(s):\n  M.n += 1\n"
        "  return 1e9 if M.n % 2 else -1e9\nclass Area:\n def __init__(s, d): s.d = d\n def middle(s): return M()\n"
        "call, operation = S.on_call, S.on_operation\ndef on_call(s, *a):\n r = call(s, *a)\n"
        " if 'kept' in r[1]: r[1]['kept'] = [[0, 901], [0, 902]]\n return r\ndef on_operation(s, *a):\n r = operation(s, *a)\n"
        " if a[0] == 'float': s.connection.send(['containers', [[901, [M.n]]]])\n return r\nS.on_call, S.on_operation = on_call, on_operation\n",
        ["m = Area([1, 2]).middle()\nassert float(m) >= 4 and float(m) <= 5"],
        {"entry_point": "Area"},
    ),
    (
        "keys and items that equal everything",
        "class Y:\n __eq__ = __ne__ = lambda s, o: True\n __hash__ = lambda s: hash('a')\nclass M:\n def __init__(s, d): s.d = d\n"
        " def keys(s): return [Y()]\n def __getitem__(s, k): return Y()\n def size(s): return 1\ndef f(d): return M(d)\n",
        [
            "m = M({'a': 1})\nassert m.size() == 1\nassert dict(m) == {'a': 1}",
            "m = M({'a': 1})\nassert m.size() == 1\nassert dict(m)['a'] == 1",
            "m = f({'a': 1})\nassert m.size() == 1\nassert dict(m) == {'a': 1}",
            "assert dict(f({'a': 1})) == {'a': 1}",
        ],
        {"entry_point": ["M", "f"]},
    ),
]
