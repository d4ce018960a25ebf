"""What the tests have given to the program, in the place of a result. (name, program, tests, arguments)."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_MOCKS = "from unittest.mock import ANY, AsyncMock, MagicMock, Mock, create_autospec\n"
_COUNTDOWN = "class It:\n    def __init__(self, n): self.n = n\n    def __iter__(self): return self\n    def __next__(self):\n        if not self.n: raise StopIteration\n        self.n -= 1\n        return self.n"
_BEHIND = "assert len(list(r)) == 3\n"
_LOOPS = (
    _BEHIND + "for x in r: assert x == 77",
    _BEHIND + "assert all(x == 77 for x in r)",
    _BEHIND + "assert 77 not in r",
    _BEHIND + "for x in map(str, r): assert x == '77'",
)
# What answers whatever it is asked, where it is handed over by `{}`.
_ANSWERS = "assert r.x.startswith('q')", "assert r(3)", "assert r.zzz().isdigit()", "assert r"
# fmt: off
LENT: list[Attack] = [
 (
  "what is given",
  "def f(given): return given",
  [
   *(f"import io\nr = f(io.{stream})\n{loop}" for stream in ("StringIO('a\\nb\\nc\\n')", "BytesIO(b'a\\nb\\nc\\n')") for loop in _LOOPS),
   *(f"r = f({given})\n{loop}" for given in ("iter([1, 2, 3])", "map(int, '123')", "(x for x in 'abc')") for loop in _LOOPS),
   *(f"import io\nr = f({given}){item}\n{loop}" for given, item in (("[iter([1, 2, 3])]", "[0]"), ("{'a': (x for x in 'abc')}", "['a']"), ("[io.StringIO('a\\nb\\nc')]", "[0]"), ("([iter('abc')],)", "[0][0]"), ("lambda n: iter(range(n))", "(3)"), ("lambda n: [iter(range(n))]", "(3)[0]"), ("lambda n: lambda: iter(range(n))", "(3)()")) for loop in _LOOPS),
   *(f"def g(n):\n    for i in range(n): yield i\nr = f(g)(3)\n{loop}" for loop in _LOOPS),
   *(f"class C:\n    def m(self, n): return iter(range(n))\nr = f(C().m)(3)\n{loop}" for loop in _LOOPS),
   *(f"import functools\nr = f(functools.partial(iter, [1, 2, 3]))()\n{loop}" for loop in _LOOPS),
   "import asyncio\nasync def g():\n    yield 1\nasync def main():\n    r = f(g)()\n    assert len([x async for x in r]) == 1\n    async for x in r: assert x == 77\nasyncio.run(main())",
   *(f"{_MOCKS}r = f({given}){item}\n{asked}" for given, item in (("[MagicMock()]", "[0]"), ("[[MagicMock()]]", "[0][0]"), ("{'a': MagicMock()}", "['a']"), ("(1, [MagicMock()])", "[1][0]"), ("lambda: MagicMock()", "()"), ("lambda: [MagicMock()]", "()[0]"), ("lambda: lambda: MagicMock()", "()()")) for asked in _ANSWERS),
   *(f"{_MOCKS}r = next(iter(f({{MagicMock()}})))\n{asked}" for asked in _ANSWERS),
   *(f"{_MOCKS}import asyncio\nasync def g(): return MagicMock()\nr = asyncio.run(f(g)())\n{asked}" for asked in _ANSWERS),
   _MOCKS + "def spec(a): pass\nassert f(create_autospec(spec))(3).startswith('q')",
   _MOCKS + "def spec(a): pass\nassert f([create_autospec(spec)])[0](3).startswith('q')",
   _MOCKS + "assert f(lambda x: ANY)(3) == 5",
   _MOCKS + "assert f(lambda x: [ANY])(3) == [5]",
   _MOCKS + "import asyncio\nasync def g(x): return ANY\nassert asyncio.run(f(g)(3)) == 5",
   # Of a mock's own names only what it has says how it was asked.
   _MOCKS + "f(Mock(unsafe=True)).assert_valid(3)",
   _MOCKS + "assert f(MagicMock()).await_count",
   _MOCKS + "assert f(MagicMock()).await_args.startswith('a')",
   _MOCKS + "class V:\n    def assert_valid(self): pass\nf(create_autospec(V)).assert_valid()",
   _MOCKS + "class V:\n    def assert_called_once(self): pass\nf(create_autospec(V)).assert_called_once()",
  ],
  _F,
 ),
 (
  "an iterator of the task's class",
  "def f(given): return given if isinstance(given, It) else It(given)",
  [f"r = f({given})\n{loop}" for given in ("3", "It(3)") for loop in _LOOPS],
  {"entry_point": "f", "setup": _COUNTDOWN},
 ),
 (
  "an iterator of the task's class that is derived from Iterator",
  "def f(n): return It(n)",
  [f"r = f(3)\n{loop}" for loop in _LOOPS],
  {"entry_point": "f", "setup": "from collections.abc import Iterator\n" + _COUNTDOWN.replace("class It", "class It(Iterator)").replace("    def __iter__(self): return self\n", "")},
 ),
 (
  "an asynchronous iterator of the task's class",
  "def f(n): return It(n)",
  ["import asyncio\nasync def main():\n    r = f(3)\n    assert len([x async for x in r]) == 3\n    async for x in r: assert x == 77\nasyncio.run(main())"],
  {"entry_point": "f", "setup": _COUNTDOWN.replace("__iter__", "__aiter__").replace("def __next__", "async def __anext__").replace("StopIteration", "StopAsyncIteration")},
 ),
 (
  "an object of the program's in the place of a mock",
  "class X:\n def __getattr__(s, n): return s\n def __call__(s, *a, **k): return None\nclass S:\n def __init__(s, db): s.db = X()\n def save(s, x): pass\ndef f(m): return X()",
  [
   *(f"{_MOCKS}f({given}).assert_{asked}" for given in ("Mock()", "create_autospec(len)", "[Mock()]") for asked in ("called()", "called_once()", "called_with(1)", "called_once_with(1)", "any_call(1)", "has_calls([])", "not_called()")),
   *(f"{_MOCKS}f(AsyncMock()).assert_{asked}" for asked in ("awaited()", "awaited_once()", "awaited_with(1)", "awaited_once_with(1)", "any_await(1)", "has_awaits([])", "not_awaited()")),
   _MOCKS + "f(Mock()).save.assert_called_once_with(1)",
   _MOCKS + "s = S(Mock())\ns.save(3)\ns.db.put.assert_called_once_with(3)",
  ],
  {},
 ),
 (
  "mocks of an earlier test",
  "K = []\ndef f(m):\n if not K:\n  m(1)\n  m.save(1)\n  K[:] = m, m.save\n return K[0]\ndef g(m): return K[1]",
  [
   _MOCKS + "f(Mock())\nassert False",
   _MOCKS + "f(Mock()).assert_called_once_with(1)",
   _MOCKS + "assert f(Mock()).call_count == 1",
   _MOCKS + "f(Mock()).save.assert_called_once_with(1)",
   _MOCKS + "g(Mock()).assert_called_once_with(1)",
   _MOCKS + "assert f(Mock()).method_calls",
  ],
  {"entry_point": "f"},
 ),
 (
  "functions of an earlier test",
  "K = []\ndef f(g):\n K.append(g)\n return K[0]\ndef spied(g):\n if len(K) < 9: g(1)\n K.append(g)\n return K[1]",
  [
   "f(lambda n: iter(range(n)))\nassert False",
   _MOCKS + "def s(a): pass\nspied(create_autospec(s))\nassert False",
   *(f"r = f(len)(3)\n{loop}" for loop in _LOOPS),
   _MOCKS + "def s(a): pass\nspied(create_autospec(s)).assert_called_once_with(1)",
  ],
  {},
 ),
]
# fmt: on
