"""Classes under test that are derived from data, or used by their items: their own methods and operators are asked."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

FOLDED = "class CaseDict(dict):\n def __setitem__(s, k, v): super().__setitem__(k.lower(), v)\n def __getitem__(s, k): return super().__getitem__(k.lower())\n def __contains__(s, k): return super().__contains__(k.lower())\n"
BAG = "class Bag(dict):\n def __missing__(s, k): return 0\n"
VECTOR = "class Vector(tuple):\n def __new__(c, *a): return super().__new__(c, a)\n def __add__(s, o): return Vector(*(x + y for x, y in zip(s, o)))\n def __mul__(s, k): return Vector(*(x * k for x in s))\n __rmul__ = __mul__\n def __abs__(s): return sum(x * x for x in s) ** .5\n"
TUPLE = "class Vector(tuple):\n def __new__(c, *a): return super().__new__(c, a)\n"
MOD = "class Mod7(int):\n def __new__(c, v): return super().__new__(c, v % 7)\n def __add__(s, o): return Mod7(int(s) + int(o))\n __radd__ = __add__\n def __sub__(s, o): return Mod7(int(s) - int(o))\n"
DEGREES = "class Celsius(float):\n def to_f(s): return s * 9 / 5 + 32\n def __add__(s, o): return Celsius(float(s) + float(o))\n"
GROUP = "class Group(set):\n def invite(s, x): s.add(x); return s\n"
UNIQUE = "class UniqueList(list):\n def append(s, x):\n  if x not in s: super().append(x)\n"
FOLD = (
    "class CaseFold(str):\n def __eq__(s, o): return s.lower() == o.lower()\n def __hash__(s): return hash(s.lower())\n"
)
DOTS = "class AttrDict(dict):\n def __getattr__(s, n):\n  try: return s[n]\n  except KeyError: raise AttributeError(n)\n __setattr__ = dict.__setitem__\n"
MATRIX = "class Matrix(list):\n def __matmul__(s, o): return Matrix([[sum(a * b for a, b in zip(r, c)) for c in zip(*o)] for r in s])\n"
CACHE = "class LRU(dict):\n def __init__(s, n): super().__init__(); s.n = n\n def __setitem__(s, k, v):\n  if k in s: super().__delitem__(k)\n  elif len(s) >= s.n: super().__delitem__(next(iter(s)))\n  super().__setitem__(k, v)\n def __getitem__(s, k): v = super().__getitem__(k); super().__delitem__(k); super().__setitem__(k, v); return v\n"
ROWS = "class Matrix(list):\n @classmethod\n def eye(c, n): return c([[int(i == j) for j in range(n)] for i in range(n)])\n def transpose(s): return Matrix([list(r) for r in zip(*s)])\n def det(s): return s[0][0] * s[1][1] - s[0][1] * s[1][0]\n"
SCALED = (
    "class Vec(tuple):\n def scale(s, k): return Vec(k * x for x in s)\n def norm(s): return sum(x * x for x in s)\n"
)
INTERVAL = "class Interval:\n def __init__(s, start, end): s.start, s.end = start, end\n def __eq__(s, o): return (s.start, s.end) == (o.start, o.end)\n @staticmethod\n def merge(found):\n  out = []\n  for i in sorted(found, key=lambda i: i.start):\n   if out and i.start < out[-1].end: out[-1].end = max(out[-1].end, i.end)\n   else: out.append(i)\n  return out\n"
RECORD = "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(i): return P(i, i + 1)"
GRID = "class Grid:\n def __init__(s, n): s.d = {}\n def __getitem__(s, k): return s.d.get(k, 0)\n def __setitem__(s, k, v): s.d[k] = v\n"
DECK = "class Deck:\n def __init__(s, n): s.c = list(range(n))\n def __len__(s): return len(s.c)\n def __getitem__(s, i): return s.c[i]\n"


def _of(name: str) -> dict[str, str]:
    return {"entry_point": name}


# fmt: off
DERIVED = [
 ("items of a dict", FOLDED, "class CaseDict(dict): pass", "d = CaseDict()\nd['A'] = 1\nassert d['a'] == 1", _of("CaseDict")),
 ("what is in a dict", FOLDED, "class CaseDict(dict): pass", "d = CaseDict()\nd['A'] = 1\nassert 'a' in d and 'A' in d and 'b' not in d", _of("CaseDict")),
 ("a dict, compared", FOLDED, "class CaseDict(dict): pass", "d = CaseDict()\nd['A'] = 1\nassert d == {'a': 1} and list(d) == ['a'] and len(d) == 1 and d != {'A': 1}", _of("CaseDict")),
 ("what is not in a dict", BAG, BAG.replace("0", "1"), "b = Bag()\nb['x'] += 1\nassert b['x'] == 1 and b == {'x': 1} and dict(b) == {**b} == {'x': 1} and isinstance(b, dict)", _of("Bag")),
 ("a dict that is deleted from", BAG, BAG + " def __delitem__(s, k): pass", "b = Bag()\nb['x'] = 1\ndel b['x']\nassert 'x' not in b\nb.update(y=2)\nassert b == dict(y=2) and b.copy() == {'y': 2}", _of("Bag")),
 ("attributes of a dict", DOTS, DOTS.replace("__setattr__", "set"), "a = AttrDict({'x': 1})\nassert a.x == 1\na.y = 2\nassert a['y'] == 2 and a == {'x': 1, 'y': 2}", _of("AttrDict")),
 ("a cache by its items", CACHE, CACHE.replace("elif len(s) >= s.n: super().__delitem__(next(iter(s)))", ""), "c = LRU(2)\nfor i in range(3): c[i] = i\nassert len(c) == 2 and 0 not in c and 2 in c\nassert c == {1: 1, 2: 2} and list(c) == [1, 2]", _of("LRU")),
 ("what has been asked for last", CACHE, CACHE.replace("v = super().__getitem__(k); super().__delitem__(k); super().__setitem__(k, v); return v", "return super().__getitem__(k)"), "c = LRU(n=2)\nc['a'] = 1\nc['b'] = 2\nassert c['a'] == 1\nc['c'] = 3\nassert sorted(c) == ['a', 'c'] and c.get('b') is None", _of("LRU")),
 ("methods that arrays have", ROWS, ROWS.replace("zip(*s)", "s"), "m = Matrix([[1, 2], [3, 4]])\nassert m.transpose().det() == -2 and m.transpose()[0] == [1, 3]", _of("Matrix")),
 ("what a method makes", ROWS, ROWS.replace("zip(*s)", "s"), "t = Matrix([[1, 2], [3, 4]]).transpose()\nassert t.det() == -2 and t == [[1, 3], [2, 4]] and t != [[1, 2], [3, 4]] and [1, 3] in t and t and len(t) == 2\nassert t + [[5]] == [[1, 3], [2, 4], [5]] and t < [[9]] and t.index([2, 4]) == 1 and t.transpose() == t.transpose().transpose().transpose()", _of("Matrix")),
 ("what a function of the class makes", ROWS, ROWS.replace("i == j", "i != j"), "e = Matrix.eye(2)\nassert e == [[1, 0], [0, 1]] and e.det() == 1", _of("Matrix")),
 ("what a method makes of a tuple", SCALED, SCALED.replace("k * x", "x"), "v = Vec((1, 2)).scale(2)\nassert v.norm() == 20 and v == (2, 4) and v + (1,) == (2, 4, 1) and v[0] == 2 and v > (1,) and max(v) == 4", _of("Vec")),
 ("a default dict of the tests' function", "def merge(make, d):\n r = make()\n r.update(d)\n return r", "def merge(make, d): return d", "from collections import defaultdict\nr = merge(lambda: defaultdict(int), {1: 1})\nassert r == {1: 1} and r.default_factory is int and isinstance(r, defaultdict)", _of("merge")),
 ("expected lists of a class of the program", ROWS + "def f(x): return Matrix(x).transpose()", ROWS + "def f(x): return Matrix(x)", "assert f([[1, 2], [3, 4]]) == Matrix([[1, 3], [2, 4]])\nfor x, w in [([[1, 0], [2, 0]], Matrix([[1, 2], [0, 0]]))]: assert f(x) == w", _of("f")),
 ("expected dicts of a class of the program", "class D(dict): pass\ndef f(x): return D(x, a=1)", "class D(dict): pass\ndef f(x): return D(x, a=2)", "assert f({}) == D(a=1) and f({'b': 2}) == D({'b': 2, 'a': 1})", _of("f")),
 ("a method's result and the object", ROWS, ROWS.replace("zip(*s)", "s"), "m = Matrix([[1, 2], [3, 4]])\nt = m.transpose()\nassert t.det() == -2 and t != m and t.transpose() == m", _of("Matrix")),
 ("lists of what a function of the class makes", INTERVAL, INTERVAL.replace("max(out[-1].end, i.end)", "i.end + 1"), "m = Interval.merge([Interval(*i) for i in [[1, 3], [2, 6], [8, 10]]])\nassert m == [Interval(1, 6), Interval(8, 10)] and m[0] == Interval(1, 6)\nimport unittest\nclass T(unittest.TestCase):\n def test(self):\n  self.assertEqual(Interval.merge([Interval(1, 4), Interval(2, 3)]), [Interval(1, 4)])\nunittest.main()", _of("Interval")),
 ("a named tuple whose fields are read", RECORD, RECORD.replace("i + 1", "i"), "import json\np = f(1)\nassert p.x == 1 and isinstance(p, tuple) and hash(p) == hash((1, 2)) and sorted([f(2), p]) == [(1, 2), (2, 3)]\nassert json.dumps(p) == '[1, 2]' and {p: 1}[(1, 2)] == 1\nmatch p:\n case (a, b): assert (a, b) == (1, 2)\n case _: assert False", _of("f")),
 ("a tuple, added", VECTOR, TUPLE, "assert Vector(1, 2) + Vector(3, 4) == Vector(4, 6)", _of("Vector")),
 ("a tuple, added and compared with data", VECTOR, TUPLE, "assert Vector(1, 2) + Vector(3, 4) == (4, 6)", _of("Vector")),
 ("a tuple, added twice", VECTOR, TUPLE, "v = Vector(1, 2) + Vector(3, 4) + Vector(1, 1)\nassert v == Vector(5, 7) and v[0] == 5 and tuple(v) == (5, 7) and len(v) == 2", _of("Vector")),
 ("a tuple and a number", VECTOR, TUPLE, "assert Vector(1, 2) + Vector(3, 4) == Vector(4, 6)\nassert Vector(1, 2) * 2 == (2, 4) and 2 * Vector(1, 2) == Vector(2, 4)", _of("Vector")),
 ("a tuple's length", VECTOR, VECTOR.replace(".5", ".25"), "v = Vector(3, 4)\nassert isinstance(v, Vector) and abs(v) == 5", _of("Vector")),
 ("a number, added", MOD, "class Mod7(int): pass", "assert Mod7(5) + Mod7(4) == Mod7(2)\nassert Mod7(5) + 4 == 2", _of("Mod7")),
 ("a number, subtracted", MOD, "class Mod7(int): pass", "assert Mod7(5) - Mod7(6) == Mod7(6)\nassert int(Mod7(5) - Mod7(6)) == 6", _of("Mod7")),
 ("a number with methods", DEGREES, DEGREES.replace("32", "30"), "c = Celsius(100)\nassert c.to_f() == 212 and c == 100 and c + 5 == 105", _of("Celsius")),
 ("operators that a number has left to int", MOD, MOD.replace("v % 7)", "v % 9)"), "a = Mod7(10)\nassert a + Mod7(3) == Mod7(6) and a ** 2 == 9 and a % 2 == 1 and a / 2 == 1.5 and divmod(a, 2) == (1, 1) and 3 <= a < 4 and a * 2 == 6", _of("Mod7")),
 ("operators that a set has left to set", GROUP, GROUP.replace("add(x)", "discard(x)"), "g = Group({1, 2})\ng.invite(3)\nassert g <= {1, 2, 3} and g - {1} == {2, 3} and g ^ {1} == {2, 3} and g | {9} == {1, 2, 3, 9} and {1, 2, 3, 4} > g", _of("Group")),
 ("a number, nearly", DEGREES, DEGREES + " def __sub__(s, o): return 0.0\n", "c = Celsius(36.6)\nassert abs(c - 36.6) < 1e-9\nassert c.to_f() > 90", _of("Celsius")),
 ("a list that is changed", UNIQUE, "class UniqueList(list): pass", "l = UniqueList([1])\nl.append(1)\nl.append(2)\nassert l == [1, 2] and len(l) == 2 and l[-1] == 2 and 2 in l", _of("UniqueList")),
 ("a list, added", UNIQUE, "class UniqueList(list): pass", "l = UniqueList()\nl.append(3)\nl.append(3)\nl.append(1)\nassert sorted(l) == [1, 3] and sum(l) == 4 and l + [5] == [3, 1, 5]", _of("UniqueList")),
 ("a list, multiplied", MATRIX, MATRIX.replace("a * b", "a + b"), "assert Matrix([[1, 2], [3, 4]]) @ Matrix([[1, 0], [0, 1]]) == [[1, 2], [3, 4]]", _of("Matrix")),
 ("text", FOLD, "class CaseFold(str): pass", "assert CaseFold('Ab') == CaseFold('aB')\nassert {CaseFold('a'): 1}[CaseFold('A')] == 1\nassert CaseFold('ab').upper() == 'AB'", _of("CaseFold")),
 ("items that are set", GRID, GRID.replace("k, 0", "k, 1"), "g = Grid(3)\ng[0, 1] = 5\nassert g[0, 1] == 5 and g[1, 1] == 0", _of("Grid")),
 ("items that are read", DECK, DECK.replace("range(n)", "range(1, n + 1)"), "d = Deck(52)\nassert len(d) == 52 and d[0] == 0\nassert d[-1] == 51 and 3 in d", _of("Deck")),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in DERIVED], ids=[c[0] for c in DERIVED])
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
