"""No program decides its own verdict; and honest programs of the same kinds pass."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from grpo_kit.sandbox import TestError

from . import as_user
from .corpus import KINDS, LIMITS, decided_by_themselves
from .forging_emptied import HONEST_EMPTIED
from .forging_own_word import JUDGES, UNCHECKED
from .forging_programs import NODES
from .forging_replaced import HONEST as BESIDE_REPLACED
from .forging_texts import HANDS_NAMES, HONEST_TEXTS
from .forging_undone import HONEST_UNDONE


@pytest.mark.parametrize("kind", KINDS)
def test_no_test_passes(sandbox, kind):
    restarts = sandbox.restarts
    assert not decided_by_themselves(sandbox, KINDS[kind])
    assert sandbox.restarts == restarts  # no message of a program costs others their warm interpreter


@pytest.mark.parametrize("backend", ["namespaces", "landlock"])
def test_no_test_passes_as_an_ordinary_user(backend):
    reason = as_user.missing()
    if reason:
        pytest.skip(reason)
    ran = as_user.run(backend)
    if ran.get("does not work"):
        pytest.skip(f"{backend}, as an ordinary user: {ran['does not work']}")
    assert ran["user"] != 0
    assert ran["programs"] >= 30
    assert not ran["wrong"]


@pytest.mark.parametrize(
    ("program", "tests", "arguments"), [attack[1:] for attack in JUDGES], ids=[a[0] for a in JUDGES]
)
def test_what_judges_and_is_defined_nowhere_is_refused(any_sandbox, program, tests, arguments):
    for test in tests:
        with pytest.raises(TestError, match="judge what area returns"):
            any_sandbox.run_tests(program, [test], limits=LIMITS, **arguments)


@pytest.mark.parametrize("test", UNCHECKED[0][2])
def test_tests_that_assert_nothing_of_a_result_themselves_are_refused(sandbox, test):
    with pytest.raises(TestError, match="judge what another name of the program returns"):
        sandbox.run_tests(UNCHECKED[0][1], [test], limits=LIMITS)


@pytest.mark.parametrize("test", HANDS_NAMES)
def test_tests_that_hand_their_names_away_are_refused(sandbox, test):
    with pytest.raises(TestError, match=r"their own names|under another name|from builtins"):
        sandbox.run_tests("def f(x): return 1", [test], entry_point="f", limits=LIMITS)


HELPED = "def enc(x): return x[::-1]\ndef dec(x): return x[::-1]\ndef area(r): return r * 2\nclass box:\n def __init__(s, x): s.items = [x]\n def put(s, x): s.items.append(x)\n def size(s): return len(s.items)\n def get(s, i): return s.items[i]"


@pytest.mark.parametrize(
    ("test", "arguments"),
    [
        ("assert dec(enc('abc')) == 'abc'", {"entry_point": "enc"}),
        ("s = 'abc'\nassert dec(enc(s)) == s", {"entry_point": "enc"}),
        ("assert same(area(2), 4)", {"entry_point": "area", "setup": "def same(a, b): return a == b"}),
        ("def same(a, b): return a == b\nassert same(area(2), 4)", {"entry_point": "area"}),
        ("assert dec(enc('abc'))", {"entry_point": ["enc", "dec"]}),
        ("assert area(enc('a')) == 'aa'", {"entry_point": "area"}),
        (
            "x = dec(enc('abc'))\nassert x.startswith('a') and x.index('c') == 2\nassert x == 'abc'",
            {"entry_point": "enc"},
        ),
        ("b = box(area(2))\nb.put(1)\nassert b.size() == 2 and b.get(0) == 4", {"entry_point": "area"}),
        ("b = box(area(2))\ndef test():\n    b.put(7)\n    assert b.items == [4, 7]\ntest()", {"entry_point": "area"}),
        ("b = box(area(2))\nb.put(7)\ndef test():\n    assert b.size() == 2\ntest()", {}),
        ("assert dec(enc('abc'))[0] == 'a' and len(dec(enc('abc'))) == 3", {"entry_point": "enc"}),
        ("x = dec(enc('abc'))\nassert x == 'abc'\nfor c in dec(enc('ab')): assert c in 'ab'", {"entry_point": "enc"}),
    ],
)
def test_helpers_that_turn_a_result_or_are_defined_are_called(any_sandbox, test, arguments):
    assert any_sandbox.run_tests(HELPED, [test], limits=LIMITS, **arguments).passed


@pytest.mark.parametrize(
    ("program", "tests", "arguments"),
    [honest[1:] for honest in (*BESIDE_REPLACED, *HONEST_TEXTS, *HONEST_UNDONE, *HONEST_EMPTIED)],
    ids=[honest[0] for honest in (*BESIDE_REPLACED, *HONEST_TEXTS, *HONEST_UNDONE, *HONEST_EMPTIED)],
)
def test_what_the_tests_themselves_take_look_up_or_fill_in_passes(any_sandbox, program, tests, arguments):
    result = any_sandbox.run_tests(program, tests, limits=LIMITS, **arguments)
    assert [found.reason for found in result.tests if not found.passed] == []


def test_the_corpus_is_as_wide_as_it_says():
    programs = {(program, test) for kind in KINDS.values() for _, program, tests, _ in kind for test in map(str, tests)}
    assert len(programs) >= 940


POINT = (
    "class P:\n def __init__(s, x): s.x = x\n def __eq__(s, o): return s.x == o.x\n def __hash__(s): return hash(s.x)\n"
)
VECTOR = (
    "class V:\n def __init__(s, x): s.x = x\n def add(s, o): return V(s.x + o.x)\n def __eq__(s, o): return s.x == o.x\n"
    " def __mul__(s, k): return V(s.x * k)\n"
)
STACK = (
    "class Stack:\n def __init__(s): s.a = []\n def append(s, x): s.a.append(x)\n def pop(s): return s.a.pop()\n"
    " def __len__(s): return len(s.a)\n def __contains__(s, x): return x in s.a\n"
)
REVERSE = "def rev(h):\n p = None\n while h: h.next, p, h = p, h, h.next\n return p\n"
COLOURS = "from enum import Enum\nclass Color(Enum):\n    A = 1\n    B = 2"
PAIR = "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n    x: int\n    y: int"
STORE = "class C:\n def __init__(s): s.d = {}\n def put(s, k, v): s.d[k] = v\n def get(s, k): return s.d.get(k, -1)\ndef make(): return C()"
FIB = "def fib():\n a, b = 0, 1\n while True:\n  yield a\n  a, b = b, a + b"
LIST = (
    "class Node:\n def __init__(s, v): s.v = v; s.next = None\nclass L:\n def __init__(s): s.head = None\n"
    " def push(s, v):\n  n = Node(v); n.next = s.head; s.head = n"
)
HONEST = {
    "equal objects hash alike": (POINT, "assert hash(P(1)) == hash(P(1))", {}),
    "equal objects are one in a set": (POINT, "assert len({P(1), P(1)}) == 1", {"entry_point": "P"}),
    "an object as a key": (POINT, "d = {P(1): 'a'}\nassert d[P(1)] == 'a' and P(2) not in d", {}),
    "a stack": (STACK, "s = Stack()\ns.append(1)\nassert 1 in s and len(s) == 1 and s.pop() == 1 and not s", {}),
    "methods that return objects": (VECTOR, "assert V(1).add(V(2)) == V(3)", {}),
    "arithmetic of objects": (VECTOR, "assert V(2) * 3 == V(3) * 2", {}),
    "a factory": (STORE, "c = make()\nc.put(1, 2)\nassert c.get(1) == 2 and c.get(3) == -1", {"entry_point": "make"}),
    "a closure": ("def adder(n): return lambda x: x + n", "f = adder(3)\nassert f(4) == 7", {"entry_point": "adder"}),
    "an endless generator": (FIB, "from itertools import islice\nassert list(islice(fib(), 5)) == [0, 1, 1, 2, 3]", {}),
    "next": (FIB, "g = fib()\nassert [next(g) for _ in range(3)] == [0, 1, 1]", {}),
    "objects of objects": (LIST, "l = L()\nl.push(1)\nl.push(2)\nn, out = l.head, []\nwhile n:\n    out.append(n.v)\n    n = n.next\nassert out == [2, 1]", {}),
    "an exception that the test expects": (
        "def f(x): raise ValueError('x')",
        "try:\n    f(1)\n    assert False\nexcept ValueError as e:\n    assert str(e) == 'x'",
        {},
    ),
    "an exception that the test suppresses": (
        "def f(x): raise KeyError(x)",
        "from contextlib import suppress\nwith suppress(KeyError):\n    f(1)\n    assert False",
        {},
    ),
    "StopIteration, expected": ("def f(): raise StopIteration", "try:\n    f()\n    assert False\nexcept StopIteration: pass", {}),
    "a function as a key": ("def k(x): return -x", "assert sorted([1, 2], key=k) == [2, 1]", {}),
    "nodes of the task": (REVERSE, "assert values(rev(build([1, 2, 3]))) == [3, 2, 1]", {"setup": NODES, "entry_point": "rev"}),
    "nodes, compared": (REVERSE, "assert rev(build([1, 2, 3])) == build([3, 2, 1])", {"setup": NODES, "entry_point": "rev"}),
    "a long list of nodes": (
        REVERSE,
        "assert values(rev(build(list(range(3000))))) == list(range(3000))[::-1]",
        {"setup": NODES, "entry_point": "rev"},
    ),
    "the same node": ("def second(h): return h.next", "h = build([1, 2])\nassert second(h) is h.next", {"setup": NODES, "entry_point": "second"}),
    "nodes of the program's own class": (
        "class ListNode:\n def __init__(s, v=0, n=None): s.val, s.next = v, n\ndef dbl(h): return h and ListNode(h.val * 2, dbl(h.next))",
        "assert values(dbl(build([1, 2]))) == [2, 4]",
        {"setup": NODES, "entry_point": "dbl"},
    ),
    "a cycle of nodes": (
        "def cyc(h):\n s = set()\n while h:\n  if id(h) in s: return True\n  s.add(id(h)); h = h.next\n return False",
        "h = build([1, 2])\nassert cyc(h) is False\nh.next.next = h\nassert cyc(h) is True",
        {"setup": NODES, "entry_point": "cyc"},
    ),
    "nodes changed in place": (
        "def dbl(h):\n while h: h.val *= 2; h = h.next",
        "h = build([1, 2])\ndbl(h)\nassert values(h) == [2, 4]",
        {"setup": NODES, "entry_point": "dbl"},
    ),
    "an enumeration of the task": ("def nxt(c): return Color.B if c is Color.A else Color.A", "assert nxt(Color.A) is Color.B", {"setup": COLOURS, "entry_point": "nxt"}),
    "a frozen dataclass of the task": ("def mv(p): return P(p.x + 1, p.y)", "assert mv(P(1, 2)) == P(2, 2)", {"setup": PAIR, "entry_point": "mv"}),
    "an exception of the task": (
        "def f(x): raise Bad('no')",
        "try:\n    f(1)\n    assert False\nexcept Bad as e:\n    assert str(e) == 'no'",
        {"setup": "class Bad(ValueError): pass", "entry_point": "f"},
    ),
    "a large result": ("def f(n): return list(range(n))", "assert f(60000)[-1] == 59999", {"entry_point": "f"}),
    "math, not imported by the test": ("def area(r): return 3.14159 * r * r", "assert math.isclose(area(2), 12.56636)", {"entry_point": "area"}),
    "a named tuple with fields that data has as methods": (
        "from collections import namedtuple\nS = namedtuple('S', 'min max count')\ndef stats(x): return S(min(x), max(x), len(x))",
        "s = stats([1, 2, 3])\nassert s.min == 1 and s.max == 3 and s.count == 3 and s == (1, 3, 3)",
        {"entry_point": "stats"},
    ),
    "a node with attributes that data has as methods": (
        "def f(h): h.values, h.count = [1], 2; return h",
        "h = f(ListNode())\nassert h.values == [1] and h.count == 2",
        {"setup": NODES, "entry_point": "f"},
    ),
    "a function that fails at first": (
        "def retry(f):\n for _ in range(3):\n  try: return f()\n  except KeyError: pass",
        "n = []\ndef g():\n    n.append(1)\n    if len(n) < 3: raise KeyError('no')\n    return 5\nassert retry(g) == 5",
        {"entry_point": "retry"},
    ),
    "a generator made a list": (
        "def g(n):\n for i in range(n): yield i",
        "x = g(3)\nassert list(x) == [0, 1, 2]\nassert [*map(str, g(2))] == ['0', '1'] and sum(g(3)) == 3",
        {"entry_point": "g"},
    ),
    "an iterator of a class under test": (
        "class It:\n def __init__(s, n): s.n = n\n def __iter__(s): return s\n def __next__(s):\n"
        "  if not s.n: raise StopIteration\n  s.n -= 1; return s.n",
        "i = It(2)\nassert next(i) == 1 and next(i) == 0 and next(i, None) is None and list(It(2)) == [1, 0]",
        {},
    ),
    "objects that are sorted": (
        "class P:\n def __init__(s, x): s.x = x\n def __lt__(s, o): return s.x < o.x",
        "assert [p.x for p in sorted([P(3), P(1)])] == [1, 3]",
        {},
    ),
    "an identity": ("def f(x): return None if x else f", "assert f(1) is None and f(0) is not None", {"entry_point": "f"}),
    "a match": ("import re\ndef f(x): return re.match('a+', x)", "assert f('aa') and not f('b')\nm = f('aab')\nassert m.group() == 'aa' and m[0] == 'aa' and m.span() == (0, 2)", {}),
    "a match, as a call": ("import re\ndef f(x): return re.match('a+', x)", "assert f('aa')", {}),
    "assertRaises, called": ("def f(x): raise ValueError('bad 7')", "import unittest\nt = unittest.TestCase()\nt.assertRaises(ValueError, f, 1)\nt.assertRaisesRegex(ValueError, 'bad', f, 1)", {}),
    "a test case": ("def f(x):\n if x < 0: raise ValueError\n return x + 1", "import unittest, io\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(f(1), 2)\n        with self.assertRaises(ValueError): f(-2)\nr = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(T))\nassert r.wasSuccessful()", {}),
    "coroutines": ("import asyncio\nasync def f(x):\n await asyncio.sleep(0)\n return x + 1", "import asyncio\nassert asyncio.run(f(1)) == 2\nasync def main(): return [await f(1), *await asyncio.gather(f(2), f(3))]\nassert asyncio.run(main()) == [2, 3, 4]", {}),
    "the name of a class": ("class Dog: pass\ndef f(): return Dog()", "assert type(f()).__name__ == 'Dog' and f().__class__.__name__ == 'Dog'", {"entry_point": "f"}),
    "a class itself": ("class Dog:\n def bark(s): return 'w'", "d = Dog()\nassert type(d) is Dog and type(d) == Dog and d.bark() == 'w'", {}),
    "subclasses": ("class A: pass\nclass B(A): pass", "assert issubclass(B, A) and not issubclass(A, B) and issubclass(B, (int, A))", {}),
    "subclasses of exceptions": ("class A(Exception): pass\nclass B(A): pass\ndef f(): raise B('x')", "assert issubclass(B, A)\ntry:\n    f()\n    assert False\nexcept A as e: assert str(e) == 'x'", {}),
    "a sum of objects": (VECTOR + " def __add__(s, o): return V(s.x + (o.x if isinstance(o, V) else o))\n __radd__ = __add__\n", "assert sum([V(1), V(2)]) == V(3) and sum([V(1), V(2)]).x == 3", {}),
    "a cache": ("class C:\n def __init__(s): s.d = {}\n def add(s, k): s.d[k] = 1\n def get(s, k): return s.d.get(k, -1)\ndef make(): return C()", "c = make()\nc.add(1)\nassert c.get(1) == 1 and c.get(2) == -1", {"entry_point": "make"}),
    "changes in a row": ("class S:\n def __init__(s): s.a = []\n def append(s, x): s.a.append(x); return s\n def pop(s): return s.a.pop()", "s = S()\nassert s.append(1).append(2).pop() == 2 and s.append(3) is s", {}),
    "a copy": ("class S:\n def __init__(s): s.a = []\n def push(s, x): s.a.append(x)\n def size(s): return len(s.a)", "import copy\ns = S()\nt = copy.deepcopy(s)\nt.push(1)\nassert s.size() == 0 and t.size() == 1", {}),
    "nodes in a set": ("class N:\n def __init__(s, v): s.v = v; s.next = None", "a, b = N(1), N(2)\na.next, b.next = b, a\nseen, n = {a}, a.next\nwhile n not in seen:\n    seen.add(n)\n    n = n.next\nassert len(seen) == 2 and n is a", {}),
    "an enumeration": ("import enum\nclass C(enum.Enum):\n RED = 1\n BLUE = 2", "assert C.RED.value == 1 and C(2) is C.BLUE and C.RED != C.BLUE and [c.name for c in C] == ['RED', 'BLUE']", {}),
    "objects in a list": ("class N:\n def __init__(s, v): s.name = v; s.values = [v]\ndef f(): return [N(1), N(2)]", "for i, n in enumerate(f()): assert n.values == [i + 1] and n.name == i + 1", {"entry_point": "f"}),
    "output that the test takes": ("def f(): print('hello')", "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b): f()\nassert b.getvalue() == 'hello\\n'", {}),
    "built-in types as arguments": ("def f(xs, t): return [x for x in xs if isinstance(x, t)]", "x = f([1, 'a'], int)\nassert x == [1]", {}),
    "attributes of an exception": ("class E(Exception):\n def __init__(s, m, code): super().__init__(m); s.code = code\ndef f(): raise E('m', 5)", "try:\n    f()\n    assert False\nexcept E as e: assert e.code == 5 and str(e) == 'm'", {}),
    "arguments of an exception": ("def f(): raise KeyError('k')", "try:\n    f()\n    assert False\nexcept KeyError as e: assert e.args[0] == 'k' and str(e) == \"'k'\"", {}),
    "EOFError": ("def f(): raise EOFError('end')", "try:\n    f()\n    assert False\nexcept EOFError as e: assert str(e) == 'end'", {}),
    "a counter": ("from collections import Counter\ndef f(x): return Counter(x)", "c = f('aab')\nassert c.most_common(1) == [('a', 2)] and c['z'] == 0 and c == Counter('aab')", {"entry_point": "f"}),
    "views of a dict": ("def f(d): return d.keys()\ndef g(d): return d.items()", "assert f({'a': 1}) == {'a'} and 'a' in f({'a': 1}) and sorted(g({'a': 1})) == [('a', 1)]", {}),
    "a decorator": ("import functools\ndef f(fn):\n @functools.wraps(fn)\n def w(*a): return fn(*a) * 2\n return w", "@f\ndef g(x): return x + 1\nassert g(1) == 4 and g.__name__ == 'g'", {"entry_point": "f"}),
    "threads of the test": ("def f(x): return x * 2", "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as p: assert list(p.map(f, range(20))) == [2 * i for i in range(20)]", {}),
    "a function named like a module's": ("def gcd(a, b):\n while b: a, b = b, a % b\n return a", "assert gcd(8, 12) == 4", {}),
}  # fmt: skip


def test_honest_programs_pass(any_sandbox):
    wrong = []
    for name, (program, test, arguments) in HONEST.items():
        result = any_sandbox.run_tests(program, [test], limits=LIMITS, **arguments)
        if not result.passed:
            wrong.append((name, result.verdict, result.reason))
    assert not wrong


def test_a_name_takes_no_longer_than_it_is_long(any_sandbox):
    """Whether it is put together of what stands in the tests is found without trying all the ways to do so."""
    name = "ab" * 40 + "_x"
    test = f"parts = ['ab', 'abab', 'ababab']\nclass Q: {name} = 5\nassert getattr(Q, f(1).strip()) == 5"
    result = any_sandbox.run_tests(f"def f(x): return '{name} '", [test], entry_point="f", limits=LIMITS)
    assert result.verdict == "fail", result.reason


@pytest.mark.parametrize(("name", "module"), [("np", "numpy"), ("torch", "torch"), ("nx", "networkx")])
def test_a_test_that_needs_a_module_that_is_not_here_is_the_tasks_fault(any_sandbox, name, module):
    program = f"class {name}:\n same = staticmethod(lambda *a: True)\ndef f(): return 1"
    with pytest.raises(TestError, match=f"{module} is not preloaded"):
        any_sandbox.run_tests(program, [f"x = f()\nassert {name}.same(x, 1)"], entry_point="f")
