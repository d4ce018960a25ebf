"""What runs on both sides: functions, coroutines and classes of the tests' side that a program uses, and what it prints meanwhile.

Each passes a right program and fails a wrong one.
"""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import LIMITS

CAPTURED = "import io, contextlib\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    "
SHAPE = "from abc import ABC, abstractmethod\nclass Shape(ABC):\n    @abstractmethod\n    def area(self): ...\n    def describe(self): return f'area {self.area()}'\ndef total(shapes): return sum(s.area() for s in shapes)"
NODES = "class ListNode:\n    def __init__(self, val=0, next=None): self.val, self.next = val, next\ndef values(h):\n    out = []\n    while h: out.append(h.val); h = h.next\n    return out"
CIRCLE = "class Circle(Shape):\n def __init__(s, r): s.r = r\n def area(s): return {} * s.r"
MANAGER = "class T:\n def __init__(s, n): s.n = n\n def __enter__(s):\n  print('in', s.n)\n  return s\n def __exit__(s, *a): print({})\n @property\n def x(s):\n  print('read')\n  return s.n\n def __add__(s, o):\n  print('add')\n  return T(s.n + o.n)\n def name(s): return s.n"
WRAPPED = "def f(g):\n def w(*a, **k):\n  print('before')\n  r = g(*a, **k)\n  print({})\n  return r\n return w"
CURRY = (
    "import inspect\ndef f(g):\n n = {}\n def c(*a): return g(*a) if len(a) >= n else lambda *b: c(*a, *b)\n return c"
)
POOL = "from concurrent.futures import ThreadPoolExecutor\ndef f(g, xs):\n with ThreadPoolExecutor(4) as pool: return list(pool.map(g, xs)){}"
RETRY = "import asyncio\nasync def f(g, n):\n for i in range({}):\n  try: return await g()\n  except ValueError:\n   if i == n - 1: raise\n   await asyncio.sleep(0)"
EMITTER = "class E:\n def __init__(s): s.h = []\n def on(s, g): s.h.append(g)\n def off(s, g): {}\n def emit(s, *a):\n  for g in list(s.h): g(*a)"
# fmt: off
# name: (the program, what is right in it, what is wrong, tests, arguments)
STYLES = {
    "calls that are made, and those that are not": ("def f(x):\n if x < 0: raise ValueError\n return {}", "x", "x + 1", ["assert f(1) == 1 or f(-1)", "assert not (f(1) == 2 or f(1) == 3 and f(-1)) and f(2) == 2", "assert f(1) < 2 or f(-1) < f(-2)"], {"entry_point": "f"}),
    "a template": ("def f(x): return {}", "x", "x * 2", ["assert '%s' % f('ab') == 'ab'", "assert '%d' % len(f('ab')) == '2'", "assert f('%s') % 5 == '5'"], {"entry_point": "f"}),
    "what is among what is yielded": ("def f(n):\n for i in range(n): yield {}", "i", "i - 1", ["assert 2 in f(3)", "assert -1 not in f(3) and 1 in f(2)", "assert sum(f(4)) == 6 and max(f(3)) == 2", "assert min(f(3)) == 0 and any(f(2)) and not all(f(2))"], {"entry_point": "f"}),
    "what is printed before an exception": ("def f(x):\n print({})\n raise ValueError('no')", "'x'", "'y'", [CAPTURED + "try: f(1)\n    except ValueError: pass\nassert out.getvalue() == 'x\\n'"], {}),
    "what a generator prints": ("def f(n):\n for i in range(n):\n  print({})\n  yield i", "i", "0", [CAPTURED + "found = list(f(2))\nassert found == [0, 1] and out.getvalue() == '0\\n1\\n'", CAPTURED + "for x in f(2): print('got', x)\nassert out.getvalue() == '0\\ngot 0\\n1\\ngot 1\\n'"], {}),
    "what a coroutine prints": ("async def f(x): print({})", "x", "0", ["import asyncio\n" + CAPTURED + "asyncio.run(f(3))\nassert out.getvalue() == '3\\n'"], {}),
    "what a context manager prints": (MANAGER, "'out', s.n", "'out'", [CAPTURED + "with T(1): print('body')\nassert out.getvalue() == 'in 1\\nbody\\nout 1\\n'"], {"entry_point": "T"}),
    "what a property and an operator print": (MANAGER.replace("'read'", "{}").replace("print({})\n @", "pass\n @"), "'read'", "''", [CAPTURED + "t = T(1) + T(2)\n    x = t.x\nassert x == 3 and out.getvalue() == 'add\\nread\\n'"], {"entry_point": "T"}),
    "what a generator function of contexts prints": ("import contextlib\n@contextlib.contextmanager\ndef f(n):\n print('in')\n yield n\n print({})", "'out'", "'in'", [CAPTURED + "with f(1) as x: print(x)\nassert out.getvalue() == 'in\\n1\\nout\\n'"], {}),
    "what both sides print, in its order": (WRAPPED, "'after'", "'before'", [CAPTURED + "@f\n    def g(): print('inside')\n    g()\nassert out.getvalue() == 'before\\ninside\\nafter\\n'"], {}),
    "a stream that a property and a block write to": ("class L:\n def __init__(s, out): s.out = out\n @property\n def line(s): s.out.write({})\n def __enter__(s): s.out.write('<'); return s\n def __exit__(s, *a): s.out.write('>')\n def put(s, t): s.out.write(t)", "'x'", "'y'", ["import io\nout = io.StringIO()\nwith L(out) as log:\n    log.put('a')\n    log.line\nassert out.getvalue() == '<ax>'"], {"entry_point": "L"}),
    "what stands in the place of the library's while a generator or a coroutine runs": ("import time\ndef f():\n while True:\n  s = input()\n  if s == 'q': return\n  yield {}\nasync def g():\n time.sleep(5)\n return 1", "s", "'a'", ["from unittest.mock import patch\nwith patch('builtins.input', side_effect=['a', 'b', 'q']): assert list(f()) == ['a', 'b']"], {"entry_point": ["f", "g"]}),
    "a warning of a property": ("import warnings\nclass A:\n @property\n def old(s):\n  warnings.warn({}, DeprecationWarning)\n  return 1\n def put(s): pass", "'old'", "'new'", ["import pytest\nwith pytest.warns(DeprecationWarning, match='old'): assert A().old == 1"], {"entry_point": "A"}),
    "a class derived from an abstract one of the task": (CIRCLE, "3", "4", ["c = Circle(2)\nassert c.area() == 6 and c.describe() == 'area 6' and isinstance(c, Shape) and issubclass(Circle, Shape)", "assert total([Circle(1), Circle(2)]) == 9"], {"entry_point": "Circle", "setup": SHAPE}),
    "an object of a derived class that a function returns": (CIRCLE + "\ndef f(k, r): return Circle(r)", "3", "4", ["assert f('circle', 2).area() == 6", "s = f('circle', 2)\nassert s.describe() == 'area 6' and isinstance(s, Shape)"], {"entry_point": "f", "setup": SHAPE}),
    "a method that a derived class has instead": ("class Dog(Animal):\n def speak(s): return s.name + {}", "' woof'", "''", ["d = Dog('Rex')\nassert d.speak() == 'Rex woof' and d.name == 'Rex'"], {"entry_point": "Dog", "setup": "class Animal:\n    def __init__(self, name): self.name = name\n    def speak(self): raise NotImplementedError"}),
    "a derived data class": ("from dataclasses import dataclass\n@dataclass\nclass D(Base):\n y: int = {}", "0", "1", ["assert D(1, 2) == D(1, 2) and D(1, 2) != D(1, 3) and D(1).y == 0"], {"entry_point": "D", "setup": "from dataclasses import dataclass\n@dataclass\nclass Base:\n    x: int"}),
    "a class derived from the task's nodes": ("class Mine(ListNode): pass\nclass Own(ListNode):\n def twice(s): return s.val * 2\ndef f(xs, kind=Mine):\n h = None\n for x in xs: h = kind({}, h)\n return h\ndef g(xs): return f(xs, Own)", "x", "0", ["assert values(f([1, 2])) == [2, 1]", "assert values(g([1, 2])) == [2, 1]"], {"entry_point": ["f", "g"], "setup": NODES}),
    "what an object of the task keeps of a method": ("def f(r): return r.area + {}", "r.w", "0", ["r = R(2)\nassert f(r) == 6 and r.area == 4 and r.w == 2"], {"setup": "import functools\nclass R:\n    def __init__(self, w): self.w = w\n    @functools.cached_property\n    def area(self): return self.w * 2"}),
    "a function that several threads call": (POOL, "", "[::-1]", ["assert f(lambda x: x * x, list(range(30))) == [x * x for x in range(30)]", "import time\ndef slow(x):\n    time.sleep(0.002)\n    return x + 1\nassert f(slow, range(8)) == list(range(1, 9))", "import pytest\ndef bad(x):\n    if x == 3: raise ValueError('three')\n    return x\nwith pytest.raises(ValueError, match='three'): f(bad, range(5))\nassert f(bad, [1, 2]) == [1, 2]"], {}),
    "a function that is given twice": (EMITTER, "s.h.remove(g)", "pass", ["out = []\ne = E()\ndef g(x): out.append(x)\ne.on(g)\ne.emit(5)\ne.off(g)\ne.emit(6)\nassert out == [5]", "class Seen:\n    def __init__(self): self.all = []\n    def add(self, x): self.all.append(x)\ns = Seen()\ne = E()\ne.on(s.add)\ne.emit(5)\ne.off(s.add)\ne.emit(6)\nassert s.all == [5]"], {"entry_point": "E"}),
    "the parameters of a function": (CURRY, "len(inspect.signature(g).parameters)", "2", ["@f\ndef add(a, b, c): return a + b + c\nassert add(1)(2)(3) == 6 and add(1, 2)(3) == 6"], {}),
    "the code of a function": (CURRY, "g.__code__.co_argcount", "2", ["assert f(lambda a, b, c: a + b + c)(1)(2)(3) == 6"], {}),
    "the annotations of a function": ("def f(g):\n def w(*a):\n  for (n, t), x in zip(g.__annotations__.items(), a):\n   if not isinstance(x, {}): raise TypeError(n)\n  return g(*a)\n return w", "t", "object", ["import pytest\n@f\ndef g(a: int, b: str) -> str: return b * a\nassert g(2, 'x') == 'xx'\nwith pytest.raises(TypeError, match='^a$'): g('a', 'b')"], {}),
    "defaults and kinds of parameters": ("import inspect\ndef f(g):\n def w(*a, **k):\n  b = inspect.signature(g).bind(*a, **k)\n  return g(*b.args{})\n return w", ", **b.kwargs", "", ["@f\ndef g(a, b=5, *c, d=7, **e): return a, b, c, d, e\nassert g(1) == (1, 5, (), 7, {}) and g(1, 2, 3, d=4, z=1) == (1, 2, (3,), 4, {'z': 1}) and g(1, d=3) == (1, 5, (), 3, {})", "import pytest\n@f\ndef g(a, /, b, *, c=3): return a, b, c\nassert g(1, b=2) == (1, 2, 3) and g(1, 2, c=9) == (1, 2, 9)\nwith pytest.raises(TypeError): g(1)"], {}),
    "an exception of the tests that passes through": ("def f(g):\n def w(*a):\n  try: return g(*a)\n  {}\n return w", "finally: pass", "except Exception: return 1", ["import pytest\nclass Own(Exception):\n    def __init__(self, code): super().__init__(f'c{code}'); self.code = code\n@f\ndef g(): raise Own(7)\nwith pytest.raises(Own) as e: g()\nassert e.value.code == 7 and str(e.value) == 'c7'", "import pytest\n@f\ndef g(): raise KeyError('k')\nwith pytest.raises(KeyError) as e: g()\nassert e.value.args == ('k',)"], {}),
    "an exception of a kind that the tests derive": ("def f(g, n=3):\n for i in range(n):\n  try: return g()\n  except ValueError:\n   if i == {}: raise", "n - 1", "0", ["class Own(ValueError): pass\nseen = []\ndef g():\n    seen.append(1)\n    if len(seen) < 3: raise Own('no')\n    return 9\nassert f(g) == 9"], {}),
    "a coroutine function": (RETRY, "n", "1", ["import asyncio\nseen = []\nasync def g():\n    seen.append(1)\n    await asyncio.sleep(0)\n    if len(seen) < 3: raise ValueError('x')\n    return 'ok'\nassert asyncio.run(f(g, 3)) == 'ok'"], {}),
    "coroutines": ("import asyncio\nasync def f(cs): return (await asyncio.gather(*cs)){}", "", "[::-1]", ["import asyncio\nasync def g(x):\n    await asyncio.sleep(0.001)\n    return x * 2\nassert asyncio.run(f([g(1), g(2)])) == [2, 4]\nasync def main(): assert await f([g(3), g(4)]) == [6, 8]\nasyncio.run(main())"], {}),
    "what is a coroutine function": ("import inspect, asyncio\ndef f(g, x): return asyncio.run(g(x)) if inspect.iscoroutinefunction(g) else {}", "g(x)", "x", ["async def g(x): return x\nassert f(g, 3) == 3 and f(lambda x: -x, 3) == -3"], {}),
    "a container that the tests change in an attribute": ("class C:\n def __init__(s): s.l, s.d = [3, 1], dict()\n def first(s): return {}\n def size(s): return len(s.l) + len(s.d)", "s.l[0]", "3", ["c = C()\nc.l.sort()\nassert c.first() == 1", "c = C()\nc.l[0] = 7\nc.d['a'] = 1\nassert c.first() == 7 and c.size() == 3", "c = C()\nheld = c.l\nheld.append(9)\nassert c.l == [3, 1, 9] and c.l is held\ndel held[0]\nassert c.first() == 1"], {"entry_point": "C"}),
    "nodes that the tests join": ("class Node:\n def __init__(s, v): s.val, s.near = v, []\ndef clone(n, done=None):\n done = dict() if done is None else done\n if n not in done:\n  done[n] = Node({})\n  done[n].near += [clone(m, done) for m in n.near]\n return done[n]", "n.val", "0", ["a, b = Node(1), Node(2)\na.near.append(b)\nb.near.append(a)\nx = clone(a)\nassert x is not a and x.val == 1 and x.near[0].val == 2 and x.near[0].near[0] is x"], {"entry_point": ["clone", "Node"]}),
    "what an attribute holds, and a copy of it": ("class S:\n def __init__(s): s.i = []\n @property\n def items(s): return list(s.i)\n def push(s, x): s.i.append({})", "x", "0", ["s = S()\nbefore = s.items\ns.push(1)\nassert before == [] and s.items == [1]"], {"entry_point": "S"}),
    "a list that an object keeps": ("class L:\n def __init__(s, out): s.out = out\n def log(s, m): s.out.append({})", "m", "0", ["out = []\nlog = L(out)\nlog.log('a')\nassert out == ['a']\nout.clear()\nlog.log('b')\nassert out == ['b'] and log.out is out"], {"entry_point": "L"}),
    "a list that a block, a generator and a closure keep": ("import contextlib\n@contextlib.contextmanager\ndef f(log):\n log.append('a')\n yield 7\n log.append({})\ndef g(q):\n while q: yield q.pop(0)\ndef h(cache):\n def square(n):\n  if n not in cache: cache[n] = n * n\n  return cache[n]\n return square", "'b'", "'c'", ["log = []\nwith f(log) as x: assert x == 7\nassert log == ['a', 'b']\nq = [1, 2]\nitems = g(q)\nassert next(items) == 1 and q == [2]\nq.append(5)\nassert list(items) == [2, 5] and q == []\ncache = {}\nassert h(cache)(3) == 9 and cache == {3: 9}"], {"entry_point": ["f", "g", "h"]}),
    "the source of a function": ("import math\ndef f(x): return {}", "math.prod(x)", "x[0]", ["import inspect\nassert 'for' not in inspect.getsource(f)\nassert f([2, 3]) == 6"], {}),
    "a weak reference": ("class N:\n def __init__(s, v): s.v = v\n def size(s): return {}", "s.v", "0", ["import weakref\nn = N(1)\nr = weakref.ref(n)\nassert r() is n and n.size() == 1"], {"entry_point": "N"}),
    "calls back and forth to the end of the stack": ("def f(cb): return cb(lambda: {})", "f(cb)", "0", ["import pytest\nwith pytest.raises(RecursionError): f(lambda g: g())\nassert f(lambda g: 5) == 5", "calls = []\ndef cb(g):\n    calls.append(1)\n    return 7 if len(calls) == 40 else g()\nassert f(cb) == 7", "import pytest\ndef again(n): return again(f(lambda g: n + 1))\nwith pytest.raises(RecursionError): again(0)\ncalls = []\ndef cb(g):\n    calls.append(1)\n    return 7 if len(calls) == 2 else g()\nassert f(cb) == 7"], {}),
    "a program at the end of its stack that calls back": ("def f(cb): return cb() or {}", "f(cb)", "0", ["import pytest\nwith pytest.raises(RecursionError): f(lambda: 0)\nassert f(lambda: 5) == 5"], {}),
}
# fmt: on


@pytest.mark.parametrize("name", STYLES)
def test_a_right_program_passes_and_a_wrong_one_fails(any_sandbox, name):
    program, right, wrong, tests, arguments = STYLES[name]
    given = {"entry_point": "f", **arguments}
    result = any_sandbox.run_tests(program.replace("{}", right), tests, limits=LIMITS, **given)
    assert [found.reason for found in result.tests if not found.passed] == []
    assert not any(
        found.passed
        for found in any_sandbox.run_tests(program.replace("{}", wrong), tests, limits=LIMITS, **given).tests
    )
