"""The ways in which people write tests: each passes a right program and fails a wrong one, or is refused with the reason."""

# ruff: noqa: E501

from __future__ import annotations

import importlib.util

import pytest

from grpo_kit.sandbox import TestError
from grpo_kit.sandbox.inside.approx import approx

from .corpus import LIMITS

THIRD = "def f(x):\n if x < 0: raise ValueError('neg')\n return x / 3"
CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        "
ASYNC = "import asyncio\nasync def f(x):\n await asyncio.sleep(0.001)\n if x < 0: raise ValueError\n return x * 2"
POOL = "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(2) as pool:\n    "
READS = "def f():\n n = int(input('n? '))\n return sum(map(int, input().split())) + n"
# name: (a right program, a wrong one, tests)
STYLES = {
    "pytest": (
        THIRD,
        "def f(x): return 0.0",
        [
            "import pytest\nassert f(1) == pytest.approx(0.3333333)",
            "import pytest\ndef test_a():\n    assert [f(1), f(2)] == pytest.approx([0.3333333, 0.6666666], abs=1e-5)\ntest_a()",
            "import pytest\nassert {'a': [f(1)]} == pytest.approx({'a': [0.3333333]})",
            "import pytest\ndef test_a():\n    with pytest.raises(ValueError): f(-1)\ntest_a()",
            "import pytest\nwith pytest.raises(ValueError) as e:\n    f(-1)\nassert 'neg' in str(e.value) and e.type is ValueError",
            "import pytest\nwith pytest.raises((ValueError, KeyError), match=r'ne.'):\n    f(-1)",
            "import pytest\npytest.raises(ValueError, f, -1)",
            "from pytest import approx, raises\nassert f(1) == approx(0.3333333)\nwith raises(ValueError): f(-1)",
            "import pytest\n@pytest.mark.asyncio\ndef test_a():\n    assert f(3) == pytest.approx(1)\ntest_a()",
            "import pytest\ntry:\n    f(-1)\n    pytest.fail('no')\nexcept ValueError: pass",
            "import pytest\nif f(3) != 1: pytest.fail('no')",
        ],
    ),
    "a framework's names, not imported": (
        THIRD,
        "def f(x): return 0.0",
        [
            "with pytest.raises(ValueError, match='neg'):\n    f(-1)",
            "assert f(1) == approx(1 / 3)",
            "with raises(ValueError): f(-1)",
            "raises(ValueError, f, -1)",
            "assertRaises(ValueError, f, -1)",
            "assertAlmostEqual(f(1), 0.33333333)",
            "assert_equal(f(3), 1.0)",
            "class T(TestCase):\n    def test_a(self): self.assertEqual(f(3), 1.0)\nT('test_a').debug()",
        ],
    ),
    "unittest": (
        THIRD,
        "def f(x): return 0.0",
        [
            CASE + "self.assertAlmostEqual(f(1), 0.3333333)\nunittest.main(exit=False)",
            CASE + "self.assertAlmostEqual(f(1), 0.3333333)\nunittest.main()",
            CASE + "for i in (1, 2):\n            with self.subTest(i=i): self.assertAlmostEqual(f(i), i / 3)\nunittest.main(argv=['x'], exit=False)",
            CASE + "with self.assertRaisesRegex(ValueError, 'neg'): f(-1)\nunittest.TextTestRunner().run(unittest.defaultTestLoader.loadTestsFromTestCase(T))",
        ],
    ),
    "the program, imported": (
        "def f(x): return x + 1",
        "def f(x): return x",
        [
            "from solution import f\nassert f(1) == 2",
            "import solution\nassert solution.f(1) == 2",
            "import solution as s\nx = s.f(1)\nassert x == 2",
            "def test_a():\n    import solution\n    assert solution.f(1) == 2\ndef test_b():\n    f = 3\n    assert f == 3\ntest_a(); test_b()",
            "solution_f = 3\nimport solution\nf = solution.f\nassert f(1) == 2 and solution_f == 3",
            "def h():\n    import solution\n    f = solution.f\n    return f(1)\nassert h() == 2",
            "from unittest import mock\nwith mock.patch(target='solution.time.sleep') as s: assert f(1) == 2\ns.assert_not_called()",
            "from unittest.mock import patch\nwith patch('solution.time.sleep') as s: assert f(1) == 2\ns.assert_not_called()",
            "import solution\ndef test(x, f):\n    assert solution.f(x) == f\ntest(1, 2)",
            "import solution as s\nf = s.f(1)\nassert f == 2\nassert s.f(2) == 3",
            "from solution import f as g\nx = g(1)\nassert x == 2",
            "from solution import *\nassert f(1) == 2",
            "from your_module import f\nassert f(1) == 2",
            "from geometry import f\nassert f(1) == 2",
            "def test():\n    from .solution import f\n    assert f(1) == 2\ntest()",
            CASE.replace("import unittest\n", "import unittest\nfrom solution import f\n") + "self.assertEqual(f(1), 2)\nunittest.main()",
            "try:\n    import numpy\nexcept ImportError:\n    numpy = None\nassert f(1) == 2",
        ],
    ),
    "generators": (
        "def f(n):\n for i in range(n): yield i",
        "def f(n): return 7",
        [
            "import types\nassert isinstance(f(3), types.GeneratorType)",
            "import types\nassert type(f(1)) is types.GeneratorType and type(f(1)) == types.GeneratorType",
            "import inspect\nassert inspect.isgenerator(f(3)) and inspect.isgeneratorfunction(f)",
            "from collections.abc import Iterator, Generator\nassert isinstance(f(2), (Iterator, Generator)) and list(f(2)) == [0, 1]",
        ],
    ),
    "functions": (
        "def f(a, b=5): return lambda x: x + a",
        "def f(a): return 7",
        [
            "import inspect\nassert list(inspect.signature(f).parameters) == ['a', 'b']",
            "import inspect\ns = inspect.signature(f)\nassert s.parameters['b'].default == 5",
            "assert f.__code__.co_argcount == 2 and f.__defaults__ == (5,)",
            "import types\nassert isinstance(f(1), types.FunctionType) and f(1)(2) == 3",
        ],
    ),
    "coroutines": (
        ASYNC,
        "async def f(x): return 0",
        [
            "import asyncio\nasync def main(): return await asyncio.gather(*[f(i) for i in range(3)])\nassert asyncio.run(main()) == [0, 2, 4]",
            "import asyncio\nasync def main():\n    r = await asyncio.gather(f(-1), f(1), return_exceptions=True)\n"
            "    assert isinstance(r[0], ValueError) and r[1] == 2\nasyncio.run(main())",
            "import asyncio, inspect\nc = f(1)\nassert inspect.iscoroutine(c) and inspect.iscoroutinefunction(f)\nassert asyncio.run(c) == 2",
            "import unittest\nclass T(unittest.IsolatedAsyncioTestCase):\n    async def test_a(self): self.assertEqual(await f(2), 4)\nunittest.main()",
        ],
    ),
    "asynchronous generators": (
        "import asyncio\nasync def f(n):\n for i in range(n):\n  await asyncio.sleep(0)\n  yield i",
        "async def f(n):\n yield 7",
        [
            "import asyncio\nasync def main(): return [x async for x in f(3)]\nassert asyncio.run(main()) == [0, 1, 2]",
            "import asyncio\nasync def main():\n    out = []\n    async for x in f(2): out.append(x)\n    return out\nassert asyncio.run(main()) == [0, 1]",
            "import asyncio\nasync def main():\n    it = aiter(f(2))\n    return [await anext(it), await it.__anext__()]\nassert asyncio.run(main()) == [0, 1]",
        ],
    ),
    "asynchronous contexts": (
        "class C:\n async def __aenter__(s): s.on = True; return s\n async def __aexit__(s, t, v, tb): s.on = False; s.kind = t and t.__name__; return True\n def state(s): return s.on",
        "class C:\n async def __aenter__(s): s.on = s.kind = None; return s\n async def __aexit__(s, *a): pass\n def state(s): return s.on",
        [
            "import asyncio\nasync def main():\n    c = C()\n    async with c as d:\n        assert d.state() is True\n    assert c.state() is False\nasyncio.run(main())",
            "import asyncio\nasync def main():\n    c = C()\n    async with c:\n        raise ValueError('x')\n    assert c.kind == 'ValueError'\nasyncio.run(main())",
        ],
    ),
    "contexts": (
        "class Quiet:\n def __init__(s, *kinds): s.kinds, s.seen = kinds, None\n def __enter__(s): return s\n"
        " def __exit__(s, t, v, tb):\n  s.seen = t and (t.__name__, str(v))\n  return t is not None and issubclass(t, s.kinds)",
        "class Quiet:\n def __init__(s, *kinds): s.seen = None\n def __enter__(s): return s\n def __exit__(s, *a): return False",
        [
            "with Quiet(ValueError):\n    raise ValueError('x')",
            "q = Quiet(ValueError)\nwith q:\n    raise ValueError('x')\nassert q.seen == ('ValueError', 'x')",
            "q = Quiet()\ntry:\n    with q:\n        raise KeyError\nexcept KeyError: pass\nassert q.seen[0] == 'KeyError'",
        ],
    ),
    "operators of an object": (
        "class V:\n def __init__(s, x): s.x = x\n def __iadd__(s, o): s.x += o; return s\n def __format__(s, how): return format(s.x, how)\n"
        " def __index__(s): return s.x\n def __reversed__(s): return iter([s.x, 1])\n def size(s): return s.x",
        "class V:\n def __init__(s, x): s.x = x\n def __iadd__(s, o): return s\n def __format__(s, how): return 'q'\n"
        " def __index__(s): return 0\n def __reversed__(s): return iter([])\n def size(s): return 0",
        [
            "v = V(1)\nw = v\nv += 2\nassert v.x == 3 and v is w or v.x == 3",
            "v = V(2)\nassert v.size() == 2 and f'{v:.2f}' == '2.00'",
            "v = V(2)\nv.size()\nassert [5, 6, 7][v] == 7",
            "v = V(2)\nv.size()\nassert list(reversed(v)) == [2, 1]",
        ],
    ),
    "a class's own functions": (
        "class Calc:\n @staticmethod\n def add(a, b): return a + b\n @classmethod\n def copy(c): return c.add(1, 1)",
        "class Calc:\n @staticmethod\n def add(a, b): return 0\n @classmethod\n def copy(c): return 0",
        ["assert Calc.add(1, 2) == 3", "x = Calc.add(1, 2)\nassert x == 3", "c = Calc()\nassert c.add(1, 2) == 3", "assert Calc.copy() == 2"],
    ),
    "what an object can do": (
        "from enum import Enum\nclass Color(Enum):\n RED = 1\nclass C:\n def __call__(s, x): return x\n def __iter__(s): return iter([1])",
        "class Color:\n RED = 1\nclass C:\n def one(s): return 1",
        [
            "from enum import Enum\nassert isinstance(Color.RED, Enum) and issubclass(Color, Enum)",
            "c = C()\nassert callable(c)",
            "from collections.abc import Callable, Iterable\nassert isinstance(C(), Callable) and isinstance(C(), Iterable)",
        ],
    ),
    "data classes": (
        "from dataclasses import dataclass, field\n@dataclass(order=True)\nclass P:\n x: int\n y: int = 0\n t: list = field(default_factory=list)",
        "class P:\n def __init__(s, x, y=0): s.x = 0; s.y = 0; s.t = [1]",
        [
            "from dataclasses import asdict\nassert asdict(P(1)) == {'x': 1, 'y': 0, 't': []}",
            "import dataclasses\nassert [f.name for f in dataclasses.fields(P)] == ['x', 'y', 't'] and dataclasses.is_dataclass(P)",
            "from dataclasses import replace\nassert replace(P(1), x=5) == P(5)",
        ],
    ),
    "paths": (
        "from pathlib import Path\ndef f(p): return Path(p).parent",
        "def f(p): return p",
        ["from pathlib import Path\nassert f('/a/b') == Path('/a') and f('/a/b') != Path('/b')", "from pathlib import Path\nassert str(f('/a/b')) == '/a'"],
    ),
    "input, replaced": (
        READS,
        "def f(): return 3",
        [
            "from unittest.mock import patch\nwith patch('builtins.input', side_effect=['4', '5 6']):\n    assert f() == 15",
            "from unittest.mock import patch\nwith patch('builtins.input', lambda *a: '4'):\n    x = f()\nassert x == 8",
            "import builtins\nbuiltins.input = lambda *a: '4'\nassert f() == 8",
            "import io, sys\nold = sys.stdin\nsys.stdin = io.StringIO('1\\n2 3\\n4\\n5\\n')\ntry:\n    assert f() == 6\n    assert f() == 9\nfinally:\n    sys.stdin = old",
            "import io, contextlib\nfrom unittest.mock import patch\nb = io.StringIO()\nwith patch('sys.stdin', io.StringIO('1\\n2 3\\n')), contextlib.redirect_stdout(b):\n"
            "    assert f() == 6\nassert b.getvalue() == 'n? '",
        ],
    ),
    "lines of the input": (
        "import sys\ndef f(): return [line.strip() for line in sys.stdin]",
        "def f(): return []",
        ["import io, sys\nsys.stdin = io.StringIO('a\\nb\\n')\nassert f() == ['a', 'b']"],
    ),
    "output, replaced": (
        "import sys\ndef f(): print('hi', 2); print('e', file=sys.stderr)",
        "def f(): print('ho')",
        [
            "from unittest.mock import patch, call\nwith patch('builtins.print') as p:\n    f()\n    assert p.call_args_list[0] == call('hi', 2)",
            "import io\nfrom unittest.mock import patch\nwith patch('sys.stdout', new_callable=io.StringIO) as o:\n    f()\n    assert o.getvalue() == 'hi 2\\n'",
            "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stderr(b): f()\nassert b.getvalue() == 'e\\n'",
        ],
    ),
    "the library, replaced": (
        "import time, random, os\ndef f():\n t = time.time()\n time.sleep(1)\n return t + random.randint(1, 1) + int(os.environ.get('N', 0))",
        "def f(): return 0",
        [
            "from unittest.mock import patch\nwith patch('time.sleep') as s, patch('time.time', return_value=5.0):\n    assert f() == 6.0\n    s.assert_called_once_with(1)",
            "import time\nfrom unittest import mock\n@mock.patch('time.sleep')\n@mock.patch('time.time', return_value=7)\ndef test(t, s):\n    assert f() == 8 and s.called\ntest()",
            "import os, time\nfrom unittest.mock import patch\nwith patch.dict(os.environ, {'N': '4'}), patch.object(time, 'sleep'), patch('time.time', lambda: 3), patch('random.randint', return_value=2):\n    assert f() == 9",
        ],
    ),
    "random numbers, seeded": (
        "import random\ndef f(): return random.random()",
        "def f(): return 1",
        ["import random\nrandom.seed(1)\na = f()\nrandom.seed(1)\nassert f() == a and a != 1", "import random\nrandom.seed(1)\nx = f()\nrandom.seed(1)\nassert x == random.random()"],
    ),
    "mocks": (
        "def f(repo, n):\n repo.save(n + 1)\n return repo.load('a') + repo.base",
        "def f(repo, n): return 0",
        ["from unittest.mock import Mock\nm = Mock()\nm.load.return_value = 3\nm.base = 4\nassert f(m, 1) == 7\nm.load.assert_called_with('a')\nm.save.assert_called_once_with(2)"],
    ),
    "methods, replaced": (
        "class D:\n def get(s): return s.fetch() * 2\n def fetch(s): return 1",
        "class D:\n def get(s): return 0\n def fetch(s): return 1",
        [
            "from unittest.mock import patch\nd = D()\nwith patch.object(D, 'fetch', return_value=5): assert d.get() == 10\nassert d.get() == 2",
            "d = D()\nd.fetch = lambda: 4\nassert d.get() == 8",
            "from unittest.mock import MagicMock\nd = D()\nd.fetch = MagicMock(return_value=3)\nassert d.get() == 6\nd.fetch.assert_called_once()",
        ],
    ),
    "iterators and stand-ins as arguments": (
        "def f(it):\n if not hasattr(it, '__iter__'): raise TypeError('not iterable')\n return sum(it)",
        "def f(it): return 0",
        [
            "x = f(iter([1, 2]))\nassert x == 3",
            "x = f(n for n in [1, 2])\nassert x == 3",
            "x = f(map(int, '12'))\nassert x == 3",
            "import pytest\nwith pytest.raises(TypeError, match='not iterable'): f(object())",
        ],
    ),
    "an exit": (
        "import sys\ndef f(x):\n if x < 0: sys.exit(3)\n assert x < 9, 'large'\n return x",
        "def f(x): return x",
        [
            "try:\n    f(-1)\n    assert False\nexcept SystemExit as e: assert e.code == 3",
            "import pytest\nwith pytest.raises(SystemExit) as e: f(-1)\nassert e.value.code == 3",
            "import unittest\nt = unittest.TestCase()\nwith t.assertRaises(AssertionError): f(10)",
            "ok = False\ntry: f(10)\nexcept AssertionError: ok = True\nassert ok",
        ],
    ),
    "futures": (
        "def f(x):\n if x < 0: raise ValueError('n')\n return x * 2",
        "def f(x): return 0",
        [
            POOL + "q, r = pool.submit(f, -1), pool.submit(f, 2)\nassert r.result() == 4\ntry:\n    q.result()\n    assert False\nexcept ValueError: pass",
            POOL + "q = pool.submit(f, -1)\nassert isinstance(q.exception(), ValueError)",
            POOL + "assert list(pool.map(f, range(3))) == [0, 2, 4]",
        ],
    ),
    "the name of an exception": (
        "class Bad(ValueError): pass\ndef f(x):\n if x < 0: raise Bad('m')",
        "class Bad(Exception): pass\ndef f(x): pass",
        ["try:\n    f(-1)\n    assert False\nexcept ValueError as e: assert type(e).__name__ == 'Bad' and str(e) == 'm'"],
    ),
    "warnings": (
        "import warnings\ndef f(): warnings.warn('old', DeprecationWarning); return 1",
        "def f(): return 1",
        [
            "import warnings\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always')\n    f()\nassert len(w) == 1 and 'old' in str(w[0].message)",
            "import pytest\nwith pytest.warns(DeprecationWarning, match='old'): f()",
            CASE + "with self.assertWarns(DeprecationWarning): f()\nunittest.main()",
        ],
    ),
    "whether it is of a class of the program": (
        "class P:\n def __init__(s, x): s.x = x\ndef f(x): return P(x)",
        "class P:\n def __init__(s, x): s.x = x\nclass Q(P): pass\nclass R:\n x = 1\ndef f(x): return R()",
        ["p = f(1)\nassert isinstance(p, P) and p.x == 1"],
    ),
}  # fmt: skip
# What cannot work here: (what the error says, test)
REFUSED = [
    ("import pandas", "import pandas as pd\nassert f(1) == 1"),
    ("import hypothesis", "from hypothesis import given\nx = f(1)\nassert x == 1"),
    ("import mylib", "import mylib\nassert f(1) == 1"),
    ("pytest.mark.parametrize", "import pytest\n@pytest.mark.parametrize('a', [1])\ndef test_a(a): assert f(a) == a\ntest_a(1)"),
    ("pytest.skip", "import pytest as pt\nif f(1) != 1: pt.skip('no')"),
    ("pytest.fixture", "import pytest\n@pytest.fixture\ndef x(): return 1\ndef test_a(x): assert f(x) == 1\ntest_a(1)"),
    ("pytest.importorskip", "from pytest import importorskip\nassert f(1) == 1"),
    ("import atexit", "import atexit\ndef last(): assert f(1) == 5\natexit.register(last)"),
    ("import doctest", "import doctest\ndoctest.run_docstring_examples(f, {'f': f})"),
    ("import tempfile", "import tempfile\nwith tempfile.TemporaryDirectory() as d: assert f(d) == 1"),
    ("call open", "f('a.txt')\nassert open('a.txt').read() == 'hi'"),
    ("replace solution.now", "from unittest.mock import patch\nwith patch('solution.now'): assert f(1) == 1"),
    ("replace solution.RATE", "import solution\nsolution.RATE = 5\nassert f(3) == 15"),
    ("replace builtins.open", "from unittest.mock import patch\nwith patch('builtins.open'): assert f(1) == 1"),
    ("replace datetime.datetime", "from unittest.mock import patch\nwith patch('datetime.datetime'): assert f(1) == 1"),
    ("derive Square from Shape", "class Square(Shape):\n    def area(s): return 4\nassert f(Square()) == 4"),
    ("assertLogs", CASE + "with self.assertLogs(): f(1)\nunittest.main()"),
    ("pass a Box", "class Box:\n    def get(s): return 2\nassert f(Box()) == 2"),
    ("pass a Queue", "import queue\nx = f(queue.Queue())\nassert x == 1"),
    ("no assert_frame_equal in|pandas.testing is not", "assert_frame_equal(f(1), f(2))"),
]  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_a_style_tells_right_from_wrong(any_sandbox, style):
    right, wrong, tests = STYLES[style]
    entry = {"entry_point": "f"} if "def f(" in right else {}
    for test in tests:
        result = any_sandbox.run_tests(right, [test], limits=LIMITS, **entry)
        assert result.passed, (test, result.reason)
        assert not any_sandbox.run_tests(wrong, [test], limits=LIMITS, **entry).passed, test


