"""Programs whose equality, hash, truth or containment is wrong, where nobody else may answer in their place: (name, program,
tests, arguments). Plain Python fails each of them.
"""

# ruff: noqa: E501
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
RESULT = "class R:\n def __init__(s, x): s.x = x\n def x_of(s): return s.x\n{}\ndef make(x=1): return R(x)\n"
_MAKE = {"entry_point": "make"}
_RESULTS = "a, b = make(1), make(2)\nassert a.x_of() == 1\n"
ANOTHER = [
    _RESULTS + test
    for test in (
        "assert not (a == b)",
        "assert a != b",
        "assert a not in [b]",
        "assert len({a, b}) == 2",
        "assert len({make(i) for i in range(5)}) == 5",
        "assert {a: 1}.get(b) is None",
        _CASE + "t.assertFalse(a == b)",
        _CASE + "t.assertNotEqual(a, b)",
        _CASE + "t.assertNotIn(a, [b])",
    )
]
TRUE = [
    _RESULTS + test
    for test in ("assert a", "assert bool(a)", "if not a: raise AssertionError", _CASE + "t.assertTrue(a)")
]
_RAISES = "import pytest\n" + _RESULTS
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
    (
        "results that are all equal",
        RESULT.format(" def __eq__(s, o): return True\n __hash__ = lambda s: 1"),
        ANOTHER,
        _MAKE,
    ),
    ("results that are false", RESULT.format(" def __bool__(s): return False"), TRUE, _MAKE),
    ("results without items", RESULT.format(" def __len__(s): return 0"), TRUE, _MAKE),
    (
        "results that contain all",
        RESULT.format(" def __iter__(s): return iter([s.x])\n def __contains__(s, o): return True"),
        [_RESULTS + "assert 3 not in a"],
        _MAKE,
    ),
    (
        "an object under test that contains all",
        "class Box:\n def __init__(s, x): s.x = x\n def put(s, x): s.x = x\n def __iter__(s): return iter([s.x])\n def __contains__(s, o): return True\n",
        ["b = Box(1)\nb.put(2)\nassert 3 not in b", "assert 3 not in Box(1)"],
        {"entry_point": "Box"},
    ),
    (
        "equal results, behind others of a class of that name",
        "def harmless():\n class R:\n  def __init__(s, x): s.x = x\n return R\nplain = harmless()\n"
        "class R:\n def __init__(s, x): s.x = x\n def __eq__(s, o): return True\n def __bool__(s): return False\n"
        "def make(x): return R(x) if x else plain(x)\n",
        [
            f"a, b, c = make(0), make(1), make(2)\nassert a.x == 0 and a and a != make(0)\nassert {test}"
            for test in ("b != c", "not b == c", "b not in [c]", "b", "b.x == 1 and bool(c)")
        ],
        _MAKE,
    ),
    (
        "namespaces that say what they equal",
        "from types import SimpleNamespace\nclass S(SimpleNamespace):\n def __eq__(s, o): return True\n def __ne__(s, o): return True\n"
        "def f(n): return [S(a=1), SimpleNamespace(a=S(b=1)), SimpleNamespace(a=1, b=2), SimpleNamespace(), S][n]\n",
        [
            "from types import SimpleNamespace as N\n" + test
            for n in range(5)
            for test in (f"assert f({n}) == N(a=5)", f"assert N(a=N(b=5)) == f({n})", f"assert f({n}) in [N(a=7)]")
        ]
        + ["assert f(2) != f(2)", "assert f(2) == f(3)"],
        {"entry_point": "f"},
    ),
    (
        "what is put into a namespace of the tests",
        "class W:\n __eq__ = __contains__ = lambda s, o: True\n __call__ = lambda s, *a: True\n def __getattr__(s, n): return s\n"
        "def f(n):\n n.startswith, n.a, n.b = W(), W(), 6\n return n\n",
        [
            "from types import SimpleNamespace as N\nn = N(a=1)\n" + test
            for test in (
                "assert f(n).startswith('x')",
                "f(n)\nassert n.b == 5",
                "f(n)\nassert n.a == 5",
                "f(n)\nassert n == N(a=5)",
                "assert f(n) == N(a=5)",
                "assert 5 in f(n).a",
            )
        ],
        {"entry_point": "f"},
    ),
    (
        "members of the tests' enumeration",
        "def f(c):\n for n, v in (('_value_', 5), ('_name_', 'BLUE'), ('value', 5)):\n  try: object.__setattr__(c, n, v)\n  except Exception: pass\n"
        " return c\n",
        [
            "from enum import Enum\nclass Color(Enum):\n    RED = 1\n    BLUE = 2\n" + test
            for test in ("assert f(Color.RED).value == 5", "assert f(Color) == 5", "assert f(Color) is Enum")
        ],
        {"entry_point": "f"},
    ),
    (
        "results that have a hash",
        RESULT.format(""),
        [
            "import pytest\nwith pytest.raises(TypeError): hash(make())",
            "import pytest\nwith pytest.raises(TypeError): {make()}",
            "import pytest\nwith pytest.raises(TypeError): {make(): 1}",
            "import pytest\nfrom collections import Counter\nwith pytest.raises(TypeError): Counter([make()])",
        ],
        _MAKE,
    ),
    (
        "objects that have a hash",
        RESULT.format(" kind = 1"),
        [_RAISES + "with pytest.raises(TypeError): hash(a)"],
        _MAKE,
    ),
    (
        "results that have what they should not",
        RESULT.format(" __secret__ = 5\n def __array__(s, *a): return 5"),
        [
            _RAISES + f"with pytest.raises(AttributeError): {test}"
            for test in ("a.__secret__", "a.__array__", "getattr(a, '__secret__')")
        ],
        _MAKE,
    ),
    (
        "members that equal data, or are false",
        "from enum import Enum\nclass Color(Enum):\n RED = 1\n BLUE = 2\n __eq__ = lambda s, o: True\n __bool__ = lambda s: False\n __hash__ = lambda s: 1\ndef f(): return Color.RED\n",
        [
            f"assert f() in list(Color)\nassert {t}"
            for t in ("f() != 1", "f() not in ['a']", "Color.RED != 1", "not Color.RED == 1", "f()", "Color.RED")
        ],
        {"entry_point": ["f", "Color"]},
    ),
    (
        "members that equal no data",
        "from enum import Enum\nclass Color(Enum):\n RED = 1\ndef f(): return Color.RED\n",
        [
            f"assert f() in list(Color)\nassert {t}"
            for t in ("f() == 1", "1 in [f()]", "not f()", "not Color.RED", "Color.RED == 'RED'")
        ],
        {"entry_point": ["f", "Color"]},
    ),
    *(
        (name, "from dataclasses import dataclass, field\n" + program + "def make(x=1): return R(x)\n", ANOTHER, _MAKE)
        for name, program in (
            (
                "data of which nothing is compared",
                "@dataclass(frozen=True)\nclass R:\n x: int = field(compare=False)\n def x_of(s): return s.x\n",
            ),
            (
                "data that are all equal",
                "@dataclass(frozen=True)\nclass R:\n x: int\n def x_of(s): return s.x\n def __eq__(s, o): return True\n def __hash__(s): return 1\n",
            ),
            (
                "data that are all equal, written elsewhere",
                "exec('@dataclass(frozen=True)\\nclass R:\\n x: int\\n def x_of(s): return s.x\\n def __eq__(s, o): return True\\n def __hash__(s): return 1\\n')\n",
            ),
            (
                "data that are all equal by a base",
                "class B:\n __ne__ = lambda s, o: False\n@dataclass(frozen=True)\nclass R(B):\n x: int = field(hash=False)\n def x_of(s): return s.x\n __eq__ = lambda s, o: s is o or True\n",
            ),
        )
    ),
    (
        "data without an order",
        "from dataclasses import dataclass\n@dataclass(frozen=True)\nclass R:\n x: int\n def x_of(s): return s.x\n def __lt__(s, o): return False\ndef make(x=1): return R(x)\n",
        [
            _RESULTS + t
            for t in (
                "assert a < b",
                "assert b > a",
                "assert a <= b",
                "assert sorted([b, a])[0].x_of() == 1",
                "assert max(a, b).x_of() == 2",
            )
        ],
        _MAKE,
    ),
]
# What plain Python passes: they would answer for what the tests want of data.
YES = "__eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = lambda s, o: True\n __hash__ = lambda s: 1\n __bool__ = lambda s: True\n __sub__ = __add__ = lambda s, o: 4\n"
_ASKED = (
    "a < b",
    "b < a",
    "a > b",
    "a != b",
    "not a == b",
    "a == b",
    "a in [b]",
    "a - b == 4",
    "abs(a - b) < 5",
    "max(a, b) > min(a, b)",
)
EQUALITY += [
    (
        "results of a class under test that says yes",
        f"class S:\n def __init__(s, *a): pass\n def put(s, x): pass\n def low(s): return {low}\n high = low\n {YES}",
        [f"s = S()\ns.put(1)\na, b = s.low(), s.high()\nassert {asked}" for asked in _ASKED],
        {"entry_point": "S"},
    )
    for low in ("s", "S()")
]
EQUALITY += [
    (
        "results that say they are of a class under test",
        f"class S:\n def put(s, x): s.x = x\n def top(s): return s.x\nclass W:\n {YES}W.__name__ = 'S'\ndef f(x): return W()\n",
        [
            f"s = S()\ns.put(1)\nassert s.top() == 1\na, b = f(1), f(2)\nassert {asked}"
            for asked in (*_ASKED, "a", "a == 5", "5 in [a]")
        ],
        {"entry_point": ["f", "S"]},
    ),
    (
        "results that say yes",
        f"class W:\n {YES}def f(x): return W()\n",
        [f"a, b = f(1), f(2)\nassert {asked}" for asked in (*_ASKED, "a", "len({a, b}) == 1")],
        {"entry_point": "f"},
    ),
    (
        "a fair name",
        "class Area:\n def __init__(s, r): pass\n __eq__ = __contains__ = lambda s, o: True\n __mul__ = lambda s, o: s\n __getitem__ = lambda s, i: s\n",
        ["assert Area(3) == 9", "assert 9 in Area(3)", "assert Area(3) * 2 == 18", "assert Area(3)[0] == 9"],
        {"entry_point": "Area"},
    ),
    (
        "what declines, and answers",
        "class P:\n def __init__(s, x): pass\n def x_of(s): return 1\n __eq__ = lambda s, o: True\n __add__ = lambda s, o: 6\ndef f(x): return NotImplemented\n",
        [
            f"p = P(1)\nassert p.x_of() == 1\nassert {t}"
            for t in (
                "p.__eq__(5) is NotImplemented",
                "p.__add__(5) is NotImplemented",
                "p.__add__(5) == 6 and NotImplemented",
                "f(1) == 5",
                "f(1) is None",
                "f(1) in [5]",
                "f(1) is True",
            )
        ],
        {"entry_point": ["P", "f"]},
    ),
]
