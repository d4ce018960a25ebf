"""What the one who manages a block is told of an exception of the tests: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from .corpus import LIMITS

# fmt: off
LEDGER = "class T:\n def __init__(s): s.done, s.new, s.t, s.v = [], [], None, None\n def __enter__(s): return s\n def add(s, x): s.new.append(x)\n def fail(s): raise LookupError('full')\n def __exit__(s, t, v, tb):\n  s.t, s.v = t, v\n  if t is None: s.done += s.new\n  s.new = []\n"
SUP = "class Sup:\n def __init__(s, *k): s.k = k\n def __enter__(s): return s\n def __exit__(s, t, v, tb): return t is not None and issubclass(t, s.k)\n"
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
]
SEES = "class L:\n seen = []\n def __enter__(s): return s\n def get(s): return [0]\n def __exit__(s, t, v, tb): s.seen = repr(v) ; return False\n"
NOT_TOLD = [
 "c = L()\nwant = 765\ntry:\n    with c:\n        if c.get() != want: raise ValueError(f'expected {want}')\nexcept ValueError: pass\nassert '765' not in c.seen and 'ValueError' in c.seen",
 "c = L()\nwant = 765\ntry:\n    with c: c.get().index(want)\nexcept ValueError: pass\nassert '765' not in c.seen",
 "c = L()\nwant = 765\ndef error(): return ValueError(want)\ntry:\n    with c: raise error()\nexcept ValueError: pass\nassert '765' not in c.seen",
 "c = L()\nwant = 765\ntry:\n    with c: assert c.get() == want, want\nexcept AssertionError: pass\nassert c.seen == 'None'",
 "c = L()\nerror = ValueError(765)\ntry:\n    with c: raise error\nexcept ValueError: pass\nassert '765' not in c.seen",
 "c = L()\ntry:\n    with c: raise ExceptionGroup('765', [ValueError(765)])\nexcept* ValueError: pass\nassert '765' not in c.seen and 'Group' in c.seen",
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


@pytest.mark.parametrize("test", NOT_TOLD)
def test_the_end_of_a_block_is_told_of_no_expected_value(any_sandbox: Any, test: str) -> None:
    result = any_sandbox.run_tests(SEES, [test], entry_point="L", limits=LIMITS)
    assert result.passed, result.reason
