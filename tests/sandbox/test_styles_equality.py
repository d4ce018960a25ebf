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
RESULT = "MADE = {}\nclass R:\n def __init__(s, x): s.x = x\n def x_of(s): return s.x\ndef make(x=1): return R(x)\nONE = R(1)\n"
NUM = "from dataclasses import dataclass\n@dataclass\nclass Num:\n    value: int\ndef parse(s): return Num(int(s))\n"
_RESULTS = "a, b = make(1), make(2)\nassert (a.x_of(), b.x_of()) == (1, 2)\n"
_CASE = "import unittest\nt = unittest.TestCase()\n"
_USED = "m = Money(5)\nassert m.cents() == 500\n"
_MONEY: dict[str, Any] = {"entry_point": "Money"}
# fmt: off
# (name, right program, what is replaced in it and by what, tests, arguments)
STYLES: list[tuple[str, str, tuple[str, ...], list[str], dict[str, Any]]] = [
 ("equal to data", MONEY, ("== (", "!= ("), [_USED + t for t in ("assert m == 5", "assert 5 == m", "assert m in [3, 5] and 5 in [m]", _CASE + "t.assertEqual(m, 5)", "assert {5: 1}[m] == 1", "assert [m] == [5]")], _MONEY),
 ("not equal to data", MONEY, ("return NotImplemented", "return s.n == o.n", "return True"), [_USED + t for t in ("assert m != 'a' and 'a' != m", "assert m != None and m not in [None, 'a']", _CASE + "t.assertNotEqual(m, None)", "assert m != object()", "assert m != int")], _MONEY),
 ("an equality that raises", MONEY.replace("return NotImplemented", "raise TypeError('no money')"), ("raise TypeError('no money')", "raise ValueError('no money')", "return False"), [_USED + "import pytest\nwith pytest.raises(TypeError, match='no money'): m == 'a'", _USED + "try:\n    'a' == m\n    assert False\nexcept TypeError as e: assert str(e) == 'no money'"], _MONEY),
 ("results that are no data, by which they are", RESULT, ("R(x)\n", "R(0)\n", "ONE\n", "x\n"), [_RESULTS + t for t in ("assert a == a and not (a == b)", "assert a != b", "assert len({a, b, a}) == 2", "assert a in [b, a] and a not in [b]", "assert {a: 1, b: 2}[b] == 2", "assert a and bool(b)", _CASE + "t.assertTrue(a)\nt.assertNotEqual(a, b)")], {"entry_point": "make"}),
 ("results with an equality, that are the same", RESULT.replace("\ndef", "\n def __eq__(s, o): return s.x == o.x\ndef", 1).replace("R(x)\n", "MADE.setdefault(x, R(x))\n"), ("setdefault(x,", "setdefault(0,"), [_RESULTS + "assert make(1) == a and make(2) in [b, a]"], {"entry_point": "make"}),
 ("what a result has not", RESULT, ("R(x)\n", "R(0)\n"), [_RESULTS + "import pytest\nwith pytest.raises(AttributeError): a.__secret__\nwith pytest.raises(AttributeError): getattr(a, '__secret__')\nassert getattr(a, '__secret__', 5) == 5"], {"entry_point": "make"}),
 ("what is in an object", "class Box:\n def __init__(s): s.a = []\n def put(s, x): s.a.append(x)\n def __contains__(s, o): return o in s.a\n", ("o in s.a", "True", "False"), ["b = Box()\nb.put(1)\nassert 1 in b and 2 not in b"], {"entry_point": "Box"}),
 ("a result and what an entry point makes", NUM, ("int(s)", "int(s) + 1"), ["assert parse('5') == Num(5)", "assert Num(5) == parse('5')", "assert [parse('5')] == [Num(5)]", "p = parse('5')\nassert p.value == 5\nassert p == Num(5)", _CASE + "t.assertEqual(parse('5'), Num(5))"], {"entry_point": ["parse", "Num"]}),
 ("two classes of one name", "def kinds():\n class R:\n  def __init__(s, x): s.x = x\n  def __len__(s): return s.x\n yield R\n class R:\n  def __init__(s, x): s.x = x\n yield R\nONE, TWO = kinds()\ndef make(k): return (ONE if k else TWO)(k)\n", ("(k)\n", "(1)\n"), ["a, b = make(1), make(0)\nassert a != make(1) and b and b.x == 0"], {"entry_point": "make"}),
]
# fmt: on


@pytest.mark.parametrize(
    ("right", "replaced", "tests", "arguments"), [s[1:] for s in STYLES], ids=[s[0] for s in STYLES]
)
def test_a_style_tells_right_from_wrong(any_sandbox, right, replaced, tests, arguments):
    result = any_sandbox.run_tests(right, tests, limits=LIMITS, **arguments)
    assert [found.reason for found in result.tests if not found.passed] == []
    old, *others = replaced
    assert old in right
    for other in others:
        result = any_sandbox.run_tests(right.replace(old, other), tests, limits=LIMITS, **arguments)
        assert not any(found.passed for found in result.tests), other
