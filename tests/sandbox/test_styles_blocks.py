"""What the one who manages a block is told of an exception of the tests: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from .corpus import LIMITS

# fmt: off
LEDGER = "class T:\n def __init__(s): s.done, s.new, s.t, s.v = [], [], None, None\n def __enter__(s): return s\n def add(s, x): s.new.append(x)\n def fail(s): raise LookupError('full')\n def __exit__(s, t, v, tb):\n  s.t, s.v = t, v\n  if t is None: s.done += s.new\n  s.new = []\n"
SUP = "class Sup:\n def __init__(s, *k): s.k = k\n def __enter__(s): return s\n def __exit__(s, t, v, tb): return t is not None and issubclass(t, s.k)\n"
IGNORING = "from contextlib import contextmanager\n@contextmanager\ndef ignoring(*k):\n try: yield k\n except k: pass\n"
AIGNORING = IGNORING.replace("contextm", "asynccontextm").replace("def", "async def")
MADE = SUP + "def ignoring(*k): return Sup(*k)\n"
# name, a right program, what is replaced in it for a wrong one, the test, the entry point
BLOCKS: list[tuple[str, str, tuple[str, str], str, str]] = [
 ("rolls back", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\nwith pytest.raises(ZeroDivisionError):\n    with t:\n        t.add(1)\n        1/0\nassert t.done == [] and t.t is ZeroDivisionError and str(t.v) == 'division by zero'", "T"),
 ("rolls back, in the middle", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\nwith pytest.raises(ZeroDivisionError):\n    with t:\n        t.add(1)\n        x = 1/0\n        t.add(2)\nassert t.done == []\nwith t: t.add(3)\nassert t.done == [3]", "T"),
 ("told of the kind", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\nwith pytest.raises(KeyError):\n    with t: {}['a']\nassert t.t is KeyError", "T"),
 ("told of an exception of its own", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\nwith pytest.raises(LookupError):\n    with t:\n        t.add(1)\n        t.fail()\nassert t.done == [] and str(t.v) == 'full'", "T"),
 ("of a function of the tests", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\ndef boom():\n    t.add(1)\n    raise OSError('x')\nwith pytest.raises(OSError):\n    with t: boom()\nassert t.done == [] and t.t is OSError and str(t.v) == 'x'", "T"),
 ("of a kind of the tests", LEDGER, ("s.t, s.v = t, v", "t = v = None"), "t = T()\nclass Mine(Exception): pass\ntry:\n    with t:\n        t.add(1)\n        if t.new: raise Mine('x')\nexcept Mine: pass\nassert t.done == [] and t.t.__name__ == 'Mine'", "T"),
 ("takes", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ValueError): int('x')", "Sup"),
 ("takes the last of two", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ValueError):\n    x = 1\n    y = int('x')\nassert x == 1", "Sup"),
 ("lets another through", SUP, ("t is not None and issubclass(t, s.k)", "True"), "import pytest\nwith pytest.raises(ZeroDivisionError):\n    with Sup(ValueError): 1/0", "Sup"),
 ("lets it through to another", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ZeroDivisionError):\n    with Sup(ValueError): 1/0", "Sup"),
 ("in one statement", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ZeroDivisionError), Sup(ValueError): 1/0", "Sup"),
 ("raised by the library", SUP, ("t is not None and issubclass(t, s.k)", "False"), "import json\nwith Sup(ValueError): json.loads('x')", "Sup"),
 ("raised at the end of a function", SUP, ("t is not None and issubclass(t, s.k)", "False"), "def boom(): raise ValueError('x')\nwith Sup(ValueError): boom()", "Sup"),
 ("kept and raised again", SUP, ("t is not None and issubclass(t, s.k)", "False"), "kept = []\ntry: int('x')\nexcept ValueError as e: kept.append(e)\nwith Sup(ValueError): raise kept[0]", "Sup"),
 ("asked by its name", SUP, ("t is not None and issubclass(t, s.k)", "False"), "assert Sup(ValueError).__exit__(ValueError, ValueError('x'), None) is True\nassert Sup(KeyError).__exit__(ValueError, ValueError('x'), None) is False", "Sup"),
 ("in a stack", SUP, ("t is not None and issubclass(t, s.k)", "False"), "from contextlib import ExitStack\nc = Sup(ValueError)\nassert c.k == (ValueError,)\nwith ExitStack() as s:\n    s.enter_context(c)\n    int('x')", "Sup"),
 ("of a kind of many arguments", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(UnicodeDecodeError): b'\\xff'.decode()", "Sup"),
 ("of a kind of its own", LEDGER + "class Rollback(Exception): pass\n", ("s.t, s.v = t, v", "t = v = None"), "import pytest\nt = T()\nwith pytest.raises(Rollback):\n    with t:\n        raise Rollback('x')\nassert t.t is Rollback", "T"),
 ("a generator's", "from contextlib import contextmanager\nlog = []\n@contextmanager\ndef f():\n try:\n  yield log\n  log.append('done')\n except Exception as e:\n  log.append(type(e).__name__)\n  raise\n", (" except Exception as e:\n  log.append(type(e).__name__)\n  raise\n", " finally: pass\n"), "import pytest\nwith pytest.raises(ZeroDivisionError):\n    with f() as x:\n        1/0\nassert log == ['ZeroDivisionError']\nwith f(): pass\nassert log == ['ZeroDivisionError', 'done']", "f"),
 ("an asynchronous one", "class A:\n async def __aenter__(s): return s\n async def __aexit__(s, t, v, tb):\n  s.kind = t\n  return t is ValueError\n def x(s): pass\n", ("t is ValueError", "False"), "import asyncio\nasync def main():\n    a = A()\n    async with a: int('x')\n    assert a.kind is ValueError\n    try:\n        async with a: 1/0\n    except ZeroDivisionError: pass\n    assert a.kind is ZeroDivisionError\nasyncio.run(main())", "A"),
 ("takes a raise", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(KeyError): raise KeyError('x')", "Sup"),
 ("takes a division", SUP, ("t is not None and issubclass(t, s.k)", "False"), 'with Sup(ZeroDivisionError):\n    x = 1/0', "Sup"),
 ("takes an index", SUP, ("t is not None and issubclass(t, s.k)", "False"), 'with Sup(IndexError): [][1]', "Sup"),
 ("takes a key", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(KeyError): {}['a']", "Sup"),
 ("takes what variables of the tests raise", SUP, ("t is not None and issubclass(t, s.k)", "False"), 'x, y = 1, 0\nn = 0\nwith Sup(ZeroDivisionError): 1/n\ndef test():\n    data = [1, 2]\n    with Sup(IndexError):\n        got = data[10]\ntest()', "Sup"),
 ("takes what a function of the tests raises", SUP, ("t is not None and issubclass(t, s.k)", "False"), 'def divide(a, b): return a / b\nwith Sup(ZeroDivisionError): divide(1, 0)', "Sup"),
 ("takes what variables of the tests raise, in turn", SUP, ("t is not None and issubclass(t, s.k)", "False"), "for n in (0, 0.0):\n    with Sup(ZeroDivisionError): 1/n\ndef divide(a, b=0): return a / b\ndef test():\n    text, empty = 'x', ''\n    for wrong in ['x', '1.5']:\n        with Sup(ValueError): int(wrong)\n    with Sup(ZeroDivisionError): divide(1)\ntest()", "Sup"),
 ("takes what methods of data and functions of modules raise", SUP, ("t is not None and issubclass(t, s.k)", "False"), "import math, json, re\nwith Sup(ValueError): math.sqrt(-1)\nwith Sup(ValueError): 'abc'.index('z')\nwith Sup(IndexError): [].pop()\nwith Sup(re.error): re.compile('(')\nwith Sup(KeyError): dict(a=1).pop('b')\nwith Sup(AttributeError): 'x'.nothing\nwith Sup(ValueError): json.loads('{' * 2)", "Sup"),
 ("takes what the library raises", SUP, ("t is not None and issubclass(t, s.k)", "False"), "from decimal import Decimal, InvalidOperation\nimport json\nwith Sup(InvalidOperation): Decimal('x')\nwith Sup(json.JSONDecodeError): json.loads('{')", "Sup"),
 ("takes beside what is patched", SUP, ("t is not None and issubclass(t, s.k)", "False"), "from unittest.mock import patch\nimport math\nn = 0\nwith patch('builtins.input', return_value='x'):\n    with Sup(ZeroDivisionError): 1/n\n    with Sup(ValueError): int('x')\nif __name__ == '__main__': print('as a script')", "Sup"),
 ("takes beside functions that are looked at", SUP, ("t is not None and issubclass(t, s.k)", "False"), "def divide(a, b=0): return a / b\nassert divide.__code__.co_argcount == 2 and divide.__defaults__ == (0,)\nwith Sup(ZeroDivisionError): 1/0\nc = Sup(1)\nassert c.k == (1,)", "Sup"),
 ("takes each of several", SUP, ("t is not None and issubclass(t, s.k)", "False"), "for kind in (ValueError, KeyError):\n    with Sup(kind): raise kind('x')\nfor kind in [OSError, LookupError]:\n    with Sup(Exception): raise kind", "Sup"),
 ("takes a kind of the tests", SUP, ("t is not None and issubclass(t, s.k)", "False"), 'class Mine(Exception): pass\nwith Sup(Mine):\n    x = 1\n    raise Mine(x)', "Sup"),
 ("takes a group", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ExceptionGroup): raise ExceptionGroup('several', [ValueError(1), ExceptionGroup('', [KeyError(2)])])", "Sup"),
 ("takes at the end of a function, with arguments", SUP, ("t is not None and issubclass(t, s.k)", "False"), "def boom(text):\n    for c in text:\n        if c == ' ': continue\n    raise ValueError(text)\nwith Sup(ValueError): boom('x y')\nwith Sup(ValueError):\n    got = boom(text='x')", "Sup"),
 ("takes where a clause would have", SUP, ("t is not None and issubclass(t, s.k)", "False"), "leaked = False\ntry:\n    with Sup(ValueError): raise ValueError('x')\nexcept ValueError: leaked = True\nassert not leaked", "Sup"),
 ("takes where a clause would have failed", SUP, ("t is not None and issubclass(t, s.k)", "False"), "try:\n    with Sup(ValueError) as s: int('x')\nexcept ValueError: assert False, 'not taken'", "Sup"),
 ("takes in a case", SUP, ("t is not None and issubclass(t, s.k)", "False"), "import unittest\nclass T(unittest.TestCase):\n    def test_it(self):\n        with Sup(ValueError) as s: raise ValueError('x')\n        self.assertEqual(s.k, (ValueError,))\nunittest.main()", "Sup"),
 ("takes behind an if", SUP, ("t is not None and issubclass(t, s.k)", "False"), "with Sup(ValueError) as s:\n    if len(s.k) == 3: x = 1\n    raise ValueError('x')", "Sup"),
 ("takes a kind with arguments of its own", SUP, ("t is not None and issubclass(t, s.k)", "False"), "class Mine(Exception):\n    def __new__(cls, code, text): return super().__new__(cls, code)\n    def __init__(self, code, text): self.code = code\n    def __str__(self): return f'{self.code}'\nwith Sup(Exception): raise Mine(1, 'x')", "Sup"),
 ("takes back and goes on", LEDGER.replace("s.new = []\n", "s.new = []\n  return t is ValueError\n"), ("if t is None: ", ""), "t = T()\nwith t:\n    t.add(1)\n    raise ValueError('x')\nassert t.done == []\nwith t: t.add(2)\nassert t.done == [2]", "T"),
 ("takes a kind of its own", LEDGER.replace("s.new = []\n", "s.new = []\n  return t is Rollback\n") + "class Rollback(Exception): pass\n", ("return t is Rollback", "return False"), "t = T()\nwith t:\n    t.add(1)\n    raise Rollback('x')\nassert t.done == []\nwith t: raise Rollback", "T"),
 ("takes what a coroutine of the tests raises", "class A:\n async def __aenter__(s): return s\n async def __aexit__(s, t, v, tb): return t is ValueError\n def x(s): pass\n", ("t is ValueError", "False"), "import asyncio\nasync def boom(): raise ValueError('x')\nasync def main():\n    async with A() as a: await boom()\n    async with A() as a, A() as b: raise ValueError\n    a.x()\nasyncio.run(main())", "A"),
 ("a function takes", IGNORING, ("except k: pass", "finally: pass"), "with ignoring(ValueError): raise ValueError('x')\nwith ignoring(ValueError, KeyError) as k: {}['a']\nassert k == (ValueError, KeyError)", "ignoring"),
 ("a function takes no other", IGNORING, ("except k", "except Exception"), "import pytest\nwith pytest.raises(KeyError):\n    with ignoring(ValueError): {}['a']\ntry:\n    with ignoring(ValueError): 1/0\n    assert False\nexcept ZeroDivisionError: pass", "ignoring"),
 ("a function that is a coroutine takes", AIGNORING, ("except k: pass", "finally: pass"), "import asyncio\nasync def main():\n    async with ignoring(ValueError): int('x')\nasyncio.run(main())", "ignoring"),
 ("what a function makes takes", MADE, ("t is not None and issubclass(t, s.k)", "False"), "ran = []\nwith ignoring(ValueError):\n    ran.append(1)\n    raise ValueError\n    ran.append(2)\nassert ran == [1]", "ignoring"),
 ("takes in the middle", SUP, ("t is not None and issubclass(t, s.k)", "False"), "ran = []\nwith Sup(ValueError):\n    ran.append(1)\n    raise ValueError('x')\n    ran.append(2)\nwith Sup(ZeroDivisionError):\n    x = 1 / 0\n    ran.append(3)\ndef boom(): raise OSError\nwith Sup(OSError):\n    boom()\n    assert False\nwith Sup(KeyError):\n    with Sup(OSError): raise KeyError\n    ran.append(4)\nassert ran == [1]", "Sup"),
]
SEES = "class L:\n seen = []\n def __enter__(s): return s\n def get(s): return [0]\n def fail(s): raise LookupError('full')\n def __exit__(s, t, v, tb):\n  s.seen = repr(v) + ''.join(getattr(v, '__notes__', ''))\n  return False\n"
# What is raised in a block where 765 is expected, and what is told of it.
TOLD: list[tuple[str, str]] = [
 ("if c.get() != want: raise ValueError(f'expected {want}')", "ValueError()"),
 ("if c.get() != want: raise ValueError('another')", "ValueError('another')"),
 ("if c.get() != want: raise ValueError('another', want)", "ValueError()"),
 ("raise ValueError(f'no {1}: ' + 'row %s of %s' % (2, -3))", "ValueError('no 1: row 2 of -3')"),
 ("raise ValueError(-5, f'{1}')", "ValueError(-5, '1')"),
 ("raise OSError(f'{want}')", "OSError()"),
 ("raise OSError('%s' % want)", "OSError()"),
 ("raise OSError(f'{1:{want}}')", "OSError()"),
 ("raise OSError('a' + str(want))", "OSError()"),
 ("c.get().index(want)", "ValueError()"),
 ("{0: 1}[want]", "KeyError()"),
 ("raise error()", "ValueError()"),
 ("raise kept", "ValueError()"),
 ("raise StopIteration(want)", "StopIteration()"),
 ("next(ends())", "StopIteration()"),
 ("b'x'.decode(str(want))", "LookupError()"),
 ("takes(**{str(want): 1})", "TypeError()"),
 ("want + 'x'", "TypeError()"),
 ("getattr(math, f'n{want}')", "AttributeError()"),
 ("importlib.import_module(f'math.n{want}')", "ModuleNotFoundError()"),
 ("Fraction(want, 0)", "ZeroDivisionError()"),
 ("json.loads(f'[{want}')", "JSONDecodeError()"),
 ("raise OSError(want, 'x')", "OSError()"),
 ("open_(want)", "FileNotFoundError(2, 'none')"),
 ("[1][want]", "IndexError('list index out of range')"),
 ("[].pop()", "IndexError('pop from empty list')"),
 ("want / 0", "ZeroDivisionError('division by zero')"),
 ("raise Mine(want)", "Mine()"),
 ("raise Mine(1)", "Mine()"),
 ("raise Noted", "ValueError()"),
 ("assert c.get() == want, want", "None"),
 ("raise ExceptionGroup('765', [ValueError(want)])", "ExceptionGroup('', [ValueError()])"),
 ("raise ExceptionGroup('x', [ExceptionGroup('y', [KeyError(want)]), OSError()])", "ExceptionGroup('', [ExceptionGroup('', [KeyError()]), OSError()])"),
 ("raise ExceptionGroup('x', [ValueError(want), AssertionError(want)])", "None"),
 ("raise ExceptionGroup('x', [ExceptionGroup('y', [AssertionError(want)])])", "None"),
 ("raise ExceptionGroup(f'{want}', [own])", "ExceptionGroup('', [LookupError('full')])"),
 ("c.fail()", "LookupError('full')"),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "entry"), [b[1:] for b in BLOCKS], ids=[b[0] for b in BLOCKS])
def test_the_end_of_a_block_is_told_of_an_exception_of_the_tests(
    any_sandbox: Any, right: str, wrong: tuple[str, str], test: str, entry: str
) -> None:
    result = any_sandbox.run_tests(right, [test], entry_point=entry, limits=LIMITS)
    assert result.passed, result.reason
    assert right.replace(*wrong) != right
    assert not any_sandbox.run_tests(right.replace(*wrong), [test], entry_point=entry, limits=LIMITS).passed


BEFORE = """
import importlib, json, math
from fractions import Fraction
c = L()
want = 765
def error(): return ValueError(want)
kept = ValueError(765)
def ends():
    yield from ()
    return want
def takes(x): pass
def open_(n): raise OSError(2, 'none')
class Mine(Exception):
    def __new__(cls, value): return super().__new__(cls, value)
    def __init__(self, value): super().__init__(f'{value} and {want}')
    def __str__(self): return f'{want}'
Noted = ValueError('x')
Noted.add_note(f'{want}')
try: c.fail()
except LookupError as found: own = found
"""


@pytest.mark.parametrize(("raises", "told"), TOLD)
def test_the_end_of_a_block_is_told_of_no_expected_value(any_sandbox: Any, raises: str, told: str) -> None:
    test = f"{BEFORE}\ntry:\n    with c:\n        {raises}\nexcept BaseException: pass\nassert c.seen == {told!r}"
    result = any_sandbox.run_tests(SEES, [test], entry_point="L", limits=LIMITS)
    assert result.passed, result.reason
