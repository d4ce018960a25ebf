"""Ways in which tests use objects and change data: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

MONEY = "class Money:\n def __init__(s, a): s.amount = a\n def __add__(s, o): return Money(s.amount + o.amount)\n def __radd__(s, o): return s\n def __eq__(s, o): return isinstance(o, Money) and s.amount == o.amount"
# fmt: off
LRU = '''class LRUCache:
    def __init__(self, capacity):
        from collections import OrderedDict
        self.c = capacity; self.d = OrderedDict()
    def get(self, k):
        if k not in self.d: return -1
        self.d.move_to_end(k); return self.d[k]
    def put(self, k, v):
        self.d[k] = v; self.d.move_to_end(k)
        if len(self.d) > self.c: self.d.popitem(last=False)
'''
LRUBAD = LRU.replace("last=False", "last=True")
MINST = "class MinStack:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s): s.a.pop()\n def top(s): return s.a[-1]\n def getMin(s): return min(s.a)\n"
MINBAD = MINST.replace("min(s.a)", "s.a[0]")
TRIE = "class Trie:\n def __init__(s): s.d=set()\n def insert(s,w): s.d.add(w)\n def search(s,w): return w in s.d\n def startsWith(s,p): return any(x.startswith(p) for x in s.d)\n"
TRIEBAD = TRIE.replace("x.startswith(p)", "False")
P = "from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\n    @classmethod\n    def of(cls, x): return cls(x, x)\n    @staticmethod\n    def origin(): return P(0, 0)\n    def norm(s): return abs(s.x) + abs(s.y)\n    def moved(s, d): return P(s.x + d, s.y)\n"
PBAD = P.replace("cls(x, x)", "cls(x, x + 1)").replace("P(0, 0)", "P(1, 0)").replace("s.x + d", "s.x")
FP = P + "def f(x): return P(x, x + 1)\n"
FPBAD = P + "def f(x): return P(x, x)\n"
COL = "from enum import Enum\nclass Color(Enum):\n    RED = 1\n    GREEN = 2\ndef f(s): return Color[s.upper()]\n"
COLBAD = "from enum import Enum\nclass Color(Enum):\n    RED = 3\n    GREEN = 2\ndef f(s): return Color.GREEN\n"
CH = "def f(lst, k=1):\n    lst.append(k)\n    return None\ndef g(a, b):\n    a.append(1)\n    b.append(2)\ndef h(p):\n    p[0].append(5)\n"
CHBAD = "def f(lst, k=1): return None\ndef g(a, b): pass\ndef h(p): pass\n"
NT="from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\n    y: int = 0\ndef f(x): return P(x, x + 1)\n"
NTB=NT.replace("x + 1","x")
PL="class P:\n def __init__(self, x, y): self.x, self.y = x, y\n def __eq__(self, o): return (self.x, self.y) == (o.x, o.y)\ndef f(x): return P(x, x + 1)\n"
PLB=PL.replace("x + 1)\n","x)\n")
DATA="from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\n    y: int = 0\ndef f(x): return P(x, x + 1)\ndef g(x): return {'a': [P(x)]}\ndef h(n): return [P(i, i) for i in range(n)]\ndef d(p): return p.x + p.y\n"
DATABAD=DATA.replace("P(x, x + 1)","P(x, x)").replace("[P(x)]","[P(x, 5)]").replace("P(i, i)","P(i, 0)").replace("p.x + p.y","p.x")
COUNTED = "class It:\n def __init__(s, n): s.n, s.i = n, 0\n def __iter__(s): return s\n def __next__(s):\n  if s.i == s.n: raise StopIteration\n  s.i += 1\n  return s.i\n def __len__(s): return {}\ndef f(n): return It(n)"
BAG = "class Bag:\n def __init__(s, n): s.a = list(range(n))\n def __iter__(s): return iter(list(s.a))\n def __reversed__(s): return iter(s.a[::-1])\n def __next__(s): return s.a.pop()\n def __len__(s): return len(s.a)\ndef f(n): return Bag(n)"
MAPPING = "from collections.abc import Mapping\nclass M(Mapping):\n def __init__(s, d): s.d = dict(d)\n def __getitem__(s, k): return s.d[k]\n def __iter__(s): return iter(s.d)\n def __len__(s): return len(s.d)\n def size(s): return len(s.d)\n"
MAPPINGBAD = MAPPING.replace("return s.d[k]", "return 0")
KEYS = "class M:\n def __init__(s, d): s.d = dict(d)\n def __getitem__(s, k): return s.d[k]\n def keys(s): return s.d.keys()\n def size(s): return len(s.d)\n"
# name, a right program, a wrong one, the test, what else is given
OBJECTS = [
 ("lru zip", LRU, LRUBAD, 'ops = ["LRUCache","put","put","get","put","get","put","get","get","get"]\nargs = [[2],[1,1],[2,2],[1],[3,3],[2],[4,4],[1],[3],[4]]\nexpected = [None,None,None,1,None,-1,None,-1,3,4]\nobj = None\nout = []\nfor op, a in zip(ops, args):\n    if op == "LRUCache":\n        obj = LRUCache(*a)\n        out.append(None)\n    else:\n        out.append(getattr(obj, op)(*a))\nassert out == expected', {}),
 ("lru entry", LRU, LRUBAD, 'def run(ops, args):\n    obj = LRUCache(*args[0])\n    return [None] + [getattr(obj, m)(*a) for m, a in zip(ops[1:], args[1:])]\nassert run(["LRUCache","put","put","get","put","get","put","get","get","get"], [[2],[1,1],[2,2],[1],[3,3],[2],[4,4],[1],[3],[4]]) == [None,None,None,1,None,-1,None,-1,3,4]', {"entry_point": "LRUCache"}),
 ("lru globals", LRU, LRUBAD, 'ops = ["LRUCache","put","put","get","put","get"]\nargs = [[2],[1,1],[2,2],[1],[3,3],[2]]\nobj = globals()[ops[0]](*args[0])\nres = [getattr(obj, o)(*a) for o, a in zip(ops[1:], args[1:])]\nassert res == [None, None, 1, None, -1]', {"entry_point": "LRUCache"}),
 ("lru eval", LRU, LRUBAD, 'ops = ["LRUCache","put","put","get","put","get"]\nargs = [[2],[1,1],[2,2],[1],[3,3],[2]]\nobj = eval(ops[0])(*args[0])\nres = [getattr(obj, o)(*a) for o, a in zip(ops[1:], args[1:])]\nassert res == [None, None, 1, None, -1]', {"entry_point": "LRUCache"}),
 ("lru plain get/put asserts", LRU, LRUBAD, 'c = LRUCache(2)\nc.put(1,1)\nc.put(2,2)\nassert c.get(1) == 1\nc.put(3,3)\nassert c.get(2) == -1', {}),
 ("minstack getattr", MINST, MINBAD, 'ops = ["push","push","getMin","pop","top","getMin"]\nargs=[[3],[1],[],[],[],[]]\ns = MinStack()\nout=[]\nfor o,a in zip(ops,args): out.append(getattr(s,o)(*a))\nassert out == [None,None,1,None,3,3]', {}),
 ("minstack cmds dict", MINST, MINBAD, 's = MinStack()\nm = {"push": s.push, "getMin": s.getMin}\nm["push"](3)\nm["push"](1)\nassert m["getMin"]() == 1', {}),
 ("a class of which names of data alone are asked", "class Stats:\n def __init__(s, d): s.d = list(d)\n def mean(s): return sum(s.d) / len(s.d)\n", "class Stats:\n def __init__(s, d): s.d = d\n def mean(s): return s.d[0]\n", "assert Stats([1, 2, 6]).mean() == 3", {}),
 ("a class of which names of data alone are asked, an entry point", "class MinHeap:\n def __init__(s, d): s.d = sorted(d)\n def pop(s): return s.d.pop(0)\n", "class MinHeap:\n def __init__(s, d): s.d = list(d)\n def pop(s): return s.d.pop(0)\n", "h = MinHeap([3, 1, 2])\nassert h.pop() == 1\nassert h.pop() == 2", {"entry_point": "MinHeap"}),
 ("a class that says where something is", "class Index:\n def __init__(s, d): s.d = d\n def find(s, x): return s.d.index(x) if x in s.d else -1\n def index(s, x): return s.d.index(x)\n def rfind(s, x): return len(s.d) - 1 - s.d[::-1].index(x)\n", "class Index:\n def __init__(s, d): s.d = d\n def find(s, x): return 0\n index = rfind = find\n", "assert Index([1, 2, 3, 3]).find(3) == 2\nassert Index([1, 2, 3, 3]).rfind(3) == 3\nassert Index([1]).find(3) == -1\ntry: Index([1]).index(3)\nexcept ValueError: pass\nelse: assert False", {"entry_point": "Index"}),
 ("a class that says where something is, and is no entry point", "class Index:\n def __init__(s, d): s.d = d\n def find(s, x): return s.d.index(x)\n", "class Index:\n def __init__(s, d): s.d = d\n def find(s, x): return 0\n", "assert Index([1, 2, 3]).find(3) == 2", {}),
 ("a class with a find of its own", "class Trie:\n def __init__(s, w): s.w = w\n def find(s, x): return x in s.w\n", "class Trie:\n def __init__(s, w): pass\n def find(s, x): return True\n", "t = Trie(['ab'])\nassert t.find('ab')\nassert not t.find('b')", {}),
 ("trie", TRIE, TRIEBAD, 'cmds = [("insert","apple"),("search","apple"),("search","app"),("startsWith","app")]\nt = Trie()\nassert [getattr(t, c)(w) for c, w in cmds] == [None, True, False, True]', {}),
 ("trie ops helper", TRIE, TRIEBAD, 'def execute(cls, ops, args):\n    o = cls(*args[0])\n    out = [None]\n    for m, a in zip(ops[1:], args[1:]):\n        out.append(getattr(o, m)(*a))\n    return out\nassert execute(Trie, ["Trie","insert","search","startsWith"], [[],["apple"],["apple"],["app"]]) == [None, None, True, True]', {}),
 ("lru helper cls arg", LRU, LRUBAD, 'def execute(cls, ops, args):\n    o = cls(*args[0])\n    return [getattr(o, m)(*a) for m, a in zip(ops, args[1:])]\nassert execute(LRUCache, ["put","put","get","put","get"], [[2],[1,1],[2,2],[1],[3,3],[2]]) == [None,None,1,None,-1]', {"entry_point": "LRUCache"}),
 ("lru names dict", LRU, LRUBAD, 'classes = {"LRUCache": LRUCache}\nobj = None\nout=[]\nfor op,a in [("LRUCache",[1]),("put",[1,1]),("put",[2,2]),("get",[1])]:\n    if op in classes:\n        obj = classes[op](*a)\n        out.append(None)\n    else:\n        out.append(getattr(obj, op)(*a))\nassert out == [None,None,None,-1]', {"entry_point": "LRUCache"}),
 ("lru methodcaller", LRU, LRUBAD, 'from operator import methodcaller\no = LRUCache(1)\nassert [methodcaller(m, *a)(o) for m, a in [("put",[1,1]),("put",[2,2]),("get",[1])]] == [None,None,-1]', {"entry_point": "LRUCache"}),
 ("lru setup", LRU, LRUBAD, 'assert run([("put",(1,1)),("put",(2,2)),("get",(1,))]) == [None,None,-1]', {"entry_point":"LRUCache", "setup":"def run(ops):\n    c = LRUCache(1)\n    return [getattr(c, o)(*a) for o, a in ops]"}),
 ("dict of a mapping", MAPPING, MAPPINGBAD, "m = M({'a': 1})\nassert m.size() == 1\nassert dict(m) == {'a': 1} and {**m} == {'a': 1} and dict(m, b=2) == {'a': 1, 'b': 2}", {"entry_point": "M"}),
 ("dict of what has keys", KEYS, KEYS.replace("return s.d[k]", "return s.d"), "m = M({'a': 1})\nassert m.size() == 1\nassert dict(m) == {'a': 1} and {**m, 'b': 2} == {'a': 1, 'b': 2}", {"entry_point": "M"}),
 ("dict of pairs", KEYS.replace("def keys(s): return s.d.keys()", "def __iter__(s): return iter(s.d.items())"), KEYS.replace("def keys(s): return s.d.keys()", "def __iter__(s): return iter(s.d)"), "m = M({'a': 1})\nassert m.size() == 1\nassert dict(m) == {'a': 1}", {"entry_point": "M"}),
 ("classmethod", P, PBAD, "p = P.of(1)\nassert p.x == 1 and p.y == 1", {}),
 ("classmethod eq", P, PBAD, "assert P.of(1) == P(1, 1)", {}),
 ("classmethod eq entry", P, PBAD, "assert P.of(1) == P(1, 1)", {"entry_point": "P"}),
 ("static eq", P, PBAD, "assert P.origin() == P(0, 0)", {}),
 ("static method call", P, PBAD, "assert P.origin().norm() == 0", {}),
 ("cm via method", P, PBAD, "p = P.of(2)\nassert p.norm() == 4\nassert p.moved(1).x == 3", {}),
 ("method eq", P, PBAD, "assert P(1, 2).moved(3) == P(4, 2)", {}),
 ("match", P, PBAD, "match P.of(1):\n    case P(x=1, y=1): ok = True\n    case _: ok = False\nassert ok", {}),
 ("match2", P, PBAD, "match P.of(1):\n    case P(x=a, y=b): pass\nassert (a, b) == (1, 1)", {}),
 ("match pos", P, PBAD, "match P.of(2):\n    case P(a, b): pass\n    case _: a = b = 0\nassert (a, b) == (2, 2)", {}),
 ("match fn", FP, FPBAD, "match f(1):\n    case P(x=1, y=2): ok = True\n    case _: ok = False\nassert ok", {}),
 ("f == P", FP, FPBAD, "assert f(1) == P(1, 2)", {}),
 ("f == P entry f", FP, FPBAD, "assert f(1) == P(1, 2)", {"entry_point": "f"}),
 ("[f] == [P]", FP, FPBAD, "assert [f(1), f(2)] == [P(1, 2), P(2, 3)]", {}),
 ("x = f; x == P", FP, FPBAD, "x = f(1)\nassert x == P(1, 2)\nassert x.x == 1", {}),
 ("f != P", FP, FPBAD, "x = f(1)\nassert x == P(1, 2) and x != P(5, 5)", {}),
 ("f in list", FP, FPBAD, "x = f(1)\nassert x in [P(1, 2)]", {}),
 ("enum key", COL, COLBAD, 'assert Color["RED"].value == 1', {}),
 ("enum attr value", COL, COLBAD, 'assert Color.RED.value == 1', {}),
 ("enum name", COL, COLBAD, 'assert Color.RED.name == "RED" and f("red") is Color.RED', {}),
 ("enum f eq", COL, COLBAD, 'assert f("red") == Color.RED', {}),
 ("enum by value", COL, COLBAD, 'assert Color(1) == Color.RED', {}),
 ("enum by value is", COL, COLBAD, 'assert Color(1) is Color.RED', {}),
 ("enum list", COL, COLBAD, 'assert [c.name for c in Color] == ["RED", "GREEN"] and Color.RED.value == 1', {}),
 ("enum len", COL, COLBAD, 'assert len(Color) == 2 and len(list(Color)) == 2 and Color.RED.value == 1', {}),
 ("enum members", COL, COLBAD, 'assert list(Color.__members__) == ["RED", "GREEN"] and Color.RED.value == 1', {}),
 ("enum key f", COL, COLBAD, 'assert f("red") == Color["RED"]', {}),
 ("enum in", COL, COLBAD, 'assert f("red") in Color and f("red").value == 1', {}),
 ("enum fn value", COL, COLBAD, 'assert f("red").value == 1', {}),
 ("kw change", CH, CHBAD, "a = []\nf(lst=a)\nassert a == [1]", {}),
 ("kw change 2", CH, CHBAD, "a = []\nf(k=3, lst=a)\nassert a == [3]", {}),
 ("alias change", CH, CHBAD, "a = []\nb = a\nf(b)\nassert a == [1] and a is b", {}),
 ("same arg twice", CH, CHBAD, "a = []\ng(a, a)\nassert a == [1, 2]", {}),
 ("tuple change", CH, CHBAD, "a = []\nh((a, 1))\nassert a == [5]", {}),
 ("list in list", CH, CHBAD, "a = []\nh([a])\nassert a == [5]", {}),
 ("list in dict", "def f(d): d['k'].append(1)", "def f(d): pass", "a = []\nf({'k': a})\nassert a == [1]", {}),
 ("star args", CH, CHBAD, "a = []\nt = (a,)\nf(*t)\nassert a == [1]", {}),
 *[(f"items of an iterator and its length, {size}: {test}", COUNTED.format(size), COUNTED.format(size).replace("s.i == s.n", "s.i == 1"), f"r = f(3)\n{test}", {"entry_point": "f"}) for size in ("s.n", "s.n - s.i") for test in (
  "assert len(r) == 3 and next(r) == 1\nassert [*r] == [2, 3]", "assert len(r) == 3\nfor i, x in enumerate(r): assert x == i + 1 and len(r) in (3, 2 - i)\nassert i == 2",
  "assert next(r) == 1 and len(r) in (2, 3)\nassert [*r] == [2, 3]", "assert len(r) == 3 and next(r) == 1 and len(r) in (2, 3)\nassert [*r] == [2, 3]")],
 ("an object from which items are taken", BAG, BAG.replace("s.a.pop()", "s.a[-1]"), "r = f(3)\nassert [*r] == [0, 1, 2] and len(r) == 3\nassert next(r) == 2\nassert [*r] == [0, 1] and len(r) == 2 and [*reversed(r)] == [1, 0]\nassert next(r) == 1 and [*r] == [0]", {"entry_point": "f"}),
 ("cents and dollars", "class Money:\n def __init__(s, c): s.c = c\n def plus(s, o): return Money(s.c + o.c)\n def __int__(s): return s.c\n def __float__(s): return s.c / 100", "class Money:\n def __init__(s, c): s.c = c\n def plus(s, o): return Money(s.c)\n def __int__(s): return s.c\n def __float__(s): return s.c / 100", "m = Money(200).plus(Money(350))\nassert int(m) == 550 and float(m) == 5.5", {"entry_point": "Money"}),
 ("returns same", "def f(a):\n a.append(1)\n return a", "def f(a): return a + [1]", "a = []\nb = f(a)\nassert b is a", {}),
 ("returns same 2", "def f(a):\n a.append(1)\n return a", "def f(a): return a + [1]", "a = []\nb = f(a)\nassert b == [1] and a == [1]", {}),
 ("returns new", "def f(a): return a + [1]", "def f(a):\n a.append(1)\n return a", "a = []\nb = f(a)\nassert b == [1] and b is not a and a == []", {}),
 ("nested in place", "def f(m):\n for r in m: r.reverse()", "def f(m): pass", "m = [[1,2],[3,4]]\nr = m[0]\nf(m)\nassert r == [2, 1] and m == [[2,1],[4,3]]", {}),
 ("alias rows", "def f(m):\n m[0][0] = 9", "def f(m): pass", "row = [0]\nm = [row, row]\nf(m)\nassert m == [[9],[9]]", {}),
 ("in gen", "def f(n):\n for i in range(n): yield i", "def f(n):\n for i in range(n): yield 2*i", "assert 3 in f(6)", {}),
 ("not in gen", "def f(n):\n for i in range(n): yield i", "def f(n):\n for i in range(n): yield 7", "assert 7 not in f(6) and 3 in f(6)", {}),
 ("in gen var", "def f(n):\n for i in range(n): yield i", "def f(n):\n for i in range(n): yield 2*i", "g = f(6)\nassert 3 in g", {}),
 ("cause", "def f(x):\n try: int(x)\n except ValueError as e: raise RuntimeError('bad') from e", "def f(x): raise RuntimeError('bad')", "try:\n    f('x')\n    assert False\nexcept RuntimeError as e:\n    assert isinstance(e.__cause__, ValueError)", {}),
 ("cause pytest", "def f(x):\n try: int(x)\n except ValueError as e: raise RuntimeError('bad') from e", "def f(x): raise RuntimeError('bad')", "import pytest\nwith pytest.raises(RuntimeError) as e: f('x')\nassert isinstance(e.value.__cause__, ValueError)", {}),
 ("cause own", "class AppError(Exception): pass\ndef f(x):\n try: {}[x]\n except KeyError as e: raise AppError('bad') from e", "class AppError(Exception): pass\ndef f(x): raise AppError('bad')", "import pytest\nwith pytest.raises(AppError) as e: f('x')\nassert type(e.value.__cause__) is KeyError and e.value.__cause__.args == ('x',)", {}),
 ("context", "def f(x):\n try: int(x)\n except ValueError as e: raise RuntimeError('bad')", "def f(x): raise RuntimeError('bad')", "try:\n    f('x')\n    assert False\nexcept RuntimeError as e:\n    assert isinstance(e.__context__, ValueError) and e.__cause__ is None", {}),
 ("suppress context", "def f(x):\n try: int(x)\n except ValueError as e: raise RuntimeError('bad') from None", "def f(x):\n try: int(x)\n except ValueError as e: raise RuntimeError('bad')", "try:\n    f('x')\n    assert False\nexcept RuntimeError as e:\n    assert e.__cause__ is None and e.__suppress_context__", {}),
 ("iadd len", "class S:\n def __init__(s): s.a=[]\n def __iadd__(s, o):\n  s.a.append(o); return s\n def __len__(s): return len(s.a)\n def items(s): return s.a", "class S:\n def __init__(s): s.a=[]\n def __iadd__(s, o): return s\n def __len__(s): return len(s.a)\n def items(s): return s.a", "s = S()\ns += 5\nassert len(s) == 1", {}),
 ("iadd str len", "class S:\n def __init__(s, a=''): s.a=a\n def __iadd__(s, o):\n  s.a += o; return s\n def __len__(s): return len(s.a)\n def text(s): return s.a", "class S:\n def __init__(s, a=''): s.a=a\n def __iadd__(s, o): return s\n def __len__(s): return len(s.a)\n def text(s): return s.a", "s = S('ab')\ns += 'cd'\nassert len(s) == 4\nassert str(s.text()) == 'abcd'", {}),
 ("iadd own", "class S:\n def __init__(s, a=''): s.a=a\n def __iadd__(s, o):\n  s.a += o.a; return s\n def __len__(s): return len(s.a)\n def text(s): return s.a", "class S:\n def __init__(s, a=''): s.a=a\n def __iadd__(s, o): return s\n def __len__(s): return len(s.a)\n def text(s): return s.a", "s = S('ab')\ns += S('cd')\nassert len(s) == 4", {}),
 ("iadd int then eq", "class V:\n def __init__(s, x): s.x=x\n def __iadd__(s, o):\n  s.x += o; return s\n def __eq__(s, o): return s.x == o.x", "class V:\n def __init__(s, x): s.x=x\n def __iadd__(s, o): return s\n def __eq__(s, o): return s.x == o.x", "v = V(1)\nv += 2\nassert v == V(3)", {}),
 ("add then len", "class S:\n def __init__(s, a=()): s.a=list(a)\n def __add__(s, o): return S(s.a + list(o))\n def __len__(s): return len(s.a)\n def __iter__(s): return iter(s.a)\n def size(s): return 0", "class S:\n def __init__(s, a=()): s.a=list(a)\n def __add__(s, o): return s\n def __len__(s): return len(s.a)\n def __iter__(s): return iter(s.a)\n def size(s): return 0", "s = S([1])\nt = s + [2]\nassert len(t) == 2 and s.size() == 0", {}),
 ("vector scale", "class V:\n def __init__(s, x): s.x=x\n def __mul__(s, k): return V(s.x*k)\n __rmul__=__mul__\n def __eq__(s, o): return s.x == o.x", "class V:\n def __init__(s, x): s.x=x\n def __mul__(s, k): return s\n __rmul__=__mul__\n def __eq__(s, o): return s.x == o.x", "assert V(2) * 3 == V(6)", {}),
 ("vector scale attr", "class V:\n def __init__(s, x): s.x=x\n def __mul__(s, k): return V(s.x*k)\n __rmul__=__mul__\n def __eq__(s, o): return s.x == o.x", "class V:\n def __init__(s, x): s.x=x\n def __mul__(s, k): return s\n __rmul__=__mul__\n def __eq__(s, o): return s.x == o.x", "v = 3 * V(2)\nassert v.x == 6", {}),
 ("one letter static", "class M:\n @staticmethod\n def add(a, b): return a + b", "class M:\n @staticmethod\n def add(a, b): return a", "assert M.add(1, 2) == 3", {}),
 ("one letter static x", "class M:\n @staticmethod\n def add(a, b): return a + b", "class M:\n @staticmethod\n def add(a, b): return a", "x = M.add(1, 2)\nassert x == 3", {}),
 ("allcaps static", "class LRU:\n @staticmethod\n def add(a, b): return a + b", "class LRU:\n @staticmethod\n def add(a, b): return a", "x = LRU.add(1, 2)\nassert x == 3", {}),
 ("one letter entry", "class M:\n @staticmethod\n def add(a, b): return a + b", "class M:\n @staticmethod\n def add(a, b): return a", "x = M.add(1, 2)\nassert x == 3", {"entry_point": "M"}),
 ("one letter get", "class Q:\n def __init__(s): s.a=[]\n def put(s, x): s.a.append(x)\n def get(s): return s.a.pop(0)", "class Q:\n def __init__(s): s.a=[]\n def put(s, x): s.a.append(x)\n def get(s): return s.a.pop()", "q = Q()\nq.put(1)\nq.put(2)\nassert q.get() == 1", {}),
 ("stack only pop append arg", "class S:\n def __init__(s, n): s.a=[]\n def append(s, x): s.a.append(x)\n def pop(s): return s.a.pop()", "class S:\n def __init__(s, n): s.a=[]\n def append(s, x): s.a.append(x)\n def pop(s): return s.a.pop(0)", "s = S(5)\ns.append(1)\ns.append(2)\nassert s.pop() == 2", {}),
 ("thread", "import threading\nout=[]\ndef f(x):\n return threading.Thread(target=lambda: out.append(x))", "import threading\nout=[]\ndef f(x):\n return threading.Thread(target=lambda: out.append(0))", "t = f(5)\nt.start()\nt.join()\nassert out == [5]", {}),
 ("thread named", "import threading\nclass W(threading.Thread):\n def __init__(s, x):\n  super().__init__(); s.x=x; s.result=None\n def run(s): s.result = s.x*2", "import threading\nclass W(threading.Thread):\n def __init__(s, x):\n  super().__init__(); s.x=x; s.result=None\n def run(s): s.result = 0", "w = W(2)\nw.start()\nw.join()\nassert w.result == 4", {}),
]
MORE = [
 ("nt eq",NT,NTB,"assert f(1) == P(1, 2)",{}),
 ("nt eq tuple",NT,NTB,"assert f(1) == (1, 2)",{}),
 ("nt made tuple",NT,NT.replace("x: int\n    y","z: int\n    y"),"assert P(1, 2) == (1, 2) and P(1,2).x == 1",{}),
 ("nt match",NT,NTB,"match f(1):\n    case P(x=1, y=2): ok = True\n    case _: ok = False\nassert ok",{}),
 ("nt entry",NT,NTB,"assert f(1) == P(1, y=2)",{"entry_point":"f"}),
 ("plain eq",PL,PLB,"assert f(1) == P(1, 2)",{}),
 ("plain expected var",PL,PLB,"expected = P(1, 2)\nassert f(1) == expected",{"entry_point":"f"}),
 ("default",DATA,DATABAD,"assert g(1) == {'a': [P(1)]}",{}),
 ("list",DATA,DATABAD,"assert h(3) == [P(0, 0), P(1, 1), P(2, 2)]",{}),
 ("assertEqual",DATA,DATABAD,"import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), P(1, 2))\nunittest.main()",{}),
 ("cases",DATA,DATABAD,"for x, e in [(1, P(1, 2)), (2, P(2, 3))]:\n    assert f(x) == e",{}),
 ("cases var",DATA,DATABAD,"CASES = [(1, P(1, 2)), (2, P(2, 3))]\nfor x, e in CASES:\n    assert f(x) == e",{}),
 ("helper",DATA,DATABAD,"def check(x, e):\n    assert f(x) == e\ncheck(1, P(1, 2))",{}),
 ("arg",DATA,DATABAD,"assert d(P(1, 2)) == 3",{}),
 ("arg var",DATA,DATABAD,"p = P(1, 2)\nassert d(p) == 3",{}),
 ("arg var attr",DATA,DATABAD,"p = P(1, 2)\nassert d(p) == 3 and p.x == 1",{}),
 ("in",DATA,DATABAD,"assert P(1, 1) in h(3)",{}),
 ("not in",DATA,DATA.replace("P(i, i)","P(7, 7)"),"assert P(7, 7) not in h(3)",{}),
 ("cap fn",DATA+"def Area(r): return 3.5*r\n","def Area(r): return r","assert Area(2) == 7.0",{}),
 ("cap fn 2","def Area(r): return 3.5*r\n","def Area(r): return r","x = Area(2)\nassert x == 7.0\ny = 7.0\nassert Area(2) == y",{}),
 ("pytest raises",DATA.replace("@dataclass\nclass P:","@dataclass\nclass P:\n    def __post_init__(s):\n        if s.x < 0: raise ValueError\n")+"def q(): return P(1)",DATA+"def q(): return P(1)","import pytest\nwith pytest.raises(ValueError):\n    p = P(-1)\nassert q() == P(1)",{}),
 ("counter","count = 0\ndef inc():\n global count\n count += 1","count = 0\ndef inc(): pass","inc()\ninc()\nassert count == 2",{}),
 ("registry","R = {}\ndef reg(k, v): R[k] = v","R = {}\ndef reg(k, v): pass","r = R\nreg('a', 1)\nassert R == {'a': 1} and r['a'] == 1",{}),
 ("registry fn","R = []\ndef reg(k): R.append(k)","R = []\ndef reg(k): pass","def test():\n    reg(1)\n    assert R == [1]\ntest()\nR.clear()\nassert R == []",{}),
 ("notes","def f(x):\n e = ValueError('a')\n e.add_note('n')\n raise e","def f(x): raise ValueError('a')","try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert e.__notes__ == ['n']",{}),
 ("changed then raised","def f(a):\n a.append(1)\n raise ValueError","def f(a): raise ValueError","a = []\ntry:\n    f(a)\nexcept ValueError: pass\nassert a == [1]",{}),
 ("deque arg","def f(q): q.append(1)","def f(q): pass","from collections import deque\nq = deque()\nf(q)\nassert list(q) == [1]",{}),
 ("defaultdict arg","def f(q): q['a'].append(1)","def f(q): pass","from collections import defaultdict\nq = defaultdict(list)\nf(q)\nassert q == {'a': [1]}\nassert q['b'] == []",{}),
 ("memo","def fib(n, memo={}):\n if n < 2: return n\n if n not in memo: memo[n] = fib(n-1, memo) + fib(n-2, memo)\n return memo[n]","def fib(n, memo=None): return n","m = {}\nassert fib(10, m) == 55 and m[10] == 55",{}),
 ("board","def solve(b):\n for r in b:\n  for i, c in enumerate(r):\n   if c == '.': r[i] = 'x'\n return True","def solve(b): return True","b = [['.', 'a'], ['b', '.']]\nassert solve(b) is True\nassert b == [['x','a'],['b','x']]",{}),
 ("rotate","def rot(m): m[:] = [list(r) for r in zip(*m[::-1])]","def rot(m): pass","m = [[1,2],[3,4]]\nrot(m)\nassert m == [[3,1],[4,2]]",{}),
 ("enum f by value","from enum import Enum\nclass Color(Enum):\n    RED = 1\n    GREEN = 2\ndef f(s): return Color[s]","from enum import Enum\nclass Color(Enum):\n    RED = 1\n    GREEN = 2\ndef f(s): return Color.GREEN","assert f('RED') == Color(1)",{"entry_point":"f"}),
 ("parametrized class methods","class BankAccount:\n def __init__(s, b=0): s.balance=b\n def deposit(s, a):\n  s.balance += a\n  return s.balance\n def withdraw(s, a):\n  if a > s.balance: raise ValueError('Insufficient')\n  s.balance -= a\n  return s.balance","class BankAccount:\n def __init__(s, b=0): s.balance=b\n def deposit(s, a): return 0\n def withdraw(s, a): return 0","acc = BankAccount(100)\nfor op, a, e in [('deposit', 50, 150), ('withdraw', 30, 120)]:\n    assert getattr(acc, op)(a) == e",{}),
 ("replay json","class Q:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s): return s.a.pop(0)\n def empty(s): return not s.a","class Q:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s): return s.a.pop()\n def empty(s): return not s.a",'import json\nops = json.loads(\'["Q","push","push","pop","empty"]\')\nargs = json.loads("[[],[1],[2],[],[]]")\no = None\nr = []\nfor m, a in zip(ops, args):\n    if m == "Q":\n        o = Q(*a)\n        r.append(None)\n    else:\n        r.append(getattr(o, m)(*a))\nassert r == [None, None, None, 1, False]',{}),
 ("replay index loop","class Q:\n def __init__(s, k): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s): return s.a.pop(0)\n","class Q:\n def __init__(s, k): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s): return s.a.pop()\n",'ops = ["Q","push","push","pop"]\nargs = [[3],[1],[2],[]]\nexp=[None,None,None,1]\no = Q(*args[0])\nfor i in range(1, len(ops)):\n    assert getattr(o, ops[i])(*args[i]) == exp[i]',{}),
 ("replay tuple dict","class Cnt:\n def __init__(s): s.n=0\n def add(s,x=1): s.n+=x; return s.n\n def get(s): return s.n","class Cnt:\n def __init__(s): s.n=0\n def add(s,x=1): return 0\n def get(s): return s.n",'steps = [{"op": "add", "args": [2], "out": 2}, {"op": "get", "args": [], "out": 2}]\nc = Cnt()\nfor s in steps:\n    assert getattr(c, s["op"])(*s["args"]) == s["out"]',{}),
 ("replay if-chain","class LFU:\n def __init__(s, c): s.d={}\n def get(s,k): return s.d.get(k,-1)\n def put(s,k,v): s.d[k]=v","class LFU:\n def __init__(s, c): s.d={}\n def get(s,k): return -1\n def put(s,k,v): s.d[k]=v",'ops=["LFU","put","get"]\nvals=[[2],[1,1],[1]]\nfor op, v in zip(ops, vals):\n    if op == "LFU": c = LFU(*v)\n    elif op == "put": c.put(*v)\n    elif op == "get": assert c.get(*v) == 1',{}),
]
ST="class Stack:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x)\n def pop(s):\n  if not s.a: raise IndexError('empty')\n  return s.a.pop()\n def peek(s): return s.a[-1]\n def is_empty(s): return not s.a\n def __len__(s): return len(s.a)\n"
STB=ST.replace("s.a[-1]","s.a[0]").replace("return s.a.pop()","return s.a.pop(0)").replace("not s.a\n","True\n").replace("return len(s.a)","return 0")
LL="class ListNode:\n def __init__(s, val=0, next=None): s.val, s.next = val, next\n"
TL="def build(xs):\n h = None\n for x in reversed(xs): h = ListNode(x, h)\n return h\ndef to_list(h):\n out = []\n while h: out.append(h.val); h = h.next\n return out\n"
REV="class Solution:\n def reverseList(self, h):\n  p = None\n  while h: h.next, p, h = p, h, h.next\n  return p\n"
REVB="class Solution:\n def reverseList(self, h): return h\n"
COMMON = [
 ("a sum of objects", MONEY, MONEY.replace("s.amount + o.amount", "s.amount"), "total = sum([Money(1), Money(2)], Money(0))\nassert total == Money(3)\nassert total.amount == 3", {}),
 ("a sum of objects from zero", MONEY, MONEY.replace("s.amount + o.amount", "s.amount"), "total = sum(Money(i) for i in range(3))\nassert total.amount == 3", {"entry_point": "Money"}),
 ("a fold of objects", MONEY, MONEY.replace("s.amount + o.amount", "s.amount"), "import functools, operator\nms = [Money(1), Money(2)]\ntotal = functools.reduce(operator.add, ms)\nassert total == Money(3) and total.amount == 3", {}),
 ("stack",ST,STB,"s = Stack()\nassert s.is_empty()\ns.push(1)\ns.push(2)\nassert len(s) == 2\nassert s.peek() == 2\nassert s.pop() == 2\nassert not s.is_empty()",{}),
 ("stack raises",ST,STB.replace("raise IndexError('empty')","return None"),"import pytest\ns = Stack()\nwith pytest.raises(IndexError):\n    s.pop()",{}),
 ("solution linked",REV,REVB,"assert to_list(Solution().reverseList(build([1,2,3]))) == [3,2,1]",{"setup":LL+TL}),
 ("solution linked ep",REV,REVB,"assert to_list(Solution().reverseList(build([1,2,3]))) == [3,2,1]",{"setup":LL+TL,"entry_point":"Solution.reverseList"}),
 ("helpers in test",REV,REVB,TL+"assert to_list(Solution().reverseList(build([1,2,3]))) == [3,2,1]",{"setup":LL,"entry_point":"Solution"}),
 ("nodes in place","def f(h):\n h.val = 9\n h.next = None","def f(h): pass","h = ListNode(1, ListNode(2))\nf(h)\nassert h.val == 9 and h.next is None",{"setup":LL,"entry_point":"f"}),
 ("nodes in list","def f(hs):\n for h in hs: h.val += 1","def f(hs): pass","hs = [ListNode(1), ListNode(2)]\nf(hs)\nassert [h.val for h in hs] == [2, 3]",{"setup":LL,"entry_point":"f"}),
 ("class-level default","def f():\n n = N()\n n.val = 5\n return n","def f(): return N()","assert f().val == 5",{"setup":"class N:\n val = 0\n left = right = None\n","entry_point":"f"}),
 ("class-level tree","def f():\n n = N()\n n.left = N()\n return n","def f(): return N()","assert f().size() == 2",{"setup":"class N:\n left = right = None\n def size(s): return 1 + (s.left.size() if s.left else 0) + (s.right.size() if s.right else 0)\n","entry_point":"f"}),
 ("iter obj twice","class R:\n def __init__(s,n): s.n=n\n def __iter__(s): return iter(range(s.n))\ndef f(n): return R(n)","def f(n): return range(0)","r = f(3)\nassert list(r) == [0,1,2]\nassert list(r) == [0,1,2]\nassert [x for x in r] == [0,1,2]",{"entry_point":"f"}),
 ("gen exhausted","def f(n):\n for i in range(n): yield i","def f(n): return [0,1]","g = f(2)\nassert list(g) == [0, 1]\nassert list(g) == []",{"entry_point":"f"}),
 ("gen next then for","def f(n):\n for i in range(n): yield i","def f(n):\n for i in range(n): yield 7","g = f(3)\nassert next(g) == 0\nfor i, x in enumerate(g): assert x == i + 1",{"entry_point":"f"}),
 ("gen stopiteration","def f(n):\n for i in range(n): yield i","def f(n):\n while True: yield 0","import pytest\ng = f(1)\nassert next(g) == 0\nwith pytest.raises(StopIteration): next(g)",{"entry_point":"f"}),
 ("memo decorator","import functools\ndef memo(f):\n c = {}\n @functools.wraps(f)\n def w(*a):\n  if a not in c: c[a] = f(*a)\n  return c[a]\n return w","def memo(f): return f","calls = []\n@memo\ndef sq(x):\n    calls.append(x)\n    return x * x\nassert sq(3) == 9 and sq(3) == 9 and calls == [3]",{"entry_point":"memo"}),
 ("callback list","def each(f, xs):\n for x in xs: f(x)","def each(f, xs): pass","out = []\neach(out.append, [1,2])\nassert out == [1,2]",{"entry_point":"each"}),
 ("bank", "class InsufficientFunds(Exception): pass\nclass Account:\n def __init__(s, b=0): s.balance=b\n def withdraw(s, a):\n  if a > s.balance: raise InsufficientFunds(f'need {a}')\n  s.balance -= a","class InsufficientFunds(Exception): pass\nclass Account:\n def __init__(s, b=0): s.balance=b\n def withdraw(s, a): s.balance = 0","import pytest\na = Account(10)\nwith pytest.raises(InsufficientFunds) as e: a.withdraw(20)\nassert 'need 20' in str(e.value)\na.withdraw(3)\nassert a.balance == 7",{}),
 ("sorted objs","class P:\n def __init__(s,n,a): s.name,s.age=n,a\ndef f(ps): return sorted(ps, key=lambda p: p.age)","class P:\n def __init__(s,n,a): s.name,s.age=n,a\ndef f(ps): return ps","ps = [P('a', 3), P('b', 1)]\nassert [p.name for p in f(ps)] == ['b', 'a']",{}),
 ("matrix class","class M:\n def __init__(s,r): s.r=r\n def __matmul__(s,o): return M([[sum(a*b for a,b in zip(x,y)) for y in zip(*o.r)] for x in s.r])\n def __eq__(s,o): return s.r==o.r\n def __getitem__(s,ij): return s.r[ij[0]][ij[1]]","class M:\n def __init__(s,r): s.r=r\n def __matmul__(s,o): return s\n def __eq__(s,o): return s.r==o.r\n def __getitem__(s,ij): return 0","a = M([[1,2],[3,4]])\nb = M([[0,1],[1,0]])\nassert a @ b == M([[2,1],[4,3]])\nassert (a @ b)[0, 0] == 2\nassert (a @ b).r == [[2,1],[4,3]]",{}),
 ("poly","class Poly:\n def __init__(s,*c): s.c=list(c)\n def __add__(s,o): return Poly(*[a+b for a,b in zip(s.c,o.c)])\n def __call__(s,x): return sum(c*x**i for i,c in enumerate(s.c))\n def __repr__(s): return f'Poly{tuple(s.c)}'","class Poly:\n def __init__(s,*c): s.c=list(c)\n def __add__(s,o): return s\n def __call__(s,x): return 0\n def __repr__(s): return ''","p = Poly(1, 2)\nq = p + Poly(1, 1)\nassert q(2) == 8\nassert repr(q) == 'Poly(2, 3)' and q.c == [2, 3]",{}),
 ("queue async","import asyncio\nasync def f(n):\n q = asyncio.Queue()\n for i in range(n): await q.put(i)\n return [await q.get() for _ in range(n)]","async def f(n): return []","import asyncio\nasync def main():\n    r = await asyncio.gather(f(1), f(2), return_exceptions=True)\n    assert r == [[0], [0, 1]]\nasyncio.run(main())",{"entry_point":"f"}),
 ("decode","def encode(s): return s[::-1]\ndef decode(s): return s[::-1]","def encode(s): return s\ndef decode(s): return 'x'","for w in ['abc', 'hello']:\n    assert decode(encode(w)) == w",{"entry_point":"encode"}),
 ("fraction class","from math import gcd\nclass Frac:\n def __init__(s,a,b):\n  g=gcd(a,b); s.a,s.b=a//g,b//g\n def __add__(s,o): return Frac(s.a*o.b+o.a*s.b, s.b*o.b)\n def __eq__(s,o): return (s.a,s.b)==(o.a,o.b)\n def __lt__(s,o): return s.a*o.b<o.a*s.b","class Frac:\n def __init__(s,a,b): s.a,s.b=a,b\n def __add__(s,o): return s\n def __eq__(s,o): return (s.a,s.b)==(o.a,o.b)\n def __lt__(s,o): return False","assert Frac(1,2) + Frac(1,3) == Frac(5,6)\nassert Frac(1,3) < Frac(1,2)\nassert Frac(2,4) == Frac(1,2)",{}),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "wrong", "test", "arguments"),
    [c[1:] for c in (*OBJECTS, *MORE, *COMMON)],
    ids=[c[0] for c in (*OBJECTS, *MORE, *COMMON)],
)
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
