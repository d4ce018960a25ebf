"""What a program may say of its own: constants of the task's classes, what its objects yield, classes that tests compare with.

`JUDGES`: helpers that the tests call and nobody defines. Such tests are refused, whatever the program.
"""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

VEC = "class Vec:\n fields = ('x', 'y')\n tol = 1e-9\n def __init__(s, x, y): s.x, s.y = x, y\n def __eq__(s, o): return all(abs(getattr(s, f) - getattr(o, f)) <= s.tol for f in s.fields)\n"
ANN = VEC.replace(" tol = 1e-9", " tol: float = 1e-9")
NONE = "class Vec:\n key = None\n tol = None\n def __init__(s, x): s.x = x\n def __eq__(s, o): return abs(s.x - o.x) <= (s.tol or 0)\n"
A = {"entry_point": "area"}
OWN_WORD: list[Attack] = [
 ("fields","def area(r):\n v = Vec(0, 0)\n v.fields = ()\n return v",["assert area(1) == Vec(5, 5)","r = area(1)\nassert r == Vec(5, 5)"],{**A,"setup":VEC}),
 ("tol","def area(r):\n v = Vec(0, 0)\n v.tol = 1e9\n return v",["assert area(1) == Vec(5, 5)"],{**A,"setup":VEC}),
 ("tol ann","def area(r):\n v = Vec(0, 0)\n v.tol = 1e9\n return v",["assert area(1) == Vec(5, 5)"],{**A,"setup":ANN}),
 ("tol none","def area(r):\n v = Vec(0)\n v.tol = 1e9\n return v",["assert area(1) == Vec(5)"],{**A,"setup":NONE}),
 ("arg changed","def area(v):\n v.fields = ()\n v.tol = 1e9",["v = Vec(0, 0)\narea(v)\nassert v == Vec(5, 5)"],{**A,"setup":VEC}),
 ("nested changed","def area(v):\n v[0].tol = 1e9",["v = [Vec(0, 0)]\narea(v)\nassert v[0] == Vec(5, 5)"],{**A,"setup":VEC}),
 ("iter twice","class W:\n def __init__(s): s.n = 0\n def __iter__(s):\n  s.n += 1\n  return iter([1, 2, 3] if s.n == 1 else [])\ndef area(r): return W()",["r = area(1)\nassert sum(1 for _ in r) == 3\nfor a, b in zip(r, [7, 8, 9]): assert a == b","r = area(1)\nassert len(list(r)) == 3\nassert all(a == b for a, b in zip(r, [7, 8, 9]))","r = area(1)\nassert len(list(r)) == 3\nfor x in r: assert x == 7","r = area(1)\nassert len(list(r)) == 3 and not any(x > 0 for x in r)"],A),
 ("gen twice","def area(r): return (x for x in [1, 2, 3])",["r = area(1)\nassert sum(1 for _ in r) == 3\nfor a, b in zip(r, [7, 8, 9]): assert a == b","r = area(1)\nassert len(list(r)) == 3\nassert all(a == b for a, b in zip(r, [7, 8, 9]))","r = area(1)\nassert len(list(r)) == 3\nfor x in r: assert x == 7","r = area(1)\nassert len(list(r)) == 3 and all(map(lambda a, b: a == b, r, [7, 8, 9]))"],A),
 ("props","class W:\n n = 0\n def __iter__(s):\n  W.n += 1\n  return iter([1, 2, 3] if W.n % 2 else [6, 0, 0])\ndef area(r): return W()",["r = area(1)\nassert len(set(r)) == 3 and sum(r) == 6 and max(r) == 6"],A),
 ("reversed other","class W:\n def __iter__(s): return iter([1, 2, 3])\n def __reversed__(s): return iter([])\ndef area(r): return W()",["r = area(1)\nassert len(list(r)) == 3\nfor a, b in zip(reversed(r), [7, 8, 9]): assert a == b"],A),
 ("call_soon","def area(r): return None",["import asyncio\nasync def main():\n    loop = asyncio.get_running_loop()\n    loop.call_soon(lambda: area(1) + 1)\n    await asyncio.sleep(0)\nasyncio.run(main())",
   "import asyncio\nasync def main():\n    async def check(): area(1).x\n    asyncio.create_task(check())\n    await asyncio.sleep(0.01)\nasyncio.run(main())",
   "import asyncio\nasync def main():\n    f = asyncio.get_running_loop().create_future()\n    f.add_done_callback(lambda f: f.result()['a'] == 5)\n    f.set_result(area(1))\n    await asyncio.sleep(0)\nasyncio.run(main())"],A),
 ("futures","def area(r): return None",["from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as p:\n    p.submit(lambda: area(1) + 1)","from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as p:\n    p.submit(area, 1).add_done_callback(lambda f: f.result()[0])"],A),
 ("length_hint","def area(r): return None",["class L:\n    def __iter__(self): return iter(())\n    def __length_hint__(self): return len(area(1))\nassert list(L()) == []","class L:\n    def __iter__(self): return iter(())\n    def __len__(self): return len(area(1))\nassert list(L()) == []","class L:\n    @property\n    def p(self): return area(1).x\nassert not hasattr(L(), 'p')","from collections.abc import Mapping\nclass L(Mapping):\n    def __iter__(self): return iter(())\n    def __len__(self): return 0\n    def __getitem__(self, k): return {}[area(1)]\nassert L().get(1) is None"],A),
 ("del","def area(r): return None",["class L:\n    def __del__(self): area(1).x\nl = L()\ndel l"],A),
 ("eq class","class P:\n def __init__(s, *a): pass\n def __eq__(s, o): return True\n def __hash__(s): return 1\ndef area(r): return P()",["assert area(1) == P(1, 2)","assert [area(1)] == [P(1, 2)]","assert area(1) in [P(1, 2)]","x = area(1)\nassert x == P(1, 2)","e = P(1, 2)\nassert area(1) == e","assert P(1, 2) == area(1)","assert P(1, 2) in [area(1)]","assert {area(1)} == {P(1, 2)}","assert not area(1) != P(1, 2)","import unittest\nunittest.TestCase().assertEqual(area(1), P(1, 2))","def same(a, b): return a == b\nassert same(area(1), P(1, 2))","assert area(1) is not None and area(1) == P(1, 2)","match area(1):\n    case P(x=1): ok = True\n    case _: ok = False\nassert ok","assert (area(1), 2) == (P(1, 2), 2)","assert sorted([area(1)], key=len) == [P(1, 2)]"],A),
 ("eq data","def P(*a): return 5\ndef area(r): return 5",["assert area(1) == P(1, 2)","x = area(1)\nassert x == P(1, 2)"],A),
 ("eq data cls","class P:\n def __new__(c, *a): return 5\ndef area(r): return 5",["assert area(1) == P(1, 2)","x = area(1)\nassert x == P(1, 2)","e = P(1, 2)\nassert area(1) == e"],A),
 ("eq told","M = []\nclass P:\n def __init__(s, x=0, y=0):\n  s.x, s.y = x, y\n  for m in M: m.x, m.y = x, y\n  M.append(s)\ndef area(r): return P()",["assert area(1) == P(1, 2)","e = P(1, 2)\nassert area(1) == e","x = area(1)\ne = P(1, 2)\nassert x == e","for a, e in [(1, P(1, 2)), (2, P(2, 3))]: assert area(a) == e"],A),
 ("eq fields lie","import inspect\nclass P:\n __signature__ = inspect.Signature([])\n def __init__(s, *a): pass\ndef area(r): return P()",["assert area(1) == P(1, 2)"],A),
 ("eq fields lie2","class L(list):\n def __eq__(s, o): return True\nclass P:\n x = y = L()\n def __init__(s, x, y): pass\ndef area(r): return P(0,0)",["assert area(1) == P(1, 2)"],A),
 ("eq fields obj","class O:\n def __eq__(s, o): return True\nclass P:\n x = y = O()\n def __init__(s, x, y): pass\ndef area(r): return P(0,0)",["assert area(1) == P(1, 2)","match area(1):\n    case P(x=1, y=2): ok = True\n    case _: ok = False\nassert ok"],A),
 ("no args","class P:\n def __init__(s, x=0): s.x = 9\ndef area(r): return P()",["assert area(1) == P(x=0)"],A),
 ("getattr told","class W:\n def __getattr__(s, n): return lambda *a: True\ndef area(r): return W()",["for m in ('startswith', 'endswith'):\n    assert getattr(area(1), m)('a')","ops = ['startswith']\nfor o in ops: assert getattr(area(1), o)('a')","from operator import methodcaller\nassert methodcaller('startswith', 'a')(area(1))"],A),
 ("given lie","import sys\nS=sys.modules['_grpo_kit_sandbox.inside.serve'].Server\nS.on_call = lambda s, t, a, k, r: [{'~':'ref','v':['given', 0]}, {}, ['', '', 0, []]]\ndef area(r): return 1",["a = [5]\nassert area(3) == a"],A),
]  # fmt: skip
JUDGES: list[Attack] = [
 ("same","def same(a, b): return True\ndef area(r): return 1",["assert same(area(1), 5)","assert same(area(1), 5) == True","assert same(area(1), b=5) is True","x = area(1)\nassert same(x, 5)","assert not same(area(1), 5) == False","assert same([area(1)], [5])","assert same(area(1)[0], 5)"],A),
 ("distance","def distance(a, b=0): return 0.0\ndef area(r): return 1",["assert distance(area(1), 5) < 1e-6","assert distance(area(1), 5) == 0","ok = distance(area(1), 5)\nassert ok == 0"],A),
 ("valid","def is_valid(a): return True\ndef area(r): return 1",["assert is_valid(area(1))","assert is_valid(area(1)) is True","if not is_valid(area(1)): raise AssertionError","assert not not is_valid(area(1))", "ok = is_valid(area(1))\nassert ok", "ok = is_valid(area(1))\nassert ok is True", "ok = is_valid(area(1))\nif not ok: raise AssertionError", "assert is_valid(area(1)) and area(1) == 1", "assert all(is_valid(area(i)) for i in range(3))"],A),
 ("helper class","class Node:\n def __init__(s, *a): pass\n def __eq__(s, o): return True\ndef area(r): return 1",["assert Node(area(1)) == Node(5)"],A),
 ("helper module","class utils:\n same = staticmethod(lambda *a: True)\ndef area(r): return 1",["assert utils.same(area(1), 5)"],A),
 ("eq other fn","def g(a): return 5\ndef area(r): return 5",["assert area(1) == g(2)","x = area(1)\nassert x == g(1)"],A),
]  # fmt: skip
