"""Objects that change by what tests do with them: each passes a right program and fails a wrong one."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

MOVES = "class C:\n def __init__(s): s.n = 0\n def __iter__(s): return s\n def __next__(s):\n  s.n += 1\n  if s.n > 3: raise StopIteration\n  return s.n\n def __aiter__(s): return s\n async def __anext__(s):\n  s.n += 1\n  if s.n > 3: raise StopAsyncIteration\n  return s.n\n def __str__(s): return f'at {s.n}'\n def __float__(s): return float(s.n)\n def __len__(s): return 3 - s.n\ndef make(): return C()"
STUCK = MOVES.replace("f'at {s.n}'", "'at 0'").replace("float(s.n)", "0.0").replace("3 - s.n", "3")
HOLDS = "import threading\nclass V:\n def __init__(s): s.a = [1, 2]\n def __iter__(s): return iter(s.a)\n def __len__(s): return len(s.a)\n def __str__(s): return str(s.a)\n def __enter__(s): s.a.append(7); return s\n def __exit__(s, *a): s.a.append(8)\n def __await__(s):\n  s.a.append(7)\n  return 3\n  yield\n def __iadd__(s, o): s.a += o; return s\n def __setitem__(s, k, v): s.a[k] = v\n def push(s, x): s.a.append(x); return s\n def run(s, g):\n  g(); s.push(3); g()\ndef make(): return V()"
KEEPS = (
    HOLDS.replace("def push(s, x): s.a.append(x)", "def push(s, x): pass")
    .replace("s.a.append(7)", "s.b = 0")
    .replace("s.a.append(8)", "s.b = 0")
    .replace("s.a[k] = v", "s.b = 0")
    .replace("s.a += o", "s.b = 0")
)
COPIES = HOLDS + "\nclass V(V):\n a = property(lambda s: list(s.b), lambda s, a: setattr(s, 'b', a))"
SEEDED = "import random\nclass R:\n def __str__(s): return str(random.random())\ndef make(): return R()"
SHOWS = "class S:\n def __init__(s): s.a, s.d = [], {}\n def push(s, x): s.a.append(x)\n def peek(s): return s.a\n def shown(s): return list(s.a)\n def of(s, k): return s.d.setdefault(k, [])\n def size(s): return len(s.a)\n def __getitem__(s, k): return s.d[k]\n"
COPIED = (
    SHOWS.replace("return s.a\n", "return list(s.a)\n")
    .replace("return s.d.setdefault(k, [])", "return list(s.d.setdefault(k, []))")
    .replace("return s.d[k]", "return list(s.d[k])")
)
KEPT = "class B:\n def __init__(s): s.n = 0; s.reset()\n def reset(s): s.on = None\n def tick(s): s.n += 1; return s.on(s.n)\n def save(s): s.n = 100\n def run(s): s.save(); return s.n\n"
UNKEPT = (
    KEPT.replace("s.n += 1; return s.on(s.n)", "f, s.on = s.on, len; return f(1)")
    .replace("s.on = None", "pass")
    .replace("s.save()", "B.save(s)")
)
_S = {"entry_point": "S"}
_B = {"entry_point": "B"}
_M = "c = make()\nassert str(c) == 'at 0' and float(c) == 0\n"
_H = "c = make()\nassert list(c) == [1, 2] and len(c) == 2 and str(c) == '[1, 2]'\n"
_ALL = "assert list(c) == {0} and len(c) == len({0}) and str(c) == str({0})\n"
_F = {"entry_point": "make"}
# fmt: off
CHANGING = [
 ("next", MOVES, STUCK, _M + "assert next(c) == 1\nassert str(c) == 'at 1' and float(c) == 1", _F),
 ("the length of what is left", MOVES, STUCK, "c = make()\nassert len(c) == 3 and next(c) == 1\nassert len(c) == 2 and list(c) == [2, 3]", _F),
 ("a loop", MOVES, STUCK, _M + "for x in c: assert str(c) == f'at {x}' and float(c) == x", _F),
 ("an iterator of itself", MOVES, STUCK, _M + "i = iter(c)\nassert next(i) == 1 and str(c) == 'at 1'", _F),
 ("a loop beside another", MOVES, STUCK, _M + "for x, y in zip(c, [1, 2, 3]): assert x == y and str(c) == f'at {y}'", _F),
 ("an asynchronous loop", MOVES, STUCK, f"import asyncio\n{_M}async def m():\n    async for x in c: assert str(c) == f'at {{x}}'\nasyncio.run(m())", _F),
 ("a block", HOLDS, KEEPS, _H + "with c as d:\n    assert list(d) == [1, 2, 7] and len(d) == 3\n" + _ALL.format([1, 2, 7, 8]), _F),
 ("await", HOLDS, KEEPS, f"import asyncio\n{_H}async def m(): assert await c == 3\nasyncio.run(m())\n" + _ALL.format([1, 2, 7]), _F),
 ("an item", HOLDS, KEEPS, _H + "c[0] = 5\n" + _ALL.format([5, 2]), _F),
 ("an operator in place", HOLDS, KEEPS, "own = V()\nc = own.push(3)\nassert list(c) == [1, 2, 3]\nown += [4]\n" + _ALL.format([1, 2, 3, 4]), {"entry_point": "V"}),
 ("what an attribute holds", HOLDS, COPIES, _H + "c.a.append(3)\n" + _ALL.format([1, 2, 3]), _F),
 ("what an object holds in a callback", HOLDS, KEEPS, "c = make()\nseen = []\nc.run(lambda: seen.append((list(c), len(c))))\nassert seen == [([1, 2], 2), ([1, 2, 3], 3)]", _F),
 ("a seed", SEEDED, SEEDED.replace("random.random()", "4"), "import random\nc = make()\nrandom.seed(1)\na = str(c)\nrandom.seed(2)\nassert str(c) != a\nrandom.seed(1)\nassert str(c) == a", _F),
 # What the tests put into an attribute is there as long as the program keeps it there.
 ("a function put into an attribute", KEPT, UNKEPT, "b = B()\ndef cb(x): return x + 5\nb.on = cb\nassert b.tick() == 6\nassert b.on is cb and b.on(2) == 7", _B),
 ("what stands for no function, too", KEPT, UNKEPT, "from functools import partial\nb = B()\nfor cb in (partial(int), [1, 2].index, str, abs):\n    b.on = cb\n    assert b.tick() in (0, 1, '3', 4)\n    assert b.on is cb or b.on == cb", _B),
 ("a mock put into an attribute", KEPT, UNKEPT, "from unittest.mock import Mock\nb = B()\nb.on = Mock(return_value=3)\nassert b.tick() == 3\nb.on.assert_called_once_with(1)", _B),
 ("what was put is taken away", KEPT, UNKEPT, "b = B()\nb.on = lambda x: 3\nb.reset()\nassert b.on is None", _B),
 ("another in the place of what was put", KEPT.replace("s.on = None", "s.on = lambda x: x"), UNKEPT, "b = B()\nb.on = lambda x: x * 2\nassert b.on(2) == 4\nb.reset()\nassert b.on(1) == 1", _B),
 ("a method of one object is patched", KEPT, UNKEPT, "from unittest.mock import patch\nb = B()\nwith patch.object(b, 'save') as m:\n    assert b.run() == 0\n    m.assert_called_once_with()\nassert b.run() == 100", _B),
 ("the parts of a method", KEPT, KEPT.replace("def tick(s):", "tick = property(lambda s: B().toc)\n def toc(s):"), "a, b = B(), B()\nassert a.tick.__self__ is a and a.tick.__func__ is B.tick", _B),
 # What a method hands over is the object's own, or a copy of it.
 ("what a method hands over", SHOWS, COPIED, "s = S()\ns.push(1)\ns.peek().append(3)\nassert s.peek() == [1, 3] and s.size() == 2", _S),
 ("what a method hands over, kept", SHOWS, COPIED, "s = S()\na = s.peek()\nassert s.size() == 0\na += [3, 4]\nassert s.size() == 2", _S),
 ("what a method finds", SHOWS, COPIED, "s = S()\ns.of('x').append(1)\ns.of('y').append(2)\nassert s.of('x') == [1] and s['y'] == [2]", _S),
 ("what an item is", SHOWS, COPIED, "s = S()\ns.of('x')\ns['x'].append(1)\nassert s.of('x') == [1]", _S),
 ("what a method hands over as a copy", SHOWS, SHOWS.replace("list(s.a)", "s.a"), "s = S()\ns.push(1)\na = s.shown()\na.append(3)\nassert s.shown() == [1] and a == [1, 3]", _S),
 ("what a method hands over, before it changes", SHOWS, SHOWS.replace("append(x)", "insert(0, x)"), "s = S()\ns.push(1)\na = s.shown()\ns.push(2)\nassert a == [1] and s.shown() == [1, 2]", _S),
 ("what both change", SHOWS, SHOWS.replace("append(x)", "insert(0, x)"), "s = S()\na = s.peek()\ns.push(1)\ns.push(2)\na.append(7)\nassert s.peek() in ([1, 2], [1, 2, 7])", _S),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "wrong", "test", "arguments"), [c[1:] for c in CHANGING], ids=[c[0] for c in CHANGING]
)
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
