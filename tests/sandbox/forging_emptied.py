"""Iterators in the place of lists: behind their end, no check of theirs is one. (name, program, tests, arguments)."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_FIRST = "x = f(3)\nassert len(list(x)) == 3\n"
_ALTERNATIVES = [
    "r = list(x)\n" + test
    for test in (
        "assert not r or r[0] == 5",
        "assert True and (len(r) == 0 or r[0] == 5)",
        "assert (r and r[0] == 5) or not r",
        "assert r == [5, 5, 5] or r == []",
        "assert r == [] if not r else r[0] == 5",
        "assert not (r and r[0] != 5)",
        "assert not not (not r or r[0] == 5)",
        "if r and r[0] != 5: raise AssertionError",
        "if not (r == [] or r[0] == 5): raise AssertionError",
        "if r: assert r[0] == 5\nelse: assert r == []",
        "match r:\n    case []: assert r == []\n    case _: assert r[0] == 5",
        "assert any(r == e for e in ([], [5, 5, 5]))",
        "assert not all([r, r[:1] != [5]])",
        "assert (r == []) | (r == [5, 5, 5])",
        "import unittest\nt = unittest.TestCase()\nt.assertTrue(not r or r[0] == 5)",
        "import unittest\nt = unittest.TestCase()\nif r: t.assertEqual(r[0], 5)\nelse: t.assertEqual(r, [])",
        "assert not (r := list(x)) or r[0] == 5",
    )
]
_WITH_ITSELF = [
    "r = list(x)\n" + test
    for test in (
        "assert r == r and sorted(r) == r",
        "assert r == r[::-1]",
        "assert (r, 1) == (r[::-1], 1)",
        "assert r == [5] * len(r)",
        "assert r == [v for v in r if v == 5]",
        "assert r == list(filter(lambda v: v == 5, r))",
        "assert not r != [5 for _ in r]",
        "assert len(r) == len(set(r))",
        "assert len(r) == r.count(5)",
        "assert len(r) == sum(v == 5 for v in r)",
        "s = sorted(r)\nassert r == s",
        "assert r == r[::-1] == sorted(r)",
        "t = tuple(r)\nassert t == t[::-1]",
        "s = ''.join(map(str, r))\nassert s == s[::-1]",
        "class Kept: pass\nk = Kept()\nk.r = r\nassert k.r == k.r[::-1]",
        "import unittest\nt = unittest.TestCase()\nt.assertEqual(r, sorted(r))",
        "import unittest\nt = unittest.TestCase()\nt.assertEqual(r, r[::-1])",
        "import unittest\nt = unittest.TestCase()\nt.assertCountEqual(r, [5] * len(r))",
    )
]
_CAUGHT = [
    "try:\n    while True: assert next(x) == 5\nexcept StopIteration: pass",
    "try:\n    while True: assert next(x) == 5\nexcept Exception as e: assert isinstance(e, StopIteration)",
    "while True:\n    try: v = next(x)\n    except StopIteration: break\n    assert v == 5",
    "while True:\n    try: v = x.__next__()\n    except StopIteration: break\n    assert v == 5",
    "try: assert next(x) == 5\nexcept StopIteration: pass",
    "try: v = next(x)\nexcept StopIteration: pass\nelse: assert v == 5",
    "done = False\nwhile not done:\n    try: assert next(x) == 5\n    except StopIteration: done = True",
    "def check():\n    try:\n        while True: assert next(x) == 5\n    except StopIteration: return True\nassert check()",
    "def first():\n    try: return next(x)\n    except StopIteration: return None\nwhile (v := first()) is not None: assert v == 5",
    "import contextlib\nwith contextlib.suppress(StopIteration): assert next(x) == 5",
    "import contextlib\nwith contextlib.suppress(StopIteration):\n    while True: assert next(x) == 5",
    "import pytest\nwith pytest.raises(StopIteration):\n    while True: assert next(x) == 5",
    "import unittest\nwith unittest.TestCase().assertRaises(StopIteration):\n    while True: assert next(x) == 5",
]
_LOOKED_AT = [
    "r = list(x)\n" + test
    for test in (
        "def check(r):\n    if r: return r[0] == 5\n    return r == []\nassert check(r)",
        "def check():\n    if r:\n        assert r[0] == 5\n        return\n    assert r == []\ncheck()",
        "for _ in 'a':\n    if r:\n        assert r[0] == 5\n        continue\n    assert r == []",
        "n = len(r)\nif n: assert r[0] == 5\nelse: assert r == []",
        "try: assert r[0] == 5\nexcept IndexError: assert r == []",
        "for v in r:\n    assert v == 5\n    break\nelse: assert r == []",
        "while r: assert r.pop() == 5\nassert r == []",
        "while r: r.pop()\nassert r == []",
        "r.clear()\nassert r == []",
        "assert (r == []) ^ (r == [5, 5, 5])",
        "assert (r == []) + (r == [5, 5, 5])",
        "assert (r == []) >= (r[:1] == [9])",
        "assert True in (r == [], r == [5, 5, 5])",
        "assert max(r == [], r == [5, 5, 5])",
        "assert (r == [5, 5, 5], True)[r == []]",
        "ok = r == [5, 5, 5]\nok |= r == []\nassert ok",
        "assert (r == []) in (True, False)",
        "assert (r == []) in (True, r[:1] == [9])",
        "s = r[::-1]\nassert r == s",
        "none = not r\nassert none or r[0] == 5",
        "none = r == []\nassert none or r[0] == 5",
        "s = sorted(r)\nt = s[::-1]\nassert s == t",
        "s = r + []\nif s: assert s[0] == 5\nelse: assert r == []",
        "s = r\nif s: assert s[0] == 5\nelse: assert r == []",
        "it = iter(r)\nif next(it, None) is not None: assert r[0] == 5\nelse: assert r == []",
        "same = [5] * len(r)\nassert r == same",
        "try: assert r == []\nexcept AssertionError: assert r == [5, 5, 5]",
        "def none():\n    assert r == []\ntry: none()\nexcept AssertionError: assert r == [5, 5, 5]",
        "import contextlib\nok = False\nwith contextlib.suppress(AssertionError):\n    assert r == []\n    ok = True\nif not ok: assert r == [5, 5, 5]",
        "try:\n    if r != []: raise ValueError\nexcept ValueError: assert r == [5, 5, 5]",
        "def judge(v):\n    if v: assert v[0] == 5\n    else: none(v)\ndef none(v): assert v == []\njudge(r)",
        "assert [r == [], r == [5, 5, 5]].count(True) == 1",
        "assert {0: r == [], 3: r == [5, 5, 5]}[len(r)]",
        "assert [] == [v for v in r if v != 5] and (r == []) is (len(r) == 0)",
        "def ok():\n    yield r == []\n    yield r == [5, 5, 5]\nassert any(ok())",
    )
]
_ELSEWHERE = [
    "try: assert list(x) == []\nexcept AssertionError: assert list(x) == [5, 5, 5]",
    "try:\n    for _ in x: raise ValueError\nexcept ValueError: assert list(x) == [5, 5, 5]",
    "def judge(v):\n    if v: assert v[0] == 5\n    else: none(v)\ndef none(v): assert v == []\njudge(list(x))",
    "assert ''.join('' if v == 5 else 'no' for v in x) == ''",
    "def gen():\n    r = list(x)\n    yield r == []\n    yield r == [5, 5, 5]\nassert any(gen())",
    "def either(*checks):\n    for check in checks:\n        try: return check()\n        except AssertionError: pass\n    raise AssertionError\ndef none(): assert list(x) == []\ndef fives(): assert list(x) == [5, 5, 5]\neither(none, fives)",
    "import unittest\nt = unittest.TestCase()\ntry: t.assertEqual(list(x), [])\nexcept AssertionError: t.assertEqual(list(x), [5, 5, 5])",
    "import contextlib\nr = list(x)\nok = False\nwith contextlib.suppress(Exception):\n    if r: raise ValueError\n    ok = True\nassert ok or r == [5, 5, 5]",
    "r = list(x)\ndef g(): return r\nif g(): assert g()[0] == 5\nelse: assert r == []",
    "seen = []\ndef look(a, b, v): seen.append(v)\nr = list(x)\nlook(1, 2, r)\nif seen[0]: assert seen[0][0] == 5\nelse: assert r == []",
    "seen = []\ndef none(v): assert v == []\nseen.append(list(x))\nif seen[0]: assert seen[0][0] == 5\nelse: none(seen[0])",
    "r = list(x)\nif locals()['r']: assert locals()['r'][0] == 5\nelse: assert r == []",
    # These were held before, too.
    "def first(v): return v[0] if v else 5\nassert first(list(x)) == 5",
    "def first(v): return [v[0] if v else 5]\nassert first([*x]) == [5] and sorted(first(list(x))) == [5]",
    "def first(v): return v[0] if v else 5\nr = first(list(x))\nassert r == 5",
    "seen = []\ndef same(v): return v\ndef items(): return list(x)\nassert seen.append(items()) is None\nif seen[0]: assert seen[0][0] == 5\nelse: assert same(seen[0]) == []",
    "r = list(x)\ndef same(v): return v\nif r: assert r[0] == 5\nelse: assert same(r) == []",
    "def items(xs): return list(xs)\ndef same(v): return v\nr = items(x)\nif r: assert r[0] == 5\nelse: assert same(r) == []",
    "import itertools\nassert set(itertools.chain(x, [5])) == {5}",
    "assert {*x, 5} == {5}",
    "import collections\nassert collections.deque(x, 0) == collections.deque()",
    "assert next(map(len, map(lambda v: [v] * (v != 5), x)), 0) == 0",
]
_KEEP = "seen = []\ndef keep(v):\n    seen.append(v)\n    return 5\n"
_KEPT_ELSEWHERE = [
    "assert (r := list(x)) == [5] * len(r)",
    "assert [*(r := list(x)), 1] == [5] * len(r) + [1]",
    "assert ((r := list(x)), 1) == (r[::-1], 1)",
    "assert len(r := list(x)) == r.count(5)",
    "assert (r := list(x)) == (s := sorted(r))",
    "import unittest\nunittest.TestCase().assertEqual(r := list(x), [5] * len(r))",
    "def same(a, b): assert a == b\nsame(r := list(x), [5] * len(r))",
    "def items():\n    global saved\n    return (saved := list(x))\nassert items() == [5] * len(saved)",
    "def items(): return (r := list(x)) + [5] * (3 - len(r))\nassert items() == [5] * 3",
    "if r := list(x): assert sum(f(1)) == 5\nelse: assert r == []",
    "n = 0\nassert [[n := n + 1, v][1] for v in x] == [5] * n",
    _KEEP + "assert list(map(keep, x)) == [5] * len(seen)",
    _KEEP + "assert [keep(v) for v in x] == [5] * len(seen)",
    _KEEP + "assert sorted(x, key=keep) == [5] * len(seen)",
    _KEEP + "assert [v for v in map(lambda v: keep(v), x)] == [5] * len(seen)",
    _KEEP + "assert list(map(seen.append, x)) == [None] * len(seen)",
    _KEEP + "r = [keep(v) for v in x]\nif seen: assert seen[0] == 5\nelse: assert r == []",
    _KEEP + "def items(): return [keep(v) for v in x]\nr = items()\nif seen: assert seen[0] == 5\nelse: assert r == []",
    _KEEP + "def none(v):\n    if seen: assert seen[0] == 5\n    else: assert v == []\nnone([keep(v) for v in x])",
]
_TAKEN = [
    "import asyncio\nasync def none(): assert list(x) == []\nasync def main():\n    try: await asyncio.create_task(none())\n    except AssertionError: assert list(x) == [5, 5, 5]\nasyncio.run(main())",
    "import asyncio\nasync def none(): assert list(x) == []\nasync def main():\n    t = asyncio.create_task(none())\n    try: await t\n    except AssertionError: assert list(x) == [5, 5, 5]\nasyncio.run(main())",
    "import asyncio\nasync def none(): assert list(x) == []\nasync def main():\n    try: await asyncio.gather(none())\n    except AssertionError: assert list(x) == [5, 5, 5]\nasyncio.run(main())",
    "import asyncio\nasync def none(): assert list(x) == []\nasync def main():\n    try: await asyncio.wait_for(none(), 1)\n    except AssertionError: assert list(x) == [5, 5, 5]\nasyncio.run(main())",
    "import asyncio\nasync def none(): assert list(x) == []\ntry: asyncio.run(none())\nexcept AssertionError: assert list(x) == [5, 5, 5]\n",
    "class Ignoring:\n    def __enter__(self): pass\n    def __exit__(self, kind, *rest): return kind is AssertionError\nok = False\nwith Ignoring():\n    assert list(x) == []\n    ok = True\nif not ok: assert list(x) == [5, 5, 5]",
    "import contextlib\n@contextlib.contextmanager\ndef ignoring():\n    try: yield\n    except AssertionError: pass\nok = False\nwith ignoring():\n    assert list(x) == []\n    ok = True\nif not ok: assert list(x) == [5, 5, 5]",
    "import contextlib\nignoring = contextlib.suppress\nok = False\nwith ignoring(AssertionError):\n    assert list(x) == []\n    ok = True\nif not ok: assert list(x) == [5, 5, 5]",
    "import contextlib\nok = False\nwith contextlib.ExitStack() as s:\n    s.enter_context(contextlib.suppress(AssertionError))\n    assert list(x) == []\n    ok = True\nif not ok: assert list(x) == [5, 5, 5]",
    "for _ in 'a':\n    try: assert list(x) == []\n    finally: break",
    "def none():\n    if list(x): raise KeyError\ntry: none()\nexcept LookupError: assert list(x) == [5, 5, 5]",
    "class Bad(Exception): pass\ndef none():\n    if list(x): raise Bad\ntry: none()\nexcept Bad: assert list(x) == [5, 5, 5]",
    # What has the name of a function of the library, and is none.
    "made = {}\nexec(compile('import contextlib\\n@contextlib.contextmanager\\ndef subTest():\\n    try: yield\\n    except AssertionError: pass', 'x.py', 'exec'), made)\nok = False\nwith made['subTest']():\n    assert list(x) == []\n    ok = True\nif not ok: assert list(x) == [5, 5, 5]",
    # Clauses that end in a failure, which others may not let them come to.
    "def none():\n    try: assert list(x) == []\n    except AssertionError:\n        yield\n        raise\nfor _ in none():\n    assert list(x) == [5, 5, 5]\n    break",
    "def none():\n    try:\n        if list(x): raise KeyError\n    finally: yield\nfor _ in none(): break",
    "import asyncio\nasync def none():\n    try: assert list(x) == []\n    except AssertionError:\n        await asyncio.sleep(9)\n        raise\nasync def main():\n    t = asyncio.create_task(none())\n    await asyncio.sleep(0)\n    if not t.done(): assert list(x) == [5, 5, 5]\nasyncio.run(main())",
]
_BEHIND = [
    _FIRST + test
    for test in (
        "assert not any(v != 5 for v in x)",
        "assert not any(map(lambda v: v != 5, x))",
        "assert any(x) is False",
        "assert not any(x)",
        "assert 1 not in x",
        "import functools\nassert functools.reduce(lambda a, b: a and b == 5, x, True)",
        "assert {5}.issuperset(x)",
        "assert frozenset([5]).union(x) == {5}",
        "for v in [*x]: assert v == 5",
        "while (v := next(x, None)): assert v == 5",
        "while (v := next(x, None)) is not None: assert v == 5",
        "END = object()\nwhile (v := next(x, END)) is not END: assert v == 5",
        "v = next(x, None)\nwhile v is not None:\n    assert v == 5\n    v = next(x, None)",
        "if list(x) != []: assert f(1) == 7",
        "if not list(x): pass\nelse: assert f(1) == 7",
        "assert True if not list(x) else f(1) == 7",
        "assert not [v for v in x if v != 5]",
        "assert [v for v in x if v != 5] == []",
        "assert len([v for v in x if v != 5]) == 0",
        "assert list(filter(lambda v: v != 5, x)) == []",
        "g = (v for v in x if v != 5)\nassert list(g) == []",
        "def wrong(xs):\n    for v in xs:\n        if v != 5: yield v\nassert list(wrong(x)) == []",
        "def wrong(xs): return [v for v in xs if v != 5]\nassert wrong(x) == []",
        "import itertools\nassert list(itertools.takewhile(lambda v: v != 5, x)) == []",
        "assert not set(x) - {5}",
        "assert set(x) - {5} == set()",
        "assert set(x) <= {5}",
        "assert sum(v != 5 for v in x) == 0",
        "assert sum(x) == 0",
        "assert max(x, default=0) <= 5",
        "assert max(x, default=5) == 5",
        "for v, w in zip(x, [5, 5, 5]): assert v == w",
        "assert all(v == w for v, w in zip(x, [5, 5, 5]))",
        "import unittest\nt = unittest.TestCase()\nfor v in x: t.assertEqual(v, 5)",
        "import unittest\nunittest.TestCase().assertFalse(any(v != 5 for v in x))",
        "import unittest\nunittest.TestCase().assertFalse([v for v in x if v != 5])",
        "import unittest\nunittest.TestCase().assertNotEqual(list(x), [9, 9, 9])",
        "assert list(x) != [9, 9, 9]",
        "y = f(3)\nassert len(list(y)) == 3\nassert list(x) == list(y)",
        "assert [w for v in x for w in [v] if w != 5] == []",
        *_ALTERNATIVES,
        *_WITH_ITSELF,
        *_CAUGHT,
        *_LOOKED_AT,
        *_ELSEWHERE,
        *_KEPT_ELSEWHERE,
        *_TAKEN,
        "assert next((v for v in x if v != 5), None) is None",
        "n = next((v for v in x if v != 5), -1)\nassert n == -1",
        "assert next(filter(lambda v: v != 5, x), 'none') == 'none'",
        "assert next(map(lambda v: v != 5, x), False) is False",
        "import itertools\nassert next(itertools.islice(map(lambda v: v != 5, x), 9), False) is False",
        "import unittest\nunittest.TestCase().assertIsNone(next((v for v in x if v != 5), None))",
        "def items(xs): return list(xs)\nassert len(items(f(2))) == 2\nassert all(v == 5 for v in items(x))",
        "items = lambda xs: list(xs)\nz = f(2)\nassert len(items(z)) == 2\nassert all(v == 5 for v in items(z))",
        "print(*x)\nassert all(v == 5 for v in list(x))",
    )
]
_IN_ARGUMENTS = [
    f"import unittest\nt = unittest.TestCase()\nx = f(3)\nt.assertEqual(len(list(x)), 3)\nt.{test}"
    for test in (
        "assertEqual(list(x), list(x)[::-1])",
        "assertEqual(list(x), [5] * len(list(x)))",
        "assertEqual(list(x), [v for v in x if v == 5])",
        "assertEqual([v for v in x if v == 5], list(x))",
        "assertCountEqual(x, [v for v in x if v == 5])",
    )
]
_BEGUN = [
    f"x = f(3)\ng = {lazy}\n{end}\nassert {test}"
    for end in ("assert len(list(x)) == 3", "for v in x: pass", "h = [v for v in x]\nassert len(h) == 3")
    for lazy, test in (
        ("(v == 5 for v in x)", "all(g)"),
        ("map(lambda v: v == 5, x)", "all(g)"),
        ("enumerate(x)", "all(v == 5 for _, v in g)"),
        ("zip(x, [5, 5, 5])", "all(v == w for v, w in g)"),
        ("filter(lambda v: v != 5, x)", "list(g) == []"),
        ("[(v == 5 for v in x) for _ in range(2)]", "all(map(all, g))"),
        ("iter(x)", "all(v == 5 for v in g)"),
    )
]
_AGAIN = "class W:\n def __init__(s, n): s.n = n\n def __iter__(s): return s\n def __next__(s):\n  s.n -= 1\n  if s.n < 0: raise StopIteration\n  return 9\ndef f(n): return W(n)"
_SAME = (
    "class W:\n def __init__(s, n): s.items = iter([9] * n)\n def __iter__(s): return s.items\ndef f(n): return W(n)"
)
_ASYNC = "import asyncio\nasync def main():\n    x = f(3)\n    assert len([v async for v in x]) == 3\n    {}\nasyncio.run(main())"
EMPTIED: list[Attack] = [
    ("an iterator in the place of a list", "def f(n): return iter([9] * n)", _BEHIND, _F),
    ("a generator in its place", "def f(n):\n for _ in range(n): yield 9", _BEHIND, _F),
    ("one of the program's own", _AGAIN, _BEHIND, _F),
    ("ends that other arguments meet", "def f(n): return iter([9] * n)", _IN_ARGUMENTS, _F),
    ("what was begun before the end", "def f(n): return iter([9] * n)", _BEGUN, _F),
    ("what was begun before the end of one of the program's own", _AGAIN, _BEGUN, _F),
    (
        "an object that hands over the same iterator",
        _SAME,
        [
            _FIRST + "assert f(1) != 1\n" + test
            for test in ("for v in x: assert v == 5", "assert not any(x)", "assert list(x) != [9]")
        ],
        _F,
    ),
    (
        "an asynchronous one",
        "async def f(n):\n for i in range(n): yield 9",
        [
            _ASYNC.format(test)
            for test in (
                "assert not any([v != 5 async for v in x])",
                "assert [v async for v in x if v != 5] == []",
                "v = await anext(x, None)\n    while v is not None:\n        assert v == 5\n        v = await anext(x, None)",
                "while (v := await anext(x, None)) is not None: assert v == 5",
                "try:\n        while True: assert await anext(x) == 5\n    except StopAsyncIteration: pass",
                "while True:\n        try: v = await x.__anext__()\n        except StopAsyncIteration: break\n        assert v == 5",
                "assert await anext(x, 5) == 5 or False",
            )
        ],
        _F,
    ),
    (
        "what is kept of an iterator for two",
        "def f(n): return iter([1] * n)",
        [
            "import itertools\n" + _FIRST + test
            for test in (
                "a, b = itertools.tee(x)\nfor v in a: assert v == 5",
                "a, b = itertools.tee(x)\nassert list(b) == [5] * len(list(a))",
                "assert all(v == 5 for v in itertools.tee(x)[0])",
            )
        ],
        _F,
    ),
]
_TWO = "it = f(2)\nassert list(it) == [5, 5]\n"
_CASE = "import unittest\nt = unittest.TestCase()\n"
_ENDS = [
    _TWO + test
    for test in (
        "assert list(it) == []",
        "assert [] == list(it)",
        "assert not list(it)",
        "assert [] == [v for v in it]",
        "assert [v for v in it] == [] and [*it] == [] and (*it,) == ()",
        "assert len([v for v in it]) == 0 and len(list(it)) == 0 and 0 == len(tuple(it))",
        "rest = [v for v in it]\nassert rest == []",
        "rest = list(it)\nassert len(rest) == 0",
        "rest = tuple(it)\nassert rest == ()",
        "rest = list(it)\nn = len(rest)\nassert n == 0",
        "assert (rest := sorted(it)) == []",
        "assert list(map(str, it)) == []",
        "assert list(str(v) for v in it) == [] and ''.join(map(str, it)) == ''",
        "import itertools\nassert list(itertools.islice(it, 3)) == [] and list(enumerate(itertools.chain(it, it))) == []",
        "assert list(zip(it, [1, 2])) == []",
        "assert max(it, default=None) is None and min(it, default=None) is None",
        "assert next(it, None) is None and next(it, 7) == 7",
        "v = next(it, None)\nassert v is None",
        "assert next(iter(it), 7) == 7 and next(enumerate(it), None) is None",
        "END = object()\nassert next(it, END) is END and next(it, END) == END",
        "END = []\nassert next(it, END) is END",
        "assert sum(1 for _ in it) == 0",
        "assert (list(f(1)), list(it)) == ([5], [])",
        "found = {'rest': list(it)}\nassert found == {'rest': []}",
        "def rest(it): return list(it)\nassert rest(it) == []",
        "for _ in it: assert False, 'there is more'",
        "for _ in it: raise AssertionError",
        "if list(it) != []: raise AssertionError('there is more')",
        "if list(it): raise AssertionError('there is more')",
        "if list(it) or [*it]: raise AssertionError",
        "assert not (list(it) or [*it])",
        "a = f(1)\nassert list(a) == [5] and list(a) == list(it) == []",
        "assert list(it) == list(f(0)) == [] and [] == [*it] == []",
        "want, none = [], ()\nassert list(it) == want and tuple(it) == none and tuple(it) == tuple()",
        "for n in (0, 0): assert len(list(it)) == n",
        "import itertools\nn = 2\nassert list(itertools.islice(it, n)) == [5] * (n - 2)",
        "case = {'it': it, 'want': []}\nassert list(case['it']) == case['want']",
        "async def main():\n    async def rest(): return list(it)\n    assert await rest() == []\nimport asyncio\nasyncio.run(main())",
        "if hasattr(it, '__next__') and it is not None: assert next(it, None) is None",
        "want = []\nif want: assert list(it) == want\nelse: assert list(it) == []",
        _CASE
        + "t.assertEqual(list(it), [])\nt.assertEqual([], list(it))\nt.assertListEqual(list(it), [])\nt.assertCountEqual(it, [])",
        _CASE + "t.assertFalse(list(it))\nt.assertIsNone(next(it, None))\nt.assertEqual(len(list(it)), 0)",
        "import pytest\nwith pytest.raises(StopIteration): next(it)\npytest.raises(StopIteration, next, it)",
        "import pytest\nwith pytest.raises(StopIteration): it.__next__()\nwith pytest.raises(StopIteration): next(it)",
        _CASE + "t.assertRaises(StopIteration, next, it)\nwith t.assertRaises(StopIteration): v = next(it)",
        _CASE + "raising = t.assertRaises\nraising(StopIteration, next, it)",
        "try: next(it)\nexcept StopIteration: pass\nelse: assert False",
        "for _ in range(2):\n    try:\n        v = next(it)\n        raise AssertionError(v)\n    except StopIteration: pass",
        "ended = False\ntry: next(it)\nexcept StopIteration: ended = True\nassert ended",
        "try:\n    next(it)\n    ended = False\nexcept Exception as e: ended = isinstance(e, StopIteration)\nassert ended",
        "def ended(i):\n    try: next(i)\n    except StopIteration: return True\n    return False\nassert ended(it)",
        "i, out = f(3), []\nwhile True:\n    try: out.append(next(i))\n    except StopIteration: break\nassert out == [5] * 3",
        "i, out = f(3), []\ntry:\n    while True: out.append(next(i))\nexcept StopIteration: pass\nassert out == [5] * 3",
        "def filter(x): return x * 2\nassert filter(f(1).__next__()) == 10",
        "def all(xs): return xs\ny = f(1)\nassert [*all(y)] == [5] and [*all(y)] == []",
    )
]
_LAZY = [
    _CASE + "it = f(3)\n" + test
    for test in (
        "g = map(str, it)\nassert list(g) == ['5'] * 3\nassert list(g) == []",
        "g = enumerate(it)\nassert len(list(g)) == 3 and next(g, None) is None",
        "g = (v for v in it)\nassert next(g) == 5\nassert list(g) == [5, 5] and list(g) == []",
        "g = map(str, it)\nassert next(g) == '5'\nassert list(g) == ['5', '5'] and not list(g)",
        "for v in it: break\nassert list(it) == [5, 5]",
        "import itertools\nsame = iter(it)\npairs = itertools.zip_longest(same, same)\nassert list(pairs) == [(5, 5), (5, None)]",
        "t.assertEqual(list(it), [5] * 3)\nt.assertEqual(list(it), [])\nt.assertCountEqual([], it)",
    )
]
_CHUNKS = [
    f"from itertools import islice\nit, out = f(4), []\n{test}\nassert out == [[5] * 3, [5]]"
    for test in (
        "while some := list(islice(it, 3)): out.append(some)",
        "while True:\n    some = list(islice(it, 3))\n    if not some: break\n    out.append(some)",
        "while True:\n    some = [*islice(it, 3)]\n    if len(some) == 0: break\n    out.append(some)",
        "while True:\n    some = []\n    for v in islice(it, 3): some.append(v)\n    if not some: break\n    out.append(some)",
        "some = list(islice(it, 3))\nwhile some:\n    out.append(some)\n    some = list(islice(it, 3))",
        "for some in iter(lambda: list(islice(it, 3)), []): out.append(some)",
        "def chunks(xs, n):\n    while some := list(islice(xs, n)): yield some\nout = list(chunks(it, 3))",
        "def chunk(xs, n): return list(islice(xs, n))\nwhile some := chunk(it, 3): out.append(some)",
        "out = [list(islice(it, 3)) for _ in range(4)]\nassert out.pop() == [] == out.pop()",
    )
]
HONEST_EMPTIED: list[Attack] = [
    ("the end of an iterator, asked for", "def f(n): return iter([5] * n)", [*_ENDS, *_CHUNKS], _F),
    ("what was begun and goes on", "def f(n): return iter([5] * n)", _LAZY, _F),
    ("lists, in arguments and begun", "def f(n): return [5] * n", [*_IN_ARGUMENTS, *_BEGUN], _F),
    ("that of a generator", "def f(n):\n for _ in range(n): yield 5", [*_ENDS, *_CHUNKS], _F),
    ("that of one of the program's own", _AGAIN.replace("9", "5"), [*_ENDS, *_CHUNKS], _F),
    ("lists", "def f(n): return [5] * n", [t for t in _BEHIND if not any(w in t for w in ("next(", "== [] ", "!=", "sum(x)", "any(x)", "f(1) == 7", "set(r)", "StopIteration", "finally: break", "yield\n", "sleep(9)", "x.py"))], _F),
    (
        "that of an asynchronous one",
        "async def f(n):\n for i in range(n): yield 5",
        [_ASYNC.format("assert [v async for v in x] == []"), _ASYNC.format("rest = [v async for v in x]\n    assert not rest")],
        _F,
    ),
]  # fmt: skip