@pytest.mark.parametrize(("why", "test"), REFUSED)
@pytest.mark.parametrize(
    "program", ["def f(x): return 1\nclass Shape: pass", "import os\nos._exit(0)"], ids=["right", "gone"]
)
def test_what_cannot_work_here_is_refused_whatever_the_program(any_sandbox, why, test, program):
    if "Box" in test or "Queue" in test:
        program = "def f(x): return 1"  # told when the program is first asked
    with pytest.raises(TestError, match=why):
        any_sandbox.run_tests(program, [test], entry_point="f", limits=LIMITS)


def test_what_a_program_says_refuses_no_test(any_sandbox):
    """An object that cannot leave is the task's fault only if every program would be passed it."""
    for test in (
        "import queue\nx = f(1)\nf(queue.Queue()) if x == 1 else None\nassert x == 5",
        "import queue\nassert N == 5 or f(queue.Queue()) == 1",
        "import queue\ntry:\n    f(1)\nexcept ValueError:\n    f(queue.Queue())",
    ):
        for program in ("N = 1\ndef f(x): return 1", "N = 1\ndef f(x): raise ValueError"):
            assert not any_sandbox.run_tests(program, [test], entry_point="f", limits=LIMITS).passed or "except" in test


def test_what_a_program_has_said_earlier_refuses_no_test(any_sandbox):
    first = "class Box: pass\nBox.v = f(1)\nassert Box.v"
    odd = "def f(x): return NotImplemented"  # of no kind that could be passed on
    for tests in (
        [first, "assert f(Box.v) == 1"],
        ["if f(1) != 1:\n    import queue\n    Box = queue.Queue()", "f(Box)"],
        ["import queue\nBox = f(1)", "if Box != 1: Box = queue.Queue()\nf(Box)"],
        ["assert f(1) == 1\nimport queue", "f(queue.Queue())"],
        ["import queue\nif f(1) != 1: queue = 5", "f(queue.Queue())"],
        ["if f(1) == 1:\n    import queue", "f(queue.Queue())"],
        ["import queue\ndef box(): return queue.Queue()\nif f(1) == 1: box = int", "f(box())"],
        ["import queue\nh = lambda: None\nf(h)", "f(queue.Queue())"],
        ["import queue\nf(1)\nf(queue.Queue())"],
        ["import queue\nassert f(1) == 1", "def g():\n    global Box\n    Box = queue.Queue()\ng()\nf(Box)"],
    ):
        assert not any_sandbox.run_tests(odd, tests, entry_point="f", limits=LIMITS).passed
    with pytest.raises(TestError, match="cannot leave"):
        any_sandbox.run_tests(odd, ["x = 1", "import queue\nf(queue.Queue())"], entry_point="f", limits=LIMITS)


