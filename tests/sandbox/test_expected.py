"""What tests expect is an object of a class of the program: wherever they keep it, the program is not told of it before."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from grpo_kit.sandbox import Sandbox

from .corpus import LIMITS

POINT = "from dataclasses import dataclass\nmade = []\n@dataclass\nclass P:\n x: int\n y: int\n def __post_init__(self):\n  made.append(self)\n  if self.x < 0: raise ValueError('no')\n"
RIGHT = POINT + "def f(i): return P(i, i + 1)\n"
WRONG = (
    "def f(i): return made[-1] if made else None\n",  # what the tests have made last
    "def f(i): return P(i, i)\n",
)
# fmt: off
KEPT = [
 'for i, w in zip([1], [P(1,2)]): assert f(i) == w',
 'assert all(f(i)==w for i,w in [(1,P(1,2))])',
 'cases = []\ncases.append((1,P(1,2)))\nfor i, w in cases: assert f(i) == w',
 'ws = []\nws += [P(1,2)]\nassert f(1) == ws[0]',
 'wants=[P(i,i+1) for i in (1,2)]\nassert [f(i) for i in (1, 2)] == wants',
 'want: P = P(1,2)\nassert f(1) == want',
 'for i, w in {1:P(1,2)}.items(): assert f(i) == w',
 'from dataclasses import asdict\nw = P(1,2)\nassert f(1) == w and asdict(w) == {"x": 1, "y": 2}',
 'ps = []\nps.append(P(1,2))\nassert f(1) == ps[0]\nassert type(ps[0]) is P and vars(ps[0]) == {"x": 1, "y": 2}',
 'for i, w in enumerate([P(0,1),P(1,2)]): assert f(i) == w',
 "d = dict(i=1,w=P(1,2))\nassert f(d['i']) == d['w']",
 'from dataclasses import dataclass\n@dataclass\nclass Case:\n    i: int\n    w: object\nfor c in [Case(1, P(1,2)), Case(2, P(2, 3))]: assert f(c.i) == c.w',
 "from collections import namedtuple\nCase = namedtuple('Case', 'i w')\nfor c in [Case(1, P(1,2))]: assert f(c.i) == c.w",
 'from typing import NamedTuple\nclass Case(NamedTuple):\n    i: int\n    w: object\nc = Case(i=1, w=P(1,2))\nassert f(c.i) == c.w',
 'def cases():\n    yield 1, P(1,2)\n    yield 2, P(2,3)\nfor i, w in cases(): assert f(i) == w',
 'def check(w=P(1,2), *, v=P(2,3)):\n    assert f(1) == w and f(2) == v\ncheck()',
 'if (w := [P(1,2)]): assert f(1) == w[0]',
 'assert (w := P(1,2)) == f(1) or False',
 'c = 1\nw = P(1,2) if c else None\nassert f(1) == w',
 'w = [P(1,2)][0]\nassert f(1) == w',
 'w = [P(1,2)]*2\nassert [f(1), f(1)] == w',
 'w = [*[P(1,2)], P(2,3)]\nassert [f(1), f(2)] == w',
 'w = sorted([P(1,2)])\nassert f(1) == w[0]',
 'w = tuple([P(1,2)])\nassert f(1) == w[0]',
 'w = list((P(1,2),))\nassert f(1) == w[0]',
 'import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        for i in (1, 2):\n            with self.subTest(i=i):\n                w = P(i, i + 1)\n                self.assertEqual(f(i), w)\nunittest.main()',
 'try:\n    w = P(1,2)\n    assert f(1) == w\nexcept ValueError:\n    assert False',
 'import contextlib\nwith contextlib.nullcontext():\n    w = P(1,2)\n    assert f(1) == w',
 'try:\n    w = P(1,2)\n    assert f(1) == w\nfinally: pass',
 'try:\n    for i, w in [(1, P(1,2))]: assert f(i) == w\nexcept ValueError: raise',
 'want = lambda i: P(i, i+1)\nassert f(1) == want(1)',
 'w = None or P(1,2)\nassert f(1) == w',
 'import itertools\nfor i, w in itertools.chain([(1, P(1,2))]): assert f(i) == w',
 'from types import SimpleNamespace\nc = SimpleNamespace(i=1, w=P(1,2))\nassert f(1) == c.w',
 'for i, w in sorted({1: P(1,2)}.items()): assert f(i) == w',
 "ws = {}\nws['a'] = P(1,2)\nassert f(1) == ws['a']",
 'ws = {i: P(i,i+1) for i in (1,2)}\nassert {i: f(i) for i in (1, 2)} == ws',
 "ws = {}\nws.update({'a': P(1,2)})\nassert f(1) == ws['a']",
 "ws = {}\nws.setdefault('a', P(1,2))\nassert f(1) == ws['a']",
 'def cases():\n    yield from [(1, P(1,2))]\nfor i, w in cases(): assert f(i) == w',
 'ws = [P(1,2)] + [P(2,3)]\nassert [f(1), f(2)] == ws',
 'assert not [i for i, w in [(1, P(1,2))] if f(i) != w]',
 'class C:\n    w = P(1,2)\nassert f(1) == C.w',
 'async def main():\n    w: P = P(1,2)\n    assert f(1) == w\nimport asyncio\nasyncio.run(main())',
 'def check(i, w): assert f(i) == w\nfor a in [(1, P(1,2))]: check(*a)',
 'import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.w = P(1,2)\n    def test_a(self): self.assertEqual(f(1), self.w)\nunittest.main()',
]
# Where making may fail, and what the tests do with one that they have.
MADE = [
 'import pytest\nwith pytest.raises(ValueError): P(-1, 2)\nassert f(1) == P(1,2)',
 'import pytest\nwith pytest.raises(ValueError): w = P(-1, 2)\nassert f(1) == P(1,2)',
 'try:\n    w = P(-1, 2)\n    assert False\nexcept ValueError: pass\nassert f(1) == P(1,2)',
 'import pytest\nwith pytest.raises(ValueError): [P(-1, 2)]\nassert f(1) == P(1,2)',
 'import pytest\npytest.raises(ValueError, lambda: P(-1, 2))\nassert f(1) == P(1,2)',
 'import unittest\nunittest.TestCase().assertRaises(ValueError, P, -1, 2)\nassert f(1) == P(1,2)',
 'import pytest\nwith pytest.raises(ValueError): ps = [P(i, 2) for i in (1, -1)]\nassert f(1) == P(1,2)',
 'ps = []\nps.append(P(1,2))\nassert ps[0].x == 1 and f(1) == ps[0]',
 'ps = [P(2,1), P(1,2)]\nps.sort(key=lambda p: p.x)\nassert f(1) == ps[0]',
 'ws = [P(i,i+1) for i in (1,2)]\nassert len(ws) == 2 and isinstance(ws[0], P) and f(1) == ws[0]',
 "w: P = P(1,2)\nassert repr(w) == 'P(x=1, y=2)' and f(1) == w",
 'import pytest\ndef make(n): return P(n, 2)\nwith pytest.raises(ValueError): make(-1)\nassert f(1) == P(1,2)',
 'import pytest\ndef make(n): return P(n, 2)\npytest.raises(ValueError, make, -1)\nassert f(1) == P(1,2)',
 'import pytest\nfor bad in (lambda: P(-1, 2),):\n    with pytest.raises(ValueError): bad()\nassert f(1) == P(1,2)',
 'import pytest\nbad = lambda: P(-1, 2)\nwith pytest.raises(ValueError): bad()\nassert f(1) == P(1,2)',
 'import pytest\nwith pytest.raises(ValueError):\n    for i in (1, -1): P(i, 2)\nassert f(1) == P(1,2)',
 'import pytest\nps = []\nwith pytest.raises(ValueError): ps.append(P(-1, 2))\nassert f(1) == P(1,2)',
]
TOTAL = (
    "def total(ps):\n if isinstance(ps, P): raise TypeError('not iterable')\n return sum(p.x + p.y for p in ps)\n"
    "def move(p): p.x += 1\ndef last(): return len(made)\n"
)
GIVEN = [
 'ps = []\nps.append(P(1,2))\nassert total(ps) == 3',
 'assert total([P(1,2), P(3,4)]) == 10',
 'ps = [P(i, i) for i in range(3)]\nassert total(ps) == 6\nmove(ps[0])\nassert total(ps) == 7',
 'from collections import deque\nq = deque([P(1,2)])\nassert total(list(q)) == 3',
 'd = dict(a=P(1,2))\nassert total(d.values()) == 3 and total([*d.values()]) == 3',
 'ps = tuple(P(i,i) for i in range(2))\nassert total(ps) == 2',
 'def make():\n    yield P(1,2)\nassert total(make()) == 3',
 'ps = [P(1,2)]*2\nassert total(ps) == 6',
 'for i, p in enumerate([P(0,0),P(1,0)]): assert total([p]) == i',
 'ps = sorted([P(2,1),P(1,1)], key=lambda p: p.x)\nassert total(ps) == 5',
 "ps = [P(1,2)]\nfor p in ps: assert str(p) == 'P(x=1, y=2)'\nassert total(ps) == 3",
 'import copy\nps = [P(1,2)]\nqs = copy.copy(ps)\nassert total(qs) == 3',
 'p = P(1,2)\nassert total([p, p]) == 6\nmove(p)\nassert total([p]) == 4',
 'assert max([total([P(1,2)])], default=0) == 3',
 'assert list(map(total, [[P(1,2)], [P(2,3)]])) == [3, 5]',
 'def check(ps, want): assert total(ps) == want\ncheck([P(1,2)], 3)\ncheck(ps=[P(1,2)], want=3)',
 'cases = [([P(1,2)], 3), ([], 0)]\nfor ps, want in cases: assert total(ps) == want',
 'w = P(1,2) if total([]) == 0 else None\nassert total([w]) == 3',
 'import pytest\nwith pytest.raises(ValueError):\n    p = P(-1, 2)\n    total([p])\nassert total([]) == 0',
 'import pytest\nwith pytest.raises(TypeError):\n    total(P(1, 2))\nassert total([]) == 0',
 'import pytest\nwith pytest.raises(TypeError):\n    p = P(1, 2)\n    total(p)\nassert total([]) == 0',
 'import pytest\nfor bad in [(-1, 2)]:\n    with pytest.raises(ValueError): total([P(*bad)])\nassert total([P(*[1, 2])]) == 3',
 'ps = [P(1,2), P(2,3)]\nps[0], ps[1] = ps[1], ps[0]\nassert total(ps) == 8',
 'ps = {1: P(1,2)}\nassert total([ps[1]]) == 3\nassert total([ps.get(1)]) == 3\nassert total([ps.pop(1)]) == 3',
 'ps = [P(1,2)]\nps.extend([P(2,3)])\nps += [P(1,1)]\nassert total(ps) == 10',
 'p: P = P(1,2)\nassert total([p]) == 3 and p is not None and total([p]) == 3',
 'p = q = P(1,2)\nassert p is q and total([p,q]) == 6',
 'a, b = P(1,2), P(1,3)\nassert a is not b and total([a,b]) == 7',
 'import unittest\nclass T(unittest.TestCase):\n    def setUp(self): self.ps = [P(1,2)]\n    def test_a(self):\n        with self.subTest(1): self.assertEqual(total(self.ps), 3)\n        for p in self.ps:\n            with self.subTest(p): self.assertEqual(total([p]), 3)\nunittest.main()',
 "ps = [P(1,2)]\nassert str(ps) == '[P(x=1, y=2)]' and f'{ps}' == str(ps) and total(ps) == 3",
 'ps = []\nps.append(P(1,2))\nassert last() == 1',
 'P(1,2)\nassert last() == 1',
]
# fmt: on


@pytest.mark.parametrize("test", KEPT)
def test_what_is_expected_is_not_there_to_be_returned(any_sandbox: Sandbox, test: str) -> None:
    result = any_sandbox.run_tests(RIGHT, [test], entry_point="f", limits=LIMITS)
    assert result.passed, result.reason
    for wrong in WRONG:
        assert not any_sandbox.run_tests(POINT + wrong, [test], entry_point="f", limits=LIMITS).passed


@pytest.mark.parametrize("test", MADE)
def test_it_is_made_where_its_making_is_tested(any_sandbox: Sandbox, test: str) -> None:
    result = any_sandbox.run_tests(RIGHT, [test], entry_point="f", limits=LIMITS)
    assert result.passed, result.reason


@pytest.mark.parametrize("test", GIVEN)
def test_it_is_made_where_the_program_is_given_it(any_sandbox: Sandbox, test: str) -> None:
    entry = ["total", "move", "last"]
    result = any_sandbox.run_tests(POINT + TOTAL, [test], entry_point=entry, limits=LIMITS)
    assert result.passed, result.reason
