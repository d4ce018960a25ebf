"""Text and pickles that tests execute, and answers that only fail to be data: (name, program, tests, arguments).

`EXECUTED`: what a program hands over must not run in the tests' process. `REFUSED`: that an object is no data fails a test,
whatever clause of the test takes a TypeError.
"""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

F = {"entry_point": "f"}
_EQUAL = "type('X',(),{'__eq__':lambda s,o: True,'__call__':lambda s,*a:s})()"
_PICKLE = "import pickle\nclass Evil:\n def __reduce__(s): return (eval, (TEXT,))\ndef f(*a): return pickle.dumps(Evil())".replace(
    "TEXT", repr(_EQUAL)
)
_LABEL = "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve'].Server\nS._told = lambda s, e, d=0: [[{!r}], 'x', [[], {{'~':'dict','v':[]}}], [False, None, None], None]\ndef f(*a): raise ValueError"
_CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        "
# fmt: off
EXECUTED: list[Attack] = [
 ("text that is evaluated", f"def f(*a): return {_EQUAL!r}", ["assert eval(f(1)) == 5", "x = eval(f(1))\nassert x == 5", "import math\nassert eval(f(2), {'math': math}) == 7", "r = eval(f(3))\nassert r(4) == 4", "assert eval(compile(f(1), 's', 'eval')) == 5", "run = eval\nassert run(f(1)) == 5", "import builtins\nassert builtins.eval(f(1)) == 5", "from builtins import eval as e\nassert e(f(1)) == 5", "import sys\nassert sys.modules['builtins'].eval(f(1)) == 5", "class T:\n    v = eval(f(1))\nassert T.v == 5", "assert list(map(eval, [f(1)])) == [5]", "exec('x = eval(f(1))', {'f': f, 'eval': eval})\nassert eval(f(1), {}) == 5"], F),
 ("a name of the tests", "def f(*a): return 'expected'", ["expected = 5\nassert eval(f(1)) == expected", "def t():\n    expected = [1]\n    assert eval(f(1)) == expected\nt()", "expected = 5\nassert eval(f(1), {'expected': expected}) == expected", "expected = 5\nassert eval(f(1), globals()) == expected"], F),
 ("an attribute by text", "def f(*a): return '(1).__class__.__mro__'", ["assert eval(f(1))", "assert not eval(f(1)) == 5"], F),
 ("text that is executed", f"def f(*a): return 'g = ' + {_EQUAL!r}", ["ns = {}\nexec(f(1), ns)\nassert ns['g'] == 5", "exec(compile(f(1), 's', 'exec'))\nassert g == 5", "try:\n    exec(f(1))\nexcept TypeError: pass", "import types\nns = {}\ntypes.FunctionType(compile(f(1), 's', 'exec'), ns)()\nassert ns['g'] == 5", "import code\ni = code.InteractiveInterpreter()\ni.runsource(f(1))\nassert i.locals['g'] == 5"], F),
 ("built-ins that are patched by text", "def f(*a): return 'import builtins\\nbuiltins.abs = lambda x: 0'", ["exec(f(1), {})\nx = f(2)\nassert abs(3 - 5) < 1"], F),
 ("a pickle", _PICKLE, ["import pickle\nassert pickle.loads(f(1)) == 5", "from pickle import loads\nassert loads(f(1)) == 5", "import pickle, io\nassert pickle.load(io.BytesIO(f(1))) == 5", "import pickle, io\nassert pickle.Unpickler(io.BytesIO(f(1))).load() == 5", "import pickle\nassert pickle.loads(bytearray(f(1))) == 5"], F),
 ("a pickle as text", _PICKLE.replace("return pickle", "import base64; return base64.b64encode(pickle").replace("Evil())", "Evil())).decode()"), ["import pickle, base64\nassert pickle.loads(base64.b64decode(f(1))) == 5"], F),
 ("an attribute in a pickle", "from collections import OrderedDict\nimport pickle\ndef f(*a):\n d = OrderedDict()\n d.startswith = str\n return pickle.dumps(d)", ["import pickle\nassert pickle.loads(f(1)).startswith('hello')"], F),
 ("code in a marshalled value", "import marshal\ndef f(*a): return marshal.dumps(compile('1', 's', 'eval'))", ["import marshal\nassert eval(marshal.loads(f(1))) == 1", "import marshal, types\nassert types.FunctionType(marshal.loads(f(1)), {})() == 1"], F),
 *((f"an exception that says it is {label}", _LABEL.format(label), tests, F) for label, tests in (
  ("builtins:AssertionError", ["try:\n    assert f(1) == 5\n    raise ValueError\nexcept AssertionError: pass"]),
  ("builtins:SystemExit", ["x = f(1)\nassert x == 5"]),
  ("builtins:StopIteration", ["assert all(map(f, [1, 2]))", "for r in map(f, [1]): assert r == 5"]),
  ("unittest.case:SkipTest", [_CASE + "self.assertEqual(f(1), 5)\nunittest.main(exit=False)"]),
  ("unittest.case:_ShouldStop", [_CASE + "self.assertEqual(f(1), 5)\nunittest.main(exit=False)"]),
  ("asyncio.exceptions:CancelledError", ["import asyncio\nasync def m(): assert f(1) == 5\nasync def n():\n    t = asyncio.create_task(m())\n    await asyncio.wait([t])\nasyncio.run(n())"]),
  ("os:system", ["x = f(1)\nassert x == 5"]),
 )),
 ("a group of exceptions", "def f(*a): raise ExceptionGroup('g', [StopIteration(), AssertionError('x'), ValueError('y')])", ["assert all(f(x) for x in [1])", "try:\n    assert f(1) == 5\nexcept* ValueError: pass", "try:\n    assert f(1) == 5\nexcept* (ValueError, StopIteration): pass", _CASE + "try: self.assertEqual(f(1), 5)\n        except* ValueError: pass\nunittest.main(exit=False)"], F),
 ("an object that says it is a type", "import sys\nS = sys.modules['_grpo_kit_sandbox.inside.serve']\nS.OPERATIONS['builtin'] = lambda o: 'int'\nclass W: pass\ndef f(*a): return W()", ["x = f(1)\nassert x == 5", "x = f(1)\nassert x == str", "assert f(1) in (str, float)"], F),
 ("mappings that hold objects", "from collections import ChainMap\nfrom types import MappingProxyType\nclass W:\n __eq__ = lambda s,o: True\n __ne__ = lambda s,o: False\ndef f(n): return [ChainMap({'a': W()}), MappingProxyType({'a': W()})][n]", [t.replace("N", n) for n in "01" for t in ("assert f(N) == {'a': 5}", "x=f(N)\nassert x['a'] == 5", "assert 5 in f(N).values()", "assert f(N)['a']")], F),
 ("a mapping for dict", "class W:\n def keys(s): return ['a']\n def __getitem__(s, k): return 5\n def __iter__(s): return iter([('a', 6)])\ndef f(*a): return W()", ["assert dict(f(1)) == {'a': 5}", "d = {}\nd.update(f(1))\nassert d == {'a': 5}"], F),
 ("a mock's counterpart", "class W:\n __eq__ = lambda s,o: True\ndef f(*a): return W()", ["from unittest.mock import call\nassert f(1) == call(5)", "from unittest.mock import Mock\nassert f(1) == Mock()", "from unittest.mock import sentinel\nassert f(1) == sentinel.x"], F),
 ("a documentation", "def f(*a): return 1\nf.__doc__ = 'x'", ["assert f.__doc__ == 'Does it'", "assert 'int' in f.__doc__"], F),
 ("an equality that only assertEqual asks", "class P:\n def __init__(s, x): s.x = x", [_CASE + "self.assertEqual(P(1), P(1))\nunittest.main()", _CASE + "self.assertCountEqual([P(1), P(2)], [P(2), P(1)])\nunittest.main()", _CASE + "self.assertIn(P(1), [P(1)])\nunittest.main()"], {}),
]
_ALL = "class W:\n __eq__ = __lt__ = __gt__ = __contains__ = lambda s,o: True\n __bool__ = lambda s: True\n def __getitem__(s, i): return W()\n def __iter__(s): return iter([1])\n def __add__(s, o): return 0\ndef f(*a): return W()"
REFUSED: list[Attack] = [
 ("an answer where a TypeError is wanted", _ALL, ["try:\n    assert f('a') == 0\nexcept TypeError:\n    pass", "import pytest\nwith pytest.raises(TypeError):\n    assert f('a') == 0", _CASE + "with self.assertRaises(TypeError): self.assertEqual(f('a'), 5)\nunittest.main()", "try:\n    f('a') == 0\n    assert False\nexcept TypeError:\n    pass", "def raises(fn, *a):\n    try:\n        x = fn(*a) == 3\n    except Exception:\n        return True\n    return False\nassert raises(f, 1)", "ok = False\ntry:\n    if f('a') > 0: ok = False\nexcept TypeError:\n    ok = True\nassert ok", "import pytest\nwith pytest.raises(TypeError):\n    sorted([f(1), f(2)])", "import pytest\nwith pytest.raises(TypeError):\n    bool(f(1))", "import contextlib\nwith contextlib.suppress(TypeError):\n    assert f(1) == 3", "try:\n    assert 3 in f(1)[0]\nexcept TypeError: pass", "try:\n    assert f(1).startswith('x')\nexcept Exception as e: assert not isinstance(e, AssertionError)"], F),
 *(("parameters of a class that are none", f"import sys\nM = sys.modules['_grpo_kit_sandbox.inside.operations']\nM._parameters = lambda k: {lie}\nM._attributes = lambda *a: [1]\nclass P:\n def __init__(s, *a): s.x = 1\ndef f(*a): return P()", ["assert f(1) == P(5)", "try:\n    assert f(1) == P(5)\nexcept (TypeError, ValueError, AttributeError): pass"], F) for lie in ("5", "[[[1], []]]", "None", "'ab'", "[['x', [5]]]")),
 ("an order with data, and none to be had", "class M:\n def __init__(s, a): s.a = a\n def __lt__(s, o): return True\n __gt__ = __lt__\n def __add__(s, o): return 0", ["import pytest\nm = M(1)\nm.a\nwith pytest.raises(TypeError): m < 5", "m = M(1)\nm.a\ntry:\n    m > 5\n    assert False\nexcept TypeError: pass", "import pytest\nm = M(1)\nm.a\nwith pytest.raises(TypeError): m + 5"], {}),
 ("a field that is a function", "from collections import namedtuple\nR = namedtuple('R', 'count')\ndef f(*a): return R(lambda *a: 3)", ["try:\n    assert f(1).count(5) == 3\nexcept TypeError: pass"], F),
]
# fmt: on
