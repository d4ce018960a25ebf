"""Ways to ask whether an iterator has come to its end: each passes an iterator, and fails a list in its place."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import LIMITS

_CASE = "import unittest\nt = unittest.TestCase()\n"
ENDS = {
    "a deque": "from collections import deque\nassert deque(it) == deque()",
    "a counter": "from collections import Counter\nassert Counter(it) == {}",
    "a dict": "assert dict(it) == {} == dict(enumerate(it))",
    "beside something": "assert list(it) + [1] == [1]",
    "beside something in a tuple": "assert tuple(it) + (1,) == (1,) and sorted(it) + sorted(f(1)) == [5]",
    "spread": "assert [*it, 1] == [1] and (*it, *f(1)) == (5,)",
    "a truth": "assert bool(list(it)) is False and bool([*it]) == False",
    "a text": "assert str(list(it)) == '[]' and repr({*it}) == 'set()'",
    "joined texts": "assert next(map(str, it), None) is None and ','.join(str(v) for v in it) == ''",
    "a chain": "from itertools import chain\nassert list(chain(it, f(1))) == [5]",
    "what a chain counts": "from itertools import chain\nassert len(list(chain(it, f(1)))) == 1 and sorted(chain(it, [7])) == [7]",
    "less than one": "assert len(list(it)) < 1",
    "no more than none": "assert len(list(it)) <= 0 and not len(tuple(it)) > 0",
    "a failing if": "rest = list(it)\nif len(rest) > 0: raise AssertionError(rest)",
    "a name for a deque": "import collections\nrest = collections.deque(it)\nassert len(rest) == 0 and not rest",
    "a name for a truth": "rest = bool(list(it))\nassert not rest, 'there is more'",
    "a name beside something": "rest = list(it)\nassert rest + [1] == [1], f'left over: {rest}'",
    "the least": "assert min(it, default=None) is None is None",
    "awaited": "async def rest(): return [v for v in it]\nasync def main(): assert await rest() == [] == await rest()\nimport asyncio\nasyncio.run(main())",
    "assertions": _CASE + "t.assertCountEqual(list(it), [])\nt.assertDictEqual(dict(it), {})\nt.assertSetEqual(set(it), set())",
    "an assertion of a truth": _CASE + "from collections import Counter\nt.assertIs(bool(list(it)), False)\nt.assertEqual(Counter(it), Counter())",
    "a function": "def rest(i): return tuple(i) + (1,)\ndef same(got, want): assert got == want, f'{got} is not {want}'\nsame(list(it) + [1], [1])",
    "a name in an assertion": "assert ((r := list(it)), 1) == ([], 1) and not r\nassert (s := sorted(it)) == []\nprint(s)",
    "a name in what a function returns": "def rest(i): return (found := list(i))\nassert rest(it) == []",
    "what a function of the tests makes of items": "def norm(v): return v + 1\nassert [norm(v) for v in it] == [] and not list(map(norm, it))",
    "what items make of themselves": "assert [v.real + abs(v) for v in it] == list(f(0)) == [] and sorted(it, key=lambda v: -v) == []",
    "a name of one of several things": "rest = []\nfor _ in 'a': rest = list(it)\nassert rest == []",
    "a task in a try": "import asyncio\nasync def other(e):\n    try: await e.wait()\n    except Exception: pass\nasync def main():\n    e = asyncio.Event()\n    t = asyncio.create_task(other(e))\n    await asyncio.sleep(0)\n    assert list(it) == []\n    e.set()\n    await t\nasyncio.run(main())",
    "in a try that takes something else": "try: assert list(it) == []\nexcept OSError: pass",
    "in a try that takes other things": "try: assert list(it) == []\nexcept (OSError, StopIteration): pass",
    "in a try whose clause has a loop": "try: assert list(it) == []\nexcept AssertionError:\n    for _ in 'a': break\n    raise",
    "in a try whose clause has a function": "try: assert list(it) == []\nexcept AssertionError:\n    def show(): return 1\n    raise",
    "in a try that cleans up in a loop": "def test():\n    try: assert list(it) == []\n    finally:\n        while True: break\ntest()",
    "in a try that defines something at last": "try: assert list(it) == []\nfinally:\n    def show(): return 1",
    "in a try that awaits at last": "import asyncio\nasync def main():\n    try: assert list(it) == []\n    finally: await asyncio.sleep(0)\nasyncio.run(main())",
    "a lock": "import threading\nwith threading.Lock(): assert list(it) == []",
    "redirected output": "import contextlib, io\nwith contextlib.redirect_stdout(io.StringIO()), contextlib.nullcontext(): assert list(it) == []",
    "patched": "from unittest.mock import patch\nwith patch('builtins.input'): assert list(it) == []",
    "a manager of the tests": "class Timer:\n    def __enter__(self): return self\n    def __exit__(self, *rest): self.done = True\nwith Timer() as t:\n    assert list(it) == []",
    "a generator that manages": "import contextlib\n@contextlib.contextmanager\ndef timer():\n    try: yield\n    finally: print(1)\nwith timer(): assert list(it) == []",
    "asynchronous managers": "import asyncio\nasync def main():\n    async with asyncio.Lock(): assert list(it) == []\n    async with asyncio.timeout(1): assert [*it] == []\nasyncio.run(main())",
    "in a subtest of its own": "import unittest\nt = unittest.TestCase()\nwith t.subTest(1): t.assertEqual(list(it), [])",
    "a context of decimals": "import decimal\nwith decimal.localcontext(): assert list(it) == []",
    "warnings": "import warnings\nwith warnings.catch_warnings(): assert list(it) == []",
    "a pool": "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as p: assert list(it) == []",
    "a stream": "import io\nwith io.StringIO('a') as s: assert list(it) == []",
    "an expected warning": "import pytest, warnings\nwith pytest.warns(UserWarning):\n    warnings.warn('a')\n    assert list(it) == []",
    "a function that calls itself": "def total(vs): return vs[0] + total(list(vs[1:])) if vs else 0\nassert total([1] * 900) == 900 and list(it) == []",
    "a check that calls itself": "def check(vs, n):\n    if n: check(list(range(n - 1)), n - 1)\n    assert vs == list(range(n))\ncheck(list(range(900)), 900)\ncheck(list(it), 0)",
    # These were told before, too.
    "a name and its length": "rest = list(it)\nn = len(rest)\nassert n == 0 and rest == []",
    "a name with its kind": "rest: list = list(it)\nassert rest == []",
    "a function of the tests": "def same(got, want): assert got == want\nsame(list(it), [])\nsame(sorted(it), [])",
    "what a function returns": "def rest(i): return [v for v in i]\nleft = rest(it)\nassert left == [] and len(rest(it)) == 0",
    "what a function returns under a name": "def rest(i):\n    found = [v for v in i]\n    return found\nassert rest(it) == []",
    "what functions return": "def rest(i): return [*i]\ndef more(i): return rest(i)\nassert more(it) == []",
    "a name that is another elsewhere": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        rest = list(it)\n        self.assertEqual(rest, [], f'{rest}')\n    def test_b(self):\n        rest = list(f(1))\n        if rest: self.assertEqual(rest[0], 5)\nunittest.main(exit=False)",
    "in a try": "try: assert list(it) == []\nexcept ValueError: raise AssertionError\nfinally: pass",
    "in a subtest": _CASE + "for want in ([], []):\n    with t.subTest(want=want): t.assertEqual(list(it), want)",
    "in a class": "class K:\n    rest = list(it)\n    assert rest == []",
    "an assertion of a comparison": _CASE + "t.assertTrue(list(it) == [])\nt.assertFalse(list(it) != [], 'more')\nt.assertTrue(not list(it))",
    "each of several": "assert not (next(it, None) or list(it) != [] or len([*it]))",
}  # fmt: skip


@pytest.mark.parametrize("test", ENDS.values(), ids=ENDS)
def test_a_style_tells_right_from_wrong(any_sandbox, test):
    test = f"it = f(2)\nassert list(it) == [5, 5]\n{test}"
    result = any_sandbox.run_tests("def f(n): return iter([5] * n)", [test], entry_point="f", limits=LIMITS)
    assert result.passed, result.reason
    assert not any_sandbox.run_tests("def f(n): return [5] * n", [test], entry_point="f", limits=LIMITS).passed


@pytest.mark.parametrize("test", ["same(list(it), [])", "assert rest(it) == []", "left = rest(it)\nassert left == []"])
def test_functions_of_the_setup_ask_as_those_of_the_test_do(any_sandbox, test):
    setup = "def same(got, want): assert got == want\ndef rest(i): return list(i)"
    for before in ({"setup": setup}, {}):
        tests = [
            *([] if before else [setup + "\nassert f(1) is not None"]),
            f"it = f(2)\nassert list(it) == [5, 5]\n{test}",
        ]
        result = any_sandbox.run_tests(
            "def f(n): return iter([5] * n)", tests, entry_point="f", limits=LIMITS, **before
        )
        assert result.passed, result.reason


def test_the_end_of_an_asynchronous_iterator_is_asked_for(any_sandbox):
    test = "import asyncio, pytest\nasync def main():\n    it = f(1)\n    assert [v async for v in it] == [5]\n    assert await anext(it, None) is None\n    v = await anext(it, 7)\n    assert v == 7\n    with pytest.raises(StopAsyncIteration): await anext(it)\n    with pytest.raises(StopAsyncIteration): await it.__anext__()\nasyncio.run(main())"
    result = any_sandbox.run_tests(
        "async def f(n):\n for _ in range(n): yield 5", [test], entry_point="f", limits=LIMITS
    )
    assert result.passed, result.reason


def test_what_waits_in_a_try_meanwhile_takes_nothing(any_sandbox):
    test = "def gen(i):\n    try:\n        while True: yield next(i)\n    except Exception: return\nit, g = f(2), gen(f(2))\nassert list(it) == [5, 5] and next(g) == 5\nassert list(it) == []\nassert list(g) == [5]"
    result = any_sandbox.run_tests("def f(n): return iter([5] * n)", [test], entry_point="f", limits=LIMITS)
    assert result.passed, result.reason
