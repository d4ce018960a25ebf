"""Failures that something of Python or of its library takes, and that no clause of the test does."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_AREA: dict[str, Any] = {"entry_point": "area"}
_KEPT = "kept = []\ntry:\n    area(1)\nexcept StopIteration as error:\n    kept.append(error)\n"
_CASE = (
    "import unittest, io\nclass T(unittest.TestCase):\n    def test_a(self):\n        self.assertEqual(area(1), 5)\n"
)
_FALSE = "def check(i=1):\n    assert area(i) == 5\n"
_POOL = f"from concurrent.futures import ThreadPoolExecutor\n{_FALSE}with ThreadPoolExecutor(2) as pool:\n    "
_MAPS = (
    "import asyncio, pytest\nfrom concurrent.futures import ThreadPoolExecutor\nfrom multiprocessing.pool import ThreadPool\n"
    "def check(x): assert area(x) == 5\nasync def one(x): check(x)\nasync def both(*xs): await asyncio.gather(*map(one, xs))\n"
)
_STRICT = (
    "import warnings, contextlib, asyncio, io, sys\nwarnings.simplefilter('error')\nwith warnings.catch_warnings():\n"
)
_EACH = "    for got, want in zip(map(area, [1, 2]), [5, 6]):\n        assert got == want"
_WARNS = "import warnings, asyncio\nclass W(UserWarning, {}): pass\ndef area(r):\n    warnings.showwarning(W('x'), W, '', 1)\n    return 9"
_ENDS = "class S(io.StringIO):\n    def write(s, t): raise {}\n"
_TASK = "    async def one(): assert area(1) == 5\n    async def main():\n        asyncio.ensure_future(one())\n        await asyncio.sleep(0.01)\n    asyncio.run(main())"
SWALLOWED: list[Attack] = [
    (
        "a warning that is the end of an iterator",
        _WARNS.format("StopIteration"),
        [
            _STRICT + _EACH,
            _STRICT + "    assert all(map(lambda x: area(x) == 5, [1]))",
            _STRICT + "    def g(): yield\n    assert list(map(area, [1])) == []",
            _STRICT + "    with contextlib.suppress(ValueError): assert area(1) == 5",
        ],
        _AREA,
    ),
    (
        "a warning that is the end of a task",
        _WARNS.format("asyncio.CancelledError"),
        [_STRICT + _EACH, _STRICT + _TASK],
        _AREA,
    ),
    (
        "a warning that an object gives where it has no more items",
        "import warnings\nclass W(UserWarning, StopIteration): pass\nclass It:\n def __iter__(s): return s\n def __next__(s): warnings.showwarning(W('x'), W, '', 1); return 9\ndef area(r): return It()",
        [_STRICT + "    for x in area(1): assert x == 5"],
        _AREA,
    ),
    (
        "what a stream of the tests raises, or who shows warnings",
        "import warnings\ndef area(r):\n    print('x')\n    warnings.warn('x')\n    return 9",
        [
            "import io, sys\n" + _ENDS.format("StopIteration") + "sys.stdout = S()\nif True:\n" + _EACH,
            "import io, sys, asyncio\n"
            + _ENDS.format("asyncio.CancelledError")
            + "sys.stdout = S()\nif True:\n"
            + _TASK,
            "import warnings\ndef show(*a, **k): raise StopIteration\nwith warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.showwarning = show\n"
            + _EACH,
            "import warnings, threading\ndef show(*a, **k): assert False\nwith warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.showwarning = show\n    t = threading.Thread(target=area, args=(1,))\n    t.start()\n    t.join()",
        ],
        _AREA,
    ),
    (
        "a result that is too deep to come over, where an exception is wanted",
        "def area(r):\n    for _ in range(1000): r = [r]\n    return r",
        [
            "import pytest\nwith pytest.raises(ValueError): area(1)",
            "import pytest\nwith pytest.raises(Exception): area(1)",
            "try:\n    area(1)\n    assert False\nexcept ValueError: pass",
            "import unittest\nunittest.TestCase().assertRaises(ValueError, area, 1)",
        ],
        _AREA,
    ),
    (
        "an exception that is kept and raised later",
        "def area(r): raise StopIteration",
        [
            _KEPT + "def again(x):\n    raise kept[0]\nassert list(map(again, [1])) == []",
            _KEPT + "def again(x):\n    raise kept[0] from None\nassert all(map(again, [1]))",
            _KEPT
            + "class Q:\n    def __iter__(s): return s\n    def __next__(s): raise kept[0]\nfor x in Q(): assert x == 5",
            _KEPT + "def g(): yield\nit = g()\nnext(it)\nassert list(map(lambda x: it.throw(kept[0]), [1])) == []",
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n"
            "    one = pool.submit(area, 1)\ntry:\n    one.result()\nexcept Exception: pass\n"
            "for same in map(lambda f: f.result() == 5, [one]): assert same",
        ],
        _AREA,
    ),
    (
        "no length and an end in one exception",
        "class End(TypeError, StopIteration): pass\nclass Area:\n def __len__(s): raise End\n def size(s): return 1",
        ["a = Area()\nassert a.size() == 1 and all(n == 5 for n in list(map(len, [a])))"],
        {"entry_point": "Area"},
    ),
    (
        "a case that fails, and nobody looks",
        "def area(r): return 1",
        [
            _CASE + "cases = unittest.defaultTestLoader.loadTestsFromTestCase(T)\n"
            "unittest.TextTestRunner(stream=io.StringIO()).run(cases)",
            _CASE + "T('test_a').run()",
            _CASE.replace("self.assert", "with self.subTest(): self.assert") + "T('test_a').run()",
        ],
        _AREA,
    ),
    (
        "an assertion in a thread, a task or a finalizer",
        "def area(r): return 1",
        [
            f"import threading\n{_FALSE}t = threading.Thread(target=check)\nt.start()\nt.join()",
            _POOL + "pool.map(check, [1, 2])",
            _POOL + "pool.submit(check)",
            "import asyncio\nasync def check():\n    assert area(1) == 5\nasync def main():\n"
            "    await asyncio.gather(check(), return_exceptions=True)\nasyncio.run(main())",
            "class D:\n    def __del__(self):\n        assert area(1) == 5\nd = D()\ndel d",
        ],
        _AREA,
    ),
    (
        "the end of what is empty",
        "def area(r): return []",
        [
            "assert all(map(lambda x: next(iter(area(x))) == 5, [1, 2]))",
            "def first(x):\n    return next(iter(area(x)))\nassert list(map(first, [1])) == []",
        ],
        _AREA,
    ),
    (
        "cases that unittest.main() finds",
        "def area(r): return 1",
        [
            _CASE + "unittest.main(exit=False)\nx = area(1)",
            _CASE + "unittest.main(argv=['x'], exit=False, verbosity=0)\nx = area(1)",
            _CASE + "try:\n    unittest.main()\nexcept SystemExit: pass\nx = area(1)",
            _CASE + "unittest.main()",
            _CASE + "unittest.main(module='__main__', exit=False)\nassert area(1) == 1",
            _CASE.replace("test_a", "check_a") + "unittest.main(exit=False)\nx = area(1)",
            "import unittest\nunittest.main(exit=False)\nx = area(1)",
        ],
        _AREA,
    ),
    (
        "an assertion of a case's method, where nothing looks",
        "def area(r): return 1",
        [
            "import unittest\nt = unittest.TestCase()\n" + _POOL + "pool.submit(lambda: t.assertEqual(area(1), 5))",
            "import unittest\nt = unittest.TestCase()\n" + _POOL + "pool.submit(t.assertEqual, area(1), 5)",
            "import unittest, threading\nt = unittest.TestCase()\nw = threading.Thread(target=lambda: t.assertIn(area(1), [5]))\nw.start()\nw.join()",
            "import asyncio, unittest\nt = unittest.TestCase()\nasync def check():\n    t.assertEqual(area(1), 5)\nasync def main():\n"
            "    await asyncio.gather(check(), return_exceptions=True)\nasyncio.run(main())",
            "import pytest\n" + _POOL + "pool.submit(lambda: pytest.fail('no') if area(1) != 5 else None)",
            "import unittest, weakref\nt = unittest.TestCase()\nclass X: pass\nx = X()\nweakref.finalize(x, lambda: t.assertEqual(area(1), 5))\ndel x",
        ],
        _AREA,
    ),
    (
        "items of what is empty",
        "def area(r): return []",
        [
            "class Q:\n    def __getitem__(s, i): return area(1)[i]\nassert all(v == 5 for v in Q())",
            "class Q:\n    def __getitem__(s, i): return area(i)[0]\nfor v in Q(): assert v == 5",
            "class Q:\n    def __getitem__(s, i):\n        x = area(i)\n        return x[0] + 1\nassert [*Q()] == []",
            "class Q:\n    def __getitem__(s, i):\n        try:\n            return area(i)[0]\n        finally:\n            pass\nassert list(Q()) == []",
            "class Q:\n    def __getitem__(s, i): return next(iter(area(i)))\nassert list(Q()) == []",
            "assert list(map(next, map(iter, map(area, [1, 2])))) == []",
            "n = next\nassert list(map(lambda x: n(iter(area(x))), [1])) == []",
            "assert all(map(lambda x: iter(area(x)).__next__() == 5, [1, 2]))",
        ],
        _AREA,
    ),
    (
        "what a future keeps, asked for by another name",
        "def area(r): raise StopIteration",
        [
            f"from concurrent.futures import Future, ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n    fs = [pool.submit(area, 1)]\n"
            f"try:\n    fs[0].result()\nexcept StopIteration: pass\n{last}"
            for last in (
                "assert list(map(Future.result, fs)) == []",
                "import operator\nassert list(map(operator.methodcaller('result'), fs)) == []",
                "assert all(map(lambda f: getattr(f, 'result')() == 5, fs))",
                "g = fs[0].result\nassert all(map(lambda _: g() == 5, [1]))",
            )
        ]
        + [_KEPT + "def g(): yield\nit = g()\nnext(it)\nassert list(map(it.throw, kept)) == []"],
        _AREA,
    ),
    (
        "beside what several calls raise",
        "def area(x):\n if x == 1: raise ValueError\n if x == 2: raise StopIteration\n return 7\n",
        [
            _MAPS + test
            for test in (
                "with pytest.raises(ValueError):\n    with ThreadPoolExecutor(2) as p: list(p.map(check, [3, 1]))",
                "with ThreadPool(1) as p:\n    with pytest.raises(ValueError): p.map(check, [1, 3])",
                "with pytest.raises(ValueError): asyncio.run(both(1, 3))",
                "with ThreadPoolExecutor(1) as p: p.map(area, [1, 1])",
                "with ThreadPoolExecutor(1) as p:\n    p.map(area, [1, 1])\n    with pytest.raises(ValueError): list(p.map(area, [1, 1]))",
                "with ThreadPoolExecutor(1) as p:\n    with pytest.raises(ValueError): list(p.map(area, [1, 1]))\nassert list(map(area, [2])) == []",
                "with ThreadPoolExecutor(1) as p:\n    with pytest.raises(ValueError): list(p.map(area, [3, 3]))",
            )
        ],
        _AREA,
    ),
]
