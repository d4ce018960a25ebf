"""What of the library programs hand over and raise, and tests execute: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from .corpus import LIMITS

WARNS = "class Old(UserWarning): pass\nimport warnings\ndef f(x): warnings.warn('old', Old)"
# (name, a right program, a wrong one or None, tests, arguments)
# fmt: off
LIBRARY: list[tuple[str, str, str | None, list[str], dict[str, Any]]] = [
 ('memoryview eq', 'def f(b): return memoryview(b)[1:]', 'def f(b): return memoryview(b)', ["assert f(b'abc') == b'bc' and len(f(b'abc')) == 2"], {}),
 ('timezone result', 'from datetime import *\ndef f(): return timezone.utc', None, ['from datetime import timezone\nassert f() == timezone.utc'], {}),
 ('zip result', 'def f(a, b): return zip(a, b)', 'def f(a,b): return []', ["assert list(f([1,2],[3,4])) == [(1,3),(2,4)]\nassert dict(f('ab',[1,2])) == {'a':1,'b':2}"], {}),
 ('regex lastindex', "import re\ndef f(s): return re.search(r'(a)(b)?', s)", 'def f(s): return None', ["m = f('a')\nassert m.lastindex == 1 and m.re.pattern == r'(a)(b)?'"], {}),
 ('pickle own', 'class P:\n def __init__(s, x): s.x=x', None, ['import pickle\np = pickle.loads(pickle.dumps(P(3)))\nassert p.x == 3'], {}),
 ('frozen dc', 'from dataclasses import dataclass\n@dataclass(frozen=True)\nclass P:\n x: int = 0', 'class P:\n def __init__(s, x=0): s.x=x', ['import pytest, dataclasses\np = P(1)\nwith pytest.raises(dataclasses.FrozenInstanceError):\n    p.x = 2\nassert p == P(1)'], {}),
 ('namedtuple replace', "from collections import namedtuple\nP = namedtuple('P', 'x y')\ndef f(): return P(1, 2)", 'def f(): return (1, 3)', ["p = f()\nassert p.x == 1 and p._replace(x=5) == (5, 2) and p._asdict() == {'x': 1, 'y': 2}"], {'entry_point': 'f'}),
 ('heapq in test', 'class T:\n def __init__(s, p): s.p = p\n def __lt__(s, o): return s.p < o.p', 'class T:\n def __init__(s, p): s.p = p\n def __lt__(s, o): return False', ['import heapq\nh = [T(3), T(1), T(2)]\nheapq.heapify(h)\nassert [heapq.heappop(h).p for _ in range(3)] == [1, 2, 3]'], {}),
 ('deque', 'from collections import deque\ndef f(): return deque([1,2], maxlen=2)', 'def f(): return 0', ['d = f()\nd.append(3)\nassert list(d) == [2, 3] and d.maxlen == 2'], {}),
 ('chainmap', "from collections import ChainMap\ndef f(): return ChainMap({'a': 1}, {'b': 2})", 'def f(): return {}', ["assert dict(f()) == {'a': 1, 'b': 2} and f()['b'] == 2"], {}),
 ('mappingproxy', "from types import MappingProxyType\ndef f(): return MappingProxyType({'a': 1})", 'def f(): return {}', ["assert f()['a'] == 1 and dict(f()) == {'a': 1}"], {}),
 ('exception group', "def f(): raise ExceptionGroup('g', [ValueError('a'), TypeError('b')])", "def f(): raise ValueError('a')", ['try:\n    f()\n    assert False\nexcept ExceptionGroup as g:\n    assert len(g.exceptions) == 2 and isinstance(g.exceptions[0], ValueError)'], {}),
 ('except star', "def f(): raise ExceptionGroup('g', [ValueError('a'), TypeError('b')])", 'def f(): pass', ["got = []\ntry:\n    f()\nexcept* ValueError as g: got.append('v')\nexcept* TypeError as g: got.append('t')\nassert got == ['v', 't']"], {}),
 ('mock any', 'class P: pass\ndef f(x): return [P(), x]', 'class P: pass\ndef f(x): return [P(), 0]', ['from unittest.mock import ANY\nassert f(2) == [ANY, 2]'], {}),
 ('typeerror of class order', "class M:\n def __init__(s, a): s.a = a\n def __lt__(s, o):\n  if not isinstance(o, M): raise TypeError('no')\n  return s.a < o.a", 'class M:\n def __init__(s, a): s.a = a\n def __lt__(s, o): return True', ['import pytest\nwith pytest.raises(TypeError): M(1) < 5\nassert M(1) < M(2)'], {}),
 ('typeerror of class add', 'class M:\n def __init__(s, a): s.a = a\n def __add__(s, o):\n  if not isinstance(o, M): return NotImplemented\n  return M(s.a + o.a)', 'class M:\n def __init__(s, a): s.a = a\n def __add__(s, o): return 0', ['import pytest\nwith pytest.raises(TypeError): M(1) + 5\nassert (M(1) + M(2)).a == 3'], {}),
 ('assertCountEqual objs', 'class P:\n def __init__(s, x): s.x=x\n def __eq__(s,o): return s.x==o.x\n def __hash__(s): return hash(s.x)', 'class P:\n def __init__(s, x): s.x=x', ['import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertCountEqual([P(1), P(2)], [P(2), P(1)])\nunittest.main()'], {}),
 ('type result', 'def f(x): return type(x)', 'def f(x): return str', ['assert f(1) is int', 'assert f(1) == int', 'x = f(1)\nassert x is int and x == int and x != float', 'assert f([]) in (list, tuple)', "r=f(1)\nassert r.__name__ == 'int'"], {'entry_point': 'f'}),
 ('exception class result', 'def f(x): return ValueError if x else KeyError', 'def f(x): return KeyError', ['assert f(1) is ValueError', 'x=f(1)\nassert x == ValueError and f(0) is KeyError'], {'entry_point': 'f'}),
 ('json error', 'import json\ndef f(s): return json.loads(s)', "def f(s): raise ValueError('x')", ["import json, pytest\nwith pytest.raises(json.JSONDecodeError): f('{')"], {}),
 ('decimal error', 'from decimal import Decimal\ndef f(s): return Decimal(s)', 'def f(s): raise ValueError(s)', ["import decimal\ntry:\n    f('x')\n    assert False\nexcept decimal.InvalidOperation: pass"], {}),
 ('decimals of any size', "from decimal import Decimal\ndef f(n): return Decimal(f'1E{n}')", "from decimal import Decimal\ndef f(n): return Decimal(f'-1E{n}')", ["from decimal import Decimal\nassert f('+999999999') == Decimal('1E+999999999')", "assert f('+999999999') > 5 and float(f('+999999999')) > 5", "assert 0 < f('-999999999') < 1", "from decimal import Decimal\nassert {f('+20000'): 1} == {Decimal('1E+20000'): 1}"], {'entry_point': 'f'}),
 ('queue empty', 'import queue\ndef f():\n q = queue.Queue()\n return q.get_nowait()', 'def f(): raise IndexError', ['import queue, pytest\nwith pytest.raises(queue.Empty): f()'], {}),
 ('subclass of library error', "import json\nclass BadDoc(json.JSONDecodeError): pass\ndef f(s): raise BadDoc('bad', s, 0)", "class BadDoc(ValueError): pass\ndef f(s): raise BadDoc('bad')", ["import json\ntry:\n    f('x')\n    assert False\nexcept json.JSONDecodeError as e:\n    assert e.msg == 'bad' and e.pos == 0"], {}),
 ('oserror errno', "def f(): raise FileNotFoundError(2, 'No such file', 'x.txt')", "def f(): raise OSError('x')", ["import pytest\nwith pytest.raises(FileNotFoundError) as e: f()\nassert e.value.errno == 2 and e.value.filename == 'x.txt'"], {}),
 ('timeout', 'import asyncio\nasync def f(): await asyncio.sleep(5)', 'async def f(): return 1', ['import asyncio, pytest\nwith pytest.raises(asyncio.TimeoutError):\n    asyncio.run(asyncio.wait_for(f(), 0.05))'], {}),
 ('array', "from array import array\ndef f(): return array('i', [1,2])", 'def f(): return [1]', ["from array import array\nassert f() == array('i', [1,2]) and f().typecode == 'i' and f().tolist() == [1,2]"], {}),
 ('path arg', 'def f(p): return p.stem', "def f(p): return 'x'", ["from pathlib import Path\nassert f(Path('/a/hello.py')) == 'hello'"], {}),
 ('annotations', "def f(x: int, y: str = 'a') -> bool: return True", None, ["assert f.__annotations__['x'] is int and f.__annotations__['return'] is bool"], {}),
 ('docstring', "def f():\n 'Does it.'", None, ["assert f.__doc__ == 'Does it.'"], {}),
 ('typevar generic', "from typing import Generic, TypeVar\nT = TypeVar('T')\nclass Box(Generic[T]):\n def __init__(s, v: T): s.v = v\n def get(s) -> T: return s.v", 'class Box:\n def __init__(s, v): s.v=0\n def get(s): return 0\n def __class_getitem__(c, k): return c', ['b = Box[int](5)\nassert b.get() == 5 and b.v == 5'], {}),
 ('subtest expected', 'from dataclasses import dataclass\n@dataclass\nclass P:\n x: int\n y: int\ndef f(a): return P(a, a + 1)', 'from dataclasses import dataclass\n@dataclass\nclass P:\n x: int\n y: int\ndef f(a): return P(0, 0)', ['import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        for i in (1, 2):\n            with self.subTest(i=i): self.assertEqual(f(i), P(i, i + 1))\nunittest.main()', 'try:\n    assert f(1) == P(1, 2)\nexcept ValueError:\n    assert False'], {'entry_point': 'f'}),
 ('eval repr', "class P:\n def __init__(s, x): s.x=x\n def __repr__(s): return f'P({s.x!r})'\n def __eq__(s, o): return s.x == o.x", "class P:\n def __init__(s, x): s.x=x\n def __repr__(s): return 'P(0)'\n def __eq__(s, o): return s.x == o.x", ["p = P('a')\nassert eval(repr(p)) == p"], {}),
 ('eval expression', "def f(a, b): return f'{a} + {b} * (2 - 1)'", "def f(a, b): return '1'", ['assert eval(f(3, 4)) == 7'], {}),
 ('eval own', 'def f(x): return x * 2', 'def f(x): return 0', ['for s, w in [(\'f(2)\', 4), (\'f("a")\', \'aa\')]:\n    assert eval(s) == w\nx = 3\nassert eval(\'f(x)\') == 6 and eval(f\'f({x})\') == 6'], {'entry_point': 'f'}),
 ('pickle roundtrip', 'import pickle\ndef f(o): return pickle.dumps(o)', 'import pickle\ndef f(o): return pickle.dumps(0)', ["import pickle\nfrom collections import OrderedDict\nassert pickle.loads(f({'a': [1, (2, {3})]})) == {'a': [1, (2, {3})]}"], {}),
 ('exec own', 'def f(x): return x + 1', 'def f(x): return 0', ["ns = {'f': f}\nexec('y = f(1)', ns)\nassert ns['y'] == 2"], {}),
 ('iterators of the library', 'def f(xs): return list(xs)', 'def f(xs): return list(xs)[1:]', ["import itertools\nassert f(itertools.product([1, 2], [3])) == [(1, 3), (2, 3)]", "import itertools\nassert f(itertools.permutations([1, 2])) == [(1, 2), (2, 1)]", "import itertools\nassert f(itertools.takewhile(lambda x: x < 3, itertools.accumulate([1, 1, 1]))) == [1, 2]", "import re\nassert [m.group() for m in f(re.finditer('a', 'aba'))] == ['a', 'a']", "from collections import deque\nassert f(iter(deque([1, 2]))) == [1, 2]", "left = [3, 2, 1]\nassert f(iter(left.pop, 3)) == [1, 2]", "import csv, io\nassert f(csv.reader(io.StringIO('a,b'))) == [['a', 'b']]"], {'entry_point': 'f'}),
 ('a kind of warning', WARNS, WARNS.replace("'old', Old", "'old', UserWarning"), ["import pytest\nwith pytest.warns(Old, match='old'): f(1)", "import warnings\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always')\n    f(1)\nassert [(x.category.__name__, str(x.message)) for x in w] == [('Old', 'old')] and issubclass(w[0].category, Old)", "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        with self.assertWarns(Old) as w: f(1)\n        self.assertEqual(str(w.warning), 'old')\nunittest.main(exit=False)", "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('error', Old)\n    try: f(1)\n    except Old as w: assert w.args == ('old',)\n    else: assert False"], {'entry_point': 'f'}),
 ("a kind of warning of the task's", WARNS.partition('\n')[2], WARNS.partition('\n')[2].replace("'old', Old", "'old', UserWarning"), ["import pytest\nwith pytest.warns(Old, match='old'): f(1)"], {'entry_point': 'f', 'setup': WARNS.partition('\n')[0]}),
 ('a warning that is an error there', "import warnings\nclass W(UserWarning, ValueError): pass\ndef f(x): warnings.warn(W('old'))", "import warnings\ndef f(x): warnings.warn('new')", ["import warnings, pytest\nwith warnings.catch_warnings():\n    warnings.simplefilter('error')\n    with pytest.raises(ValueError, match='old'): f(1)", "import warnings\nwith warnings.catch_warnings():\n    warnings.simplefilter('error')\n    try: f(1)\n    except ValueError as w: assert str(w) == 'old'\n    else: assert False"], {'entry_point': 'f'}),
 ('who shows warnings', "import warnings\ndef f(x): warnings.warn('old')", "import warnings\ndef f(x): warnings.warn('new')", ["import warnings\nshown = []\nwith warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.showwarning = lambda message, *a, **k: shown.append(str(message))\n    f(1)\nassert shown == ['old']", "import warnings, pytest\ndef show(message, *a, **k): assert str(message) != 'old'\nwith warnings.catch_warnings():\n    warnings.simplefilter('always')\n    warnings.showwarning = show\n    with pytest.raises(AssertionError): f(1)"], {'entry_point': 'f'}),
 ('a stream that takes nothing', "def f(x):\n print('x')\n return x", "def f(x):\n return x", ["import io, contextlib, pytest\nout = io.StringIO()\nout.close()\nwith contextlib.redirect_stdout(out):\n    with pytest.raises(ValueError): f(1)", "import io, sys, pytest\nclass S(io.StringIO):\n    def write(s, t): raise BlockingIOError\nsys.stdout = S()\nwith pytest.raises(BlockingIOError): f(1)"], {'entry_point': 'f'}),
 ('bytes of the input', 'import sys\ndef f(): return [int(sys.stdin.buffer.readline()), int(sys.stdin.buffer.read(1))]', 'import sys\ndef f(): return [int(sys.stdin.buffer.readline()), 0]', ["import io, sys\nsys.stdin = io.TextIOWrapper(io.BytesIO(b'2\\n3\\n4\\n'))\nassert f() == [2, 3] and sys.stdin.read() == '\\n4\\n'"], {'entry_point': 'f'}),
 ('lines in the place of the input', 'import sys\ndef f(): return sum(map(int, sys.stdin))', 'import sys\ndef f(): return int(next(iter(sys.stdin)))', ["from unittest.mock import patch\nwith patch('sys.stdin', ['1\\n', '2\\n']): assert f() == 3", "import sys\nsys.stdin = iter(['1\\n', '2\\n'])\nassert f() == 3"], {'entry_point': 'f'}),
 ('a mock in the place of the input', 'import sys\ndef f(): return sys.stdin.readline() + sys.stdin.readline()', 'import sys\ndef f(): return sys.stdin.readline() * 2', ["from unittest.mock import patch\nwith patch('sys.stdin') as i:\n    i.readline.side_effect = ['1', '2']\n    assert f() == '12'"], {'entry_point': 'f'}),
 ('a long text of an exception', "class E(Exception): pass\ndef f(n): raise E('x' * n)", "class E(Exception): pass\ndef f(n): raise E('x' * 500)", ["try: f(3000)\nexcept E as e: assert str(e) == 'x' * 3000\nelse: assert False"], {'entry_point': 'f'}),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "wrong", "tests", "arguments"), [c[1:] for c in LIBRARY], ids=[c[0] for c in LIBRARY]
)
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, tests, arguments):
    for test in tests:
        result = any_sandbox.run_tests(right, [test], limits=LIMITS, **arguments)
        assert result.passed, (test, result.reason)
        assert wrong is None or not any_sandbox.run_tests(wrong, [test], limits=LIMITS, **arguments).passed, test