@pytest.mark.parametrize(
    "test",
    [
        "y = X\nassert f(y) == 3",
        "for v in [X]: assert f(v) == 3",
        "def g():\n    assert f(X) == 3\ng()",
        "from solution import X\ny = X\nassert f(y) == 3",
        "x = C(X)\nassert f(x) == 3",
        "import queue\nq = X or queue.Queue()\nassert f(q) == 3",
        "import queue\nq = queue.Queue()\ntry: y = X\nexcept NameError: y = q\nassert f(y) == 3",
    ],
)
@pytest.mark.parametrize("value", ["X = re.match('a', 'a')", "X = (KeyError, ValueError)", "Y = 1"])
def test_what_a_name_of_the_program_stands_for_calls_no_test_off(any_sandbox, test, value):
    program = f"import re\n{value}\nclass C:\n def __init__(s, *a): pass\ndef f(*a): return 4"
    for tests in ([test], ["x = f(1)\nassert x == 4", test]):
        assert not any_sandbox.run_tests(program, tests, entry_point="f", limits=LIMITS).tests[-1].passed


@pytest.mark.parametrize(
    "test",
    [
        "assert f(threading.Lock()) is None",
        "import threading\nassert f(threading.Lock()) is None",
        "x = threading.Lock()\nassert f(x) == 1",
        "def test_g():\n    x = threading.Lock()\n    assert f(x) == 1\ntest_g()",
        "for i in range(3): f(threading.Lock())",
    ],
)
@pytest.mark.parametrize("answer", [2, 3])
def test_a_later_test_that_cannot_run_is_refused_whatever_the_program_has_said(any_sandbox, test, answer):
    for before in ("import threading\nx = 1\nassert f(x) == 2", "import threading\nx = f(1)\nassert x == 2"):
        with pytest.raises(TestError, match="cannot leave"):
            any_sandbox.run_tests(f"def f(x): return {answer}", [before, test], entry_point="f", limits=LIMITS)


