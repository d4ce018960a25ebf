"""Exceptions of the program are what they are without a sandbox: exits, the same one again, objects of a class under test."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

EXITS = "import asyncio\nclass Halt(BaseException): pass\nclass Quit(SystemExit): pass\n"
INTERRUPT = "def f(x): raise KeyboardInterrupt"
HALT = EXITS + "def f(x): raise Halt(x)"
QUIT = EXITS + "def f(x): raise Quit(x)"
CODE = "class Quit(SystemExit):\n def __init__(s, n):\n  super().__init__()\n  s.code = n\ndef f(x): raise Quit(x)"
CANCELLED = "import asyncio\nasync def f(x): raise asyncio.CancelledError"
GROUP = "def f(x): raise BaseExceptionGroup('g', [KeyboardInterrupt(), ValueError(x)])"
KEPT = "E = ValueError('x')\ndef f(x): raise E"
ANEW = "def f(x): raise ValueError('x')"
LIST = "L = []\ndef f(x):\n L.append(x)\n raise ValueError(L)"
LISTS = "L = []\ndef f(x):\n L.append(x)\n raise ValueError([*L])"
ITEMS = "L = []\nclass E(Exception): pass\ndef f(x):\n L.append(x)\n e = E()\n e.items = L\n raise e"
RESULT = "class R:\n def __init__(s): s.error = ValueError('x')\n def unwrap(s): raise s.error\ndef f(x): return R()"
EQUAL = "class E(Exception):\n def __init__(s, n): super().__init__(n); s.n = n\n def __eq__(s, o): return isinstance(o, E) and s.n == o.n\n def __hash__(s): return hash(s.n)\n def __len__(s): return s.n\n def __int__(s): return s.n\ndef f(x): raise E(x)"
UNEQUAL = EQUAL.replace("s.n = n", "s.n = n + 1")
TWO = "import pytest\nwith pytest.raises({0}) as a: f(1)\nwith pytest.raises({0}) as b: f(1)\n"
_F, _E = {"entry_point": "f"}, {"entry_point": ["f", "E"]}
# fmt: off
RAISED = [
 ("an interrupt", INTERRUPT, ANEW, "import pytest\nwith pytest.raises(KeyboardInterrupt): f(1)", _F),
 ("an interrupt that is no Exception", INTERRUPT, ANEW, "try: f(1)\nexcept Exception: assert False\nexcept BaseException as e: assert type(e) is KeyboardInterrupt", _F),
 ("a bare clause", INTERRUPT, ANEW, "try: f(1)\nexcept Exception: assert False\nexcept: pass", _F),
 ("an interrupt in a thread", INTERRUPT, ANEW, "import threading\nfound = []\ndef run():\n    try: f(1)\n    except KeyboardInterrupt: found.append(1)\nt = threading.Thread(target=run)\nt.start()\nt.join()\nassert found == [1]", _F),
 ("an interrupt in a pool", INTERRUPT, ANEW, "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool: e = pool.submit(f, 1).exception()\nassert isinstance(e, KeyboardInterrupt)", _F),
 ("an interrupt leaves a loop", INTERRUPT, ANEW, "import asyncio, pytest\nasync def main(): f(1)\nwith pytest.raises(KeyboardInterrupt): asyncio.run(main())", _F),
 ("an interrupt in a function of the tests", "def f(g):\n try: g()\n except KeyboardInterrupt: raise\ndef h(): raise KeyboardInterrupt", "def f(g):\n try: g()\n except KeyboardInterrupt: raise ValueError\ndef h(): raise KeyboardInterrupt", "import pytest\nwith pytest.raises(KeyboardInterrupt): f(lambda: h())", {"entry_point": ["f", "h"]}),
 ("of its own, after Exception", HALT, ANEW, "try: f(1)\nexcept Exception: assert False\nexcept Halt as e: assert e.args == (1,)", _F),
 ("the name of its own", HALT, HALT.replace("Halt", "Stop"), "try: f(1)\nexcept BaseException as e: assert type(e).__name__ == 'Halt' and e.args == (1,)", _F),
 ("an exit", "import sys\ndef f(x): sys.exit(x)", "import sys\ndef f(x): sys.exit(3)", "import pytest\nwith pytest.raises(SystemExit) as e: f(2)\nassert e.value.code == 2", _F),
 ("an exit of its own", QUIT, QUIT.replace("Quit(x)", "Quit(4)"), "import pytest\nwith pytest.raises(Quit) as e: f(3)\nassert e.value.code == 3", _F),
 ("a code of its own", CODE, CODE.replace("s.code = n", "s.code = 4"), "import pytest\nwith pytest.raises(SystemExit) as e: f(3)\nassert e.value.code == 3", _F),
 ("a task that is cancelled", CANCELLED, CANCELLED.replace("asyncio.CancelledError", "ValueError"), "import asyncio, pytest\nasync def main():\n    with pytest.raises(asyncio.CancelledError): await f(1)\nasyncio.run(main())", _F),
 ("a group", GROUP, GROUP.replace("KeyboardInterrupt", "TypeError"), "try: f(1)\nexcept* KeyboardInterrupt: pass\nexcept* ValueError as found: assert found.exceptions[0].args == (1,)", _F),
 ("one exception twice", KEPT, ANEW, TWO.format("ValueError") + "assert a.value is b.value and a.value == b.value", _F),
 ("two exceptions", ANEW, KEPT, TWO.format("ValueError") + "assert a.value is not b.value and a.value != b.value", _F),
 ("what one says by now", "E = ValueError(0)\ndef f(x):\n E.args = (E.args[0] + 1,)\n raise E", "n = [0]\ndef f(x):\n n[0] += 1\n raise ValueError(n[0])", TWO.format("ValueError") + "assert a.value.args == (2,)", _F),
 ("one kind twice", "class E(ValueError): pass\ndef f(x): raise E(x)", "def f(x): raise type('E', (ValueError,), {})(x)", TWO.format("ValueError") + "assert type(a.value) is type(b.value)", _F),
 ("a list that is kept", LIST, LISTS, TWO.format("ValueError") + "assert a.value.args[0] is b.value.args[0] and a.value.args[0] == [1, 1]", _F),
 ("lists that are not", LISTS, LIST, TWO.format("ValueError") + "assert a.value.args[0] == [1] and b.value.args[0] == [1, 1]", _F),
 ("a list in an attribute", ITEMS, ITEMS.replace("= L\n", "= [*L]\n"), TWO.format("E") + "assert a.value.items is b.value.items and a.value.items == [1, 1]", _F),
 ("the list of the tests", "def f(x): raise ValueError(x)", "def f(x): raise ValueError([*x])", "import pytest\na = [1]\nwith pytest.raises(ValueError) as e: f(a)\nassert e.value.args[0] is a", _F),
 ("one that an object has, too", RESULT, RESULT.replace("raise s.error", "raise ValueError('x')"), "import pytest\nr = f(1)\nwith pytest.raises(ValueError) as e: r.unwrap()\nassert e.value is r.error", _F),
 ("an exception under test", EQUAL, UNEQUAL, "import pytest\nwith pytest.raises(E) as e: f(3)\nassert len(e.value) == 3 and int(e.value) == 3", _E),
 ("its equality", EQUAL, EQUAL.replace("isinstance(o, E)", "False"), "import pytest\nwith pytest.raises(E) as e: f(3)\nassert e.value == E(3) and e.value != E(4)", _E),
 ("its equality with others", EQUAL, EQUAL.replace("isinstance(o, E)", "False"), TWO.format("E") + "assert a.value == b.value and len({a.value, b.value}) == 1", _E),
 ("its truth", EQUAL, UNEQUAL, "import pytest\nwith pytest.raises(E) as e: f(0)\nassert not e.value", _E),
 ("what can be awaited", "class A:\n def __await__(s):\n  yield\n  return 5\ndef f(x): return A()", "def f(x): return 5", "import asyncio\nasync def main(): return await f(1) + (await asyncio.gather(f(1)))[0]\nassert asyncio.run(main()) == 10", _F),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in RAISED], ids=[c[0] for c in RAISED])
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
