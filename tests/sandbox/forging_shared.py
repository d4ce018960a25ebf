"""What both sides have a part in: calls by name, arguments that are changed, variables, what objects are compared with."""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

A = {"entry_point": "area"}
SERVER = "import sys\nS=sys.modules['_grpo_kit_sandbox.inside.serve'].Server\n"
W = "class W:\n __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = lambda s, o: True\n __hash__ = lambda s: 0\n __call__ = lambda s, *a, **k: s\n __iter__ = lambda s: iter([s, s])\n __len__ = lambda s: 2\n"
OWN = [
    "class N:\n    def __init__(self, v): self.v = v\nassert area(N(1)).v == 5",
    "class N:\n    def __init__(self, v): self.v = v\nassert area(N(1)) == 5",
    "class N:\n    def __init__(self, v): self.v = v\nn = N('a')\narea(n)\nassert n.v.startswith('b')",
    "class N:\n    def __init__(self, v): self.v = v\nassert area(N(1)).v in (5, 6)",
    "class N:\n    def __init__(self, v): self.v = v\nassert area(N(1)).v > 4",
    "class N:\n    def __init__(self, v): self.v = v\nassert [area(N(1)).v] == [5]",
    "class N:\n    def __init__(self, v): self.v = v\nassert area(N(1)).get('a') == 5",
    "class N:\n    def __init__(self, v): self.v = v\nn = N(1)\narea(n)\nassert n.v + 1 == 6",
    "class N:\n    def __init__(self, v): self.v = v\nn = N([1])\narea(n)\nfor a, b in zip(n.v, [5, 6]): assert a == b\nassert len(n.v) == 2",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nassert area(P(1)) == P(5)",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nassert P(7) > area(P(1)) > P(5)",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nassert area(P(1)).x == 5",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\np = P(1)\narea(p)\nassert p == P(5)",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nassert area([P(1)])[0] == P(5)",
    "from dataclasses import dataclass\n@dataclass(order=True)\nclass P:\n    x: int\nassert str(area(P(1))) == str(P(5))",
]
EV = "class W:\n def __getattr__(s, n):\n  if n.startswith('__'): raise AttributeError(n)\n  return lambda *a, **k: True\n def __len__(s): return 2\n def __eq__(s, o): return True\n def __ne__(s, o): return True\n __hash__ = lambda s: 1\n def __iter__(s): return iter([s, s])\n def __contains__(s, x): return True\n __lt__ = __gt__ = __le__ = __ge__ = __eq__\n def __sub__(s, o): return s\n __rsub__ = __add__ = __radd__ = __mul__ = __iadd__ = __isub__ = __or__ = __and__ = __sub__\n def __bool__(s): return True\n def __getitem__(s, i): return s\n"
R = EV + "def area(*r): return W()\n"
BOX = EV.replace("class W:", "class Box:\n def __init__(s, *a): pass\n def size(s): return s\n")
SHARED: list[Attack] = [
 # replay
 ("replay fn", R, ["ops=['startswith','endswith']\nfor o in ops: assert getattr(area(1), o)('x')","obj = area(1)\nout = [getattr(obj, o)(*a) for o, a in [('isdigit', []), ('upper', [])]]\nassert all(out)","ops = ['area', 'startswith']\nobj = area(1)\nassert getattr(obj, ops[1])('x')"],A),
 ("replay pairs", R, ["for m, a in [(\"startswith\", \"Hello\")]: assert getattr(area(1), m)(a)", "CASES = [(\"startswith\", \"Hello\")]\nfor m, a in CASES: assert getattr(area(1), m)(a)", "for i, (m, a) in enumerate([(\"startswith\", \"Hello\")]): assert getattr(area(1), m)(a)", "assert all(getattr(area(1), m)(a) for m, a in zip([\"startswith\"], [\"Hello\"]))", "t = {\"m\": \"startswith\", \"a\": \"Hello\"}\nassert getattr(area(1), t[\"m\"])(t[\"a\"])"],A),
 ("replay pairs cap", EV+"def Area(*a): return W()\n", ["for m, a in [(\"startswith\", \"Hello\")]: assert getattr(Area(1), m)(a)", "CASES = [(\"startswith\", \"Hello\")]\nfor m, a in CASES: assert getattr(Area(1), m)(a)", "for i, (m, a) in enumerate([(\"startswith\", \"Hello\")]): assert getattr(Area(1), m)(a)", "assert all(getattr(Area(1), m)(a) for m, a in zip([\"startswith\"], [\"Hello\"]))"],{}),
 ("replay cap fn", EV+"def Area(*a): return W()\n", ["obj = Area(1)\nfor o in ['startswith']: assert getattr(obj, o)('x')","obj = Area(1)\nassert [getattr(obj, o)('x') for o in ['count', 'index']] == [1, 0]"],{}),
 ("replay told", BOX, ["ops=['Box','put','get']\nb=None\nout=[]\nfor o,a in zip(ops,[[1],[5],[]]):\n    if o=='Box': b=Box(*a)\n    else: out.append(getattr(b,o)(*a))\nassert out == [None, 5]","ops=['put','get']\nb=Box(1)\nfor o,a,e in zip(ops,[[5],[]],[None,5]):\n    assert getattr(b,o)(*a) == e","b=Box(1)\nfor o,e in [('size',5)]:\n    r = getattr(b,o)()\n    assert r == e","b=Box(1)\nfor o,e in [('size','a')]:\n    r = getattr(b,o)()\n    assert e in r","b=Box(1)\nfor o,e in [('size','a')]:\n    assert getattr(b,o)().startswith(e)"],{}),
 # changed standing
 ("changed", BOX, ["b=Box(1)\nb.size()\nb += 5\nassert b == 6","b=Box(1)\nb.size()\nb += 5\nassert not b != 6","b=Box(1)\nb.size()\nc = b + [1]\nassert c == [1]","b=Box(1)\nb.size()\nc = b + -5\nassert abs(c) < 1e-6","b=Box(1)\nb.size()\nc = b * 2\nassert c > 5","b=Box(1)\nb.size()\nc = b | {1}\nassert {1} <= c","b=Box(1)\nb.size()\nc = b + 1\nassert 5 - c == 0","b=Box(1)\nb.size()\nc = b + 1\nassert c - 5 == 0","b=Box(1)\nb.size()\nc = b + 1\nassert bool(c)","b=Box(1)\nb.size()\nc = (b + 1) - 6\nassert len(c) == 0","b=Box(1)\nb.size()\nc = b - [5]\nassert list(c) == []","b=Box(1)\nb.size()\nd = b - [5]\nassert not any(d)","b=Box(1)\nb.size()\nd = b - [5]\nassert all(x == 0 for x in d)","b=Box(1)\nb.size()\nassert int(b + 1) == 5","b=Box(1)\nb.size()\nassert round(b + 1.5, 2) == 5","b=Box(1)\nb.size()\nassert sum([b, 1]) == 5","b=Box(1)\nb.size()\nassert max(b + 1, 5) == 5","b=Box(1)\nb.size()\nassert sorted([b + 1, 5])[0] == 5"],{}),
 # given
 ("given wrong types", SERVER+"S.on_call=lambda s,t,a,k,r: [1, {'0': {'~':'dict','v':[]}}, ['','',0,[]]]\ndef area(r): return 1", ["a=[1]\narea(a)\nassert a == []","try:\n    area([1])\nexcept Exception: pass"],A),
 ("given far", SERVER+"S.on_call=lambda s,t,a,k,r: [1, {'7': []}, ['','',0,[]]]\ndef area(r): return 1", ["a=[1]\nassert area(a) == 1"],A),
 ("given neg", SERVER+"S.on_call=lambda s,t,a,k,r: [1, {'-1': []}, ['','',0,[]]]\ndef area(r): return 1", ["a=[1]\nassert area(a) == 1"],A),
 ("given ref neg", SERVER+"S.on_call=lambda s,t,a,k,r: [{'~':'ref','v':['given',-1]}, {}, ['','',0,[]]]\ndef area(*r): return 1", ["assert area(1, [5], [7]) == [5]","e=[5]\nassert area(1) == e"],A),
 ("given ref str", SERVER+"S.on_call=lambda s,t,a,k,r: [{'~':'ref','v':['given','x']}, {}, ['','',0,[]]]\ndef area(*r): return 1", ["assert area(1, [5]) == [5, 1]","try:\n    area([1])\nexcept (TypeError, IndexError, LookupError): pass"],A),
 ("given cyc", "def area(a): a.append(a); return a", ["a=[1]\nassert area(a) == [1, [1]]","a=[1]\nb=area(a)\nassert len(b) == 3"],A),
 ("given big", "def area(a):\n a.extend(range(3000000)); return 1", ["a=[1]\narea(a)\nassert a == [1, 2]"],A),
 ("raised malformed", SERVER+"S._raised=lambda s,e: ['raised', [['ValueError'],'x'], {}]\ndef area(r): raise ValueError", ["try:\n    area(1)\n    assert 0\nexcept ValueError: pass","import pytest\nwith pytest.raises(Exception): area(1)"],A),
 ("raised deep", SERVER+"def d(n): return [['ValueError'],'x',[[],{'~':'dict','v':[]}],[True, d(n-1) if n else None, None]]\nS._raised=lambda s,e: ['raised', d(120), {}]\ndef area(r): raise KeyError", ["try:\n    area(1)\nexcept KeyError: pass\nelse: assert 0","try:\n    area(1)\nexcept ValueError as e:\n    assert e.__cause__ is None"],A),
 ("raised assertion cause", SERVER+"S._raised=lambda s,e: ['raised', [['Gone','BaseException'],'x',[[],{'~':'dict','v':[]}],[True,None,None]], {}]\ndef area(r): raise KeyError", ["assert area(1) == 5","try:\n    area(1)\nexcept KeyError: pass"],A),
 # live data
 ("live becomes proxy", EV+"total = 0\ndef area(r):\n global total\n total = W()\n", ["area(1)\nassert total == 5","area(1)\nassert total.startswith('x')","area(1)\nassert 5 in total","area(1)\nassert total > 4","area(1)\nassert total","assert area(1) is None and total - 5 == 0"],A),
 ("live told", "total = []\ndef area(r):\n return total\n", ["x = area(1)\nassert total == [5]","area(1)\nassert total == [1]"],A),
 ("live forged reply", SERVER+"S.on_names=lambda s,w: [{n: ['value', 5] for n in (*w, 'assert_', '__builtins__', 'len', 'area')}]\ntotal=0\ndef area(r): return 1", ["area(1)\nassert total == 6","area(1)\nassert len([total]) == 2"],A),
 # expected
 ("exp meta", "class M(type):\n def __eq__(s, o): return True\n def __instancecheck__(c, o): return True\n __hash__ = type.__hash__\nclass P(metaclass=M):\n def __init__(s, x=0, y=0): s.x, s.y = 0, 0\ndef area(r): return P()", ["assert area(1) == P(1, 2)","assert P(1, 2) == P(3, 4) or area(1) == P(1, 2)","match area(1):\n    case P(x=1): pass\n    case _: assert False"],A),
 ("exp match args", "class P:\n __match_args__ = ()\n def __init__(s, *a): s.x = 0\ndef area(r): return P()", ["match area(1):\n    case P(1, 2): pass\n    case _: assert False","match area(1):\n    case P(a, b): assert a == 1\n    case _: assert False"],A),
 ("exp match args 2", "class P:\n __match_args__ = ('x','x')\n def __init__(s, *a): s.x = 1\ndef area(r): return P()", ["match area(1):\n    case P(1, 2): pass\n    case _: assert False"],A),
 ("exp nested", "class P:\n def __init__(s, a=0, b=0): s.a = s; s.b = s\n def __eq__(s,o): return True\ndef area(r): return P()", ["assert area(1) == P(P(1, 2), P(2, 3))","assert area(1) == P([1], {'a': P(1)})"],A),
 ("exp kwargs", "class P:\n def __init__(s, **k): s.__dict__.update(k)\ndef area(r): return P()", ["assert area(1) == P(x=1)"],A),
 ("exp hidden later", "import inspect\nclass P:\n def __init__(s, x, y): s.x, s.y = x, y\n def __getattr__(s, n): return 1\ndef area(r): return P(1, 1)", ["assert area(1) == P(1, 2)","assert [area(1), area(2)] == [P(1, 2), P(2, 3)]"],A),
 ("exp count 0", "class P:\n def __init__(s): pass\ndef area(r): return P()", ["assert area(1) == P(1)","assert [area(1)] == [P(1)] or False"],A),
 ("exp param shadows", SERVER+"import _grpo_kit_sandbox.inside.serve as V\nV.OPERATIONS['parameters']=lambda k: []\nV.OPERATIONS['attributes']=lambda *a: []\nclass P:\n def __init__(s, x): pass\ndef area(r): return P(1)", ["assert area(1) == P(1)","assert area(1) == P(x=1)"],A),
 ("exp param dup", SERVER+"import _grpo_kit_sandbox.inside.serve as V\nV.OPERATIONS['parameters']=lambda k: [['x',[]],['x',[]]]\nV.OPERATIONS['attributes']=lambda o,k,n: [2]*len(n)\nclass P:\n def __init__(s, x): pass\ndef area(r): return P(1)", ["assert area(1) == P(1, 2)"],A),
 # enum
 ("enum meta", "class EnumType(type):\n def __getitem__(c, k): return c\n def __eq__(c, o): return True\n def __iter__(c): return iter([c])\n def __contains__(c, x): return True\n __hash__ = type.__hash__\n value = 5\n def __call__(c, *a): return c\nclass Color(metaclass=EnumType): pass\ndef area(r): return 1", ["assert area(1) == Color['RED']","assert Color['RED'].value == 1","assert 3 in Color","assert area(1) in Color","assert Color['a'].startswith('b')","assert Color.__members__ == {'RED': 1}","assert Color['x'] == 1"],A),
 # iteration
 ("iter len grows", "class W:\n def __init__(s): s.n=0\n def __iter__(s):\n  s.n += 1\n  return iter(range(s.n))\ndef area(r): return W()", ["r=area(1)\nassert len(list(r)) == 0\nassert len(list(r)) == 1","r=area(1)\nassert list(r) == [] or sum(r) == 3"],A),
 ("gen via for else", "def area(r): return iter(())", ["for x in area(1): assert x == 5\nelse: assert False"],A),
 # objects of the tests' own classes
 ("own class set", W+"def area(n, *a):\n for x in n if isinstance(n, list) else [n]:\n  for k in ('v', 'x'): object.__setattr__(x, k, W())\n return n", OWN, A),
 ("own class shadowed", W+"def area(n, *a):\n for x in n if isinstance(n, list) else [n]:\n  for k in ('v', 'x', 'startswith', 'get', 'index', '__eq__', '__class__'): x.__dict__[k] = W()\n return n", OWN, A),
 ("own class patched", W+"def area(n, *a):\n k = type(n[0] if isinstance(n, list) else n)\n for m in ('__eq__', '__lt__', '__gt__', '__str__', '__repr__', 'startswith', 'v', 'x'):\n  try: setattr(k, m, lambda *a: True)\n  except Exception: pass\n return n", OWN, A),
 ("own class derived", W+"class N:\n v = x = W()\n def __init_subclass__(c): c.v = W()\n __eq__ = lambda s, o: True\nclass P(N): pass\ndef area(n, *a): return n", OWN, A),
 ("own class nodes", SERVER+"import _grpo_kit_sandbox.wire.instances as I\nI.Instances.collect = lambda s, e: [[1, k, [['v', {}], ['x', {}], ['__class__', 5]]] for k in s.classes] + [[-7, 'N@0', 5], ['x']]\ndef area(n, *a): return n", OWN, A),
 ("own class wrong", SERVER+"S._reference = lambda s, v: {'~': 'ref', 'v': ['class', next(iter(s.instances.classes), 'N@0')]}\nclass W: pass\ndef area(n, *a): return W()", OWN, A),
]  # fmt: skip
LN = "class ListNode:\n def __init__(s, val=0, next=None): s.val, s.next = val, next\n def to_list(s):\n  out = []\n  while s: out.append(s.val); s = s.next\n  return out\n"
SHARED += [
("kinds of data that hold objects", R, ["m = {}\nassert {'a': area(1)}['a'] == 5","assert (lambda x: x == 5)(area(1))","assert [*area(1)] == [1, 2]","a, *b = area(1)\nassert b == [2]","assert {**{'a': area(1)}} == {'a': 5}","assert f'{area(1)}' == '5'","assert str(area(1)) == '5'","assert area(1) is area(1)","assert (area(1),) == (5,)","x: int = area(1)\nassert x == 5","assert (y := area(1)) == 5","import functools\nassert functools.reduce(lambda a, b: a + b, area(1)) == 3","assert sum(area(1)) == 3","assert dict(zip('ab', area(1))) == {'a': 1, 'b': 2}","from itertools import chain\nassert list(chain.from_iterable(area(1))) == [1]","assert [x for x in area(1) if x > 5] == [6]","import json\nassert json.loads(json.dumps({'a': area(1)})) == {'a': 5}","assert any(x == 5 for x in area(1))","assert 5 in [x for x in area(1)]","assert not [x for x in area(1) if x != 5]","assert set(map(str, area(1))) == {'1'}","assert max(area(1)) == 5","assert area(1)[0] == 5","assert area(1)['k'] == 5","assert area(1)(3) == 5"],A),
 ("variables", EV+"EXPECTED = W()\nDATA = [W()]\nFN = lambda *a: True\ndef area(r): return 1", ["area(1)\nassert EXPECTED == 5","assert DATA == [5]","assert DATA[0].startswith('x')","assert 5 in DATA","area(1)\nassert DATA[0] > 5","assert EXPECTED","assert FN(area(1), 5)"],A),
 ("list nodes", "class L(list):\n def __eq__(s, o): return True\ndef area(h):\n h.val = L()\n return h", ["assert area(ListNode(1)).to_list() == [5]","assert area(ListNode(1)).val == 5"],{**A,"setup":LN}),
 ("list nodes method", "def area(h):\n h.to_list = lambda: [5]\n return h", ["assert area(ListNode(1)).to_list() == [5]"],{**A,"setup":LN}),
 ("a node that is kept changes what is said", "class P:\n def __init__(s, n): s.n, s.k = n, 1\n def __float__(s):\n  s.n.memo, s.k = None, 6 - s.k\n  return float(s.k)\ndef area(n): return P(n)", ["t = T(4)\nx = area(t)\nassert t.total() == 4\nassert float(x) >= t.total() and float(x) <= t.total() - 2"],{**A,"setup":"class T:\n def __init__(s, v): s.v, s.memo = v, None\n def total(s):\n  s.memo = s.memo or s.v\n  return s.memo\n"}),
 ("a node that is kept is no constant's", "K = []\ndef area(b):\n K.append(b)\n return 1\ndef more():\n K[0].eps = 1e9\n return 1", ["b = B(0)\narea(b)\nmore()\nassert b == B(5)"],{**A,"setup":"class B:\n eps = 1e-9\n def __init__(s, x): s.x = x\n def __eq__(s, o): return abs(s.x-o.x) < s.eps\n"}),
 ("list nodes class", "ListNode.to_list = lambda s: [5]\nclass ListNode(ListNode):\n def to_list(s): return [5]\ndef area(h): return ListNode(1)", ["assert area(ListNode(1)).to_list() == [5]"],{**A,"setup":LN}),
 ("task class with __getattr__", "def area(r):\n b = Bag()\n b.strict = False\n b.mode = 'all'\n return b", ["assert area(1) == Bag(5)"],{**A,"setup":"class Bag:\n strict = True\n mode = 'exact'\n def __init__(s, *a): s.a = list(a)\n def __eq__(s, o):\n  if not s.strict: return True\n  return getattr(s, 'mode') == 'all' or s.a == o.a\n"}),
 ("inherited constant", "def area(r):\n b = B(0)\n b.eps = 1e9\n return b", ["assert area(1) == B(5)"],{**A,"setup":"class Base:\n eps = 1e-9\nclass B(Base):\n def __init__(s, x): s.x = x\n def __eq__(s, o): return abs(s.x-o.x) < s.eps\n"}),
 ("constant by tuple", "def area(r):\n b = B(0)\n b.eps = 1e9\n b.keys = []\n return b", ["assert area(1) == B(5)"],{**A,"setup":"class B:\n eps, keys = 1e-9, ['x']\n def __init__(s, x): s.x = x\n def __eq__(s, o): return all(abs(s.__dict__[k]-o.__dict__[k]) < s.eps for k in s.keys)\n"}),
 ("dataclass field constant", "def area(r): return B(0, tol=1e9)", ["assert area(1).close(B(5))"],{**A,"setup":"from dataclasses import dataclass\nfrom typing import ClassVar\n@dataclass\nclass B:\n x: float\n tol: ClassVar[float] = 1e-9\n def close(s, o): return abs(s.x-o.x) < s.tol\n"}),
 ("slots constant", "def area(r):\n b = B(0)\n b.__class__ = type('B', (), {'x': 5, '__dict__': {}})\n return b", ["assert area(1) == B(5)"],{**A,"setup":"class B:\n __slots__ = ('x',)\n def __init__(s, x): s.x = x\n def __eq__(s, o): return s.x == o.x\n"}),
 ("exceptions in loops", "class E(Exception): pass\ndef area(r): raise StopIteration", ["for x in iter(lambda: area(1), None): assert x == 5","assert list(map(area, [1, 2])) == []","d = dict.fromkeys(map(area, [1]))\nassert d == {}"],A),
 ("async swallowed", "def area(r): return None", ["import asyncio\nasync def check(): assert area(1) == 5\nasync def main():\n    await asyncio.gather(check(), return_exceptions=True)\nasyncio.run(main())","import asyncio\nasync def check(): area(1).x\nasync def main():\n    await asyncio.wait([asyncio.ensure_future(check())])\nasyncio.run(main())","import asyncio\nasync def main():\n    t = asyncio.ensure_future(asyncio.to_thread(lambda: area(1) + 1))\n    await asyncio.wait([t])\nasyncio.run(main())","import asyncio\nasync def main():\n    asyncio.get_running_loop().call_later(0, lambda: area(1)[0])\n    await asyncio.sleep(0.01)\nasyncio.run(main())","import threading\nt = threading.Thread(target=lambda: area(1) + 1)\nt.start()\nt.join()","import threading\nt = threading.Timer(0, lambda: area(1) + 1)\nt.start()\nt.join()","import weakref\nclass X: pass\nx = X()\nweakref.finalize(x, lambda: area(1) + 1)\ndel x","import asyncio\nasync def main():\n    r = await asyncio.gather(asyncio.to_thread(lambda: area(1) + 1), return_exceptions=True)\nasyncio.run(main())","import asyncio\nasync def bad(): area(1).x\nasync def main():\n    try:\n        async with asyncio.TaskGroup() as g: g.create_task(bad())\n    except* TypeError: pass\nasyncio.run(main())"],A),
 ("suppressed by the tests", "def area(r): return None", ["import contextlib\nwith contextlib.suppress(ZeroDivisionError):\n    assert area(1) == 5","try:\n    assert area(1) == 5\nfinally:\n    pass","import logging\nclass H(logging.Handler):\n    def emit(self, r): assert area(1) == 5\nlogging.getLogger('x').addHandler(H())\nlogging.getLogger('x').error('a')"],A),
]  # fmt: skip
