"""Streams, variables of the program and helpers of the tests: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import LIMITS

# fmt: off
GIVEN = [
 ('what is taken off again', 'class Emitter:\n def __init__(s): s.h = []\n def on(s, f): s.h.append(f); return f\n def off(s, f): s.h.remove(f)\n def emit(s, x):\n  for f in s.h: f(x)\n', 'class Emitter:\n def __init__(s): s.h = []\n def on(s, f): s.h.append(f); return f\n def off(s, f): pass\n def emit(s, x):\n  for f in s.h: f(x)\n', 'from unittest.mock import Mock\nclass L:\n    def __init__(self): self.out = []\n    def hear(self, x): self.out.append(x)\ne, m, out, l = Emitter(), Mock(), [], L()\nfor g in (m, out.append, l.hear): e.on(g)\ne.emit(1)\nfor g in (m, out.append, l.hear): e.off(g)\ne.emit(2)\nm.assert_called_once_with(1)\nassert out == l.out == [1]', {'entry_point': 'Emitter'}),
 ('a function of the tests comes back', 'class Emitter:\n def __init__(s): s.h = []\n def on(s, f): s.h.append(f); return f\n def off(s, f): s.h.remove(f)\n def emit(s, x):\n  for f in s.h: f(x)\n', 'class Emitter:\n def __init__(s): s.h = []\n def on(s, f): s.h.append(f); return lambda x: f(x)\n def off(s, f): s.h.remove(f)\n def emit(s, x):\n  for f in s.h: f(x)\n', 'e, out = Emitter(), []\n@e.on\ndef hear(x): out.append(x)\nassert e.on(hear) is hear and e.h == [hear, hear]\nhear(1)\nassert out == [1]', {'entry_point': 'Emitter'}),
 ('a function of the tests with an attribute', 'def tag(g):\n g.tag = 1\n return g', 'def tag(g): return g', '@tag\ndef h(x): return x + 1\nassert h.tag == 1 and h(2) == 3', {'entry_point': 'tag'}),
 ('one iterator twice', 'def f(a, b): return a is b, list(zip(a, b))', 'def f(a, b): return False, []', 'i = iter([1, 2, 3, 4])\nassert f(i, i) == (True, [(1, 2), (3, 4)])', {'entry_point': 'f'}),
 ('object of a class in the test', 'def f(n): return n.v + 1', 'def f(n): return 0', 'class Node:\n    def __init__(self, v, next=None): self.v = v; self.next = next\nassert f(Node(1)) == 2', {'entry_point': 'f'}),
 ('linked list of a class in the test', 'def f(h):\n p = None\n while h: h.next, p, h = p, h, h.next\n return p', 'def f(h): return h', 'class Node:\n    def __init__(self, v, next=None): self.v = v; self.next = next\nh = f(Node(1, Node(2, Node(3))))\nr = []\nwhile h: r.append(h.v); h = h.next\nassert r == [3, 2, 1]', {'entry_point': 'f'}),
 ('class in both', 'class Node:\n def __init__(s, v): s.v = v; s.next = None\ndef f(h):\n n = Node(0); n.next = h\n return n if isinstance(h, Node) else None', 'def f(h): return h', 'class Node:\n    def __init__(self, v, next=None): self.v = v; self.next = next\nn = Node(1)\nh = f(n)\nassert h.v == 0 and h.next is n and h.next.v == 1', {'entry_point': 'f'}),
 ('data class in the test', 'import dataclasses\ndef f(p): return dataclasses.replace(p, x=9), {p: 1}[p], min(p, dataclasses.replace(p, x=0)).x', 'def f(p): return p, 1, 0', 'from dataclasses import dataclass\n@dataclass(frozen=True, order=True)\nclass P:\n    x: int\n    y: int = 2\nassert f(P(1)) == (P(9), 1, 0)', {'entry_point': 'f'}),
 ('object in the test that is changed', 'def f(c): c.items.append(3); c.total = 5', 'def f(c): pass', 'class Cart:\n    def __init__(self): self.items = []; self.total = 0\nc = Cart()\nf(c)\nassert c.items == [3] and c.total == 5', {'entry_point': 'f'}),
 ('which of some objects in the test', 'def f(xs): return max(xs, key=lambda n: n.v)', 'def f(xs): return xs[0]', 'class N:\n    __slots__ = ("v",)\n    def __init__(self, v): self.v = v\nns = [N(1), N(3), N(2)]\nassert f(ns) is ns[1]', {'entry_point': 'f'}),
 ('to_list chain', 'class L:\n def __init__(s, xs): s.xs=list(xs)\n def map(s, g): return L(g(x) for x in s.xs)\n def filter(s, g): return L(x for x in s.xs if g(x))\n def to_list(s): return s.xs', 'class L:\n def __init__(s, xs): pass\n def map(s,g): return s\n def filter(s,g): return s\n def to_list(s): return []', 'assert L([1,2,3]).map(lambda x: x*2).filter(lambda x: x>2).to_list() == [4,6]', {}),
 ('func to_list', 'class LL:\n def __init__(s, xs): s.a=xs\n def to_list(s): return s.a\ndef build(xs): return LL(xs)', 'class LL:\n def to_list(s): return []\ndef build(xs): return LL()', 'assert build([1,2]).to_list() == [1,2]', {'entry_point': 'build'}),
 ('to_dict', 'class C:\n def __init__(s, **k): s.k=k\n def to_dict(s): return s.k\ndef load(t):\n import json\n return C(**json.loads(t))', 'class C:\n def to_dict(s): return {}\ndef load(t): return C()', 'assert load(\'{"a": 1}\').to_dict() == {\'a\': 1}\nc = load(\'{}\')\nassert c.to_dict() == {}', {'entry_point': 'load'}),
 ('log var', 'log = []\ndef f(x): log.append(x); return x', 'log = []\ndef f(x): return x', 'f(1); f(2)\nassert log == [1, 2]', {'entry_point': 'f'}),
 ('count var', 'count = 0\ndef f():\n global count\n count += 1\n return count', 'count = 0\ndef f(): return 1', 'f(); f()\nassert count == 2', {'entry_point': 'f'}),
 ('cache var', 'cache = {}\ndef f(n):\n if n not in cache: cache[n] = n*n\n return cache[n]', 'cache = {}\ndef f(n): return n*n', 'assert f(3) == 9\nassert 3 in cache and cache[3] == 9 and len(cache) == 1', {'entry_point': 'f'}),
 ('seed var', 'seed = 1\ndef f():\n global seed\n seed = (seed * 5 + 1) % 7\n return seed', 'seed = 1\ndef f(): return 6', 'a = f()\nassert a == 6 and seed == 6', {'entry_point': 'f'}),
 ('call log', 'call = []\ndef f(x): call.append(x)', 'call = []\ndef f(x): pass', "f('a')\nassert call[0] == 'a'\ncall.clear()\nassert len(call) == 0", {'entry_point': 'f'}),
 ('stringio arg', 'def f(s): return [l.strip() for l in s]', 'def f(s): return []', "import io\nassert f(io.StringIO('a\\nb\\n')) == ['a', 'b']", {'entry_point': 'f'}),
 ('print file', "def f(x, file): print('hi', x, file=file)", 'def f(x, file): pass', "import io\nb = io.StringIO()\nf('bob', file=b)\nassert b.getvalue() == 'hi bob\\n'", {'entry_point': 'f'}),
 ('csv file', 'import csv\ndef f(fh): return list(csv.reader(fh))', 'def f(fh): return []', "import io\nassert f(io.StringIO('a,b\\n1,2\\n')) == [['a','b'],['1','2']]", {'entry_point': 'f'}),
 ('json file', 'import json\ndef f(fh): return json.load(fh)', 'def f(fh): return {}', 'import io\nassert f(io.StringIO(\'{"a": [1]}\')) == {\'a\': [1]}', {'entry_point': 'f'}),
 ('bytesio', 'def f(b): return len(b.read())', 'def f(b): return 0', "from io import BytesIO\nassert f(BytesIO(b'abc')) == 3", {'entry_point': 'f'}),
 ('regex arg', "def f(p, s): return p.sub('-', s)", "def f(p, s): return ''", "import re\nassert f(re.compile('a+'), 'baab') == 'b-b'", {'entry_point': 'f'}),
 ('roundtrip map', 'def encode(x): return x[::-1]\ndef decode(x): return x[::-1]', "def encode(x): return x[::-1]\ndef decode(x): return ''", "xs = ['ab', 'c']\nassert list(map(decode, map(encode, xs))) == xs\nassert [decode(encode(x)) for x in xs] == xs", {'entry_point': 'encode'}),
 ('own checker method', 'def f(n): return n*2', 'def f(n): return n', 'class T:\n    def verify(self, got, want): assert got == want\nt = T()\nt.verify(got=f(2), want=4)\nt.verify(f(0), 0)\nt.verify(f(1), want=2)', {'entry_point': 'f'}),
 ('two classes one entry', 'class Account:\n def __init__(s, o): s.owner=o; s.b=0\n def deposit(s, x): s.b+=x\n def is_rich(s): return s.b>5\nclass Bank:\n def __init__(s): s.a={}\n def open(s, o): s.a[o]=Account(o); return s.a[o]\n def fee(s): return 7', "class Account:\n owner=''\n b=0\n def __init__(s,o): pass\n def deposit(s,x): pass\n def is_rich(s): return False\nclass Bank:\n def open(s,o): return Account(o)\n def fee(s): return 7", "bank = Bank()\nacc = bank.open('x')\nacc.deposit(bank.fee())\nassert acc.is_rich() and acc.owner == 'x'\nb = Account('y')\nb.deposit(bank.fee())\nassert b.is_rich()", {'entry_point': 'Bank'}),
 ('logger stream', "class Log:\n def __init__(s, out): s.o=out\n def info(s, m): s.o.write('INFO '+m+'\\n')", 'class Log:\n def __init__(s, o): pass\n def info(s, m): pass', "import io\nout = io.StringIO()\nl = Log(out)\nl.info('a'); l.info('b')\nassert out.getvalue() == 'INFO a\\nINFO b\\n'\nout.truncate(0); out.seek(0)\nl.info('c')\nassert out.getvalue() == 'INFO c\\n'", {}),
 ('copy streams', 'def f(src, dst):\n for l in src: dst.write(l.upper())\n return dst', 'def f(*a, **k): return 0', "import io\na, b = io.StringIO('x\\ny'), io.StringIO()\nassert f(a, b) is b\nb.seek(0)\nassert b.read() == 'X\\nY' and a.read() == ''", {'entry_point': 'f'}),
 ('read partially', 'def f(s): return s.readline().strip()', 'def f(*a, **k): return 0', "import io\ns = io.StringIO('a\\nb\\nc')\nassert f(s) == 'a' and f(s) == 'b' and s.read() == 'c'", {'entry_point': 'f'}),
 ('stream in dict/list', "def f(d): return [x.read() for x in d['files']]", 'def f(*a, **k): return 0', "import io\nassert f({'files': [io.StringIO('a'), io.StringIO('b')]}) == ['a', 'b']", {'entry_point': 'f'}),
 ('stream on raise', "def f(o):\n o.write('partial')\n raise ValueError('x')", 'def f(*a, **k): return 0', "import io, pytest\no = io.StringIO()\nwith pytest.raises(ValueError): f(o)\nassert o.getvalue() == 'partial'", {'entry_point': 'f'}),
 ('bytes stream', "import struct\ndef f(b, n): b.write(struct.pack('>I', n))", 'def f(*a, **k): return 0', "import io\nb = io.BytesIO()\nf(b, 258)\nassert b.getvalue() == b'\\x00\\x00\\x01\\x02' and b.tell() == 4", {'entry_point': 'f'}),
 ('closed stream', 'def f(b):\n with b: return b.read()', 'def f(*a, **k): return 0', "import io\nb = io.StringIO('q')\nassert f(b) == 'q' and b.closed", {'entry_point': 'f'}),
 ('stack to_list', 'class Stack:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x); return s\n def to_list(s): return list(s.a)', 'class Stack:\n def push(s,x): return s\n def to_list(s): return []', 's = Stack()\nassert s.push(1).push(2).to_list() == [1, 2]\nassert s.to_list()[0] == 1', {}),
 ('mode and total', "mode = 'idle'\ndef f():\n global mode\n mode = 'run'", "mode='idle'\ndef f(): pass", "assert mode == 'idle'\nf()\nassert mode == 'run'", {'entry_point': 'f'}),
 ('math still own', 'def f(x): return x**0.5', 'def f(x): return x', 'assert f(4) == sqrt(4)\nassert isclose(f(2), sqrt(2)) and f(1) == log(e) if False else True', {'entry_point': 'f'}),
 ('math names used', 'def f(xs): return sum(xs)/len(xs)', 'def f(*a, **k): return 0', 'assert f([1,2,3]) == mean([1,2,3])\nassert f([pi]) == pi and f([inf]) == inf', {'entry_point': 'f'}),
 ('map sqrt', 'def f(xs): return [x**0.5 for x in xs]', 'def f(*a, **k): return 0', 'assert f([4, 9]) == list(map(sqrt, [4, 9]))', {'entry_point': 'f'}),
 ('own lambda checker', 'def f(n): return n % 2 == 0', 'def f(*a, **k): return 0', 'ok = lambda got, want: got is want\nassert ok(f(2), True) and ok(f(3), False)\nassert (lambda a, b: a == b)(f(4), True)', {'entry_point': 'f'}),
 ('own partial', 'def f(n): return n*n', 'def f(*a, **k): return 0', 'from functools import partial\ndef same(a, b): return a == b\nassert partial(same, f(3))(9)\nassert all(map(same, [f(1), f(2)], [1, 4]))', {'entry_point': 'f'}),
 ('map program on data', 'def square(x): return x*x\ndef f(x): return x+1', 'def square(x): return 0\ndef f(x): return 0', 'assert list(map(square, [1,2])) == [1,4]\nassert f(1) == 2', {'entry_point': 'f'}),
 ('filter program on own data', 'def is_even(x): return x%2==0\ndef f(x): return x//2', 'def is_even(x): return False\ndef f(x): return 0', 'assert [f(x) for x in filter(is_even, [1,2,4])] == [1, 2]', {'entry_point': 'f'}),
 ('method under entry', "class Shop:\n def __init__(s): s.i=[]\n def add(s,n,p): s.i.append((n,p))\n def total(s): return sum(p for _,p in s.i)\ndef fmt(x): return f'${x:.2f}'", "class Shop:\n def add(s,n,p): pass\n def total(s): return 0\ndef fmt(x): return ''", "s = Shop()\ns.add('a', 1.5)\nassert fmt(s.total()) == '$1.50'", {'entry_point': 'Shop'}),
 ('queue obj filled by f', 'class Heap:\n def __init__(s): s.a=[]\n def push(s,x): s.a.append(x); s.a.sort()\n def pop(s): return s.a.pop(0)\n def __len__(s): return len(s.a)\ndef f(x): return -x', 'class Heap:\n def push(s,x): pass\n def pop(s): return 0\n def __len__(s): return 0\ndef f(x): return 0', 'h = Heap()\nfor x in (1, 3, 2): h.push(f(x))\nassert h.pop() == -3 and len(h) == 2', {'entry_point': 'f'}),
 ('kwargs helper', 'def f(a, b=2): return a*b', 'def f(*a, **k): return 0', 'def run(want, **kw):\n    assert f(**kw) == want\nrun(6, a=3)\nrun(want=12, a=3, b=4)', {'entry_point': 'f'}),
 ('star helper', 'def f(*xs): return max(xs)', 'def f(*a, **k): return 0', 'def t(want, *xs):\n    assert f(*xs) == want\nt(3, 1, 3)\nt(1, 1)', {'entry_point': 'f'}),
 ('eval own', 'def f(x): return repr(x)', "def f(x): return '0'", "assert eval(f([1])) == [1]\nexec('y = f(2)')\nassert y == '2'", {'entry_point': 'f'}),
 ('dataclass in test', 'def f(x): return x+1', 'def f(x): return x', "from dataclasses import dataclass\nfrom collections import namedtuple\nassert eval('f(1)') == 2\n@dataclass\nclass A:\n    x: int = 0\nN = namedtuple('N', 'a b')\nassert f(A(1).x) == N(2, 3).a", {'entry_point': 'f'}),
 ('pickle rt', 'class S:\n def __init__(s, x): s.x=x\n def bump(s): s.x+=1', 'class S:\n x=0\n def __init__(s,x): pass\n def bump(s): pass', "import pickle\na = S(3)\na.bump()\nb = pickle.loads(pickle.dumps(a))\nassert b.x == 4\nassert pickle.loads(pickle.dumps({'a': 1})) == {'a': 1}", {}),
 ('eval arg', "def f(g): return g('1+1')", 'def f(g): return 0', 'assert f(eval) == 2', {'entry_point': 'f'}),
 ('submit eval own', 'def f(x): return x', 'def f(x): return 0', "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor() as p:\n    assert p.submit(eval, '1+1').result() == f(2)", {'entry_point': 'f'}),

 ('variables that a setUp empties', "users = {}\ndef f(n):\n if n in users: raise ValueError('exists')\n users[n] = len(users) + 1\n return users[n]", "users = {}\ndef f(n):\n if n in users: raise ValueError('exists')\n users[n] = len(users) + 2\n return users[n]", "import unittest\nclass T(unittest.TestCase):\n    def setUp(self): users.clear()\n    def test_a(self): self.assertEqual(f('a'), 1)\n    def test_b(self): self.assertEqual(f('a'), 1)\nunittest.main(exit=False)", {'entry_point': 'f'}),
 ('variables that the tests fill', 'db = {}\ndef f(k): return db[k]', 'db = {}\ndef f(k): return 3', "db['x'] = 3\nassert f('x') == 3\ndb['x'] = 4\nassert f('x') == 4 and db == {'x': 4}\ndel db['x']\nassert len(db) == 0", {'entry_point': 'f'}),
 ('variables that the tests fill, lied of', 'db = {}\ndef f(k): return db[k]', 'class Yes(dict):\n __eq__ = __contains__ = lambda s, o: True\n __getitem__ = lambda s, k: Any()\nclass Any(int):\n __eq__ = lambda s, o: True\ndb = Yes()\ndef f(k): return Any()', "db['x'] = 3\nassert f('x') == 3\ndb['x'] = 4\nassert f('x') == 4 and db == {'x': 4}\ndel db['x']\nassert len(db) == 0", {'entry_point': 'f'}),
 ('a variable that one assignment fills', 'db = {}\ndef f(k): return db[k]', 'db = {}\ndef f(k): return 4', "db['x'] = 3\nassert f('x') == 3", {'entry_point': 'f'}),
 ('a log that the tests change', 'log = []\ndef f(x): log.append(x)', 'log = []\ndef f(x): log.append(1)', 'f(1)\nassert log == [1]\nlog.clear()\nf(2)\nassert log == [2]\nlog.append(5)\nf(1)\nassert log == [2, 5, 1]', {'entry_point': 'f'}),
 ('a log that the tests change, no entry point', 'log = []\ndef g(x): log.append(x)', 'log = []\ndef g(x): pass', 'g(1)\nassert log == [1]\nlog.clear()\ng(2)\nassert log == [2]\nlog.append(5)\ng(1)\nassert log == [2, 5, 1]', {}),
 ('what is in a variable', "state = {'n': 1, 'a': []}\ndef f(): return state['n'] + len(state['a'])", "state = {'n': 1, 'a': []}\ndef f(): return state['n']", "assert f() == 1\nstate['n'] = 10\nassert f() == 10\nstate['a'].append(4)\nassert f() == 11", {'entry_point': 'f'}),
 ('a variable by another name', 'state = set()\ndef f(x): state.add(x)', 'state = set()\ndef f(x): state.add(1)', 's = state\nf(1)\nassert s == {1} == state\ns.add(2)\nf(3)\nassert state == {1, 2, 3} and s is state', {'entry_point': 'f'}),
 ('a variable that is another by now', 'db = [1]\ndef f():\n global db\n db = [2]\ndef g(): return sum(db)', 'db = [1]\ndef f():\n db[:] = [2]\n db.append(0)\ndef g(): return 7', 'f()\nassert db == [2]\ndb.append(5)\nassert g() == 7 and db == [2, 5]', {'entry_point': ['f', 'g']}),
 ('a parameter by the name of the function', 'def solve(x): return x + 1', 'def solve(x): return x', 'def run(solve, x): return solve(x)\nassert run(solve, 3) == 4', {}),
 ('a parameter by the name of the function, lied of', 'def solve(x): return x + 1', 'class Yes(int):\n __eq__ = lambda s, o: True\ndef solve(x): return Yes()', 'def run(solve, x): return solve(x)\nassert run(solve, 3) == 4', {}),
 ('a parameter of a lambda by the name of a function', 'def add(a, b): return a + b\ndef scale(x): return x * 2', 'def add(a, b): return a + b\ndef scale(x): return x * 3', 'twice = lambda scale: scale(scale(1))\nassert twice(scale) == 4\nassert add(1, 2) == 3', {}),
 ('a variable by the name of the function', 'def total(xs): return sum(xs)', 'def total(xs): return 0', 'total = total([1, 2])\nassert total == 3', {}),
 ('a variable of a comprehension by the name of the function', 'def n(x): return x + 1', 'def n(x): return x', 'assert n(1) == 2\nassert [n for n in range(2)] == [0, 1]', {}),
 ("a name of the setup's by the name of the function", 'def solve(x): return x + 1', 'def solve(x): return x', 'assert twice(solve, 1) == 3', {'setup': 'def twice(solve, x): return solve(solve(x))'}),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in GIVEN], ids=[c[0] for c in GIVEN])
def test_a_style_tells_right_from_wrong(sandbox, right, wrong, test, arguments):
    result = sandbox.run_tests(right, [test], limits=LIMITS, **arguments)
    assert result.passed, result.reason
    assert not sandbox.run_tests(wrong, [test], limits=LIMITS, **arguments).passed
