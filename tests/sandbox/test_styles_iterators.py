"""What is asked about an iterator that an object of the program hands over: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from .corpus import LIMITS

# fmt: off
C = "class C:\n def __init__(s, n): s.n, s.i = n, 0\n def __iter__(s): return s\n def __next__(s):\n  if s.i == s.n: raise StopIteration\n  s.i += 1\n  return s.i\n def left(s): return s.n - s.i\n"
CB = "class C:\n def __init__(s, n): s.n, s.i = n, 0\n def __iter__(s): return iter(C(s.n).__next__, None)\n def __next__(s):\n  if s.i == s.n: raise StopIteration\n  s.i += 1\n  return s.i\n def left(s): return s.n - s.i\n"
B = "class B:\n def __init__(s, n): s.n = n\n def __iter__(s): return iter(range(s.n))\n def __len__(s): return s.n\n def size(s): return s.n\n"
BS = "class B:\n def __init__(s, n): s.n, s.it = n, iter(range(n))\n def __iter__(s): return s.it\n def __len__(s): return s.n\n def size(s): return s.n\n"
A = "class A:\n def __init__(s): s.i = 0\n def __aiter__(s): return s\n async def __anext__(s): s.i += 1; return s.i\n def at(s): return s.i\n"
D = "class D:\n def __init__(s, n): s.n, s.i, s.count, s.of, s.over, s.going = n, 0, 7, 8, 9, 10\n def __iter__(s): return s\n def __next__(s):\n  if s.i == s.n: raise StopIteration\n  s.i += 1\n  return s.i\n def __len__(s): return s.n - s.i\n def __getitem__(s, k): return k * s.n\n def __str__(s): return f'D{s.i}'\n def __enter__(s): s.i += 1; return s\n def __exit__(s, *rest): s.i = s.n\n def left(s): return s.n - s.i\n"
DB = D.replace("return s\n def __next__", "return D(s.n)\n def __next__").replace("7, 8, 9, 10", "0, 0, 0, 0")
E = D.replace("class D", "class I").replace("def __init__(s, n)", "def __init__(s, n, c=None)") + "class E:\n def __init__(s, n): s.n = n\n def __iter__(s): return I(s.n)\n def size(s): return s.n\n"
CASE = "import unittest\nt = unittest.TestCase()\n"
# name, a right program, a wrong one, the test, the entry point
ITERATORS: list[tuple[str, str, str, str, str]] = [
 ("itself", C, CB, "c = C(3)\nassert iter(c) is c", "C"),
 ("itself, by its method", C, CB, "c = C(3)\nassert c.__iter__() is c and list(c) == [1, 2, 3]", "C"),
 ("itself, asserted", C, CB, CASE + "c = C(3)\nt.assertIs(iter(c), c)\nassert c.left() == 3", "C"),
 ("what else is asked about it", C, CB, "c = C(3)\nit = iter(c)\nassert id(it) == id(c) and type(it) is C and isinstance(it, C) and hasattr(it, '__next__')\nassert next(it) == 1 and it.left() == 2 and it.i == 1", "C"),
 ("another each time", B, BS, "c = B(3)\na = iter(c)\nb = iter(c)\nassert a is not b and c.size() == 3", "B"),
 ("another each time, asserted", B, BS, CASE + "c = B(3)\nt.assertIsNot(iter(c), iter(c))\nassert c.size() == 3", "B"),
 ("each from its beginning", B, BS, "c = B(3)\na, b = iter(c), iter(c)\nassert next(a) == 0 and next(a) == 1 and next(b) == 0 and c.size() == 3", "B"),
 ("a generator", "def f(n): yield from range(n)\n", "def f(n): return range(n)\n", "g = f(3)\nassert iter(g) is g and list(g) == [0, 1, 2]", "f"),
 ("an asynchronous one", A, "class A:\n def __init__(s): s.i = 0\n def __aiter__(s): return A()\n async def __anext__(s): s.i += 1; return s.i\n def at(s): return s.i\n", "a = A()\nassert aiter(a) is a and a.at() == 0", "A"),
 ("handed back", C + "def take(it, n): return [next(it) for _ in range(n)]\n", C + "def take(it, n): return [0] * n\n", "c = C(3)\nit = iter(c)\nassert take(it, 2) == [1, 2] and next(it) == 3", "take"),
 ("its attributes", D, DB, "c = D(3)\nit = iter(c)\nassert (it.count, it.of, it.over, it.going) == (7, 8, 9, 10) and c.left() == 3", "D"),
 ("those of another", E, E.replace("7, 8, 9, 10", "0, 0, 0, 0"), "c = E(3)\nit = iter(c)\nassert (it.of, it.over, it.going) == (8, 9, 10) and next(it) == 1 and it.i == 1 and c.size() == 3", "E"),
 ("an attribute that is set", D, DB, "c = D(3)\nit = iter(c)\nit.i = 2\nassert c.i == 2 and next(c) == 3 and it.left() == 0", "D"),
 ("one that is set of another", E, E.replace("s.i += 1\n  return s.i", "s.n -= 1\n  return 3 - s.n"), "c = E(3)\nit = iter(c)\nit.i = 2\nassert next(it) == 3 and it.i == 3 and c.size() == 3", "E"),
 ("equal to itself", D, DB, "c = D(3)\nassert iter(c) == c and {c: 1}[iter(c)] == 1 and hash(iter(c)) == hash(c) and c.left() == 3", "D"),
 ("its text and its length", D, DB, "c = D(3)\nit = iter(c)\nassert next(it) == 1 and str(iter(c)) == 'D1' and len(iter(c)) == 2 and f'{iter(c)}' == 'D1' and c.left() == 2", "D"),
 ("its items", D, DB, "c = D(3)\nit = iter(c)\nassert it[2] == 6 and iter(c)[1] == 3 and next(c) == 1 and 2 in iter(c) and next(it) == 3 and c.left() == 0", "D"),
 ("a block", D, DB, "c = D(3)\nwith iter(c) as it: assert next(it) == 2\nassert c.left() == 0 and it is c", "D"),
 ("one thing several times", C, C.replace("s.i += 1", "s.i += 2"), "from itertools import zip_longest\nc = C(5)\nassert list(zip_longest(*[iter(c)] * 2, fillvalue=0)) == [(1, 2), (3, 4), (5, 0)] and c.left() == 0", "C"),
 ("its end, again", C, C.replace("s.n, s.i = n, 0", "s.n, s.i = n + 1, 0"), "c = C(2)\nit = iter(c)\nassert list(it) == [1, 2] and list(it) == [] and next(it, None) is None and c.left() == 0", "C"),
 ("that of another", E, E.replace("I(s.n)", "I(s.n + 1)"), "c = E(2)\nit = iter(c)\nassert list(it) == [1, 2] and list(it) == [] and next(it, None) is None and c.size() == 2", "E"),
 ("kept for two", "def f(n):\n for i in range(n): yield i\n", "def f(n):\n for i in range(n): yield n\n", "from itertools import tee\na, b = tee(f(3))\nassert list(a) == [0, 1, 2] and list(b) == [0, 1, 2]", "f"),
 ("kept for two, in pairs", "def f(n):\n for i in range(n): yield i\n", "def f(n):\n for i in range(n): yield n\n", "import itertools\na, b = itertools.tee(f(3), 2)\nnext(b)\nassert list(zip(a, b)) == [(0, 1), (1, 2)]", "f"),
 ("an object that is kept for two", C, C.replace("s.i += 1", "s.i += 2"), "from itertools import tee\nc = C(4)\na, b = tee(c)\nassert next(a) == 1 == next(b) and next(b) == 2 and c.left() == 2", "C"),
 ("pairs of a dict", "class P:\n def __iter__(s): return iter([('a', 1)])\n def x(s): pass\n", "class P:\n def __iter__(s): return iter([('a', 2)])\n def x(s): pass\n", "p = P()\nassert dict(iter(p)) == {'a': 1}", "P"),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "wrong", "test", "entry"), [case[1:] for case in ITERATORS], ids=[case[0] for case in ITERATORS]
)
def test_what_is_asked_about_an_iterator_is_answered_for_the_programs(
    any_sandbox: Any, right: str, wrong: str, test: str, entry: str
) -> None:
    result = any_sandbox.run_tests(right, [test], entry_point=entry, limits=LIMITS)
    assert result.passed, result.reason
    assert not any_sandbox.run_tests(wrong, [test], entry_point=entry, limits=LIMITS).passed
