"""Exceptions of the program that are said to be others than they are: an Exception, a new one, unlike another one."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_HALTS = (
    "class Halt(BaseException): pass\nclass Quit(SystemExit): pass\nclass Group(BaseExceptionGroup): pass\ndef f(x):\n "
)
_EXITS = {
    "an exit": "raise SystemExit('no')",
    "an exit with nothing to complain of": "raise SystemExit",
    "an exit of its own": "raise Quit(0)",
    "an interrupt": "raise KeyboardInterrupt",
    "an interrupt from elsewhere": "import _thread, time; _thread.interrupt_main(); time.sleep(0.2)",
    "the end of a generator": "raise GeneratorExit",
    "the end of a task": "import asyncio; raise asyncio.CancelledError",
    "what is derived from BaseException": "raise Halt",
    "BaseException": "raise BaseException('x')",
    "a group of interrupts": "raise BaseExceptionGroup('g', [KeyboardInterrupt()])",
}
_TAKEN = [
    "f(1)",
    "import pytest\nwith pytest.raises(Exception): f(1)",
    "import unittest\nunittest.TestCase().assertRaises(Exception, f, 1)",
    "import contextlib\nwith contextlib.suppress(Exception): f(1)",
    "try: f(1)\nexcept Exception: pass",
    "try: f(1)\nexcept* Exception: pass",
    "try: f(1)\nexcept (ValueError, TypeError, LookupError, RuntimeError, OSError): pass",
    "try: f(1)\nexcept BaseException as error: assert isinstance(error, Exception)",
    "import pytest\ndef g():\n    f(1)\n    yield\nwith pytest.raises(Exception): list(g())",
    "def g():\n    try: yield 1\n    finally: f(1)\nfor x in g(): break",
    "import threading\nt = threading.Thread(target=f, args=(1,))\nt.start()\nt.join()",
    "import _thread, time\n_thread.start_new_thread(f, (1,))\ntime.sleep(0.3)",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool: pool.submit(f, 1)",
    "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool: error = pool.submit(f, 1).exception()\nassert isinstance(error, Exception)",
    "import asyncio, pytest\nasync def main(): f(1)\nwith pytest.raises(Exception): asyncio.run(main())",
    "import asyncio\nasync def one(): f(1)\nasync def main():\n    found = await asyncio.gather(one(), return_exceptions=True)\n    assert isinstance(found[0], Exception)\nasyncio.run(main())",
    "import asyncio\nasync def one(): f(1)\nasync def main():\n    async with asyncio.TaskGroup() as group: group.create_task(one())\nasyncio.run(main())",
    "import asyncio\nasync def one(): f(1)\nasync def main():\n    asyncio.ensure_future(one())\n    await asyncio.sleep(0.05)\nasyncio.run(main())",
    "import gc\nclass D:\n    def __del__(s): f(1)\nD()\ngc.collect()",
    "import unittest, io\nclass T(unittest.TestCase):\n    def test_a(self): f(1)\nunittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(T))",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): f(1)\nunittest.main()",
    "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertRaises(Exception): f(1)\nunittest.main()",
]  # fmt: skip
_TWO = "import pytest\nwith pytest.raises({0}) as a: f(1)\nwith pytest.raises({0}) as b: f(1)\n"
_VALUES, _OWN = _TWO.format("ValueError"), _TWO.format("E")
_ONE = "import pytest\na = [1]\nwith pytest.raises(ValueError) as e: f(a)\n"
_YES = "class E(Exception): __eq__ = lambda s, o: True\ndef f(x): raise E(x)"
_UNLIKE = [
    _OWN + "assert a.value != b.value",
    _OWN + "assert not a.value == b.value",
    _OWN + "assert len({a.value, b.value}) == 2",
    _OWN + "assert a.value != 5",
    _OWN + "assert a.value != None",
]
_AWAITED = "class A:\n def __await__(s):\n  yield\n  return 5\ndef f(x): return A()"
RAISED: list[Attack] = [
    *((f"{name}, for an Exception", _HALTS + statement, _TAKEN, _F) for name, statement in _EXITS.items()),
    (
        "a group that is no Exception, for one",
        _HALTS + "raise Group('g', [ValueError()])",
        [test for test in _TAKEN if "except*" not in test],  # what is in it is one
        _F,
    ),
    (
        "an interrupt at the end of a generator",
        "def f(x):\n yield 1\n raise KeyboardInterrupt",
        ["import pytest\nwith pytest.raises(Exception): list(f(1))", "try: [*f(1)]\nexcept Exception: pass"],
        _F,
    ),
    (
        "an interrupt at the end of a block",
        "import contextlib\n@contextlib.contextmanager\ndef f(x):\n yield 1\n raise KeyboardInterrupt",
        ["import pytest\nwith pytest.raises(Exception):\n    with f(1): pass"],
        _F,
    ),
    (
        "interrupts of an object",
        "class A:\n def go(s): pass\n def __iter__(s): raise KeyboardInterrupt\n def __len__(s): raise SystemExit(2)",
        [
            "import pytest\na = A()\na.go()\nwith pytest.raises(Exception): list(a)",
            "import pytest\na = A()\na.go()\nwith pytest.raises(Exception): len(a)",
        ],
        {"entry_point": "A"},
    ),
    (
        "an interrupt as the cause",
        "def f(x): raise ValueError(1) from KeyboardInterrupt()",
        ["import pytest\nwith pytest.raises(ValueError) as e: f(1)\nassert isinstance(e.value.__cause__, Exception)"],
        _F,
    ),
    (
        "an interrupt within what the program calls",
        "def f(g): g()\ndef h(): raise KeyboardInterrupt",
        ["import pytest\nwith pytest.raises(Exception): f(lambda: h())", "f(lambda: h())"],
        {"entry_point": ["f", "h"]},
    ),
    (
        "an exit with another code than it says",
        "class Quit(SystemExit): pass\ndef f(x):\n e = Quit(3)\n e.code = object()\n raise e",
        [
            "import pytest\nwith pytest.raises(SystemExit) as e: f(1)\nassert e.value.code == 3",
            "import pytest\nwith pytest.raises(SystemExit) as e: f(1)\nassert e.value.code is None",
        ],
        _F,
    ),
    (
        "one exception for two",
        "E = ValueError('x')\ndef f(x): raise E",
        [
            _VALUES + "assert a.value is not b.value",
            _VALUES + "assert a.value != b.value",
            _VALUES + "assert len({id(a.value), id(b.value)}) == 2",
            _VALUES + "assert len({a.value, b.value}) == 2",
            "import pytest\nwith pytest.raises(ValueError): f(1)\nf(1)",
            "import pytest\nfrom concurrent.futures import ThreadPoolExecutor\nwith pytest.raises(ValueError):\n    with ThreadPoolExecutor(1) as pool: list(pool.map(f, [1, 2]))\n"
            "try: f(1)\nfinally:\n    def g(): yield from ()\n",
            "import pytest, threading\nwith pytest.raises(ValueError): f(1)\nt = threading.Thread(target=f, args=(1,))\nt.start()\nt.join()",
            "try: f(1)\nexcept ValueError: pass\nimport gc\nclass D:\n    def __del__(s): f(1)\nD()\ngc.collect()",
        ],
        _F,
    ),
    ("two exceptions for one", "def f(x): raise ValueError('x')", [_VALUES + "assert a.value is b.value", _VALUES + "assert a.value == b.value"], _F),
    (
        "an exception that changes",
        "E = ValueError(0)\ndef f(x):\n E.args = (E.args[0] + 1,)\n raise E",
        [_VALUES + "assert a.value.args == (1,) or a.value.args == (3,)"],
        _F,
    ),
    (
        "a list that changes in an exception",
        "L = []\ndef f(x):\n L.append(x)\n raise ValueError(L)",
        [_VALUES + "assert len(a.value.args[0]) % 2", _VALUES + "assert a.value.args[0] is not b.value.args[0]"],
        _F,
    ),
    (
        "a list that changes in an attribute",
        "L = []\nclass E(Exception): pass\ndef f(x):\n L.append(x)\n e = E()\n e.items = L\n raise e",
        [_OWN + "assert len(a.value.items) % 2", _OWN + "assert a.value.items is not b.value.items"],
        _F,
    ),
    ("the list of the tests in an exception", "def f(x): raise ValueError(x)", [_ONE + "assert e.value.args[0] is not a"], _F),
    ("a copy of it", "def f(x): raise ValueError(list(x))", [_ONE + "assert e.value.args[0] is a"], _F),
    (
        "an exception that an object has, too",
        "class R:\n def __init__(s): s.error = ValueError('x')\n def unwrap(s): raise s.error\ndef f(x): return R()",
        ["import pytest\nr = f(1)\nwith pytest.raises(ValueError) as e: r.unwrap()\nassert e.value is not r.error"],
        _F,
    ),
    ("exceptions that equal everything", _YES, _UNLIKE, _F),
    ("exceptions under test that equal everything", _YES, _UNLIKE, {"entry_point": ["f", "E"]}),
    (
        "an exception that is false",
        "class E(Exception): __bool__ = lambda s: False\ndef f(x): raise E(x)",
        [_OWN + "assert a.value"],
        _F,
    ),
    (
        "a class of exceptions that is caught, in the place of a function",
        "class Area(Exception):\n __bool__ = lambda s: True\n __eq__ = lambda s, o: True\n __hash__ = lambda s: 1",
        [
            "try: Area(1)\nexcept Area: pass\n" + check
            for check in ("assert Area(1)", "assert Area(1) == 5", "assert Area(1) != 5", "assert 5 in [Area(1)]", "assert Area(1) in {5}")
        ],
        {"entry_point": "Area"},
    ),
    (
        "what can be awaited, for a coroutine",
        _AWAITED,
        [
            "import asyncio\nassert asyncio.run(f(1)) == 5",
            "import asyncio\nasync def main(): return await asyncio.create_task(f(1))\nassert asyncio.run(main()) == 5",
        ],
        _F,
    ),
    (
        "an attribute that is not there, and the end of a generator",
        "class X(GeneratorExit, AttributeError): pass\nclass Y(GeneratorExit, TypeError): pass\nclass Box:\n def __init__(s, *a): pass\n def push(s, *a): pass\n @property\n def area(s): raise X\n def __len__(s): raise Y\n",
        [
            f"b = Box(3)\nb.push(1)\ndef g():\n    try: yield 1\n    finally: assert {asked} == 5\nfor x in g(): break"
            for asked in ("b.area", "getattr(b, 'area')", "len(b)", "list(b)")
        ],
        {"entry_point": "Box"},
    ),
    (
        "what a function of the tests raises, swallowed",
        "def f(g, n=1):\n for _ in range(n):\n  try: g()\n  except BaseException: pass",
        [
            f"import pytest, sys\ndef g(): raise {kind}\nwith pytest.raises({kind}): f(g)\n"
            for kind in ("KeyboardInterrupt", "GeneratorExit", "SystemExit")
        ],
        _F,
    ),
    (
        "what a block of the tests raises, swallowed",
        "class f:\n def __init__(s, *a): pass\n def __enter__(s): return s\n def __exit__(s, *a): return True",
        [
            f"import pytest\nwith pytest.raises({kind}):\n    with f(1): raise {kind}"
            for kind in ("KeyboardInterrupt", "GeneratorExit")
        ],
        _F,
    ),
    *(
        (
            f"an assertion that is kept and raised later, {how}",
            f"K = []\ndef f(g):\n if not g: raise {raised}\n try: g(1)\n except BaseException as e: K.append(e)",
            [
                "def g(x): assert x == 5\nf(g)\nimport pytest\nwith pytest.raises(Exception): f(None)",
                "def g(x): assert x == 5\nf(g)\ntry: f(None)\nexcept Exception: pass\nelse: raise ValueError",
            ],
            _F,
        )
        for how, raised in (("as it is", "K[0]"), ("in a group", "ExceptionGroup('g', K)"))
    ),
    (
        "an assertion in a thread of the program, raised later",
        "import threading\nK = []\ndef f(g=None, *a):\n if not g: raise K[0]\n def w():\n  try: g(1)\n  except BaseException as e: K.append(e)\n t = threading.Thread(target=w)\n t.start()\n t.join()",
        [
            f"import pytest\ndef g(x): {raises}\nf(g)\nwith pytest.raises(BaseException): f(None)"
            for raises in ("assert x == 5", "raise SystemExit")
        ],
        _F,
    ),
    (
        "an assertion that another callback takes",
        "K = []\ndef f(g=None, h=None):\n if not g: raise K[0]\n try: g(1)\n except BaseException as e: K.append(e)\n h()",
        ["import pytest\ndef g(x): assert x == 5\ndef h():\n    with pytest.raises(Exception): f(None)\nf(g, h)"],
        _F,
    ),
    (
        "an assertion in a group",
        "def f(g):\n try: g()\n except BaseException: pass",
        ["def g(): raise ExceptionGroup('x', [ValueError(1), AssertionError(1)])\nf(g)"],
        _F,
    ),
    (
        "how often a mock was awaited",
        "async def f(m): m.send.await_count = 1",
        [
            "from unittest.mock import AsyncMock\nimport asyncio\nm = AsyncMock()\nasyncio.run(f(m))\nm.send.assert_awaited_once()"
        ],
        _F,
    ),
]  # fmt: skip
