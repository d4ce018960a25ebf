"""What equality, hash, truth and containment say of the program's objects: each passes a right program and fails wrong ones."""

# ruff: noqa: E501

from __future__ import annotations

from typing import Any

import pytest

from .corpus import LIMITS

MONEY = (
    "class Money:\n def __init__(s, n): s.n = n\n def cents(s): return s.n * 100\n def __hash__(s): return hash(s.n)\n"
    " def __eq__(s, o):\n  if isinstance(o, (Money, int)): return s.n == (o.n if isinstance(o, Money) else o)\n  return NotImplemented\n"
)
RESULT = "from itertools import cycle\nMADE = {}\nclass R:\n def __init__(s, x): s.x = x\n def x_of(s): return s.x\ndef make(x=1): return R(x)\n"
ONE = "ONE\nONE, N = R(0), cycle((1, 2))\nR.x_of = lambda s: next(N)\n"  # it says that it is two
NUM = "from dataclasses import dataclass\n@dataclass\nclass Num:\n    value: int\ndef parse(s): return Num(int(s))\n"
ENUM = "from enum import Enum\nclass Color(Enum):\n RED = 1\n BLUE = 'b'\ndef f(): return Color.RED\n"
DECK = (
    "import itertools\nN = itertools.count()\nfrom dataclasses import dataclass\n@dataclass(frozen=True, order=True)\nclass Card:\n n: int\n tags: tuple = ()\n"
    "class Deck:\n def __init__(s): s.cards = [Card(i) for i in range(5)]\n def draw(s): return s.cards.pop()\n"
)
VEC = (
    "from functools import total_ordering\n@total_ordering\nclass Vec:\n def __init__(s, n): s.n = n\n def __hash__(s): return hash(s.n)\n"
    " def __eq__(s, o): return s.n == o.n if isinstance(o, Vec) else NotImplemented\n def __lt__(s, o): return s.n < o.n\n"
    " def __add__(s, o): return Vec(s.n + o.n) if isinstance(o, Vec) else NotImplemented\n"
    " def scale(s, k): return Vec(s.n * k)\n def norm(s): return abs(s.n)\n"
)
TREE = (
    "class Node:\n def __init__(s, v): s.v = v\n def __len__(s): return 1\nclass Tree:\n def __init__(s): s.root = None\n"
    " def put(s, v): s.root = Node(v)\n def find(s, v): return s.root if s.root is not None and s.root.v == v else None\n"
)
_RESULTS = "a, b = make(1), make(2)\nassert (a.x_of(), b.x_of()) == (1, 2)\n"
_CASE = "import unittest\nt = unittest.TestCase()\n"
_DECK, _VEC = "d = Deck()\n", "v = Vec(2)\nassert v.norm() == 2\n"
_TREE = "t = Tree()\nt.put(3)\n"
_OF_VEC: dict[str, Any] = {"entry_point": "Vec"}
_USED = "m = Money(5)\nassert m.cents() == 500\n"
_MONEY: dict[str, Any] = {"entry_point": "Money"}
_BEFORE = (_RESULTS, _USED, _VEC)  # what they begin with, which wrong programs do as right ones
# fmt: off
# (name, right program, what is replaced in it and by what, tests, arguments)
STYLES: list[tuple[str, str, tuple[str, ...], list[str], dict[str, Any]]] = [
 ("equal to data", MONEY, ("== (", "!= ("), [_USED + t for t in ("assert m == 5", "assert 5 == m", "assert m in [3, 5] and 5 in [m]", _CASE + "t.assertEqual(m, 5)", "assert {5: 1}[m] == 1", "assert [m] == [5]")], _MONEY),
 ("not equal to data", MONEY, ("return NotImplemented", "return s.n == o.n", "return True"), [_USED + t for t in ("assert m != 'a' and 'a' != m", "assert m != None and m not in [None, 'a']", _CASE + "t.assertNotEqual(m, None)", "assert m != object()", "assert m != int")], _MONEY),
 ("an equality that raises", MONEY.replace("return NotImplemented", "raise TypeError('no money')"), ("raise TypeError('no money')", "raise ValueError('no money')", "return False"), [_USED + "import pytest\nwith pytest.raises(TypeError, match='no money'): m == 'a'", _USED + "try:\n    'a' == m\n    assert False\nexcept TypeError as e: assert str(e) == 'no money'"], _MONEY),
 ("results that are no data, by which they are", RESULT, ("R(x)\n", ONE), [_RESULTS + t for t in ("assert a == a and not (a == b)", "assert a != b", "assert len({a, b, a}) == 2", "assert a in [b, a] and a not in [b]", "assert {a: 1, b: 2}[a] == 1", _CASE + "t.assertTrue(a)\nt.assertNotEqual(a, b)")], {"entry_point": "make"}),
 ("results that are no data, which are true", RESULT, ("R(x)\n", "R(x)\nR.__len__ = lambda s: 0\n", "R(x)\nR.__bool__ = lambda s: False\n"), [_RESULTS + t for t in ("assert a and bool(b)", "assert not (not a)", _CASE + "t.assertTrue(a)", "assert 5 if b else 0")], {"entry_point": "make"}),
 ("results with an equality, that are the same", RESULT.replace("\ndef", "\n def __eq__(s, o): return s.x == o.x\ndef", 1).replace("R(x)\n", "MADE.setdefault(x, R(x))\n"), ("setdefault(x, R(x))", "setdefault(len(MADE), R(x + len(MADE) // 2))"), [_RESULTS + "assert make(1) == a and make(2) in [b, a]"], {"entry_point": "make"}),
 ("what a result has not", RESULT, ("R(x)\n", "R(x)\nR.__secret__ = 3\n"), [_RESULTS + "import pytest\nwith pytest.raises(AttributeError): a.__secret__\nwith pytest.raises(AttributeError): getattr(a, '__secret__')\nassert getattr(a, '__secret__', 5) == 5"], {"entry_point": "make"}),
 ("what is in an object", "class Box:\n def __init__(s): s.a = []\n def put(s, x): s.a.append(x)\n def __contains__(s, o): return o in s.a\n", ("o in s.a", "True", "False"), ["b = Box()\nb.put(1)\nassert 1 in b and 2 not in b"], {"entry_point": "Box"}),
 ("a result and what an entry point makes", NUM, ("int(s)", "int(s) + 1"), ["assert parse('5') == Num(5)", "assert Num(5) == parse('5')", "assert [parse('5')] == [Num(5)]", "p = parse('5')\nassert p.value == 5\nassert p == Num(5)", _CASE + "t.assertEqual(parse('5'), Num(5))"], {"entry_point": ["parse", "Num"]}),
 ("two classes of one name", "def kinds():\n class R:\n  def __init__(s, x): s.x = x\n  def __len__(s): return s.x\n yield R\n class R:\n  def __init__(s, x): s.x = x\n yield R\nONE, TWO = kinds()\ndef make(k): return (ONE if k else TWO)(k)\n", ("(k)\n", "(1)\n"), ["a, b = make(1), make(0)\nassert a != make(1) and b and b.x == 0"], {"entry_point": "make"}),
 ("a member beside data", ENUM, ("return Color.RED", "return 1", "return 'red'"), ["assert f() != Color.BLUE\n" + t for t in ("assert f() != 1 and f() != 'red'", "assert 1 != f() and 'red' != f()", "assert f() not in (1, 'red') and not f() == 1 and not 'red' == f()", "assert f() and f() != 1 and f() != 'red'", "assert [f(), 1] != [1, 1] and [f()] != ['red']", _CASE + "t.assertNotEqual(f(), 1)\nt.assertNotEqual('red', f())")], {"entry_point": "f"}),
 ("a member that the tests name", ENUM.replace("def f(): return", "ONE ="), ("(Enum)", ""), ["assert Color.RED != 1", "assert not 1 == Color.RED", "assert Color.RED not in [1, 2]", "assert all(c and c != 1 for c in Color)", "assert (Color.RED, 1) != (1, 1)"], {"entry_point": "Color"}),
 ("results of a data class", DECK, ("Card(i)", "Card(0)"), [_DECK + t for t in ("a, b = d.draw(), d.draw()\nassert a != b and not a == b and a == a", "assert len(set(d.cards)) == 5 and d.cards == Deck().cards", "assert d.draw() not in d.cards and d.cards[1] in d.cards", "assert sorted(d.cards, reverse=True) == d.cards[::-1] and d.cards[0] < d.cards[1]", "assert max(d.cards) > min(d.cards) and d.cards[3] <= d.draw()", "assert {c: 1 for c in d.cards} == {c: 1 for c in Deck().cards} and d.draw() != d.draw()", _CASE + "t.assertNotEqual(d.draw(), d.draw())\nt.assertCountEqual(d.cards, d.cards[::-1])")], {"entry_point": "Deck"}),
 ("equal results of a data class", DECK, ("Card(i)", "Card(next(N))", "object()"), [_DECK + t for t in ("assert d.draw() == Deck().draw()", "assert d.cards == Deck().cards", "assert d.draw() in Deck().cards", "assert {d.draw(), Deck().draw()} == {Deck().draw()}")], {"entry_point": "Deck"}),
 ("results of a class under test", VEC, ("Vec(s.n * k)", "Vec(s.n)", "s"), [_VEC + t for t in ("assert v.scale(1) != v.scale(2) and v.scale(2) == v.scale(2)", "assert v.scale(1) < v.scale(2) <= v.scale(2) and v.scale(3) > v.scale(2)", "assert len({v.scale(1), v.scale(2), v.scale(2)}) == 2", "assert (v.scale(2) + v.scale(3)).norm() == 10", "assert v.scale(2) + v.scale(3) == v.scale(4) + v.scale(1) and v.scale(2) not in [v.scale(4), v]", "assert max(v.scale(1), v.scale(2)) == Vec(4)", "assert sorted([v.scale(2), v.scale(1)])[0] == v and v.scale(2) != v")], _OF_VEC),
 ("an equality of results", VEC, ("s.n == o.n", "s is o", "True"), [_VEC + "assert v.scale(2) == v.scale(2) and v.scale(2) != v.scale(3)", _VEC + "a, b, c = v.scale(1), v.scale(2), v.scale(2)\nassert b in [c] and a not in [b, c]"], _OF_VEC),
 ("an order of results", VEC, ("s.n < o.n", "True", "False", "s.n > o.n"), [_VEC + "assert v.scale(2) < v.scale(3) and not v.scale(3) < v.scale(2)", _VEC + "assert v.scale(3) > v.scale(2)"], _OF_VEC),
 ("what a method declines", VEC, ("NotImplemented", "False"), [_VEC + t for t in ("assert v.__eq__(5) is NotImplemented", "assert v.__add__('x') is NotImplemented and v.__eq__(Vec(2)) is not NotImplemented", "r = v.__eq__('x')\nassert r is NotImplemented", "assert v.__eq__(5) == NotImplemented and Vec(v.__eq__(5)).n is NotImplemented", _CASE + "t.assertIs(v.__eq__(5), NotImplemented)")], _OF_VEC),
 ("an object with a length that is found", TREE, ("return 1", "return 0", "raise ValueError"), [_TREE + t for t in ("assert t.find(3)\nassert t.find(3).v == 3", "assert t.root and t.root.v == 3", "n = t.find(3)\nassert bool(n) is True and n.v == 3 and len(n) == 1", "assert t.find(3).v == 3\nif not t.find(3): raise AssertionError")], {"entry_point": "Tree"}),
 ("equal to data, of what is surely a class", MONEY, ("== (", "!= ("), ["assert Money(5) == 5 and isinstance(Money(5), Money)", "assert isinstance(Money(5), Money)\nassert 5 in [Money(5)]", "assert Money(5) == 5 and not issubclass(Money, int)"], _MONEY),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "replaced", "tests", "arguments"), [s[1:] for s in STYLES], ids=[s[0] for s in STYLES]
)
def test_a_style_tells_right_from_wrong(any_sandbox, right, replaced, tests, arguments):
    result = any_sandbox.run_tests(right, tests, limits=LIMITS, **arguments)
    assert [found.reason for found in result.tests if not found.passed] == []
    before = [test for test in _BEFORE if tests[0].startswith(test)]
    old, *others = replaced
    assert old in right
    for other in others:
        result = any_sandbox.run_tests(right.replace(old, other), [*before, *tests], limits=LIMITS, **arguments)
        passed = [found.passed for found in result.tests]
        assert passed == [True] * len(before) + [False] * len(tests), (other, result.reason)
