"""Classes that are data with methods of their own, members of enumerations that are numbers, exceptions with methods, and
what is asked of an object by names that a referee might take for its own: each passes a right program and fails a wrong one.
"""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from grpo_kit.sandbox.inside.expected import Expected
from grpo_kit.sandbox.inside.proxy import Proxy

from .corpus import LIMITS

PERMISSIONS = "from enum import Flag, auto\nclass Perm(Flag):\n R = auto()\n W = auto()\n X = auto()\n"
LEVEL = "from enum import IntEnum\nclass Level(IntEnum):\n LOW = 1\n HIGH = 3\n"
POINT = "from typing import NamedTuple\nclass P(NamedTuple):\n x: float\n y: float = 0\n def dist(s, o): return abs(s.x - o.x) + abs(s.y - o.y)\n @property\n def norm(s): return s.x + s.y\n @classmethod\n def origin(cls): return cls(0, 0)\n"
LRU = "from collections import OrderedDict\nclass LRUCache(OrderedDict):\n def __init__(s, n):\n  super().__init__()\n  s.n = n\n def get(s, k):\n  if k not in s: return -1\n  s.move_to_end(k)\n  return s[k]\n def put(s, k, v):\n  s[k] = v\n  s.move_to_end(k)\n  if len(s) > s.n: s.popitem(last=False)\n"
TREE = "class T:\n def __init__(s, v): s._left = s._right = None; s._answer = v; s._label = s._text = 'l'; s._number = 4; s._link = 1; s.made = 2; s._kind = 'k'\n def add(s, v):\n  if v < s._answer: s._left = T(v)\n  else: s._right = T(v)\n"
ERROR = "class E(Exception):\n def __init__(s, need, have):\n  super().__init__(f'need {need}, have {have}')\n  s.need, s.have = need, have\n def short(s): return s.need - s.have\n info = property(lambda s: (s.need, str(s)))\ndef f(a, b): raise E(a, b)\n"
FAILING = "import asyncio\nasync def f(n):\n if n < 0: raise ValueError('bad')\n return n\n"
THROWN = "def f():\n got = []\n while True:\n  try: got.append((yield len(got)))\n  except ValueError as e: got.append(str(e))\n"
NAMES = "from collections import namedtuple\nR = namedtuple('R', 'names ages')\ndef f(n): return R(['a'], [n])\n"
CONTEXT = "from contextlib import contextmanager\n@contextmanager\ndef f(note):\n try: yield 1\n except Exception as e:\n  note(str(e))\n  raise\n"
ANSWERS = "class Yes(int):\n __eq__ = __ge__ = __contains__ = lambda s, o: True\n __hash__ = lambda s: 0\n"
PAIR = ANSWERS + "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\ndef f(p): return p.x + p.y\n"
DISPATCHED = "from functools import singledispatch\n@singledispatch\ndef f(x): return 'other'\n@f.register(int)\ndef _(x): return 'int'\nclass A: pass\n@f.register\ndef _(x: A): return 'A'\ndef make(): return A()\n"

