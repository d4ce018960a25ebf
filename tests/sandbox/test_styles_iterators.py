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
