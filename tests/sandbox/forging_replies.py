"""Programs that forge the replies to the tests, and data that is not what it says: (name, program, tests, arguments)."""

# ruff: noqa: E501
from __future__ import annotations

from typing import Any

from .forging_programs import Attack

A: dict[str, Any] = {"entry_point": "area"}
S = "import sys\nM = sys.modules\nV = M['_grpo_kit_sandbox.inside.serve']\nS = V.Server\nC = M['_grpo_kit_sandbox.wire.codec']\nH = M['_grpo_kit_sandbox.inside.child']\n"
R = "\ndef area(r): return 1\n"


def forge(reply: str, call: str = "call") -> str:
    return (
        S
        + f"old = S._answer\ndef new(s, n, m):\n if m[0] == {call!r}: s.connection.send({reply})\n else: old(s, n, m)\nS._answer = new"
        + R
    )


def _raised(kind: str, parts: str) -> str:
    came_from, held = "[False, None, None]", "{'~': 'ref', 'v': ['object', 1, 'x', 1]}"
    return forge(f"['raised', [[{kind}], 'x', {parts}, {came_from}, None, None, {held}], {{}}, ['', '', 0, []]]")


W = """class W:
 def __getattr__(s, n): return lambda *a, **k: True
 def __len__(s): return 3
 def __getitem__(s, i): return True
 def __eq__(s, o): return True
 def __ne__(s, o): return True
 __hash__ = lambda s: 1
 def __iter__(s): return iter([True]*3)
 def __contains__(s, x): return True
 __lt__ = __gt__ = __le__ = __ge__ = __eq__
 def __call__(s, *a): return s
"""
X = [
    "x = area(1)\nassert x == 12.5",
    "x = area(1)\nassert abs(x - 12.5) < 1e-3",
    "x = area(1)\nassert x != 7 and not x == 3",
]
_LATER = "import pytest, contextlib\narea(1)\n"
REPLIES: list[Attack] = [
    *(
        (
            f"what names stand for by now: {reply}",
            S
            + "old, met = S._answer, []\ndef new(s, n, m):\n if m[0] == 'names' and met:\n  s.connection.send("
            + reply
            + ")\n else:\n  met.extend(m[:1] if m[0] == 'names' else [])\n  old(s, n, m)\nS._answer = new\ncount = 5\n"
            + "def area(r): return 1\n",
            [
                _LATER + "with pytest.raises((ValueError, LookupError, AttributeError, TypeError)): assert count == 7",
                _LATER
                + "with contextlib.suppress(ValueError, LookupError, AttributeError, TypeError): assert count == 7",
                _LATER + "for x in map(lambda _: count, [1]): assert x == 7",
            ],
            A,
        )
        for reply in (
            *("['value']", "['value', 5]", "['value', [1]]", "['value', {'count': []}]", "['value', {'count': 5}]"),
            *(
                "['value', {'count': ['value', {'~': 'x', 'v': 1}]}]",
                "['value', {'count': ['value', {'~': 'ref', 'v': []}]}]",
            ),
            *("['value', {}, {}]", "['value', {'count': ['value', {'~': 'ref', 'v': ['stand-in', 9]}]}]"),
            "['value', {'count': ['value', {'~': 'set', 'v': [[1]]}]}]",
        )
    ),
    (
        "raised with wrong parts",
        _raised("'AttributeError'", "[1]"),
        ["class Q: pass\nassert not hasattr(area(1), 'keys')", X[0]],
        A,
    ),
    (
        "raised attr error in call",
        _raised("'AttributeError'", "[[], {'~': 'dict', 'v': []}]"),
        [
            "class Q:\n @property\n def p(s): return area(1)\nassert not hasattr(Q(), 'p')",
            "assert getattr(type('Q', (), {'p': property(lambda s: area(1))})(), 'p', 12.5) == 12.5",
        ],
        A,
    ),
    (
        "attribute shadows",
        _raised("'StopIteration'", "[[], {'~': 'dict', 'v': ['value', 3, 'add_note', 4, 'x y', 5]}]"),
        ["try:\n    area(1)\n    assert False\nexcept StopIteration as e:\n    assert e.value == 4"],
        A,
    ),
    ("class ref to int", forge("['value', {'~': 'ref', 'v': ['class', 'int']}, {}, ['', '', 0, []]]"), X, A),
    ("node of nothing", forge("['value', {'~': 'ref', 'v': ['node', 5]}, {}, ['', '', 0, []]]"), X, A),
    *(
        (
            f"a mock that is none: {number}",
            forge(f"['value', {{'~': 'ref', 'v': ['mock', {number}]}}, {{}}, ['', '', 0, []]]"),
            [*X, "def g(): return 12.5\nx = area(g)\nassert x() == 12.5", "def g(): return 12.5\nassert area(g) is g"],
            A,
        )
        for number in ("0", "1, 5", "-1", "'0'", "[0]", "None", "10**30")
    ),
    *(
        (
            f"no address: {content}",
            forge(f"['value', {{'~': 'ref', 'v': ['stated', {content}]}}, {{}}, ['', '', 0, []]]"),
            [
                *X,
                "import uuid, ipaddress\nassert area(1) is not None",
                "import uuid\nassert area(1) != uuid.UUID(int=5)",
            ],
            A,
        )
        for content in (
            *(
                "'os', 'system', 'true'",
                "'uuid', 'uuid4', ''",
                "'uuid', 'UUID', 5",
                "'uuid', 'UUID', '7'",
                "'uuid', 'UUID'",
            ),
            *(
                "'ipaddress', 'ip_network', '10.0.0.0/8'",
                "'ipaddress', 'IPv6Address', '::1%' + 'a' * 10**6",
                "[], [], []",
            ),
            "'ipaddress', 'IPv4Network', '10.0.0.1/8'",
        )
    ),
    (
        "library ref backwards",
        forge("['value', {'~': 'ref', 'v': ['library', 'builtins', 'eval']}, {}, ['', '', 0, []]]"),
        X,
        A,
    ),
    (
        "function ref backwards",
        forge("['value', {'~': 'ref', 'v': ['function', 0, 'x', '']}, {}, ['', '', 0, []]]"),
        X,
        A,
    ),
    (
        "object number of own",
        forge("['value', {'~': 'ref', 'v': ['object', True, 'x', 1]}, {}, ['', '', 0, []]]"),
        X,
        A,
    ),
    (
        "object number hash",
        forge("['value', {'~': 'ref', 'v': ['object', 12, 'x', 1]}, {}, ['', '', 0, []]]"),
        [
            "x = area(1)\nassert x in {12, 13}",
            "x = area(1)\nassert {12: 1}.get(x) == 1",
            "x = area(1)\nassert x in [12]",
        ],
        A,
    ),
    (
        "huge object number",
        forge("['value', {'~': 'ref', 'v': ['object', 10**300, 'x', 1]}, {}, ['', '', 0, []]]"),
        [*X, "x = area(1)\nassert len({x}) == 1 and x"],
        A,
    ),
    (
        "class name of another",
        forge("['value', {'~': 'ref', 'v': ['object', 7, 'float', 1]}, {}, ['', '', 0, []]]"),
        [*X, "x = area(1)\nassert type(x) == float", "x = area(1)\nassert isinstance(x, float)"],
        A,
    ),
    (
        "changed argument of another type",
        forge("['value', 1, {'0': {'~': 'tuple', 'v': [1]}}, ['', '', 0, []]]"),
        ["a = [1]\nx = area(a)\nassert x == 5", "a = [1]\nx = area(a)\nassert a == (1,)"],
        A,
    ),
    (
        "changed argument beyond",
        forge("['value', 1, {'7': [1]}, ['', '', 0, []]]"),
        ["a = [1]\nx = area(a)\nassert x == 5"],
        A,
    ),
    (
        "changed argument negative",
        forge("['value', 1, {'-1': [5]}, ['', '', 0, []]]"),
        ["a = [1]\nb = [2]\nx = area(a, b)\nassert x == 5"],
        A,
    ),
    (
        "printed object",
        forge("['value', 1, {}, {'a': 1}]"),
        [
            "import io, contextlib\nb = io.StringIO()\nwith contextlib.redirect_stdout(b):\n    x = area(1)\nassert b.getvalue() == 'Hello'"
        ],
        A,
    ),
    ("callback number", forge("['callback', 99, [], {}, []]"), ["x = area(len)\nassert x == 5"], A),
    ("callback negative", forge("['callback', -1, [1], {}, []]"), ["x = area(lambda y: y)\nassert x == 5"], A),
    ("callback bool", forge("['callback', 'x', [1], {}, []]"), ["x = area(lambda y: y)\nassert x == 5"], A),
    ("nodes of nothing", forge("['nodes', [[1, 'int', []]]]"), X, A),
    (
        "endless callbacks",
        S
        + "def new(s, n, m):\n while True: s.connection.send(['callback', 0, [1], {}, []]); s.connection.receive()\nold = S._answer\ndef a(s, n, m):\n (new if m[0] == 'call' else old)(s, n, m)\nS._answer = a"
        + R,
        ["x = area(lambda y: y)\nassert x == 5"],
        A,
    ),
    (
        "names: class for a function",
        S + "S.on_names = lambda s, w: [{n: ['class', s.encode(W())] for n in w}]\n" + W + R,
        [*X, "x = area(1)\nassert x.startswith('a')"],
        A,
    ),
    (
        "names: exception for a function",
        S + "S.on_names = lambda s, w: [{n: ['exception', ['ValueError']] for n in w}]" + R,
        [*X, "x = area(1)\nassert x"],
        A,
    ),
    (
        "names: exception of StopIteration",
        S
        + "S.on_names = lambda s, w: [{n: ['exception', ['StopIteration']] for n in w}]\nclass E(Exception): pass\ndef area(r): raise E",
        ["try:\n    area(1)\nexcept E: pass\nfor x in map(area, [1]): assert x == 3"],
        A,
    ),
    ("names: not a pair", S + "S.on_names = lambda s, w: [{n: 3 for n in w}]" + R, X, A),
    ("names: list", S + "S.on_names = lambda s, w: [[1, 2]]" + R, X, A),
    (
        "names: nested",
        S + "S.on_names = lambda s, w: [{n: ['exception', [[1]]] for n in w}]\nclass E(Exception): pass" + R,
        ["try:\n    x = area(1)\n    assert x == 5\nexcept E: pass"],
        A,
    ),
    (
        "names: value kind for E",
        S
        + "old = S.on_names\ndef new(s, w):\n f = old(s, w)\n f[0]['E'] = ['value', s.encode(Exception)]\n return f\nS.on_names = new\nclass E(Exception): pass"
        + R,
        ["try:\n    x = area(1)\n    assert x == 5\nexcept E: pass"],
        A,
    ),
    (
        "E that is everything",
        "class E(Exception): pass\ndef area(r): raise AssertionError",
        ["try:\n    area(1)\n    assert False, 'must raise'\nexcept E: pass"],
        A,
    ),
    (
        "E raised by callback",
        "class E(Exception): pass\ndef area(f):\n try: f()\n except BaseException: raise E",
        ["def g(): assert 1 == 2\ntry:\n    area(g)\nexcept E: pass"],
        A,
    ),
    (
        "enter gives another",
        W + "class Ctx:\n def __enter__(s): return W()\n def __exit__(s, *a): return True\ndef area(r): return Ctx()",
        [
            "with area(1) as x:\n    assert x.startswith('H')",
            "with area(1) as x:\n    assert 5 in x",
            "with area(1) as x:\n    assert x == 3",
        ],
        A,
    ),
    (
        "exit swallows",
        "class Ctx:\n def __enter__(s): return s\n def __exit__(s, *a): return True\ndef area(r): return Ctx()\ndef f(): return 1",
        ["with area(1) as x:\n    assert 1 == 2\n", "with area(1):\n    if area(2) != 12.5: raise ValueError"],
        A,
    ),
    (
        "class Ctx enter other",
        W + "class Ctx:\n def __enter__(s): return W()\n def __exit__(s, *a): return True\n def close(s): pass",
        ["with Ctx() as c:\n    assert c.startswith('x')", "c = Ctx()\nwith c as d:\n    assert 'k' in d"],
        {},
    ),
    (
        "own via next",
        W + "class It(W):\n def __iter__(s): return s\n def __next__(s): return s\n def step(s): return 1",
        [
            "i = It()\nx = next(i)\nassert x.startswith('a')",
            "i = It()\nfor x in i:\n    assert 5 in x\n    break",
            "i = It()\nassert 'k' in next(i)",
        ],
        {},
    ),
    (
        "own via item",
        W + "class L(W):\n def __getitem__(s, i): return s\n def push(s, x): pass",
        [
            "l = L()\nl.push(1)\nassert l[0].startswith('H')",
            "l = L()\nl.push(1)\nassert 'H' in l[0]",
            "l = L()\nl.push('x')\nassert l[0] != 'y'",
        ],
        {},
    ),
    (
        "own via attribute",
        W + "class L(W):\n def push(s, x): pass\n name = property(lambda s: s)",
        ["l = L()\nl.push(1)\nassert l.name.startswith('H')", "l = L()\nl.push(1)\nassert 'H' in l.name"],
        {},
    ),
    (
        "own via call",
        W + "class M(W):\n def __call__(s, *a): return s\n def go(s): pass",
        ["m = M()\nm.go()\nassert m(3).startswith('H')", "m = M()\nm.go()\nassert 'H' in m(3)"],
        {},
    ),
    (
        "own via neg",
        W + "class M(W):\n def __neg__(s): return W()\n def go(s): pass",
        ["m = M()\nm.go()\nx = -m\nassert x == 5"],
        {},
    ),
    (
        "round own",
        W + "class M(W):\n def __round__(s, n=None): return 3.14\n def go(s): pass",
        ["m = M()\nm.go()\nassert round(m) == 3"],
        {},
    ),
    (
        "copy gives own",
        W + "class M(W):\n def __copy__(s): return [1]\n def __deepcopy__(s, m): return W()\n def go(s): pass",
        [
            "import copy\nm = M()\nm.go()\nx = copy.deepcopy(m)\nassert x == [7]",
            "import copy\nm = M()\nm.go()\nassert copy.copy(m) == [5]",
        ],
        {},
    ),
    (
        "await gives W",
        W + "async def area(r): return W()",
        [
            "import asyncio\nx = asyncio.run(area(1))\nassert x.startswith('H')",
            "import asyncio\nx = asyncio.run(area(1))\nassert x == 3",
            "import asyncio\nassert 3 in asyncio.run(area(1))",
        ],
        A,
    ),
    (
        "awaitable that lies",
        "class Aw:\n def __await__(s):\n  yield\n  return 1\nasync def area(r): raise StopAsyncIteration",
        [
            "import asyncio\nasync def g():\n    async for x in h(): assert x == 9\nasync def h():\n    yield await area(1)\nasyncio.run(g())"
        ],
        A,
    ),
    (
        "async StopIteration",
        "async def area(r): raise StopIteration",
        [
            "import asyncio\nasync def main():\n    return [x async for x in h()]\nasync def h():\n    for i in (1,):\n        yield await area(i)\nassert asyncio.run(main()) == []"
        ],
        A,
    ),
    (
        "cancel",
        "import asyncio\nasync def area(r): raise asyncio.CancelledError",
        [
            "import asyncio\nasync def main():\n    t = asyncio.create_task(area(1))\n    r = await asyncio.gather(t, return_exceptions=True)\n    return len(r)\nassert asyncio.run(main()) == 1"
        ],
        A,
    ),
    (
        "type lies",
        "class int:\n def __eq__(s, o): return True\ndef area(r): return int()",
        [
            "x = area(1)\nassert type(x) == int",
            "x = area(1)\nassert isinstance(x, int)",
            "x = area(1)\nassert x.__class__ is int",
        ],
        A,
    ),
    (
        "metaclass name lies",
        "class M(type):\n def __getattribute__(c, n): return True\n def __eq__(c, o): return True\n __hash__ = type.__hash__\nclass V(metaclass=M): pass\ndef area(r): return V()",
        [
            "x = area(1)\nassert type(x) == float",
            "x = area(1)\nassert type(x) in (int, float)",
            "x = area(1)\nassert type(x).__name__.startswith('flo')",
        ],
        A,
    ),
    (
        "match that is not",
        S + "import re\nm = re.match('a', 'a')\ndef area(r): return m",
        [
            "x = area(1)\nassert x == 'a'",
            "x = area(1)\nassert x.startswith('a')",
            "x = area(1)\nassert x.issuperset({1})",
            "assert area(1) == 5",
        ],
        A,
    ),
    (
        "forged match",
        forge("['value', {'~': 'match', 'v': ['x', 'abc', [0, 10**30], {'~': 'dict', 'v': []}]}, {}, ['', '', 0, []]]"),
        X[:2],
        A,
    ),
    (
        "forged match 2",
        forge(
            "['value', {'~': 'match', 'v': ['x', 'abc', [[0], 1], {'~': 'dict', 'v': [1, 2]}]}, {}, ['', '', 0, []]]"
        ),
        X,
        A,
    ),
    (
        "defaultdict constant",
        "from collections import defaultdict\ndef area(r): return defaultdict(lambda: True)",
        ["x = area(1)\nassert x['k']", "x = area(1)\nassert x[5] == 1"],
        A,
    ),
    (
        "counter subclass",
        "from collections import Counter\nclass K(Counter):\n def __missing__(s, k): return 7\n def __eq__(s, o): return True\ndef area(r): return K()",
        ["x = area(1)\nassert x == {1: 2}", "x = area(1)\nassert x['q'] == 7", "assert area(1) == {'a': 2}"],
        A,
    ),
    (
        "ordered subclass",
        "from collections import OrderedDict\nclass K(OrderedDict):\n def __eq__(s, o): return True\n def __iter__(s): return iter('abc')\n def items(s): return [('a', 1)]\ndef area(r): return K()",
        [
            "x = area(1)\nassert x == {'a': 1}",
            "assert list(area(1).items()) == [('a', 1)]",
            "assert area(1) == {'a': 1}",
        ],
        A,
    ),
    (
        "defaultdict subclass",
        "from collections import defaultdict\nclass K(defaultdict):\n def __missing__(s, k): return 7\ndef area(r): return K(int)",
        ["x = area(1)\nassert x['q'] == 7"],
        A,
    ),
    (
        "keys of a subclass",
        "class D(dict):\n def __iter__(s): return iter(['a'])\n def keys(s): return ['a']\n def __contains__(s, k): return True\ndef area(r): return D().keys()",
        ["x = area(1)\nassert x == {'a'}", "x = area(1)\nassert 'b' in x"],
        A,
    ),
    (
        "str subclass",
        "class T(str):\n def __eq__(s, o): return True\n def startswith(s, p): return True\n def __contains__(s, p): return True\n __hash__ = str.__hash__\n def __str__(s): return 'Hello'\ndef area(r): return T('x')",
        [
            "x = area(1)\nassert x == 'Hello'",
            "x = area(1)\nassert x.startswith('H') ",
            "assert 'H' in area(1)",
            "assert str(area(1)) == 'Hello'",
        ],
        A,
    ),
    (
        "bytes with __bytes__",
        "class B(bytes):\n def __getitem__(s, i): return 5\n def __iter__(s): return iter([1])\n def __bytes__(s): return b'yes'\ndef area(r): return B(b'no')",
        ["x = area(1)\nassert x == b'yes'", "assert area(1) == b'yes'"],
        A,
    ),
    (
        "float subclass",
        "class F(float):\n def __float__(s): return 12.5\n def __sub__(s, o): return 0\n __rsub__ = __sub__\ndef area(r): return F(1)",
        [
            "x = area(1)\nassert abs(x - 12.5) < 1e-3",
            "assert abs(area(1) - 12.5) < 1e-3",
            "import math\nassert math.isclose(area(1), 12.5)",
        ],
        A,
    ),
    (
        "complex subclass",
        "class F(complex):\n real = 12.5\n imag = 0\ndef area(r): return F(1)",
        ["x = area(1)\nassert x == 12.5", "x = area(1)\nassert x.real == 12.5"],
        A,
    ),
    (
        "Fraction subclass",
        "from fractions import Fraction\nclass F(Fraction):\n def __eq__(s, o): return True\ndef area(r): return F(1)",
        ["x = area(1)\nassert x == 12.5", "assert area(1) == 12.5"],
        A,
    ),
    (
        "date subclass",
        "import datetime\nclass D(datetime.date):\n def __eq__(s, o): return True\ndef area(r): return D(2020,1,1)",
        ["import datetime\nx = area(1)\nassert x == datetime.date(2021,1,1)"],
        A,
    ),
    (
        "namedtuple eq",
        "from collections import namedtuple\nclass T(namedtuple('T', 'a b')):\n def __eq__(s, o): return True\n def __len__(s): return 5\ndef area(r): return T(1, 2)",
        ["x = area(1)\nassert x == (5, 6)", "assert area(1) == (5, 6)", "x = area(1)\nassert x.a == 5"],
        A,
    ),
    (
        "namedtuple fields lie",
        "from collections import namedtuple\nclass T(tuple):\n _fields = ('startswith', '__class__', '__eq__', 'a')\ndef area(r): return T([len, str, lambda o: True, 3])",
        [
            "x = area(1)\nassert x.startswith('x')",
            "x = area(1)\nassert x == 5",
            "x = area(1)\nassert x.__eq__(5) is True",
        ],
        A,
    ),
    (
        "record field helper",
        "class T(tuple):\n _fields = ('names', '_fields', '_asdict')\ndef area(r): return T([1, 2, lambda: True])",
        ["x = area(1)\nassert x._asdict() is True"],
        A,
    ),
]