# (name, a right program, what of it a wrong one has instead: each of these, tests, arguments)
# fmt: off
KINDS: list[tuple[str, str, tuple[str, ...], list[str], dict[str, Any]]] = [
 ("an ordered dict with methods", LRU, ("last=False", "last=True"), ["c = LRUCache(1)\nc.put(1, 1)\nc.put(2, 2)\nassert c.get(1) == -1 and c.get(2) == 2"], {"entry_point": "LRUCache"}),
 ("a dict with methods", "class Bag(dict):\n def add(s, k, n=1): s[k] = s.get(k, 0) + n\n def total(s): return sum(s.values())\n", ("+ n", "+ 1"), ["b = Bag()\nb.add('a')\nb.add('b', 2)\nassert b.total() == 3 and b['b'] == 2 and 'a' in b and len(b) == 2\nassert b == {'a': 1, 'b': 2} and sorted(b) == ['a', 'b'] and dict(b) == {'a': 1, 'b': 2} and isinstance(b, dict)"], {"entry_point": "Bag"}),
 ("a list with methods", "class Unique(list):\n def append(s, x):\n  if x not in s: super().append(x)\n def first(s): return s[0]\n", ("x not in s", "True"), ["u = Unique([1])\nu.append(1)\nu.append(2)\nassert u == [1, 2] and u.first() == 1 and len(u) == 2 and u[1] == 2 and u[:1] == [1]"], {"entry_point": "Unique"}),
 ("a number with methods", "class Money(float):\n def cents(s): return int(s * 100)\n", ("* 100", "* 10"), ["m = Money(1.5)\nassert m.cents() == 150 and m == 1.5"], {"entry_point": "Money"}),
 ("a named tuple with methods", POINT, ("s.x + s.y", "s.x"), ["p = P(3, 4)\nassert p.dist(P.origin()) == 7 and p.norm == 7 and p.y == 4 and p[0] == 3 and p == P(3, 4) and p == (3, 4)\nx, y = p\nassert x + y == 7 and len(p) == 2 and isinstance(p, tuple) and p._replace(x=1) == P(1, 4)"], {"entry_point": "P"}),
 ("a named tuple that comes back", POINT + "def f(n): return P(n, n)\ndef g(p): return p.norm + p.dist(P(0)) + isinstance(p, P)\n", ("s.x + s.y", "s.x"), ["p = f(3)\nassert g(p) == 13"], {"entry_point": ["f", "g"]}),
 ("fields called names", NAMES, ("[n]", "[0]"), ["r = f(3)\nassert r.names == ['a'] and r._fields == ('names', 'ages') and r._asdict() == {'names': ['a'], 'ages': [3]}"], {"entry_point": "f"}),
 ("members that are numbers", LEVEL + "def f(n): return Level.HIGH if n > 5 else Level.LOW\n", ("n > 5", "n > 99"), ["assert f(9) is Level.HIGH and f(1) == 1 and f(9) > f(1)\nassert f(9).name == 'HIGH' and isinstance(f(1), Level) and Level(3) is Level.HIGH and Level['LOW'] == 1"], {"entry_point": ["f", "Level"]}),
 ("members that are text", "from enum import Enum\nclass S(str, Enum):\n ON = 'on'\n OFF = 'off'\ndef f(x): return S.ON if x else S.OFF\n", ("if x", "if not x"), ["assert f(1) == 'on' and f(0) is S.OFF and f(1).value == 'on' and f(1).name == 'ON' and S('off') == S.OFF"], {"entry_point": ["f", "S"]}),
 ("flags", PERMISSIONS, ("W = auto()", "W = 1"), ["p = Perm.R | Perm.W\nassert Perm.R in p and Perm.X not in p and p == Perm(3) and (p & Perm.R) == Perm.R and not Perm.R & Perm.W"], {"entry_point": "Perm"}),
 ("an exception with methods", ERROR, ("s.need - s.have", "s.have - s.need"), ["try:\n    f(5, 2)\n    assert False\nexcept E as e:\n    assert e.need == 5 and e.short() == 3 and e.info == (5, 'need 5, have 2')", "import pytest\nwith pytest.raises(E) as e: f(5, 2)\nassert e.value.short() == 3"], {"entry_point": ["f", "E"]}),
 ("an exception thrown into a generator", THROWN, ("str(e)", "'b'"), ["g = f()\nnext(g)\nassert g.send(1) == 1 and g.throw(ValueError('x')) == 2 and list(g.gi_frame.f_locals['got']) == [1, 'x']"], {"entry_point": "f"}),
 ("an exception as an argument", "def f(e): return f'{type(e).__name__}: {e}'", ("{e}", "{e.args}"), ["e = ValueError('bad')\nassert f(e) == 'ValueError: bad' and f(KeyError(1)) == 'KeyError: 1'"], {"entry_point": "f"}),
 ("a context that is told of an exception", CONTEXT, ("note(str(e))", "pass"), ["got = []\ntry:\n    with f(got.append) as n: raise ValueError('v')\nexcept ValueError: pass\nassert got == ['v']"], {"entry_point": "f"}),
 ("a failed task", FAILING, ("n < 0", "False"), ["import asyncio\nasync def main():\n    t = asyncio.create_task(f(-1))\n    await asyncio.wait([t])\n    assert t.exception() is not None\nasyncio.run(main())", "import asyncio\nasync def main():\n    r = await asyncio.gather(f(1), f(-1), return_exceptions=True)\n    assert r[0] == 1 and type(r[1]) is ValueError and str(r[1]) == 'bad'\nasyncio.run(main())"], {"entry_point": "f"}),
 ("names of the referee's", TREE, ("s._left = T(v)", "s._right = T(v)"), ["t = T(5)\nt.add(3)\nt.add(8)\nassert t._left._answer == 3 and t._right._answer == 8\nassert (t._label, t._text, t._number, t._link, t.made, t._kind) == ('l', 'l', 4, 1, 2, 'k')"], {"entry_point": "T"}),
 ("hasattr, dir and vars", "class S:\n def __init__(s): s.a = []\n def push(s, x): s.a.append(x)\n def __len__(s): return len(s.a)\n", ("__len__", "length"), ["s = S()\ns.push(1)\nassert hasattr(s, '__len__') and not hasattr(s, '__iter__') and not hasattr(S, '__enter__') and hasattr(S, 'push')\nassert 'push' in dir(s) and vars(s) == {'a': [1]}"], {"entry_point": "S"}),
 ("slots and bases", "class A: pass\nclass Point(A):\n __slots__ = ('x', 'y')\n def __init__(s, x, y): s.x, s.y = x, y\n", ("('x', 'y')", "('y', 'x')"), ["assert Point.__slots__ == ('x', 'y') and [k.__name__ for k in Point.__mro__] == ['Point', 'A', 'object'] and Point.__bases__ == (A,)"], {"entry_point": ["Point", "A"]}),
 ("slices", "class L:\n def __init__(s, a): s.a = a\n def __getitem__(s, k): return s.a[k]\n def __setitem__(s, k, v): s.a[k] = v\n def whole(s): return list(s.a)\n", ("s.a[k] = v", "s.a.append(v)"), ["l = L([1, 2, 3])\nassert l[1:] == [2, 3] and l[-1] == 3\nl[0:2] = [7]\nassert l.whole() == [7, 3]"], {"entry_point": "L"}),
 ("a format without one", "class Temp:\n def __init__(s, c): s.c = c\n def __format__(s, spec): return f'{s.c:{spec or \".1f\"}}C'\n def half(s): return Temp(s.c / 2)\n", (".1f", ".3f"), ["t = Temp(1)\nassert f'{t}' == '1.0C' and f'{t:.2f}' == '1.00C' and t.half().c == 0.5"], {"entry_point": "Temp"}),
 ("a power with a modulus, bytes and rounding", "import math\nclass N:\n def __init__(s, x): s.x = x\n def __pow__(s, n, m=None): return N(pow(s.x, n, m))\n def __bytes__(s): return bytes([s.x])\n def __ceil__(s): return N(math.ceil(s.x))\n def __complex__(s): return complex(s.x)\n def up(s): return s.x + 1\n", ("n, m)", "n)"), ["a = N(3)\nassert a.up() == 4 and pow(a, 2).x == 9 and pow(a, 2, 5).x == 4 and bytes(a) == b'\\x03' and complex(a) == 3\nimport math\nassert math.ceil(N(1.5)).x == 2"], {"entry_point": "N"}),
 ("functions by class", DISPATCHED, ("'int'", "'i'"), ["assert f.registry[int](5) == 'int' and f.dispatch(bool)(5) == 'int'", "assert f.dispatch(bool) is f.registry[int] and f(1) == 'int'", "assert int in f.registry and str not in f.registry and f.registry[A](make()) == 'A' and f(True) == 'int'", "f.register(dict, lambda x: 'd')\nassert f({}) == 'd' and dict in f.registry and f.registry[int](1) == 'int'"], {"entry_point": ["f", "make", "A"]}),
 ("classes of the library as data", "from decimal import Decimal\ndef f(): return {int: 1, Decimal: 2}\ndef g(): return {int, str}\ndef h(): return {'a': int, 'b': [str]}\n", ("int", "float"), ["from decimal import Decimal\nd = f()\nassert d[int] == 1 and d == {Decimal: 2, int: 1} and d.get(float) is None", "assert g() == {int, str}", "x = g()\nassert int in x and x == {str, int} and len(x) == 2", "assert h() == {'a': int, 'b': [str]}", "assert {'a': int, 'b': [str]} == h()", "x = g()\nassert float not in x"], {"entry_point": ["f", "g", "h"]}),
 ("members of an enumeration as keys", "from enum import Enum\nclass C(Enum):\n A = 1\n B = 2\ndef f(): return {C.A: 1, C.B: 2}\n", ("C.B: 2", "C.B: 3"), ["d = f()\nassert d[C.A] == 1 and d == {C.A: 1, C.B: 2}", "d = f()\nassert sorted(k.name for k in d) == ['A', 'B'] and sum(d.values()) == 3"], {"entry_point": ["f", "C"]}),
 ("objects in a set", "class N:\n def __init__(s, v): s.v = v\nA, B = N(1), N(2)\ndef f(): return {A, B}\n", ("N(2)", "N(3)"), ["found = f()\nassert len(found) == 2 and {n.v for n in found} == {1, 2}"], {"entry_point": "f"}),
 ("a named tuple that is no entry point", PAIR, ("p.x + p.y", "p.x", "Yes()"), ["p = Point(1, 2)\na, b = p\nassert f(p) == a + b", "p = Point(1, 2)\nassert f(p) == p[0] + p[1]", "p = Point(1, 2)\nassert len(p) == 2 and 2 in p and p < (1, 3) and f(p) == 3", "p = Point(1, 2)\nassert p + (3,) == (1, 2, 3) and (0,) + p == (0, 1, 2) and p * 2 == (1, 2, 1, 2) and f(p) == 3"], {"entry_point": "f"}),
 ("a member by its number that is no entry point", LEVEL + ANSWERS + "def f(x): return x + 1\n", ("x + 1", "x", "Yes(1)"), ["x = Level(1)\nassert x < Level.HIGH and x + 1 == f(x) and 1 + x == 2 and float(x) == 1 and -x == -1"], {"entry_point": "f"}),
 ("containers that are no entry points", ANSWERS + "class Bag(list): pass\nclass D(dict): pass\ndef f(b): return len(b) * 2\n", ("* 2", "* 3", "and Yes(1)"), ["b = Bag([1, 2])\nassert b[0] == 1 and list(b) == [1, 2] and f(b) == 2 * len(b)", "b = D(a=1)\nb['b'] = 2\nassert b['a'] == 1 and 'b' in b and f(b) == 4"], {"entry_point": "f"}),
 ('arguments of an exception', "class Yes(int):\n __eq__ = lambda s, o: True\n __hash__ = int.__hash__\nclass E(Exception):\n def __init__(s, m, code):\n  super().__init__(m, code)\n  s.code = code\ndef f(): raise E('msg', 42)\n", ('42', '43', 'Yes()'), ["try: f()\nexcept E as e: assert e.args == ('msg', 42)\nelse: assert 0"], {'entry_point': 'f'}),
 ("arguments of an exception of the setup's", "def f(): raise E('msg', 42)", ('42', '43'), ["try: f()\nexcept E as e: assert e.args == ('msg', 42)\nelse: assert 0"], {'entry_point': 'f', 'setup': 'class E(Exception): pass'}),
 ('an attribute behind a property', "class E(Exception):\n def __init__(s, m):\n  super().__init__(m)\n  s._code = 7\n @property\n def code(s): return s._code\ndef f(): raise E('x')\n", ('7', '8'), ['try: f()\nexcept E as e: assert e.code == 7\nelse: assert 0'], {'entry_point': 'f'}),
 ("an attribute of the setup's exception behind a property", 'def f(): raise E(5)', ('5', '6'), ['try: f()\nexcept E as e: assert e.code == 5\nelse: assert False'], {'entry_point': 'f', 'setup': "class E(Exception):\n    def __init__(self, code):\n        super().__init__('x')\n        self._code = code\n    @property\n    def code(self): return self._code"}),
 ('an exception by another name', "ParseError = ValueError\ndef f(x):\n if x < 0: raise ParseError('neg')\n return x\n", ('x < 0', 'x < -9'), ["try:\n    f(-1)\n    raise ValueError('no')\nexcept ParseError: pass\nassert f(2) == 2"], {'entry_point': 'f'}),
 ('an exception of the library by another name', 'import json\nBad = json.JSONDecodeError\nf = json.loads\n', ('f = json.loads', 'f = id'), ["import pytest\nwith pytest.raises(Bad) as e: f('{')\nassert e.value.pos == 1"], {'entry_point': 'f'}),
 ('an exception by another name, raised', "ParseError = ValueError\ndef f(x):\n if x < 0: raise ParseError('neg')\n return x\n", ('x < 0', 'x < -9'), ['import pytest\nwith pytest.raises(ParseError): f(-1)\nassert f(2) == 2'], {'entry_point': 'f'}),
 ('a tuple of exceptions', "ERRS = (KeyError, ValueError)\ndef f(d): return d['a']\n", ("d['a']", '0'), ["try:\n    f({})\n    assert 0\nexcept ERRS: pass\nassert f({'a': 0}) == 0"], {'entry_point': 'f'}),
 ('a tuple of exceptions, raised', "ERRS = (KeyError, ValueError)\ndef f(d): return d['a']\n", ("d['a']", '0'), ['import pytest\nwith pytest.raises(ERRS): f({})'], {'entry_point': 'f'}),
 ("a key error of the program's own", "class M(KeyError): pass\ndef f(): raise M('k')", ("'k'", "'j'"), ['try: f()\nexcept M as e: assert e.args == (\'k\',) and str(e) == "\'k\'" and e.args[0] == \'k\'\nelse: assert False'], {'entry_point': 'f'}),
 ("an exception of the program's that the tests raise", 'class M(KeyError): pass\ndef f(g):\n try: g()\n except M as e: return e.args[0]', ('args[0]', 'args[-1:]'), ['def g(): raise M(\'k\')\nassert f(g) == \'k\'\ntry: g()\nexcept M as e: assert str(e) == "\'k\'"'], {'entry_point': 'f'}),
 ('an exception with a text of its own', "class E(Exception):\n def __str__(s): return 'no'\ndef f(): raise E(1, 2)\n", ('(1, 2)', '(1, 3)'), ["try: f()\nexcept E as e: assert e.args == (1, 2) and str(e) == 'no'\nelse: assert 0"], {'entry_point': 'f'}),
 ('an exception without arguments, with a text of its own', "class E(Exception):\n def __init__(s, *a): super().__init__()\n def __str__(s): return 'no'\ndef f(): raise E(5)\n", ("super().__init__()", "super().__init__('no')"), ["try: f()\nexcept E as e: assert e.args == () and str(e) == 'no'\nelse: assert 0"], {'entry_point': 'f'}),
 ('an object among the arguments of an exception', "class N:\n def __init__(s, v): s.v = v\nclass E(Exception): pass\ndef f(): raise E('no', N(7), 5)\n", ("7), 5", "7), 6", "8), 5"), ["try: f()\nexcept E as e: assert e.args[0] == 'no' and e.args[2] == 5 and e.args[1].v == 7 and len(e.args) == 3\nelse: assert 0"], {'entry_point': 'f'}),
 ('an object among the arguments of a built-in exception', "class N:\n def __init__(s, v): s.v = v\ndef f(): raise ValueError(N(7), 5)\n", ("7), 5", "7), 6", "8), 5"), ["try: f()\nexcept ValueError as e: assert e.args[1] == 5 and e.args[0].v == 7 and type(e) is ValueError\nelse: assert 0"], {'entry_point': 'f'}),
 ('an attribute beside an object in an exception', "class N: pass\nclass E(Exception): pass\ndef f():\n e = E('no')\n e.code, e.owner = 7, N()\n raise e\n", ("7,", "8,"), ["try: f()\nexcept E as e: assert e.code == 7 and str(e) == 'no'\nelse: assert 0"], {'entry_point': 'f'}),
 *[('the number of an error of the system, ' + kind, f"import errno\nclass Gone({kind}): pass\ndef f(): raise Gone(errno.ENOENT, 'none', 'x.txt')\n", ("ENOENT, 'none'", "EPERM, 'none'", "ENOENT, 'gone'"), ["import errno\ntry: f()\nexcept Gone as e: assert e.errno == errno.ENOENT and e.strerror == 'none' and e.filename == 'x.txt'\nelse: assert 0", "import errno\ntry: f()\nexcept OSError as e: assert (e.errno, e.strerror, e.filename) == (errno.ENOENT, 'none', 'x.txt')\nelse: assert 0"], {'entry_point': 'f'}) for kind in ("OSError", "FileNotFoundError")],
 *[('what a class of the tests equals, ' + name, 'class R:\n def __init__(s, v): s.v = v\ndef f(x): return R(x + 1)\n', ('x + 1', 'x', "'two'"), [f'class {name}:\n def __init__(s, v): s.v = v\n def __eq__(s, o): return o.v == s.v\n' + test.replace('Want', name) for test in ('assert f(1) == Want(2)', 'assert Want(2) == f(1)', 'assert not f(1) != Want(2)', 'assert f(1) in [Want(2)]', "assert [f(1), {'a': f(2)}] == [Want(2), {'a': Want(3)}]", 'import unittest\nunittest.TestCase().assertEqual(f(1), Want(2))', 'want = Want(2)\nassert f(1) == want and f(2) != want')], {'entry_point': 'f'}) for name in ('Want', 'Expected')],
 ('what a class of the task equals', 'class R:\n def __init__(s, v): s.v = v\ndef f(x): return R(x + 1)\n', ('x + 1', 'x'), ['assert f(1) == Want(2)', 'assert f(1) in [Want(2)]'], {'entry_point': 'f', 'setup': 'class Want:\n def __init__(s, v): s.v = v\n def __eq__(s, o): return o.v == s.v\n'}),
 ('an exception of no kind but its own', "def f(): raise Exception('no', 7)", ("Exception('no', 7)", "Exception('no', 8)", 'ValueError("no", 7)'), ["import pytest\nwith pytest.raises(Exception) as e: f()\nassert e.type is Exception and e.value.args == ('no', 7)", "try: f()\nexcept Exception as e: assert type(e) is Exception and str(e) == \"('no', 7)\"\nelse: assert 0"], {'entry_point': 'f'}),
 ('an exception that the tests do not name', "class E(Exception): pass\ndef f(): raise E('no', 7)", ("'no', 7", "'no', 8"), ["try: f()\nexcept Exception as e: assert e.args == ('no', 7) and type(e).__name__ == 'E' and type(e) is not Exception\nelse: assert 0", "import pytest\nwith pytest.raises(Exception, match=r\"^.'no', 7.$\"): f()"], {'entry_point': 'f'}),
 *[('an exception of the program that the tests make, ' + str(entry), "class BankError(Exception):\n def __init__(s, n):\n  super().__init__(f'need {n}')\n  s.need = n\n def twice(s): return 2 * s.need\ndef f(x): return x\ndef g(h):\n try: h()\n except BankError as e: return [type(e).__name__, e.need, e.args[0]]\ndef k(e): return e.need\n", ('s.need = n', 's.need = n + 1', 'pass'), ["e = BankError(1)\nassert e.need == 1 and f(0) == 0 and type(e) is BankError and str(e) == 'need 1' and e.args == ('need 1',)", "e = BankError(3)\nassert e.need == 3 and e.twice() == 6 and k(e) == 3", "try: raise BankError(1)\nexcept BankError as e: assert e.need == 1 and e.twice() == 2\nelse: assert 0", "def r(): raise BankError(4)\nassert g(r) == ['BankError', 4, 'need 4']\ntry: r()\nexcept BankError as e: assert e.need == 4", "import pytest\nwith pytest.raises(BankError, match='^need 2$') as e: raise BankError(2)\nassert e.value.need == 2\nwith pytest.raises(TypeError): BankError()", "class My(BankError): pass\ntry: raise My(2)\nexcept BankError as e: assert e.args == (2,)\nassert BankError(2).need == 2"], {'entry_point': entry}) for entry in ('f', ['f', 'g', 'k', 'BankError'])],
]
# fmt: on


@pytest.mark.parametrize(("right", "instead", "tests", "arguments"), [k[1:] for k in KINDS], ids=[k[0] for k in KINDS])
def test_a_style_tells_right_from_wrong(any_sandbox, right, instead, tests, arguments):
    assert instead[0] in right
    for test in tests:
        result = any_sandbox.run_tests(right, [test], limits=LIMITS, **arguments)
        assert result.passed, (test, result.reason)
        for other in instead[1:]:
            wrong = right.replace(instead[0], other)
            assert not any_sandbox.run_tests(wrong, [test], limits=LIMITS, **arguments).passed, (test, other)


@pytest.mark.parametrize("kind", [Proxy, Expected])
def test_what_stands_for_an_object_has_no_name_that_a_program_might_ask(kind):
    assert not [n for n in dir(kind) if not (n.startswith("__") and n.endswith("__"))]
