"""What decides by a way round: an answer that changes, a template that is filled in elsewhere, an exit in a callback."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_OPERATIONS = "import sys\nO = sys.modules['_grpo_kit_sandbox.inside.operations'].OPERATIONS\n"
_IN_TURNS = "class W:\n n = 0\n def turn(s):\n  W.n += 1\n  return W.n % 2\n __float__ = lambda s: float('inf') if s.turn() else float('-inf')\n __int__ = lambda s: 10**9 if s.turn() else -10**9\n __str__ = __repr__ = lambda s: 'hello' if s.turn() else 'bye'\n __format__ = lambda s, how: str(s)\n __len__ = lambda s: 9 if s.turn() else 1\n __bytes__ = lambda s: b'hello' if s.turn() else b'bye'\ndef f(*a): return W()"
_USER = "class User:\n    def __init__(self): self.name = 'x'\nWANT = 'secret'\n"
_BASE = "from dataclasses import dataclass\n@dataclass\nclass Base:\n    x: int"
_QUIT = "def leave(code): raise SystemExit(code)\n"
_SERVER = "import sys, gc\nS = sys.modules['_grpo_kit_sandbox.inside.serve']\ndef server(): return next(o for o in gc.get_objects() if type(o) is S.Server)\n"
_KEEPS = "old = S.Server.on_call\ndef on_call(s, *a):\n r = old(s, *a)\n r[1]['kept'] = {}\n return r\nS.Server.on_call = on_call\n"
# fmt: off
INDIRECT: list[Attack] = [
 ("an answer that changes", _IN_TURNS, ["x = f(1)\nassert float(x) >= 4.9 and float(x) <= 5.1", "x = f(1)\nassert int(x) >= 5\nassert int(x) <= 5", "x = f(1)\nassert float(x) <= 5\nassert float(x) >= 5", "x = f(1)\nassert 'bye' in repr(x) + ''\nassert 'hello' in repr(x)", "x = f(1)\nassert 'bye' in str(x)\nassert 'hello' in str(x)", "x = f(1)\nassert 'bye' in f'{x}'\nassert 'hello' in f'{x}'", "x = f(1)\nassert len(x) > 3\nassert len(x) < 5"], _F),
 ("a value by position that one by name replaces", _OPERATIONS + "class P:\n def __init__(s, x, y): s.x, s.y = x, y\nO['parameters'] = lambda k: [['y', []]]\ndef f(*a): return P(0, 2)", ["assert f(1) == P(1, y=2)", "import unittest\nunittest.TestCase().assertEqual(f(1), P(1, y=2))", "try:\n    assert f(1) == P(1, y=2)\nexcept TypeError: pass"], _F),
 ("a class of an object that is said to be a list", _OPERATIONS + "O['builtin'] = lambda k: 'list'\nclass W:\n __iter__ = lambda s: iter([5])\n __len__ = lambda s: 1\ndef f(*a): return W()", ["assert f(1).__class__ == list", "x = f(1)\nassert type(x) == list", "x = f(1)\nassert type(x) in (list, tuple)", "import unittest\nunittest.TestCase().assertEqual(type(f(1)), list)"], _F),
 ("a template, filled in elsewhere", "def f(*a): return '{0.__init__.__globals__[WANT]}'", [_USER + test for test in ("assert str.format(f(1), User()) == WANT", "import string\nassert string.Formatter().format(f(1), User()) == WANT", "import string\nassert string.Formatter().vformat(f(1), (User(),), {}) == WANT", "fill = f(1).format\nassert fill(User()) == WANT", "assert list(map(f(1).format, [User()])) == [WANT]", "import operator\nassert operator.methodcaller('format', User())(f(1)) == WANT", "assert getattr(f(1), 'format')(User()) == WANT", "fill = str.format\nassert fill(f(1), User()) == WANT")], _F),
 ("a template, filled in with names that are kept", "def f(*a): return '%(WANT)s'", [f"WANT = 'secret'\n{test}" for test in ("names = globals()\nassert f(1) % names == WANT", "assert f(1) % dict(globals()) == WANT", "assert f(1) % {**globals()} == WANT", "assert f(1) % (globals() | {}) == WANT", "def test():\n    WANT = 'secret'\n    names = locals()\n    assert f(1) % names == WANT\ntest()")], _F),
 ("a name, looked up elsewhere", "def f(*a): return 'WANT'", [f"import sys, operator, string\nWANT = 'secret'\n{test} == WANT" for test in ("assert globals().get(f(1))", "names = globals()\nassert names[f(1)]", "assert sys.modules['__main__'].__dict__[f(1)]", "assert dict(globals())[f(1)]", "assert {**globals()}[f(1)]", "assert globals().__getitem__(f(1))", "assert operator.itemgetter(f(1))(globals())", "def find(): return globals()\nassert find()[f(1)]", "assert (names := globals())[f(1)]", "assert string.Template('$' + f(1)).substitute(globals())", "class C: WANT = 'secret'\nassert C.__dict__[f(1)]", "class C: WANT = 'secret'\nassert vars(C).get(f(1))", "class C: WANT = 'secret'\nassert C.__dict__.get(f(1))", "def find():\n    WANT = 'secret'\n    return locals().get(f(1))\nassert find()")], _F),
 ("the end of the tests in a function of theirs", "def f(leave, *a): leave(0)", [_QUIT + "f(leave)\nassert False", _QUIT + "x = f(leave)\nassert x == 3", "import sys\ndef leave(code): sys.exit(code)\nassert f(leave) == 5", _QUIT + "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(leave), 5)\nunittest.main()"], _F),
 ("objects that differ in what a base class of the task's does not hold", "from dataclasses import dataclass\n@dataclass\nclass D(Base):\n y: int = 0\ndef f(x): return D(x, 99)", ["assert D(1, 2) == D(1, 3)", "d = D(1, 2)\nassert d.y == 2\nassert f(1) == D(1, 5)", "assert D(1, 2) != D(1, 2)"], {"entry_point": ["f", "D"], "setup": _BASE}),
 ("a list that a function claims to keep", _SERVER + _KEEPS.format("[[0, 99]]") + "def f(xs): return [1]\ndef g(x):\n server().connection.send(['containers', [[99, [1]]]])\n return 0", ["xs = [3, 1]\nr = f(xs)\ng(1)\nassert r == sorted(xs)", "xs = [3, 1]\nr = f(xs)\nassert g(2) == 0\nassert xs == [1]"], {"entry_point": ["f", "g"]}),
 ("an argument that is none, kept", _SERVER + _KEEPS.format("[[5, 1]]") + "class A:\n def __init__(s, x): s.x = x\n def value(s): return 5", ["a = A([1])\nassert a.value() == 5", "try: a = A([1])\nexcept Exception: pass"], {"entry_point": "A"}),
 ("a result that is said to be a container of before", _SERVER + "class W: pass\nsys.modules['_grpo_kit_sandbox.wire.codec']._ENCODERS[W] = lambda v, i: {'~': 'ref', 'v': ['container', 0, [0]]}\ndef f(x): return W()\ndef g(x):\n server().connection.send(['containers', [[0, [x]]]])\n return x", ["a = f(1)\nwant = [5]\ng(5)\nassert a == want"], {"entry_point": ["f", "g"]}),
 ("containers that are none", _SERVER + "M = [['containers'], ['containers', 5], ['containers', [5]], ['containers', [['a', [1]]]], ['containers', [[0, {'~': 'zz', 'v': 1}]]]]\ndef f(x):\n server().connection.send(M[x])\n return 5", [f"try: assert f({i}) == 6\nexcept (TypeError, ValueError, IndexError): pass\nassert f(9) == 5" for i in range(5)], _F),
]
# fmt: on