VALUES = [
    *(0, 1, 1.0, 1 + 1e-7, 1 + 1e-5, -1, float("nan"), float("inf"), float("-inf"), True, False, None, "a", 1 / 3, 1j, 1 + 1e-7j),
    *(1e-13, [1, 2], (1, 2), [1, 2 + 1e-7], [1], {"a": 1}, {"a": 1 + 1e-8}, {"b": 1}, b"a", range(1, 3)),
]  # fmt: skip


@pytest.mark.parametrize(
    "options", [{}, {"abs": 1e-3}, {"rel": 1e-3}, {"rel": 1e-9, "abs": 1e-2}, {"nan_ok": True}, {"abs": 0}]
)
def test_approx_is_pytests(options):
    different = []
    for expected in VALUES:
        try:
            theirs, ours = pytest.approx(expected, **options), approx(expected, **options)
            found = [(actual, actual == theirs, actual == ours) for actual in VALUES]
        except TypeError:  # a tolerance for what is no number: pytest says so, here it is not looked at
            continue
        different += [(options, expected, *one) for one in found if one[1] != one[2]]
    assert not different


def test_approx_of_arrays_and_decimals():
    from decimal import Decimal

    assert Decimal("1.0000001") == approx(Decimal(1)) != Decimal("1.1")
    with pytest.raises(TypeError):
        approx({1.0, 2.0})
    with pytest.raises(ValueError, match="not negative"):
        approx(1.0, abs=-1)
    if importlib.util.find_spec("numpy") is None:
        pytest.skip("NumPy is not here")
    import numpy

    assert numpy.array([1.0, 2.0]) == approx(numpy.array([1.0, 2.0000001]))
    assert approx(numpy.array([1.0, 2.0000001])) == [1.0, 2.0]
    assert numpy.array([1.0, 1.0]) == approx(1.0)
    assert numpy.array([1.0, 2.0]) != approx(numpy.array([[1.0, 2.0]]))
