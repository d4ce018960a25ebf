"""What a program hands over twice, keeps, or goes on with is one object, as it is without a sandbox."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

CACHED = "import functools\n@functools.lru_cache\ndef f(n): return list(range(n))"
ANEW = "def f(n): return list(range(n))"
ROWS = "def f(n): return [[0] * n for _ in range(n)]"
ONE_ROW = "def f(n): return [[0] * n] * n"
FIRSTS = "def f(xs):\n for n in range(len(xs) + 1): yield xs[:n]"
GROWING = "def f(xs):\n found = []\n yield found\n for x in xs:\n  found.append(x)\n  yield found"
BUFFER = "found = []\ndef f(n):\n found[:] = range(n)\n return found"
ADDS = "def f(x, found=None):\n found = found or []\n found.append(x)\n return found"
TELLS = "def f(g):\n for n in range(3): g([*range(n)])"
TELLS_ONE = "def f(g):\n found = []\n for n in range(3):\n  g(found)\n  found.append(n)"
SORTS = "def f(g):\n found = [3, 1, 2]\n g(found)\n return found"
HAS = "class S:\n def __init__(s): s.all = [[1], [2]]\n def last(s): return s.all[-1]\n def rows(s): return list(s.all)\n def one(s): return s.all[0], s.all[0]\n def groups(s): return {'a': s.all[0], 'b': [s.all[1]]}\n def __enter__(s): return s.all\n def __exit__(s, *e): pass\n"
COPIES = (
    "import copy\n"
    + HAS
    + " def __getattribute__(s, n):\n  v = object.__getattribute__(s, n)\n  return copy.deepcopy(v) if n == 'all' else v\n"
)
BOARD = "class S:\n def __init__(s): s.cells = [[0] * 2 for _ in range(2)]\n def put(s, i, j): s.cells[i][j] = 1\n def row(s, i): return s.cells[i]\n"
FLAT = BOARD.replace("[[0] * 2 for _ in range(2)]", "[[0] * 2] * 2")
STATE = "class S:\n def __init__(s): s.all = []\n def items(s): return s.all\n def push(s, x): s.all.append(x)\n"
DERIVED = "class L(list): pass\nC = L([1])\ndef f(): return C"
PAIR = "C = ([1], [2])\ndef f(): return C"
KEEPS = "K = []\ndef f(x):\n for k in K: k.append(9)\n K.append(x)\n return 1"
GOES_ON = "def f(g):\n b = [1]\n g(b)\n b.append(2)"
YIELDS = "def f():\n b = [1]\n yield b\n b.append(2)"
BLOCK = "from contextlib import contextmanager\n@contextmanager\ndef f():\n b = []\n yield b\n b.append('end')"
BOX = "class S:\n all = []\n def total(s): return len(s.all)\n def add(s, x): s.all.append(x)\n def __iadd__(s, x): s.all = x; return s\n def __setitem__(s, k, x): s.all = x\n @property\n def sorted(s): return s.all\n @sorted.setter\n def sorted(s, x):\n  x.sort(); s.all = x\n"
BOX_COPIES = (
    BOX.replace("s.all = x", "s.all = x[:]").replace("x.sort()", "x = sorted(x)")
    + " def __setattr__(s, n, v): object.__setattr__(s, n, v[:])\n"
)
TAKES = "class S(list):\n def append(s, x):\n  if x not in s: super().append(x)\n def take(s, o, l):\n  l.append(len(o)); s.append(l)\n  return l\n"
GIVEN = "class S:\n def first(s, x): s.one = x\n def second(s, x): s.two = x\n def add(s, x): s.one.append(x)\n"
PUTS = "V = [1]\ndef f(m): m.append(V)\ndef g(): V.append(2)"
CONSTANT = "from dataclasses import dataclass\n@dataclass\nclass P:\n x: int\nORIGIN = P(0)\ndef f(): return P(0)"
_FG = {"entry_point": ["f", "g"]}
_F, _S = {"entry_point": "f"}, {"entry_point": "S"}
# fmt: off
SAME = [
 ("a list that is kept for other calls", CACHED, ANEW, "a = f(3)\na.append(9)\nassert f(3) == [0, 1, 2, 9] and f(3) is a", _F),
 ("and one that is made anew", ANEW, CACHED, "a = f(3)\na.append(9)\nassert f(3) == [0, 1, 2] and f(3) is not a", _F),
 ("one row, or as many", ROWS, ONE_ROW, "g = f(3)\ng[0][1] = 5\nassert g == [[0, 5, 0], [0, 0, 0], [0, 0, 0]]", _F),
 ("one row", ONE_ROW, ROWS, "g = f(3)\ng[0][1] = 5\nassert g[2] == [0, 5, 0] and g[0] is g[1]", _F),
 ("what an iterator yields", FIRSTS, GROWING, "assert list(f([1, 2])) == [[], [1], [1, 2]]", _F),
 ("what an iterator yields, in the referee", FIRSTS, GROWING, "found = []\nfor v in f([1, 2]): found.append(v)\nassert found == [[], [1], [1, 2]]", _F),
 ("what an iterator yields again", GROWING, FIRSTS, "a, *_, b = f([1, 2])\nassert a is b and a == [1, 2]", _F),
 ("a buffer for all calls", ANEW, BUFFER, "a, b = f(1), f(2)\nassert a == [0] and b == [0, 1]", _F),
 ("a buffer, within one check", ANEW, BUFFER, "assert f(1) != f(2)", _F),
 ("a buffer, within one check, item by item", ANEW, BUFFER, "assert [f(1), f(2)] == [[0], [0, 1]]", _F),
 ("a buffer, added to itself", ANEW, BUFFER, "assert f(1) + f(2) == [0, 0, 1] and f(1) is not f(1)", _F),
 ("a buffer in a tuple", "def f(n): return [n], n", "b = []\ndef f(n):\n b[:] = [n]\n return b, n", "assert f(1)[0] < f(2)[0]", _F),
 ("a default that is changed", ADDS, ADDS.replace("None", "[]").replace("found = found or []", "pass"), "a = f(1)\nb = f(2, [5])\nc = f(3)\nassert (a, b, c) == ([1], [5, 2], [3])", _F),
 ("what a function of the tests is told", TELLS, TELLS_ONE, "seen = []\nf(seen.append)\nassert seen == [[], [0], [0, 1]]", _F),
 ("what a function of the tests changes", SORTS, SORTS.replace("g(found)", "g(found[:])"), "assert f(lambda found: found.sort()) == [1, 2, 3]", _F),
 ("what an object hands over within a new list", HAS, COPIES, "s = S()\ns.rows()[0].append(7)\nassert s.rows() == [[1, 7], [2]] and s.rows()[0] is s.rows()[0]", _S),
 ("what it hands over twice", HAS, COPIES, "a, b = S().one()\na.append(3)\nassert a is b and b == [1, 3]", _S),
 ("what it hands over among others", HAS, COPIES, "s = S()\nfound = s.groups()\nfound['a'].append(3)\nfound['b'][0].append(4)\nassert s.rows() == [[1, 3], [2, 4]] and s.last() is found['b'][0]", _S),
 ("what it hands over again", HAS, COPIES, "s = S()\nassert s.last() is s.last() and s.rows() is not s.rows()", _S),
 ("rows of an attribute", BOARD, FLAT, "s = S()\ns.cells[0][0] = 1\nassert s.cells == [[1, 0], [0, 0]]", _S),
 ("one row of an attribute", FLAT, BOARD, "s = S()\ns.cells[0][0] = 1\nassert s.cells == [[1, 0], [1, 0]]\ns.put(1, 1)\nassert s.cells == [[1, 1], [1, 1]] and s.row(0) == [1, 1]\ns.row(1)[0] = 7\nassert s.row(0) == [7, 1] and s.cells[0][0] == 7 and s.cells[0] is s.cells[1]", _S),
 ("what a method hands over goes on with its object", STATE, STATE.replace("return s.all", "return list(s.all)"), "s = S()\nall = s.items()\ns.push(1)\nassert all == [1]\ns.push(2)\nassert all == [1, 2] and s.items() is all", _S),
 ("or is what it was", STATE.replace("return s.all", "return list(s.all)"), STATE, "s = S()\ns.push(1)\nbefore = s.items()\ns.push(2)\nassert before == [1] and s.items() == [1, 2]", _S),
 ("a list of a class of its own", DERIVED, DERIVED.replace("return C", "return list(C)"), "a = f()\na.append(2)\nassert f() == [1, 2] and f() is a", _F),
 ("a list in a tuple", PAIR, PAIR.replace("return C", "return [1], [2]"), "a = f()\na[0].append(9)\nassert f() == ([1, 9], [2]) and f()[0] is a[0]", _F),
 ("a list in a tuple in a new list", PAIR.replace("return C", "return [C]"), PAIR.replace("return C", "return [([1], [2])]"), "a = f()\na[0][0].append(9)\nassert f() == [([1, 9], [2])]", _F),
 ("what a function keeps of what it is given", KEEPS, KEEPS.replace("K.append(x)", "K.append(x[:])"), "a = [1]\nf(a)\nf([2])\nassert a == [1, 9]", _F),
 ("what a callback was told goes on", GOES_ON, GOES_ON.replace("g(b)", "g(b[:])"), "got = []\nf(got.append)\nassert got == [[1, 2]]", _F),
 ("what a generator has yielded goes on", YIELDS, YIELDS.replace("yield b", "yield b[:]"), "a, = f()\nassert a == [1, 2]", _F),
 ("what a block has given goes on", BLOCK, BLOCK.replace("yield b", "yield b[:]"), "with f() as b: b.append('body')\nassert b == ['body', 'end']", _F),
 ("what is in what is yielded, as it comes", GROWING, FIRSTS.replace("xs[:n]", "xs"), "assert [1] in f([1, 2])\ng = f([1, 2])\nassert [1] in g", _F),
 ("a list that is put into an attribute", BOX, BOX_COPIES, "a = [1]\nb = S()\nb.all = a\na.append(9)\nassert b.total() == 2\nb.add(7)\nassert a == [1, 9, 7] and b.all is a", _S),
 ("a list that is put into an item, or by an operator", BOX, BOX_COPIES, "for n in range(2):\n    a, b = [1], S()\n    if n: b['x'] = a\n    else: b += a\n    b.add(7)\n    assert a == [1, 7]", _S),
 ("a list that is changed by who takes it", BOX, BOX_COPIES, "a, b = [2, 1], S()\nb.sorted = a\nassert a == [1, 2]", _S),
 ("a list beside an object that is one", TAKES, TAKES.replace("l.append(len(o))", "o.append(len(l))"), "u, w, l = S(), S(), [5]\nu.append(1)\nu.append(1)\nassert w.take(u, l) is l and l == [5, 1] and w[0] is l\nl.append(3)\nassert w == [[5, 1, 3]] and u == [1]", _S),
 ("what a function puts into a list of the tests", PUTS, PUTS.replace("append(V)", "append(V[:])"), "m = []\nf(m)\ng()\nassert m == [[1, 2]]\nf(m)\nassert m[0] is m[1]", _FG),
 ("what a function of the tests returns", "def f(g): return g()", "def f(g): return g()[:]", "a = [1]\nassert f(lambda: a) is a", _F),
 ("what a function of the tests returns, kept", "K = []\ndef f(g):\n K.append(g()); K[0].append(5)\n return len(K)", "K = []\ndef f(g):\n K.append(g()[:]); K[0].append(5)\n return len(K)", "a = [1]\nassert f(lambda: a) == 1 and a == [1, 5]\na.append(6)\nassert f(lambda: a) == 2 and a == [1, 5, 6, 5]", _F),
 ("a constant and its equal", CONSTANT, CONSTANT.replace("ORIGIN = P(0)", "ORIGIN = P(1)"), "assert f() == ORIGIN and not f() != ORIGIN and f() is not ORIGIN", _F),
 ("a list that is given to two methods", GIVEN, GIVEN.replace("s.two = x", "s.two = x[:]"), "s, a = S(), [1]\ns.first(a)\ns.second(a)\ns.add(5)\nassert s.two == [1, 5] and a == [1, 5] and s.one is a", _S),
 ("what a block gives", HAS, COPIES, "s = S()\nwith s as rows: rows.append([3])\nassert s.rows() == [[1], [2], [3]]", _S),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in SAME], ids=[c[0] for c in SAME])
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
