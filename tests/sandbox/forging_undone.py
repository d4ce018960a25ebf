"""What a test has not done by its end: objects never made, checks behind an exit, threads that are slower than it waits."""

from __future__ import annotations

from typing import Any

from .forging_programs import Attack

_F: dict[str, Any] = {"entry_point": "f"}
_CASE = "import unittest\nt = unittest.TestCase()\n"
_ALIKE = [
    _CASE + "t.assertEqual(P(1), P(1))",
    "xs = [P(1), P(2)]\nassert P(2) in xs",
    "xs = [P(1), P(2)]\nassert xs.index(P(2)) == 1",
    "a = P(1)\nassert (a, 1) == (P(1), 1)",
    "a = P(1)\nassert {'k': a} == {'k': P(1)}",
    "seen = []\nfor p in [P(1), P(1), P(2)]:\n    if p not in seen: seen.append(p)\nassert len(seen) == 2",
]
_POINT = "class P:\n def __init__(s, x): s.x = x\n{}\ndef f(x): return 1"
_SAME = " def __eq__(s, o): return s.x == o.x"
_MADE = ["xs = [P(1), P(2)]\nassert len(xs) == 2", "a = P(1)\nassert f(1) == 1", _ALIKE[0]]
_LEAVING = [
    f"import sys, functools, operator\n{test}\nassert f(1) == 5"
    for test in (
        "functools.partial(sys.exit, f(1))()",
        "getattr(sys, 'exit')(f(1))",
        "[sys.exit][0](f(1))",
        "list(map(sys.exit, [f(1)]))",
        "class Q(SystemExit): pass\nraise Q(f(1))",
        "sys.exit(operator.add(f(1), 0))",
        "match f(1):\n    case c: sys.exit(c)",
        "def g(): yield f(1)\nsys.exit(next(g()))",
        "globals()['c'] = f(1)\nsys.exit(c)",
        "*_, c = [f(1)]\nsys.exit(c)",
        "def leave(x):\n    if f(x) == 0: operator.methodcaller('exit', 0)(sys)\n    assert f(x) == 5\nleave(1)",
    )
]
_LEAVING += [
    "import sys\ndef check(x):\n    if f(x) == 0: [sys.exit][0](0)\n    assert f(x) == 5\ncheck(1)",
    "import sys\nfor x in (1, 2):\n    if f(x) == 0: [sys.exit][0](0)\n    assert f(x) == 5",
    "import sys\nif f(1) == 0: [sys.exit][0](0); assert f(1) == 5",
]
UNDONE: list[Attack] = [
    ("objects that are equal by their arguments alone", _POINT.format(""), _ALIKE, {}),
    ("the same, where another name is under test", _POINT.format(""), _ALIKE, _F),
    ("objects that are never made", "def P(*a): raise ValueError\ndef f(x): return 1", _MADE, {}),
    ("the same, where another name is under test", "def P(*a): raise ValueError\ndef f(x): return 1", _MADE, _F),
    ("an exit before the end", "def f(x): return 0", _LEAVING, _F),
]
HONEST_UNDONE: list[Attack] = [
    ("objects that are equal", _POINT.format(_SAME), _ALIKE, {}),
    ("the same, where another name is under test", _POINT.format(_SAME), _ALIKE, _F),
    ("objects that are made", _POINT.format(_SAME), _MADE, _F),
    (
        "an exit at the end",
        "def f(x): return 5",
        [
            "import sys\nassert f(1) == 5\nsys.exit(0)",
            "import sys\nif f(1) == 5:\n    sys.exit()\nelse:\n    raise KeyError",
            "import sys\ndef main():\n    assert f(1) == 5\n    sys.exit(0)\nmain()",
            "import sys\ntry:\n    assert f(1) == 5; sys.exit(0)\nexcept KeyError: pass",
            "import unittest\nclass T(unittest.TestCase):\n    def test_a(self): self.assertEqual(f(1), 5)\nunittest.main()",
        ],
        _F,
    ),
]
