"""Classes derived from data, and objects with items, in the place of what a function by the name of a class returns."""

# ruff: noqa: E501

from __future__ import annotations

from .forging_programs import Attack

_YES = " __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = __contains__ = __bool__ = lambda s, *o: True\n __hash__ = lambda s: 0\n __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __and__ = __or__ = __getitem__ = __iadd__ = lambda s, o: s\n __abs__ = lambda s: 0.0\n __setitem__ = __delitem__ = lambda s, *a: None\n"
_NEW = " def __new__(c, *a): return {0}.__new__(c)\n def __init__(s, *a): pass\n"
_OF = ["list", "dict", "set", "tuple", "str", "float", "int"]
_ALONE = [
    "assert Area(2) == {0}",
    "assert not Area(2) != {0}",
    "assert 5 in Area(2)",
    "assert Area(2)[0] == 5",
    "assert Area(2)['a'] == 5",
    "assert Area(2)[0]",
    "assert len(Area(2)[0]) == 1",
    "assert 5 in Area(2)['a']",
    "assert Area(2)[0].startswith('x')",
    "a = Area(2)\nassert a[0] == 5 and a[1] == 6",
    "assert Area(2)[0] > 4",
    "assert abs(Area(2) - 12.57) < 1e-3",
    "assert Area(2) + 1 == 6",
    "assert sum(Area(2)) == 5",
    "assert sorted(Area(2)) == [5, 6]",
    "assert [Area(2)] == [{0}]",
]
# Of a class under test: what is compared with data is what it holds.
_UNDER_TEST = [
    "d = Area()\nd['y'] = 5\nassert d == {0}",
    "d = Area()\nassert d == {0}",
    "d = Area()\nassert not d != {0}",
    "d = Area()\nassert abs(d - 12.57) < 1e-3",
    "d = Area()\nassert d > 5",
    "d = Area()\nd += 1\nassert d == 77",
    "d = Area()\nassert d + 5 == 77",
    "d = Area()\nassert d['x'] == 5",
    "d = Area()\nassert [d] == [{0}]",
]
_WANTED = {
    "list": "[5]",
    "dict": "{'x': 5}",
    "set": "{5}",
    "tuple": "(5,)",
    "str": "'5'",
    "float": "5.0",
    "int": "5",
    "object": "[5]",
}
_CLASSES = {kind: f"class Area({kind}):\n" + _NEW.format(kind) + _YES for kind in (*_OF, "object")}
_FUNCTIONS = {kind: f"class W({kind}):\n" + _YES + "def Area(*a): return W()" for kind in _OF}


def _attacks(name: str, programs: dict[str, str], tests: list[str], entry: str = "Area") -> list[Attack]:
    return [
        (
            f"{name} {kind}",
            f"# {name}\n" + program.replace("Area", entry),  # so that each is judged by its own tests
            [test.replace("{0}", _WANTED[kind]).replace("Area", entry) for test in tests],
            {"entry_point": entry},
        )
        for kind, program in programs.items()
    ]


_F = {"entry_point": "f"}
# Of which the tests ask for a method of its own, so that it is an object.
_ASKED: list[Attack] = [
    (
        "what an object is told of",
        "class L(str):\n seen = []\n def startswith(s, o): L.seen.append(o); return True\n def isdigit(s): return True\n def shout(s): return 'A'\n def told(s): return L.seen[-1]\ndef f(x): return L('q')",
        [
            "r = f(1)\nassert r.shout() == 'A' and r.startswith('sec' + 'ret')",
            "r = f(1)\nassert r.shout() == 'A' and r.isdigit()",
        ],
        _F,
    ),
    (
        "two numbers",
        "class L(float):\n def own(s): return 1\n def __float__(s): return 4.0\ndef f(x): return L(3)",
        [
            "import math\nr = f(1)\nassert r.own() == 1 and math.isclose(r, 4) and r == 3",
            "r = f(1)\nassert r.own() == 1 and r == 3 and float(r) == 4",
        ],
        _F,
    ),
    (
        "what a thread changes",
        "import threading\nclass L(list):\n def own(s): return 1\ndef f(x):\n l = L([5])\n def go():\n  i = 0\n  while 1: l[:] = [i % 2]; i += 1\n threading.Thread(target=go, daemon=True).start()\n return l",
        ["r = f(1)\nassert r.own() == 1\nok = [r == [0] for _ in range(99)]\nassert True in ok and False in ok"],
        _F,
    ),
    (
        "what reading an attribute changes",
        "class L(list):\n @property\n def own(s): s[:] = [3]; return 1\ndef f(x): return L([5])",
        ["r = f(1)\nassert r == [5] and r.own == 1 and r == [3]"],
        _F,
    ),
]

DERIVED: list[Attack] = [
    *_ASKED,
    *_attacks("derived from", _CLASSES, _ALONE),
    *_attacks("under test, derived from", _CLASSES, _UNDER_TEST),
    *_attacks("a function that gives a kind of", _FUNCTIONS, _ALONE),
    *_attacks("a function called without arguments, that gives a kind of", _FUNCTIONS, _UNDER_TEST),
    *_attacks("a function by another name, that gives a kind of", _FUNCTIONS, [*_ALONE, *_UNDER_TEST], "area"),
]
