"""Objects of the task's classes that a program keeps are the same for it and for the tests, whoever changes them."""

# ruff: noqa: E501

from __future__ import annotations

import pytest

from .corpus import assert_tells

NODE = "class Node:\n def __init__(self, v, next=None): self.v, self.next, self.kids = v, next, []\n"
SLOTS = "class Node:\n __slots__ = ('v', 'next')\n def __init__(self, v, next=None): self.v, self.next = v, next\n"
MEMO = "import functools\nclass Node:\n def __init__(self, v): self.v = v\n @functools.cached_property\n def twice(self): return self.v * 2\n"
LST = "import copy\nclass Lst:\n def __init__(s): s.all = []\n def push(s, n): s.all.append(n)\n def vals(s): return [n.v for n in s.all]\n def inc(s): s.all[0].v += 1\n def head(s): return s.all[0]\n def link(s, a, b): s.all[a].next = s.all[b]\n def kids(s): return [k.v for k in s.all[0].kids]\n def grow(s): s.all[0].kids.append(Node(5))\n def __str__(s): return str(s.vals())\n def __iter__(s): return iter(s.vals())\n def reverse(s):\n  for a, b in zip(s.all, s.all[1:]): b.next = a\n def mark(s): s.all[0].key = lambda x: x\n"
COPY = LST.replace("append(n)", "append(copy.copy(n))")
DEEP = LST.replace("append(n)", "append(copy.deepcopy(n))")
KEEPS = "K = []\nimport copy\ndef f(a): K.append(a)\ndef get(): return K[-1].v\ndef put(v): K[-1].v = v\ndef mk():\n K.append(Node(1))\n return K[-1]\n"
COPIES = KEEPS.replace("append(a)", "append(copy.copy(a))").replace("return K[-1]\n", "return copy.copy(K[-1])\n")
OUT = "K = []\ndef f(): return K\ndef put(v): K.append(Node(v))\n"
LENGTH = "def f(b): return len(b.v)\ndef g(b): b.v.append(1)"
NO_LENGTH = "N = []\ndef f(b):\n N.append(len(b.v))\n return N[0]\ndef g(b): pass"
FIRST, NO_FIRST = "def f(b): return b.v[0]\ndef g(b): b.v[0] = 9", "def f(b): return 1\ndef g(b): pass"
MANY = "import copy\nK = []\ndef f(ns): K.extend(ns)\ndef g(n): return hasattr(K[n], 'x')"
_L, _F = {"entry_point": "Lst", "setup": NODE}, {"entry_point": "f", "setup": NODE}
P = "l = Lst()\nn = Node(1)\nl.push(n)\n"
# fmt: off
NODES = [
 ("the tests change what is kept", LST, COPY, P + "n.v = 7\nassert l.vals() == [7]", _L),
 ("the program does", LST, COPY, P + "l.inc()\nassert n.v == 2", _L),
 ("one after the other", LST, COPY, P + "n.v = 7\nl.inc()\nassert n.v == 8 and l.vals() == [8]\nn.v = 1\nl.inc()\nassert n.v == 2", _L),
 ("what the tests did stays", LST, LST.replace("return s.all[0]", "s.all[0].v = 1; return s.all[0]"), P + "n.v = 7\nassert l.head() is n\nl.push(Node(2))\nassert n.v == 7", _L),
 ("an attribute that is gone, and a new one", LST, COPY, P + "n.w = 3\ndel n.v\nassert l.head().w == 3 and not hasattr(l.head(), 'v')", _L),
 ("one that is put behind another", LST, COPY, P + "m = Node(2)\nl.push(m)\nl.link(0, 1)\nassert n.next is m\nm.v = 9\nassert n.next.v == 9 and l.vals() == [1, 9]", _L),
 ("a list of others", LST, DEEP, P + "kids = n.kids\nkids.append(Node(3))\nassert l.kids() == [3]\nkids[0].v = 4\nassert l.kids() == [4] and n.kids is kids\nl.grow()\nassert [k.v for k in n.kids] == [4, 5]", _L),
 ("what its text says", LST, COPY, P + "assert str(l) == '[1]'\nn.v = 7\nassert str(l) == '[7]'", _L),
 ("what it yields", LST, COPY, P + "assert list(l) == [1]\nn.v = 7\nassert list(l) == [7]", _L),
 ("with slots", LST, COPY, P + "n.v = 7\nassert l.vals() == [7]\nl.inc()\nassert n.v == 8", {**_L, "setup": SLOTS}),
 ("with a result that is kept", LST, COPY, P + "assert n.twice == 2\nl.inc()\nassert n.v == 2 and n.twice == 4\nn.v = 5\nl.inc()\nassert n.v == 6", {**_L, "setup": MEMO}),
 ("many", LST, LST.replace("b.next = a", "b.next = None"), "l = Lst()\nall = [Node(n) for n in range(250)]\nfor n in all: l.push(n)\nl.reverse()\nassert all[249].next is all[248] and all[1].next is all[0]\nall[100].v = 'x'\nassert l.vals()[100] == 'x'", _L),
 ("what cannot go over stays", LST, COPY, P + "import threading\nn.lock = lock = threading.Lock()\nassert l.vals() == [1] and n.lock is lock\nm = Node(2)\nl.push(m)\nm.v = 3\nassert l.vals() == [1, 3]", _L),
 ("functions of the tests stay", LST, COPY, P + "n.on = on = [].append\nl.inc()\nassert n.on is on and n.v == 2", _L),
 ("objects of the program stay", LST, LST.replace("lambda x: x", "lambda x: 1"), P + "l.mark()\nkey = n.key\nl.inc()\nassert n.key is key and n.key(5) == 5", _L),
 ("what a function hands over and keeps", KEEPS, COPIES, "n = mk()\nput(8)\nassert n.v == 8\nn.v = 9\nassert get() == 9", _F),
 ("within a list that both have", OUT, OUT.replace("return K", "return K[:]"), "all = f()\nput(3)\nall[0].v = 4\nput(5)\nassert [n.v for n in all] == [4, 5] and f()[0] is all[0]", _F),
 ("of a class of the tests", KEEPS, COPIES, "class N:\n    def __init__(self, v): self.v = v\na = N(1)\nf(a)\na.v = 7\nassert get() == 7 and a.v == 7\nput(9)\nassert a.v == 9", _F),
 ("a long list", LENGTH, NO_LENGTH, "b = Node(list(range(2000)))\nassert f(b) == 2000\nb.v.append(7)\nassert f(b) == 2001\ng(b)\nassert len(b.v) == 2002 and b.v[-1] == 1", _F),
 ("an array", FIRST, NO_FIRST, "import array\nb = Node(array.array('i', [1, 2]))\nassert f(b) == 1\nb.v[0] = 5\nassert f(b) == 5\ng(b)\nassert b.v[0] == 9", _F),
 ("an attribute that moves from one to the next", MANY, MANY.replace("extend(ns)", "extend(copy.copy(n) for n in ns)"), "ns = [Node(1) for _ in range(60)]\nns[10].x = v = object()\nf(ns)\nassert g(10) and not g(11)\ndel ns[10].x\nns[11].x = v\nassert not g(10) and g(11)", _F),
 ("a namespace", KEEPS, COPIES, "from types import SimpleNamespace\na = SimpleNamespace(v=1)\nf(a)\na.v = 7\nassert get() == 7 and a.v == 7\nput(9)\nassert a.v == 9", _F),
]
# fmt: on


@pytest.mark.parametrize(("right", "wrong", "test", "arguments"), [c[1:] for c in NODES], ids=[c[0] for c in NODES])
def test_a_style_tells_right_from_wrong(any_sandbox, right, wrong, test, arguments):
    assert_tells(any_sandbox, right, wrong, [test], arguments)
