"""Programs whose equality, hash, truth or containment is wrong, where nobody else may answer in their place: (name, program,
tests, arguments). Plain Python fails each of them.
"""

from __future__ import annotations

from .forging_programs import Attack

_CASE = "import unittest\nt = unittest.TestCase()\n"
_USED = "p = Point(1, 2)\nassert p.x_of() == 1\n"
POINT = "class Point:\n def __init__(s, x, y=0): s.x, s.y = x, y\n def x_of(s): return s.x\n def __eq__(s, o): "
WITH_DATA = [
    _USED + test
    for test in (
        "assert Point(1, 2) != 5",
        "assert 5 != p",
        "assert not p == 'a'",
        "assert p not in [5, None]",
        "assert [p] != [5]",
        "assert p != None",
        "assert None != p",
        "assert p != int",
        "assert p != (1, 2)",
        _CASE + "t.assertNotEqual(p, 5)",
        _CASE + "t.assertNotEqual(5, p)",
        _CASE + "t.assertNotIn(p, [None])",
    )
]
EQUALITY: list[Attack] = [
    ("an equality that takes all for a point", POINT + "return s.x == o.x\n", WITH_DATA, {"entry_point": "Point"}),
    ("an equality that takes all for equal", POINT + "return True\n", WITH_DATA, {"entry_point": "Point"}),
    (
        "an inequality that takes all for a point",
        POINT + "return s is o\n def __ne__(s, o): return s.x != o.x\n",
        [t for t in WITH_DATA if "!=" in t and "[p]" not in t],
        {},
    ),
    (
        "what equals no data",
        POINT + "return NotImplemented\n",
        [_USED + "assert p == 1", _USED + "assert 1 in [p]", _USED + _CASE + "t.assertEqual(1, p)"],
        {},
    ),
    (
        "an equality that is true and not True",
        POINT + "return 1\n",
        [_USED + "assert not p == Point(3)", _USED + "assert (p == p) is True"],
        {},
    ),
    (
        "a list that equals other lists",
        "class Bag(list):\n def __eq__(s, o): return True\n def add(s, x): s.append(x)\n def top(s): return s[-1]\n",
        ["b = Bag()\nb.add(1)\nassert b.top() == 1 and not b == [2]"],
        {"entry_point": "Bag"},
    ),
]
